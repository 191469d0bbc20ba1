//! What people and the host ask for.

use super::sites::wait_ended;
use super::{site_mut, wave_mut};
use crate::fact::HoldReason;
use crate::soak;
use crate::state::{Retry, State};
use wavegate_model::{DurationMs, SiteName, Timestamp, Unavailable, WaveName};

pub(super) fn resumed(state: &mut State, at: Timestamp, down: DurationMs) {
    // While the clock stands still this time does not count anyway.
    if !state.clock.stands_still() {
        state.clock.stopped = state.clock.stopped.plus(down);
    }
    state.resumed_at_command = state.next_command;
    state.consultations.clear();
    for cluster in state.clusters.values_mut() {
        cluster.epoch = None;
    }
    for wave in &mut state.waves {
        wave.gates.values_mut().for_each(|gate| gate.asked = None);
    }
    for site in state.sites.values_mut() {
        site.asked = None;
        site.gates.values_mut().for_each(|gate| gate.asked = None);
        site.fresh_after = at;
        if matches!(site.retry.why.as_deref(), Some(Unavailable::HostStopped)) {
            // That was the host before.
            site.retry = Retry::default();
        }
        for coverage in site.soak.values_mut() {
            soak::undecided(coverage);
        }
    }
}

pub(super) fn continued(state: &mut State, at: Timestamp) {
    state.clock.paused = false;
    if let Some(HoldReason::TimeLimit { site, wave, .. }) = state.held.take() {
        // The limit counts anew from here.
        let index = wave.as_ref().and_then(|name| state.wave_index(name));
        match index {
            Some(index) => state.waves[index].limit_since = state.active_in(index, at),
            None if site.is_none() => state.limit_since = state.clock.active(at),
            None => {}
        }
        let index = site.as_ref().and_then(|name| state.sites.get(name));
        let active = index.map_or(DurationMs::ZERO, |site| state.active_in(site.wave, at));
        if let Some(site) = site.as_ref().and_then(|name| state.sites.get_mut(name)) {
            site.limit_since = active;
            if let Some(batch) = &mut site.batch {
                batch.progress = active;
            }
        }
    }
}

pub(super) fn approved(
    state: &mut State,
    wave: Option<&WaveName>,
    site: Option<&SiteName>,
    stage: Option<&str>,
    actor: &str,
) {
    if let Some(wave) = wave {
        wave_mut(state, wave).approved.insert(actor.into());
    }
    match (site, stage) {
        (Some(site), Some(stage)) => {
            let approved = &mut site_mut(state, site).approved;
            let by = approved.entry(stage.into()).or_default();
            by.insert(actor.into());
        }
        (Some(site), None) => wait_ended(state, site),
        (None, _) => {}
    }
}
