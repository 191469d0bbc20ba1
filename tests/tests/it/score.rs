//! A gate is scored over a folder of journals, and another policy gets what was recorded.
//!
//! The journals are those of `tests/journals`: three good rollouts and a bad one.

use crate::journals::versions;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use wavegate_tests::fleet::{Done, Fleet, Running, binary};
use wavegate_tests::guests;

/// Journals in a folder, and a state folder of its own for what scores them.
struct Archive {
    folder: TempDir,
}

impl Archive {
    fn new() -> Self {
        let archive = Self {
            folder: tempfile::tempdir().expect("a folder can be made"),
        };
        let year = archive.path("journals/2026");
        std::fs::create_dir_all(&year).expect("folders can be made");
        for story in ["good", "rolled-back", "resumed", "swapped"] {
            let from = versions()[0].join(format!("{story}.db"));
            std::fs::copy(from, year.join(format!("{story}.db"))).expect("it can be copied");
        }
        archive
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), bytes).expect("a file can be written");
        format!("./{name}")
    }

    fn wavegate(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(binary());
        command
            .current_dir(self.folder.path())
            .args(["--state", "state", "replay", "./journals"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running::start(command).end()
    }

    #[track_caller]
    fn scored(&self, arguments: &[&str]) -> Value {
        let all = [arguments, &["--format", "json"]].concat();
        self.wavegate(&all).expect(0).json().remove(0)
    }
}

fn counts(score: &Value, side: &str) -> [u64; 6] {
    let of = |name: &str| score[side][name].as_u64().expect("a count");
    [
        of("caught"),
        of("missed"),
        of("false_alarms"),
        of("quiet"),
        of("cannot_tell"),
        of("no_truth"),
    ]
}

fn rollout<'a>(score: &'a Value, story: &str) -> &'a Value {
    let all = score["rollouts"].as_array().expect("a list");
    let mut mine = all
        .iter()
        .filter(|one| one["journal"].to_string().contains(&format!("/{story}.db")));
    mine.next()
        .unwrap_or_else(|| panic!("no {story} in {score}"))
}

#[test]
fn a_gate_is_scored_over_a_folder_of_journals() {
    let archive = Archive::new();
    let same = archive.scored(&["--with", "gate/success=probe"]);
    assert_eq!(counts(&same, "then"), [1, 0, 0, 3, 0, 0], "{same}");
    assert_eq!(counts(&same, "now"), [1, 0, 0, 3, 0, 0], "{same}");
    let bad = rollout(&same, "rolled-back");
    assert_eq!(
        (&bad["truth"], &bad["truth_by"]),
        (&"bad".into(), &"rolled back".into())
    );
    assert_eq!(bad["then"]["acted_ms"], bad["now"]["acted_ms"], "{bad}");
    for story in ["good", "rolled-back", "resumed", "swapped"] {
        let calls = rollout(&same, story)["calls"].as_array().expect("a list");
        assert!(calls.len() > 5, "{story}");
        let other = calls.iter().find(|call| call["same"] != true);
        assert_eq!(other, None, "{story}: the gate of then says what it said");
    }

    // One that lets half of the requests fail misses what was caught.
    let lax = archive.write("lax.yaml", "{minSuccess: 50%, minRequests: 2, window: 5s}");
    let lax = archive.scored(&["--with", "gate/success=probe", "--config", &lax]);
    assert_eq!(counts(&lax, "now"), [0, 1, 0, 3, 0, 0], "{lax}");

    // One that always fails catches all, and cries wolf about the rest.
    let wolf = archive.write("wolf.wasm", guests::build("fail-gate"));
    let config = archive.write("wolf.yaml", "{}");
    let arguments = [
        "--with",
        &format!("gate/success={wolf}"),
        "--config",
        &config,
    ];
    let score = archive.scored(&arguments);
    assert_eq!(counts(&score, "now"), [1, 0, 3, 0, 0, 0], "{score}");
    let human = archive.wavegate(&arguments).expect(0).out;
    assert!(
        human.contains("now   caught 1 and missed 0 of 1 bad; 3 false alarms among 3 good"),
        "{human}"
    );
    assert!(human.contains("false alarm after"), "{human}");

    // One that asks for what nobody asked for says nothing about them.
    let other = "{name: errors, query: errors_total, max: 1, unit: '1'}";
    let other = archive.write("other.yaml", other);
    let score = archive.scored(&["--with", "gate/latency=threshold", "--config", &other]);
    assert_eq!(counts(&score, "now")[4], 4, "{score}");
}

