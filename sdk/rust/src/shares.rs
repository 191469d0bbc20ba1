//! Arithmetic that strategies need: nodes over clusters, traffic over nodes.
//!
//! Everything here is exact integer arithmetic, and equal inputs give equal outputs.

use crate::{ClusterGoal, ClusterView, Goal, SiteView};

/// The whole of a site's traffic.
pub const PERMILLE: u32 = 1000;

/// Spreads `nodes` over clusters in proportion to their capacities.
///
/// Uses the largest-quotient method of D'Hondt, because it never takes a node away from a
/// cluster when the total rises, which the method of largest remainders may. No cluster gets
/// more than its capacity. The larger cluster is served first, then the earlier one. `nodes`
/// beyond the whole capacity are left out.
pub fn spread(nodes: u32, capacities: &[u32]) -> Vec<u32> {
    let whole: u64 = capacities.iter().map(|&capacity| u64::from(capacity)).sum();
    let nodes = u64::from(nodes).min(whole);
    if whole == 0 {
        return vec![0; capacities.len()];
    }
    // Nobody gets less than the quota rounded down, so only the rest needs the method.
    let mut given: Vec<u64> = capacities
        .iter()
        .map(|&capacity| nodes * u64::from(capacity) / whole)
        .collect();
    let rest = nodes - given.iter().sum::<u64>();
    for _ in 0..rest {
        let mut best = 0;
        for index in 1..capacities.len() {
            let ours = u64::from(capacities[index]) * (given[best] + 1);
            let theirs = u64::from(capacities[best]) * (given[index] + 1);
            if ours > theirs {
                best = index;
            }
        }
        given[best] += 1;
    }
    given.into_iter().map(saturate).collect()
}

/// Divides `total` in proportion to weights by the method of largest remainders. The parts
/// sum to exactly `total`, and a weight of zero gets nothing. All are zero if all weights are.
pub fn apportion(total: u32, weights: &[u32]) -> Vec<u32> {
    let whole: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    if whole == 0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: u32| u64::from(total) * u64::from(weight);
    let mut parts: Vec<u32> = weights
        .iter()
        .map(|&weight| saturate(exact(weight) / whole))
        .collect();
    let rest = total - parts.iter().sum::<u32>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    // A stable sort: of equal remainders the earlier one is served first.
    order.sort_by_key(|&index| core::cmp::Reverse(exact(weights[index]) % whole));
    for &index in order.iter().take(rest as usize) {
        parts[index] += 1;
    }
    parts
}

/// A goal with these nodes on the new release, the rest of each cluster on its baseline, and
/// traffic in proportion to the nodes.
///
/// `new` has one number for each cluster, in the same order.
pub fn goal_by_capacity(clusters: &[ClusterView], new: &[u32]) -> Goal {
    let mut weights = Vec::with_capacity(clusters.len() * 2);
    for (cluster, &new) in clusters.iter().zip(new) {
        let new = new.min(cluster.desired);
        weights.push(new);
        weights.push(cluster.desired - new);
    }
    let shares = apportion(PERMILLE, &weights);
    assemble(clusters, &weights, &shares)
}

/// A goal with these nodes on the new release, the rest of each cluster on its baseline, and
/// this share of the site's traffic for the new release. Within the new and the baseline
/// nodes traffic follows the nodes.
///
/// A side without nodes gets no traffic, whatever the share says.
pub fn goal_by_share(clusters: &[ClusterView], new: &[u32], new_permille: u32) -> Goal {
    let new: Vec<u32> = clusters
        .iter()
        .zip(new)
        .map(|(cluster, &new)| new.min(cluster.desired))
        .collect();
    let baseline: Vec<u32> = clusters
        .iter()
        .zip(&new)
        .map(|(cluster, new)| cluster.desired - new)
        .collect();
    let new_permille = if new.iter().all(|&nodes| nodes == 0) {
        0
    } else if baseline.iter().all(|&nodes| nodes == 0) {
        PERMILLE
    } else {
        new_permille.min(PERMILLE)
    };
    let new_shares = apportion(new_permille, &new);
    let baseline_shares = apportion(PERMILLE - new_permille, &baseline);
    let pair = |left: &[u32], right: &[u32]| -> Vec<u32> {
        left.iter()
            .zip(right)
            .flat_map(|(&left, &right)| [left, right])
            .collect()
    };
    assemble(
        clusters,
        &pair(&new, &baseline),
        &pair(&new_shares, &baseline_shares),
    )
}

