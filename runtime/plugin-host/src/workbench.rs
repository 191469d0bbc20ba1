//! A plugin on the bench of its author: asked without a rollout, and looked at closely.
//!
//! It is loaded as for a rollout and runs under the same limits. What is more here is what a
//! rollout has no use for: where a guest was when it failed, and an instance that is kept.

use crate::engine::THREAD_STACK_BYTES;
use crate::inspect::{Grant, Inspected};
use crate::journal;
use crate::plugin::{KeptPlugin, Plugin};
use crate::stop::Stop;
use std::sync::Arc;
use std::time::Instant;
use wavegate_model::Unavailable;
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::Problem;
use wavegate_ports::plugins::{Answer, CallEnd, LoadedPlugin, Question};

/// A plugin that can be asked at once, on the thread of whoever asks: see [`on_bench`].
pub struct Workbench {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) inspected: Inspected,
    pub(crate) bytes: usize,
}

/// What a plugin imports, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name in the component.
    pub name: String,
    /// What the plugin can reach by it.
    pub grant: Grant,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// How it ended.
    pub end: CallEnd,
    /// The answer as it would be journaled; empty without one.
    pub output: Vec<u8>,
    /// Units of fuel.
    pub fuel: u64,
    /// Peak of linear memory in bytes.
    pub memory_bytes: u64,
    /// Wall-clock time in microseconds.
    pub micros: u64,
    /// What it logged: (level, text).
    pub log: Vec<(String, String)>,
    /// Where it was when it ended too early, innermost first.
    pub frames: Vec<String>,
}

/// An instance that is kept between calls, as no rollout has one.
pub struct Kept<'a> {
    plugin: &'a Plugin,
    kept: KeptPlugin,
}

impl Workbench {
    /// What the plugin is.
    pub fn loaded(&self) -> &LoadedPlugin {
        &self.plugin.loaded
    }

    /// Size of the component in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Everything that the component imports.
    pub fn imports(&self) -> Vec<Import> {
        self.inspected.granted()
    }

    /// Everything that the component exports.
    pub fn exports(&self) -> &[String] {
        self.inspected.exports()
    }

    /// Asks in a new instance, as every call of a rollout is made.
    pub fn ask(&self, question: &Question, config: &str, limits: &CallLimits) -> Tried {
        let ran = self.plugin.ask(question, config, limits);
        let (end, output) = match ran.result {
            Ok(answer) => {
                let output = journal::output(&answer);
                (CallEnd::Answered(answer), output)
            }
            Err(Stop::NeedsEvidence(queries)) => (CallEnd::NeedsEvidence(queries), Vec::new()),
            Err(Stop::Unavailable(why)) => (CallEnd::Unavailable(why), Vec::new()),
        };
        Tried {
            end,
            output,
            fuel: ran.fuel,
            memory_bytes: ran.memory_bytes,
            micros: ran.micros,
            log: ran.log,
            frames: ran.frames,
        }
    }

    /// Checks a configuration against the schema, and only if it fits, asks the plugin.
    pub fn validate_config(
        &self,
        config: &str,
        limits: &CallLimits,
    ) -> Result<Vec<Problem>, Unavailable> {
        self.plugin.validate_config(config, limits)
    }

    /// What the schema alone finds wrong in a configuration.
    pub fn schema_problems(&self, config: &str) -> Vec<Problem> {
        self.plugin.schema_problems(config)
    }

    /// Makes an instance that is kept; the error is a sentence.
    pub fn keep(&self, limits: &CallLimits) -> Result<Kept<'_>, String> {
        let kept = self.plugin.keep(limits);
        let kept = kept.map_err(|error| crate::text::clean(&format!("{error:#}")))?;
        Ok(Kept {
            plugin: &self.plugin,
            kept,
        })
    }
}

impl Kept<'_> {
    /// Asks the instance once more: its answer as it would be journaled, and the time that it
    /// took in microseconds; the error is a sentence.
    pub fn ask(
        &mut self,
        question: &Question,
        config: &str,
        limits: &CallLimits,
    ) -> Result<(Vec<u8>, f64), String> {
        let begun = Instant::now();
        let answered: Result<Answer, _> = self
            .plugin
            .ask_kept(&mut self.kept, question, config, limits)
            .map_err(|error| crate::text::clean(&format!("{error:#}")))?
            .map_err(|why| why.to_string());
        let micros = begun.elapsed().as_secs_f64() * 1e6;
        Ok((journal::output(&answered?), micros))
    }
}

/// Does work on a thread with enough stack for a guest, and waits for it.
///
/// # Panics
/// If the operating system gives no thread, or the work panics.
pub fn on_bench<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("plugin-bench".into())
            .stack_size(THREAD_STACK_BYTES);
        let thread = thread.spawn_scoped(scope, work).expect("a thread");
        thread.join().expect("the work on the bench does not panic")
    })
}
