//! The worked examples of the SDKs: made into projects by `plugin new`, built by `plugin build`, and
//! unit-tested by the test runner of their language.
//!
//! Each has a folder under the target folder with a mark of what it was built from. A build whose
//! project and tools are those of the mark is left as it is, so that only a cold run takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};
use sha2::{Digest as _, Sha256};

use crate::project::Project;
use crate::report::{Counts, Outcome};
use crate::tools::{self, GuestTools};
use crate::{checks, run};

/// Languages with templates, the slowest first: the others are built while it is at work.
const LANGUAGES: [&str; 6] = ["python", "rust", "go", "typescript", "javascript", "c"];

/// What is made in each language.
const EXAMPLES: [Kind; 3] = [Kind::Strategy, Kind::Gate, Kind::Bad];

/// What an example is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Strategy,
    Gate,
    /// A strategy of `tests/guests/languages` that loops, allocates or traps.
    Bad,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::Gate => "gate",
            Self::Bad => "bad",
        }
    }

    /// What `plugin new` is told: with the name of the example a project is the example.
    fn arguments(self) -> [&'static str; 2] {
        match self {
            Self::Strategy => ["stepwise", "strategy"],
            Self::Gate => ["ceiling", "gate"],
            Self::Bad => ["bad", "strategy"],
        }
    }
}

/// Where the projects are.
pub(crate) fn folder(project: &Project) -> PathBuf {
    project.target.join("languages")
}

/// A project of one language and kind.
struct Example {
    language: &'static str,
    kind: Kind,
    dir: PathBuf,
}

fn examples(project: &Project) -> Vec<Example> {
    let example = |language, kind: Kind| Example {
        language,
        kind,
        dir: folder(project).join(format!("{language}-{}", kind.word())),
    };
    LANGUAGES
        .iter()
        .flat_map(|language| EXAMPLES.map(|kind| example(language, kind)))
        // TypeScript becomes JavaScript before it is built.
        .filter(|it| it.language != "typescript" || it.kind != Kind::Bad)
        .collect()
}

/// Makes and builds all projects that are not up to date.
pub(crate) fn build(project: &Project) -> Result<Outcome> {
    let tools = tools::guest_languages(project)?;
    let mut slow = Vec::new();
    let mut failed = Vec::new();
    for example in examples(project) {
        let mark = write(project, &example, &tools)?;
        let Some(mark) = mark else {
            println!("{} {}: up to date", example.language, example.kind.word());
            continue;
        };
        if example.language == "python" {
            // It takes a minute and half a processor.
            let mut command = build_command(project, &example, &tools);
            slow.push(thread::spawn(move || made(&mut command, &example, &mark)));
        } else if let Err(error) = made(
            &mut build_command(project, &example, &tools),
            &example,
            &mark,
        ) {
            failed.push(error);
        }
    }
    for one in slow {
        let built = one.join().map_err(|_| anyhow!("a build panicked"))?;
        failed.extend(built.err());
    }
    match failed.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(Outcome::Passed),
    }
}

/// Writes the project of an example, unless the one that is there is built from the same. Gives the
/// mark to leave after the build.
fn write(project: &Project, example: &Example, tools: &GuestTools) -> Result<Option<String>> {
    let fresh = folder(project).join("fresh");
    remove(&fresh)?;
    let [name, kind] = example.kind.arguments();
    let mut new = project.command(checks::binary(project));
    new.args(["plugin", "new", name, "--kind", kind])
        .args(["--lang", example.language, "--dir"])
        .arg(&fresh);
    run::output(&mut new)?;
    if example.kind == Kind::Bad {
        let (bad, source) = bad_source(example.language);
        let bad = project.root.join("tests/guests/languages").join(bad);
        fs::copy(&bad, fresh.join(source))
            .with_context(|| format!("failed to copy {}", bad.display()))?;
    }
    let mark = format!("{} {}", digest(&fresh)?, tools.versions);
    let is_built = fs::read_to_string(example.dir.join("build.mark")).is_ok_and(|it| it == mark)
        && example.dir.join("plugin.wasm").is_file();
    if is_built {
        remove(&fresh)?;
        return Ok(None);
    }
    remove(&example.dir)?;
    fs::rename(&fresh, &example.dir)
        .with_context(|| format!("failed to make {}", example.dir.display()))?;
    if example.dir.join("package.json").is_file() {
        // What `npm install` would put there.
        std::os::unix::fs::symlink(&tools.node, example.dir.join("node_modules"))
            .context("failed to link the Node packages")?;
    }
    Ok(Some(mark))
}

