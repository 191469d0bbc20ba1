//! The state of a rollout. Changed by [`crate::apply`] alone.

mod clock;
mod gates;

use crate::command::Effect;
use crate::fact::{End, FailReason, HoldReason, MemberOutcome, StopReason};
use crate::spec::Spec;
use crate::swap::{Part, Swapped};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
pub use clock::WaveClock;
pub use gates::Gates;
use serde::{Deserialize, Serialize};
use wavegate_model::observation::Stamp;
use wavegate_model::plugin::{Completed, Evaluation, Phase, PluginState, Subject, Verdict};
use wavegate_model::{
    ClusterName, CommandId, ConsultationId, Digest, DurationMs, Epoch, GateName, Generation, Goal,
    Release, RolloutId, Seen, SiteName, Split, Table, Timestamp, Unavailable,
};

/// A rollout as all facts so far make it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// What the rollout is; fixed, but for plugins that were swapped.
    pub spec: Spec,
    /// Where it is.
    pub phase: RolloutPhase,
    /// When it may not go on without a person, why.
    pub held: Option<HoldReason>,
    /// Time that does not count.
    pub clock: Clock,
    /// In the plan's order.
    pub waves: Vec<WaveState>,
    /// All sites of the plan.
    pub sites: Table<SiteName, SiteState>,
    /// All clusters of the plan.
    pub clusters: Table<ClusterName, ClusterState>,
    /// Commands to drivers whose answer has not come.
    pub outstanding: BTreeMap<CommandId, Effect>,
    /// Questions to plugins whose answer has not come.
    pub consultations: BTreeMap<ConsultationId, Asked>,
    /// Commands below this id were given by an earlier host process.
    pub resumed_at_command: CommandId,
    /// The next command's id.
    pub next_command: CommandId,
    /// The next question's id.
    pub next_consultation: ConsultationId,
    /// Active time from which the rollout's time limit counts.
    pub limit_since: DurationMs,
    /// Sites that failed, in all.
    pub failed_sites: u32,
    /// Most sites that the plan has had. What was tolerated stays tolerated when some leave.
    pub sites_most: u32,
    /// What became last of clusters that came or went while it ran.
    pub members: BTreeMap<ClusterName, MemberOutcome>,
    /// The last row of the inbox that was taken.
    pub inbox: u64,
    /// Whether timed waits are waited for.
    pub waits: Waits,
    /// Whether it had ended, and goes back since somebody undid it.
    pub undone: bool,
    /// Parts that another component has taken since the start.
    pub swaps: BTreeMap<Part, Swapped>,
}

/// Whether timed waits are waited for: the strategy's, and soaks without gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Waits {
    /// As the policy and the strategy say.
    #[default]
    Kept,
    /// Somebody promoted: none is waited for.
    Waived,
}

/// Where a rollout is.
#[derive(Clone, Debug, PartialEq)]
pub enum RolloutPhase {
    /// Waves go on.
    Running,
    /// On the way to the declared end state.
    Stopping {
        /// Why.
        reason: StopReason,
        /// Sites that go back.
        sites: BTreeSet<SiteName>,
    },
    /// Over.
    Finished(End),
}

/// Tells active time: wall-clock time less the time in which nobody could act.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Clock {
    /// First fact.
    pub started: Timestamp,
    /// Last fact.
    pub last: Timestamp,
    /// Time that did not count, up to the last end of such a time.
    pub stopped: DurationMs,
    /// Since when it stands still.
    pub still_since: Option<Timestamp>,
    /// Whether somebody paused.
    pub paused: bool,
    /// Rollouts that it waits for before it begins, and their clusters; none while nobody has
    /// looked for them.
    pub behind: Option<BTreeMap<RolloutId, Vec<ClusterName>>>,
    /// What is closed, if the policy's windows are.
    pub closed: Option<Shut>,
    /// When windows open or close next.
    pub window_change: Option<Timestamp>,
}

/// A time in which nothing new starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shut {
    /// Why, for people.
    pub why: String,
    /// When it is over, if that is known.
    pub opens: Option<Timestamp>,
}

impl Clock {
    /// Active time since the rollout started.
    pub fn active(&self, now: Timestamp) -> DurationMs {
        let end = self.still_since.unwrap_or(now);
        end.since(self.started).minus(self.stopped)
    }

    /// The wall-clock instant at which active time will be `active`, if nothing stops it; none
    /// while it stands still.
    pub fn wall(&self, active: DurationMs) -> Option<Timestamp> {
        let goes_on = !self.stands_still();
        goes_on.then(|| self.started.plus(self.stopped).plus(active))
    }

