//! The inventory.

use crate::ids::ClusterName;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Labels of a cluster.
pub type Labels = BTreeMap<String, String>;

/// A cluster as the fleet document describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Unique name.
    pub name: ClusterName,
    /// Labels, for selectors and sites.
    pub labels: Labels,
    /// Nodes that it should have. What the driver observes is what counts later.
    pub nodes: u32,
    /// Name of the driver that changes it.
    pub driver: String,
    /// The driver's connection, as JSON. Names credentials, never holds them.
    pub connection: String,
}

/// Chooses clusters. Everything that is said must hold; an empty selector chooses all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Labels that must have these values.
    pub labels: Labels,
    /// Names, of which one must match; empty means any.
    pub names: Vec<ClusterName>,
}

impl Selector {
    /// Whether the selector chooses the cluster.
    pub fn matches(&self, cluster: &Cluster) -> bool {
        let labels = self
            .labels
            .iter()
            .all(|(key, value)| cluster.labels.get(key) == Some(value));
        labels && (self.names.is_empty() || self.names.contains(&cluster.name))
    }
}
