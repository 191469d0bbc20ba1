//! One process, nothing goes wrong below.

use crate::{batch, bodies, journal, record, run};
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use wavegate_journal_sqlite::{FORMAT, SqliteJournal};
use wavegate_model::{Digest, RolloutId, Timestamp};
use wavegate_ports::journal::{Batch, Blob, Journal, JournalError};

/// SHA-256 of `evidence`.
const EVIDENCE: &str = "sha256:ee8250fb76e094b34b471f13a73dbbe51d1ae142e9df59d7c0d31ec20f0a0a8e";

fn evidence() -> Blob {
    Blob {
        digest: Digest::parse(EVIDENCE).expect("a digest"),
        bytes: b"evidence".to_vec(),
    }
}

#[test]
fn what_is_appended_is_read_again_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let rollout = RolloutId::from("r1");
    run(async {
        let journal = journal(folder.path());
        let writer = journal.open(&rollout).await.expect("opens");
        journal
            .append(batch(&rollout, writer, &["a", "b"]))
            .await
            .expect("appends");
        journal
            .append(batch(&rollout, writer, &["c"]))
            .await
            .expect("appends");
        assert_eq!(bodies(&journal, &rollout).await, ["a", "b", "c"]);
        let tail = journal.read(&rollout, 2).await.expect("reads");
        assert_eq!(tail.len(), 1);
        assert_eq!((tail[0].seq, &tail[0].record), (3, &record("c")));
        assert_eq!(journal.read(&rollout, 3).await.expect("reads"), []);
        assert_eq!(journal.read(&rollout, u64::MAX).await.expect("reads"), []);
        let verified = journal.verify(&rollout).await.expect("verifies");
        assert_eq!(
            (verified.records, verified.last.as_ref()),
            (3, Some(&tail[0].hash))
        );
    });
    run(async {
        let journal = journal(folder.path());
        assert_eq!(
            bodies(&journal, &rollout).await,
            ["a", "b", "c"],
            "after it was closed"
        );
    });
}

#[test]
fn rollouts_have_chains_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two, empty) = (
        RolloutId::from("one"),
        RolloutId::from("two"),
        RolloutId::from("empty"),
    );
    run(async {
        let journal = journal(folder.path());
        for rollout in [&two, &one, &empty] {
            assert_eq!(journal.open(rollout).await.expect("opens"), 1);
        }
        let mut late = batch(&two, 1, &["x"]);
        late.records[0].at = Timestamp(2_000);
        journal.append(late).await.expect("appends");
        journal
            .append(batch(&one, 1, &["a", "b"]))
            .await
            .expect("appends");
        let entries = journal.rollouts().await.expect("lists");
        let listed: Vec<_> = entries
            .iter()
            .map(|entry| (entry.rollout.as_str(), entry.started.0, entry.records))
            .collect();
        assert_eq!(listed, [("one", 1_000, 2), ("two", 2_000, 1)]);
        assert_eq!(journal.verify(&empty).await.expect("verifies").records, 0);
        let error = journal
            .read(&RolloutId::from("none"), 0)
            .await
            .expect_err("there is none");
        assert!(matches!(error, JournalError::Unknown { .. }), "{error}");
        let error = journal
            .append(batch(&RolloutId::from("none"), 1, &["a"]))
            .await
            .expect_err("not opened");
        assert!(matches!(error, JournalError::Unknown { .. }), "{error}");
    });
}

