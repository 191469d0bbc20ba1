//! Why an answer could not be had. One thing to the engine: it holds.

use crate::amount::Permille;
use crate::ids::{ClusterName, GateName, SlotName};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// Why a plugin or a source gave no usable answer. Never advances a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Unavailable {
    /// The guest trapped.
    #[error("the plugin trapped: {trap}{}", said(.message))]
    Trap {
        /// Name of the trap.
        trap: String,
        /// What the guest said last, cleaned.
        message: String,
    },
    /// The guest used up its fuel.
    #[error("the plugin used up its {limit} units of fuel")]
    OutOfFuel {
        /// Fuel per call.
        limit: u64,
    },
    /// The guest ran over its wall-clock limit.
    #[error("the plugin ran over its limit of {limit_ms} ms")]
    TimedOut {
        /// Wall-clock limit per call in milliseconds.
        limit_ms: u64,
    },
    /// The guest wanted more of something than it may have.
    #[error("the plugin went over its limit of {what}: {limit}")]
    LimitExceeded {
        /// For example `memory in bytes`.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The guest answered with a failure of its own.
    #[error("the plugin failed: {code}: {message}")]
    Failed {
        /// The guest's code, cleaned.
        code: String,
        /// The guest's message, cleaned.
        message: String,
    },
    /// The answer broke a rule of the contract.
    #[error("the plugin's answer is not acceptable: {0}")]
    BadAnswer(BadAnswer),
    /// The gate asked a slot that nobody granted.
    #[error(
        "slot `{slot}` is not granted; the policy must bind it and the source's owner must allow it"
    )]
    NotGranted {
        /// The slot.
        slot: SlotName,
    },
    /// The gate asked for more evidence than a call may.
    #[error("the plugin asked for evidence more than {limit} times")]
    TooManyRounds {
        /// Rounds per evaluation.
        limit: u32,
    },
    /// The gate asked more questions than an evaluation may.
    #[error(
        "the plugin asked for more than {limit} answers (hint: one query can answer for many clusters)"
    )]
    TooManyQueries {
        /// Answers per evaluation.
        limit: u32,
    },
    /// A run with all answers asked for something else than the run before.
    #[error("the plugin is not deterministic: {detail}")]
    NonDeterministic {
        /// What differed.
        detail: String,
    },
    /// A source could not answer.
    #[error("source for slot `{slot}` is unavailable: {message}")]
    Source {
        /// The slot.
        slot: SlotName,
        /// Why, redacted.
        message: String,
    },
    /// No worker was free in time.
    #[error("the host had no free plugin worker for {waited_ms} ms")]
    Busy {
        /// How long the call waited in milliseconds.
        waited_ms: u64,
    },
    /// The plugin could not be loaded.
    #[error("the plugin could not be loaded: {message}")]
    NotLoaded {
        /// Why.
        message: String,
    },
    /// The question was lost with the process that asked it.
    #[error("the host stopped before the answer came")]
    HostStopped,
}

impl Unavailable {
    /// Whether it comes of what the plugin did, so that asking it the same again shows it again.
    pub fn is_of_the_plugin(&self) -> bool {
        match self {
            Self::Trap { .. }
            | Self::OutOfFuel { .. }
            | Self::TimedOut { .. }
            | Self::LimitExceeded { .. }
            | Self::Failed { .. }
            | Self::BadAnswer(_)
            | Self::NotGranted { .. }
            | Self::TooManyRounds { .. }
            | Self::TooManyQueries { .. }
            | Self::NonDeterministic { .. } => true,
            Self::Source { .. }
            | Self::Busy { .. }
            | Self::NotLoaded { .. }
            | Self::HostStopped => false,
        }
    }
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        alloc::format!(" ({message})")
    }
}

/// Which rule an answer broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum BadAnswer {
    /// A cluster that is not in the site.
    #[error("it names the cluster `{0}`, which is not in this site")]
    UnknownCluster(ClusterName),
    /// A cluster of the site is missing from a goal.
    #[error("its goal leaves out the cluster `{0}`")]
    MissingCluster(ClusterName),
    /// A cluster is named twice.
    #[error("its goal names the cluster `{0}` twice")]
    RepeatedCluster(ClusterName),
    /// More nodes than the cluster may have.
    #[error("it wants {wanted} nodes in cluster `{cluster}`, which may have {most}")]
    TooManyNodes {
        /// Which cluster.
        cluster: ClusterName,
        /// Nodes in the goal.
        wanted: u32,
        /// Desired nodes and surge.
        most: u32,
    },
    /// Too few nodes in a cluster that serves.
    #[error(
        "it wants {wanted} nodes in cluster `{cluster}`, which needs at least {least} to serve its traffic"
    )]
    TooFewNodes {
        /// Which cluster.
        cluster: ClusterName,
        /// Nodes in the goal.
        wanted: u32,
        /// Desired nodes less the ones that may be down.
        least: u32,
    },
    /// Shares that do not sum to 1000.
    #[error("its traffic shares sum to {0} permille, not to 1000")]
    WrongShares(u64),
    /// More traffic than the nodes of the goal can carry, even when all of them serve.
    #[error(
        "it sends {share} of the traffic to {nodes} {cohort} nodes of cluster `{cluster}`, which can carry {most}"
    )]
    TooMuchTraffic {
        /// Which cluster.
        cluster: ClusterName,
        /// Which of its nodes: `new` or `baseline`.
        cohort: String,
        /// Their number in the goal.
        nodes: u32,
        /// Their share in the goal.
        share: Permille,
        /// What they can carry.
        most: Permille,
    },
    /// Traffic for nodes that the goal does not have.
    #[error("it sends traffic to cluster `{cluster}` where its goal has no such nodes")]
    TrafficToNowhere {
        /// Which cluster.
        cluster: ClusterName,
    },
    /// A gate that the policy does not have.
    #[error("it waits for gate `{0}`, which the policy does not have")]
    UnknownGate(GateName),
    /// *Done* when it is not.
    #[error("it says that the site is done, but {0}")]
    NotDone(String),
    /// A number that is not finite.
    #[error("the number `{0}` is not finite")]
    NotFinite(String),
    /// Something larger than it may be.
    #[error("{what} has {size} bytes or items, more than {limit}")]
    TooLarge {
        /// What.
        what: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// An answer to another question.
    #[error("it answers another question than was asked")]
    WrongKind,
    /// A gate that decides nothing.
    #[error("it waits for gate `{0}`, which is on trial and decides nothing")]
    GateOnTrial(GateName),
    /// It goes on deciding without anything happening.
    #[error("it decided {0} times in a row without anything to carry out")]
    NoProgress(u32),
}
