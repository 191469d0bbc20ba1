//! What can be wrong below the port: the causes inside [`JournalError::Storage`].

use std::path::PathBuf;
use std::sync::Arc;
use wavegate_model::Digest;
use wavegate_ports::journal::JournalError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("failed to {operation} `{}`", .path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to start the thread that serves it")]
    Thread(#[source] std::io::Error),
    #[error("the thread that serves it has stopped")]
    Stopped,
    #[error("it was opened for reading only")]
    ReadOnly,
    #[error("the file is a database of another program, or was never finished")]
    NotAJournal,
    #[error("sqlite keeps `{pragma}` at `{found}` instead of `{wanted}`")]
    Setting {
        pragma: &'static str,
        wanted: &'static str,
        found: String,
    },
    #[error("the transaction was lost before its commit")]
    TransactionLost,
    #[error("the transaction that it belonged to failed")]
    Group(#[source] Arc<StoreError>),
    #[error("{what} is {size}, and the limit is {max}")]
    TooLarge {
        what: &'static str,
        size: u64,
        max: u64,
    },
    #[error("the bytes given as `{given}` have the digest `{actual}`")]
    BlobMismatch { given: Digest, actual: Digest },
    #[error(
        "the newest records are in `{}`, which can be read only in a folder that can be written; \
         copy both files to one", .log.display()
    )]
    LogUnread {
        log: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
}

/// Wraps a cause for the port.
pub(crate) fn storage(operation: &'static str, cause: impl Into<StoreError>) -> JournalError {
    JournalError::Storage {
        operation,
        source: Box::new(cause.into()),
    }
}

/// Why a request failed, where it is not known which operation of the port it was.
pub(crate) enum Failure {
    Port(JournalError),
    Store(StoreError),
}

impl Failure {
    pub(crate) fn for_port(self, operation: &'static str) -> JournalError {
        match self {
            Failure::Port(error) => error,
            Failure::Store(cause) => storage(operation, cause),
        }
    }
}

impl<E: Into<StoreError>> From<E> for Failure {
    fn from(cause: E) -> Self {
        Failure::Store(cause.into())
    }
}
