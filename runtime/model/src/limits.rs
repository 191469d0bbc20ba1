//! Limits that hold everywhere, each with its reason.

use crate::time::DurationMs;
use serde::{Deserialize, Serialize};

/// Clusters in one site: a view of 256 clusters stays well under [`CallLimits`]' result size
/// in every guest language, and no pair or region we know of has more.
pub const CLUSTERS_PER_SITE_MAX: usize = 256;
/// State that a plugin may keep between calls: it is journaled with every answer.
pub const STATE_BYTES_MAX: usize = 64 << 10;
/// Evidence rounds in one evaluation: each round runs the gate again from the start.
pub const EVIDENCE_ROUNDS_MAX: u32 = 16;
/// No gate is asked more often: an evaluation takes milliseconds, and its evidence seconds.
/// Documents refuse a shorter interval; the engine takes this one instead.
pub const GATE_INTERVAL_MIN: DurationMs = DurationMs(100);
/// Answers in one evaluation, however many rounds they come in: four for each cluster of the
/// largest site. Measurements of many more clusters would not fit into an answer either.
pub const EVIDENCE_QUERIES_MAX: u32 = 1024;
/// Characters of a text of a guest that are kept: a line on a terminal, a few times over.
pub const GUEST_TEXT_CHARS_MAX: usize = 500;
/// Decisions in a row that leave nothing to carry out, before a strategy counts as stuck.
pub const IDLE_DECISIONS_MAX: u32 = 8;

/// Evaluations that a budget looks back over: the engine keeps one bit of each, in one word. More
/// would be a budget for the whole rollout, which there is besides.
pub const BUDGET_WINDOW_MAX: u32 = 64;

/// What one call of a plugin may use. The policy can tighten it, never widen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLimits {
    /// Units of fuel (about one per Wasm instruction). Decides, because it is deterministic.
    pub fuel: u64,
    /// Wall-clock backstop.
    pub time: DurationMs,
    /// Linear memory in bytes.
    pub memory_bytes: u64,
    /// Bytes of the answer, and of each argument of a host call.
    pub result_bytes: u64,
    /// Bytes written to the log; more is dropped with a marker.
    pub log_bytes: u64,
}

impl CallLimits {
    /// Defaults for plugins in small languages (Rust, C): 200 million units of fuel are about
    /// 0.2 s of work, two seconds are ten times that for a busy machine, 64 MiB hold far more
    /// than the largest view, and answers of 1 MiB are larger than any that people can read.
    pub const SMALL: Self = Self {
        fuel: 200_000_000,
        time: DurationMs(2000),
        memory_bytes: 64 << 20,
        result_bytes: 1 << 20,
        log_bytes: 64 << 10,
    };

    /// The tighter of two in every respect.
    #[must_use]
    pub fn tightened(self, by: Self) -> Self {
        Self {
            fuel: self.fuel.min(by.fuel),
            time: self.time.min(by.time),
            memory_bytes: self.memory_bytes.min(by.memory_bytes),
            result_bytes: self.result_bytes.min(by.result_bytes),
            log_bytes: self.log_bytes.min(by.log_bytes),
        }
    }
}

impl Default for CallLimits {
    fn default() -> Self {
        Self::SMALL
    }
}