    /// Whether it has not begun because of other rollouts.
    pub fn queues(&self) -> bool {
        self.behind.as_ref().is_none_or(|behind| !behind.is_empty())
    }

    /// Whether time does not count at present.
    pub fn stands_still(&self) -> bool {
        self.still_since.is_some()
    }

    /// Stops or goes on, as the state after a fact wants it: a pause always stops it, and so does
    /// waiting for another rollout; a window that is closed stops only what would go on, and
    /// never the way back.
    pub(crate) fn settle(&mut self, at: Timestamp, phase: &RolloutPhase) {
        let goes_on = matches!(phase, RolloutPhase::Running);
        let waits = self.closed.is_some() || self.queues();
        let stands = self.paused || (waits && goes_on);
        match self.still_since {
            None if stands => self.still_since = Some(at),
            Some(since) if !stands => {
                self.stopped = self.stopped.plus(at.since(since));
                self.still_since = None;
            }
            None | Some(_) => {}
        }
    }
}

/// A wave.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct WaveState {
    /// Where it is.
    pub phase: WavePhase,
    /// Active time from which its time limit counts.
    pub limit_since: DurationMs,
    /// Who approved its start.
    pub approved: BTreeSet<String>,
    /// Index of the next site to start.
    pub next_site: usize,
    /// Sites that have started and are not finished.
    pub in_flight: u32,
    /// Sites that are finished in whatever way.
    pub finished: u32,
    /// Sites that have stayed healthy for the wave's soak, or need not.
    pub soaked: u32,
    /// Sites that failed.
    pub failed: u32,
    /// Most sites that it has had.
    pub sites_most: u32,
    /// How often evidence of the whole wave began anew.
    pub evidence: u64,
    /// Gates that were asked about the whole wave.
    pub gates: Gates,
    /// Its own time.
    pub clock: WaveClock,
}

/// Where a wave is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WavePhase {
    /// For the waves it comes after, for approval or for gates.
    #[default]
    Waiting,
    /// Sites start and finish.
    Running,
    /// All sites are done; the wave soaks, then its last gates are asked.
    Soaking,
    /// Done and soaked.
    Done,
}

/// A site.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SiteState {
    /// Index of its wave.
    pub wave: usize,
    /// Its number in the whole plan, from 1.
    pub number: u32,
    /// Its clusters.
    pub clusters: Vec<ClusterName>,
    /// Where it is.
    pub phase: SitePhase,
    /// Whether a command was given for it.
    pub touched: bool,
    /// Active time at its start.
    pub started: DurationMs,
    /// Its traffic when it started.
    pub baseline_split: Split,
    /// Nodes that carried its traffic when it started.
    pub demand: u32,
    /// The last split that is known to be in effect.
    pub split: Split,
    /// The splits of commands since the last one that was confirmed; each may be in effect, or
    /// come into effect.
    pub intended_splits: Vec<Split>,
    /// What the strategy or the rollback wants.
    pub goal: Option<Goal>,
    /// Desired totals of its clusters that the goal was made for.
    pub goal_desired: Vec<u32>,
    /// What it does while it is being updated.
    pub step: Step,
    /// As the strategy named it.
    pub stage: String,
    /// Active time at the begin of the stage.
    pub stage_since: DurationMs,
    /// The strategy's last reason.
    pub reason: String,
    /// The strategy's state.
    pub strategy: PluginState,
    /// What was carried out since the strategy's last answer.
    pub completed: Completed,
    /// The question to the strategy that is outstanding.
    pub asked: Option<ConsultationId>,
    /// The strategy's failures in a row.
    pub retry: Retry,
    /// Decisions in a row that left nothing to carry out.
    pub idle_decisions: u32,
    /// Commands that are outstanding.
    pub outstanding: BTreeSet<CommandId>,
    /// The batch that has not settled.
    pub batch: Option<BatchState>,
    /// Refused or failed commands in a row.
    pub command_retry: Retry,
    /// Only observations from here on count.
    pub fresh_after: Timestamp,
    /// Evidence from here on counts.
    pub evidence_start: Timestamp,
    /// How often evidence began anew.
    pub evidence: u64,
    /// Gates that were asked about it.
    pub gates: Gates,
    /// Whether the gates after the last batch still have to pass.
    pub batch_unjudged: bool,
    /// Healthy time.
    pub soak: BTreeMap<GateKey, Coverage>,
    /// Active time at which soaking began.
    pub soak_since: DurationMs,
    /// Active time from which the site's time limit counts.
    pub limit_since: DurationMs,
    /// Whether it has stayed healthy for its wave's soak.
    pub wave_soaked: bool,
    /// Why it failed.
    pub failure: Option<FailReason>,
    /// What it waited for when it could not go back.
    pub not_back: Option<String>,
    /// Who approved which of its stages, as the policy wants it.
    pub approved: BTreeMap<String, BTreeSet<String>>,
    /// Whether its timed waits are waited for.
    pub waits: Waits,
    /// Clusters that did not answer when somebody left it out although it was touched.
    pub given_up: Vec<ClusterName>,
    /// Largest number of nodes that ran the new release at once.
    pub exposed_nodes: u32,
}

