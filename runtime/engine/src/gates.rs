//! When a gate is asked, and what its answer means.

use crate::fact::{Fact, FailReason};
use crate::state::{GateKey, GateState, RolloutPhase, SitePhase, SiteState, State};
use crate::waiting::WaitingOn;
use alloc::boxed::Box;
use alloc::vec::Vec;
use wavegate_model::plugin::{Evaluation, Phase, Subject, Verdict};
use wavegate_model::policy::{GateUse, OnUnavailable};
use wavegate_model::{GateName, SiteName, Timestamp, Unavailable};

/// What a set of gates says.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// All of them passed.
    Passed,
    /// Some have to be asked now.
    Ask(Vec<Fact>),
    /// Some have not passed; the wait is for the first of them.
    Wait(WaitingOn, Option<Timestamp>),
}

/// The gates of the policy that are asked in a phase.
pub fn in_phase(state: &State, phase: Phase) -> impl Iterator<Item = &GateUse> {
    state
        .spec
        .policy
        .gates
        .iter()
        .filter(move |gate| gate.phases.contains(&phase))
}

/// Names of the gates that are asked in a phase.
pub fn names(state: &State, phase: Phase) -> Vec<GateName> {
    in_phase(state, phase)
        .map(|gate| gate.name.clone())
        .collect()
}

/// Whether all these gates have passed for the present evidence; if not, which are asked now.
pub fn judge(
    state: &State,
    subject: &Subject,
    phase: Phase,
    gates: &[GateName],
    now: Timestamp,
) -> Judgement {
    let mut ask = Vec::new();
    let mut wait: Option<WaitingOn> = None;
    let mut until: Option<Timestamp> = None;
    let mut next_consultation = state.next_consultation;
    for gate in gates {
        let key = GateKey {
            subject: subject.clone(),
            phase,
            gate: gate.clone(),
        };
        let found = state.gate(&key);
        if found.is_some_and(|g| matches!(g.last, Some((Verdict::Pass, _)))) {
            continue;
        }
        if wait.is_none() {
            wait = Some(waiting(&key, found));
        }
        if found.is_some_and(|g| g.asked.is_some()) {
            continue;
        }
        let due = found.map_or(Timestamp(0), |g| g.due);
        if due <= now {
            ask.push(Fact::GateAsked {
                consultation: next_consultation,
                gate: key,
            });
            next_consultation = next_consultation.next();
        } else {
            until = Some(until.map_or(due, |u| u.min(due)));
        }
    }
    match wait {
        None => Judgement::Passed,
        Some(_) if !ask.is_empty() => Judgement::Ask(ask),
        Some(on) => Judgement::Wait(on, until),
    }
}

pub(crate) fn waiting(key: &GateKey, found: Option<&GateState>) -> WaitingOn {
    let (gate, phase) = (key.gate.clone(), key.phase);
    if let Some(state) = found
        && let Some(why) = &state.retry.why
    {
        return WaitingOn::GateUnavailable {
            gate,
            phase,
            why: (**why).clone(),
            failures: state.retry.failures,
        };
    }
    let last = found
        .and_then(|state| state.last)
        .map(|(verdict, _)| verdict);
    let reason = found
        .and_then(|state| state.evaluation.as_ref())
        .map(|e| e.reason.clone());
    WaitingOn::Gate {
        gate,
        phase,
        last,
        reason: reason.unwrap_or_default(),
    }
}

/// Gates that watch a site without being waited for: continuous ones from its first command to
/// the end of the rollout, and soak gates while it or its wave soaks. Gives those that are to be
/// asked now, and when the next one is due.
pub fn background(
    state: &State,
    name: &SiteName,
    site: &SiteState,
    now: Timestamp,
) -> (Vec<Fact>, Option<Timestamp>) {
    let watched = matches!(
        site.phase,
        SitePhase::Updating | SitePhase::Soaking | SitePhase::Done
    );
    if !watched || !site.touched || !matches!(state.phase, RolloutPhase::Running) {
        return (Vec::new(), None);
    }
    let mut ask = Vec::new();
    let mut until: Option<Timestamp> = None;
    let mut next_consultation = state.next_consultation;
    let soaks = soaks(state, site);
    for gate in &state.spec.policy.gates {
        for phase in [Phase::Soak, Phase::Continuous] {
            if !gate.phases.contains(&phase) || (phase == Phase::Soak && !soaks) {
                continue;
            }
            let key = GateKey {
                subject: Subject::Site(name.clone()),
                phase,
                gate: gate.name.clone(),
            };
            let found = state.gate(&key);
            if found.is_some_and(|g| g.asked.is_some()) {
                continue;
            }
            let due = found.map_or(Timestamp(0), |g| g.due);
            if due <= now {
                ask.push(Fact::GateAsked {
                    consultation: next_consultation,
                    gate: key,
                });
                next_consultation = next_consultation.next();
            } else {
                until = Some(until.map_or(due, |u| u.min(due)));
            }
        }
    }
    (ask, until)
}

