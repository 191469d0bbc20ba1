//! What operators decide about sites and gates: retried, left out, overridden, undone.

use super::site_mut;
use super::sites::set_phase;
use crate::fact::{FailReason, HoldReason, StopReason};
use crate::soak;
use crate::state::{
    Asked, GateKey, GateState, Override, Retry, RolloutPhase, SitePhase, SiteState, State, Step,
    WavePhase,
};
use alloc::collections::BTreeSet;
use alloc::string::String;
use wavegate_model::limits::GATE_INTERVAL_MIN;
use wavegate_model::plugin::{Completed, Phase, PluginState, Subject, Verdict};
use wavegate_model::{SiteName, Timestamp};

pub(super) fn back_offs_ended(state: &mut State, site: Option<&SiteName>, at: Timestamp) {
    let ask = |gate: &mut GateState| {
        if gate.retry.failures > 0 {
            gate.retry.not_before = at;
            gate.due = at;
        }
    };
    let ended = |found: &mut SiteState| {
        found.retry.not_before = at;
        found.command_retry.not_before = at;
        found.gates.values_mut().for_each(ask);
    };
    match site {
        Some(site) => ended(site_mut(state, site)),
        None => {
            state.sites.values_mut().for_each(ended);
            let waves = state.waves.iter_mut();
            waves.flat_map(|wave| wave.gates.values_mut()).for_each(ask);
        }
    }
}

pub(super) fn site_retried(state: &mut State, name: &SiteName, at: Timestamp) {
    let site = state.site(name);
    if site.phase == SitePhase::RollbackFailed {
        // The way back is not over: whoever leads there takes it up again.
        return set_phase(state, name, SitePhase::Failed);
    }
    let goes_on = site.phase == SitePhase::Failed && site.touched;
    let index = site.wave;
    let active = state.active_in(index, at);
    let reason = no_longer_failed(state, name, at);
    judged_anew(state, name, at);
    let wave = &mut state.waves[index];
    if matches!(wave.phase, WavePhase::Soaking | WavePhase::Done) {
        wave.phase = WavePhase::Running;
        wave.limit_since = active;
    }
    if goes_on {
        set_phase(state, name, SitePhase::Updating);
    } else {
        set_phase(state, name, SitePhase::Pending);
        let mut sites = state.spec.plan.waves[index].sites.iter();
        let first = sites.position(|site| site.name == *name);
        let wave = &mut state.waves[index];
        wave.next_site = wave.next_site.min(first.unwrap_or(wave.next_site));
    }
    let site = site_mut(state, name);
    site.goal = None;
    site.asked = None;
    site.completed = Completed::Nothing;
    site.idle_decisions = 0;
    site.retry = Retry::default();
    site.command_retry = Retry::default();
    site.limit_since = active;
    site.not_back = None;
    site.given_up.clear();
    if goes_on {
        if let Some(batch) = &mut site.batch {
            batch.progress = active;
        }
        if site.step != Step::Before {
            site.step = Step::Ask;
        }
    } else {
        site.batch = None;
        site.batch_unjudged = false;
        site.soak.clear();
        site.approved.clear();
        site.step = Step::Before;
    }
    // A strategy that gave up would do so again from where it was.
    if !goes_on || matches!(reason, Some(FailReason::Strategy(_))) {
        site.strategy = PluginState::default();
        site.stage.clear();
        site.reason.clear();
    }
}

/// Budgets count what is failed now; limits that it failed by count anew.
fn no_longer_failed(state: &mut State, name: &SiteName, at: Timestamp) -> Option<FailReason> {
    let failed = state.site(name).phase == SitePhase::Failed;
    if failed && matches!(state.held, Some(HoldReason::Failure { .. })) {
        state.held = None;
    }
    let site = site_mut(state, name);
    let index = site.wave;
    let reason = site.failure.take()?;
    state.failed_sites -= 1;
    let (active, in_all) = (state.active_in(index, at), state.clock.active(at));
    let wave = &mut state.waves[index];
    wave.failed -= 1;
    match reason {
        FailReason::WaveTime(_) => wave.limit_since = active,
        FailReason::RolloutTime(_) => state.limit_since = in_all,
        _ => {}
    }
    Some(reason)
}

