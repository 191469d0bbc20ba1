//! How a site's traffic is split, and what its nodes can carry.
//!
//! A site was served by `demand` nodes when it started, and the policy lets `unavailable` of
//! them be down: `demand - unavailable` nodes are enough to carry everything. So a release
//! with `ready` nodes carries at most `1000 * ready / (demand - unavailable)` permille, rounded
//! up. No share exceeds that, as long as there are nodes enough for all of it. With fewer, each
//! carries as much as it is of what is left; with none, the split stays as it is.

use alloc::vec::Vec;
use wavegate_model::{ClusterName, Digest, Permille, Share, Split};

/// Nodes that can get traffic: one release in one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Which cluster.
    pub cluster: ClusterName,
    /// Which release.
    pub release: Digest,
    /// The share that it should have.
    pub wanted: u32,
    /// Nodes that serve.
    pub ready: u32,
}

/// The most that `ready` nodes carry, in permille, if `enough` nodes carry everything.
pub fn capacity(ready: u32, enough: u32) -> u32 {
    let carried = (u64::from(ready) * 1000).div_ceil(u64::from(enough.max(1)));
    u32::try_from(carried.min(1000)).unwrap_or(1000)
}

/// The split nearest to what is wanted that the ready nodes can carry; none if no node is ready.
pub fn feasible(carriers: &[Carrier], enough: u32) -> Option<Split> {
    let capacities: Vec<u32> = carriers.iter().map(|c| capacity(c.ready, enough)).collect();
    let total: u32 = capacities.iter().sum();
    if total == 0 {
        return None;
    }
    let shares = if total <= 1000 {
        // Not enough nodes for everything: each carries as much as it is of what is left.
        let weights: Vec<u32> = carriers.iter().map(|c| c.ready).collect();
        apportion(1000, &weights)
    } else {
        let clamped: Vec<u32> = carriers
            .iter()
            .zip(&capacities)
            .map(|(c, capacity)| c.wanted.min(*capacity))
            .collect();
        let rest = 1000_u32.saturating_sub(clamped.iter().sum());
        let spare: Vec<u32> = capacities
            .iter()
            .zip(&clamped)
            .map(|(capacity, share)| capacity - share)
            .collect();
        clamped
            .iter()
            .zip(apportion(rest, &spare))
            .map(|(share, more)| share + more)
            .collect()
    };
    let shares = carriers.iter().zip(shares).map(|(carrier, share)| Share {
        cluster: carrier.cluster.clone(),
        release: carrier.release.clone(),
        share: Permille(share),
    });
    Some(Split::new(shares))
}

/// Whether a split asks no carrier for more than it carries. A split over too few nodes for
/// everything fits if it asks none for more than the even share.
pub fn fits(split: &Split, carriers: &[Carrier], enough: u32) -> bool {
    let ready_total: u32 = carriers.iter().map(|c| c.ready).sum();
    let enough = enough.min(ready_total);
    split.shares().iter().all(|share| {
        let carrier = carriers
            .iter()
            .find(|c| c.cluster == share.cluster && c.release == share.release);
        let ready = carrier.map_or(0, |c| c.ready);
        share.share.0 <= capacity(ready, enough)
    })
}

/// Splits `total` in proportion to `weights` by the largest remainder; ties go to the first.
fn apportion(total: u32, weights: &[u32]) -> Vec<u32> {
    let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    if sum == 0 {
        return weights.iter().map(|_| 0).collect();
    }
    let exact = |w: u32| u64::from(total) * u64::from(w);
    let mut parts: Vec<u32> = weights
        .iter()
        .map(|w| u32::try_from(exact(*w) / sum).unwrap_or(total))
        .collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|i| (core::cmp::Reverse(exact(weights[*i]) % sum), *i));
    let missing = total - parts.iter().sum::<u32>();
    for i in order
        .into_iter()
        .take(usize::try_from(missing).unwrap_or(0))
    {
        parts[i] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn check(wanted_ready: [(u32, u32); 2], enough: u32) -> Option<(u32, u32)> {
        let digest = |n: u8| Digest::from_sha256(&[n; 32]);
        let carrier = |n, (wanted, ready)| Carrier {
            cluster: "c".into(),
            release: digest(n),
            wanted,
            ready,
        };
        let carriers = vec![carrier(1, wanted_ready[0]), carrier(2, wanted_ready[1])];
        let split = feasible(&carriers, enough)?;
        assert_eq!(split.total(), Permille::ALL);
        assert!(fits(&split, &carriers, enough), "{split:?}");
        Some((
            split.of(&"c".into(), &digest(1)).0,
            split.of(&"c".into(), &digest(2)).0,
        ))
    }

    #[test]
    fn shares_follow_what_is_wanted_and_stop_at_capacity() {
        assert_eq!(check([(100, 1), (900, 3)], 3), Some((100, 900)));
        assert_eq!(check([(1000, 1), (0, 3)], 3), Some((334, 666)));
        assert_eq!(check([(1000, 4), (0, 0)], 3), Some((1000, 0)));
        assert_eq!(check([(0, 3), (1000, 1)], 3), Some((666, 334)));
        assert_eq!(check([(500, 0), (500, 3)], 3), Some((0, 1000)));
    }

    #[test]
    fn too_few_nodes_share_evenly() {
        assert_eq!(check([(100, 1), (900, 1)], 4), Some((500, 500)));
        assert_eq!(check([(100, 0), (900, 0)], 4), None);
    }
}
