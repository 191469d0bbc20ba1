//! What an answer of a gate may count as.

use super::Violation;
use super::book::{Book, Place};
use crate::fact::{FailReason, Withdrawn};
use crate::state::GateKey;
use wavegate_model::plugin::{Evaluation, Subject, Verdict};
use wavegate_model::{ConsultationId, SiteName, Timestamp};

/// A pass rests on enough samples, which were new, and came in time.
pub(super) fn answered(
    book: &Book,
    consultation: ConsultationId,
    key: &GateKey,
    evaluation: &Evaluation,
    at: Timestamp,
) -> Result<(), Violation> {
    let (Some(policy), Verdict::Pass) = (book.gate(&key.gate), evaluation.verdict) else {
        return Ok(());
    };
    let mut least = None;
    for measured in evaluation.measurements.iter().filter(|m| m.value.is_some()) {
        least = Some(least.map_or(measured.samples, |least: u32| least.min(measured.samples)));
    }
    let samples = least.unwrap_or(0);
    if samples < policy.min_samples {
        return Err(Violation::TooFewSamples {
            gate: key.gate.clone(),
            samples,
            least: policy.min_samples,
        });
    }
    let asked = book.asked.get(&consultation).map(|question| question.at);
    if let (Some(limit), Some(asked)) = (policy.fresh_for, asked) {
        let late = at.since(asked);
        let old = evaluation.newest.map(|newest| asked.since(newest));
        let age = old.map_or(late, |old| old.max(late));
        if age > limit {
            return Err(Violation::StaleEvidence {
                gate: key.gate.clone(),
                age,
                limit,
            });
        }
    }
    Ok(())
}

/// A question is withdrawn only where what it was about has moved on: a fail is not dropped.
pub(super) fn cancelled(
    book: &Book,
    consultation: ConsultationId,
    why: Withdrawn,
) -> Result<(), Violation> {
    let Some(question) = book.asked.get(&consultation) else {
        return Ok(());
    };
    let left = match &question.gate.subject {
        Subject::Site(site) => !matches!(
            book.site(site).place,
            Place::Updating | Place::Soaking | Place::Done
        ),
        Subject::Wave(_) => false,
    };
    let so = match why {
        Withdrawn::HostStopped => true,
        Withdrawn::SubjectLeft => left || book.stopping.is_some(),
        Withdrawn::SubjectChanged => book.changes_of(&question.gate.subject) != question.changes,
    };
    if so {
        return Ok(());
    }
    Err(Violation::WithdrawnForNothing {
        consultation,
        gate: question.gate.gate.clone(),
    })
}

/// A gate on trial fails no site.
pub(super) fn site_failed(
    book: &Book,
    site: &SiteName,
    reason: &FailReason,
) -> Result<(), Violation> {
    let (FailReason::Gate { gate, .. } | FailReason::GateUnavailable { gate, .. }) = reason else {
        return Ok(());
    };
    if book.gate(gate).is_some_and(|gate| gate.trial) {
        return Err(Violation::TrialDecides {
            site: site.clone(),
            gate: gate.clone(),
        });
    }
    Ok(())
}
