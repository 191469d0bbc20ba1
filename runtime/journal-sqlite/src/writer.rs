//! The one thread that writes.
//!
//! Waiting for the disk costs the same for one batch as for many, so the thread takes all
//! that waits into one transaction. Each batch has a savepoint: one that is refused leaves
//! nothing behind and the others don't notice. Answers go out after the commit.

use crate::chain::{self, GENESIS, Hash};
use crate::error::{Failure, StoreError, storage};
use crate::stats::{Counts, Stats};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use wavegate_model::{RolloutId, Timestamp};
use wavegate_ports::BoxFuture;
use wavegate_ports::journal::{Batch, Blob, JournalError, NewRecord};

/// Requests that may wait; more wait in their futures. Enough to fill several groups, so the
/// thread never idles, and few enough that memory stays bounded by it.
const QUEUE: usize = 1024;

/// Requests in one transaction. The first waits for all of them: at some 20 µs each, this
/// keeps the wait in the order of one wait for the disk.
const GROUP: usize = 256;

/// Bytes in one transaction. Larger ones make the log grow past its checkpoint at 4 MiB.
const GROUP_BYTES: u64 = 4 << 20;

/// Bytes of one record's body. Bodies refer to large things by digest.
const BODY_MAX: u64 = 16 << 20;

/// Bytes of one blob. Evidence is capped long before; this keeps one away from SQLite's own
/// limit of 1 GB and the memory of a reader small.
const BLOB_MAX: u64 = 64 << 20;

/// Bytes of a text in the inbox. People write reasons, not books.
const INBOX_MAX: u64 = 64 << 10;

/// A new writer number, the last record's number, or the inbox row's id.
type Answer = Result<u64, JournalError>;

#[derive(Debug)]
pub(crate) enum Work {
    Open(RolloutId),
    Append(Batch),
    PutInbox {
        rollout: RolloutId,
        at: Timestamp,
        actor: String,
        reason: String,
        request: String,
    },
}

impl Work {
    fn bytes(&self) -> u64 {
        match self {
            Work::Append(batch) => {
                let bodies = batch.records.iter().map(|record| record.body.len() as u64);
                let blobs = batch.blobs.iter().map(|blob| blob.bytes.len() as u64);
                bodies.chain(blobs).sum()
            }
            Work::Open(_) | Work::PutInbox { .. } => 0,
        }
    }
}

#[derive(Debug)]
struct Request {
    work: Work,
    operation: &'static str,
    reply: oneshot::Sender<Answer>,
}

/// The handle of the thread. Dropping it waits until what was handed over is committed.
#[derive(Debug)]
pub(crate) struct Writer {
    /// None only while it is dropped.
    queue: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

impl Writer {
    pub(crate) fn start(connection: Connection) -> Result<Self, JournalError> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let thread = std::thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn({
                let counts = Arc::clone(&counts);
                move || serve(connection, requests, &counts)
            })
            .map_err(|cause| storage("open", StoreError::Thread(cause)))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            counts,
        })
    }

    /// Hands work over; the future is ready when it is durable or refused. If the thread has
    /// ended, or ends meanwhile, both ends of the channels close and the future fails.
    pub(crate) fn ask(&self, operation: &'static str, work: Work) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let stopped = || storage(operation, StoreError::Stopped);
            let queue = self.queue.as_ref().ok_or_else(stopped)?;
            queue
                .send(Request {
                    work,
                    operation,
                    reply,
                })
                .await
                .map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())?
        })
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counts.stats()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's writer had panicked");
        }
    }
}

fn serve(mut connection: Connection, mut requests: mpsc::Receiver<Request>, counts: &Counts) {
    while let Some(first) = requests.blocking_recv() {
        serve_group(&mut connection, first, &mut requests, counts);
    }
}

/// Requests that were carried out in the transaction, with the answers that they will get.
type Group = Vec<(Request, Answer)>;

