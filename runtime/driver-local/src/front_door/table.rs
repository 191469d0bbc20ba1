//! Who gets the next request: an immutable table, replaced in one step.

use super::Backend;
use super::pool::Node;
use super::state::Stored;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wavegate_model::{ClusterName, Digest, Split};

/// Counts requests. Lives longer than a table, so that a change does not start over with the
/// largest share.
#[derive(Debug, Default)]
pub(super) struct Turns {
    all: AtomicUsize,
    diverted: AtomicUsize,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) split: Split,
    /// Shares in the order of the split.
    shares: Vec<Share>,
    /// Whose turn it is: 1000 places, each share as many as it has permille, spread evenly.
    order: Vec<usize>,
    /// The same over those shares that have nodes.
    staffed: Vec<usize>,
    pub(super) nodes: Vec<Arc<Node>>,
}

/// A share and the nodes that take turns in it.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) target: (ClusterName, Digest),
    nodes: Vec<Arc<Node>>,
    turn: AtomicUsize,
}

/// Whether a share got what is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routed {
    Own,
    Diverted,
}

impl Table {
    /// The table of a state. Nodes that stay keep their connections and counts.
    pub(super) fn next(&self, stored: &Stored) -> Self {
        let mut kept: BTreeMap<(&ClusterName, &Backend), &Arc<Node>> = self
            .nodes
            .iter()
            .map(|node| ((&node.cluster, &node.backend), node))
            .collect();
        let wanted = stored
            .backends
            .iter()
            .flat_map(|(cluster, list)| list.iter().map(move |backend| (cluster, backend)));
        let nodes: Vec<Arc<Node>> = wanted
            .map(
                |(cluster, backend)| match kept.remove(&(cluster, backend)) {
                    Some(node) => Arc::clone(node),
                    None => Arc::new(Node::new(cluster.clone(), backend.clone())),
                },
            )
            .collect();
        let shares: Vec<Share> = stored
            .split
            .shares()
            .iter()
            .map(|share| {
                let target = (share.cluster.clone(), share.release.clone());
                let serves = |node: &&Arc<Node>| {
                    node.cluster == target.0 && node.backend.release == target.1
                };
                let nodes = nodes.iter().filter(serves).cloned().collect();
                let before = self.shares.iter().find(|share| share.target == target);
                let turn = before.map_or(0, |share| share.turn.load(Ordering::Relaxed));
                Share {
                    target,
                    nodes,
                    turn: AtomicUsize::new(turn),
                }
            })
            .collect();
        let weights: Vec<i64> = stored
            .split
            .shares()
            .iter()
            .map(|share| i64::from(share.share.0))
            .collect();
        let staffed: Vec<i64> = shares
            .iter()
            .zip(&weights)
            .map(|(share, weight)| if share.nodes.is_empty() { 0 } else { *weight })
            .collect();
        Self {
            split: stored.split.clone(),
            shares,
            order: spread(&weights),
            staffed: spread(&staffed),
            nodes,
        }
    }

    /// The share whose turn it is; none if no share has a node.
    pub(super) fn share(&self, turns: &Turns) -> Option<(&Share, Routed)> {
        if self.staffed.is_empty() {
            return None;
        }
        let share = &self.shares[in_turn(&turns.all, &self.order)];
        if !share.nodes.is_empty() {
            return Some((share, Routed::Own));
        }
        Some((
            &self.shares[in_turn(&turns.diverted, &self.staffed)],
            Routed::Diverted,
        ))
    }
}

impl Share {
    /// Every node once, beginning with the one whose turn it is.
    pub(super) fn nodes_in_turn(&self) -> impl Iterator<Item = &Arc<Node>> {
        let count = self.nodes.len();
        let first = if count == 0 {
            0
        } else {
            self.turn.fetch_add(1, Ordering::Relaxed) % count
        };
        self.nodes[first..].iter().chain(&self.nodes[..first])
    }
}

fn in_turn(turn: &AtomicUsize, order: &[usize]) -> usize {
    // An empty split has an empty order and no staffed share: the caller has looked.
    order[turn.fetch_add(1, Ordering::Relaxed) % order.len()]
}

/// Smooth weighted round robin, written out for one whole round: each index as often as its
/// weight, as evenly as integers allow.
fn spread(weights: &[i64]) -> Vec<usize> {
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    (0..total)
        .filter_map(|_| {
            for (credit, weight) in credit.iter_mut().zip(weights) {
                *credit += weight;
            }
            // The first of equals, so that the order is the same everywhere.
            let next = (0..credit.len()).rev().max_by_key(|at| credit[*at])?;
            credit[next] -= total;
            Some(next)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(order: &[usize], index: usize) -> usize {
        order.iter().filter(|found| **found == index).count()
    }

    #[test]
    fn every_share_gets_its_permille_and_early() {
        for weights in [
            vec![1000],
            vec![1, 999],
            vec![100, 900],
            vec![333, 333, 334],
            vec![50, 0, 950],
        ] {
            let order = spread(&weights);
            assert_eq!(order.len(), 1000);
            for (index, weight) in weights.iter().enumerate() {
                let weight = usize::try_from(*weight).unwrap();
                assert_eq!(count(&order, index), weight);
                // Evenly: after any number of requests, a share is at most one request off.
                for taken in 1..=1000 {
                    let exact = taken * weight;
                    let found = count(&order[..taken], index) * 1000;
                    assert!(
                        found.abs_diff(exact) <= 1000,
                        "{weights:?}: {index} after {taken}"
                    );
                }
            }
        }
        assert!(spread(&[]).is_empty());
        assert!(spread(&[0, 0]).is_empty());
    }
}
