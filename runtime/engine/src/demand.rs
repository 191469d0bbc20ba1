//! Nodes that carry a site's traffic, as desired totals change.
//!
//! A fall counts at once: fewer nodes are enough, says who set the total. A rise counts as nodes
//! become ready: before that there are too few however traffic is split, and users must not be
//! pushed onto the new release for that. While traffic is on its way to other clusters the number
//! only rises: the total of a cluster that is being emptied says nothing about what it would need
//! if everything came back.

use crate::moving::{self, Known};
use crate::state::{SiteState, State};
use wavegate_model::{ClusterName, Split};

/// The nodes that carry a site's traffic now.
pub fn now(state: &State, site: &SiteState, clusters: &[Known<'_>]) -> u32 {
    if !state.spec.capabilities.splits_traffic {
        return site.demand;
    }
    let in_split = |split: &Split, name: &ClusterName| {
        split.shares().iter().any(|share| share.cluster == *name)
    };
    let seen = moving::seen_split(clusters);
    let at_start = |known: &&Known<'_>| in_split(&site.baseline_split, known.name);
    let serves = |known: &&Known<'_>| {
        let mut intended = site.intended_splits.iter();
        in_split(&site.split, known.name)
            || in_split(&seen, known.name)
            || intended.any(|split| in_split(split, known.name))
    };
    let total = |found: &dyn Fn(&&Known<'_>) -> bool| -> u32 {
        let desired = clusters.iter().filter(|known| found(known));
        desired.map(|known| known.seen.desired).sum()
    };
    let moved = clusters.iter().any(|k| serves(&k) && !at_start(&k));
    let remains = clusters.iter().any(|k| serves(&k) && at_start(&k));
    let wanted = match (moved, remains) {
        (false, _) => total(&at_start),
        (true, true) => total(&at_start).max(site.demand),
        (true, false) => total(&serves).min(site.demand),
    };
    let ready = clusters.iter().filter(serves).map(|k| k.seen.ready()).sum();
    wanted.min(site.demand.max(ready))
}
