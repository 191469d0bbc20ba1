//! Where evidence comes from.

use crate::BoxFuture;
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::{Evidence, Query, SourceName};

/// A source could not answer. The message is redacted: it has no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No such source.
    #[error("there is no source `{0}`")]
    Unknown(SourceName),
    /// The source does not answer such queries.
    #[error("source `{source_name}` is of kind `{kind}` and cannot answer {what}")]
    WrongKind {
        /// Which source.
        source_name: SourceName,
        /// Its kind.
        kind: &'static str,
        /// What was asked.
        what: &'static str,
    },
    /// The query is outside of what the source's owner allows.
    #[error("source `{source_name}` refuses the query: {detail}")]
    Refused {
        /// Which source.
        source_name: SourceName,
        /// Which rule.
        detail: String,
    },
    /// It did not answer, or not in a usable way.
    #[error("source `{source_name}` did not answer: {detail}")]
    Unavailable {
        /// Which source.
        source_name: SourceName,
        /// Why, redacted.
        detail: String,
    },
}

/// Answers queries of gates.
pub trait Sources: Send + Sync {
    /// Asks a source whether it would answer: it is there, and takes the credentials. What it
    /// says about a question of a gate shows only when that is asked.
    fn check(&self, source: &SourceName) -> BoxFuture<'_, Result<(), SourceError>>;
    /// Asks a source. Bounded in time and size by the adapter.
    fn fetch(
        &self,
        source: &SourceName,
        query: &Query,
        scope: &EvidenceScope,
    ) -> BoxFuture<'_, Result<Evidence, SourceError>>;
}
