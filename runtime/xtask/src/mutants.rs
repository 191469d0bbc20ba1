//! Takes guards out of the code and demands that the tests notice.
//!
//! Each file in `tests/mutants` names an invariant of ARCHITECTURE.md, or a bug of
//! `runtime/docs/lessons.md`, the text that guards it,
//! what stands there without the guard, the tests that have to fail, and what they have to say.
//! The work is done in a copy of the checkout under `target/mutants`, with one folder for all
//! builds, so that a mutant costs the crates that it changes.

pub(crate) mod file;
pub(crate) mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use self::file::{Guards, Mutant, Tests};
use self::tree::Tree;
use crate::project::Project;
use crate::report::{Counts, Outcome};

/// Invariants that have at least one mutant. The others are guarded by the compiler and by rules
/// about the code (1, 10, 11) or by tests of their own (2).
const INVARIANTS: [u32; 8] = [3, 4, 5, 6, 7, 8, 9, 12];

/// Random worlds per property. A mutant is found in the first hundreds; the others are for those
/// whose guard is needed seldom.
const CASES: &str = "3000";

/// A mutant may loop for ever. The slowest test takes half a minute on a busy machine.
const RUN_TIME_MAX: Duration = Duration::from_secs(600);

/// What became of a mutant.
#[derive(Debug, PartialEq)]
enum Fate {
    /// Tests failed, and one of the expected words was in what they said.
    Found { by: String, said: String },
    /// No test failed.
    Survived,
    /// Tests failed, but not because of the invariant.
    WrongReason { failed: String },
}

/// Runs the named mutants, all of them when none is named.
pub(crate) fn run(project: &Project, names: &[String]) -> Result<Outcome> {
    let mutants = selected(project, names)?;
    let tree = Tree::copy(project)?;
    let mut lines = Vec::new();
    let mut counts = Counts::default();
    let mut sound = BTreeSet::new();
    for mutant in &mutants {
        if sound.insert(mutant.tests.clone()) {
            unchanged_passes(project, &tree, &mutant.tests)?;
        }
    }
    for mutant in &mutants {
        let started = Instant::now();
        let fate = try_one(project, &tree, mutant);
        let took = started.elapsed().as_secs();
        let (verdict, detail) = match fate {
            Ok(Fate::Found { by, said }) => ("found", format!("{said}, by {by}")),
            Ok(Fate::Survived) => ("SURVIVED", mutant.tests.to_string()),
            Ok(Fate::WrongReason { failed }) => {
                ("WRONG", format!("{failed} failed for another reason"))
            }
            Err(error) => ("BROKEN", format!("{error:#}")),
        };
        if verdict == "found" {
            counts.passed += 1;
        } else {
            counts.failed += 1;
        }
        let line = format!(
            "| {} | {} | {verdict} | {took} s | {detail} |",
            mutant.guards, mutant.name
        );
        println!("{line}");
        lines.push(line);
    }
    println!(
        "\n| guards | without | | | |\n|---|---|---|--:|---|\n{}",
        lines.join("\n")
    );
    Ok(Outcome::Tests(counts))
}

fn selected(project: &Project, names: &[String]) -> Result<Vec<Mutant>> {
    let mut mutants = file::read_all(&project.root.join("tests/mutants"))?;
    if names.is_empty() {
        let covered: BTreeSet<&Guards> = mutants.iter().map(|m| &m.guards).collect();
        let lacks = |number: &&u32| !covered.contains(&Guards::Invariant(**number));
        if let Some(missing) = INVARIANTS.iter().find(lacks) {
            bail!("invariant {missing} has no mutant");
        }
    } else {
        for name in names {
            if !mutants.iter().any(|mutant| mutant.name == *name) {
                bail!("no mutant is called {name}");
            }
        }
        mutants.retain(|mutant| names.contains(&mutant.name));
    }
    mutants.sort_by(|a, b| (&a.guards, &a.tests, &a.name).cmp(&(&b.guards, &b.tests, &b.name)));
    Ok(mutants)
}

