//! Every document under `tests/documents/bad` is refused, every one under `warn` is accepted with
//! warnings, and what is said about it stands beside it. `WAVEGATE_BLESS=1` writes those files
//! anew; the difference is what to review.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use wavegate_documents::{Colour, Diagnostics, Documents};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/documents")
        .join(name)
}

fn documents(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    files
}

/// Loads and checks as `validate` does.
fn validate(path: &Path) -> Diagnostics {
    match Documents::load(&[path.to_path_buf()]) {
        Ok(documents) => documents.check(),
        Err(problems) => problems,
    }
}

/// Compares with the file beside the document, or writes it.
fn check(path: &Path, problems: &Diagnostics, wrong: &mut Vec<String>) {
    let folder = format!("{}/", path.parent().unwrap().display());
    let said = problems.render(Colour::Never).replace(&folder, "");
    let beside = path.with_extension("txt");
    if std::env::var_os("WAVEGATE_BLESS").is_some() {
        std::fs::write(&beside, said).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&beside).unwrap_or_default();
    if expected != said {
        let name = path.file_name().unwrap().to_string_lossy();
        wrong.push(format!(
            "{name}\n--- expected\n{expected}\n--- said\n{said}"
        ));
    }
}

#[test]
fn bad_documents_are_refused_with_a_place() {
    let files = documents(&folder("bad"));
    assert!(files.len() >= 40, "only {} bad documents", files.len());
    let mut wrong = Vec::new();
    let mut codes = BTreeSet::new();
    for path in &files {
        let problems = validate(path);
        assert!(problems.has_errors(), "{} is accepted", path.display());
        for problem in problems.iter() {
            assert!(
                problem.line > 0 && problem.column > 0,
                "{}: {problem:?}",
                path.display()
            );
            assert!(
                !problem.message.chars().any(char::is_control),
                "{problem:?}"
            );
            codes.insert(problem.code.as_str());
        }
        check(path, &problems, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let expected = [
        "bad-value",
        "dangling",
        "duplicate",
        "mismatch",
        "missing-field",
        "not-built",
        "plan",
        "syntax",
        "too-large",
        "unknown-field",
        "unknown-kind",
        "wrong-type",
    ];
    for code in expected {
        assert!(codes.contains(code), "no bad document shows `{code}`");
    }
}

#[test]
fn suspicious_documents_are_accepted_with_a_warning() {
    let mut wrong = Vec::new();
    for path in documents(&folder("warn")) {
        let problems = validate(&path);
        assert!(
            !problems.has_errors() && !problems.is_empty(),
            "{}: {problems}",
            path.display()
        );
        check(&path, &problems, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn good_documents_are_accepted_without_a_word() {
    let files = documents(&folder("good"));
    assert!(!files.is_empty());
    for path in files {
        let problems = validate(&path);
        assert!(problems.is_empty(), "{problems}");
    }
}

/// What is not written has a default, and a changed default shows in a review.
#[test]
fn a_minimal_policy_gets_every_default() {
    let path = folder("warn").join("minimal.yaml");
    let resolved = Documents::load(&[path]).unwrap().resolve("shop").unwrap();
    let said = format!(
        "{}\n",
        serde_json::to_string_pretty(&resolved.policy).unwrap()
    );
    let beside = folder("defaults").join("minimal.json");
    if std::env::var_os("WAVEGATE_BLESS").is_some() {
        std::fs::write(&beside, said).unwrap();
        return;
    }
    assert_eq!(std::fs::read_to_string(&beside).unwrap(), said);
}

#[test]
fn nothing_stands_beside_a_document_that_is_gone() {
    for name in ["bad", "warn"] {
        for entry in std::fs::read_dir(folder(name)).unwrap() {
            let path = entry.unwrap().path();
            assert!(
                path.with_extension("yaml").exists(),
                "{} has no document",
                path.display()
            );
        }
    }
}
