//! The policy: order, limits, time limits, strategy, gates, and what happens on failure.

use crate::amount::Amount;
use crate::approval::{Approvers, StageApproval};
use crate::fleet::Selector;
use crate::ids::{GateName, PolicyName, SlotName, SourceName, WaveName};
use crate::limits::{CallLimits, ResourceClass};
use crate::plugin::Phase;
use crate::time::DurationMs;
use crate::windows::WindowRules;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A policy as read and checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Name of the document.
    pub name: PolicyName,
    /// In the order of the document.
    pub waves: Vec<Wave>,
    /// Label whose value makes sites; none if every cluster is a site.
    pub site_by: Option<String>,
    /// Label whose value is a cluster's role in its site.
    pub role_by: Option<String>,
    /// Clusters that are left alone.
    pub exclude: Option<Selector>,
    /// How many nodes at a time.
    pub batch: Batch,
    /// How long things may take.
    pub time_limits: TimeLimits,
    /// What happens when sites fail.
    pub failure: Failure,
    /// What happens to clusters that do not answer.
    pub membership: Membership,
    /// What happens when another rollout is at work in its clusters.
    #[serde(default)]
    pub when_busy: WhenBusy,
    /// When the rollout may go on.
    #[serde(default)]
    pub windows: WindowRules,
    /// Who decides.
    pub strategy: StrategyUse,
    /// Who judges, sorted by name.
    pub gates: Vec<GateUse>,
    /// Approvals before stages; at most one for a stage of a wave.
    #[serde(default)]
    pub approvals: Vec<StageApproval>,
}

/// A wave as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// Unique in the policy.
    pub name: WaveName,
    /// Which clusters.
    pub clusters: Selector,
    /// Waves that must be done and soaked first; none means the wave written before this one.
    pub after: Option<Vec<WaveName>>,
    /// Sites in flight at once.
    pub max_parallel_sites: Amount,
    /// Healthy time of each site before it is done.
    pub site_soak: DurationMs,
    /// Healthy time of the whole wave before it is done.
    pub soak: DurationMs,
    /// Text of the approval that is needed before the wave starts.
    pub approval: Option<String>,
    /// Who may give it, and how many have to.
    #[serde(default)]
    pub approvers: Approvers,
    /// Gates of the policy that are asked in this wave; all of them if it does not say.
    #[serde(default)]
    pub gates: Option<Vec<GateName>>,
    /// Windows of its own, besides the policy's.
    #[serde(default)]
    pub windows: Option<WindowRules>,
}

/// How many nodes of a cluster at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Nodes in one move; rounds up, at least 1.
    pub size: Amount,
    /// Nodes that may be down at once, those that are down already counted; rounds down.
    pub max_unavailable: Amount,
    /// Nodes above the desired total; rounds down.
    pub max_surge: Amount,
}

/// A limit and what happens at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeLimit {
    /// Active time: it stands still while paused and while no host runs.
    pub after: DurationMs,
    /// What happens.
    pub then: OnTimeLimit,
}

/// What happens when a time limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTimeLimit {
    /// The site fails, and the failure rule applies.
    Fail,
    /// Hold until a person steers.
    Hold,
}

/// How long things may take; none means without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeLimits {
    /// From a batch's command until it has settled; each node that becomes ready starts it again.
    pub batch_progress: Option<TimeLimit>,
    /// From the start of a site until it is done.
    pub cluster: Option<TimeLimit>,
    /// From the start of a wave until it is done and soaked.
    pub wave: Option<TimeLimit>,
    /// From the start of the rollout until its end.
    pub rollout: Option<TimeLimit>,
}

/// What happens when sites fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Failed sites that are tolerated in all; rounds down. They return to baseline, the others go on.
    pub tolerate: Amount,
    /// Failed sites that are tolerated in one wave; rounds down.
    pub tolerate_per_wave: Amount,
    /// The end state when more fail.
    pub then: EndState,
    /// How going back is done.
    pub rollback: Rollback,
}

/// Declared end state of a failed rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndState {
    /// Everything stays as it is, and a person is needed.
    Hold,
    /// The failed sites return to baseline.
    RollBackSite,
    /// All touched sites of the wave return to baseline.
    RollBackWave,
    /// Everything touched returns to baseline.
    RollBackTouched,
}

