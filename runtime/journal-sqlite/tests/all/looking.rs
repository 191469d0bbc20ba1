//! What a journal shows to who only looks: also one of which something was taken away, and one
//! that lies where nothing can be written.

use crate::{batch, bodies, journal, run};
use rusqlite::Connection;
use std::os::unix::fs::symlink;
use std::path::Path;
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::{RolloutId, Timestamp};
use wavegate_ports::journal::{Journal, JournalError};

/// A closed journal with two rollouts, `one` of three records and the later `two` of one.
fn two_rollouts(folder: &Path) {
    let (one, two) = (RolloutId::from("one"), RolloutId::from("two"));
    run(async {
        let journal = journal(folder);
        for rollout in [&one, &two] {
            journal.open(rollout).await.expect("opens");
        }
        let some = batch(&one, 1, &["a", "b", "c"]);
        journal.append(some).await.expect("appends");
        let mut late = batch(&two, 1, &["x"]);
        late.records[0].at = Timestamp(2_000);
        journal.append(late).await.expect("appends");
    });
}

/// As somebody who can write the file, and takes the rules away first.
fn tamper(folder: &Path, change: &str) {
    let file = Connection::open(folder.join("journal.db")).expect("opens");
    file.execute_batch(&format!(
        "PRAGMA foreign_keys = OFF; DROP TRIGGER records_are_kept; DROP TRIGGER writers_are_kept; {change}"
    ))
    .expect(change);
}

async fn listed(journal: &SqliteJournal) -> Vec<(String, u64)> {
    let entries = journal.rollouts().await.expect("lists");
    let pair = |entry: &wavegate_ports::journal::JournalEntry| {
        (entry.rollout.as_str().to_owned(), entry.records)
    };
    entries.iter().map(pair).collect()
}

#[test]
fn a_rollout_without_its_first_record_is_listed_and_damaged() {
    let first = "DELETE FROM records WHERE rollout = 'one' AND seq = 1;";
    for change in [
        first.to_owned(),
        format!("{first} DELETE FROM writers WHERE rollout = 'one';"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        two_rollouts(folder.path());
        tamper(folder.path(), &change);
        run(async {
            let journal = SqliteJournal::open_read_only(&folder.path().join("journal.db"));
            let journal = journal.expect("opens");
            let both = [("one".to_owned(), 3), ("two".to_owned(), 1)];
            assert_eq!(listed(&journal).await, both, "{change}");
            let error = journal.read(&RolloutId::from("one"), 0).await;
            let error = error.expect_err("a record is missing");
            assert!(
                matches!(error, JournalError::Damaged { seq: 1, .. }),
                "{change}: {error}"
            );
            assert_eq!(bodies(&journal, &RolloutId::from("two")).await, ["x"]);
        });
    }
}

/// The tail of a chain can be cut by who can write the file, and so can all of it: it is as if it
/// had only been opened.
#[test]
fn a_rollout_that_was_only_opened_is_none_yet() {
    let folder = tempfile::tempdir().expect("a folder");
    two_rollouts(folder.path());
    tamper(folder.path(), "DELETE FROM records WHERE rollout = 'one';");
    run(async {
        let journal = SqliteJournal::open_read_only(&folder.path().join("journal.db"));
        let journal = journal.expect("opens");
        assert_eq!(listed(&journal).await, [("two".to_owned(), 1)]);
        let none = journal.read(&RolloutId::from("one"), 0).await;
        assert_eq!(none.expect("it was opened"), []);
    });
}

/// SQLite cannot have a file beside the journal. Permissions do not bind everybody who runs tests;
/// a link that leads nowhere does, because SQLite follows none.
fn no_room_for(end: &str, folder: &Path) {
    let path = folder.join(format!("journal.db{end}"));
    let _ = std::fs::remove_file(&path);
    symlink("/nowhere/at/all", path).expect("a link can be made");
}

#[test]
fn an_archive_that_cannot_be_written_is_read() {
    let above = tempfile::tempdir().expect("a folder");
    // What means something in an address is part of a name.
    let folder = above.path().join("of 100%? #1;ä");
    std::fs::create_dir(&folder).expect("it can be made");
    two_rollouts(&folder);
    no_room_for("-wal", &folder);
    no_room_for("-shm", &folder);
    run(async {
        let journal = SqliteJournal::open_read_only(&folder.join("journal.db"));
        let journal = journal.expect("opens");
        let both = [("one".to_owned(), 3), ("two".to_owned(), 1)];
        assert_eq!(listed(&journal).await, both);
        let one = RolloutId::from("one");
        assert_eq!(bodies(&journal, &one).await, ["a", "b", "c"]);
        assert_eq!(journal.verify(&one).await.expect("verifies").records, 3);
    });
}

#[test]
fn an_archive_with_records_in_its_log_is_not_read_without_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = tempfile::tempdir().expect("a folder");
    run(async {
        let journal = journal(folder.path());
        let one = RolloutId::from("one");
        journal.open(&one).await.expect("opens");
        journal
            .append(batch(&one, 1, &["a"]))
            .await
            .expect("appends");
        for end in ["", "-wal"] {
            let name = format!("journal.db{end}");
            let copied = std::fs::copy(folder.path().join(&name), kept.path().join(&name));
            assert!(copied.expect("it can be copied") > 0, "{name}");
        }
    });
    no_room_for("-shm", kept.path());
    let error = SqliteJournal::open_read_only(&kept.path().join("journal.db"));
    let error = error.expect_err("the log cannot be read");
    let JournalError::Storage { source, .. } = error else {
        panic!("{error}");
    };
    assert!(source.to_string().contains("journal.db-wal"), "{source}");
}