/// Whether the site is at this goal: enough new nodes serve, and the traffic is split so.
pub fn reached(view: &SiteView, goal: &Goal) -> bool {
    view.clusters.iter().all(|cluster| {
        goal.clusters
            .iter()
            .find(|goal| goal.cluster == cluster.name)
            .is_some_and(|goal| {
                cluster.new_ready >= goal.new
                    && (!view.splits_traffic
                        || (cluster.new_permille == goal.new_permille
                            && cluster.baseline_permille == goal.baseline_permille))
            })
    })
}

/// Nodes that the site should have in total.
pub fn desired(view: &SiteView) -> u32 {
    view.clusters
        .iter()
        .fold(0, |sum: u32, cluster| sum.saturating_add(cluster.desired))
}

fn assemble(clusters: &[ClusterView], nodes: &[u32], shares: &[u32]) -> Goal {
    let clusters = clusters
        .iter()
        .zip(nodes.chunks_exact(2).zip(shares.chunks_exact(2)))
        .map(|(cluster, (nodes, shares))| ClusterGoal {
            cluster: cluster.name.clone(),
            new: nodes[0],
            baseline: nodes[1],
            new_permille: shares[0],
            baseline_permille: shares[1],
        })
        .collect();
    Goal { clusters }
}

fn saturate(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreading_serves_the_larger_first_and_never_takes_back() {
        let capacities = [3, 5, 1, 0];
        let mut before = vec![0; 4];
        for nodes in 0..=9 {
            let now = spread(nodes, &capacities);
            assert_eq!(now.iter().sum::<u32>(), nodes);
            for index in 0..4 {
                assert!(now[index] >= before[index], "{nodes}: {before:?} {now:?}");
                assert!(now[index] <= capacities[index]);
            }
            before = now;
        }
        assert_eq!(spread(1, &capacities), [0, 1, 0, 0]);
        assert_eq!(spread(99, &capacities), capacities);
    }

    #[test]
    fn spreading_equals_the_method_done_node_by_node() {
        for capacities in [&[7, 4, 4, 1][..], &[1, 1, 1], &[100, 1, 50, 49, 3]] {
            let mut slow = vec![0u32; capacities.len()];
            for nodes in 1..=capacities.iter().sum::<u32>() {
                let mut best = 0;
                for index in 1..capacities.len() {
                    if capacities[index] * (slow[best] + 1) > capacities[best] * (slow[index] + 1) {
                        best = index;
                    }
                }
                slow[best] += 1;
                assert_eq!(spread(nodes, capacities), slow, "{nodes} of {capacities:?}");
            }
        }
    }

    #[test]
    fn parts_sum_to_the_total() {
        assert_eq!(apportion(1000, &[1, 1, 1]), [334, 333, 333]);
        assert_eq!(apportion(1000, &[1, 0, 6]), [143, 0, 857]);
        assert_eq!(apportion(1000, &[0, 0]), [0, 0]);
        assert_eq!(apportion(0, &[1, 2]), [0, 0]);
    }

    #[test]
    fn very_large_numbers_do_not_overflow() {
        assert_eq!(apportion(1000, &[u32::MAX, u32::MAX]), [500, 500]);
        assert_eq!(spread(u32::MAX, &[u32::MAX, 1]), [u32::MAX, 0]);
    }
}
