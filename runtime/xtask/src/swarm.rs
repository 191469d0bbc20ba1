//! The whole system in simulated worlds: runs seeds, and shows that bugs are found.
//!
//! What a seed means and what is checked is in `tests/swarm`. Here is what is built, and how a known
//! bug is brought back: as a mutant is, in the copy of the checkout, but built as the program is
//! shipped, so that nothing large is built twice.

use std::collections::BTreeMap;
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
    set_apart(&tree.root)?;
    let mut counts = Counts::default();
    let mut lines = Vec::new();
    for bug in &bugs {
        let started = Instant::now();
        let (verdict, detail) = match changed(&tree, bug, || find(project, &tree, &bug.says)) {
            Ok(Some((Reason::Right, detail))) => ("found", detail),
            Ok(Some((Reason::Wrong, detail))) => ("WRONG REASON", detail),
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

/// Bugs that the swarm has to find: its own, and mutants that are listed, with the words by which
/// the swarm knows them.
fn all(root: &Path) -> Result<Vec<Mutant>> {
    let mutants = file::read_all(&root.join("tests/mutants"))?;
    let mut mutants: BTreeMap<String, Mutant> = mutants
        .into_iter()
        .map(|mutant| (mutant.name.clone(), mutant))
        .collect();
    let list = root.join("tests/swarm/planted.txt");
    let list = std::fs::read_to_string(list).context("failed to read the list of planted bugs")?;
    let mut bugs = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (name, words) = line
            .split_once(": ")
            .with_context(|| format!("`{line}` does not say by which words the bug is known"))?;
        let mut bug = mutants
            .remove(name)
            .with_context(|| format!("tests/mutants has no {name}"))?;
        bug.says = vec![words.to_owned()];
        bugs.push(bug);
    }
    bugs.extend(file::read_all(&root.join("tests/swarm/planted"))?);
    Ok(bugs)
}

/// Gives the copy a version of its own, so that cargo takes none of its crates for one of the
/// checkout's: both are built in the same folder.
fn set_apart(root: &Path) -> Result<()> {
    let path = root.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).context("failed to read the workspace")?;
    let whole: Vec<String> = text
        .lines()
        .map(|line| match line.strip_prefix("version = \"") {
            Some(rest) => format!("version = \"{}", rest.replacen('"', "+planted\"", 1)),
            None => line.to_owned(),
        })
        .collect();
    let whole = whole.join("\n") + "\n";
    if whole == text {
        bail!("the workspace names no version");
    }
    std::fs::write(&path, whole).context("failed to set the copy apart")
}

/// Whether a finding is the one that was expected.
enum Reason {
    Right,
    Wrong,
}

/// The seed that shows a bug, and what it said. None if no seed does.
fn find(project: &Project, tree: &Tree, says: &[String]) -> Result<Option<(Reason, String)>> {
    let program = build(project, &tree.root)?;
    let output = Command::new(program)
        .args(["--seeds", SEEDS, "--stop"])
        .current_dir(&tree.root)
        .stdin(Stdio::null())
        .output()
        .context("failed to start the swarm")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut found = text.lines().filter(|line| line.starts_with("seed "));
    let is_it = |line: &&str| says.iter().any(|word| line.contains(word));
    let right = found.clone().find(is_it).map(|line| (Reason::Right, line));
    let any = right.or_else(|| found.next().map(|line| (Reason::Wrong, line)));
    let Some((reason, line)) = any else {
        if output.status.success() {
            return Ok(None);
        }
        bail!(
            "the swarm failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    Ok(Some((reason, line.chars().take(160).collect())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_of_the_list_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let bugs = all(&root).expect("the list is well formed");
        assert!(bugs.iter().all(|bug| !bug.says.is_empty()));
        assert!(bugs.len() >= 12, "{}", bugs.len());
    }
}