#[test]
fn labels_say_what_the_end_of_a_rollout_does_not() {
    let archive = Archive::new();
    let score = archive.scored(&["--with", "gate/success=probe"]);
    let id = |story: &str| {
        rollout(&score, story)["rollout"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let labels = format!(
        "bad: [{}]\ngood: [{}, nobody]\n",
        id("good"),
        id("rolled-back")
    );
    let labels = archive.write("labels.yaml", labels);
    let arguments = ["--with", "gate/success=probe", "--labels", &labels];
    let score = archive.scored(&arguments);
    assert_eq!(counts(&score, "now"), [0, 1, 1, 2, 0, 0], "{score}");
    assert_eq!(rollout(&score, "good")["truth_by"], "labelled");
    let told = archive.wavegate(&arguments).expect(0).err;
    assert!(
        told.contains("`nobody`, which no journal here has"),
        "{told}"
    );

    for (text, says) in [
        ("worse: [a]\n", "unknown field `worse`"),
        ("good: [a]\nbad: [a]\n", "`a` was good, and that it was bad"),
        ("bad: 1\n", "`good` and `bad`"),
    ] {
        let labels = archive.write("wrong.yaml", text);
        let told = archive.wavegate(&["--with", "gate/success=probe", "--labels", &labels]);
        let told = told.expect(2).err;
        assert!(told.contains(says), "{text:?}: {told}");
    }
}

#[test]
fn what_cannot_be_scored_is_named() {
    let archive = Archive::new();
    archive.write("journals/broken.db", "this is no journal");
    let again = archive.path("journals/again.db");
    std::fs::copy(archive.path("journals/2026/good.db"), again).expect("it can be copied");
    let arguments = ["--with", "gate/success=probe", "--format", "json"];
    let score = archive.wavegate(&arguments).expect(12).json().remove(0);
    assert_eq!(
        counts(&score, "now"),
        [1, 0, 0, 3, 0, 0],
        "a copy counts once: {score}"
    );
    let broken = &score["unread"][0];
    assert_eq!(broken["journal"], "./journals/broken.db", "{score}");
    let twice = score["without"][0]["why"].as_str().unwrap_or_default();
    assert!(twice.contains("counts once"), "{score}");

    let told = archive
        .wavegate(&["--with", "gate/unheard=probe"])
        .expect(2);
    assert!(told.err.contains("has a gate `unheard`"), "{}", told.err);
    assert!(told.err.contains("success"), "{}", told.err);
    assert!(told.err.contains("broken.db"), "{}", told.err);
    let human = archive
        .wavegate(&["--with", "gate/success=probe"])
        .expect(12)
        .out;
    assert!(
        human.contains("not read: ./journals/broken.db: "),
        "{human}"
    );

    for (arguments, says) in [
        (&["--with", "strategy=canary"][..], "only gates"),
        (&["--with", "policy=./x.yaml"], "only gates"),
        (&["--verify"], "--state"),
    ] {
        let told = archive.wavegate(arguments).expect(2).err;
        assert!(told.contains(says), "{told}");
    }
    let empty = archive.path("empty");
    std::fs::create_dir(&empty).expect("a folder can be made");
    let told = wavegate_in(
        archive.folder.path(),
        &["replay", "./empty", "--with", "gate/a=probe"],
    );
    assert!(told.expect(2).err.contains("has no journal"));
}

#[test]
fn links_to_journals_and_to_folders_of_them_are_followed() {
    let archive = Archive::new();
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(archive.path(to), archive.path(name)).expect("a link");
    };
    std::fs::rename(archive.path("journals/2026"), archive.path("far")).expect("it moves");
    link("far", "journals/by-folder");
    link("far/good.db", "journals/by-file.db");
    link("journals", "journals/round");
    let score = archive.scored(&["--with", "gate/success=probe"]);
    assert_eq!(counts(&score, "now"), [1, 0, 0, 3, 0, 0], "{score}");
    assert_eq!(score["without"].as_array().map(Vec::len), Some(0));

    link("nowhere", "journals/gone.db");
    let told = archive
        .wavegate(&["--with", "gate/success=probe"])
        .expect(12);
    assert!(
        told.out.contains("not read: ./journals/gone.db: "),
        "{}",
        told.out
    );
}

fn wavegate_in(folder: &Path, arguments: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Running::start(command).end()
}

#[test]
fn a_folder_of_rollouts_without_any_gate_scores_none() {
    let fleet = Fleet::small("    plugin: {shipped: rolling}");
    fleet.up();
    fleet.wavegate(&["run", "demo"]).expect(0);

    let with = ["replay", "./state", "--with", "gate/success=probe"];
    let told = fleet.wavegate(&with).expect(2);
    assert!(told.err.contains("has a gate `success`"), "{}", told.err);
    assert!(told.err.contains("no gates at all"), "{}", told.err);
}
