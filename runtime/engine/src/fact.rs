//! What was decided or learned, in the past tense. Only facts change the state.

use crate::command::Effect;
use crate::input::CommandResult;
use crate::spec::Spec;
use crate::state::GateKey;
use crate::swap::{Component, Memory, Part};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use wavegate_model::plugin::{Evaluation, Measurement, Outcome};
use wavegate_model::{
    Cluster, ClusterName, CommandId, ConsultationId, Digest, DurationMs, Epoch, GateName, Plan,
    Release, RolloutId, Seen, SiteName, Split, Timestamp, Unavailable, WaveName,
};

/// A fact. Journals are made of these: variants and fields are added, never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the fields are ids and the values that the variant's line names"
)]
pub enum Fact {
    /// The rollout began.
    Started { spec: Box<Spec> },
    /// A host process began to run it; nobody did for `down`.
    Resumed { down: DurationMs },
    /// This host became the owner of a cluster.
    Claimed { cluster: ClusterName, epoch: Epoch },
    /// A cluster was seen.
    Observed { cluster: ClusterName, seen: Seen },
    /// A cluster has not answered for longer than the policy allows.
    ClusterLost {
        cluster: ClusterName,
        detail: String,
    },
    /// A lost cluster answered again; what was known of its site is void.
    ClusterReturned { cluster: ClusterName },
    /// What a cluster ran when the rollout started.
    BaselineTaken {
        cluster: ClusterName,
        release: Box<Release>,
        desired: u32,
        /// Other releases that had nodes then, without traffic: what an earlier rollout left.
        #[serde(default)]
        remainder: Vec<Digest>,
    },
    /// A wave began.
    WaveStarted { wave: WaveName },
    /// All sites of a wave are done; its soak began.
    WaveSoakStarted { wave: WaveName },
    /// A wave is done and soaked.
    WaveDone { wave: WaveName },
    /// A site began: its traffic at this moment, and the nodes that carry it.
    SiteStarted {
        site: SiteName,
        split: Split,
        demand: u32,
    },
    /// A site was left out.
    SiteSkipped { site: SiteName, why: String },
    /// A strategy was asked.
    StrategyAsked {
        consultation: ConsultationId,
        site: SiteName,
    },
    /// A strategy answered, and the answer passed the guards.
    StrategyAnswered {
        consultation: ConsultationId,
        site: SiteName,
        outcome: Box<Outcome>,
    },
    /// A strategy gave no usable answer.
    StrategyUnavailable {
        consultation: ConsultationId,
        site: SiteName,
        why: Unavailable,
    },
    /// A gate was asked.
    GateAsked {
        consultation: ConsultationId,
        gate: GateKey,
    },
    /// A gate answered.
    GateAnswered {
        consultation: ConsultationId,
        gate: GateKey,
        evaluation: Box<Evaluation>,
    },
    /// A gate gave no usable answer.
    GateUnavailable {
        consultation: ConsultationId,
        gate: GateKey,
        why: Unavailable,
    },
    /// An answer matched nothing outstanding.
    AnswerDiscarded {
        consultation: Option<ConsultationId>,
        command: Option<CommandId>,
    },
    /// A command was given.
    CommandIssued { effect: Box<Effect> },
    /// A command was carried out.
    CommandConfirmed { command: CommandId },
    /// A command was not carried out.
    CommandRefused {
        command: CommandId,
        result: CommandResult,
    },
    /// After a restart: the command left no trace in the cluster and is decided again.
    CommandVoided { command: CommandId },
    /// The nodes of a batch serve. Evidence starts here.
    BatchSettled { site: SiteName },
    /// The gates after the last batch passed.
    BatchPassed { site: SiteName },
    /// The site looks like its goal.
    GoalReached { site: SiteName },
    /// The desired total changed, so the goal no longer fits.
    GoalDropped { site: SiteName },
    /// What the strategy waited for is there.
    WaitEnded { site: SiteName },
    /// The strategy's work is done; the site soaks.
    SiteSoakStarted { site: SiteName },
    /// The site is done and soaked.
    SiteDone { site: SiteName },
    /// The site has stayed healthy for its wave's soak.
    SiteSoaked { site: SiteName },
    /// The site has failed.
    SiteFailed { site: SiteName, reason: FailReason },
    /// The site goes back to its baseline.
    SiteRollbackStarted { site: SiteName },
    /// The site is back.
    SiteRolledBack { site: SiteName },
    /// The site could not go back.
    SiteRollbackFailed { site: SiteName, why: String },
    /// Somebody paused.
    Paused { actor: String, reason: String },
    /// Somebody continued.
    Continued { actor: String, reason: String },
    /// Somebody ended the rollout where it stands, by `abort` or `close`.
    EndAsked {
        verb: String,
        actor: String,
        reason: String,
    },
    /// Nothing new may start until then; not until a person decides, if there is no such instant.
    WindowClosed {
        why: String,
        opens: Option<Timestamp>,
    },
    /// What may start again starts, until then.
    WindowOpened { closes: Option<Timestamp> },
    /// Somebody approved.
    Approved {
        wave: Option<WaveName>,
        site: Option<SiteName>,
        actor: String,
        reason: String,
        /// The stage of the site, if the policy wants an approval before it.
        #[serde(default)]
        stage: Option<String>,
    },
    /// A request was not possible in this state, or changed nothing.
    RequestRefused {
        verb: String,
        actor: String,
        why: String,
    },
    /// A row of the inbox was taken.
    InboxTaken { id: u64 },
    /// The rollout may not go on without a person.
    Held { reason: HoldReason },
    /// The rollout stopped and goes to its declared end state.
    Stopped {
        reason: StopReason,
        sites: Vec<SiteName>,
    },
    /// The rollout ended.
    Finished { end: End },
    /// Somebody wants no timed wait to be waited for any more: in a site, or in the whole rollout.
    Promoted {
        site: Option<SiteName>,
        actor: String,
        reason: String,
    },
    /// Somebody wants to try again, a site or whatever has failed: back-offs end at once.
    RetryAsked {
        site: Option<SiteName>,
        actor: String,
        reason: String,
    },
    /// A site is tried again: one that failed goes on, one that is back or was left out starts
    /// anew, one that could not go back is to go back.
    SiteRetried { site: SiteName },
    /// Somebody wants a site to be left out.
    SkipAsked {
        site: SiteName,
        actor: String,
        reason: String,
    },
    /// A touched site of which clusters do not answer gives its place back. Nobody knows what
    /// runs there, and the rollout can only end incomplete.
    SiteGivenUp {
        site: SiteName,
        clusters: Vec<ClusterName>,
    },
    /// A person's verdict in place of a gate's, for the evidence that is there now.
    GateOverridden {
        gate: GateKey,
        actor: String,
        reason: String,
    },
    /// A rollout that had ended goes back: every touched site that is not back.
    Undone {
        actor: String,
        reason: String,
        sites: Vec<SiteName>,
    },
    /// Another component takes a part of the policy; what the one before was asked and said is
    /// void.
    PluginSwapped {
        part: Part,
        from: Digest,
        to: Box<Component>,
        memory: Memory,
        actor: String,
        reason: String,
    },
    /// Nothing new may start in a wave until then, by windows of its own.
    WaveWindowClosed {
        wave: WaveName,
        why: String,
        opens: Option<Timestamp>,
    },
    /// The windows of a wave are open, until then.
    WaveWindowOpened {
        wave: WaveName,
        closes: Option<Timestamp>,
    },
    /// A question to a gate was withdrawn: whatever the answer, it counts as none.
    GateCancelled {
        consultation: ConsultationId,
        gate: GateKey,
        why: Withdrawn,
    },
    /// A question to a strategy was withdrawn.
    StrategyCancelled {
        consultation: ConsultationId,
        site: SiteName,
        why: Withdrawn,
    },
    /// The fleet changed: the child plan, documents of clusters that came, and what became of
    /// each cluster that came or went.
    Replanned {
        plan: Box<Plan>,
        clusters: Vec<Cluster>,
        changes: Vec<MemberChange>,
        actor: String,
        reason: String,
    },
    /// It waits for unfinished rollouts that have clusters of its plan; for none any more, if
    /// there is none.
    Queued {
        behind: BTreeMap<RolloutId, Vec<ClusterName>>,
    },
    /// The nodes that carry a site's traffic are others, because a desired total changed.
    DemandChanged { site: SiteName, demand: u32 },
    /// A site that soaked misses nodes and is decided again, because its total rose.
    SiteReopened { site: SiteName },
}

