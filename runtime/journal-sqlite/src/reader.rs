//! The threads that read and check.
//!
//! Readers have connections of their own: with a write-ahead log they neither wait for the
//! writer nor make it wait.

use crate::Verified;
use crate::chain::{self, GENESIS, Hash};
use crate::error::{Failure, StoreError, storage};
use crate::schema::{self, Access};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use wavegate_model::{Digest, RolloutId, Timestamp};
use wavegate_ports::BoxFuture;
use wavegate_ports::journal::{InboxRow, JournalEntry, JournalError, NewRecord, StoredRecord};

/// Two, so that one long history does not hold up the small reads of a rollout that runs.
const THREADS: usize = 2;

/// Questions that may wait; more wait in their futures.
const QUEUE: usize = 64;

/// Rows of the inbox in one answer. More are read with the next question.
const INBOX_ROWS: i64 = 1000;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// The handle of the threads. Dropping it waits for the questions that were asked.
#[derive(Debug)]
pub(crate) struct Readers {
    /// None only while it is dropped.
    queue: Option<mpsc::Sender<Question>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(path: &Path, access: Access) -> Result<Self, JournalError> {
        let (queue, questions) = mpsc::channel(QUEUE);
        let questions = Arc::new(Mutex::new(questions));
        let mut readers = Self {
            queue: Some(queue),
            threads: Vec::with_capacity(THREADS),
        };
        for number in 1..=THREADS {
            let connection = schema::reopen(path, access)?;
            let questions = Arc::clone(&questions);
            let thread = std::thread::Builder::new()
                .name(format!("journal-reader-{number}"))
                .spawn(move || serve(&connection, &questions))
                .map_err(|cause| storage("open", StoreError::Thread(cause)))?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// Has a function run with a connection, on a thread that may block.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, JournalError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let stopped = || storage(operation, StoreError::Stopped);
            let question: Question = Box::new(move |connection| {
                let answer = read(connection).map_err(|error| error.for_port(operation));
                if reply.send(answer).is_err() {
                    tracing::debug!("nobody waits for an answer of the journal any more");
                }
            });
            let queue = self.queue.as_ref().ok_or_else(stopped)?;
            queue.send(question).await.map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())?
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader of the journal had panicked");
            }
        }
    }
}

fn serve(connection: &Connection, questions: &Mutex<mpsc::Receiver<Question>>) {
    loop {
        // One thread waits inside the lock, the other for the lock: each question goes to one.
        let question = questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blocking_recv();
        let Some(question) = question else { return };
        // Who asked learns it from the reply that is dropped; the next question is not at fault.
        if catch_unwind(AssertUnwindSafe(|| question(connection))).is_err() {
            tracing::error!("a read of the journal panicked");
        }
    }
}

pub(crate) fn records(
    connection: &Connection,
    rollout: &RolloutId,
    after: u64,
) -> Result<Vec<StoredRecord>, Failure> {
    let mut found = Vec::new();
    walk(connection, rollout, after, |record| found.push(record))?;
    Ok(found)
}

pub(crate) fn verify(connection: &Connection, rollout: &RolloutId) -> Result<Verified, Failure> {
    let mut verified = Verified {
        records: 0,
        last: None,
    };
    walk(connection, rollout, 0, |record| {
        verified = Verified {
            records: record.seq,
            last: Some(record.hash),
        };
    })?;
    Ok(verified)
}

/// Shows each record after `after`, checked: its number is the next one, it follows the
/// record before, and its hash is that of its fields.
fn walk(
    connection: &Connection,
    rollout: &RolloutId,
    after: u64,
    mut show: impl FnMut(StoredRecord),
) -> Result<(), Failure> {
    known(connection, rollout)?;
    let mut statement = connection.prepare_cached(
        "SELECT seq, at_ms, kind, version, body, prev_hash, hash FROM records
         WHERE rollout = ?1 AND seq >= ?2 ORDER BY seq",
    )?;
    // The record at `after` is read too, for the hash that the first one has to follow.
    let start = i64::try_from(after).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![rollout.as_str(), start])?;
    let mut expected = after.max(1);
    let mut previous = (after == 0).then_some(GENESIS);
    while let Some(row) = rows
        .next()
        .map_err(|cause| unreadable(rollout, expected, cause))?
    {
        let damaged = |detail: String| {
            Failure::Port(JournalError::Damaged {
                rollout: rollout.clone(),
                seq: expected,
                detail,
            })
        };
        let row = Stored::take(row).map_err(|cause| unreadable(rollout, expected, cause))?;
        if row.seq != expected {
            return Err(damaged(format!(
                "it is missing; the next one that is there is {}",
                row.seq
            )));
        }
        if previous.is_some_and(|previous| previous != row.previous) {
            return Err(damaged(
                "it does not follow the record before it".to_owned(),
            ));
        }
        if chain::hash(&row.previous, rollout, row.seq, &row.record) != row.hash {
            return Err(damaged("its hash is not the hash of its fields".to_owned()));
        }
        previous = Some(row.hash);
        expected += 1;
        if row.seq > after {
            show(StoredRecord {
                seq: row.seq,
                record: row.record,
                hash: Digest::from_sha256(&row.hash),
            });
        }
    }
    Ok(())
}

