//! What running a journal again shows, and why one cannot be run again.

use crate::recorded::{Said, Unreadable};
use wavegate_engine::Fact;
use wavegate_model::{ConsultationId, Digest, RolloutId, Timestamp};
use wavegate_ports::journal::JournalError;

/// What running a journal again has shown.
#[derive(Debug, Default)]
pub struct Verified {
    /// Records that were read.
    pub records: usize,
    /// Inputs that went through the engine.
    pub steps: usize,
    /// Facts that they led to.
    pub facts: usize,
    /// Host processes that had a part in the rollout.
    pub hosts: usize,
    /// Whether the rollout has ended by its last record. Nothing else shows that the records of an
    /// end were cut off.
    pub ended: bool,
    /// Answers of components.
    pub answers: Answers,
    /// What was otherwise, in the order of the records: the first ones.
    pub differences: Vec<Difference>,
    /// How many more there were.
    pub more: usize,
    /// Answers that could not be checked, by component: in the order of the records.
    pub unchecked: Vec<Unchecked>,
}

/// Answers of a component that is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchecked {
    /// Which one.
    pub component: Digest,
    /// Who was asked, for example `gate success`.
    pub who: String,
    /// Why it is not to be had.
    pub why: String,
    /// How many answers.
    pub answers: usize,
}

/// How answers of components were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Asked again: the same bytes.
    pub same: usize,
    /// Of these, how many used the same fuel on a host with the same key.
    pub same_fuel: usize,
    /// Taken as recorded: what a clock or the machine's memory decided, and sources that did not
    /// answer, cannot be derived again.
    pub as_recorded: usize,
}

/// Something that went another way.
#[derive(Debug)]
pub struct Difference {
    /// Number of the record.
    pub seq: u64,
    /// Its instant.
    pub at: Timestamp,
    /// What differs.
    pub what: Differs,
}

/// What differs.
#[derive(Debug)]
pub enum Differs {
    /// The engine decides otherwise on an input: the first fact that differs.
    Facts {
        /// Counted from 0 in the step.
        place: usize,
        /// None if the record has fewer.
        recorded: Option<Box<Fact>>,
        /// None if the engine decides fewer.
        now: Option<Box<Fact>>,
    },
    /// A recorded fact breaks an invariant.
    Invariant(String),
    /// The engine did not ask this question.
    NotAsked {
        /// Which question.
        consultation: ConsultationId,
    },
    /// The engine asks something else, or somebody else.
    Question {
        /// Which question.
        consultation: ConsultationId,
        /// Who was asked.
        who: String,
        /// What of it: the component, the configuration or the question.
        what: &'static str,
    },
    /// A component answers otherwise.
    Answer {
        /// Which question.
        consultation: ConsultationId,
        /// Who was asked.
        who: String,
        /// What was recorded.
        recorded: Box<Said>,
        /// What it says now.
        now: Box<Said>,
    },
    /// It answers the same with another amount of work on the same host.
    Fuel {
        /// Which question.
        consultation: ConsultationId,
        /// Who was asked.
        who: String,
        /// Units of fuel then.
        recorded: u64,
        /// Units of fuel now.
        now: u64,
    },
    /// The engine took another answer than the one that was recorded.
    Taken {
        /// Which question.
        consultation: ConsultationId,
    },
    /// The engine took an answer that nobody is recorded to have given.
    Unheard {
        /// Which question.
        consultation: ConsultationId,
    },
}

/// A journal cannot be run again.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The records could not be read.
    #[error("failed to read rollout `{rollout}`")]
    Journal {
        /// Which rollout.
        rollout: RolloutId,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// A record cannot be understood.
    #[error("record {seq} cannot be read: {detail}")]
    Record {
        /// Which record.
        seq: u64,
        /// What is wrong.
        detail: String,
    },
    /// A record is of a later version of this program.
    #[error("record {seq} has format {found}, newer than {known}")]
    TooNew {
        /// Which record.
        seq: u64,
        /// Version of the record.
        found: u32,
        /// Newest version that is known.
        known: u32,
    },
    /// What a consultation names is missing.
    #[error(transparent)]
    Bytes(#[from] Unreadable),
    /// What a record names is missing.
    #[error("failed to read what record {seq} names")]
    Named {
        /// Which record.
        seq: u64,
        /// Why.
        #[source]
        source: Unreadable,
    },
    /// The first record is not the start of a rollout.
    #[error("the first step of the journal is not the start of a rollout")]
    NoStart,
}

impl VerifyError {
    /// Whether the journal is not what was written. Otherwise it could not be read here.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Journal { source, .. } => is_damage(source),
            Self::Bytes(source) | Self::Named { source, .. } => match source {
                Unreadable::Journal { source, .. } => is_damage(source),
                Unreadable::Bytes { .. } => true,
            },
            Self::Record { .. } | Self::NoStart => true,
            Self::TooNew { .. } => false,
        }
    }

    /// The record that is not right, if one is.
    pub fn record(&self) -> Option<u64> {
        match self {
            Self::Journal {
                source: JournalError::Damaged { seq, .. },
                ..
            }
            | Self::Record { seq, .. }
            | Self::TooNew { seq, .. }
            | Self::Named { seq, .. } => Some(*seq),
            Self::Journal { .. } | Self::Bytes(_) | Self::NoStart => None,
        }
    }
}

fn is_damage(error: &JournalError) -> bool {
    matches!(
        error,
        JournalError::Damaged { .. } | JournalError::BytesDamaged { .. }
    )
}
