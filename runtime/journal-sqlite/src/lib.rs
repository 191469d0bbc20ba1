//! The journal in SQLite.
//!
//! Owns the file: its format, its durability, the hash chains, who may write, and the threads
//! that talk to SQLite. Does not own what a record means: bodies are bytes that the conductor
//! wrote and will read.
//!
//! Start at [`SqliteJournal`]; `writer` has the one thread that writes and groups what waits
//! into one transaction, `reader` the threads that read and check, `chain` the hashes,
//! `schema` the tables and the rules that the file itself enforces.
//!
//! What the chain shows: a changed, exchanged, inserted or missing record. What it cannot show
//! alone: a tail that was cut off by somebody who can write the file. [`SqliteJournal::verify`]
//! returns the last hash so that it can be compared with one noted elsewhere.

mod chain;
mod error;
mod reader;
mod schema;
mod stats;
mod writer;

use error::{StoreError, storage};
use reader::Readers;
use schema::Access;
use std::path::Path;
use wavegate_model::{Digest, RolloutId, Timestamp};
use wavegate_ports::{BoxFuture, journal};
use writer::{Work, Writer};

pub use schema::FORMAT;
pub use stats::Stats;

use journal::{Batch, InboxRow, Journal, JournalEntry, JournalError, StoredRecord};

/// A journal in a SQLite file. Several processes may have the same file open.
///
/// Its threads end when it is dropped; what was handed over by then is still committed.
#[derive(Debug)]
pub struct SqliteJournal {
    // Fields are dropped in this order. The writer's connection has to be the last that closes:
    // SQLite moves the log into the file at the last close only, and connections that close at
    // the same moment each take the other for one that stays.
    readers: Readers,
    /// None if the file was opened for reading only.
    writer: Option<Writer>,
}

/// What a check of a whole rollout found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Number of records, all of them in the chain.
    pub records: u64,
    /// Hash of the last record; none if there is no record.
    pub last: Option<Digest>,
}

impl SqliteJournal {
    /// Opens the journal for reading and writing; makes it, and its folder, if there is none.
    /// Only the user may read them. Blocks for some milliseconds.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let connection = schema::create_or_open(path)?;
        let readers = Readers::start(path, Access::Shared)?;
        Ok(Self {
            writer: Some(Writer::start(connection)?),
            readers,
        })
    }

    /// Opens the journal of another process to look at it. It must exist.
    pub fn open_read_only(path: &Path) -> Result<Self, JournalError> {
        Ok(Self {
            writer: None,
            readers: Readers::start(path, Access::ReadOnly)?,
        })
    }

    /// What was written since this journal was opened here.
    pub fn stats(&self) -> Stats {
        self.writer.as_ref().map(Writer::stats).unwrap_or_default()
    }

    /// Checks all records of a rollout without keeping them in memory.
    pub fn verify(&self, rollout: &RolloutId) -> BoxFuture<'_, Result<Verified, JournalError>> {
        let rollout = rollout.clone();
        self.readers.ask("verify", move |connection| {
            reader::verify(connection, &rollout)
        })
    }

    fn write(
        &self,
        operation: &'static str,
        work: Work,
    ) -> BoxFuture<'_, Result<u64, JournalError>> {
        match &self.writer {
            Some(writer) => writer.ask(operation, work),
            None => Box::pin(async move { Err(storage(operation, StoreError::ReadOnly)) }),
        }
    }
}

impl Journal for SqliteJournal {
    fn open(&self, rollout: &RolloutId) -> BoxFuture<'_, Result<u64, JournalError>> {
        self.write("open a rollout in", Work::Open(rollout.clone()))
    }

    /// If the future is dropped before it is ready, the batch may be stored or not.
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<(), JournalError>> {
        let done = self.write("append to", Work::Append(batch));
        Box::pin(async move { done.await.map(drop) })
    }

    fn read(
        &self,
        rollout: &RolloutId,
        after: u64,
    ) -> BoxFuture<'_, Result<Vec<StoredRecord>, JournalError>> {
        let rollout = rollout.clone();
        self.readers.ask("read", move |connection| {
            reader::records(connection, &rollout, after)
        })
    }

    fn blob(&self, digest: &Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, JournalError>> {
        let digest = digest.clone();
        self.readers.ask("read bytes from", move |connection| {
            reader::blob(connection, &digest)
        })
    }

    fn blobs<'a>(
        &'a self,
        digests: &'a [Digest],
    ) -> BoxFuture<'a, Result<Vec<Option<Vec<u8>>>, JournalError>> {
        let digests = digests.to_vec();
        self.readers.ask("read bytes from", move |connection| {
            let each = digests
                .iter()
                .map(|digest| reader::blob(connection, digest));
            each.collect()
        })
    }

    fn rollouts(&self) -> BoxFuture<'_, Result<Vec<JournalEntry>, JournalError>> {
        self.readers.ask("list the rollouts of", reader::rollouts)
    }

    fn put_inbox(
        &self,
        rollout: &RolloutId,
        at: Timestamp,
        actor: String,
        reason: String,
        request: String,
    ) -> BoxFuture<'_, Result<u64, JournalError>> {
        let rollout = rollout.clone();
        self.write(
            "put a request into the inbox of",
            Work::PutInbox {
                rollout,
                at,
                actor,
                reason,
                request,
            },
        )
    }

    fn inbox(
        &self,
        rollout: &RolloutId,
        after: u64,
    ) -> BoxFuture<'_, Result<Vec<InboxRow>, JournalError>> {
        let rollout = rollout.clone();
        self.readers.ask("read the inbox of", move |connection| {
            reader::inbox(connection, &rollout, after)
        })
    }
}
