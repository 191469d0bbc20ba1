//! What a rollout leaves behind that is not as it should be, for the report.

use std::collections::BTreeMap;
use wavegate_engine::State;
use wavegate_engine::moving::Known;
use wavegate_engine::state::{ClusterState, SitePhase};
use wavegate_model::ClusterName;

/// A site that could not go back.
#[derive(serde::Serialize)]
pub(crate) struct NotBack<'a> {
    site: &'a str,
    /// What it waited for when its time was over.
    why: &'a str,
    /// Its clusters that were touched.
    clusters: BTreeMap<&'a str, Nodes>,
}

/// Nodes of a cluster as they were seen last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Nodes {
    /// How many there should be.
    desired: u32,
    /// Ready ones on what the cluster ran before.
    baseline_ready: u32,
    /// On the release that was rolled out, ready or not.
    new: u32,
}

impl Nodes {
    fn of(state: &State, cluster: &wavegate_model::ClusterName) -> Self {
        let Some(known) = Known::new(state, cluster) else {
            return Self::default();
        };
        let same = known.baseline == known.release;
        let baseline = if same {
            known.new_nodes()
        } else {
            known.baseline_nodes()
        };
        Self {
            desired: known.seen.desired,
            baseline_ready: baseline.ready,
            new: if same { 0 } else { known.new_nodes().total() },
        }
    }
}

/// Sites that could not go back, in the plan's order.
pub(crate) fn not_back(state: &State) -> Vec<NotBack<'_>> {
    let mut failed: Vec<_> = state
        .sites
        .iter()
        .filter(|(_, site)| site.phase == SitePhase::RollbackFailed)
        .collect();
    failed.sort_by_key(|(_, site)| site.number);
    failed
        .into_iter()
        .map(|(name, site)| NotBack {
            site: name.as_str(),
            why: site.not_back.as_deref().unwrap_or_default(),
            clusters: site
                .clusters
                .iter()
                .filter(|cluster| state.cluster(cluster).touched)
                .map(|cluster| (cluster.as_str(), Nodes::of(state, cluster)))
                .collect(),
        })
        .collect()
}

/// Touched clusters that did not answer when they were looked at last, or whose site was given up
/// because they did not: what became of them is not known.
pub(crate) fn unreachable(state: &State) -> Vec<&str> {
    let given_up = |name: &ClusterName, cluster: &ClusterState| {
        let site = cluster.site.as_ref().map(|site| state.site(site));
        site.is_some_and(|site| site.given_up.contains(name))
    };
    let lost = state.clusters.iter().filter(|(name, cluster)| {
        cluster.touched && (cluster.lost.is_some() || given_up(name, cluster))
    });
    lost.map(|(name, _)| name.as_str()).collect()
}

/// All of it as lines for people.
pub(crate) fn lines(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for site in not_back(state) {
        lines.push(format!(
            "  not back  site {}: waited for {}",
            site.site, site.why
        ));
        for (cluster, nodes) in site.clusters {
            lines.push(format!(
                "            {cluster}: {} of {} nodes serve on what it ran before, {} are on {}",
                nodes.baseline_ready, nodes.desired, nodes.new, state.spec.release.version
            ));
        }
    }
    let lost = unreachable(state);
    if !lost.is_empty() {
        lines.push(format!(
            "  unknown   what runs in {}: no answer",
            lost.join(", ")
        ));
    }
    lines
}
