//! Journals of earlier versions, as they were written then: they fold, and they lead to the same
//! again, with the components of then. `tests/journals/README.md` says how they are made.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use wavegate_tests::fleet::{Done, Running, binary};

/// Each story, and how it ended.
const STORIES: [(&str, &str); 4] = [
    ("good", "done"),
    ("rolled-back", "rolled back"),
    ("resumed", "done"),
    ("swapped", "done"),
];

/// A version's journal in a state folder of its own, with the version's components.
pub(crate) struct Kept {
    folder: TempDir,
    name: String,
}

impl Kept {
    pub(crate) fn of(version: &Path, story: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let store = folder.path().join("plugins");
        wavegate_tests::crash_support::copy_folder(
            &version.join("components"),
            &store.join("components"),
        );
        let journal = version.join(format!("{story}.db"));
        std::fs::copy(&journal, folder.path().join("journal.db"))
            .unwrap_or_else(|error| panic!("{}: {error}", journal.display()));
        let name = format!("{story} of {}", version.display());
        Self { folder, name }
    }

    pub(crate) fn wavegate(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(binary());
        command
            .arg("--state")
            .arg(self.folder.path())
            .args(arguments)
            .env("WAVEGATE_FORMAT", "json")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running::start(command).end()
    }

    #[track_caller]
    fn told(&self, arguments: &[&str]) -> Value {
        let done = self.wavegate(arguments);
        assert_eq!(
            done.code,
            Some(0),
            "{}, {arguments:?}:\n{}\n{}",
            self.name,
            done.out,
            done.err
        );
        done.json().remove(0)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes the component of a rollout's strategy out of the store, and says which it was.
    pub(crate) fn remove_strategy(&self, rollout: &str) -> String {
        let status = self.told(&["status", rollout]);
        let digest = status["plugins"]["strategy"]["digest"].as_str();
        let digest = digest.expect("the status names the strategy").to_owned();
        std::fs::remove_file(self.component(&digest)).expect("the component is there");
        digest
    }

    fn component(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("it is a digest");
        let folder = self.folder.path().join("plugins/components");
        folder.join(format!("{hex}.wasm"))
    }
}

/// The folders of versions.
pub(crate) fn versions() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("journals");
    let entries = std::fs::read_dir(all).expect("journals are kept");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let mut versions: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    versions.sort();
    assert!(!versions.is_empty(), "no journals are kept");
    versions
}

#[test]
fn kept() {
    for version in versions() {
        for (story, end) in STORIES {
            let kept = Kept::of(&version, story);
            let told = kept.told(&["replay", "last", "--verify"]);
            assert_eq!(told["result"], "verified", "{}: {told}", kept.name);
            assert!(told["same_answers"].as_u64() > Some(10), "{told}");
            let hosts = if story == "resumed" { 2 } else { 1 };
            assert_eq!(told["hosts"], hosts, "{}: {told}", kept.name);
            let status = kept.told(&["status", "last"]);
            assert_eq!(status["phase"], end, "{}: {status}", kept.name);
            kept.told(&["explain", "last"]);
            let history = kept.wavegate(&["history", "last", "--all"]).expect(0).out;
            let swapped = history.contains("plugin-swapped");
            assert_eq!(swapped, story == "swapped", "{}", kept.name);
        }
    }
}

/// Whatever the program ships: the components of then are asked, or nobody is.
#[test]
fn only_the_components_of_then_answer() {
    let version = versions().remove(0);
    let kept = Kept::of(&version, "good");
    let digest = kept.remove_strategy("last");
    let done = kept.wavegate(&["replay", "last", "--verify"]).expect(20);
    let told = done.json().remove(0);
    assert_eq!(told["result"], "unchecked", "{told}");
    assert_eq!(told["differences"].as_array().map(Vec::len), Some(0));
    let lacks = told["unchecked"].to_string();
    assert!(lacks.contains(&digest), "{lacks}");
    assert!(
        done.err.contains("hint: put the plugin's file"),
        "{}",
        done.err
    );
    let human = kept.wavegate(&["replay", "last", "--verify", "--format", "human"]);
    let human = human.expect(20).out;
    assert!(human.contains("not verified: "), "{human}");
    let hex = digest.strip_prefix("sha256:").expect("it is a digest");
    for line in human.lines() {
        assert!(line.matches(hex).count() <= 1, "{line}");
    }
    assert!(
        told["same_answers"].as_u64() > Some(10),
        "the gates: {told}"
    );
}
