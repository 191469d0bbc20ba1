//! Looks for inputs that are handled badly, guided by the code that they reach.
//!
//! The programs are those of `tests/fuzz`, built with the fuzzer and with counters in every branch,
//! in a folder of their own. What a target checks is written there; here is where it starts
//! from, how long it looks, and what becomes of what it finds.

pub(crate) mod counters;
mod dictionary;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::project::Project;
use crate::report::{Counts, Outcome};
use crate::{run, tools};

/// Something that reads what others wrote.
struct Target {
    /// The name of its program and of its folders under `tests/fuzz`.
    name: &'static str,
    crates: Crates,
    /// Folders with inputs to start from, beside those that were kept.
    seeds: &'static [&'static str],
    /// Folders whose files are one input together, with a line between them.
    joined: &'static [(&'static str, &'static str)],
    /// A committed JSON Schema: its words come into inputs as they are.
    words: Option<&'static str>,
    /// Longer inputs are not tried: they are slow, and short ones reach the same code.
    bytes_max: u32,
}

/// Where a target is, and with that which code is watched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Crates {
    /// `wavegate-fuzz`: few dependencies, all of them watched.
    Few,
    /// `wavegate-fuzz-host`: it needs the Wasm engine. Only crates of ours are watched, so that the
    /// others are those of any build, and an input is run at their usual speed.
    Host,
}

const TARGETS: &[Target] = &[
    Target {
        name: "documents",
        crates: Crates::Few,
        seeds: &[
            "tests/documents/good",
            "tests/documents/warn",
            "tests/documents/bad",
        ],
        joined: &[("runtime/cli/quickstart", "---\n")],
        words: Some("runtime/documents/schemas/any.json"),
        bytes_max: 16 << 10,
    },
    Target {
        name: "components",
        crates: Crates::Host,
        seeds: &["plugins/components", "tests/guests/old"],
        joined: &[],
        words: None,
        bytes_max: 256 << 10,
    },
    Target {
        name: "answers",
        crates: Crates::Host,
        seeds: &[],
        joined: &[],
        words: None,
        bytes_max: 4 << 10,
    },
    Target {
        name: "journal",
        crates: Crates::Host,
        seeds: &[],
        joined: &[],
        words: None,
        bytes_max: 64 << 10,
    },
];

/// Seconds and mebibytes after which an input is a find whatever it does. The checks of a target
/// have narrower bounds, and words for them.
const INPUT_SECONDS_MAX: u32 = 20;
const MEMORY_MIB_MAX: u32 = 2048;
/// Seconds for making a find smaller before it is kept.
const SMALLER_SECONDS: u32 = 60;
/// Inputs of a target that are kept: replaying them is part of every run of the tests.
const KEPT_MAX: usize = 600;

/// Bytes of an input that is kept. What only a larger one reaches, the seeds reach: they have whole
/// components of hundreds of kilobytes.
const KEPT_BYTES_MAX: u64 = 100 << 10;

/// What becomes of inputs that reach new code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// They stay in the folder of builds, and the next run starts from them.
    Aside,
    /// The fewest that reach everything become the committed corpus.
    Committed,
}

/// Searches with each of the named targets, all of them when none is named.
pub(crate) fn search(
    project: &Project,
    names: &[String],
    minutes: u32,
    keep: Keep,
) -> Result<Outcome> {
    if let Some(name) = names
        .iter()
        .find(|name| TARGETS.iter().all(|it| it.name != **name))
    {
        let known: Vec<&str> = TARGETS.iter().map(|it| it.name).collect();
        bail!("no target is called {name} (hint: {})", known.join(", "));
    }
    tools::fuzzer_compiler(project)?;
    let wanted = |target: &&Target| names.is_empty() || names.iter().any(|it| it == target.name);
    let mut counts = Counts::default();
    for target in TARGETS.iter().filter(wanted) {
        let bench = Bench::set_up(project, target)?;
        match bench.search(minutes)? {
            Some(find) => {
                println!("{}: found {}", target.name, find.display());
                println!("    it fails now in: cargo xtask test");
                counts.failed += 1;
            }
            None => counts.passed += 1,
        }
        if keep == Keep::Committed {
            bench.keep()?;
        }
    }
    Ok(Outcome::Tests(counts))
}

