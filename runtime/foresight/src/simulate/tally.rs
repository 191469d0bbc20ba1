//! What is kept of a run.

use serde::{Deserialize, Serialize};
use wavegate_engine::Fact;
use wavegate_engine::fact::{End, FailReason, HoldReason};
use wavegate_model::Timestamp;
use wavegate_ports::world::Exposure;

/// How a simulated rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every wave is done.
    Done,
    /// What had to go back is back.
    RolledBack,
    /// Something could not go back.
    RollbackIncomplete,
    /// It holds and needs a person.
    Held,
    /// It had not ended when the simulation gave up waiting.
    Unfinished,
}

impl Outcome {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::RolledBack => "rolled back",
            Self::RollbackIncomplete => "rollback incomplete",
            Self::Held => "held",
            Self::Unfinished => "unfinished",
        }
    }
}

/// What the outcome means, knowing what the release was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// A good release is everywhere.
    Good,
    /// A good release, and a site failed, or the rollout went back or held.
    FalseAlarm,
    /// A bad release was stopped: it went back, or it holds.
    Caught,
    /// The rollout went on to its end, and the release is not where it is bad.
    Contained,
    /// A bad release is where it is bad.
    Missed,
    /// Neither, when the simulation gave up waiting.
    Open,
}

/// What the release had to do with nodes and requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exposed {
    /// Clusters in which a node of it served at some time.
    pub clusters: u32,
    /// Nodes of it that served at some time.
    pub nodes: u32,
    /// Requests that it got.
    pub requests: u64,
    /// Requests that failed, or took much too long, because it is bad.
    pub harmed: u64,
}

impl From<Exposure> for Exposed {
    fn from(exposure: Exposure) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast saturates, and counts are positive"
        )]
        let whole = |number: f64| number.round() as u64;
        Self {
            clusters: exposure.clusters,
            nodes: exposure.nodes,
            requests: whole(exposure.exposed),
            harmed: whole(exposure.harmed),
        }
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its number, from 0.
    pub run: u32,
    /// What was wrong with the release.
    pub fault: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// What that means.
    pub told: Told,
    /// From the start until it ended, held, or was given up.
    pub took_ms: u64,
    /// From the start until the first site failed, or the rollout held.
    pub acted_ms: Option<u64>,
    /// From the start until the rollout was stopped: nothing new started any more.
    pub stopped_ms: Option<u64>,
    /// What made the first site fail, or the rollout hold: a gate, a limit, or what it waited for.
    pub acted: Option<String>,
    /// Sites that failed.
    pub failed_sites: u32,
    /// Until the rollout was stopped: nothing new started any more. Until its end, if it never was.
    pub before_stop: Exposed,
    /// Until its end.
    pub in_all: Exposed,
    /// Inputs that the engine took.
    pub steps: u64,
    /// Facts, all of which the auditor has checked.
    pub facts: u64,
    /// Calls of components.
    pub calls: u64,
}

/// Collects what a run comes to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) steps: u64,
    pub(super) facts: u64,
    pub(super) calls: u64,
    pub(super) failed_sites: u32,
    pub(super) acted: Option<(Timestamp, String)>,
    pub(super) stopped: Option<Timestamp>,
    pub(super) held: bool,
    pub(super) end: Option<End>,
}

impl Tally {
    pub(super) fn take(&mut self, at: Timestamp, fact: &Fact) {
        self.facts += 1;
        match fact {
            Fact::SiteFailed { reason, .. } => {
                self.failed_sites += 1;
                self.acted.get_or_insert_with(|| (at, failed_by(reason)));
            }
            Fact::Held { reason } => {
                self.held = true;
                self.stopped.get_or_insert(at);
                self.acted.get_or_insert_with(|| (at, held_by(reason)));
            }
            Fact::Stopped { .. } => {
                self.stopped.get_or_insert(at);
            }
            Fact::Finished { end } => self.end = Some(*end),
            _ => {}
        }
    }
}

fn failed_by(reason: &FailReason) -> String {
    match reason {
        FailReason::Gate { gate, .. } => format!("gate {gate}"),
        FailReason::GateUnavailable { gate, .. } => format!("gate {gate}, unavailable"),
        FailReason::Strategy(_) => "strategy".to_owned(),
        FailReason::BatchTime(_) => "limit batchProgress".to_owned(),
        FailReason::SiteTime(_) => "limit cluster".to_owned(),
        FailReason::WaveTime(_) => "limit wave".to_owned(),
        FailReason::RolloutTime(_) => "limit rollout".to_owned(),
        FailReason::Unreachable(_) => "unreachable cluster".to_owned(),
        FailReason::Removed(_) => "removed cluster".to_owned(),
    }
}

fn held_by(reason: &HoldReason) -> String {
    match reason {
        HoldReason::Failure { .. } => "failure rule".to_owned(),
        HoldReason::TimeLimit { site: Some(_), .. } => "limit of a site".to_owned(),
        HoldReason::TimeLimit { wave: Some(_), .. } => "limit wave".to_owned(),
        HoldReason::TimeLimit { .. } => "limit rollout".to_owned(),
        HoldReason::Superseded { .. } => "another host".to_owned(),
        HoldReason::Removed { .. } => "removed cluster".to_owned(),
    }
}

/// What an outcome means for a release that is bad or good.
pub(super) fn told(fault: Option<&str>, outcome: Outcome, failed_sites: u32, harmful: u32) -> Told {
    match (fault.is_some(), outcome) {
        (_, Outcome::Unfinished) => Told::Open,
        (false, Outcome::Done) if failed_sites == 0 => Told::Good,
        (false, _) => Told::FalseAlarm,
        (true, Outcome::Done) if harmful > 0 => Told::Missed,
        (true, Outcome::Done) => Told::Contained,
        (true, Outcome::RolledBack | Outcome::RollbackIncomplete | Outcome::Held) => Told::Caught,
    }
}