/// Questions about a site are asked anew and fails of gates counted anew. What a person has said
/// of the evidence stays.
fn judged_anew(state: &mut State, name: &SiteName, at: Timestamp) {
    state.consultations.retain(|_, asked| match asked {
        Asked::Strategy(site) => site != name,
        Asked::Gate(key, _) => key.subject != Subject::Site(name.clone()),
    });
    let wave = state.site(name).wave;
    for gate in state.waves[wave].gates.values_mut() {
        gate.fails = 0;
        gate.fails_in_row = 0;
        gate.recent = 0;
    }
    for gate in site_mut(state, name).gates.values_mut() {
        gate.fails = 0;
        gate.fails_in_row = 0;
        gate.recent = 0;
        gate.asked = None;
        gate.attempts = 0;
        gate.due = at;
        gate.retry = Retry::default();
        if gate.override_in_force().is_none() {
            gate.last = None;
            gate.passes_in_row = 0;
        }
    }
}

pub(super) fn left_out(state: &mut State, name: &SiteName) {
    if state.site(name).phase == SitePhase::Failed {
        no_longer_failed(state, name, state.clock.last);
    }
    set_phase(state, name, SitePhase::Skipped);
    let site = site_mut(state, name);
    site.goal = None;
    site.batch = None;
    site.batch_unjudged = false;
}

pub(super) fn gate_overridden(
    state: &mut State,
    key: &GateKey,
    actor: &str,
    reason: &str,
    at: Timestamp,
) {
    let policy = crate::gates::policy_of(state, &key.gate);
    let (interval, passes) = (policy.interval.max(GATE_INTERVAL_MIN), policy.passes.max(1));
    let gate = state.gate_mut(key);
    let asked = gate.asked.take();
    gate.last = Some((Verdict::Pass, at));
    gate.passes_in_row = gate.passes_in_row.max(passes);
    gate.fails_in_row = 0;
    gate.retry = Retry::default();
    gate.due = at.plus(interval);
    gate.overridden = Some(Override {
        actor: actor.into(),
        reason: reason.into(),
        at,
    });
    // An answer that is under way is about the same evidence, and the person has the last word.
    if let Some(asked) = asked {
        state.consultations.remove(&asked);
    }
    if let Subject::Site(name) = &key.subject {
        let active = state.active_in(state.site(name).wave, at);
        let site = site_mut(state, name);
        site.idle_decisions = 0;
        if matches!(key.phase, Phase::Soak | Phase::Continuous) {
            let coverage = site.soak.entry(key.clone()).or_default();
            soak::passed(coverage, active, interval);
        }
    }
}

pub(super) fn stopped(state: &mut State, reason: StopReason, sites: &[SiteName]) {
    let sites: BTreeSet<SiteName> = sites.iter().cloned().collect();
    state.held = None;
    // Going back does not wait for the end of a pause.
    state.clock.paused = false;
    // A new attempt for those that could not go back before, or that were given up.
    for name in &sites {
        let site = state.site(name);
        let given_up = site.phase == SitePhase::Skipped && !site.given_up.is_empty();
        if site.phase == SitePhase::RollbackFailed || given_up {
            set_phase(state, name, SitePhase::Failed);
            site_mut(state, name).given_up.clear();
        }
    }
    state.phase = RolloutPhase::Stopping { reason, sites };
}

pub(super) fn undone(state: &mut State, actor: &str, reason: &str, sites: &[SiteName]) {
    let reason = StopReason::Requested {
        actor: String::from(actor),
        reason: String::from(reason),
    };
    state.undone = true;
    stopped(state, reason, sites);
}
