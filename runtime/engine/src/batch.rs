//! How many nodes of a cluster move next. Numbers in, numbers out.

use wavegate_model::NodeCounts;
use wavegate_model::amount::Amount;
use wavegate_model::policy::{Batch, Rollback};

/// The limits for one cluster, in nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes in one move.
    pub batch: u32,
    /// Nodes that may be down at once.
    pub unavailable: u32,
    /// Nodes above the desired total.
    pub surge: u32,
}

impl Limits {
    /// On the way to the new release. Batches round up and are at least 1, the others round down.
    pub fn forward(policy: &Batch, desired: u32, surges: bool) -> Self {
        let unavailable = policy.max_unavailable.rounded_down(desired);
        let surge = if surges {
            policy.max_surge.rounded_down(desired)
        } else {
            0
        };
        Self {
            batch: at_least_one(policy.size, desired),
            unavailable,
            surge,
        }
    }

    /// On the way back.
    pub fn back(rollback: &Rollback, policy: &Batch, desired: u32, surges: bool) -> Self {
        let surge = if surges {
            policy.max_surge.rounded_down(desired)
        } else {
            0
        };
        Self {
            batch: at_least_one(rollback.batch, desired),
            unavailable: rollback.max_unavailable.rounded_down(desired),
            surge,
        }
    }
}

fn at_least_one(size: Amount, desired: u32) -> u32 {
    size.rounded_up(desired).max(1)
}

/// A cluster's nodes now and as they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// Nodes that the cluster should have.
    pub desired: u32,
    /// On the new release.
    pub new: NodeCounts,
    /// On the baseline.
    pub baseline: NodeCounts,
    /// Goal for the new release.
    pub new_goal: u32,
    /// Goal for the baseline.
    pub baseline_goal: u32,
    /// Whether the cluster gets traffic, now or by a split that is on its way.
    pub serving: bool,
}

/// What a cluster can do next toward its goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It has the nodes of its goal.
    Reached,
    /// Change to these counts.
    To {
        /// On the new release.
        new: u32,
        /// On the baseline.
        baseline: u32,
    },
    /// Moving on would take more nodes down than may be.
    Blocked {
        /// Nodes that do not serve, of the desired total.
        down: u32,
        /// The limit.
        limit: u32,
    },
}

/// The next move of a cluster toward its goal, within the limits.
///
/// Nodes that do not serve are replaced first and for free: that takes nothing away. Then, if
/// there is room above the desired total, nodes are added before others are removed. Else
/// serving nodes are replaced, as many as may be down together with those that are.
pub fn next_move(nodes: &Nodes, limits: Limits) -> Move {
    let (new, baseline) = (nodes.new.total(), nodes.baseline.total());
    if new == nodes.new_goal && baseline == nodes.baseline_goal {
        return Move::Reached;
    }
    if nodes.new_goal >= new {
        let falling = Falling {
            counts: nodes.baseline,
            goal: nodes.baseline_goal,
        };
        match one_way(nodes, limits, nodes.new_goal - new, falling) {
            Ok((added, removed)) => Move::To {
                new: new + added,
                baseline: moved(baseline, nodes.baseline_goal, removed, limits.batch - added),
            },
            Err(blocked) => blocked,
        }
    } else {
        let falling = Falling {
            counts: nodes.new,
            goal: nodes.new_goal,
        };
        match one_way(
            nodes,
            limits,
            nodes.baseline_goal.saturating_sub(baseline),
            falling,
        ) {
            Ok((added, removed)) => Move::To {
                new: new - removed,
                baseline: baseline + added,
            },
            Err(blocked) => blocked,
        }
    }
}

/// The falling side after a move; it may also have to grow, when both sides are below their goal.
fn moved(now: u32, goal: u32, removed: u32, left: u32) -> u32 {
    if goal > now {
        now + (goal - now).min(left)
    } else {
        now - removed
    }
}

struct Falling {
    counts: NodeCounts,
    goal: u32,
}

