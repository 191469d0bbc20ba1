//! What a site should look like, and how its traffic is split.

use crate::amount::Permille;
use crate::ids::{ClusterName, Digest};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The nodes and the traffic of one cluster. Absolute numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterGoal {
    /// Which cluster.
    pub cluster: ClusterName,
    /// Nodes on the new release.
    pub new: u32,
    /// Nodes on the baseline.
    pub baseline: u32,
    /// Share of the site's traffic for the new nodes.
    pub new_share: Permille,
    /// Share of the site's traffic for the baseline nodes.
    pub baseline_share: Permille,
}

/// What a site should look like, cluster by cluster, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// Every cluster of the site exactly once.
    pub clusters: Vec<ClusterGoal>,
}

/// Who gets traffic: the nodes of one release in one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Share {
    /// Which cluster.
    pub cluster: ClusterName,
    /// Which release.
    pub release: Digest,
    /// How much; all shares of a site sum to 1000.
    pub share: Permille,
}

/// A site's traffic: shares sorted by (cluster, release), without zero shares, summing to 1000.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Split(Vec<Share>);

impl Split {
    /// Sorts, merges equal targets and drops zero shares.
    pub fn new(shares: impl IntoIterator<Item = Share>) -> Self {
        let mut shares: Vec<Share> = shares.into_iter().filter(|s| s.share.0 > 0).collect();
        shares.sort();
        shares.dedup_by(|later, first| {
            let same = later.cluster == first.cluster && later.release == first.release;
            if same {
                first.share.0 += later.share.0;
            }
            same
        });
        Self(shares)
    }

    /// The shares, sorted.
    pub fn shares(&self) -> &[Share] {
        &self.0
    }

    /// The share of a release in a cluster.
    pub fn of(&self, cluster: &ClusterName, release: &Digest) -> Permille {
        let found = self
            .0
            .iter()
            .find(|s| s.cluster == *cluster && s.release == *release);
        found.map_or(Permille::NONE, |s| s.share)
    }

    /// The sum of all shares; 1000 in a split that may be written.
    pub fn total(&self) -> Permille {
        Permille(self.0.iter().map(|s| s.share.0).sum())
    }

    /// Whether no share is said, as in a site whose driver cannot split traffic.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
