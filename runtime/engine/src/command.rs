//! What is to be done, in the imperative.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use wavegate_model::plugin::{GateCall, PluginState, SiteView};
use wavegate_model::{
    ClusterName, CommandId, ConsultationId, Digest, Epoch, GateName, Generation, SiteName, Split,
};

/// Something that the conductor carries out once it is journaled. May run twice with the effect
/// of once: its id is its idempotency key within the rollout.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// To a driver.
    Effect(Effect),
    /// To a strategy.
    AskStrategy {
        /// Which question.
        consultation: ConsultationId,
        /// Generation it belongs to.
        generation: Generation,
        /// What the strategy sees.
        view: SiteView,
        /// What it returned last.
        state: PluginState,
    },
    /// To a gate.
    AskGate {
        /// Which question.
        consultation: ConsultationId,
        /// Generation it belongs to.
        generation: Generation,
        /// Which gate of the policy.
        gate: GateName,
        /// What is to be judged.
        call: GateCall,
        /// What it returned last.
        state: PluginState,
    },
}

/// A change of a cluster or of a site's traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Unique in the rollout.
    pub id: CommandId,
    /// Generation it was decided for.
    pub generation: Generation,
    /// The site it belongs to.
    pub site: SiteName,
    /// What is to change.
    pub change: Change,
}

/// What is to change. Absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The nodes of one cluster.
    Nodes(NodesChange),
    /// The traffic of the site.
    Traffic {
        /// Epoch of each cluster of the site.
        epochs: BTreeMap<ClusterName, Epoch>,
        /// The split, summing to 1000.
        split: Split,
    },
}

/// Nodes that a cluster is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesChange {
    /// Which cluster.
    pub cluster: ClusterName,
    /// This host's epoch there.
    pub epoch: Epoch,
    /// The desired total that the numbers were decided for.
    pub desired: u32,
    /// Nodes on the new release.
    pub new: u32,
    /// Nodes on the baseline.
    pub baseline: u32,
    /// (release, nodes) as the driver gets it.
    pub nodes: Vec<(Digest, u32)>,
}
