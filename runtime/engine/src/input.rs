//! What arrives.

use crate::spec::Spec;
use crate::swap::Swap;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use wavegate_model::plugin::{Evaluation, Outcome, Subject};
use wavegate_model::{
    ClusterName, CommandId, ConsultationId, Epoch, FleetView, GateName, Generation, RolloutId,
    Seen, SiteName, Timestamp, Unavailable, WaveName,
};

/// Something that happened outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// A person or the host asks for something.
    Request(Request),
    /// A cluster was looked at.
    Observation(Observation),
    /// A command was carried out, or a plugin has answered.
    Answer(Answer),
    /// Time has passed.
    Elapsed,
}

/// A request, with who and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What is asked for.
    pub verb: Verb,
    /// The user of the operating system, or of the surface that was used.
    pub actor: String,
    /// Why; empty for what the host does on its own.
    pub reason: String,
    /// Id of the inbox row, if it came through the inbox: a row is taken once.
    pub inbox: Option<u64>,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Begin a rollout.
    Start(Box<Spec>),
    /// A host process begins to run the rollout, for the first time or again.
    Resume,
    /// Start nothing new.
    Pause,
    /// End a pause or a hold.
    Continue,
    /// Approve what waits for a person.
    Approve(Approval),
    /// End where it stands.
    Abort,
    /// Restore the baselines.
    Rollback,
    /// Close although touched clusters are unreachable.
    Close,
    /// Wait for no timed wait any more: of a site, or of the whole rollout.
    Promote(Option<SiteName>),
    /// Try again: a site, or whatever has failed.
    Retry(Option<SiteName>),
    /// Leave a site out.
    Skip(SiteName),
    /// A person's verdict in place of a gate's.
    OverrideGate {
        /// Which gate of the policy.
        gate: GateName,
        /// About what; about all that waits for the gate if none.
        subject: Option<Subject>,
    },
    /// Restore the baselines after the rollout has ended.
    Undo,
    /// Let another component take a part of the policy.
    Swap(Box<Swap>),
    /// Follow the fleet as it is now.
    Replan(Box<FleetView>),
    /// Make room for a newer rollout.
    Supersede {
        /// The newer one.
        by: RolloutId,
    },
}

/// What is approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// Everything that waits now.
    All,
    /// The start of a wave.
    Wave(WaveName),
    /// The stage that a site waits for.
    Site(SiteName),
}

/// What was seen of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observation {
    /// It answered.
    Seen {
        /// Which cluster.
        cluster: ClusterName,
        /// What it looks like.
        seen: Seen,
    },
    /// It did not answer.
    Lost {
        /// Which cluster.
        cluster: ClusterName,
        /// What was tried.
        detail: String,
        /// When it answered last, if this host process knows.
        #[serde(default)]
        answered: Option<Timestamp>,
    },
    /// This host became the owner.
    Claimed {
        /// Which cluster.
        cluster: ClusterName,
        /// With this epoch.
        epoch: Epoch,
    },
    /// Before anything has begun: which unfinished rollouts have clusters of this one.
    Busy {
        /// Their clusters; empty if there is none any more.
        behind: BTreeMap<RolloutId, Vec<ClusterName>>,
    },
}

/// An answer to a command. One that matches nothing outstanding is discarded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A command to a driver was carried out or refused.
    Command {
        /// Which command.
        command: CommandId,
        /// Generation that it was decided for.
        generation: Generation,
        /// How it went.
        result: CommandResult,
    },
    /// A strategy has answered.
    Strategy {
        /// Which question.
        consultation: ConsultationId,
        /// Generation that it was asked for.
        generation: Generation,
        /// The answer, not yet believed.
        result: Result<Outcome, Unavailable>,
    },
    /// A gate has answered.
    Gate {
        /// Which question.
        consultation: ConsultationId,
        /// Generation that it was asked for.
        generation: Generation,
        /// The answer.
        result: Result<Evaluation, Unavailable>,
    },
}

/// How a command went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandResult {
    /// The driver carried it out.
    Accepted,
    /// The driver refuses this host for good: another one owns the cluster.
    Superseded(String),
    /// The desired total changed; decide again.
    DesiredChanged,
    /// It failed; decide again later.
    Failed(String),
}