/// How many nodes the rising side gains and the falling side loses.
fn one_way(
    nodes: &Nodes,
    limits: Limits,
    wanted: u32,
    falling: Falling,
) -> Result<(u32, u32), Move> {
    let total = nodes.new.total() + nodes.baseline.total();
    let ready = nodes.new.ready + nodes.baseline.ready;
    let surplus = falling.counts.total().saturating_sub(falling.goal);
    // Ready nodes that may go; all of them where nothing is served.
    let least = nodes.desired.saturating_sub(limits.unavailable);
    let spare = if nodes.serving {
        ready.saturating_sub(least)
    } else {
        ready
    };
    let removable = surplus.min(falling.counts.unready.saturating_add(spare));

    // One for one keeps the total at or below the desired one.
    let replaced = wanted.min(removable).min(limits.batch);
    let room = (nodes.desired + limits.surge).saturating_sub(total);
    if wanted > replaced && room > 0 {
        let added = wanted.min(room + replaced).min(limits.batch);
        return Ok((added.max(replaced), replaced.min(added)));
    }
    if replaced > 0 {
        return Ok((replaced, replaced));
    }
    let removed = removable.min(limits.batch);
    if wanted == 0 && removed > 0 {
        return Ok((0, removed));
    }
    if wanted == 0 && surplus == 0 {
        // Only the falling side is below its goal; `moved` lets it grow.
        return Ok((0, 0));
    }
    Err(Move::Blocked {
        down: nodes.desired.saturating_sub(ready),
        limit: limits.unavailable,
    })
}

/// Ready nodes of a release that are left when its count falls to `target`: those that do not
/// serve go first.
pub fn ready_after(counts: NodeCounts, target: u32) -> u32 {
    let removed = counts.total().saturating_sub(target);
    counts
        .ready
        .saturating_sub(removed.saturating_sub(counts.unready))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        desired: u32,
        new: (u32, u32),
        baseline: (u32, u32),
        goal: (u32, u32),
        limits: (u32, u32, u32),
    ) -> Move {
        let counts = |(ready, unready)| NodeCounts {
            ready,
            unready,
            failed: 0,
        };
        let nodes = Nodes {
            desired,
            new: counts(new),
            baseline: counts(baseline),
            new_goal: goal.0,
            baseline_goal: goal.1,
            serving: true,
        };
        next_move(
            &nodes,
            Limits {
                batch: limits.0,
                unavailable: limits.1,
                surge: limits.2,
            },
        )
    }

    #[test]
    fn one_at_a_time() {
        assert_eq!(
            check(4, (0, 0), (4, 0), (4, 0), (1, 1, 0)),
            Move::To {
                new: 1,
                baseline: 3
            }
        );
        assert_eq!(
            check(4, (3, 0), (1, 0), (4, 0), (1, 1, 0)),
            Move::To {
                new: 4,
                baseline: 0
            }
        );
        assert_eq!(check(4, (4, 0), (0, 0), (4, 0), (1, 1, 0)), Move::Reached);
    }

    #[test]
    fn the_limit_counts_nodes_that_are_down() {
        assert_eq!(
            check(4, (1, 0), (2, 1), (4, 0), (2, 1, 0)),
            Move::To {
                new: 2,
                baseline: 2
            },
            "replaces the dead one"
        );
        assert_eq!(
            check(4, (0, 1), (3, 0), (4, 0), (2, 1, 0)),
            Move::Blocked { down: 1, limit: 1 }
        );
        assert_eq!(
            check(4, (0, 0), (4, 0), (4, 0), (2, 0, 0)),
            Move::Blocked { down: 0, limit: 0 }
        );
    }

    #[test]
    fn surge_adds_before_it_removes() {
        assert_eq!(
            check(4, (0, 0), (4, 0), (4, 0), (2, 0, 1)),
            Move::To {
                new: 1,
                baseline: 4
            }
        );
        assert_eq!(
            check(4, (1, 0), (4, 0), (4, 0), (2, 0, 1)),
            Move::To {
                new: 2,
                baseline: 3
            }
        );
        assert_eq!(
            check(4, (4, 0), (1, 0), (4, 0), (2, 0, 1)),
            Move::To {
                new: 4,
                baseline: 0
            }
        );
    }

    #[test]
    fn back_and_scale() {
        assert_eq!(
            check(4, (1, 0), (3, 0), (0, 4), (4, 1, 0)),
            Move::To {
                new: 0,
                baseline: 4
            }
        );
        assert_eq!(
            check(4, (4, 0), (0, 0), (0, 4), (4, 2, 0)),
            Move::To {
                new: 2,
                baseline: 2
            }
        );
        assert_eq!(
            check(4, (0, 0), (3, 0), (0, 4), (4, 1, 0)),
            Move::To {
                new: 0,
                baseline: 4
            }
        );
    }
}
