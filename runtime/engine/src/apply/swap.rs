//! Another component takes a part: what the one before was asked, said and left is void.

use crate::state::{Asked, GateState, Retry, SitePhase, State, Step};
use crate::swap::{Component, Memory, Part, Swapped};
use alloc::vec::Vec;
use wavegate_model::plugin::{Completed, PluginState};
use wavegate_model::{DurationMs, GateName, Timestamp};

pub(super) fn swapped(state: &mut State, part: &Part, swap: Swapped) {
    let (memory, at) = (swap.memory, swap.at);
    match part {
        Part::Strategy => {
            pin_strategy(state, &swap.to);
            asks_another_strategy(state, memory, at);
        }
        Part::Gate(name) => {
            pin_gate(state, name, &swap.to);
            asks_another_gate(state, name, memory, at);
        }
    }
    state.swaps.insert(part.clone(), swap);
}

fn pin_strategy(state: &mut State, to: &Component) {
    let (policy, pins) = (&mut state.spec.policy, &mut state.spec.pins);
    policy.strategy.plugin = to.plugin.clone();
    policy.strategy.config = to.config.clone();
    pins.strategy = to.digest.clone();
    pins.strategy_name = to.writes.plugin.clone();
    pins.strategy_state = Some(to.writes.clone());
}

fn pin_gate(state: &mut State, name: &GateName, to: &Component) {
    let (policy, pins) = (&mut state.spec.policy, &mut state.spec.pins);
    for gate in policy.gates.iter_mut().filter(|gate| gate.name == *name) {
        gate.plugin = to.plugin.clone();
        gate.config = to.config.clone();
    }
    pins.gates.insert(name.clone(), to.digest.clone());
    pins.gate_states.insert(name.clone(), to.writes.clone());
}

/// Where a strategy leads a site, the new one is asked at once; a batch that is on its way
/// settles and is judged first.
fn asks_another_strategy(state: &mut State, memory: Memory, at: Timestamp) {
    state
        .consultations
        .retain(|_, asked| !matches!(asked, Asked::Strategy(_)));
    let waves = 0..state.waves.len();
    let active: Vec<DurationMs> = waves.map(|wave| state.active_in(wave, at)).collect();
    for site in state.sites.values_mut() {
        site.asked = None;
        site.retry = Retry::default();
        site.idle_decisions = 0;
        if memory == Memory::Dropped {
            site.strategy = PluginState::default();
            site.stage.clear();
            site.stage_since = active[site.wave];
        }
        if site.phase == SitePhase::Updating && site.step != Step::Before {
            site.goal = None;
            site.step = Step::Ask;
            site.completed = Completed::Nothing;
        }
    }
}

/// What the gate before has said counts neither for nor against a site any more.
fn asks_another_gate(state: &mut State, name: &GateName, memory: Memory, at: Timestamp) {
    state
        .consultations
        .retain(|_, asked| !matches!(asked, Asked::Gate(key, _) if key.gate == *name));
    let sites = state.sites.values_mut().map(|site| &mut site.gates);
    let waves = state.waves.iter_mut().map(|wave| &mut wave.gates);
    for gate in sites.chain(waves).flat_map(|gates| gates.of_gate_mut(name)) {
        let kept = match memory {
            Memory::Kept => core::mem::take(&mut gate.state),
            Memory::Dropped => PluginState::default(),
        };
        *gate = GateState {
            state: kept,
            answers: gate.answers,
            due: at,
            ..GateState::default()
        };
    }
    for site in state.sites.values_mut() {
        site.soak.retain(|key, _| key.gate != *name);
    }
}
