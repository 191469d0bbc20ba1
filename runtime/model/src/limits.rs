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

    /// For interpreters in a few megabytes, and runtimes with a garbage collector (JavaScript,
    /// TypeScript, Go): five times the work for the same question, and twice the memory, because
    /// an interpreter and its heap come first.
    pub const MEDIUM: Self = Self {
        fuel: 1_000_000_000,
        time: DurationMs(5000),
        memory_bytes: 128 << 20,
        ..Self::SMALL
    };

    /// For whole language runtimes (Python): they take some 30 MiB and 10 million units of fuel
    /// before the first line of a plugin runs, and a hundred times more for what it does.
    pub const LARGE: Self = Self {
        fuel: 4_000_000_000,
        time: DurationMs(10_000),
        memory_bytes: 256 << 20,
        ..Self::SMALL
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

/// What a plugin needs, by the language that it was written in. Ordered from less to more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceClass {
    /// Rust, C, and whatever else is compiled to Wasm itself.
    #[default]
    Small,
    /// JavaScript and TypeScript in a small interpreter, and Go.
    Medium,
    /// Python, and whatever else brings a whole runtime along.
    Large,
}

impl ResourceClass {
    /// All classes, from less to more.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// The word for it in documents and manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// What a call may use, unless a policy says less.
    pub fn limits(self) -> CallLimits {
        match self {
            Self::Small => CallLimits::SMALL,
            Self::Medium => CallLimits::MEDIUM,
            Self::Large => CallLimits::LARGE,
        }
    }
}

impl core::fmt::Display for ResourceClass {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for CallLimits {
    fn default() -> Self {
        Self::SMALL
    }
}
