//! Counts of what the writer did.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was written through this journal since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions that were committed; each waits for the disk once, and checkpoints wait more.
    pub transactions: u64,
    /// Requests that were answered from a committed transaction: batches, openings, inbox rows.
    pub requests: u64,
    /// The most requests in one transaction.
    pub largest_group: u64,
}

/// The same, where the writer counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    transactions: AtomicU64,
    requests: AtomicU64,
    largest_group: AtomicU64,
}

impl Counts {
    pub(crate) fn committed(&self, requests: usize) {
        let requests = requests as u64;
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(requests, Ordering::Relaxed);
        self.largest_group.fetch_max(requests, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            transactions: self.transactions.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            largest_group: self.largest_group.load(Ordering::Relaxed),
        }
    }
}
