//! Evidence is never fetched inside a guest: it is looked up among the answers that the call
//! brought along, in the order in which an earlier run asked for them.

use crate::stop::Stop;
use crate::text::clean_to;
use std::collections::BTreeSet;
use wavegate_model::limits::EVIDENCE_ROUNDS_MAX;
use wavegate_model::{Evidence, Query, SlotName, Unavailable};

/// Bytes of a query or path: sources refuse longer ones, and each is journaled.
pub(crate) const QUERY_BYTES_MAX: usize = 16 << 10;

/// The answers that a call brought along.
#[derive(Default)]
pub(crate) struct EvidenceBook {
    answers: Vec<(Query, Evidence)>,
    next: usize,
    slots: BTreeSet<SlotName>,
}

impl EvidenceBook {
    pub(crate) fn new(answers: Vec<(Query, Evidence)>, slots: BTreeSet<SlotName>) -> Self {
        Self {
            answers,
            next: 0,
            slots,
        }
    }

    /// The name of a slot that the policy binds.
    pub(crate) fn slot(&self, name: &str) -> Result<SlotName, Stop> {
        self.slots
            .get(&SlotName::new(name))
            .cloned()
            .ok_or_else(|| {
                // A name that nobody granted can be anything, so it is cleaned before it is shown.
                Stop::Unavailable(Unavailable::NotGranted {
                    slot: SlotName::new(clean_to(name, 64)),
                })
            })
    }

    /// The recorded answer to a query.
    pub(crate) fn answer(&mut self, query: &Query) -> Result<&Evidence, Stop> {
        let asked = u32::try_from(self.next).unwrap_or(u32::MAX);
        let Some((recorded, evidence)) = self.answers.get(self.next) else {
            if asked >= EVIDENCE_ROUNDS_MAX {
                return Err(Stop::Unavailable(Unavailable::TooManyRounds {
                    limit: EVIDENCE_ROUNDS_MAX,
                }));
            }
            return Err(Stop::NeedsEvidence(query.clone()));
        };
        if recorded != query {
            let detail = format!(
                "question {} was another one in the run before",
                asked.saturating_add(1)
            );
            return Err(Stop::Unavailable(Unavailable::NonDeterministic { detail }));
        }
        self.next += 1;
        Ok(evidence)
    }

    /// Whether every answer was asked for again.
    pub(crate) fn is_used_up(&self) -> bool {
        self.next == self.answers.len()
    }

    /// What an answer is worth that left out questions of the run before.
    pub(crate) fn asked_for_less(&self) -> Stop {
        let detail = format!(
            "it asked {} questions in the run before and {} in this",
            self.answers.len(),
            self.next
        );
        Stop::Unavailable(Unavailable::NonDeterministic { detail })
    }
}

/// An answer of a kind that its query cannot have; only a damaged journal has one.
pub(crate) fn wrong_kind(query: &Query) -> Stop {
    let detail = format!(
        "the recorded answer of slot `{}` is of another kind than the question",
        query.slot()
    );
    Stop::Unavailable(Unavailable::NonDeterministic { detail })
}
