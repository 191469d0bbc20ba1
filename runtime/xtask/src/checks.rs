//! What `cargo xtask test` checks, in order: what is cheap and says much comes first.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::project::Project;
use crate::report::{Outcome, Report, Skipping};
use crate::{bindings, fuzz, generated, languages, mutants, plugins, run, swarm, tools};

/// Crates that are also checked alone, so that features which another crate switches on hide
/// nothing in them.
const CHECKED_ALONE: &[&str] = &["wavegate-model", "wavegate-engine", "wavegate-ports"];

/// How long each target searches in the slow tier. It starts from what was kept, so that even a
/// short search goes on where the last one ended.
const FUZZ_MINUTES: u32 = 2;

/// Which tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Those of every change.
    Usual,
    /// Also those that take minutes each.
    Slow,
}

impl Tier {
    /// Random worlds per property. The usual ones take about ten seconds together, so that every
    /// change meets them; the slow ones some minutes.
    fn cases(self) -> &'static str {
        match self {
            Self::Usual => "500",
            Self::Slow => "10000",
        }
    }
}

/// Runs every check, also after one failed, and says how many passed.
pub(crate) fn all(project: &Project, tier: Tier) -> ExitCode {
    let skipping = match env::var("CI").as_deref() {
        Ok("true" | "1") => Skipping::Forbidden,
        _ => Skipping::Allowed,
    };
    let mut report = Report::new(skipping);
    report.step("tools", || {
        tools::ensure(project)?;
        Ok(Outcome::Passed)
    });
    report.step("formatting", || formatting(project));
    report.step("generated files", || {
        generated::check(project)?;
        Ok(Outcome::Passed)
    });
    report.step("licences, duplicates, sources", || licences(project));
    report.step("plugins: digests and rebuild", rebuilt_plugins);
    report.step("crates checked alone", || checked_alone(project));
    report.step("clippy", || {
        run::check(&mut clippy(project.cargo("clippy")))
    });
    report.step("plugins: clippy", || {
        run::check(&mut clippy(project.plugins_cargo("clippy")))
    });
    report.step("build", || build(project));
    report.step("languages: build", || languages::build(project));
    report.step("languages: unit tests", || languages::unit_tests(project));
    report.step("tests", || {
        run::tests(&mut tests(project, project.cargo("test"), tier))
    });
    report.step("plugins: tests", || {
        run::tests(&mut tests(project, project.plugins_cargo("test"), tier))
    });
    report.step("documentation", || documentation(project));
    if tier == Tier::Slow {
        report.step("mutants", || mutants::run(project, &[]));
        report.step("fuzzing", || {
            fuzz::search(project, &[], FUZZ_MINUTES, fuzz::Keep::Aside)
        });
        report.step("statistics against scipy", || statistics(project));
        report.step("bindings of C and Go", || {
            bindings::all(project, bindings::Mode::Check)
        });
    } else {
        println!("\nthe slow tier is not part of this run: `cargo xtask test --slow`");
    }
    report.finish()
}

/// Takes guards out and counts those whose absence was noticed.
pub(crate) fn mutants(project: &Project, names: &[String]) -> ExitCode {
    let mut report = Report::new(Skipping::Forbidden);
    report.step("mutants", || mutants::run(project, names));
    report.finish()
}

/// Brings known bugs back and counts those that the swarm finds.
pub(crate) fn planted(project: &Project, names: &[String]) -> ExitCode {
    let mut report = Report::new(Skipping::Forbidden);
    report.step("planted bugs", || swarm::planted(project, names));
    report.finish()
}

/// Searches with fuzzers and counts those that found nothing.
pub(crate) fn fuzz(
    project: &Project,
    targets: &[String],
    minutes: u32,
    keep: fuzz::Keep,
) -> ExitCode {
    let mut report = Report::new(Skipping::Forbidden);
    report.step("fuzzing", || fuzz::search(project, targets, minutes, keep));
    report.finish()
}

/// Runs the tests once with leave to rewrite what they compare with.
pub(crate) fn bless(project: &Project) -> Result<()> {
    let mut command = tests(project, project.cargo("test"), Tier::Usual);
    command
        .env("INSTA_UPDATE", "always")
        .env("WAVEGATE_BLESS", "1");
    run::tests(&mut command).map(drop)
}

fn formatting(project: &Project) -> Result<Outcome> {
    for manifest in workspaces(project)? {
        run::succeed(
            project
                .cargo("fmt")
                .args(["--all", "--check", "--manifest-path"])
                .arg(manifest),
        )
        .context("hint: `cargo fmt --all`")?;
    }
    Ok(Outcome::Passed)
}

