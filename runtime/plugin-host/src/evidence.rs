//! Evidence is never fetched inside a guest: it is looked up among the answers that the call
//! brought along, in the order in which an earlier run asked for them.

use crate::stop::Stop;
use crate::text::clean_to;
use std::collections::BTreeSet;
use wavegate_model::limits::EVIDENCE_QUERIES_MAX;
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
        let mut answers = self.answers(std::slice::from_ref(query))?;
        Ok(answers.next().expect("as many answers as queries"))
    }

    /// The recorded answers to queries that are asked at once. If they are not there, the call
    /// ends with all of them, so that they take one round.
    pub(crate) fn answers(
        &mut self,
        queries: &[Query],
    ) -> Result<impl Iterator<Item = &Evidence>, Stop> {
        let end = self.next.saturating_add(queries.len());
        let recorded = &self.answers[self.next..end.min(self.answers.len())];
        let differs = |((recorded, _), query): (&(Query, Evidence), &Query)| recorded != query;
        if let Some(place) = recorded.iter().zip(queries).position(differs) {
            let number = self.next + place + 1;
            let detail = format!("question {number} was another one in the run before");
            return Err(Stop::Unavailable(Unavailable::NonDeterministic { detail }));
        }
        let missing = &queries[recorded.len()..];
        if missing.is_empty() {
            self.next = end;
            return Ok(recorded.iter().map(|(_, evidence)| evidence));
        }
        if u32::try_from(end).is_ok_and(|end| end <= EVIDENCE_QUERIES_MAX) {
            return Err(Stop::NeedsEvidence(missing.to_vec()));
        }
        Err(Stop::Unavailable(Unavailable::TooManyQueries {
            limit: EVIDENCE_QUERIES_MAX,
        }))
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