/// Where a site is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SitePhase {
    /// Its turn has not come.
    #[default]
    Pending,
    /// The strategy leads it.
    Updating,
    /// The strategy is done, the site must stay healthy.
    Soaking,
    /// Done.
    Done,
    /// It failed and stays where it is.
    Failed,
    /// On the way back.
    RollingBack,
    /// Back.
    RolledBack,
    /// It could not go back.
    RollbackFailed,
    /// Left out.
    Skipped,
}

impl SitePhase {
    /// Whether the site takes one of its wave's places.
    pub fn in_flight(self) -> bool {
        matches!(
            self,
            Self::Updating | Self::Soaking | Self::Failed | Self::RollingBack
        )
    }

    /// Whether nothing more is expected of it.
    pub fn finished(self) -> bool {
        matches!(
            self,
            Self::Done | Self::RolledBack | Self::RollbackFailed | Self::Skipped
        )
    }
}

/// What a site does while it is being updated.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Step {
    /// Ask the gates before the site.
    #[default]
    Before,
    /// Ask the strategy.
    Ask,
    /// Move to the goal.
    Move,
    /// Wait until gates pass.
    Gates(Vec<GateName>),
    /// Wait until active time is this.
    Until(DurationMs),
    /// Wait for a person.
    Person(String),
}

/// A batch that has not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchState {
    /// In which cluster.
    pub cluster: ClusterName,
    /// Nodes on the new release that it leads to.
    pub new: u32,
    /// Nodes on the baseline that it leads to.
    pub baseline: u32,
    /// Which release gains nodes by it.
    pub rising: Rising,
    /// Most nodes of the rising release that were ready so far.
    pub best_ready: u32,
    /// Active time of the last progress.
    pub progress: DurationMs,
}

/// Which release gains nodes by a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rising {
    /// The new one.
    New,
    /// The baseline.
    Baseline,
    /// None: nodes are only removed.
    Neither,
}

/// Failures in a row, and when to try again.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Retry {
    /// Failures in a row.
    pub failures: u32,
    /// Not before.
    pub not_before: Timestamp,
    /// The last failure.
    pub why: Option<Box<Unavailable>>,
    /// The last failure of a command, in words.
    pub detail: String,
}

impl Retry {
    /// 250 ms, doubled with each failure in a row, at most 30 s: quick for a glitch, and a broken
    /// plugin costs two calls a minute.
    pub fn delay(failures: u32) -> DurationMs {
        DurationMs((250_u64 << failures.min(10).saturating_sub(1)).min(30_000))
    }
}

/// Healthy time that evidence has covered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Active time covered so far.
    pub covered: DurationMs,
    /// Active time of the last pass, if no gap came since.
    pub last_pass: Option<DurationMs>,
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ClusterState {
    /// The site it is in.
    pub site: Option<SiteName>,
    /// What it is in its site.
    pub role: String,
    /// What it ran when the rollout started; none before it was seen.
    pub baseline: Option<Box<Release>>,
    /// Releases that had idle nodes then.
    pub remainder: Vec<Digest>,
    /// This host's epoch; none before it was claimed by this host.
    pub epoch: Option<Epoch>,
    /// What was seen last.
    pub seen: Option<Seen>,
    /// Since when it has looked like that.
    pub news: Timestamp,
    /// Since when it is lost, with what was tried.
    pub lost: Option<(Timestamp, String)>,
    /// Whether a command was given for it.
    pub touched: bool,
    /// Every epoch that a host of this rollout had there, in order: a stamp with another one was
    /// left by another rollout.
    pub epochs: Vec<Epoch>,
    /// Whether it is in the fleet no more.
    pub left: bool,
    /// A command for its nodes that failed, and may take effect all the same: the request can
    /// still be on its way. A later command that is carried out ends that, and so does a higher
    /// epoch: drivers carry out nothing that is older than what they have carried out.
    pub in_doubt: Option<Doubt>,
}

