//! The next move of a site toward its goal: traffic and nodes in a fixed order.
//!
//! Rising: nodes are ready, then they get traffic. Falling: traffic goes, nodes drain, then they
//! stop. So traffic is first set to what can be carried *after* the next batch has taken its
//! nodes away, and the batch follows.

use crate::batch::{self, Limits, Move, Nodes};
use crate::command::NodesChange;
use crate::spec::Spec;
use crate::state::{ClusterState, SiteState, State};
use crate::traffic::{self, Carrier};
use crate::waiting::WaitingOn;
use alloc::vec::Vec;
use wavegate_model::{
    ByRelease, ClusterGoal, ClusterName, ClusterObservation, Digest, Goal, NodeCounts, Permille,
    Split,
};

/// Which way a site moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the strategy wants.
    Forward,
    /// To the baseline.
    Back,
}

/// What a site does next toward its goal.
#[derive(Clone, Debug, PartialEq)]
pub enum NextMove {
    /// Set its traffic.
    Traffic(Split),
    /// Move nodes of one cluster.
    Nodes(NodesChange),
    /// It looks like its goal.
    Reached,
    /// It cannot move now.
    Wait(WaitingOn),
}

/// A cluster with all that is needed to move it; made only from a cluster that was seen and claimed.
pub struct Known<'a> {
    /// Its name.
    pub name: &'a ClusterName,
    /// Its state.
    pub cluster: &'a ClusterState,
    /// What was seen.
    pub seen: &'a ClusterObservation,
    /// Digest of its baseline.
    pub baseline: &'a Digest,
    /// Digest of the new release.
    pub release: &'a Digest,
}

impl<'a> Known<'a> {
    /// None while the cluster has not been seen or has no baseline.
    pub fn new(state: &'a State, name: &'a ClusterName) -> Option<Self> {
        let cluster = state.cluster(name);
        Some(Self {
            name,
            cluster,
            seen: cluster.seen.as_deref()?,
            baseline: &cluster.baseline.as_deref()?.digest,
            release: &state.spec.release.digest,
        })
    }

    /// Nodes on the new release.
    pub fn new_nodes(&self) -> NodeCounts {
        self.seen.of(self.release)
    }

    /// Nodes on the baseline; none if the baseline is the new release.
    pub fn baseline_nodes(&self) -> NodeCounts {
        if self.baseline == self.release {
            NodeCounts::default()
        } else {
            self.seen.of(self.baseline)
        }
    }

    /// Nodes on any other release, but for those that an earlier rollout left without traffic:
    /// they serve nobody, and the first command to the cluster removes them.
    pub fn other_nodes(&self) -> u32 {
        let others = self.seen.nodes.iter().filter(|(digest, _)| {
            *digest != self.release && *digest != self.baseline && !self.is_left_over(digest)
        });
        others.map(|(_, counts)| counts.total()).sum()
    }

    fn is_left_over(&self, release: &Digest) -> bool {
        let share = |traffic: &ByRelease<Permille>| traffic.get(release).copied();
        let traffic = self.seen.traffic.as_ref();
        let idle = traffic.is_some_and(|t| share(t).unwrap_or_default() == Permille::NONE);
        idle && self.cluster.remainder.contains(release)
    }

    /// The limits in this direction.
    pub fn limits(&self, spec: &Spec, direction: Direction) -> Limits {
        let (policy, surges) = (&spec.policy, spec.capabilities.surges);
        match direction {
            Direction::Forward => Limits::forward(&policy.batch, self.seen.desired, surges),
            Direction::Back => Limits::back(
                &policy.failure.rollback,
                &policy.batch,
                self.seen.desired,
                surges,
            ),
        }
    }
}

/// All clusters of a site; none while one of them is not known.
pub fn known<'a>(state: &'a State, site: &'a SiteState) -> Option<Vec<Known<'a>>> {
    site.clusters
        .iter()
        .map(|name| Known::new(state, name))
        .collect()
}

