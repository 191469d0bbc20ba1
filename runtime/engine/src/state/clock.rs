//! The time of a wave that has windows of its own: it stands still while they are closed, and that
//! of the others goes on.

use super::{Shut, State};
use wavegate_model::{DurationMs, Timestamp};

/// Tells a wave's active time from the rollout's.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct WaveClock {
    /// What is closed, if the wave's own windows are.
    pub closed: Option<Shut>,
    /// When they open or close next.
    pub window_change: Option<Timestamp>,
    /// Active time of the rollout that does not count here, up to the last end of such a time.
    pub stopped: DurationMs,
    /// Active time of the rollout since when it stands still.
    pub still_since: Option<DurationMs>,
}

impl WaveClock {
    fn active(&self, of_rollout: DurationMs) -> DurationMs {
        let end = self.still_since.unwrap_or(of_rollout);
        end.minus(self.stopped)
    }

    pub(crate) fn stop(&mut self, of_rollout: DurationMs) {
        self.still_since.get_or_insert(of_rollout);
    }

    pub(crate) fn go_on(&mut self, of_rollout: DurationMs) {
        if let Some(since) = self.still_since.take() {
            self.stopped = self.stopped.plus(of_rollout.minus(since));
        }
    }
}

impl State {
    /// Active time as a wave and its sites count it.
    pub fn active_in(&self, wave: usize, now: Timestamp) -> DurationMs {
        self.waves[wave].clock.active(self.clock.active(now))
    }

    /// The instant at which a wave's active time will be `active`, if nothing stops it; none while
    /// it stands still.
    pub fn wall_in(&self, wave: usize, active: DurationMs) -> Option<Timestamp> {
        let clock = &self.waves[wave].clock;
        match clock.still_since {
            None => self.clock.wall(active.plus(clock.stopped)),
            Some(_) => None,
        }
    }

    /// Whether new sites and batches may start in a wave.
    pub fn may_advance_in(&self, wave: usize) -> bool {
        self.may_advance() && self.waves[wave].clock.closed.is_none()
    }

    /// When the windows of a wave open or close next.
    pub(crate) fn next_wave_window(&self) -> Option<Timestamp> {
        let own = self.spec.wave_windows.keys();
        let waves = own.filter_map(|name| self.wave_index(name));
        waves
            .filter_map(|wave| self.waves[wave].clock.window_change)
            .min()
    }
}