#[test]
fn blobs_are_stored_once_and_by_their_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let rollout = RolloutId::from("r1");
    run(async {
        let journal = journal(folder.path());
        journal.open(&rollout).await.expect("opens");
        let with = |blob: Blob| Batch {
            blobs: vec![blob],
            ..batch(&rollout, 1, &["a"])
        };
        journal.append(with(evidence())).await.expect("appends");
        journal
            .append(with(evidence()))
            .await
            .expect("the same again");
        let lie = Blob {
            bytes: b"other".to_vec(),
            ..evidence()
        };
        let error = journal
            .append(with(lie))
            .await
            .expect_err("the digest is of other bytes");
        assert!(matches!(error, JournalError::Storage { .. }), "{error}");
        assert_eq!(
            bodies(&journal, &rollout).await,
            ["a", "a"],
            "the batch that lied left nothing"
        );
        assert_eq!(
            journal.blob(&evidence().digest).await.expect("reads"),
            Some(b"evidence".to_vec())
        );
        let other = Digest::from_sha256(&[7; 32]);
        assert_eq!(journal.blob(&other).await.expect("reads"), None);
    });
}

#[test]
fn the_inbox_keeps_requests_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (RolloutId::from("one"), RolloutId::from("two"));
    run(async {
        let journal = journal(folder.path());
        let put = |rollout: &RolloutId, request: &str| {
            journal.put_inbox(
                rollout,
                Timestamp(7),
                "ann".to_owned(),
                "because".to_owned(),
                request.to_owned(),
            )
        };
        let error = put(&one, "pause")
            .await
            .expect_err("there is no such rollout");
        assert!(matches!(error, JournalError::Unknown { .. }), "{error}");
        journal.open(&one).await.expect("opens");
        journal.open(&two).await.expect("opens");
        let first = put(&one, "pause").await.expect("puts");
        put(&two, "abort").await.expect("puts");
        let last = put(&one, "continue").await.expect("puts");
        assert!(first < last);
        let rows = journal.inbox(&one, 0).await.expect("reads");
        assert_eq!(
            rows.iter()
                .map(|row| row.request.as_str())
                .collect::<Vec<_>>(),
            ["pause", "continue"]
        );
        assert_eq!(
            (rows[0].at, rows[0].actor.as_str(), rows[0].reason.as_str()),
            (Timestamp(7), "ann", "because")
        );
        assert_eq!(journal.inbox(&one, first).await.expect("reads").len(), 1);
        assert_eq!(journal.inbox(&one, last).await.expect("reads"), []);
    });
}

#[test]
fn many_producers_share_transactions_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        let journal = Arc::new(journal(folder.path()));
        let mut producers = tokio::task::JoinSet::new();
        for number in 0..32 {
            let journal = Arc::clone(&journal);
            producers.spawn(async move {
                let rollout = RolloutId::new(format!("r{number}"));
                let writer = journal.open(&rollout).await.expect("opens");
                for turn in 0..20 {
                    let body = format!("{number}.{turn}");
                    journal
                        .append(batch(&rollout, writer, &[&body]))
                        .await
                        .expect("appends");
                    // One that is refused, in the midst of the others.
                    let refused = journal.append(batch(&rollout, writer - 1, &["no"])).await;
                    assert!(matches!(refused, Err(JournalError::TakenOver { .. })));
                }
                let expected: Vec<_> = (0..20).map(|turn| format!("{number}.{turn}")).collect();
                assert_eq!(bodies(&journal, &rollout).await, expected);
            });
        }
        while let Some(done) = producers.join_next().await {
            done.expect("a producer succeeds");
        }
        let stats = journal.stats();
        assert_eq!(stats.requests, 32 * (1 + 2 * 20));
        assert!(stats.largest_group > 1, "{stats:?}");
        assert!(stats.transactions < stats.requests, "{stats:?}");
    });
}

#[test]
fn only_the_user_may_read_the_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("state/journals");
    let journal = journal(&inner);
    run(async { journal.open(&RolloutId::from("r1")).await.expect("opens") });
    let mode = |name: &str| {
        inner
            .join(name)
            .metadata()
            .expect("it exists")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(""), 0o700);
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

