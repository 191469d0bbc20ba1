//! The whole system in simulated worlds: runs seeds, and shows that bugs are found.
//!
//! What a seed means and what is checked is in `tests/swarm`. Here is what is built, and how a known
//! bug is brought back: as a mutant is, in the copy of the checkout, but built as the program is
//! shipped, so that nothing large is built twice.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::mutants::changed;
use crate::mutants::file::{self, Mutant};
use crate::mutants::tree::Tree;
use crate::project::Project;
use crate::report::{Counts, Outcome};
use crate::run;

/// Seeds within which a planted bug has to be found.
const SEEDS: &str = "1000";

/// Runs seeds.
pub(crate) fn seeds(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    let program = build(project, &project.root)?;
    let mut command = Command::new(program);
    let status = command
        .args(arguments)
        .current_dir(&project.root)
        .status()
        .context("failed to start the swarm")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Brings bugs back one at a time.
pub(crate) fn planted(project: &Project, names: &[String]) -> Result<Outcome> {
    let mut bugs = all(&project.root)?;
    if let Some(name) = names
        .iter()
        .find(|name| bugs.iter().all(|bug| bug.name != **name))
    {
        bail!("no planted bug is called {name}");
    }
    bugs.retain(|bug| names.is_empty() || names.contains(&bug.name));
    let tree = Tree::copy(project)?;
    let mut counts = Counts::default();
    let mut lines = Vec::new();
    for bug in &bugs {
        let started = Instant::now();
        let (verdict, detail) = match changed(&tree, bug, || find(project, &tree)) {
            Ok(Some(detail)) => ("found", detail),
            Ok(None) => ("NOT FOUND", format!("in {SEEDS} seeds")),
            Err(error) => ("BROKEN", format!("{error:#}")),
        };
        if verdict == "found" {
            counts.passed += 1;
        } else {
            counts.failed += 1;
        }
        let took = started.elapsed().as_secs();
        let line = format!(
            "| {} | {} | {verdict} | {took} s | {detail} |",
            bug.guards, bug.name
        );
        println!("{line}");
        lines.push(line);
    }
    println!(
        "\n| breaks | bug | | | |\n|---|---|---|--:|---|\n{}",
        lines.join("\n")
    );
    Ok(Outcome::Tests(counts))
}

/// Bugs that the swarm has to find: its own, and mutants that are listed.
fn all(root: &Path) -> Result<Vec<Mutant>> {
    let mut bugs = file::read_all(&root.join("tests/mutants"))?;
    let list = root.join("tests/swarm/planted.txt");
    let list = std::fs::read_to_string(list).context("failed to read the list of planted bugs")?;
    let listed: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    if let Some(name) = listed
        .iter()
        .find(|name| bugs.iter().all(|bug| bug.name != **name))
    {
        bail!("tests/mutants has no {name}");
    }
    bugs.retain(|bug| listed.contains(&bug.name.as_str()));
    bugs.extend(file::read_all(&root.join("tests/swarm/planted"))?);
    Ok(bugs)
}

/// The seed that shows a bug, and what it said. None if no seed does.
fn find(project: &Project, tree: &Tree) -> Result<Option<String>> {
    let program = build(project, &tree.root)?;
    let output = Command::new(program)
        .args(["--seeds", SEEDS, "--stop"])
        .current_dir(&tree.root)
        .stdin(Stdio::null())
        .output()
        .context("failed to start the swarm")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().find(|line| line.starts_with("seed "));
    let Some(line) = found else {
        if output.status.success() {
            return Ok(None);
        }
        bail!(
            "the swarm failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    Ok(Some(line.chars().take(160).collect()))
}

/// Builds the program of a checkout in the folder of all builds: dependencies are there already.
/// The test is built along, because the features of dependencies are otherwise others.
fn build(project: &Project, root: &Path) -> Result<PathBuf> {
    run::succeed(
        project
            .cargo("build")
            .current_dir(root)
            .args([
                "--release",
                "--workspace",
                "--bin",
                "swarm",
                "--test",
                "seeds",
            ])
            .env("CARGO_TARGET_DIR", &project.target),
    )?;
    Ok(project.target.join("release/swarm"))
}
