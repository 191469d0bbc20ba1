//! Runs the benchmarks and collects their figures.
//!
//! A benchmark is a `[[bench]]` target with `harness = false`. It interleaves what it compares,
//! takes medians itself, and prints one line for each figure:
//! `figure: {"name": "fresh instance", "median": 3.1, "unit": "µs", "rounds": 5, "target": "at most 10"}`.
//! `target` may be left out. All other lines are for people.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::TargetKind;
use serde::Deserialize;

use crate::project::Project;
use crate::{checks, languages, run, tools};

/// Around the part of the document that this command writes.
const TABLE_BEGIN: &str = "<!-- figures: begin -->\n";
const TABLE_END: &str = "<!-- figures: end -->\n";
const HEAD: &str = "| benchmark | figure | median | target | rounds |\n|---|---|--:|---|--:|\n";

/// What a document looks like that has no figures yet.
const EMPTY_DOCUMENT: &str = "# Benchmarks\n\n\
    Written by `cargo xtask bench --write [NAME…]`: medians of interleaved rounds.\n\n\
    <!-- figures: begin -->\n<!-- figures: end -->\n";

/// Where the table goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Terminal,
    /// The terminal, and the document.
    Document,
}

/// One figure, as a benchmark prints it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Figure {
    name: String,
    median: f64,
    unit: String,
    rounds: u32,
    #[serde(default)]
    target: String,
}

struct Measured {
    bench: String,
    figure: Figure,
}

/// Runs the named benchmarks, one after another so that they do not disturb each other.
pub(crate) fn measure(project: &Project, names: &[String], output: Output) -> Result<()> {
    let mut measured = Vec::new();
    // Figures of whole processes come from the built binary.
    checks::build(project)?;
    let selected = selected(project, names)?;
    if selected.iter().any(|(_, bench)| bench == "languages") {
        languages::build(project)?;
    }
    for (_, bench) in selected {
        let mut command = project.cargo("bench");
        // The whole workspace and the one profile: another selection would have other features,
        // and would build Cranelift again.
        command
            .args(["--workspace", "--profile", "release", "--bench", &bench])
            .env("WAVEGATE_BIN", checks::binary(project))
            .env_remove("WAVEGATE_LANGUAGES");
        if bench == "languages" {
            command.env("WAVEGATE_LANGUAGES", languages::folder(project));
        }
        let mut broken = None;
        let status = run::lines(&mut command, |line| match parse(line) {
            Some(Ok(figure)) => measured.push(Measured {
                bench: bench.clone(),
                figure,
            }),
            Some(Err(error)) => broken = Some(error),
            None => {}
        })?;
        if let Some(error) = broken {
            return Err(error).with_context(|| format!("failed to read a figure of {bench}"));
        }
        if !status.success() {
            bail!("benchmark {bench} ended with {status}");
        }
    }
    let rows = rows(&measured);
    println!("\n{HEAD}{}", rows.concat());
    if output == Output::Document {
        let path = project.root.join("runtime/docs/benchmarks.md");
        write(&path, |old| merged(old, &rows))?;
    }
    Ok(())
}

/// Heads of the tables in the page about the SDKs, and the benchmarks whose rows go below them.
const SDK_TABLES: [(&str, &str); 2] = [
    (
        "sdk",
        "What the worked strategy costs, written by `cargo xtask sdk-table`: calls are medians, each in a fresh instance, for a view of four clusters.\n\n\
         | language | component | imports | first load, compiled | load from the cache | call | fuel of a call | memory |\n\
         |---|--:|---|--:|--:|--:|--:|--:|\n",
    ),
    (
        "newcomer",
        "\nHow long a newcomer takes with the tools of the language installed: a gate from its template, built from nothing, tested, and its first verdict in a rollout over a fleet that is started for it.\n\n\
         | language | `plugin new` | `plugin build` | `plugin test` | up to the first verdict | together |\n\
         |---|--:|--:|--:|--:|--:|\n",
    ),
];

/// What a plugin costs by language, and its author, as tables in the page about the SDKs.
pub(crate) fn languages(project: &Project) -> Result<()> {
    let tools = tools::guest_languages(project)?;
    let mut tables = String::new();
    for (bench, head) in SDK_TABLES {
        tables.push_str(head);
        let mut command = project.cargo("bench");
        tools.apply(&mut command);
        command
            .args(["--workspace", "--profile", "release", "--bench", bench])
            .env("WAVEGATE_LANGUAGES", languages::folder(project))
            .env("WAVEGATE_BIN", checks::binary(project));
        let status = run::lines(&mut command, |line| {
            if let Some(row) = line.strip_prefix("row: ") {
                tables.push_str(row);
                tables.push('\n');
            }
        })?;
        if !status.success() {
            bail!("benchmark {bench} ended with {status}");
        }
    }
    write(&project.root.join("sdk/README.md"), |_| tables)
}