/// A built target and its folders.
struct Bench<'a> {
    project: &'a Project,
    target: &'a Target,
    program: PathBuf,
    /// Inputs that reached something new, over all runs.
    grown: PathBuf,
    /// Inputs to start from that no folder of the project has as they are.
    seeds: PathBuf,
    /// What the fuzzer writes when something is wrong.
    found: PathBuf,
    words: Option<PathBuf>,
}

impl<'a> Bench<'a> {
    fn set_up(project: &'a Project, target: &'a Target) -> Result<Self> {
        let home = project.target.join("fuzz").join(target.name);
        let bench = Self {
            project,
            target,
            program: build(project, target)?,
            grown: home.join("grown"),
            seeds: home.join("seeds"),
            found: home.join("found"),
            words: target.words.map(|_| home.join("words")),
        };
        for folder in [&bench.grown, &bench.seeds, &bench.found] {
            fs::create_dir_all(folder).context("failed to make a folder for inputs")?;
        }
        for (number, (folder, between)) in target.joined.iter().enumerate() {
            let joined = joined(&project.root.join(folder), between)?;
            fs::write(bench.seeds.join(format!("joined-{number}")), joined)?;
        }
        if let (Some(schema), Some(words)) = (target.words, &bench.words) {
            let schema = fs::read_to_string(project.root.join(schema))
                .with_context(|| format!("failed to read {schema}"))?;
            fs::write(words, dictionary::of_schema(&schema)?)?;
        }
        Ok(bench)
    }

    /// Where committed inputs of the target are.
    fn committed(&self, kind: &str) -> PathBuf {
        let fuzz = self.project.root.join("tests/fuzz");
        fuzz.join(kind).join(self.target.name)
    }

    fn command(&self) -> Command {
        let mut command = self.project.command(&self.program);
        command
            .arg(format!("-max_len={}", self.target.bytes_max))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            // Each input is a file for a moment: not one of a disk, where there is another place.
            .env("TMPDIR", memory_or_temporary())
            // Where it was is worth less than the input, and finding it out takes more memory than
            // an input may.
            .env("RUST_BACKTRACE", "0")
            // Those that are made rather than found, a program writes at its start.
            .env("WAVEGATE_FUZZ_SEEDS", &self.seeds);
        command
    }

    /// Searches, and gives the find that was kept.
    fn search(&self, minutes: u32) -> Result<Option<PathBuf>> {
        let mut command = self.command();
        command
            .arg(format!("-max_total_time={}", u64::from(minutes) * 60))
            .arg(format!("-artifact_prefix={}/", self.found.display()))
            .args(["-print_final_stats=1", "-verbosity=1", "-close_fd_mask=0"]);
        if let Some(words) = &self.words {
            command.arg(format!("-dict={}", words.display()));
        }
        command.arg(&self.grown).arg(&self.seeds);
        // Nothing may have been found or kept, and then there is no folder.
        let committed = ["corpus", "found"].map(|kind| self.committed(kind));
        command.args(committed.iter().filter(|folder| folder.is_dir()));
        command.args(
            self.target
                .seeds
                .iter()
                .map(|it| self.project.root.join(it)),
        );
        let started = Instant::now();
        let status = run::lines(&mut command, |_| {})?;
        println!("{}: {} s", self.target.name, started.elapsed().as_secs());
        if status.success() {
            return Ok(None);
        }
        let Some(find) = newest(&self.found)? else {
            bail!("the fuzzer ended with {status} and left no input");
        };
        self.made_smaller(&find).map(Some)
    }

    /// Puts a find beside the earlier ones, as small as can be made in a minute.
    fn made_smaller(&self, find: &Path) -> Result<PathBuf> {
        let name = find.file_name().context("a find without a name")?;
        let folder = self.committed("found");
        fs::create_dir_all(&folder)?;
        let kept = folder.join(name);
        fs::copy(find, &kept)?;
        let mut command = self.command();
        command
            .arg("-minimize_crash=1")
            .arg(format!("-max_total_time={SMALLER_SECONDS}"))
            .arg(format!("-exact_artifact_path={}", kept.display()))
            .arg(find);
        // It ends as the find does; what it wrote by then is what counts.
        let _ = run::lines(&mut command, |_| {});
        fs::remove_file(find)?;
        Ok(kept)
    }

