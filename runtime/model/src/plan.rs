//! The waves and sites of a rollout as resolved.

use crate::approval::Approvers;
use crate::fleet::Cluster;
use crate::ids::{ClusterName, GateName, Generation, SiteName, WaveName};
use crate::time::DurationMs;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A rollout's plan. Never edited: a change is a child with a higher generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the plan.
    pub generation: Generation,
    /// The plan that this one replaces.
    pub parent: Option<Generation>,
    /// In an order in which every wave comes later than those it comes after.
    pub waves: Vec<PlannedWave>,
    /// Clusters of the fleet that are in no wave, with the reason.
    pub excluded: Vec<(ClusterName, String)>,
}

/// A wave as resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedWave {
    /// Its name.
    pub name: WaveName,
    /// Indices of the waves that must be done and soaked before this one starts.
    pub after: Vec<usize>,
    /// Sites in the order in which they start.
    pub sites: Vec<PlannedSite>,
    /// Sites of this wave that may be in flight at once; at least 1.
    pub max_parallel_sites: u32,
    /// Healthy time of each site before it is done.
    pub site_soak: DurationMs,
    /// Healthy time of all sites together before the wave is done.
    pub soak: DurationMs,
    /// Text of the approval that is needed before the wave starts.
    pub approval: Option<String>,
    /// Who may give it, and how many have to.
    #[serde(default)]
    pub approvers: Approvers,
    /// Gates of the policy that are asked in this wave; all of them if it does not say.
    #[serde(default)]
    pub gates: Option<Vec<GateName>>,
    /// Where it is from.
    #[serde(default, skip_serializing_if = "WaveOrigin::is_policy")]
    pub origin: WaveOrigin,
}

/// Where a wave is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaveOrigin {
    /// The policy has it.
    #[default]
    Policy,
    /// It was made for clusters that came while the rollout ran.
    Added,
}

impl WaveOrigin {
    fn is_policy(&self) -> bool {
        *self == Self::Policy
    }
}

/// A site as resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSite {
    /// Its name.
    pub name: SiteName,
    /// Its clusters, sorted by name.
    pub clusters: Vec<PlannedCluster>,
}

/// A cluster in a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCluster {
    /// Its name.
    pub name: ClusterName,
    /// What it is in its site; empty if it has no role.
    pub role: String,
}

/// A fleet as the policy of a rollout sees it: where it would put each cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetView {
    /// Clusters that take part, sorted by name.
    pub members: Vec<Member>,
    /// Clusters that the policy excludes, with the reason.
    pub excluded: Vec<(ClusterName, String)>,
}

/// A cluster of a fleet and where the policy puts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The cluster.
    pub cluster: Cluster,
    /// The wave that selects it.
    pub wave: WaveName,
    /// Its site.
    pub site: SiteName,
    /// What it is in its site; empty if it has no role.
    pub role: String,
}