#[test]
fn a_reader_sees_what_another_writes_and_cannot_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    SqliteJournal::open_read_only(&path).expect_err("there is none yet");
    assert!(!path.exists(), "looking at a journal does not make one");
    let rollout = RolloutId::from("r1");
    run(async {
        let journal = journal(folder.path());
        journal.open(&rollout).await.expect("opens");
        let reader = SqliteJournal::open_read_only(&path).expect("opens");
        journal
            .append(batch(&rollout, 1, &["a"]))
            .await
            .expect("appends");
        assert_eq!(bodies(&reader, &rollout).await, ["a"]);
        let error = reader
            .append(batch(&rollout, 1, &["b"]))
            .await
            .expect_err("it only reads");
        assert!(matches!(error, JournalError::Storage { .. }), "{error}");
        drop(journal);
        assert_eq!(
            bodies(&reader, &rollout).await,
            ["a"],
            "after the writer closed"
        );
    });
    let reader = SqliteJournal::open_read_only(&path).expect("opens after the writer closed");
    assert_eq!(run(bodies(&reader, &rollout)), ["a"]);
}

#[test]
fn a_later_format_and_a_foreign_file_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    drop(journal(folder.path()));
    Connection::open(&path)
        .expect("opens")
        .pragma_update(None, "user_version", FORMAT + 1)
        .expect("sets");
    for refused in [
        SqliteJournal::open(&path),
        SqliteJournal::open_read_only(&path),
    ] {
        match refused.expect_err("the format is too new") {
            JournalError::TooNew { found, known } => {
                assert_eq!((found, known), (FORMAT + 1, FORMAT))
            }
            other => panic!("{other}"),
        }
    }
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .expect("opens")
        .execute_batch("CREATE TABLE notes (text)")
        .expect("makes");
    for refused in [
        SqliteJournal::open(&foreign),
        SqliteJournal::open_read_only(&foreign),
    ] {
        assert!(matches!(refused, Err(JournalError::Storage { .. })));
    }
}

#[test]
fn the_file_refuses_to_be_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let rollout = RolloutId::from("r1");
    run(async {
        let journal = journal(folder.path());
        journal.open(&rollout).await.expect("opens");
        let batch = Batch {
            blobs: vec![evidence()],
            ..batch(&rollout, 1, &["a", "b"])
        };
        journal.append(batch).await.expect("appends");
        journal
            .put_inbox(
                &rollout,
                Timestamp(1),
                "ann".into(),
                "r".into(),
                "{}".into(),
            )
            .await
            .expect("puts");
        let other = Connection::open(folder.path().join("journal.db")).expect("opens");
        for statement in [
            "UPDATE records SET body = x'00'",
            "DELETE FROM records WHERE seq = 2",
            "INSERT OR REPLACE INTO records SELECT rollout, 2, 9, kind, version, body, prev_hash, hash FROM records WHERE seq = 1",
            "INSERT INTO records SELECT rollout, 4, at_ms, kind, version, body, prev_hash, hash FROM records WHERE seq = 2",
            "INSERT INTO records SELECT 'r9', 1, at_ms, kind, version, body, prev_hash, hash FROM records WHERE seq = 1",
            "UPDATE blobs SET bytes = x'00'",
            "DELETE FROM blobs",
            "UPDATE inbox SET actor = 'bob'",
            "DELETE FROM inbox",
            "INSERT OR REPLACE INTO inbox SELECT id, rollout, at_ms, 'bob', reason, request FROM inbox",
            "UPDATE writers SET writer = writer",
            "UPDATE writers SET writer = 0",
            "UPDATE writers SET rollout = 'r2', writer = 9",
            "DELETE FROM writers",
            "INSERT OR REPLACE INTO writers VALUES ('r1', 1)",
        ] {
            other
                .execute_batch("PRAGMA foreign_keys = ON")
                .expect("sets");
            other.execute_batch(statement).expect_err(statement);
        }
        let replaced = other
            .execute(
                "INSERT OR REPLACE INTO blobs SELECT digest, x'00' FROM blobs",
                [],
            )
            .expect("ignored");
        assert_eq!(replaced, 0);
        assert_eq!(bodies(&journal, &rollout).await, ["a", "b"]);
        assert_eq!(
            journal.blob(&evidence().digest).await.expect("reads"),
            Some(b"evidence".to_vec())
        );
    });
}