/// A row of the table, not checked yet.
struct Stored {
    seq: u64,
    record: NewRecord,
    previous: Hash,
    hash: Hash,
}

impl Stored {
    fn take(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: unsigned(row, 0)?,
            record: NewRecord {
                at: Timestamp(unsigned(row, 1)?),
                kind: row.get(2)?,
                version: row.get(3)?,
                body: row.get(4)?,
            },
            previous: row.get(5)?,
            hash: row.get(6)?,
        })
    }
}

/// Only numbers that fit were stored. One that changed sign since is found by the hash.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

fn unreadable(rollout: &RolloutId, seq: u64, cause: rusqlite::Error) -> Failure {
    match is_damage(&cause) {
        true => Failure::Port(JournalError::Damaged {
            rollout: rollout.clone(),
            seq,
            detail: cause.to_string(),
        }),
        false => cause.into(),
    }
}

/// Tells a file that is damaged from a store that failed.
fn is_damage(cause: &rusqlite::Error) -> bool {
    match cause {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => true,
        other => matches!(
            other.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}

/// A rollout is known by its writer, and by its records if somebody took the writer away.
fn known(connection: &Connection, rollout: &RolloutId) -> Result<(), Failure> {
    let found = connection
        .prepare_cached(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM writers WHERE rollout = ?1)
             OR EXISTS (SELECT 1 FROM records WHERE rollout = ?1)",
        )?
        .query_row([rollout.as_str()], |_| Ok(()))
        .optional()?;
    found.ok_or_else(|| {
        Failure::Port(JournalError::Unknown {
            rollout: rollout.clone(),
        })
    })
}

pub(crate) fn blob(connection: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>, Failure> {
    let damaged = || {
        Failure::Port(JournalError::BytesDamaged {
            digest: digest.clone(),
        })
    };
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT bytes FROM blobs WHERE digest = ?1")?
        .query_row([digest.text().as_str()], |row| row.get(0))
        .optional()
        .map_err(|cause| match is_damage(&cause) {
            true => damaged(),
            false => cause.into(),
        })?;
    match bytes {
        Some(bytes) if chain::digest(&bytes) != *digest => Err(damaged()),
        other => Ok(other),
    }
}

/// Every rollout that has a record, whichever one: a rollout whose first record is missing is
/// damaged, and one that is not listed would seem never to have been.
///
/// A row of `writers` without a record is no rollout yet. A host that was killed between opening a
/// rollout and its first append leaves one, and until that append nothing had an effect.
pub(crate) fn rollouts(connection: &Connection) -> Result<Vec<JournalEntry>, Failure> {
    // From each id to the next one by the key: a grouping would go through all records.
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE known (rollout) AS (
             SELECT min(rollout) FROM records
             UNION ALL
             SELECT (SELECT min(rollout) FROM records WHERE rollout > known.rollout)
             FROM known WHERE known.rollout IS NOT NULL
         )
         SELECT r.rollout, r.at_ms, (SELECT max(seq) FROM records WHERE rollout = k.rollout)
         FROM known k JOIN records r ON r.rollout = k.rollout
             AND r.seq = (SELECT min(seq) FROM records WHERE rollout = k.rollout)
         ORDER BY r.at_ms, r.rollout",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(JournalEntry {
            rollout: RolloutId::new(row.get::<_, String>(0)?),
            started: Timestamp(unsigned(row, 1)?),
            records: unsigned(row, 2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn inbox(
    connection: &Connection,
    rollout: &RolloutId,
    after: u64,
) -> Result<Vec<InboxRow>, Failure> {
    known(connection, rollout)?;
    let mut statement = connection.prepare_cached(
        "SELECT id, at_ms, actor, reason, request FROM inbox WHERE rollout = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    )?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![rollout.as_str(), after, INBOX_ROWS], |row| {
        Ok(InboxRow {
            id: unsigned(row, 0)?,
            at: Timestamp(unsigned(row, 1)?),
            actor: row.get(2)?,
            reason: row.get(3)?,
            request: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_panics_fails_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        let _writer = schema::create_or_open(&path).expect("opens");
        let readers = Readers::start(&path, Access::Shared).expect("starts");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime starts");
        runtime.block_on(async {
            // More often than there are threads.
            for _ in 0..=THREADS {
                let answer = readers
                    .ask::<()>("read", |_| panic!("a panic that a test makes"))
                    .await;
                assert!(
                    matches!(answer, Err(JournalError::Storage { .. })),
                    "{answer:?}"
                );
            }
            let found = readers
                .ask("list the rollouts of", rollouts)
                .await
                .expect("the next one is answered");
            assert_eq!(found, []);
        });
    }
}
