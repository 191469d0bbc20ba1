//! Documents that nobody means well with.
//!
//! Whatever a file holds, it is refused with places that are in it, or it means one thing: a plan
//! in which every cluster is once, and rules that survive being written into a journal.

use crate::bounds::Bounds;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use wavegate_documents::{
    Colour, Configuration, Diagnostic, Diagnostics, Documents, Location, ResolvedRollout, Severity,
    windows,
};
use wavegate_model::Timestamp;
use wavegate_model::plugin::Problem;

/// A file of 64 KiB costs a tenth of this when all of it is kept as trees, problems and places.
/// Ten seconds are thousands of times what the slowest one takes.
const BOUNDS: Bounds = Bounds {
    bytes: 64 << 20,
    time: Duration::from_secs(10),
};
/// What a load keeps of problems, and more than one of them may take on a screen.
const PROBLEMS_MAX: usize = 200;
const RENDERED_BYTES_MAX: usize = 16 << 10;
const MESSAGE_CHARS_MAX: usize = 4_000;

/// In the middle of October 2026, before a change of time in Europe and in America.
const NOW: Timestamp = Timestamp(1_792_000_000_000);

/// Reads the bytes as `validate`, `plan` and `swap` read a file.
///
/// # Panics
/// If the answer is not one that a user can act on.
pub fn check(data: &[u8]) {
    let path = written(data);
    BOUNDS.hold(|| {
        let text = Text::of(data);
        match Documents::load(&[path]) {
            Err(problems) => {
                assert!(problems.has_errors(), "it is refused without an error");
                told(&text, &problems);
            }
            Ok(documents) => understood(&text, &documents),
        }
        configuration(data);
    });
}

/// Puts the bytes into a file that every call of this thread uses again.
fn written(data: &[u8]) -> PathBuf {
    thread_local! {
        static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
    }
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("a folder can be made"));
        let path = folder.path().join("input.yaml");
        std::fs::write(&path, data).expect("a file can be written");
        path
    })
}

/// What was accepted: each rollout resolves or is refused with a place.
fn understood(text: &Text, documents: &Documents) {
    told(text, &documents.check());
    let names: Vec<String> = documents.rollouts().map(str::to_owned).collect();
    for name in names {
        match documents.resolve(&name) {
            Err(problems) => {
                assert!(
                    problems.has_errors(),
                    "{name} does not resolve, without an error"
                );
                told(text, &problems);
            }
            Ok(resolved) => {
                told(text, &resolved.warnings);
                every_cluster_once(&resolved);
                kept_by_a_journal(&resolved);
                // Refused in words or opened, but always soon.
                let _ = windows::expand_waves(&resolved.policy, NOW);
                let _ = windows::expand(&resolved.policy.windows, NOW);
                pointed_at(text, documents, &resolved);
                let again = documents.reread(&name, &resolved.policy);
                let again = again.expect("what resolved is read again");
                assert_eq!(again.policy, resolved.policy);
            }
        }
    }
}

/// Each cluster of the fleet is in one site of one wave, or excluded with a reason; a wave comes
/// after earlier ones alone.
fn every_cluster_once(resolved: &ResolvedRollout) {
    let mut seen = BTreeSet::new();
    for (at, wave) in resolved.plan.waves.iter().enumerate() {
        assert!(wave.after.iter().all(|earlier| *earlier < at), "{wave:?}");
        assert!(wave.max_parallel_sites > 0, "{wave:?}");
        for site in &wave.sites {
            assert!(!site.clusters.is_empty(), "{site:?}");
            for cluster in &site.clusters {
                assert!(
                    seen.insert(&cluster.name),
                    "{} is there twice",
                    cluster.name
                );
            }
        }
    }
    assert_eq!(seen.len(), resolved.clusters.len());
    assert!(resolved.clusters.iter().all(|it| seen.contains(&it.name)));
    for (excluded, why) in &resolved.plan.excluded {
        assert!(
            seen.insert(excluded) && !why.is_empty(),
            "{excluded}: {why}"
        );
    }
    assert_eq!(seen.len(), resolved.placements.len());
}

