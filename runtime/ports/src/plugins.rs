//! What loads and calls plugins.

use crate::BoxFuture;
use std::collections::BTreeSet;
use wavegate_model::limits::{CallLimits, ResourceClass};
use wavegate_model::plugin::{
    About, Evaluation, GateCall, Outcome, PluginKind, PluginState, Problem, ReleaseId, SiteSummary,
    SiteView, Stage,
};
use wavegate_model::policy::PluginRef;
use wavegate_model::{Digest, Evidence, Query, RolloutId, SlotName, Unavailable};

/// A plugin that was checked and is ready to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedPlugin {
    /// Digest of the component; the store keeps the bytes under it.
    pub digest: Digest,
    /// What the plugin says about itself.
    pub about: About,
    /// Package version of the contract that it was built for, for example `0.1.0`.
    pub contract: String,
    /// What it says that its calls need.
    pub class: ResourceClass,
}

/// A plugin that may not or cannot be used. Each message says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginRejected {
    /// No such file, or no such shipped plugin.
    #[error("failed to find plugin {reference}: {detail}")]
    NotFound {
        /// As written in the policy.
        reference: String,
        /// What was looked for, and what there is.
        detail: String,
    },
    /// The bytes in the store are not what the digest says.
    #[error(
        "the stored component {digest} is damaged; remove it from the store and load the plugin again"
    )]
    Damaged {
        /// The digest that was asked for.
        digest: Digest,
    },
    /// Not a component, too large, or it needs a Wasm feature that is off.
    #[error("plugin {reference} is not a usable component: {detail}")]
    NotAComponent {
        /// As written in the policy.
        reference: String,
        /// What is wrong and how to mend it.
        detail: String,
    },
    /// A gate where a strategy is needed, or the other way round, or neither.
    #[error("plugin {reference} does not export {wanted}: {found}")]
    WrongWorld {
        /// As written in the policy.
        reference: String,
        /// The interface that is needed.
        wanted: String,
        /// What it exports.
        found: String,
    },
    /// Built for a contract that this host does not have.
    #[error("plugin {reference} was built for contract {found}; this host speaks {known}")]
    WrongVersion {
        /// As written in the policy.
        reference: String,
        /// Version in the component.
        found: String,
        /// Versions that this host knows.
        known: String,
    },
    /// It imports something that plugins of its kind do not get.
    #[error("plugin {reference} imports `{import}`, which {kind} plugins are not granted")]
    NotGranted {
        /// As written in the policy.
        reference: String,
        /// The import.
        import: String,
        /// Strategy or gate.
        kind: &'static str,
    },
    /// It could not say what it is.
    #[error("plugin {reference} failed to describe itself: {why}")]
    NoDescription {
        /// As written in the policy.
        reference: String,
        /// Why.
        why: Unavailable,
    },
    /// Its configuration is wrong.
    #[error("the configuration of plugin {reference} is not valid")]
    BadConfig {
        /// As written in the policy.
        reference: String,
        /// Where and what.
        problems: Vec<Problem>,
    },
    /// The store could not be read or written.
    #[error("failed to {operation} the plugin store at {path}: {detail}")]
    Store {
        /// What was tried.
        operation: &'static str,
        /// Where.
        path: String,
        /// Why it failed.
        detail: String,
    },
}

/// A question to a plugin.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// To a strategy: the stages it means to go through.
    Outline {
        /// Which site.
        site: SiteSummary,
        /// Which release.
        release: ReleaseId,
    },
    /// To a strategy: what next?
    Decide {
        /// The site.
        view: SiteView,
        /// What the strategy returned last.
        state: PluginState,
    },
    /// To a gate: is it healthy?
    Evaluate {
        /// The evaluation.
        call: GateCall,
        /// What the gate returned last.
        state: PluginState,
        /// Answers so far, in the order in which they were asked for.
        evidence: Vec<(Query, Evidence)>,
        /// Slots that the policy binds.
        slots: BTreeSet<SlotName>,
    },
}

/// One call of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginCall {
    /// For fairness: a rollout gets at most half of the workers.
    pub rollout: RolloutId,
    /// Which component.
    pub digest: Digest,
    /// The policy's configuration, as JSON.
    pub config: String,
    /// What the call may use.
    pub limits: CallLimits,
    /// What is asked.
    pub question: Question,
}

/// A plugin's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Question::Outline`].
    Outline(Vec<Stage>),
    /// To [`Question::Decide`].
    Decide(Outcome),
    /// To [`Question::Evaluate`].
    Evaluate(Evaluation),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEnd {
    /// With an answer.
    Answered(Answer),
    /// The gate asked for evidence that it has not got: at least one question, and all that it
    /// asked at once. Fetch them, in this order, and call again.
    NeedsEvidence(Vec<Query>),
    /// Without one.
    Unavailable(Unavailable),
}

/// What a call did.
#[derive(Clone, Debug, PartialEq)]
pub struct CallReport {
    /// How it ended.
    pub end: CallEnd,
    /// The input of the call in a stable encoding, for the journal.
    pub input: Vec<u8>,
    /// The output in a stable encoding; empty without an answer.
    pub output: Vec<u8>,
    /// Units of fuel.
    pub fuel: u64,
    /// Peak of linear memory in bytes.
    pub memory_bytes: u64,
    /// What the guest logged: (level, cleaned text).
    pub log: Vec<(String, String)>,
    /// Wall-clock time in the guest in microseconds; not part of any decision.
    pub micros: u64,
}

/// Loads and calls plugins.
pub trait Plugins: Send + Sync {
    /// Finds a plugin, checks it against the contract of its kind, copies it into the store and
    /// makes it ready. Checks the configuration too. `base` is the folder of the document.
    fn load(
        &self,
        reference: &PluginRef,
        kind: PluginKind,
        base: &std::path::Path,
    ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>>;
    /// Makes a plugin ready from the store, by digest alone, as a resume does.
    fn load_stored(
        &self,
        digest: &Digest,
        kind: PluginKind,
    ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>>;
    /// Checks a configuration against the plugin's schema and asks the plugin.
    fn validate_config(
        &self,
        digest: &Digest,
        config: &str,
    ) -> BoxFuture<'_, Result<Vec<Problem>, Unavailable>>;
    /// Calls a plugin in a new instance, away from the async runtime's threads.
    fn call(&self, call: PluginCall) -> BoxFuture<'_, CallReport>;
    /// Names wasmtime's version, settings and target: fuel compares only under an equal key.
    fn host_key(&self) -> String;
}