/// What commands may do that were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The newest of them.
    pub newest: Stamp,
    /// The fewest nodes of the new release that one of them leaves.
    pub new: u32,
    /// The fewest of the baseline.
    pub baseline: u32,
}

/// Which gate, about what, when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GateKey {
    /// About what.
    pub subject: Subject,
    /// When.
    pub phase: Phase,
    /// Which gate of the policy.
    pub gate: GateName,
}

/// A gate that was asked.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct GateState {
    /// Questions since the evidence started.
    pub attempts: u32,
    /// Questions in all.
    pub answers: u32,
    /// Fails in a row.
    pub fails_in_row: u32,
    /// Fails in all.
    pub fails: u32,
    /// The last verdict for the present evidence, and when it was asked for.
    pub last: Option<(Verdict, Timestamp)>,
    /// Passes in a row for the present evidence, none older than the policy allows.
    pub passes_in_row: u32,
    /// The last evaluations that passed or failed: a bit for each, 1 for a fail, the newest lowest.
    pub recent: u64,
    /// Fails that its budget did not tolerate.
    pub over_budget: u32,
    /// Questions that were withdrawn.
    pub cancelled: u32,
    /// When it was asked last.
    pub asked_at: Timestamp,
    /// The last evaluation, of whatever evidence.
    pub evaluation: Option<Box<Evaluation>>,
    /// Not to be asked before.
    pub due: Timestamp,
    /// The question that is outstanding.
    pub asked: Option<ConsultationId>,
    /// The gate's state.
    pub state: PluginState,
    /// Failures in a row to answer at all.
    pub retry: Retry,
    /// The last verdict that a person gave in its place.
    pub overridden: Option<Override>,
}

/// A person's verdict in place of a gate's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl GateState {
    /// Who let it pass for the present evidence, if it was not the gate itself.
    pub fn override_in_force(&self) -> Option<&Override> {
        let overridden = self.overridden.as_ref()?;
        (self.last == Some((Verdict::Pass, overridden.at))).then_some(overridden)
    }
}

/// Who was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// The strategy, about a site.
    Strategy(SiteName),
    /// A gate, with the number of the evidence that it judges; an answer for older evidence is
    /// void.
    Gate(GateKey, u64),
}

impl State {
    /// The generation of the plan.
    pub fn generation(&self) -> Generation {
        self.spec.plan.generation
    }

    /// A site of the plan.
    ///
    /// # Panics
    /// If the plan has no such site: names of sites come from the plan alone.
    pub fn site(&self, name: &SiteName) -> &SiteState {
        self.sites.get(name).expect("the plan has this site")
    }

    /// A cluster of the plan.
    ///
    /// # Panics
    /// If the plan has no such cluster.
    pub fn cluster(&self, name: &ClusterName) -> &ClusterState {
        self.clusters.get(name).expect("the plan has this cluster")
    }

    /// What was tried when a cluster did not answer. None also while it has not been looked at
    /// since its site changed: then it is not known whether it is still so.
    pub fn unreachable(&self, name: &ClusterName) -> Option<&str> {
        let cluster = self.cluster(name);
        let (since, detail) = cluster.lost.as_ref()?;
        let site = cluster.site.as_ref();
        let fresh_after = site.map_or(Timestamp(0), |site| self.site(site).fresh_after);
        (*since >= fresh_after).then_some(detail)
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<End> {
        match &self.phase {
            RolloutPhase::Finished(end) => Some(*end),
            RolloutPhase::Running | RolloutPhase::Stopping { .. } => None,
        }
    }

    /// Whether new sites and batches may start.
    pub fn may_advance(&self) -> bool {
        matches!(self.phase, RolloutPhase::Running)
            && self.held.is_none()
            && !self.clock.paused
            && self.clock.closed.is_none()
            && !self.clock.queues()
    }

    /// Whether timed waits of a site are waited for.
    pub fn waits(&self, site: &SiteState) -> Waits {
        match (self.waits, site.waits) {
            (Waits::Kept, Waits::Kept) => Waits::Kept,
            _ => Waits::Waived,
        }
    }

    /// Sites for which a command was given, in order.
    pub fn touched(&self) -> impl Iterator<Item = (&SiteName, &SiteState)> {
        self.sites.iter().filter(|(_, site)| site.touched)
    }
}
