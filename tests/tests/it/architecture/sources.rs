//! Rules about the code itself.

use super::assert_kept;
use super::text::{File, all_rust, files, words};

/// Longer files are split; the house aims at 600.
const FILE_LINES_MAX: usize = 900;

/// What the pure crates may not name outside of their tests, each with what it would break.
const IMPURE: &[(&str, &str)] = &[
    ("std::", "the pure crates are no_std"),
    ("extern crate std", "the pure crates are no_std"),
    ("Instant::now", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("println!", "the engine never logs"),
    ("tracing", "the engine never logs"),
    ("async ", "the engine never awaits"),
    (".await", "the engine never awaits"),
    ("HashMap", "order can reach a decision"),
    ("HashSet", "order can reach a decision"),
];

/// What tests may not do.
const NOT_IN_TESTS: &[(&str, &str)] = &[
    ("thread::sleep", "wait on a condition, with a deadline"),
    ("time::sleep", "wait on a condition, with a deadline"),
    ("#[ignore", "a test that does not run is not a test"),
];

fn at(file: &File, line: usize) -> String {
    format!("{}:{line}", file.path)
}

/// The place in a line where a name stands as a whole: not as the end of a longer one.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|it| it.is_alphanumeric() || it == '_')
    })
}

#[test]
fn the_pure_crates_are_no_std() {
    let mut broken = Vec::new();
    for path in ["runtime/model/src/lib.rs", "runtime/engine/src/lib.rs"] {
        if !File::read(path).text.contains("\n#![no_std]\n") {
            broken.push(format!("{path}: no `#![no_std]`"));
        }
    }
    assert_kept("model and engine are no_std", &broken);
}

#[test]
fn the_pure_crates_name_nothing_impure() {
    let mut broken = Vec::new();
    for file in ["runtime/model/src", "runtime/engine/src"]
        .iter()
        .flat_map(|folder| files(folder, "rs"))
    {
        for (number, line) in file.product_lines() {
            for (name, why) in IMPURE {
                if names(line, name) {
                    broken.push(format!("{}: {name} ({why})", at(&file, number)));
                }
            }
        }
    }
    assert_kept(
        "the engine never awaits, reads a clock, randomness, the environment or a file, \
         and never logs",
        &broken,
    );
}

/// The shipped strategies' names, as words that follow each other.
/// "Rolling back" is what the engine does and no strategy.
fn strategy_name(words: &[(usize, String)]) -> Option<&'static str> {
    let word = |at: usize| words.get(at).map(|(_, word)| word.as_str());
    match (word(0)?, word(1)) {
        ("canary" | "canaries", _) => Some("canary"),
        ("bluegreen", _) | ("blue", Some("green")) => Some("blue-green"),
        ("rolling", Some("back")) => None,
        ("rolling", _) => Some("rolling"),
        _ => None,
    }
}

#[test]
fn no_strategy_is_known_to_engine_or_conductor() {
    let mut broken = Vec::new();
    for file in ["runtime/engine", "runtime/conductor"]
        .iter()
        .flat_map(|folder| files(folder, "rs"))
    {
        let words = words(&file.text);
        for first in 0..words.len() {
            if let Some(name) = strategy_name(&words[first..]) {
                broken.push(format!("{}: {name}", at(&file, words[first].0)));
            }
        }
    }
    assert_kept(
        "no strategy's name appears in engine or conductor, not even in a comment",
        &broken,
    );
}

#[test]
fn a_strategy_is_told_from_rolling_back() {
    let name = |text: &str| {
        let words = words(text);
        (0..words.len()).find_map(|first| strategy_name(&words[first..]))
    };
    assert_eq!(name("Phase::RollingBack, rolling_back, controlling"), None);
    assert_eq!(name("is rolling\n/// back, blue paint"), None);
    assert_eq!(name("RollingUpdate"), Some("rolling"));
    assert_eq!(name("run_canary"), Some("canary"));
    assert_eq!(name("BlueGreen"), Some("blue-green"));
    assert_eq!(name("\"blue-green\""), Some("blue-green"));
}

#[test]
fn the_contract_stays_behind_its_two_doors() {
    let mut broken = Vec::new();
    for file in all_rust() {
        let is_door = ["runtime/plugin-host/", "sdk/rust/"]
            .iter()
            .any(|door| file.path.starts_with(door));
        for (number, line) in file.product_lines() {
            let names_it = ["bindgen!", "wit_bindgen::generate!"]
                .iter()
                .any(|name| names(line, name));
            if names_it && !is_door {
                broken.push(at(&file, number));
            }
        }
    }
    assert_kept(
        "bindings of the contract are generated in plugin-host and in the SDK only",
        &broken,
    );
}

#[test]
fn tests_do_not_sleep_and_none_is_left_out() {
    let mut broken = Vec::new();
    for file in all_rust() {
        if file.path.ends_with("architecture/sources.rs") {
            // The table above.
            continue;
        }
        for (number, line) in file.test_lines() {
            for (name, why) in NOT_IN_TESTS {
                if line.contains(name) {
                    broken.push(format!("{}: {name} ({why})", at(&file, number)));
                }
            }
        }
    }
    assert_kept("tests wait on conditions, and all of them run", &broken);
}

#[test]
fn files_are_short_enough_to_read() {
    let mut broken = Vec::new();
    for file in all_rust() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            broken.push(format!("{}: {lines} lines", file.path));
        }
    }
    assert_kept("no file is longer than 900 lines", &broken);
}

#[test]
fn every_crate_says_what_it_is() {
    let mut broken = Vec::new();
    for file in all_rust() {
        let is_first = file.path.ends_with("/src/lib.rs") || file.path.ends_with("/src/main.rs");
        if is_first && !file.text.starts_with("//! ") {
            broken.push(file.path);
        }
    }
    assert_kept(
        "each crate opens with its purpose, what it owns and what it does not",
        &broken,
    );
}
