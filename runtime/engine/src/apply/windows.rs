//! Windows of single waves. A wave's time stands still while they are closed and it goes forward.

use super::wave_mut;
use crate::state::{RolloutPhase, Shut, State};
use wavegate_model::{Timestamp, WaveName};

pub(super) fn wave_closed(
    state: &mut State,
    wave: &WaveName,
    why: &str,
    opens: Option<Timestamp>,
    at: Timestamp,
) {
    let active = state.clock.active(at);
    let running = matches!(state.phase, RolloutPhase::Running);
    let clock = &mut wave_mut(state, wave).clock;
    clock.closed = Some(Shut {
        why: why.into(),
        opens,
    });
    clock.window_change = opens;
    if running {
        clock.stop(active);
    }
}

pub(super) fn wave_opened(
    state: &mut State,
    wave: &WaveName,
    closes: Option<Timestamp>,
    at: Timestamp,
) {
    let active = state.clock.active(at);
    let clock = &mut wave_mut(state, wave).clock;
    clock.closed = None;
    clock.window_change = closes;
    clock.go_on(active);
}

/// What goes back waits for no window, and its time goes on.
pub(super) fn waves_go_on(state: &mut State, at: Timestamp) {
    let active = state.clock.active(at);
    for wave in &mut state.waves {
        wave.clock.go_on(active);
    }
}
