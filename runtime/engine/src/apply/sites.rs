//! Sites and waves: where they are, and what their strategy said.

use super::gates::{ASKED_AGAIN_AFTER, ask_again};
use super::{site_mut, wave_mut};
use crate::fact::Withdrawn;
use crate::state::{Retry, SitePhase, State, Step, Waits, WavePhase};
use alloc::boxed::Box;
use alloc::vec::Vec;
use wavegate_model::plugin::{Completed, Outcome, Phase, Proposal};
use wavegate_model::{
    ConsultationId, DurationMs, SiteName, Split, Timestamp, Unavailable, WaveName,
};

/// Changes a site's phase and keeps its wave's counts in step.
pub(super) fn set_phase(state: &mut State, name: &SiteName, phase: SitePhase) {
    let site = site_mut(state, name);
    let before = core::mem::replace(&mut site.phase, phase);
    let index = site.wave;
    let was_soaked = core::mem::take(&mut site.wave_soaked);
    let wave = &mut state.waves[index];
    let change = |count: &mut u32, was: bool, is: bool| match (was, is) {
        (false, true) => *count += 1,
        (true, false) => *count -= 1,
        (true, true) | (false, false) => {}
    };
    change(&mut wave.in_flight, before.in_flight(), phase.in_flight());
    change(&mut wave.finished, before.finished(), phase.finished());
    // Sites that ended without being done need no soak of the wave.
    let needs_no_soak = |p: SitePhase| p.finished() && p != SitePhase::Done;
    change(
        &mut wave.soaked,
        was_soaked || needs_no_soak(before),
        needs_no_soak(phase),
    );
    if before.finished() && !phase.finished() {
        reopened(state, index);
    }
    let sites = &state.spec.plan.waves[index].sites;
    let started = |i: usize| state.sites[&sites[i].name].phase != SitePhase::Pending;
    let mut next = state.waves[index].next_site;
    while next < sites.len() && started(next) {
        next += 1;
    }
    state.waves[index].next_site = next;
}

/// A site of a wave is no longer finished: what was judged after the wave is void.
pub(super) fn reopened(state: &mut State, index: usize) {
    let wave = &mut state.waves[index];
    wave.evidence += 1;
    for gate in wave.gates.of_phase_mut(Phase::AfterWave) {
        gate.last = None;
        gate.passes_in_row = 0;
    }
}

pub(super) fn wave_started(state: &mut State, name: &WaveName, at: Timestamp) {
    let index = state.wave_index(name);
    let active = index.map_or(DurationMs::ZERO, |index| state.active_in(index, at));
    let wave = wave_mut(state, name);
    wave.phase = WavePhase::Running;
    wave.limit_since = active;
}

pub(super) fn wave_soak_started(state: &mut State, wave: &WaveName, at: Timestamp) {
    let index = state.spec.plan.waves.iter().position(|w| w.name == *wave);
    wave_mut(state, wave).phase = WavePhase::Soaking;
    let names: Vec<SiteName> = state
        .sites
        .iter()
        .filter(|(_, s)| Some(s.wave) == index)
        .map(|(n, _)| n.clone())
        .collect();
    for name in names {
        soak_anew(state, &name, at);
    }
}

/// Healthy time starts anew.
pub(super) fn soak_anew(state: &mut State, name: &SiteName, at: Timestamp) {
    let active = state.active_in(state.site(name).wave, at);
    let site = site_mut(state, name);
    site.soak.clear();
    site.soak_since = active;
    let index = site.wave;
    if core::mem::take(&mut site.wave_soaked) {
        state.waves[index].soaked -= 1;
    }
}

