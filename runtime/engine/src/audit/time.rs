//! Time that counts: not pauses, queues and closed windows.

use super::book::Book;
use wavegate_model::{DurationMs, Timestamp};

/// Whether windows are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    Yes,
    No,
}

impl Book {
    /// Time that counts, since the start.
    pub(super) fn active(&self, at: Timestamp) -> DurationMs {
        let now = self.still.unwrap_or(at);
        now.since(self.started).minus(self.stopped_for)
    }

    /// Time that counts in a wave: not while windows of its own are closed.
    pub(super) fn active_in(&self, wave: usize, at: Timestamp) -> DurationMs {
        let wave = &self.waves[wave];
        wave.shut.unwrap_or(self.active(at)).minus(wave.shut_for)
    }

    pub(super) fn wave_window(
        &mut self,
        name: &wavegate_model::WaveName,
        open: Open,
        at: Timestamp,
    ) {
        let (now, index) = (self.active(at), self.wave_index(name));
        let going_back = self.stopping.is_some() || self.end.is_some();
        let wave = &mut self.waves[index];
        if open == Open::No && !going_back {
            wave.shut.get_or_insert(now);
        } else if let Some(since) = wave.shut.take() {
            wave.shut_for = wave.shut_for.plus(now.minus(since));
        }
    }

    pub(super) fn waves_go_on(&mut self, at: Timestamp) {
        let now = self.active(at);
        for wave in &mut self.waves {
            if let Some(since) = wave.shut.take() {
                wave.shut_for = wave.shut_for.plus(now.minus(since));
            }
        }
    }

    /// Time stands still in a pause, and while windows are closed or other rollouts come first
    /// and nothing goes back.
    pub(super) fn keep_time(&mut self, at: Timestamp) {
        let going_back = self.stopping.is_some() || self.end.is_some();
        let still = self.paused || ((self.closed || self.queued) && !going_back);
        if still {
            self.still.get_or_insert(at);
        } else if let Some(since) = self.still.take() {
            self.stopped_for = self.stopped_for.plus(at.since(since));
        }
    }
}
