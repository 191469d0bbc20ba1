//! What was seen of clusters: nodes and traffic, by release.

use super::book::{Book, Late};
use alloc::vec::Vec;
use wavegate_model::{ClusterName, Digest, NodeCounts, SiteName, Split, Timestamp};

#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) desired: u32,
    /// Serving nodes, whatever they run.
    pub(super) all_ready: u32,
    pub(super) new: NodeCounts,
    /// On the baseline; zero if the baseline is the release.
    pub(super) old: NodeCounts,
    pub(super) new_share: u32,
    pub(super) other_share: u32,
}

impl Book {
    /// What was seen before means something else once it is known which release is the baseline.
    pub(super) fn baseline(&mut self, name: &ClusterName, release: &Digest) {
        let cluster = self.cluster_mut(name);
        cluster.baseline = Some(release.clone());
        if let Some(shown) = cluster.shown.take() {
            self.see(name, &shown);
        }
    }

    pub(super) fn see(&mut self, name: &ClusterName, seen: &wavegate_model::Seen) {
        let cluster = self.cluster_mut(name);
        cluster.shown = cluster.baseline.is_none().then(|| seen.clone());
        let overtaken = |late: &Late| seen.last_nodes.is_some_and(|last| last >= late.stamp);
        if cluster.late.as_ref().is_some_and(overtaken) {
            cluster.late = None;
        }
        let release = self.spec.release.digest.clone();
        let cluster = self.cluster_mut(name);
        let mut book = Seen {
            at: seen.at,
            desired: seen.desired,
            all_ready: seen.nodes.values().map(|counts| counts.ready).sum(),
            ..Seen::default()
        };
        for (digest, counts) in &seen.nodes {
            if *digest == release {
                book.new = *counts;
            } else if cluster.baseline.as_ref().is_none_or(|b| b == digest) {
                // Before a baseline is known, it is what runs: the fact follows, if it is one.
                book.old = *counts;
            }
        }
        for (digest, share) in seen.traffic.iter().flatten() {
            if *digest == release {
                book.new_share += share.0;
            } else {
                book.other_share += share.0;
            }
        }
        cluster.seen = Some(book);
    }

    /// A split that was refused and took effect all the same is what the next command begins from.
    pub(super) fn note_earlier_split(&mut self, name: &SiteName) {
        let site = self.site(name);
        let release = &self.spec.release.digest;
        let shows = |split: &Split, cluster: &ClusterName| {
            let shares = split.shares().iter().filter(|s| s.cluster == *cluster);
            let (new, other): (Vec<_>, Vec<_>) = shares.partition(|s| s.release == *release);
            let sum = |shares: Vec<&wavegate_model::Share>| shares.iter().map(|s| s.share.0).sum();
            let seen = self.cluster(cluster).seen.as_ref();
            let sums: (u32, u32) = (sum(new), sum(other));
            seen.is_some_and(|seen| (seen.new_share, seen.other_share) == sums)
        };
        let mut intended = site.intended.iter();
        let seen = intended.find(|split| site.clusters.iter().all(|c| shows(split, c)));
        if let Some(seen) = seen.cloned() {
            self.site_mut(name).split = seen;
        }
    }
}
