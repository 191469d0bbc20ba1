//! Documents through the binary: every bad one, schemas, and what a report counts.

use std::path::{Path, PathBuf};
use wavegate_tests::fleet::{Fleet, ask};

/// The bad documents, each with what is said about it beside it.
fn bad_documents() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("documents/bad");
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    files
}

#[test]
fn every_bad_document_is_refused_with_its_place_and_nothing_is_written() {
    let files = bad_documents();
    let mut with_hint = 0;
    for path in &files {
        let fleet = Fleet::empty();
        let name = path.file_name().expect("a file").to_string_lossy();
        let copy = fleet.folder().join(&*name);
        std::fs::copy(path, &copy).expect("it can be copied");
        let said = std::fs::read_to_string(path.with_extension("txt")).expect("it is beside");
        assert!(said.contains(&format!("--> {name}:")), "no place: {said}");
        assert!(said.contains('^'), "no snippet: {said}");
        with_hint += usize::from(said.contains("= help: "));
        for command in ["validate", "plan", "run"] {
            let done = fleet.wavegate(&[command, &name]).expect(2);
            // Word for word what the tests of the documents keep.
            let told = done.err.strip_prefix(said.trim_end());
            let told = told.unwrap_or_else(|| panic!("{command} {name}:\n{}", done.err));
            assert!(told.trim_end().ends_with("nothing was touched"), "{told}");
            assert_eq!(told.trim().lines().count(), 1, "{told}");
            assert_eq!(done.out, "", "{command} {name}");
        }
        let entries = std::fs::read_dir(fleet.folder()).expect("the folder is there");
        let left: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(left, [&*name], "something was written");
        let read = |path: &Path| std::fs::read(path).expect("it is there");
        assert_eq!(read(&copy), read(path), "{name} was changed");
    }
    assert!(
        with_hint >= 40,
        "{with_hint} of {} have a hint",
        files.len()
    );
}

/// A twelfth of what a fuzzer has kept: the checks of `tests/fuzz` see all of it, without the
/// program around.
#[test]
fn what_a_fuzzer_kept_is_accepted_or_refused_with_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/documents");
    let entries = std::fs::read_dir(folder).expect("the corpus is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    let fleet = Fleet::empty();
    let copy = fleet.folder().join("input.yaml");
    let mut refused = 0;
    for path in paths.iter().step_by(12) {
        std::fs::copy(path, &copy).expect("it can be copied");
        let done = fleet.wavegate(&["validate", "input.yaml"]);
        match done.code {
            Some(0) => assert_eq!(done.err.matches("error[").count(), 0, "{}", done.err),
            // A plugin in a file that is not there is a plugin that cannot be used.
            Some(2 | 20) => {
                refused += 1;
                assert!(done.err.contains("--> input.yaml:"), "{}", done.err);
                assert!(done.err.contains("nothing was touched"), "{}", done.err);
                assert_eq!(done.out, "", "{}", path.display());
            }
            other => panic!("{} ends with {other:?}: {}", path.display(), done.err),
        }
    }
    assert!(refused > 15, "only {refused} were refused");
}

#[test]
fn schemas_are_printed_and_kinds_are_listed() {
    let fleet = Fleet::empty();
    let list = fleet.wavegate(&["schema"]).expect(0).out;
    let kinds: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        kinds,
        [
            "Fleet",
            "Release",
            "Rollout",
            "RolloutPolicy",
            "Simulation",
            "Source",
            "any"
        ]
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/documents/schemas");
    for kind in kinds {
        let printed = fleet.wavegate(&["schema", kind]).expect(0).out;
        let committed = std::fs::read_to_string(folder.join(format!("{kind}.json")));
        assert_eq!(printed, committed.expect("it is committed"));
    }
    let unknown = fleet.wavegate(&["schema", "Fleets"]).expect(2);
    assert!(
        unknown.err.contains("hint: there are Fleet, "),
        "{}",
        unknown.err
    );
}

#[test]
fn a_manual_page_has_the_variables_and_the_exit_codes() {
    let fleet = Fleet::empty();
    let page = fleet.wavegate(&["man"]).expect(0).out;
    let run = fleet.wavegate(&["man", "run"]).expect(0).out;
    for page in [&page, &run] {
        for part in [
            ".SH ENVIRONMENT",
            "WAVEGATE_STATE",
            "WAVEGATE_EXIT_ON_HOLD",
            "NO_COLOR",
        ] {
            assert!(page.contains(part), "no {part} in\n{page}");
        }
        assert!(
            page.contains(".SH EXIT STATUS\n.TP\n\\fB0\\fR\ndone\n"),
            "{page}"
        );
    }
    assert!(page.contains("WAVEGATE_WAVE") && !run.contains("WAVEGATE_WAVE"));
}

#[test]
fn a_report_counts_from_the_start_of_its_rollout() {
    let fleet = Fleet::small("    plugin: {shipped: rolling}");
    fleet.up();
    for door in fleet.doors() {
        for _ in 0..5 {
            ask(door);
        }
    }
    let report = |rollout: &str| {
        let done = fleet
            .wavegate(&["run", "demo", "--rollout", rollout, "--format", "json"])
            .expect(0);
        done.json().pop().expect("there is a report")
    };
    let requests = &report("shop-2")["requests"];
    assert_eq!(requests["new"], 0, "{requests}");
    assert_eq!(requests["other"], 0, "{requests}");
    fleet.down();
}