/// Packages and names of the benchmark targets to run.
fn selected(project: &Project, names: &[String]) -> Result<Vec<(String, String)>> {
    let metadata = project.metadata()?;
    let mut found = Vec::new();
    for package in metadata.workspace_packages() {
        for target in &package.targets {
            let is_wanted = names.is_empty() || names.contains(&target.name);
            if target.kind.contains(&TargetKind::Bench) && is_wanted {
                found.push((package.name.to_string(), target.name.clone()));
            }
        }
    }
    for name in names {
        if !found.iter().any(|(_, bench)| bench == name) {
            bail!("no benchmark is called {name}");
        }
    }
    if found.is_empty() {
        bail!("the workspace has no benchmark");
    }
    Ok(found)
}

fn parse(line: &str) -> Option<Result<Figure, serde_json::Error>> {
    line.strip_prefix("figure: ").map(serde_json::from_str)
}

fn rows(measured: &[Measured]) -> Vec<String> {
    let row = |Measured { bench, figure }: &Measured| {
        format!(
            "| {bench} | {} | {:.3} {} | {} | {} |\n",
            figure.name, figure.median, figure.unit, figure.target, figure.rounds
        )
    };
    measured.iter().map(row).collect()
}

/// Makes the table of a document anew from what it is.
fn write(path: &Path, table: impl FnOnce(&str) -> String) -> Result<()> {
    let document = fs::read_to_string(path).unwrap_or_else(|_| EMPTY_DOCUMENT.to_owned());
    let document = replaced(&document, table)
        .with_context(|| format!("failed to find the place for figures in {}", path.display()))?;
    fs::write(path, document).with_context(|| format!("failed to write {}", path.display()))
}

fn replaced(document: &str, table: impl FnOnce(&str) -> String) -> Option<String> {
    let (before, rest) = document.split_once(TABLE_BEGIN)?;
    let (old, after) = rest.split_once(TABLE_END)?;
    let table = table(old);
    Some(format!("{before}{TABLE_BEGIN}{table}{TABLE_END}{after}"))
}

/// The table with these rows. Those of benchmarks that did not run stay: figures are compared
/// within a benchmark, never between two.
fn merged(old: &str, rows: &[String]) -> String {
    let bench_of = |row: &str| row.split('|').nth(1).map(|cell| cell.trim().to_owned());
    let ran: BTreeSet<_> = rows.iter().map(|row| bench_of(row)).collect();
    let new_of = |bench: &Option<String>| -> String {
        let mine = rows.iter().filter(|row| bench_of(row) == *bench);
        mine.map(String::as_str).collect()
    };
    let mut table = HEAD.to_owned();
    let mut placed = BTreeSet::new();
    for row in old.lines().skip(HEAD.lines().count()) {
        let bench = bench_of(row);
        if !ran.contains(&bench) {
            table.push_str(row);
            table.push('\n');
        } else if placed.insert(bench.clone()) {
            table.push_str(&new_of(&bench));
        }
    }
    for bench in ran {
        if !placed.contains(&bench) {
            table.push_str(&new_of(&bench));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_and_put_into_the_document() {
        let line = r#"figure: {"name": "fresh", "median": 3.25, "unit": "µs", "rounds": 5}"#;
        let figure = parse(line).expect("a figure").expect("well formed");
        let of = |bench: &str, median| Measured {
            bench: bench.to_owned(),
            figure: Figure {
                median,
                ..figure.clone()
            },
        };
        let first = rows(&[of("calls", 3.25), of("steps", 1.0)]);
        let document = replaced(EMPTY_DOCUMENT, |old| merged(old, &first)).expect("a place for it");
        assert!(document.contains("| calls | fresh | 3.250 µs |  | 5 |\n| steps |"));
        assert_eq!(
            replaced(&document, |old| merged(old, &first)).as_ref(),
            Some(&document)
        );
        // Another run of one of them leaves the other as it is.
        let second = replaced(&document, |old| merged(old, &rows(&[of("calls", 4.0)])))
            .expect("a place for it");
        assert_eq!(second, document.replace("3.250", "4.000"));
    }

    #[test]
    fn a_broken_figure_is_an_error_and_other_lines_are_not() {
        assert!(parse("figure: {}").is_some_and(|figure| figure.is_err()));
        assert!(parse("fresh: 3 µs").is_none());
    }
}