/// The manifests of all workspaces: the top one and those that it excludes.
fn workspaces(project: &Project) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![project.root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder)
            .with_context(|| format!("failed to list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.context("failed to list a folder")?;
            let path = entry.path();
            let name = entry.file_name();
            let is_hidden = name.to_string_lossy().starts_with('.');
            let is_built = name == "target" || path == project.target;
            if path.is_dir() && !path.is_symlink() && !is_hidden && !is_built {
                folders.push(path);
            } else if name == "Cargo.toml" {
                let manifest = fs::read_to_string(&path)
                    .with_context(|| format!("failed to read {}", path.display()))?;
                if manifest.lines().any(|line| line.trim() == "[workspace]") {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

fn licences(project: &Project) -> Result<Outcome> {
    let cargo_deny = tools::cargo_deny(project)?;
    // One list for both workspaces. The top one uses all of it, so what it does not use is
    // to be removed; the plugins use a part.
    let exact = ["-D", "unmatched-skip", "-D", "unnecessary-skip"];
    let part = ["-A", "unmatched-skip", "-A", "unnecessary-skip"];
    let part = part.iter().chain(&["-A", "license-not-encountered"]);
    let top = project.root.join("Cargo.toml");
    deny(project, &cargo_deny, &top, exact.iter())?;
    deny(project, &cargo_deny, &project.plugins_manifest(), part)?;
    Ok(Outcome::Passed)
}

fn deny<'a>(
    project: &Project,
    cargo_deny: &Path,
    manifest: &Path,
    strictness: impl Iterator<Item = &'a &'a str>,
) -> Result<()> {
    run::succeed(
        project
            .command(cargo_deny)
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--config")
            .arg(project.root.join("deny.toml"))
            .args(["check", "--hide-inclusion-graph"])
            .args(strictness)
            .args(["bans", "licenses", "sources"]),
    )
}

fn rebuilt_plugins() -> Result<Outcome> {
    let report = plugins::build_all(plugins::Mode::Check)?;
    println!("{report}");
    Ok(match report {
        plugins::Report::NotRebuilt(why) => Outcome::Skipped(why),
        plugins::Report::Written(_)
        | plugins::Report::Same
        | plugins::Report::OtherToolchain { .. } => Outcome::Passed,
    })
}

fn checked_alone(project: &Project) -> Result<Outcome> {
    for name in CHECKED_ALONE {
        run::succeed(
            project
                .cargo("check")
                .args(["--release", "--package", name]),
        )?;
    }
    Ok(Outcome::Passed)
}

/// Builds programs and tests in one go: without the tests, cargo would select fewer features,
/// and build the dependencies once more for the tests.
pub(crate) fn build(project: &Project) -> Result<Outcome> {
    run::check(
        project
            .cargo("build")
            .args(["--release", "--workspace", "--bins", "--tests"]),
    )
}

fn clippy(mut command: Command) -> Command {
    command.args(["--release", "--workspace", "--all-targets"]);
    command.args(["--", "-D", "warnings"]);
    command
}

fn tests(project: &Project, mut command: Command, tier: Tier) -> Command {
    command
        .args(["--release", "--workspace", "--no-fail-fast"])
        // The end-to-end tests live in another package than the binary that they run.
        .env("WAVEGATE_BIN", binary(project))
        .env("WAVEGATE_LANGUAGES", languages::folder(project))
        // A snapshot that differs is a failure, never a new file beside the old one.
        .env("INSTA_UPDATE", "no");
    command.env("WAVEGATE_CASES", tier.cases());
    if tier == Tier::Slow {
        command.env("WAVEGATE_SLOW_TESTS", "1");
    }
    command
}

/// The program that end-to-end tests and whole-process figures run.
pub(crate) fn binary(project: &Project) -> PathBuf {
    project.target.join("release/wavegate")
}

/// Whether what the tests of the gate `compare` compare with is what scipy says.
fn statistics(project: &Project) -> Result<Outcome> {
    let packages = tools::reference_statistics(project)?;
    let script = "plugins/compare/reference/reference.py";
    let mut python = project.command("python3");
    python
        .arg(project.root.join(script))
        .arg("--check")
        .env("PYTHONPATH", packages);
    run::check(&mut python)
}

fn documentation(project: &Project) -> Result<Outcome> {
    run::check(
        project
            .cargo("doc")
            .args(["--release", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}
