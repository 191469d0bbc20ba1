//! Journals that are not what was written, or not all of it: each rollout is told of, by the binary,
//! and what is wrong with one hides neither itself nor the others.

use crate::journals::{Kept, versions};
use crate::replay::digests;
use serde_json::Value;
use std::path::Path;
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_ports::journal::{Batch, Blob, Journal as _, StoredRecord};

/// A state folder whose journal has the rollouts of two kept ones, after they have been changed.
fn two(change: impl Fn(&str, &mut Vec<StoredRecord>)) -> Kept {
    let version = versions().remove(0);
    let kept = Kept::of(&version, "good");
    let file = kept.file("journal.db");
    std::fs::remove_file(&file).expect("the journal is there");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let new = SqliteJournal::open(&file).expect("a journal can be made");
        for story in ["good", "rolled-back"] {
            copied(&Kept::of(&version, story).file("journal.db"), &new, |all| {
                change(story, all);
            })
            .await;
        }
    });
    kept
}

async fn copied(from: &Path, to: &SqliteJournal, change: impl FnOnce(&mut Vec<StoredRecord>)) {
    let old = SqliteJournal::open_read_only(from).expect("there is a journal");
    let rollout = old.rollouts().await.expect("lists")[0].rollout.clone();
    let mut records = old.read(&rollout, 0).await.expect("reads");
    let mut blobs: Vec<Blob> = Vec::new();
    for digest in records.iter().flat_map(|stored| digests(&stored.record)) {
        if let Some(bytes) = old.blob(&digest).await.expect("reads") {
            blobs.push(Blob { digest, bytes });
        }
    }
    change(&mut records);
    let writer = to.open(&rollout).await.expect("opens");
    let records = records.into_iter().map(|stored| stored.record).collect();
    let batch = Batch {
        rollout,
        writer,
        records,
        blobs,
    };
    to.append(batch).await.expect("appends");
}

/// Changes the first such text of a file where it stands.
fn overwrite(file: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(file).expect("it can be read");
    let mut windows = bytes.windows(from.len());
    let at = windows.position(|window| window == from.as_bytes());
    let at = at.expect("the file has the text");
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    std::fs::write(file, bytes).expect("it can be written");
}

fn results(lines: &[Value]) -> Vec<&str> {
    let results = lines.iter().filter_map(|line| line["result"].as_str());
    let mut results: Vec<&str> = results.collect();
    results.sort_unstable();
    results
}

#[test]
fn a_damaged_rollout_does_not_stop_the_others() {
    let kept = two(|_, _| ());
    overwrite(
        &kept.file("journal.db"),
        "{\"batch-passed\"",
        "{\"batch-pasted\"",
    );
    let done = kept.wavegate(&["replay", "--verify"]).expect(12);
    let lines = done.json();
    assert_eq!(results(&lines), ["damaged", "verified"], "{}", done.out);
    let damaged = lines.iter().find(|line| line["result"] == "damaged");
    let damaged = damaged.expect("one is damaged");
    assert!(damaged["record"].as_u64() > Some(1), "{damaged}");
    let why = damaged["why"].as_str().unwrap_or_default();
    assert!(why.contains("its hash is not"), "{damaged}");
    assert!(done.err.contains("restore it from a copy"), "{}", done.err);

    let status = kept.wavegate(&["status"]).expect(1);
    let phases = status.json();
    assert_eq!(phases.len(), 2, "{}", status.out);
    let unreadable = phases.iter().find(|line| line["phase"] == "unreadable");
    let unreadable = unreadable.expect("the damaged one is told of");
    assert_eq!(unreadable["rollout"], damaged["rollout"]);
    assert!(status.err.contains("restore it"), "{}", status.err);
}

#[test]
fn a_missing_component_does_not_hide_what_differs() {
    let kept = two(|story, records| {
        let mut is_done = story != "good";
        for stored in records {
            let text = String::from_utf8(stored.record.body.clone()).expect("bodies are text");
            let fits = stored.record.kind == "step" && text.contains("{\"batch-passed\"");
            if fits && !std::mem::replace(&mut is_done, true) {
                let text = text.replace("{\"batch-passed\"", "{\"batch-settled\"");
                stored.record.body = text.into_bytes();
            }
        }
    });
    kept.remove_strategy("last");
    let done = kept.wavegate(&["replay", "--verify"]).expect(12);
    let lines = done.json();
    assert_eq!(results(&lines), ["differs", "unchecked"], "{}", done.out);
    for line in &lines {
        let lack = &line["unchecked"][0];
        assert_eq!(lack["who"], "strategy", "{line}");
        assert!(lack["answers"].as_u64() > Some(1), "{line}");
    }
}

#[test]
fn a_rollout_whose_end_was_cut_off_is_seen_not_to_have_ended() {
    let kept = two(|story, records| {
        if story == "good" {
            records.truncate(records.len() * 2 / 3);
        }
    });
    let done = kept.wavegate(&["replay", "--verify"]).expect(0);
    let lines = done.json();
    assert_eq!(results(&lines), ["verified", "verified"], "{}", done.out);
    let ended = lines.iter().filter(|line| line["ended"] == true).count();
    assert_eq!(ended, 1, "{}", done.out);
    let human = kept.wavegate(&["replay", "--verify", "--format", "human"]);
    let human = human.expect(0).out;
    let open = human.matches(": verified; it has not ended").count();
    assert_eq!(open, 1, "{human}");
}
