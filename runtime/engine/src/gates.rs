//! When a gate is asked, and what its answer means.

use crate::evidence;
use crate::fact::{Fact, FailReason, Withdrawn};
use crate::state::{GateKey, GateState, RolloutPhase, SitePhase, SiteState, State};
use crate::waiting::WaitingOn;
use alloc::boxed::Box;
use alloc::vec::Vec;
use wavegate_model::plugin::{Evaluation, Phase, Subject, Verdict};
use wavegate_model::policy::{GateUse, OnUnavailable};
use wavegate_model::{ConsultationId, GateName, SiteName, Timestamp, Unavailable};

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

/// Whether a gate is asked in a wave.
pub fn applies(state: &State, gate: &GateName, wave: usize) -> bool {
    let listed = &state.spec.plan.waves[wave].gates;
    listed.as_ref().is_none_or(|gates| gates.contains(gate))
}

/// The gates that are asked in a phase of a wave.
fn asked_in(state: &State, phase: Phase, wave: usize) -> impl Iterator<Item = &GateUse> {
    let gates = state.spec.policy.gates.iter();
    gates.filter(move |gate| gate.phases.contains(&phase) && applies(state, &gate.name, wave))
}

/// Those of them that decide: all but the ones on trial.
pub fn in_phase(state: &State, phase: Phase, wave: usize) -> impl Iterator<Item = &GateUse> {
    asked_in(state, phase, wave).filter(|gate| !gate.trial)
}

/// Names of the gates that decide in a phase of a wave.
pub fn names(state: &State, phase: Phase, wave: usize) -> Vec<GateName> {
    in_phase(state, phase, wave)
        .map(|gate| gate.name.clone())
        .collect()
}

/// The wave that a subject is, or is in.
fn wave_of(state: &State, subject: &Subject) -> usize {
    match subject {
        Subject::Site(site) => state.site(site).wave,
        Subject::Wave(wave) => state.wave_index(wave).expect("the plan has this wave"),
    }
}

/// Whether all these gates have passed for the present evidence; if not, which are asked now.
/// Those that do not apply to the wave are not waited for, and those on trial are only asked.
pub fn judge(
    state: &State,
    subject: &Subject,
    phase: Phase,
    gates: &[GateName],
    now: Timestamp,
) -> Judgement {
    let wave = wave_of(state, subject);
    let key_of = |gate: &GateName| GateKey {
        subject: subject.clone(),
        phase,
        gate: gate.clone(),
    };
    let mut asking = Asking::new(state, now);
    let mut wait: Option<WaitingOn> = None;
    for gate in gates.iter().filter(|gate| applies(state, gate, wave)) {
        let key = key_of(gate);
        let found = state.gate(&key);
        let policy = policy_of(state, gate);
        if let Some(found) = found.filter(|g| evidence::passed(g, policy, now)) {
            asking.until = earliest(asking.until, evidence::stale_at(found, policy));
            continue;
        }
        if wait.is_none() {
            wait = Some(waiting(&key, policy, found, now));
        }
        asking.consider(key, found);
    }
    for gate in asked_in(state, phase, wave).filter(|gate| gate.trial) {
        let key = key_of(&gate.name);
        let found = state.gate(&key);
        // At least once for each evidence, and as often as the others while those are waited for.
        if wait.is_some() || found.is_none_or(|g| g.attempts == 0) {
            asking.consider(key, found);
        }
    }
    match wait {
        _ if !asking.facts.is_empty() => Judgement::Ask(asking.facts),
        None => Judgement::Passed,
        Some(on) => Judgement::Wait(on, asking.until),
    }
}

/// Collects the gates that are to be asked now, and when the next one is due.
struct Asking {
    now: Timestamp,
    next: ConsultationId,
    facts: Vec<Fact>,
    until: Option<Timestamp>,
}

impl Asking {
    fn new(state: &State, now: Timestamp) -> Self {
        Self {
            now,
            next: state.next_consultation,
            facts: Vec::new(),
            until: None,
        }
    }

