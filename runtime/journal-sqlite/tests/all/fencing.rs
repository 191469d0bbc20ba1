//! Two writers of one file.

use crate::{batch, bodies, journal, run, wait_until};
use std::path::Path;
use std::process::Command;
use wavegate_model::{RolloutId, Timestamp};
use wavegate_ports::journal::{Journal, JournalError};

#[test]
fn an_earlier_writer_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let rollout = RolloutId::from("r1");
    run(async {
        let (old, new) = (journal(folder.path()), journal(folder.path()));
        let first = old.open(&rollout).await.expect("opens");
        old.append(batch(&rollout, first, &["old"]))
            .await
            .expect("appends");
        let second = new.open(&rollout).await.expect("takes over");
        assert!(second > first);
        for journal in [&old, &new] {
            let error = journal
                .append(batch(&rollout, first, &["late"]))
                .await
                .expect_err("taken over");
            assert!(matches!(error, JournalError::TakenOver { .. }), "{error}");
        }
        let error = new
            .append(batch(&rollout, second + 1, &["early"]))
            .await
            .expect_err("no such writer yet");
        assert!(matches!(error, JournalError::TakenOver { .. }), "{error}");
        new.append(batch(&rollout, second, &["new"]))
            .await
            .expect("appends");
        assert_eq!(bodies(&old, &rollout).await, ["old", "new"]);
    });
}

const CHILD: &str = "WAVEGATE_TEST_OTHER_PROCESS";
const TURNS: usize = 150;

/// Two processes write at once, each its own rollout and both the inbox of a third; then the
/// second takes the first's rollout over.
#[test]
fn two_processes_write_one_file() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return other_process(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (mine, theirs, both) = (
        RolloutId::from("mine"),
        RolloutId::from("theirs"),
        RolloutId::from("both"),
    );
    run(async {
        let journal = journal(folder.path());
        let writer = journal.open(&mine).await.expect("opens");
        journal.open(&both).await.expect("opens");
        let mut other = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["fencing::two_processes_write_one_file", "--exact"])
            .env(CHILD, folder.path())
            .spawn()
            .expect("it starts");
        wait_until("the other process begins", || {
            folder.path().join("began").exists()
        });
        for turn in 0..TURNS {
            journal
                .append(batch(&mine, writer, &[&format!("{turn}")]))
                .await
                .expect("appends");
            request(&journal, &both).await;
        }
        std::fs::write(folder.path().join("wrote"), "").expect("writes");
        assert!(
            other.wait().expect("it ends").success(),
            "the other process failed"
        );

        let error = journal
            .append(batch(&mine, writer, &["late"]))
            .await
            .expect_err("taken over");
        assert!(matches!(error, JournalError::TakenOver { .. }), "{error}");
        assert_eq!(
            journal.verify(&mine).await.expect("verifies").records,
            TURNS as u64 + 1
        );
        assert_eq!(
            journal.verify(&theirs).await.expect("verifies").records,
            TURNS as u64
        );
        assert_eq!(
            journal.inbox(&both, 0).await.expect("reads").len(),
            2 * TURNS
        );
    });
}

fn other_process(folder: &Path) {
    let (mine, theirs, both) = (
        RolloutId::from("mine"),
        RolloutId::from("theirs"),
        RolloutId::from("both"),
    );
    run(async {
        let journal = journal(folder);
        let writer = journal.open(&theirs).await.expect("opens");
        std::fs::write(folder.join("began"), "").expect("writes");
        for turn in 0..TURNS {
            journal
                .append(batch(&theirs, writer, &[&format!("{turn}")]))
                .await
                .expect("appends");
            request(&journal, &both).await;
        }
        wait_until("the first process is done", || {
            folder.join("wrote").exists()
        });
        let writer = journal.open(&mine).await.expect("takes over");
        journal
            .append(batch(&mine, writer, &["taken"]))
            .await
            .expect("appends");
    });
}

async fn request(journal: &impl Journal, rollout: &RolloutId) {
    let put = journal.put_inbox(
        rollout,
        Timestamp(1),
        "ann".to_owned(),
        "test".to_owned(),
        "{}".to_owned(),
    );
    put.await.expect("puts");
}
