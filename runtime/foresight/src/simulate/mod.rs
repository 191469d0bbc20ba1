//! Rollouts over simulated fleets: the real engine with the real components, in virtual time.
//!
//! A run is one rollout in one world. Its world comes from its seed; nothing of a run depends on
//! another one, on the clock or on how many threads there are, so the same seed gives the same
//! runs. The auditor checks every fact of every run, as it does in production.

mod compare;
mod html;
mod one;
mod people;
mod report;
mod stats;
mod student;
mod summary;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use wavegate_engine::Spec;
use wavegate_model::{DurationMs, Timestamp};
use wavegate_ports::plugins::{CallEnd, PluginCall};
use wavegate_ports::sources::Sources;
use wavegate_ports::world::World;

pub use compare::{Comparison, Difference};
pub use html::page;
pub use report::{Report, Subject, table};
pub use stats::{Quantiles, Share};
pub use summary::{Acted, ByFault, Summary};
pub use tally::{Exposed, Outcome, Run, Told};

/// Asks plugins in the thread of the caller.
pub trait Ask: Sync {
    /// One call, with a fresh instance, within its limits.
    fn ask(&self, call: &PluginCall) -> CallEnd;
}

/// A world, opened for one run.
pub struct Opened {
    /// Its clusters.
    pub world: Arc<dyn World>,
    /// What gates get their evidence from in it.
    pub sources: Box<dyn Sources>,
    /// When the rollout starts.
    pub start: Timestamp,
    /// What is wrong with the release; nothing if it is good.
    pub fault: Option<String>,
}

/// Makes worlds.
pub trait Worlds: Sync {
    /// The world of a seed.
    ///
    /// # Errors
    /// Why there is none.
    fn open(&self, seed: u64) -> Result<Opened, String>;
}

/// What is simulated how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Runs.
    pub runs: u32,
    /// What everything is drawn from.
    pub seed: u64,
    /// Threads; all processors' worth is best.
    pub threads: usize,
    /// Bytes of stack that a thread needs on which guests run.
    pub stack: usize,
    /// How long people take to approve.
    pub approve_after: DurationMs,
    /// When a rollout counts as unfinished.
    pub give_up_after: DurationMs,
}

/// A simulation that says nothing, because something is wrong with it, or with Wavegate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Broken {
    /// The world cannot be made.
    #[error("the simulation does not fit the rollout: {0}")]
    World(String),
    /// A gate asks what the simulation does not answer.
    #[error("in run {run} a gate asks what the simulation does not answer: {question}")]
    NoAnswer {
        /// Which run.
        run: u32,
        /// The question.
        question: String,
    },
    /// The auditor found a fact that breaks an invariant.
    #[error("run {run} of seed {seed} breaks an invariant: {violation}")]
    Invariant {
        /// Which run.
        run: u32,
        /// The seed of all runs.
        seed: u64,
        /// Which invariant, with operands.
        violation: String,
    },
    /// The operating system gave no thread.
    #[error("failed to start a thread: {0}")]
    Thread(String),
}

/// The seed of a run.
pub fn seed_of(seed: u64, run: u32) -> u64 {
    // SplitMix64's stream, at the place of the run.
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(run) + 1));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Simulates a rollout again and again. `done` is called after each run.
///
/// # Errors
/// If something is wrong with the simulation: of several problems, that of the earliest run.
pub fn simulate(
    spec: &Spec,
    worlds: &dyn Worlds,
    ask: &dyn Ask,
    options: &Options,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Run>, Broken> {
    let spec = &alone(spec);
    let (next, stop) = (AtomicU32::new(0), AtomicBool::new(false));
    let all: Mutex<Vec<(u32, Result<Run, Broken>)>> = Mutex::default();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let run = next.fetch_add(1, Ordering::Relaxed);
            if run >= options.runs {
                break;
            }
            let result = one::run(spec, worlds, ask, options, run);
            if result.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            let mut all = all
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            all.push((run, result));
            done();
        }
    };
    std::thread::scope(|scope| -> std::io::Result<()> {
        for _ in 0..options.threads.max(1) {
            let thread = std::thread::Builder::new().name("simulate".to_owned());
            thread
                .stack_size(options.stack.max(1 << 20))
                .spawn_scoped(scope, work)?;
        }
        Ok(())
    })
    .map_err(|error| Broken::Thread(error.to_string()))?;
    let mut all = all
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    all.sort_by_key(|(run, _)| *run);
    all.into_iter().map(|(_, result)| result).collect()
}

/// The rollout as it would be if nobody else were there, and nothing in it differed from one
/// simulation to the next.
fn alone(spec: &Spec) -> Spec {
    let mut spec = spec.clone();
    spec.rollout = wavegate_model::RolloutId::new("simulated");
    spec.started_by = people::STARTER.to_owned();
    spec.origin = None;
    spec.policy.when_busy = Default::default();
    spec
}