/// Somebody who can write the file can take the triggers away. The chain shows it.
#[test]
fn damage_is_found_and_named() {
    let cases = [
        ("UPDATE records SET body = x'00' WHERE seq = 3", 3),
        ("UPDATE records SET at_ms = 9 WHERE seq = 1", 1),
        ("UPDATE records SET hash = zeroblob(32) WHERE seq = 2", 2),
        (
            "UPDATE records SET prev_hash = zeroblob(32) WHERE seq = 4",
            4,
        ),
        ("UPDATE records SET version = 4294967296 WHERE seq = 2", 2),
        (
            "UPDATE records SET kind = CAST(x'ff' AS TEXT) WHERE seq = 2",
            2,
        ),
        ("DELETE FROM records WHERE seq = 1", 1),
        ("DELETE FROM records WHERE seq = 3", 3),
        (
            "UPDATE records SET seq = 9 WHERE seq = 2; UPDATE records SET seq = 2 WHERE seq = 3; UPDATE records SET seq = 3 WHERE seq = 9",
            2,
        ),
    ];
    for (change, first) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let rollout = RolloutId::from("r1");
        run(async {
            let journal = journal(folder.path());
            journal.open(&rollout).await.expect("opens");
            let batch = Batch {
                blobs: vec![evidence()],
                ..batch(&rollout, 1, &["a", "b", "c", "d"])
            };
            journal.append(batch).await.expect("appends");
            let other = Connection::open(folder.path().join("journal.db")).expect("opens");
            let triggers = "DROP TRIGGER records_stay; DROP TRIGGER records_are_kept; DROP TRIGGER blobs_stay;";
            other
                .execute_batch(&format!(
                    "{triggers} {change}; UPDATE blobs SET bytes = x'00'"
                ))
                .expect(change);
            for error in [
                journal.read(&rollout, 0).await.expect_err(change),
                journal.verify(&rollout).await.expect_err(change),
            ] {
                match error {
                    JournalError::Damaged { seq, .. } => assert_eq!(seq, first, "{change}"),
                    other => panic!("{change}: {other}"),
                }
            }
            let error = journal
                .blob(&evidence().digest)
                .await
                .expect_err("the bytes were changed");
            assert!(
                matches!(error, JournalError::BytesDamaged { .. }),
                "{error}"
            );
        });
    }
}

#[test]
fn what_is_too_large_is_refused_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let rollout = RolloutId::from("r1");
    run(async {
        let journal = journal(folder.path());
        journal.open(&rollout).await.expect("opens");
        let mut large = batch(&rollout, 1, &["x", "y"]);
        large.records[1].body = vec![0; (16 << 20) + 1];
        let fine = batch(&rollout, 1, &["a"]);
        let (refused, stored) = tokio::join!(journal.append(large), journal.append(fine));
        assert!(matches!(refused, Err(JournalError::Storage { .. })));
        stored.expect("the other batch is stored");
        assert_eq!(bodies(&journal, &rollout).await, ["a"]);
    });
}

/// Whatever is taken away from under it: an answer comes.
#[test]
fn a_store_that_fails_is_an_error_not_a_hang() {
    let folder = tempfile::tempdir().expect("a folder");
    let rollout = RolloutId::from("r1");
    run(async {
        let journal = journal(folder.path());
        journal.open(&rollout).await.expect("opens");
        let other = Connection::open(folder.path().join("journal.db")).expect("opens");
        other.execute_batch("DROP TABLE records").expect("drops");
        for error in [
            journal
                .append(batch(&rollout, 1, &["a"]))
                .await
                .expect_err("there is no table"),
            journal
                .read(&rollout, 0)
                .await
                .expect_err("there is no table"),
        ] {
            assert!(matches!(error, JournalError::Storage { .. }), "{error}");
        }
        assert_eq!(
            journal
                .open(&rollout)
                .await
                .expect("what still can be done is done"),
            2
        );
    });
}
