//! What a driver saw.

use crate::amount::Permille;
use crate::by_release::ByRelease;
use crate::ids::{CommandId, Digest, Epoch, Generation};
use crate::release::Release;
use crate::time::Timestamp;
use alloc::sync::Arc;
use core::ops::Deref;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nodes of one release in one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounts {
    /// They serve.
    pub ready: u32,
    /// They do not serve (yet, or no more); failed ones included, draining ones not.
    pub unready: u32,
    /// Of the unready ones, those that ended or never came up.
    pub failed: u32,
}

impl NodeCounts {
    /// All nodes.
    pub fn total(self) -> u32 {
        self.ready + self.unready
    }
}

/// The stamp of the last command that a cluster accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// Whose.
    pub epoch: Epoch,
    /// For which plan.
    pub generation: Generation,
    /// Which.
    pub command: CommandId,
}

/// A cluster as it was seen at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterObservation {
    /// When the driver began to look: everything seen is at least as new.
    pub at: Timestamp,
    /// Nodes that the cluster should have.
    pub desired: u32,
    /// Nodes by the release they run.
    pub nodes: ByRelease<NodeCounts>,
    /// What is known of the releases that run, so that a baseline can be restored; of a cluster
    /// without nodes, the one that it ran last, if that is known.
    pub releases: ByRelease<Release>,
    /// The cluster's part of its site's traffic, by release; none where traffic cannot be split.
    pub traffic: Option<ByRelease<Permille>>,
    /// Whether the driver is still carrying out a command.
    pub busy: bool,
    /// The last command that changed nodes.
    pub last_nodes: Option<Stamp>,
    /// The last command that changed the site's traffic.
    pub last_traffic: Option<Stamp>,
}

impl ClusterObservation {
    /// Nodes of a release.
    pub fn of(&self, release: &Digest) -> NodeCounts {
        self.nodes.get(release).copied().unwrap_or_default()
    }

    /// Serving nodes of all releases.
    pub fn ready(&self) -> u32 {
        self.nodes.values().map(|counts| counts.ready).sum()
    }

    /// Whether two observations differ only in when they were made.
    pub fn same_as(&self, other: &Self) -> bool {
        // Cheap fields first: this runs for every poll of every cluster.
        self.desired == other.desired
            && self.busy == other.busy
            && self.last_nodes == other.last_nodes
            && self.last_traffic == other.last_traffic
            && self.nodes == other.nodes
            && self.traffic == other.traffic
            && self.releases == other.releases
    }
}

/// An observation that the input, the fact and the state share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(Arc<ClusterObservation>);

impl From<ClusterObservation> for Seen {
    fn from(seen: ClusterObservation) -> Self {
        Self(Arc::new(seen))
    }
}

impl Deref for Seen {
    type Target = ClusterObservation;

    fn deref(&self) -> &ClusterObservation {
        &self.0
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ClusterObservation::deserialize(deserializer).map(Self::from)
    }
}