fn serve_group(
    connection: &mut Connection,
    first: Request,
    requests: &mut mpsc::Receiver<Request>,
    counts: &Counts,
) {
    let mut waiting = Some(first);
    let mut group = Group::new();
    match commit_group(connection, &mut waiting, requests, &mut group) {
        Ok(()) => {
            counts.committed(group.len());
            for (request, answer) in group {
                reply(request, answer);
            }
        }
        Err(cause) => {
            tracing::error!(%cause, requests = group.len(), "a transaction of the journal failed");
            let cause = Arc::new(cause);
            let not_begun = waiting.into_iter().map(|request| (request, Ok(0)));
            for (request, answer) in group.into_iter().chain(not_begun) {
                // A refusal stays what it is; nothing else of the group is stored.
                let failed = storage(request.operation, StoreError::Group(Arc::clone(&cause)));
                reply(request, answer.and(Err(failed)));
            }
        }
    }
}

fn reply(request: Request, answer: Answer) {
    if request.reply.send(answer).is_err() {
        tracing::debug!("nobody waits for an answer of the journal any more");
    }
}

/// Carries out what waits, within the limits of a group, and commits. `waiting` is where the
/// request is that has no answer yet.
fn commit_group(
    connection: &mut Connection,
    waiting: &mut Option<Request>,
    requests: &mut mpsc::Receiver<Request>,
    group: &mut Group,
) -> Result<(), StoreError> {
    // Immediate: the writer's number is read under the same lock as the append is made under.
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut bytes = 0;
    while let Some(request) = waiting.take() {
        bytes += request.work.bytes();
        match carry_out(&mut transaction, &request) {
            Ok(answer) => group.push((request, answer)),
            Err(lost) => {
                *waiting = Some(request);
                return Err(lost);
            }
        }
        if group.len() < GROUP && bytes < GROUP_BYTES {
            *waiting = requests.try_recv().ok();
        }
    }
    Ok(transaction.commit()?)
}

/// Carries out one request in a savepoint of its own. The inner result is the request's
/// answer; the outer one fails if the whole transaction is lost.
fn carry_out(transaction: &mut Transaction<'_>, request: &Request) -> Result<Answer, StoreError> {
    let savepoint = transaction.savepoint()?;
    let answer = match &request.work {
        Work::Open(rollout) => open(&savepoint, rollout),
        Work::Append(batch) => append(&savepoint, batch),
        Work::PutInbox {
            rollout,
            at,
            actor,
            reason,
            request,
        } => put_inbox(&savepoint, rollout, *at, [actor, reason, request]),
    };
    match answer {
        Ok(_) => savepoint.commit()?,
        Err(_) => savepoint.finish()?, // Rolls back, which is what a savepoint does by default.
    }
    // A full disk, for one, makes SQLite roll back everything at once.
    if transaction.is_autocommit() {
        return Err(StoreError::TransactionLost);
    }
    Ok(answer.map_err(|refusal| refusal.for_port(request.operation)))
}

fn open(connection: &Connection, rollout: &RolloutId) -> Result<u64, Failure> {
    let raised: Option<i64> = connection
        .prepare_cached(
            "UPDATE writers SET writer = writer + 1 WHERE rollout = ?1 RETURNING writer",
        )?
        .query_row([rollout.as_str()], |row| row.get(0))
        .optional()?;
    match raised {
        Some(writer) => Ok(writer.cast_unsigned()),
        None => {
            connection
                .prepare_cached("INSERT INTO writers (rollout, writer) VALUES (?1, 1)")?
                .execute([rollout.as_str()])?;
            Ok(1)
        }
    }
}

fn append(connection: &Connection, batch: &Batch) -> Result<u64, Failure> {
    let rollout = &batch.rollout;
    if current_writer(connection, rollout)? != batch.writer {
        return Err(Failure::Port(JournalError::TakenOver {
            rollout: rollout.clone(),
        }));
    }
    for blob in &batch.blobs {
        store_blob(connection, blob)?;
    }
    let (mut seq, mut last) = head(connection, rollout)?;
    for record in &batch.records {
        seq += 1;
        last = store_record(connection, rollout, seq, &last, record)?;
    }
    Ok(seq)
}

