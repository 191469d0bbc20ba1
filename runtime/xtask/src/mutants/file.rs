//! What a mutant is, as its file says.
//!
//! ```text
//! invariant: 6
//! tests: wavegate-engine --test it -- properties::nothing_breaks_an_invariant
//! says: Unavailability
//! file: runtime/engine/src/batch.rs
//! <<<<
//! the guard
//! ====
//! what stands there without it
//! >>>>
//! ```
//! In the place of `invariant` a file may name the `bug` that it brings back: a test of
//! `runtime/docs/lessons.md`. `says` may come several times: one of them has to be in the output. `file` and the two texts
//! may come several times too. Lines that begin with `#` are for people.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// A guard that is taken out.
#[derive(Debug, PartialEq)]
pub(crate) struct Mutant {
    pub(crate) name: String,
    pub(crate) guards: Guards,
    pub(crate) tests: Tests,
    pub(crate) says: Vec<String>,
    pub(crate) changes: Vec<Change>,
}

/// What the guard is there for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Guards {
    /// An invariant of ARCHITECTURE.md, by its number.
    Invariant(u32),
    /// Something that went wrong elsewhere, by the name of its test.
    Bug(String),
}

impl fmt::Display for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invariant(number) => write!(f, "{number}"),
            Self::Bug(_) => f.write_str("bug"),
        }
    }
}

/// Tests that have to fail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tests {
    pub(crate) package: String,
    /// Arguments for cargo that select what is built.
    pub(crate) target: Vec<String>,
    /// Arguments for the tests' program.
    pub(crate) filters: Vec<String>,
}

/// A text of a file, and what takes its place.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) file: String,
    guard: String,
    without: String,
}

impl Change {
    /// The text of the file without the guard.
    ///
    /// # Errors
    /// If the guard is not there exactly once: a mutant that no longer fits is to be looked at.
    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        match text.matches(&self.guard).count() {
            1 => Ok(text.replacen(&self.guard, &self.without, 1)),
            0 => bail!("its text is not in {} any more", self.file),
            count => bail!("its text is {count} times in {}", self.file),
        }
    }
}

impl fmt::Display for Tests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} -- {}",
            self.package,
            self.target.join(" "),
            self.filters.join(" ")
        )
    }
}

/// All mutants of a folder, by name.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Mutant>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    let mut mutants = Vec::new();
    for entry in entries {
        let path = entry.context("failed to list a folder")?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let text = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let name = name.trim_end_matches(".txt");
        mutants.push(parse(name, &text).with_context(|| format!("failed to read mutant {name}"))?);
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

fn parse(name: &str, text: &str) -> Result<Mutant> {
    let (mut guards, mut tests, mut file) = (None, None, None);
    let (mut says, mut changes) = (Vec::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "<<<<" {
            let guard = block(&mut lines, "====")?;
            let without = block(&mut lines, ">>>>")?;
            let Some(file) = file.clone() else {
                bail!("a text comes before its file");
            };
            changes.push(Change {
                file,
                guard,
                without,
            });
            continue;
        }
        match line.split_once(": ") {
            Some(("invariant", number)) => guards = Some(Guards::Invariant(number.parse()?)),
            Some(("bug", test)) => guards = Some(Guards::Bug(test.to_owned())),
            Some(("tests", words)) => tests = Some(parse_tests(words)?),
            Some(("says", word)) => says.push(word.to_owned()),
            Some(("file", path)) => file = Some(path.to_owned()),
            _ => bail!("what is `{line}`?"),
        }
    }
    if says.is_empty() || changes.is_empty() {
        bail!("it needs `says` and a text to change");
    }
    Ok(Mutant {
        name: name.to_owned(),
        guards: guards.context("it names neither an invariant nor a bug")?,
        tests: tests.context("it names no tests")?,
        says,
        changes,
    })
}

/// Lines up to the one that ends the block.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>, end: &str) -> Result<String> {
    let mut found = Vec::new();
    for line in lines {
        if line == end {
            return Ok(found.join("\n"));
        }
        found.push(line);
    }
    bail!("a text is not ended by {end}")
}

fn parse_tests(words: &str) -> Result<Tests> {
    let (cargo, filters) = words
        .split_once(" -- ")
        .context("tests have no filter after --")?;
    let mut cargo = cargo.split_whitespace().map(str::to_owned);
    Ok(Tests {
        package: cargo.next().context("tests name no package")?,
        target: cargo.collect(),
        filters: filters.split_whitespace().map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# why\ninvariant: 6\ntests: some-crate --lib -- batch\nsays: Surge\n\
                        file: src/a.rs\n<<<<\nif limit {\n====\nif false {\n>>>>\n";

    #[test]
    fn a_mutant_is_read_and_fits_once() {
        let mutant = parse("m", TEXT).expect("well formed");
        assert_eq!(
            (mutant.guards, mutant.says.as_slice()),
            (Guards::Invariant(6), ["Surge".to_owned()].as_slice())
        );
        assert_eq!(mutant.tests.to_string(), "some-crate --lib -- batch");
        let change = &mutant.changes[0];
        assert_eq!(
            change.apply("x\nif limit {\ny").expect("it fits"),
            "x\nif false {\ny"
        );
        assert!(change.apply("nothing").is_err(), "it does not fit any more");
        assert!(
            change.apply("if limit {\nif limit {").is_err(),
            "it fits twice"
        );
    }

    /// Whoever changes a guard changes its mutant in the same commit.
    #[test]
    fn every_mutant_fits_the_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut mutants = read_all(&root.join("tests/mutants")).expect("all are well formed");
        let planted = read_all(&root.join("tests/swarm/planted"));
        mutants.extend(planted.expect("all are well formed"));
        assert!(!mutants.is_empty());
        for mutant in mutants {
            let mut texts = std::collections::BTreeMap::new();
            for change in &mutant.changes {
                let path = root.join(&change.file);
                let text = texts.entry(path.clone()).or_insert_with(|| {
                    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", mutant.name))
                });
                *text = change
                    .apply(text)
                    .unwrap_or_else(|e| panic!("{}: {e}", mutant.name));
            }
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        for part in [
            "invariant: 6\n",
            "tests: some-crate --lib -- batch\n",
            "says: Surge\n",
            ">>>>\n",
        ] {
            assert!(
                parse("m", &TEXT.replace(part, "")).is_err(),
                "without {part}"
            );
        }
    }
}