    fn consider(&mut self, key: GateKey, found: Option<&GateState>) {
        if found.is_some_and(|g| g.asked.is_some()) {
            return;
        }
        let due = found.map_or(Timestamp(0), |g| g.due);
        if due <= self.now {
            self.facts.push(Fact::GateAsked {
                consultation: self.next,
                gate: key,
            });
            self.next = self.next.next();
        } else {
            self.until = earliest(self.until, Some(due));
        }
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// What is waited for where a gate has not passed.
pub fn pending(state: &State, key: &GateKey, now: Timestamp) -> WaitingOn {
    let policy = policy_of(state, &key.gate);
    waiting(key, policy, state.gate(key), now)
}

fn waiting(
    key: &GateKey,
    policy: &GateUse,
    found: Option<&GateState>,
    now: Timestamp,
) -> WaitingOn {
    let (gate, phase) = (key.gate.clone(), key.phase);
    if let Some(state) = found
        && let Some((Verdict::Pass, _)) = state.last
    {
        return if let Some(limit) = policy.fresh_for
            && !evidence::fresh_pass(state, policy, now)
        {
            let age = evidence::age(state, now);
            WaitingOn::GateStale {
                gate,
                phase,
                age,
                limit,
            }
        } else {
            WaitingOn::GatePasses {
                gate,
                phase,
                passes: state.passes_in_row,
                wanted: policy.passes,
            }
        };
    }
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
/// the end of the rollout, and soak gates while it or its wave soaks. One that ran the release
/// before needs no command, and is watched while it soaks. Gives those that are to be
/// asked now, and when the next one is due.
pub fn background(
    state: &State,
    name: &SiteName,
    site: &SiteState,
    now: Timestamp,
) -> (Vec<Fact>, Option<Timestamp>) {
    let soaks = soaks(state, site);
    let watched = goes_on(site) && (site.touched || soaks);
    if !watched || !matches!(state.phase, RolloutPhase::Running) {
        return (Vec::new(), None);
    }
    let mut asking = Asking::new(state, now);
    for gate in &state.spec.policy.gates {
        for phase in [Phase::Soak, Phase::Continuous] {
            let asked = gate.phases.contains(&phase) && (phase != Phase::Soak || soaks);
            if !asked || !applies(state, &gate.name, site.wave) {
                continue;
            }
            let key = GateKey {
                subject: Subject::Site(name.clone()),
                phase,
                gate: gate.name.clone(),
            };
            let found = state.gate(&key);
            asking.consider(key, found);
        }
    }
    (asking.facts, asking.until)
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

/// What a gate's answer means, as facts. `evidence` is the number of the evidence that the question
/// was about.
pub fn answered(
    state: &State,
    now: Timestamp,
    key: &GateKey,
    evidence: u64,
    consultation: ConsultationId,
    result: &Result<Evaluation, Unavailable>,
) -> Vec<Fact> {
    let policy = policy_of(state, &key.gate);
    let gate = key.clone();
    if let Some(why) = withdrawn(state, key, evidence, result) {
        return alloc::vec![Fact::GateCancelled {
            consultation,
            gate,
            why,
        }];
    }
    let before = state.gate(key);
    let (fact, failed) = match result {
        Ok(evaluation) => {
            let asked_at = before.map_or(now, |g| g.asked_at);
            let evaluation = evidence::accepted(evaluation, policy, asked_at, now);
            let failed =
                (evaluation.verdict == Verdict::Fail).then(|| gate_failed(key, &evaluation));
            let evaluation = Box::new(evaluation);
            let fact = Fact::GateAnswered {
                consultation,
                gate,
                evaluation,
            };
            (fact, failed)
        }
        Err(why) => {
            let why = why.clone();
            let counts = policy.on_unavailable == OnUnavailable::Fail;
            let failed = counts.then(|| FailReason::GateUnavailable {
                gate: key.gate.clone(),
                why: why.clone(),
            });
            let fact = Fact::GateUnavailable {
                consultation,
                gate,
                why,
            };
            (fact, failed)
        }
    };
    let mut facts = alloc::vec![fact];
    if let Some(reason) = failed.filter(|_| !policy.trial && one_more_is_over(policy, before)) {
        facts.extend(over_budget(state, &key.subject, &reason));
    }
    facts
}

/// Whether the budget of a gate does not tolerate one more fail.
pub fn one_more_is_over(policy: &GateUse, before: Option<&GateState>) -> bool {
    let (in_row, in_all, recent) =
        before.map_or((0, 0, 0), |g| (g.fails_in_row, g.fails, g.recent));
    let recent = evidence::with(recent, evidence::Failed::Yes);
    evidence::over_budget(&policy.budget, in_row + 1, in_all + 1, recent)
}

fn gate_failed(key: &GateKey, evaluation: &Evaluation) -> FailReason {
    let broken = evaluation.measurements.iter();
    FailReason::Gate {
        gate: key.gate.clone(),
        reason: evaluation.reason.clone(),
        measurements: broken
            .filter(|m| m.verdict == Verdict::Fail)
            .cloned()
            .collect(),
    }
}

/// Why an answer comes to nothing, if what it was about has moved on. What watches a site all the
/// time goes on through its changes: there a fail counts, and [`crate::apply`] sees to it that a
/// pass does not. What is on trial is recorded as what it was asked about.
fn withdrawn(
    state: &State,
    key: &GateKey,
    evidence: u64,
    result: &Result<Evaluation, Unavailable>,
) -> Option<Withdrawn> {
    if matches!(result, Err(Unavailable::HostStopped)) {
        return Some(Withdrawn::HostStopped);
    }
    let left = match &key.subject {
        Subject::Site(site) => !goes_on(state.site(site)),
        Subject::Wave(_) => false,
    };
    if left || !matches!(state.phase, RolloutPhase::Running) {
        return Some(Withdrawn::SubjectLeft);
    }
    let watches = matches!(key.phase, Phase::Soak | Phase::Continuous);
    let trial = policy_of(state, &key.gate).trial;
    let changed = evidence != crate::apply::evidence(state, key);
    (changed && !watches && !trial).then_some(Withdrawn::SubjectChanged)
}

/// Whether a site is one that gates can still say something about.
fn goes_on(site: &SiteState) -> bool {
    matches!(
        site.phase,
        SitePhase::Updating | SitePhase::Soaking | SitePhase::Done
    )
}

fn over_budget(state: &State, subject: &Subject, reason: &FailReason) -> Vec<Fact> {
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
        .filter(|site| goes_on(state.site(site)))
        .collect();
    crate::failure::sites_failed(state, &sites, reason)
}