fn current_writer(connection: &Connection, rollout: &RolloutId) -> Result<u64, Failure> {
    let writer: Option<i64> = connection
        .prepare_cached("SELECT writer FROM writers WHERE rollout = ?1")?
        .query_row([rollout.as_str()], |row| row.get(0))
        .optional()?;
    match writer {
        Some(writer) => Ok(writer.cast_unsigned()),
        None => Err(Failure::Port(JournalError::Unknown {
            rollout: rollout.clone(),
        })),
    }
}

/// Number and hash of the last record.
fn head(connection: &Connection, rollout: &RolloutId) -> Result<(u64, Hash), Failure> {
    let last: Option<(i64, Hash)> = connection
        .prepare_cached(
            "SELECT seq, hash FROM records WHERE rollout = ?1 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([rollout.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(last.map_or((0, GENESIS), |(seq, hash)| (seq.cast_unsigned(), hash)))
}

fn store_record(
    connection: &Connection,
    rollout: &RolloutId,
    seq: u64,
    previous: &Hash,
    record: &NewRecord,
) -> Result<Hash, Failure> {
    within("a record's body", record.body.len() as u64, BODY_MAX)?;
    let hash = chain::hash(previous, rollout, seq, record);
    connection
        .prepare_cached(
            "INSERT INTO records (rollout, seq, at_ms, kind, version, body, prev_hash, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            rollout.as_str(),
            integer("a record's number", seq)?,
            integer("a record's time", record.at.0)?,
            record.kind,
            record.version,
            record.body,
            previous,
            hash,
        ])?;
    Ok(hash)
}

fn store_blob(connection: &Connection, blob: &Blob) -> Result<(), Failure> {
    within("a blob", blob.bytes.len() as u64, BLOB_MAX)?;
    let actual = chain::digest(&blob.bytes);
    if actual != blob.digest {
        return Err(StoreError::BlobMismatch {
            given: blob.digest.clone(),
            actual,
        }
        .into());
    }
    // One that is there already is left alone by the table's own rule.
    connection
        .prepare_cached("INSERT INTO blobs (digest, bytes) VALUES (?1, ?2)")?
        .execute(params![blob.digest.text().as_str(), blob.bytes])?;
    Ok(())
}

fn put_inbox(
    connection: &Connection,
    rollout: &RolloutId,
    at: Timestamp,
    texts: [&str; 3],
) -> Result<u64, Failure> {
    current_writer(connection, rollout)?;
    for text in texts {
        within("a text for the inbox", text.len() as u64, INBOX_MAX)?;
    }
    let [actor, reason, request] = texts;
    connection
        .prepare_cached("INSERT INTO inbox (rollout, at_ms, actor, reason, request) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![rollout.as_str(), integer("a request's time", at.0)?, actor, reason, request])?;
    Ok(connection.last_insert_rowid().cast_unsigned())
}

fn within(what: &'static str, size: u64, max: u64) -> Result<(), StoreError> {
    if size > max {
        Err(StoreError::TooLarge { what, size, max })
    } else {
        Ok(())
    }
}

/// SQLite's integers have a sign.
fn integer(what: &'static str, number: u64) -> Result<i64, StoreError> {
    let max = i64::MAX.cast_unsigned();
    i64::try_from(number).map_err(|_| StoreError::TooLarge {
        what,
        size: number,
        max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_thread_that_ends_is_an_error_for_all_who_wait_and_come() {
        let (queue, mut requests) = mpsc::channel::<Request>(QUEUE);
        let thread = std::thread::spawn(move || {
            requests.blocking_recv();
            panic!("a panic that a test makes");
        });
        let writer = Writer {
            queue: Some(queue),
            thread: Some(thread),
            counts: Arc::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        runtime.block_on(async {
            let ask = || writer.ask("append to", Work::Open(RolloutId::from("r1")));
            let all = async {
                let (first, second) = tokio::join!(ask(), ask());
                [first, second, ask().await]
            };
            let answers = tokio::time::timeout(Duration::from_secs(60), all)
                .await
                .expect("nobody waits for ever");
            for answer in answers {
                assert!(
                    matches!(answer, Err(JournalError::Storage { .. })),
                    "{answer:?}"
                );
            }
        });
    }
}
