//! Pages that say which test proves what: the tests are there.

use std::collections::BTreeSet;

use super::assert_kept;
use super::text::{File, all_rust};

/// Pages whose last column names tests.
const PAGES: [&str; 2] = ["runtime/docs/compared.md", "runtime/docs/lessons.md"];

/// Names of functions that are marked as tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in all_rust() {
        let mut marked = false;
        for line in file.text.lines().map(str::trim_start) {
            if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| marked) {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                names.insert(name.to_owned());
                marked = false;
            }
        }
    }
    names
}

/// What stands between backticks in the last cell of the rows of a page.
fn claimed(page: &File) -> Vec<String> {
    let rows = page.text.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.rsplit('|').nth(1));
    let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let there = tests();
    let mut broken = Vec::new();
    for page in PAGES {
        let page = File::read(page);
        let claims = claimed(&page);
        assert!(claims.len() > 20, "{} names its tests", page.path);
        let missing = claims.into_iter().filter(|name| !there.contains(name));
        broken.extend(missing.map(|name| format!("{}: `{name}`", page.path)));
    }
    assert_kept("a page names only tests that are there", &broken);
}

/// A lesson whose bug nobody can bring back is a hope.
#[test]
fn every_lesson_has_the_change_that_brings_its_bug_back() {
    let page = File::read("runtime/docs/lessons.md");
    let mutants = std::fs::read_dir(super::root().join("tests/mutants")).expect("mutants");
    let mutants = mutants.map(|entry| std::fs::read_to_string(entry.expect("a file").path()));
    let mutants: Vec<String> = mutants
        .map(|text| text.expect("a mutant is text"))
        .collect();
    let mut broken = Vec::new();
    for row in page.text.lines().filter(|line| line.contains("| `")) {
        let tests = row.rsplit('|').nth(1).unwrap_or_default();
        let proven = |name: &str| {
            let line = format!("bug: {name}");
            mutants.iter().any(|text| text.lines().any(|l| l == line))
        };
        if !tests.split('`').skip(1).step_by(2).any(proven) {
            broken.push(format!("the row of {}", tests.trim()));
        }
    }
    assert_kept(
        "one of the tests of a lesson has a mutant of its bug",
        &broken,
    );
}
