//! What a site is made of: which cluster is live, where the release goes to, and whether the
//! site is fit for this strategy at all.

use wavegate_sdk::shares::{self, PERMILLE};
use wavegate_sdk::{ClusterGoal, ClusterView, Decision, Failure, Goal, SiteView, failure};

use crate::config::{Afterwards, Config, label};

/// Finds the live cluster at the first call; where that is not possible, says what to do
/// instead.
pub(crate) fn find_live(view: &SiteView, config: &Config) -> Result<String, Decision> {
    let live = match &view.clusters[..] {
        [single] => single,
        [one, two] => live_of_pair(one, two).map_err(Decision::WaitPerson)?,
        _ => return Err(Decision::Failed(wrong_count(view.clusters.len()))),
    };
    match unfit(view, live, config) {
        Some(why) => Err(Decision::Failed(why)),
        None => Ok(live.name.clone()),
    }
}

pub(crate) fn wrong_count(count: usize) -> String {
    format!("the site has {count} clusters instead of a pair, or of one that can surge")
}

pub(crate) const NOTHING_TO_UPDATE: &str = "`afterwards: update` needs a pair: in a single \
    cluster the old nodes can be kept or removed";

fn live_of_pair<'a>(one: &'a ClusterView, two: &'a ClusterView) -> Result<&'a ClusterView, String> {
    match (traffic(one), traffic(two)) {
        (1.., 0) => Ok(one),
        (0, 1..) => Ok(two),
        // The host takes the traffic as it was when the site started for the way back, so a
        // split that changes now would not do.
        (of_one, of_two) => Err(format!(
            "it is not clear which cluster is live: {} has {} of the traffic and {} has {}; \
             abort, give one of them all of it, and start again",
            named(one),
            percent(of_one),
            named(two),
            percent(of_two)
        )),
    }
}

/// Why this strategy cannot take the site to the release, if so.
fn unfit(view: &SiteView, live: &ClusterView, config: &Config) -> Option<String> {
    let target = target(view, live);
    if target.name == live.name {
        let fits = view.clusters.len() > 1
            || live.surge_max >= live.desired
            || live.baseline == view.release.digest;
        if !fits {
            return Some(format!(
                "cluster {} may have {} nodes above its {}, and a second set needs {}: \
                 the policy's batch needs `maxSurge: 100%`, and a driver that can surge",
                named(live),
                live.surge_max,
                live.desired,
                live.desired
            ));
        }
        let nothing = view.clusters.len() == 1 && config.afterwards == Afterwards::Update;
        return nothing.then(|| NOTHING_TO_UPDATE.to_owned());
    }
    // The host gives no nodes more traffic than they can carry, by the nodes that serve now
    // and those of them that may be down.
    let down_max = live.unavailable_max.max(target.unavailable_max);
    let enough = live.desired.saturating_sub(down_max).max(1);
    (target.desired < enough).then(|| {
        format!(
            "cluster {} has {} nodes and needs {enough} to carry the traffic of {}",
            named(target),
            target.desired,
            named(live)
        )
    })
}

/// The cluster that ends up with the release and all traffic.
fn target<'a>(view: &'a SiteView, live: &'a ClusterView) -> &'a ClusterView {
    // Traffic that is on the release already need not move.
    if live.baseline == view.release.digest {
        return live;
    }
    let idle = view.clusters.iter().find(|c| c.name != live.name);
    idle.unwrap_or(live)
}

/// The two sets of nodes of a site.
#[derive(Debug)]
pub(crate) struct Sides<'a> {
    /// Cluster of the nodes that take the release and all traffic.
    pub(crate) target: &'a ClusterView,
    /// Cluster of the nodes that are without traffic in the end; the same in a site of one.
    pub(crate) old: &'a ClusterView,
    /// Whether all traffic was on the release from the start.
    pub(crate) serves_already: bool,
}

impl<'a> Sides<'a> {
    pub(crate) fn new(view: &'a SiteView, live: &str) -> Result<Self, Failure> {
        let Some(live) = view.clusters.iter().find(|c| c.name == live) else {
            let text = format!("cluster {live}, which was live at the start, is gone");
            return Err(failure("no-live-cluster", text));
        };
        let target = target(view, live);
        let other = view.clusters.iter().find(|c| c.name != target.name);
        Ok(Self {
            target,
            old: other.unwrap_or(target),
            serves_already: live.baseline == view.release.digest,
        })
    }

    /// All nodes of the target on the release, with this share of the traffic, and the old
    /// nodes so.
    pub(crate) fn goal(&self, view: &SiteView, permille: u32, old: Afterwards) -> Goal {
        let goal = |cluster: &ClusterView| {
            let is_target = cluster.name == self.target.name;
            // A single cluster that had the release from the start has no other nodes.
            let is_old = cluster.name == self.old.name && !(is_target && self.serves_already);
            let count = |wanted| if wanted { cluster.desired } else { 0 };
            ClusterGoal {
                cluster: cluster.name.clone(),
                new: count(is_target || old == Afterwards::Update),
                baseline: count(is_old && old == Afterwards::Keep),
                new_permille: if is_target { permille } else { 0 },
                baseline_permille: if is_old { PERMILLE - permille } else { 0 },
            }
        };
        Goal {
            clusters: view.clusters.iter().map(goal).collect(),
        }
    }

    /// The nodes that take the release, in words.
    pub(crate) fn target_words(&self) -> String {
        if self.is_pair() {
            format!("the nodes of {}", named(self.target))
        } else {
            "the new nodes".to_owned()
        }
    }

    /// The nodes that had the traffic, in words.
    pub(crate) fn old_words(&self) -> String {
        if self.is_pair() {
            format!("the nodes of {}", named(self.old))
        } else {
            "the old nodes".to_owned()
        }
    }

    fn is_pair(&self) -> bool {
        self.target.name != self.old.name
    }
}

/// Whether the site is at a goal, and has no more nodes on the baseline than the goal has.
pub(crate) fn reached(view: &SiteView, goal: &Goal) -> bool {
    let removed = view.clusters.iter().zip(&goal.clusters).all(|(now, goal)| {
        now.baseline_ready.saturating_add(now.baseline_unready) <= goal.baseline
    });
    removed && shares::reached(view, goal)
}

fn traffic(cluster: &ClusterView) -> u32 {
    cluster
        .new_permille
        .saturating_add(cluster.baseline_permille)
}

fn named(cluster: &ClusterView) -> String {
    label(&cluster.name, &cluster.role)
}

fn percent(permille: u32) -> String {
    match permille % 10 {
        0 => format!("{} %", permille / 10),
        tenths => format!("{}.{tenths} %", permille / 10),
    }
}
