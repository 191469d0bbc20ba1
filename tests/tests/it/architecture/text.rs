//! The project's files as text, and words in them.

use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// A file of the project, by its path from the top folder.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn read(path: &str) -> File {
        let text = fs::read_to_string(root().join(path));
        let text = text.unwrap_or_else(|error| panic!("failed to read {path}: {error}"));
        let path = path.to_owned();
        File { path, text }
    }

    /// The numbered lines that are code of the product: no comments, no tests.
    pub(super) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test() {
            0
        } else {
            self.tests_begin()
        };
        self.numbered_lines()
            .take(end)
            .map(|(number, line)| (number, without_comment(line)))
    }

    /// The numbered lines that are code of tests.
    pub(super) fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let begin = if self.is_test() {
            0
        } else {
            self.tests_begin()
        };
        self.numbered_lines()
            .skip(begin)
            .map(|(number, line)| (number, without_comment(line)))
    }

    fn numbered_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
    }

    /// Whether the whole file is a test.
    fn is_test(&self) -> bool {
        let path = Path::new(&self.path);
        path.components()
            .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
    }

    /// How many lines there are before the module of unit tests, which stands last in a file.
    fn tests_begin(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        lines
            .windows(2)
            .position(|pair| {
                let opens = pair[1].starts_with("mod ") && pair[1].ends_with('{');
                pair[0] == "#[cfg(test)]" && opens
            })
            .unwrap_or(lines.len())
    }
}

/// Cuts a line comment off. A `//` after a colon is an address.
fn without_comment(line: &str) -> &str {
    let comment = line
        .match_indices("//")
        .find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// All files with this extension under a folder, in order.
pub(super) fn files(folder: &str, extension: &str) -> Vec<File> {
    let mut paths = Vec::new();
    collect(&root().join(folder), extension, &mut paths);
    paths.sort();
    let relative = |path: PathBuf| {
        let path = path.strip_prefix(root()).expect("a path in the project");
        path.to_str().expect("a path in UTF-8").to_owned()
    };
    paths
        .into_iter()
        .map(|path| File::read(&relative(path)))
        .collect()
}

fn collect(folder: &Path, extension: &str, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            collect(&path, extension, paths);
        } else if path.extension().is_some_and(|it| it == extension) {
            paths.push(path);
        }
    }
}

/// The Rust files of everything that is ours.
pub(super) fn all_rust() -> Vec<File> {
    ["runtime", "sdk", "plugins", "tests"]
        .iter()
        .flat_map(|folder| files(folder, "rs"))
        .collect()
}

/// The words of a text in lower case, with the line of each: identifiers are taken apart at
/// underscores and at capitals, so that `RollingBack` and "rolling back" are the same words.
pub(super) fn words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut word = String::new();
        let mut after_small = false;
        for character in line.chars().chain([' ']) {
            let starts_word = after_small && character.is_uppercase();
            if (starts_word || !character.is_alphanumeric()) && !word.is_empty() {
                words.push((number + 1, std::mem::take(&mut word)));
            }
            if character.is_alphanumeric() {
                word.extend(character.to_lowercase());
            }
            after_small = character.is_lowercase();
        }
    }
    words
}

#[test]
fn words_are_found_in_identifiers() {
    let found: Vec<String> = words("State::RollingBack // is\nblue_green")
        .into_iter()
        .map(|it| it.1)
        .collect();
    assert_eq!(found, ["state", "rolling", "back", "is", "blue", "green"]);
}

#[test]
fn tests_and_comments_are_told_from_the_product() {
    let text = "use x; // why\nfn f() { \"http://x\" }\n#[cfg(test)]\nmod tests {\n    sleep\n}\n";
    let file = File {
        path: "runtime/x/src/lib.rs".to_owned(),
        text: text.to_owned(),
    };
    let product: Vec<(usize, &str)> = file.product_lines().collect();
    assert_eq!(product, [(1, "use x; "), (2, "fn f() { \"http://x\" }")]);
    assert_eq!(file.test_lines().nth(2), Some((5, "    sleep")));
    let file = File {
        path: "runtime/x/tests/it/main.rs".to_owned(),
        ..file
    };
    assert_eq!(file.product_lines().count(), 0);
    assert_eq!(file.test_lines().count(), 6);
}
