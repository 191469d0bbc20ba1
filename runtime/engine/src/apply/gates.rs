//! What gates said, and of which evidence.

use super::site_mut;
use super::sites::soak_anew;
use crate::evidence::{self as discipline, Failed};
use crate::fact::Withdrawn;
use crate::soak;
use crate::state::{Asked, GateKey, GateState, Retry, State};
use alloc::boxed::Box;
use wavegate_model::limits::GATE_INTERVAL_MIN;
use wavegate_model::plugin::{Evaluation, Phase, Subject, Verdict};
use wavegate_model::policy::{GateUse, OnUnavailable};
use wavegate_model::{ConsultationId, DurationMs, GateName, SiteName, Timestamp, Unavailable};

/// After a host has stopped, questions wait so long: one that is just shutting down would be asked
/// in a loop.
pub(super) const ASKED_AGAIN_AFTER: DurationMs = DurationMs::secs(1);

pub(super) fn failed_again(retry: &mut Retry, at: Timestamp, why: &Unavailable) {
    retry.failures += 1;
    retry.not_before = at.plus(Retry::delay(retry.failures));
    retry.why = Some(Box::new(why.clone()));
}

pub(super) fn gate_asked(
    state: &mut State,
    consultation: ConsultationId,
    key: &GateKey,
    at: Timestamp,
) {
    state.next_consultation = consultation.next();
    let evidence = evidence(state, key);
    state
        .consultations
        .insert(consultation, Asked::Gate(key.clone(), evidence));
    let gate = state.gate_mut(key);
    gate.asked = Some(consultation);
    gate.asked_at = at;
}

/// Number of the evidence that a gate's answer now would be about. It rises when a site changes,
/// and for a wave when one of its sites is no longer finished.
pub(crate) fn evidence(state: &State, key: &GateKey) -> u64 {
    match &key.subject {
        Subject::Site(site) => state.site(site).evidence,
        Subject::Wave(wave) => {
            let waves = state.spec.plan.waves.iter().zip(&state.waves);
            let found = waves.into_iter().find(|(plan, _)| plan.name == *wave);
            found.map_or(0, |(_, wave)| wave.evidence)
        }
    }
}

pub(super) fn gate_answered(
    state: &mut State,
    consultation: ConsultationId,
    key: &GateKey,
    evaluation: &Evaluation,
    at: Timestamp,
) {
    let asked = state.consultations.remove(&consultation);
    let current = matches!(asked, Some(Asked::Gate(_, asked)) if asked == evidence(state, key));
    let policy = crate::gates::policy_of(state, &key.gate).clone();
    let interval = policy.interval.max(GATE_INTERVAL_MIN);
    let gate = state.gate_mut(key);
    gate.asked = None;
    gate.attempts += 1;
    gate.answers += 1;
    gate.retry = Retry::default();
    gate.state = evaluation.state.clone();
    gate.evaluation = Some(Box::new(evaluation.clone()));
    gate.due = if current { at.plus(interval) } else { at };
    match evaluation.verdict {
        Verdict::Fail => failed(gate, &policy),
        Verdict::Pass => {
            gate.fails_in_row = 0;
            gate.recent = discipline::with(gate.recent, Failed::No);
        }
        Verdict::Hold => {}
    }
    if current {
        let goes_on = discipline::fresh_pass(gate, &policy, at);
        gate.passes_in_row = match evaluation.verdict {
            Verdict::Pass if goes_on => gate.passes_in_row.saturating_add(1),
            Verdict::Pass => 1,
            Verdict::Hold | Verdict::Fail => 0,
        };
        gate.last = Some((evaluation.verdict, gate.asked_at));
    }
    if policy.trial {
        return;
    }
    let Subject::Site(name) = &key.subject else {
        return;
    };
    let active = state.active_in(state.site(name).wave, at);
    let site = site_mut(state, name);
    if key.phase == Phase::AfterBatch {
        site.idle_decisions = 0;
    }
    if key.phase != Phase::Soak && key.phase != Phase::Continuous {
        return;
    }
    match evaluation.verdict {
        Verdict::Pass if current => {
            soak::passed(site.soak.entry(key.clone()).or_default(), active, interval)
        }
        // A pass on evidence that is void by now says nothing.
        Verdict::Pass | Verdict::Hold => soak::undecided(site.soak.entry(key.clone()).or_default()),
        Verdict::Fail => soak_anew(state, name, at),
    }
}

pub(super) fn gate_unavailable(
    state: &mut State,
    consultation: ConsultationId,
    key: &GateKey,
    why: &Unavailable,
    at: Timestamp,
) {
    state.consultations.remove(&consultation);
    let policy = crate::gates::policy_of(state, &key.gate).clone();
    let counts = policy.on_unavailable == OnUnavailable::Fail && *why != Unavailable::HostStopped;
    let gate = state.gate_mut(key);
    gate.asked = None;
    gate.attempts += 1;
    gate.answers += 1;
    if counts {
        failed(gate, &policy);
    }
    failed_again(&mut gate.retry, at, why);
    gate.due = gate.retry.not_before;
    gate.last = None;
    gate.passes_in_row = 0;
    if let Subject::Site(name) = &key.subject
        && !policy.trial
        && matches!(key.phase, Phase::Soak | Phase::Continuous)
    {
        soak::undecided(site_mut(state, name).soak.entry(key.clone()).or_default());
    }
}

/// One more fail, and whether the budget tolerates it.
fn failed(gate: &mut GateState, policy: &GateUse) {
    gate.over_budget += u32::from(crate::gates::one_more_is_over(policy, Some(gate)));
    gate.fails_in_row += 1;
    gate.fails += 1;
    gate.recent = discipline::with(gate.recent, Failed::Yes);
}

/// A question that was withdrawn leaves no trace but that it was.
pub(super) fn gate_cancelled(
    state: &mut State,
    consultation: ConsultationId,
    key: &GateKey,
    why: Withdrawn,
    at: Timestamp,
) {
    state.consultations.remove(&consultation);
    let gate = state.gate_mut(key);
    gate.asked = None;
    gate.cancelled += 1;
    gate.due = match why {
        Withdrawn::SubjectChanged | Withdrawn::SubjectLeft => at,
        Withdrawn::HostStopped => at.plus(ASKED_AGAIN_AFTER),
    };
}

/// What was measured so far was measured of something else.
pub(super) fn new_evidence(state: &mut State, name: &SiteName, at: Timestamp) {
    let site = site_mut(state, name);
    site.evidence_start = at;
    site.evidence += 1;
    for gate in site.gates.of_phase_mut(Phase::AfterBatch) {
        gate.last = None;
        gate.passes_in_row = 0;
        gate.attempts = 0;
        gate.due = at;
    }
}

/// These gates have to judge the site once more, by the evidence since its last batch settled.
pub(super) fn ask_again(state: &mut State, name: &SiteName, gates: &[GateName]) {
    let site = site_mut(state, name);
    for gate in gates {
        if let Some(gate) = site.gates.get_mut(Phase::AfterBatch, gate) {
            gate.last = None;
            gate.passes_in_row = 0;
        }
    }
}
