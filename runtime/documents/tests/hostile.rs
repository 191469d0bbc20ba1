//! Files that nobody means well with: they are refused, quickly and without a panic.

use std::path::PathBuf;
use wavegate_documents::{Colour, Diagnostics, Documents};

fn load(bytes: &[u8]) -> Result<Documents, Diagnostics> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.yaml");
    std::fs::write(&path, bytes).unwrap();
    Documents::load(&[path])
}

fn refused(bytes: &[u8]) -> String {
    load(bytes)
        .err()
        .map(|problems| problems.render(Colour::Never))
        .expect("it is accepted")
}

fn demo() -> String {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/documents/good/demo.yaml");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_huge_file_is_not_read() {
    let said = refused(&vec![b'#'; (4 << 20) + 1]);
    assert!(
        said.contains("error[too-large]") && said.contains("more than 4 MiB"),
        "{said}"
    );
}

#[test]
fn a_file_of_one_long_line_is_shown_in_part() {
    let long = "x".repeat(1 << 20);
    let said = refused(format!("apiVersion: wavegate.dev/v1alpha1\nkind: {long}\n").as_bytes());
    assert!(said.len() < 4000, "{} bytes", said.len());
    let flow = format!(
        "{{apiVersion: wavegate.dev/v1alpha1, {}}}",
        "a: [b, c], ".repeat(50_000)
    );
    let said = refused(flow.as_bytes());
    assert!(said.len() < 100_000, "{} bytes", said.len());
}

#[test]
fn what_is_not_text_is_refused() {
    let said = refused(b"kind: Fl\xff\xfeeet\n");
    assert!(
        said.contains("is not UTF-8") && said.contains(":1:9"),
        "{said}"
    );
    let utf16: Vec<u8> = "kind: Fleet\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(refused(&utf16).contains("error[syntax]"));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_accepted() {
    let text = format!("\u{feff}{}", demo().replace('\n', "\r\n"));
    load(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"));
}

#[test]
fn missing_files_and_empty_folders_are_named() {
    let said = Documents::load(&[PathBuf::from("/nowhere/at-all.yaml")])
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("cannot read `/nowhere/at-all.yaml`: there is no such file"),
        "{said}"
    );
    let folder = tempfile::tempdir().unwrap();
    let said = Documents::load(&[folder.path().to_path_buf()])
        .unwrap_err()
        .to_string();
    assert!(said.contains("has no `.yaml` file"), "{said}");
    assert!(Documents::load(&[]).is_err());
}

#[test]
fn a_problem_in_one_file_does_not_hide_those_of_another() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), "kind: [\n").unwrap();
    std::fs::write(folder.path().join("b.yaml"), "kind: Flet\n").unwrap();
    std::fs::write(folder.path().join("c.txt"), "not: yaml: at: all").unwrap();
    let problems = Documents::load(&[folder.path().to_path_buf()]).unwrap_err();
    let files: std::collections::BTreeSet<&str> = problems
        .iter()
        .map(|problem| problem.file.as_str())
        .collect();
    assert_eq!(files.len(), 2, "{problems}");
}

#[test]
fn an_unreadable_document_does_not_hide_the_others_of_its_file() {
    let text = "kind: Flet\n---\na: \"open\n---\nkind: Polcy\n---\nb: [\n---\nkind: Relese\n";
    let problems = load(text.as_bytes()).unwrap_err();
    let lines = |code: &str| -> Vec<usize> {
        problems
            .iter()
            .filter(|problem| problem.code.as_str() == code)
            .map(|problem| problem.line)
            .collect()
    };
    assert_eq!(lines("syntax"), [3, 7], "{problems}");
    assert_eq!(lines("unknown-kind"), [1, 5, 9], "{problems}");
}

#[test]
fn no_escape_sequence_reaches_the_terminal() {
    let text = "apiVersion: \"\\e[31m\"\nkind: \"a\\u202eb\"\nmetadata: {\"\\e]0;x\\a\": 1, name: \"\\r\\nx\"}\nspec: {}\n";
    let said = refused(text.as_bytes());
    assert!(
        !said
            .chars()
            .any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')),
        "{said:?}"
    );
}

#[test]
fn a_secret_in_a_document_is_not_shown() {
    let text = "apiVersion: wavegate.dev/v1alpha1
kind: Source
metadata: {name: metrics}
spec:
  prometheus:
    address: https://user:hunter1@host
    auth: {bearer: hunter2, unknown: field}
    timeout: never
";
    let said = refused(text.as_bytes());
    assert!(!said.contains("hunter"), "{said}");
    assert!(
        said.contains("a secret is not written into a document"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_cut_or_damaged_anywhere_is_read_without_a_panic() {
    let text = demo();
    for end in (0..text.len()).step_by(13) {
        if let Err(problems) = load(&text.as_bytes()[..end]) {
            assert!(problems.has_errors());
            problems.render(Colour::Always);
        }
    }
    let damage = [
        "\"", "[", "}", ": ", "\t", "&a ", "*a ", "é", "\u{0}", "- ", "!x ", "|\n", "#", "<<: ",
    ];
    for (number, at) in (0..text.len()).step_by(29).enumerate() {
        let mut damaged = text.clone();
        damaged.insert_str(at, damage[number % damage.len()]);
        if let Err(problems) = load(damaged.as_bytes()) {
            problems.render(Colour::Never);
        }
    }
}