/// How going back is done. It ignores approvals and gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Nodes in one move.
    pub batch: Amount,
    /// Nodes that may be down at once.
    pub max_unavailable: Amount,
    /// Sites that go back at once.
    pub max_parallel_sites: u32,
    /// From a batch's command until it has settled; then the rollback of the site has failed.
    pub progress: DurationMs,
}

/// What happens to clusters that do not answer, that come and that go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// A cluster counts as unreachable after this long without an observation.
    pub unreachable_after: DurationMs,
    /// What then happens to an untouched cluster whose turn it is.
    pub unreachable: OnUnreachable,
    /// What happens to clusters that come into the fleet.
    #[serde(default)]
    pub added: OnAdded,
    /// What happens when a cluster leaves the fleet whose site has begun.
    #[serde(default)]
    pub removed: OnRemoved,
}

/// What happens to a cluster that comes into the fleet while the rollout runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnAdded {
    /// It is left out.
    #[default]
    Ignore,
    /// It comes into the wave that selects it, if that has not begun to soak; else into a last
    /// wave.
    Append,
    /// It comes into a last wave after all others.
    OwnWave,
}

/// What happens when a cluster leaves the fleet whose site has begun and not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRemoved {
    /// Its site is let go as it stands.
    #[default]
    Skip,
    /// The same, and nothing goes on until a person has seen it.
    Hold,
    /// Its site fails.
    Fail,
}

/// What happens when clusters of a new rollout have an unfinished one already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenBusy {
    /// The new one is refused.
    #[default]
    Refuse,
    /// The new one waits until the earlier one has ended.
    Queue,
    /// The earlier one makes room.
    Supersede,
}

/// What happens to an unreachable cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnreachable {
    /// Wait for it.
    Wait,
    /// The site fails.
    Fail,
    /// Leave it out if it is untouched.
    Skip,
}

/// A reference to a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginRef {
    /// One that is shipped with the host, by name.
    Shipped(String),
    /// A component in a file, relative to the document.
    File(String),
}

/// The strategy and its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyUse {
    /// Which plugin.
    pub plugin: PluginRef,
    /// Its configuration as JSON.
    pub config: String,
    /// What a call may use.
    pub limits: CallLimits,
    /// The class whose limits these tighten: what the policy says, or else, once it is loaded,
    /// what the component says; none in journals from before there were classes.
    #[serde(default)]
    pub class: Option<ResourceClass>,
}

/// A gate, its configuration and when it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateUse {
    /// Unique in the policy.
    pub name: GateName,
    /// Which plugin.
    pub plugin: PluginRef,
    /// Its configuration as JSON.
    pub config: String,
    /// When it is asked.
    pub phases: BTreeSet<Phase>,
    /// Between evaluations.
    pub interval: DurationMs,
    /// Slots and the sources they are bound to.
    pub slots: BTreeMap<SlotName, SourceName>,
    /// Fails that are tolerated.
    pub budget: GateBudget,
    /// Valid samples that each measurement of a passing evaluation must rest on.
    pub min_samples: u32,
    /// Passing evaluations in a row before it counts as passed.
    #[serde(default = "once")]
    pub passes: u32,
    /// How old a pass, and the newest sample behind it, may be; none in journals from before
    /// there was such a limit.
    #[serde(default)]
    pub fresh_for: Option<DurationMs>,
    /// Asked and recorded as any other, and decides nothing.
    #[serde(default)]
    pub trial: bool,
    /// What happens when the gate is unavailable.
    pub on_unavailable: OnUnavailable,
    /// What a call may use.
    pub limits: CallLimits,
    /// The class whose limits these tighten: what the policy says, or else, once it is loaded,
    /// what the component says; none in journals from before there were classes.
    #[serde(default)]
    pub class: Option<ResourceClass>,
}

fn once() -> u32 {
    1
}

/// Fails that are tolerated before the site fails. Zero means that the first one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateBudget {
    /// In a row.
    pub consecutive: u32,
    /// In all, per site and phase.
    pub total: u32,
    /// Among the last evaluations; none if that does not matter.
    #[serde(default)]
    pub window: Option<BudgetWindow>,
}

/// Fails that are tolerated among the last evaluations that passed or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetWindow {
    /// So many fails.
    pub fails: u32,
    /// Of so many evaluations, at most [`crate::limits::BUDGET_WINDOW_MAX`].
    pub of: u32,
}

/// What happens when a gate is unavailable. Never *pass*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnavailable {
    /// Hold and ask again.
    #[default]
    Hold,
    /// Count it as a fail.
    Fail,
}
