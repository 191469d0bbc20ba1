//! Finds the tools of a language, or says what to install.

use crate::exit::{Exit, Failure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Versions that are known to work together; others may, too.
pub(crate) const COMPONENTIZE_PY: &str = "0.25.1";
pub(crate) const COMPONENTIZE_QJS: &str = "0.4.5";

/// The first of some programs that lies in the project's own packages or on the path.
pub(crate) fn find(project: &Path, name: &str) -> Option<PathBuf> {
    let own = project.join("node_modules/.bin").join(name);
    if own.is_file() {
        return Some(own);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// What a command prints first; none if it cannot be run or fails.
pub(crate) fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}

/// Nothing to build with: what to install, as commands.
pub(crate) fn missing(what: &str, install: &str) -> Failure {
    Failure::new(Exit::Usage, anyhow::anyhow!("{what} is missing")).hint(install)
}

/// Runs a tool with its output on standard error: standard output is for data.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| anyhow::anyhow!("failed to start {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    // Some tools write their errors where data belongs.
    crate::output::say(String::from_utf8_lossy(&output.stdout).trim_end());
    let failed = anyhow::anyhow!("{name} ended with {}", output.status);
    Err(Failure::new(Exit::Plugin, failed))
}