/// Why a question was withdrawn. Nobody failed to answer: what was asked does not matter any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Withdrawn {
    /// Nodes or traffic changed since it was asked, or a cluster came back.
    SubjectChanged,
    /// The site went another way: it failed, goes back, or is left out.
    SubjectLeft,
    /// The host that asked stopped before the answer came.
    HostStopped,
}

/// What became of a cluster when the fleet changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberChange {
    /// Which cluster.
    pub cluster: ClusterName,
    /// What became of it.
    pub outcome: MemberOutcome,
}

/// What becomes of a cluster when the fleet changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberOutcome {
    /// It came and is in the plan.
    Added {
        /// Its wave.
        wave: WaveName,
        /// Its site.
        site: SiteName,
    },
    /// It came and is left out.
    LeftOut {
        /// Why.
        why: String,
    },
    /// It went before it was touched, and is not in the plan any more.
    Left,
    /// It went after its site had begun, and is let go as it stands.
    LetGo {
        /// What it looked like last.
        was: String,
    },
    /// It went after its site had begun, and stays until its site has gone back.
    Kept,
    /// It is in the fleet again.
    Returned,
}

/// Why a site failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailReason {
    /// A gate failed more often than its budget allows.
    Gate {
        /// Which gate.
        gate: GateName,
        /// Its reason.
        reason: String,
        /// The measurements that broke their limits.
        measurements: Vec<Measurement>,
    },
    /// A gate was unavailable and the policy counts that as a fail.
    GateUnavailable {
        /// Which gate.
        gate: GateName,
        /// Why.
        why: Unavailable,
    },
    /// The strategy gave up.
    Strategy(String),
    /// A batch made no progress for too long.
    BatchTime(DurationMs),
    /// The site took too long.
    SiteTime(DurationMs),
    /// The wave took too long.
    WaveTime(DurationMs),
    /// The rollout took too long.
    RolloutTime(DurationMs),
    /// A cluster of the site was unreachable.
    Unreachable(ClusterName),
    /// A cluster of the site left the fleet.
    Removed(ClusterName),
}