/// The split of a site as its clusters show it.
pub fn seen_split(clusters: &[Known<'_>]) -> Split {
    Split::new(clusters.iter().flat_map(|known| {
        let shares = known.seen.traffic.iter().flatten();
        shares.map(|(release, share)| wavegate_model::Share {
            cluster: known.name.clone(),
            release: release.clone(),
            share: *share,
        })
    }))
}

/// Nodes that are enough to carry all traffic of a site.
pub fn enough(site: &SiteState, clusters: &[Known<'_>], spec: &Spec, direction: Direction) -> u32 {
    let unavailable = clusters
        .iter()
        .map(|known| known.limits(spec, direction).unavailable)
        .max();
    site.demand.saturating_sub(unavailable.unwrap_or(0)).max(1)
}

/// What a site does next toward its goal.
pub fn next(state: &State, site: &SiteState, direction: Direction) -> NextMove {
    let spec = &state.spec;
    let Some(clusters) = known(state, site) else {
        return NextMove::Wait(WaitingOn::Observation {
            clusters: site.clusters.clone(),
        });
    };
    let back;
    let goal = match (direction, &site.goal) {
        (Direction::Forward, Some(goal)) => goal,
        (Direction::Forward, None) => return NextMove::Reached,
        (Direction::Back, _) => {
            back = goal_back(site, &clusters);
            &back
        }
    };
    let seen_split = seen_split(&clusters);
    let pairs: Vec<(&Known<'_>, &ClusterGoal)> = clusters.iter().zip(&goal.clusters).collect();

    let serving = |known: &Known<'_>| {
        let gets = |split: &Split| {
            split
                .shares()
                .iter()
                .any(|share| share.cluster == *known.name)
        };
        !spec.capabilities.splits_traffic
            || gets(&site.split)
            || gets(&seen_split)
            || site.intended_splits.iter().any(gets)
    };
    let next_of = |known: &Known<'_>, goal: &ClusterGoal| {
        // One that ran the release when the rollout started has nothing to change but its number.
        let (new_goal, baseline_goal) = match known.baseline == known.release {
            true => (goal.new + goal.baseline, 0),
            false => (goal.new, goal.baseline),
        };
        let nodes = Nodes {
            desired: known.seen.desired,
            new: known.new_nodes(),
            baseline: known.baseline_nodes(),
            new_goal,
            baseline_goal,
            serving: serving(known),
        };
        batch::next_move(&nodes, known.limits(spec, direction))
    };
    let moves: Vec<Move> = pairs
        .iter()
        .map(|(known, goal)| next_of(known, goal))
        .collect();
    // One cluster at a time, the first that can move.
    let moving = moves.iter().position(|m| matches!(m, Move::To { .. }));

    if spec.capabilities.splits_traffic {
        let enough = enough(site, &clusters, spec, direction);
        let carriers = carriers(&pairs, moving.map(|index| (index, moves[index])));
        match traffic::feasible(&carriers, enough) {
            // Another split that was given up may still arrive: nothing else moves until one is
            // confirmed.
            Some(split)
                if split != site.split
                    || split != seen_split
                    || !site.intended_splits.is_empty() =>
            {
                let late = breaks_in_doubt(&split, &clusters, &carriers, enough);
                return late.map_or(NextMove::Traffic(split), same);
            }
            Some(_) => {}
            // Nobody would be left to serve. Where nobody serves now, or where the policy lets
            // every node be down, the nodes still move; traffic follows once some are ready.
            None if ready(&clusters) == 0 || may_all_be_down(site, &clusters, spec, direction) => {}
            None => {
                return NextMove::Wait(WaitingOn::Capacity {
                    split: site.split.clone(),
                });
            }
        }
    }
    if let Some(index) = moving {
        let Move::To { new, baseline } = moves[index] else {
            unreachable!("`moving` is the index of such a move")
        };
        return change(&clusters[index], new, baseline);
    }
    let blocked = moves.iter().zip(&clusters).find_map(|(m, known)| match m {
        Move::Blocked { down, limit } => Some(WaitingOn::Unavailability {
            cluster: known.name.clone(),
            down: *down,
            limit: *limit,
        }),
        Move::Reached | Move::To { .. } => None,
    });
    if let Some(on) = blocked {
        return NextMove::Wait(on);
    }
    // What looks as it should may change when a command arrives that was given up.
    let in_doubt = clusters
        .iter()
        .find(|known| known.cluster.in_doubt.is_some());
    in_doubt.map_or(NextMove::Reached, same)
}

/// The command that changes nothing: once it is carried out, no earlier one is any more.
fn same(known: &Known<'_>) -> NextMove {
    let (new, baseline) = (known.new_nodes(), known.baseline_nodes());
    change(known, new.total(), baseline.total())
}

/// Whether a command leaves a cluster with the nodes that it shows.
pub fn is_same(state: &State, change: &NodesChange) -> bool {
    Known::new(state, &change.cluster).is_some_and(|known| {
        let (new, baseline) = (known.new_nodes(), known.baseline_nodes());
        (new.total(), baseline.total()) == (change.new, change.baseline)
    })
}

/// A cluster that could not carry its part of a split any more once a command arrives that was
/// given up and takes nodes away.
fn breaks_in_doubt<'a, 'b>(
    split: &Split,
    clusters: &'a [Known<'b>],
    carriers: &[Carrier],
    enough: u32,
) -> Option<&'a Known<'b>> {
    let enough = enough.min(ready(clusters));
    clusters.iter().find(|known| {
        let Some(doubt) = known.cluster.in_doubt else {
            return false;
        };
        let own = carriers.iter().filter(|c| c.cluster == *known.name);
        let mut own = own.map(|carrier| {
            let left = if carrier.release == *known.release {
                batch::ready_after(known.new_nodes(), doubt.new)
            } else {
                batch::ready_after(known.baseline_nodes(), doubt.baseline)
            };
            (carrier, carrier.ready.min(left))
        });
        own.any(|(carrier, ready)| {
            let share = split.of(&carrier.cluster, &carrier.release);
            share.0 > traffic::capacity(ready, enough)
        })
    })
}

