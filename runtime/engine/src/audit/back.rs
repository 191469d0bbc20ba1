//! The way back: which release it leads to, whether there is one, and when all are there.

use super::Violation;
use super::book::{Book, Place, Site};
use crate::fact::StopReason;
use alloc::collections::BTreeSet;
use wavegate_model::policy::EndState;
use wavegate_model::release::Reversal;
use wavegate_model::{ClusterName, Digest, SiteName};

/// A baseline is what runs; beside others, what has all the traffic; without any node nobody can
/// say otherwise.
pub(super) fn baseline(book: &Book, name: &ClusterName, release: &Digest) -> Result<(), Violation> {
    let Some(shown) = &book.cluster(name).shown else {
        return Ok(());
    };
    let (mut here, mut beside, mut elsewhere) = (0, 0, 0);
    for (digest, counts) in &shown.nodes {
        if digest == release {
            here += counts.total();
        } else {
            beside += counts.total();
        }
    }
    for (digest, share) in shown.traffic.iter().flatten() {
        if digest != release {
            elsewhere += share.0;
        }
    }
    let all_traffic = shown.traffic.is_some() && here > 0 && elsewhere == 0;
    if beside == 0 || all_traffic {
        return Ok(());
    }
    Err(Violation::WrongBaseline {
        cluster: name.clone(),
        release: release.clone(),
        beside,
        elsewhere,
    })
}

pub(super) fn reversible(book: &Book, site: &SiteName) -> Result<(), Violation> {
    if book.spec.release.reversal == Reversal::Irreversible {
        return Err(Violation::Irreversible { site: site.clone() });
    }
    Ok(())
}

pub(super) fn rolled_back(book: &Book, name: &SiteName) -> Result<(), Violation> {
    let site = book.site(name);
    let untouched = |c: &&ClusterName| book.cluster(c).touched;
    for cluster_name in site.clusters.iter().filter(untouched) {
        let cluster = book.cluster(cluster_name);
        let seen = cluster.seen.clone().unwrap_or_default();
        let same = book.same(cluster);
        let (ready, new) = if same {
            (seen.new.ready, 0)
        } else {
            (seen.old.ready, seen.new.total())
        };
        let elsewhere = if same {
            seen.other_share
        } else {
            seen.new_share
        };
        let stale = seen.at < site.fresh_after || site.outstanding.is_some();
        if stale || ready < seen.desired || new > 0 || elsewhere > 0 {
            return Err(Violation::NotBack {
                site: name.clone(),
                cluster: cluster_name.clone(),
                baseline: ready,
                desired: seen.desired,
                new,
                elsewhere,
            });
        }
    }
    Ok(())
}

pub(super) fn stopped(
    book: &Book,
    reason: &StopReason,
    sites: &BTreeSet<&SiteName>,
) -> Result<(), Violation> {
    if let Some(site) = sites.first() {
        reversible(book, site)?;
    }
    let all = matches!(reason, StopReason::Requested { .. })
        || book.spec.policy.failure.then == EndState::RollBackTouched;
    // Who makes room leaves what is done, and all else that it touched goes back.
    let room = matches!(reason, StopReason::Superseded { .. });
    let stays = |place: Place| room && matches!(place, Place::Done | Place::Back | Place::Skipped);
    let all = all || room;
    let left_out = |(name, site): &(&SiteName, &Site)| {
        site.touched && !sites.contains(name) && !stays(site.place)
    };
    match book.sites.iter().find(left_out) {
        Some((site, _)) if all => Err(Violation::LeftBehind { site: site.clone() }),
        _ => Ok(()),
    }
}