pub(super) fn site_started(
    state: &mut State,
    name: &SiteName,
    split: &Split,
    demand: u32,
    at: Timestamp,
) {
    set_phase(state, name, SitePhase::Updating);
    let active = state.active_in(state.site(name).wave, at);
    let site = site_mut(state, name);
    // What it goes back to is what it was before anything was done to it.
    if !site.touched {
        site.baseline_split = split.clone();
    }
    site.split = split.clone();
    site.demand = demand;
    site.started = active;
    site.limit_since = active;
    site.stage_since = active;
    site.evidence_start = at;
    site.step = Step::Before;
}

pub(super) fn strategy_answered(
    state: &mut State,
    name: &SiteName,
    outcome: &Outcome,
    at: Timestamp,
) {
    let active = state.active_in(state.site(name).wave, at);
    let goal_desired = crate::site::desired_totals(state, state.site(name));
    let waits = state.waits(state.site(name));
    let site = site_mut(state, name);
    site.asked = None;
    site.retry = Retry::default();
    site.idle_decisions += 1;
    if site.stage != outcome.stage {
        site.stage = outcome.stage.clone();
        site.stage_since = active;
    }
    site.reason = outcome.reason.clone();
    site.strategy = outcome.state.clone();
    match &outcome.proposal {
        Proposal::Go(goal) => {
            let mut goal = goal.clone();
            goal.clusters.sort_by(|a, b| a.cluster.cmp(&b.cluster));
            site.goal = Some(goal);
            site.goal_desired = goal_desired;
            site.step = Step::Move;
        }
        Proposal::WaitGates(gates) => {
            // After time has passed, a verdict from before says nothing about it.
            site.step = Step::Gates(gates.clone());
            if site.completed == Completed::Time {
                ask_again(state, name, gates);
            }
        }
        Proposal::Wait(time) => {
            // Shorter waits would let a strategy be asked without end, and so would waived ones.
            if *time >= DurationMs::secs(1) && waits == Waits::Kept {
                site.idle_decisions = 0;
            }
            site.step = Step::Until(active.plus(*time));
        }
        Proposal::WaitPerson(text) => {
            site.idle_decisions = 0;
            site.step = Step::Person(text.clone());
        }
        // A fact of its own follows.
        Proposal::Done | Proposal::Failed(_) => {}
    }
}

/// A question that was withdrawn is none of the strategy's failures.
pub(super) fn strategy_cancelled(
    state: &mut State,
    consultation: ConsultationId,
    name: &SiteName,
    why: Withdrawn,
    at: Timestamp,
) {
    state.consultations.remove(&consultation);
    let site = site_mut(state, name);
    site.asked = None;
    if why == Withdrawn::HostStopped {
        site.retry.not_before = at.plus(ASKED_AGAIN_AFTER);
        site.retry.why = Some(Box::new(Unavailable::HostStopped));
    }
}

pub(super) fn completed(state: &mut State, name: &SiteName, what: Completed) {
    let site = site_mut(state, name);
    site.completed = what;
    site.step = Step::Ask;
}

pub(super) fn wait_ended(state: &mut State, name: &SiteName) {
    let site = site_mut(state, name);
    site.completed = match &site.step {
        Step::Before | Step::Ask => Completed::Nothing,
        Step::Move => Completed::Goal,
        Step::Gates(_) => Completed::Gates,
        Step::Until(_) => Completed::Time,
        Step::Person(_) => Completed::Person,
    };
    site.step = Step::Ask;
}

pub(super) fn rollback_started(state: &mut State, name: &SiteName, at: Timestamp) {
    set_phase(state, name, SitePhase::RollingBack);
    let active = state.active_in(state.site(name).wave, at);
    let site = site_mut(state, name);
    site.goal = None;
    site.batch = None;
    site.batch_unjudged = false;
    site.asked = None;
    site.limit_since = active;
    site.command_retry = Retry::default();
    site.not_back = None;
}

/// A site that was thought to be through is decided again.
pub(super) fn reopen(state: &mut State, name: &SiteName, active: DurationMs) {
    let site = site_mut(state, name);
    site.step = Step::Ask;
    site.goal = None;
    site.limit_since = active;
}
