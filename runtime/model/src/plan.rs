//! The waves and sites of a rollout as resolved.

use crate::approval::Approvers;
use crate::ids::{ClusterName, Generation, SiteName, WaveName};
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
