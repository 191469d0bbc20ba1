//! What the journal promises: order, chain, fencing, grouping, and durability.

mod basics;
mod cuts;
mod fencing;
mod looking;
mod power;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/wreck.rs"]
mod wreck;

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::{RolloutId, Timestamp};
use wavegate_ports::journal::{Batch, Journal, NewRecord};

/// Far more than anything here takes, so that only what hangs meets it.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a future to its end, or fails at the deadline.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts")
        .block_on(async {
            tokio::time::timeout(DEADLINE, future)
                .await
                .expect("done before the deadline")
        })
}

/// Looks every millisecond whether something became true.
fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let (_keep, never) = channel::<()>();
    let end = Instant::now() + DEADLINE;
    while !is_true() {
        assert!(Instant::now() < end, "{what}: not before the deadline");
        assert_eq!(
            never.recv_timeout(Duration::from_millis(1)),
            Err(RecvTimeoutError::Timeout)
        );
    }
}

/// A folder in memory where the machine has such: for tests that open a journal hundreds of
/// times to look at what is in it, where each opening would wait for the disk.
fn folder_in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder")
}

fn journal(folder: &Path) -> SqliteJournal {
    SqliteJournal::open(&folder.join("journal.db")).expect("the journal opens")
}

fn record(body: &str) -> NewRecord {
    NewRecord {
        at: Timestamp(1_000),
        kind: "step".to_owned(),
        version: 1,
        body: body.as_bytes().to_vec(),
    }
}

fn batch(rollout: &RolloutId, writer: u64, bodies: &[&str]) -> Batch {
    let records = bodies.iter().map(|body| record(body)).collect();
    Batch {
        rollout: rollout.clone(),
        writer,
        records,
        blobs: Vec::new(),
    }
}

/// The bodies of a rollout's records, checked on the way.
async fn bodies(journal: &SqliteJournal, rollout: &RolloutId) -> Vec<String> {
    let records = journal
        .read(rollout, 0)
        .await
        .expect("the records are right");
    records
        .into_iter()
        .map(|stored| String::from_utf8(stored.record.body).expect("text"))
        .collect()
}