/// A test that fails anyway says nothing about a mutant.
fn unchanged_passes(project: &Project, tree: &Tree, tests: &Tests) -> Result<()> {
    let program = build(project, tree, tests)?;
    let output = execute(tree, tests, &program)?;
    match output.failed.first() {
        None if output.passed => Ok(()),
        failed => bail!(
            "{tests} fails without any mutant: {}\n{}",
            failed.map_or("it ended early", String::as_str),
            output.text
        ),
    }
}

fn try_one(project: &Project, tree: &Tree, mutant: &Mutant) -> Result<Fate> {
    changed(tree, mutant, || judge(project, tree, mutant))
}

/// Does something while the copy is without the guard.
pub(crate) fn changed<T>(
    tree: &Tree,
    mutant: &Mutant,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let mut before = BTreeMap::new();
    let mut after: BTreeMap<&str, String> = BTreeMap::new();
    for change in &mutant.changes {
        let path = tree.root.join(&change.file);
        let text = match after.remove(change.file.as_str()) {
            Some(text) => text,
            None => {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("failed to read {}", change.file))?;
                before.insert(path, text.clone());
                text
            }
        };
        after.insert(&change.file, change.apply(&text)?);
    }
    for (file, text) in &after {
        fs::write(tree.root.join(file), text)?;
    }
    let done = work();
    for (path, text) in before {
        fs::write(&path, text).context("failed to put the guard back")?;
    }
    done
}

fn judge(project: &Project, tree: &Tree, mutant: &Mutant) -> Result<Fate> {
    let program = build(project, tree, &mutant.tests)?;
    let output = execute(tree, &mutant.tests, &program)?;
    if output.passed {
        return Ok(Fate::Survived);
    }
    let said = mutant.says.iter().find(|word| output.text.contains(*word));
    let by = output.failed.first().cloned().unwrap_or_default();
    Ok(match said {
        Some(said) => Fate::Found {
            by,
            said: said.clone(),
        },
        None => {
            println!("{}", output.text);
            Fate::WrongReason { failed: by }
        }
    })
}

/// Where cargo put the program of a test.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

fn build(project: &Project, tree: &Tree, tests: &Tests) -> Result<PathBuf> {
    let mut command = project.cargo("test");
    command
        .current_dir(&tree.root)
        .args([
            "--release",
            "--no-run",
            "--message-format=json",
            "--package",
            &tests.package,
        ])
        .args(&tests.target)
        .env("CARGO_TARGET_DIR", &tree.build)
        // Built anew for each mutant: what is built fast is worth more than what runs fast.
        .env("CARGO_INCREMENTAL", "1")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output().context("failed to start cargo")?;
    if !output.status.success() {
        bail!(
            "it does not build: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let wanted = if tests.target.iter().any(|word| word == "--lib") {
        "lib"
    } else {
        "test"
    };
    text.lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .filter(|found| found.profile.as_ref().is_some_and(|profile| profile.test))
        .filter(|found| {
            found
                .target
                .as_ref()
                .is_some_and(|t| t.kind.iter().any(|k| k == wanted))
        })
        .filter_map(|found| found.executable)
        .next_back()
        .with_context(|| format!("cargo built no program for {tests}"))
}

struct Output {
    passed: bool,
    failed: Vec<String>,
    text: String,
}

fn execute(tree: &Tree, tests: &Tests, program: &Path) -> Result<Output> {
    let log = tree.build.join("mutant.log");
    let file = File::create(&log).context("failed to make a file for the output")?;
    let mut child = Command::new(program)
        .args(&tests.filters)
        .current_dir(&tree.root)
        .env("WAVEGATE_CASES", CASES)
        .env("RUST_BACKTRACE", "0")
        .env_remove("WAVEGATE_SEED")
        .stdin(Stdio::null())
        .stderr(file.try_clone()?)
        .stdout(file)
        .spawn()
        .with_context(|| format!("failed to start {}", program.display()))?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > RUN_TIME_MAX {
            child.kill()?;
            child.wait()?;
            bail!("{tests} did not end within {} s", RUN_TIME_MAX.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut bytes = Vec::new();
    File::open(&log)?.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.contains("running 0 tests") {
        bail!("{tests} names no test");
    }
    let failed = text
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .map(str::to_owned)
        .collect();
    Ok(Output {
        passed: status.success(),
        failed,
        text,
    })
}