fn ready(clusters: &[Known<'_>]) -> u32 {
    clusters.iter().map(|known| known.seen.ready()).sum()
}

fn may_all_be_down(
    site: &SiteState,
    clusters: &[Known<'_>],
    spec: &Spec,
    direction: Direction,
) -> bool {
    let limit = |known: &Known<'_>| known.limits(spec, direction).unavailable;
    clusters.iter().map(limit).max().unwrap_or(0) >= site.demand
}

/// The goal of the way back: each cluster as it was, with the nodes that it should have today.
fn goal_back(site: &SiteState, clusters: &[Known<'_>]) -> Goal {
    let back = |known: &Known<'_>| {
        let share = site.baseline_split.of(known.name, known.baseline);
        let desired = known.seen.desired;
        let same = known.baseline == known.release;
        ClusterGoal {
            cluster: known.name.clone(),
            new: if same { desired } else { 0 },
            baseline: if same { 0 } else { desired },
            new_share: if same { share } else { Permille::NONE },
            baseline_share: if same { Permille::NONE } else { share },
        }
    };
    Goal {
        clusters: clusters.iter().map(back).collect(),
    }
}

/// Who can carry traffic once the next batch has taken its nodes away.
fn carriers(pairs: &[(&Known<'_>, &ClusterGoal)], moving: Option<(usize, Move)>) -> Vec<Carrier> {
    let mut carriers = Vec::with_capacity(pairs.len() * 2);
    for (index, (known, goal)) in pairs.iter().enumerate() {
        let (new, baseline) = (known.new_nodes(), known.baseline_nodes());
        let (new_ready, baseline_ready) = match moving {
            Some((
                moving,
                Move::To {
                    new: new_to,
                    baseline: baseline_to,
                },
            )) if moving == index => (
                batch::ready_after(new, new_to),
                batch::ready_after(baseline, baseline_to),
            ),
            _ => (new.ready, baseline.ready),
        };
        let carrier = |release: &Digest, wanted: u32, ready| Carrier {
            cluster: known.name.clone(),
            release: release.clone(),
            wanted,
            ready,
        };
        if known.baseline == known.release {
            carriers.push(carrier(
                known.release,
                goal.new_share.0 + goal.baseline_share.0,
                new_ready,
            ));
        } else {
            carriers.push(carrier(known.release, goal.new_share.0, new_ready));
            carriers.push(carrier(
                known.baseline,
                goal.baseline_share.0,
                baseline_ready,
            ));
        }
    }
    carriers
}

fn change(known: &Known<'_>, new: u32, baseline: u32) -> NextMove {
    let Some(epoch) = known.cluster.epoch else {
        return NextMove::Wait(WaitingOn::Claim {
            clusters: alloc::vec![known.name.clone()],
        });
    };
    let nodes = [
        (known.release.clone(), new),
        (known.baseline.clone(), baseline),
    ];
    NextMove::Nodes(NodesChange {
        cluster: known.name.clone(),
        epoch,
        desired: known.seen.desired,
        new,
        baseline,
        nodes: nodes.into_iter().filter(|(_, count)| *count > 0).collect(),
    })
}