/// Why the rollout may not go on without a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldReason {
    /// The declared end state of a failure.
    Failure {
        /// The site that failed last.
        site: SiteName,
    },
    /// A time limit that holds.
    TimeLimit {
        /// The site, if it is a site's or a batch's limit.
        site: Option<SiteName>,
        /// The wave, if it is a wave's limit.
        wave: Option<WaveName>,
        /// The limit.
        limit: DurationMs,
    },
    /// Another host owns a cluster.
    Superseded {
        /// What the driver said.
        detail: String,
    },
    /// A cluster left the fleet after its site had begun.
    Removed {
        /// Which cluster.
        cluster: ClusterName,
    },
}

/// Why the rollout stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// More sites failed than the policy tolerates.
    Failure {
        /// The site that failed last.
        site: SiteName,
    },
    /// Somebody asked for it.
    Requested {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },
    /// A newer rollout takes over.
    Superseded {
        /// The newer one.
        by: RolloutId,
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Every wave is done.
    Done,
    /// What had to go back is back.
    RolledBack,
    /// Something could not go back.
    RollbackIncomplete,
    /// Somebody ended it where it stood.
    Aborted,
    /// Somebody closed it while touched clusters were unreachable.
    Incomplete,
    /// Another host owns the clusters; this one has nothing more to say.
    Superseded,
    /// It made room for a newer rollout.
    Replaced,
}