/// The source of a bad plugin, and the file of a project that it takes the place of.
fn bad_source(language: &str) -> (&'static str, &'static str) {
    match language {
        "rust" => ("bad.rs", "src/lib.rs"),
        "python" => ("bad.py", "plugin.py"),
        "go" => ("bad.go", "main.go"),
        "c" => ("bad.c", "plugin.c"),
        _ => ("bad.js", "plugin.js"),
    }
}

fn build_command(project: &Project, example: &Example, tools: &GuestTools) -> Command {
    let mut build = project.command(checks::binary(project));
    build.args(["plugin", "build"]).arg(&example.dir);
    tools.apply(&mut build);
    // Both examples in Rust share what they are built from.
    build.env("CARGO_TARGET_DIR", folder(project).join("rust-target"));
    build
}

fn made(command: &mut Command, example: &Example, mark: &str) -> Result<()> {
    let started = Instant::now();
    run::succeed(command)?;
    let took = started.elapsed().as_secs_f64();
    println!(
        "{} {}: built in {took:.1} s",
        example.language,
        example.kind.word()
    );
    fs::write(example.dir.join("build.mark"), mark).context("failed to leave the mark of a build")
}

/// Runs the unit tests of all projects, each by the runner of its language.
pub(crate) fn unit_tests(project: &Project) -> Result<Outcome> {
    let tools = tools::guest_languages(project)?;
    let mut runs: Vec<(PathBuf, Vec<&str>)> = SDK_TESTS
        .iter()
        .map(|(sdk, words)| (project.root.join(sdk), words.to_vec()))
        .collect();
    for example in examples(project) {
        if example.kind != Kind::Bad {
            let commands = test_commands(example.language).into_iter();
            runs.extend(commands.map(|words| (example.dir.clone(), words)));
        }
    }
    let mut counts = Counts::default();
    for (dir, words) in runs {
        let mut command = project.command(words[0]);
        command.args(&words[1..]).current_dir(&dir);
        tools.apply(&mut command);
        command.env("CARGO_TARGET_DIR", folder(project).join("rust-tests"));
        // The SDKs are tested where they lie, and nothing may be left there.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        match run::succeed(&mut command) {
            Ok(()) => counts.passed += 1,
            Err(error) => {
                println!("{}: {error:#}", dir.display());
                counts.failed += 1;
            }
        }
    }
    Ok(Outcome::Tests(counts))
}

/// The tests of the SDKs themselves; that for Rust is a member of the workspace, and the one for C is
/// tested by its examples.
const SDK_TESTS: [(&str, &[&str]); 3] = [
    (
        "sdk/python",
        &["python3", "-m", "unittest", "discover", "-s", "tests"],
    ),
    (
        "sdk/javascript",
        &[
            "node",
            "--test",
            "--test-reporter=dot",
            "tests/arithmetic.test.js",
        ],
    ),
    ("sdk/go", &["go", "test", "."]),
];

fn test_commands(language: &str) -> Vec<Vec<&'static str>> {
    match language {
        "rust" => vec![vec!["cargo", "test", "--quiet"]],
        "go" => vec![vec!["go", "vet", "./..."], vec!["go", "test", "./..."]],
        "typescript" => vec![
            vec!["tsc", "-p", "tsconfig.test.json"],
            vec!["node", "--test", "--test-reporter=dot"],
        ],
        "javascript" => vec![vec!["node", "--test", "--test-reporter=dot"]],
        _ => vec![vec!["make", "--silent", "test"]],
    }
}

/// A digest of all files of a folder and of their names.
fn digest(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for path in &files {
        let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        let name = path.strip_prefix(folder).unwrap_or(path);
        hash.update(format!("{} {}\n", name.display(), bytes.len()));
        hash.update(bytes);
    }
    let hex = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(hex)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    for entry in entries {
        let path = entry.context("failed to list a folder")?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("failed to remove {}: {error}", folder.display())
        }
        _ => Ok(()),
    }
}