    /// Replaces the committed corpus by the fewest inputs that reach what all of them reach.
    fn keep(&self) -> Result<()> {
        let fewest = self.found.with_file_name("fewest");
        let _ = fs::remove_dir_all(&fewest);
        fs::create_dir_all(&fewest)?;
        let committed = self.committed("corpus");
        let mut command = self.command();
        // How often a line runs is for the search; that it runs is what is kept.
        command.args(["-set_cover_merge=1", "-use_counters=0", "-verbosity=0"]);
        command
            .arg(&fewest)
            .arg(&committed)
            .arg(&self.grown)
            .arg(&self.seeds);
        command.args(
            self.target
                .seeds
                .iter()
                .map(|it| self.project.root.join(it)),
        );
        run::succeed(&mut command)?;
        let mut fewest = fs::read_dir(&fewest)?
            .map(|entry| {
                let entry = entry?;
                Ok((entry.metadata()?.len(), entry.path()))
            })
            .collect::<Result<Vec<_>>>()?;
        fewest.sort();
        let all = fewest.len();
        fewest.retain(|(bytes, _)| *bytes <= KEPT_BYTES_MAX);
        fewest.truncate(KEPT_MAX);
        let _ = fs::remove_dir_all(&committed);
        fs::create_dir_all(&committed)?;
        for (_, path) in &fewest {
            let name = path.file_name().context("an input without a name")?;
            fs::copy(path, committed.join(name))?;
        }
        println!(
            "{}: {} of the {all} inputs that reach everything are kept, the smallest",
            self.target.name,
            fewest.len()
        );
        Ok(())
    }
}

/// Builds the program of a target.
fn build(project: &Project, target: &Target) -> Result<PathBuf> {
    match target.crates {
        Crates::Few => build_alone(project, target),
        Crates::Host => build_among_others(project, target),
    }
}

/// With counters everywhere, in a folder of its own. Naming the system that it runs on keeps them
/// out of build scripts and macros.
fn build_alone(project: &Project, target: &Target) -> Result<PathBuf> {
    let rustc = run::output(project.command("rustc").arg("-vV"))?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("failed to find out what system this is")?;
    let folder = project.target.join("fuzz/build");
    run::succeed(
        project
            .cargo("build")
            .args(["--release", "--package", "wavegate-fuzz"])
            .args(["--bin", target.name, "--features", "search"])
            .args(["--target", host])
            .env("CARGO_TARGET_DIR", &folder)
            .env("CARGO_INCREMENTAL", "0")
            .env("RUSTFLAGS", counters::FLAGS.join(" ")),
    )?;
    Ok(folder.join(host).join("release").join(target.name))
}

/// With counters in crates of ours, and with the others as any build has them. A test is built
/// along, because the features of dependencies are otherwise others.
fn build_among_others(project: &Project, target: &Target) -> Result<PathBuf> {
    let mut cargo = project.cargo("build");
    cargo
        .args(["--release", "--workspace", "--bin", target.name])
        .args(["--test", "kept", "--features", "wavegate-fuzz-host/search"])
        .env("CARGO_INCREMENTAL", "0");
    counters::install(&mut cargo)?;
    run::succeed(&mut cargo)?;
    Ok(project.target.join("release").join(target.name))
}

/// The files of a folder as one input.
fn joined(folder: &Path, between: &str) -> Result<String> {
    let mut paths = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?
    {
        paths.push(entry?.path());
    }
    paths.sort();
    let texts: std::io::Result<Vec<String>> = paths.iter().map(fs::read_to_string).collect();
    Ok(texts?.join(between))
}

fn newest(folder: &Path) -> Result<Option<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        found.push((entry.metadata()?.modified()?, entry.path()));
    }
    Ok(found.into_iter().max().map(|(_, path)| path))
}

fn memory_or_temporary() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    }
}
