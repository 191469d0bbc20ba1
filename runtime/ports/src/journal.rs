//! The append-only record of a rollout.
//!
//! A journal stores bytes. What they mean is the conductor's knowledge; hashes are made over
//! the stored bytes, never over bytes serialised again.

use crate::BoxFuture;
use serde::{Deserialize, Serialize};
use wavegate_model::{Digest, RolloutId, Timestamp};

/// A value that was journaled before it may take effect. Only [`commit`] makes one.
#[derive(Debug)]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// The value, to be carried out.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// A part of the value, as durable as the whole.
    pub fn map<U>(self, part: impl FnOnce(T) -> U) -> Durable<U> {
        Durable(part(self.0))
    }
}

impl<T> std::ops::Deref for Durable<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// What one turn appends, in one transaction.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose journal.
    pub rollout: RolloutId,
    /// The writer's number, from [`Journal::open`]. A journal that another writer has opened
    /// since refuses the batch.
    pub writer: u64,
    /// In order.
    pub records: Vec<NewRecord>,
    /// Bytes that the records refer to by digest. Stored once, before the records.
    pub blobs: Vec<Blob>,
}

/// A record that is to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// When it was decided.
    pub at: Timestamp,
    /// What the body is, for example `step`.
    pub kind: String,
    /// Version of the body's format.
    pub version: u32,
    /// The body.
    pub body: Vec<u8>,
}

/// A record as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Counts the records of a rollout from 1, without gaps.
    pub seq: u64,
    /// What was appended.
    pub record: NewRecord,
    /// SHA-256 over the previous record's hash and this record's stored fields.
    pub hash: Digest,
}

/// Bytes stored by digest: evidence, inputs and outputs of plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A request of a person, put into the inbox by another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxRow {
    /// Rising.
    pub id: u64,
    /// When it was put there.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// What, as JSON.
    pub request: String,
}

/// A rollout that a journal knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its id.
    pub rollout: RolloutId,
    /// When its first record was made.
    pub started: Timestamp,
    /// Number of its records.
    pub records: u64,
}

/// An operation of the journal failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process opened the journal for writing since.
    #[error("another host has taken over rollout `{rollout}`")]
    TakenOver {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// The stored records are not what was written.
    #[error("the journal of rollout `{rollout}` is damaged at record {seq}: {detail}")]
    Damaged {
        /// Which rollout.
        rollout: RolloutId,
        /// The first record that is not right.
        seq: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// Stored bytes are not what their digest says.
    #[error("the journal is damaged: the bytes stored as `{digest}` are others")]
    BytesDamaged {
        /// Of the bytes that were written.
        digest: Digest,
    },
    /// No such rollout.
    #[error("the journal has no rollout `{rollout}`")]
    Unknown {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// Written by a later version.
    #[error("the journal has format {found}, and this program reads formats up to {known}")]
    TooNew {
        /// Version in the file.
        found: u32,
        /// Newest version that is known.
        known: u32,
    },
    /// The store below failed.
    #[error("failed to {operation} the journal")]
    Storage {
        /// What was tried, for example `append to`.
        operation: &'static str,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Stores the records of rollouts.
pub trait Journal: Send + Sync {
    /// Opens a rollout for writing and returns the writer's number, higher than any before.
    /// Earlier writers are refused from then on.
    fn open(&self, rollout: &RolloutId) -> BoxFuture<'_, Result<u64, JournalError>>;
    /// Appends a batch in one transaction that is durable when the future is ready. Batches of
    /// several rollouts may share a transaction.
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<(), JournalError>>;
    /// Reads and checks the records after `after` (0 for all), in order.
    fn read(
        &self,
        rollout: &RolloutId,
        after: u64,
    ) -> BoxFuture<'_, Result<Vec<StoredRecord>, JournalError>>;
    /// Reads bytes by digest.
    fn blob(&self, digest: &Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, JournalError>>;
    /// Reads the bytes of several digests, in their order.
    fn blobs<'a>(
        &'a self,
        digests: &'a [Digest],
    ) -> BoxFuture<'a, Result<Vec<Option<Vec<u8>>>, JournalError>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(digests.len());
            for digest in digests {
                all.push(self.blob(digest).await?);
            }
            Ok(all)
        })
    }
    /// All rollouts, oldest first.
    fn rollouts(&self) -> BoxFuture<'_, Result<Vec<JournalEntry>, JournalError>>;
    /// Puts a request into a rollout's inbox and returns its id.
    fn put_inbox(
        &self,
        rollout: &RolloutId,
        at: Timestamp,
        actor: String,
        reason: String,
        request: String,
    ) -> BoxFuture<'_, Result<u64, JournalError>>;
    /// Requests with an id above `after`, in order.
    fn inbox(
        &self,
        rollout: &RolloutId,
        after: u64,
    ) -> BoxFuture<'_, Result<Vec<InboxRow>, JournalError>>;
}

/// Appends a batch and, once it is durable, releases the effects that it recorded.
///
/// This is the only maker of [`Durable`]: nothing that takes one can run before its record.
pub async fn commit<T>(
    journal: &dyn Journal,
    batch: Batch,
    effects: Vec<T>,
) -> Result<Vec<Durable<T>>, JournalError> {
    journal.append(batch).await?;
    Ok(effects.into_iter().map(Durable).collect())
}