/// Whether the site, or the wave it is in, soaks.
pub fn soaks(state: &State, site: &SiteState) -> bool {
    let wave_soaks = state.waves[site.wave].phase == crate::state::WavePhase::Soaking;
    site.phase == SitePhase::Soaking || (site.phase == SitePhase::Done && wave_soaks)
}

/// The policy's part of a gate.
///
/// # Panics
/// If the policy has no such gate: keys are made from the policy alone.
pub fn policy_of<'a>(state: &'a State, gate: &GateName) -> &'a GateUse {
    let found = state.spec.policy.gates.iter().find(|g| g.name == *gate);
    found.expect("the policy has this gate")
}

/// What a gate's answer means, as facts.
pub fn answered(
    state: &State,
    key: &GateKey,
    consultation: wavegate_model::ConsultationId,
    result: &Result<Evaluation, Unavailable>,
) -> Vec<Fact> {
    let policy = policy_of(state, &key.gate);
    let before = state.gate(key);
    let (fact, failed) = match result {
        Ok(evaluation) => {
            let evaluation = enough_samples(evaluation, policy.min_samples);
            let failed = (evaluation.verdict == Verdict::Fail).then(|| FailReason::Gate {
                gate: key.gate.clone(),
                reason: evaluation.reason.clone(),
                measurements: evaluation
                    .measurements
                    .iter()
                    .filter(|m| m.verdict == Verdict::Fail)
                    .cloned()
                    .collect(),
            });
            (
                Fact::GateAnswered {
                    consultation,
                    gate: key.clone(),
                    evaluation: Box::new(evaluation),
                },
                failed,
            )
        }
        Err(why) => {
            let counts =
                policy.on_unavailable == OnUnavailable::Fail && *why != Unavailable::HostStopped;
            let failed = counts.then(|| FailReason::GateUnavailable {
                gate: key.gate.clone(),
                why: why.clone(),
            });
            (
                Fact::GateUnavailable {
                    consultation,
                    gate: key.clone(),
                    why: why.clone(),
                },
                failed,
            )
        }
    };
    let mut facts = alloc::vec![fact];
    if let Some(reason) = failed {
        let in_row = before.map_or(0, |g| g.fails_in_row) + 1;
        let in_all = before.map_or(0, |g| g.fails) + 1;
        let budget = policy.budget;
        if in_row > budget.consecutive || in_all > budget.total.max(budget.consecutive) {
            facts.extend(over_budget(state, &key.subject, &reason));
        }
    }
    facts
}

/// A pass must rest on enough valid samples; otherwise nothing is decided.
fn enough_samples(evaluation: &Evaluation, min_samples: u32) -> Evaluation {
    let mut evaluation = evaluation.clone();
    let valid = evaluation
        .measurements
        .iter()
        .filter(|m| m.value.is_some())
        .map(|m| m.samples)
        .min()
        .unwrap_or(0);
    if evaluation.verdict == Verdict::Pass && valid < min_samples {
        evaluation.verdict = Verdict::Hold;
        evaluation.reason =
            alloc::format!("{valid} valid samples, and the policy wants at least {min_samples}");
    }
    evaluation
}

fn over_budget(state: &State, subject: &Subject, reason: &FailReason) -> Vec<Fact> {
    let fails = |site: &SiteState| {
        matches!(
            site.phase,
            SitePhase::Updating | SitePhase::Soaking | SitePhase::Done
        )
    };
    let sites: Vec<&SiteName> = match subject {
        Subject::Site(site) => alloc::vec![site],
        Subject::Wave(wave) => {
            let index = state.spec.plan.waves.iter().position(|w| w.name == *wave);
            let touched = state
                .sites
                .iter()
                .filter(|(_, s)| Some(s.wave) == index && s.touched);
            touched.map(|(name, _)| name).collect()
        }
    };
    let sites: Vec<&SiteName> = sites
        .into_iter()
        .filter(|site| fails(state.site(site)))
        .collect();
    crate::failure::sites_failed(state, &sites, reason)
}