/// Everything that a start records is read back as it was.
fn kept_by_a_journal(resolved: &ResolvedRollout) {
    same_again(&resolved.policy);
    same_again(&resolved.plan);
    same_again(&resolved.release);
    same_again(&resolved.clusters);
    same_again(&resolved.sources);
}

fn same_again<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).expect("it can be written");
    let again: T = serde_json::from_str(&text).expect("what was written can be read");
    assert_eq!(*value, again);
}

/// Whatever a plugin points at in its configuration, there is a place for it.
fn pointed_at(text: &Text, documents: &Documents, resolved: &ResolvedRollout) {
    let policy = &resolved.policy;
    let by = policy.name.clone();
    let mut places = vec![
        (
            Location::StrategyConfig(by.clone()),
            policy.strategy.config.clone(),
        ),
        (Location::StrategyPlugin(by.clone()), String::new()),
        (Location::Rollout(resolved.name.clone()), String::new()),
    ];
    for gate in &policy.gates {
        let (by, name) = (by.clone(), gate.name.clone());
        places.push((
            Location::GateConfig(by.clone(), name.clone()),
            gate.config.clone(),
        ));
        for slot in gate.slots.keys() {
            let slot = Location::GateSlot(by.clone(), name.clone(), slot.clone());
            places.push((slot, String::new()));
        }
        places.push((Location::GatePlugin(by, name), String::new()));
    }
    for cluster in &resolved.clusters {
        let connection = Location::Connection(resolved.fleet.clone(), cluster.name.clone());
        places.push((connection, cluster.connection.clone()));
    }
    for (driver, artifact) in &resolved.release.artifacts {
        let block = Location::Artifact(resolved.release_name.clone(), driver.clone());
        places.push((block, artifact.clone()));
    }
    for (location, config) in places {
        let problems = pointers(&config);
        let found = documents.map_plugin_problems(&location, &problems);
        assert_eq!(found.len(), problems.len());
        placed(text, &found);
    }
}

/// Pointers to what is in a configuration and to what is not.
fn pointers(config: &str) -> Vec<Problem> {
    let mut found = vec![
        String::new(),
        "/".to_owned(),
        "/~1~0/9".to_owned(),
        "no/slash".to_owned(),
    ];
    if let Ok(value) = serde_json::from_str(config) {
        below(&value, &mut String::new(), &mut found);
    }
    let problem = |pointer: String| Problem {
        pointer,
        message: "it is \u{1b}[31mwrong\n".to_owned(),
    };
    found.into_iter().take(20).map(problem).collect()
}

fn below(value: &serde_json::Value, pointer: &mut String, found: &mut Vec<String>) {
    let length = pointer.len();
    let mut step = |key: &str, value: &serde_json::Value| {
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        found.push(pointer.clone());
        below(value, pointer, found);
        pointer.truncate(length);
    };
    match value {
        serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| step(key, value)),
        serde_json::Value::Array(items) => {
            let numbered = items.iter().enumerate();
            numbered.for_each(|(at, value)| step(&at.to_string(), value));
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

/// The same bytes as the configuration that a swap brings.
fn configuration(data: &[u8]) {
    let Ok(whole) = std::str::from_utf8(data) else {
        return;
    };
    // Here a byte-order mark is a character like any other.
    let whole_text = Text::of_text(whole);
    match Configuration::read(PathBuf::from("input.yaml"), whole.to_owned()) {
        Err(problems) => {
            assert!(problems.has_errors(), "it is refused without an error");
            told(&whole_text, &problems);
        }
        Ok(configuration) => {
            let value = serde_json::from_str::<serde_json::Value>(configuration.json());
            assert!(value.expect("it is JSON").is_object());
            told(
                &whole_text,
                &configuration.problems(&pointers(configuration.json())),
            );
        }
    }
}

/// The lines of a file, counted without the code that is checked.
struct Text {
    /// Characters in each line.
    lines: Vec<usize>,
}

impl Text {
    /// What of the bytes is text: the rest cannot be pointed at.
    fn of(data: &[u8]) -> Self {
        let text = match std::str::from_utf8(data) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&data[..error.valid_up_to()]).unwrap_or_default(),
        };
        Self::of_text(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    fn of_text(text: &str) -> Self {
        let lines = text.split('\n').map(|line| line.chars().count());
        Self {
            lines: lines.collect(),
        }
    }

    /// Whether there is such a place. Just behind the last character is one, too.
    fn has(&self, line: usize, column: usize) -> bool {
        let Some(line) = line.checked_sub(1) else {
            return false;
        };
        let chars = self.lines.get(line);
        chars.is_some_and(|chars| (1..=chars + 1).contains(&column))
    }
}

/// What is said about a file: places that are in it, words that are safe to show.
fn told(text: &Text, problems: &Diagnostics) {
    placed(text, problems);
    assert!(
        problems.len() <= PROBLEMS_MAX + 20,
        "{} problems",
        problems.len()
    );
    for colour in [Colour::Never, Colour::Always] {
        let shown = problems.render(colour);
        let room = (problems.len() + 1) * RENDERED_BYTES_MAX;
        assert!(shown.len() <= room, "{} bytes on a screen", shown.len());
        let strange =
            |c: char| c != '\n' && c.is_control() && (colour == Colour::Never || c != '\u{1b}');
        assert!(!shown.contains(strange), "{shown:?}");
    }
    serde_json::to_string(problems).expect("problems are shown as JSON");
}

fn placed(text: &Text, problems: &Diagnostics) {
    for problem in problems.iter() {
        if let Err(why) = said_well(text, problem) {
            panic!("{why}: {problem:?}");
        }
    }
}

/// Whether a user can act on a problem.
fn said_well(text: &Text, problem: &Diagnostic) -> Result<(), &'static str> {
    let placed = text.has(problem.line, problem.column);
    match problem.severity {
        Severity::Error if problem.file.is_empty() => return Err("an error names no file"),
        Severity::Error if !placed => return Err("an error is outside of its file"),
        Severity::Warning if problem.line > 0 && !placed => {
            return Err("a warning is outside of its file");
        }
        Severity::Error | Severity::Warning => {}
    }
    for words in std::iter::once(&problem.message).chain(&problem.hint) {
        if words.trim().is_empty() {
            return Err("it says nothing");
        }
        if words.chars().count() > MESSAGE_CHARS_MAX {
            return Err("it says too much");
        }
        if words.contains(char::is_control) {
            return Err("it would reach the terminal as it is");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Diagnostic {
        let path = written(text.as_bytes());
        let problems = Documents::load(&[path]).expect_err("it is refused");
        problems.into_iter().next().expect("there is one")
    }

    #[test]
    fn places_are_counted_from_one_to_just_behind_the_end() {
        let text = Text::of("é\n\nabc".as_bytes());
        for (line, column) in [(1, 1), (1, 2), (2, 1), (3, 4)] {
            assert!(text.has(line, column), "{line}:{column}");
        }
        for (line, column) in [(0, 1), (1, 0), (1, 3), (2, 2), (3, 5), (4, 1)] {
            assert!(!text.has(line, column), "{line}:{column}");
        }
    }

    #[test]
    fn a_problem_without_a_place_in_its_file_is_a_finding() {
        let source = "kind: Flet\n";
        let text = Text::of(source.as_bytes());
        let good = problem(source);
        assert_eq!(said_well(&text, &good), Ok(()));
        let bad = |change: fn(&mut Diagnostic)| {
            let mut bad = good.clone();
            change(&mut bad);
            said_well(&text, &bad).is_err()
        };
        assert!(bad(|it| it.file.clear()));
        assert!(bad(|it| it.line = 0));
        assert!(bad(|it| it.line = 3));
        assert!(bad(|it| it.column = 12));
        assert!(bad(|it| it.message.clear()));
        assert!(bad(|it| it.message.push('\u{7}')));
        assert!(bad(|it| it.hint = Some("x".repeat(5_000))));
    }

    #[test]
    fn pointers_name_what_is_there_and_what_is_not() {
        let found = pointers(r#"{"a/b": [{"c": 1}]}"#);
        let found: Vec<&str> = found.iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(
            found,
            [
                "",
                "/",
                "/~1~0/9",
                "no/slash",
                "/a~1b",
                "/a~1b/0",
                "/a~1b/0/c"
            ]
        );
    }
}
