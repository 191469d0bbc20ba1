//! What the auditor checks when the fleet changes: child plans, totals, queues.

use super::Violation;
use super::book::{Book, Cluster, Place, Site, fresh};
use super::starts::within_budget;
use crate::fact::{MemberChange, MemberOutcome};
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use wavegate_model::plan::WaveOrigin;
use wavegate_model::policy::OnAdded;
use wavegate_model::{ClusterName, Plan, PlannedSite, SiteName, Split};

fn edited(what: &'static str, name: impl ToString) -> Result<(), Violation> {
    Err(Violation::PlanEdited {
        what,
        name: name.to_string(),
    })
}

/// Whether a plan may take the place of the one in the book.
pub(super) fn replanned(
    book: &Book,
    plan: &Plan,
    changes: &[MemberChange],
) -> Result<(), Violation> {
    let before = &book.spec.plan;
    if plan.parent != Some(before.generation) || plan.generation <= before.generation {
        return Err(Violation::NotAChild {
            before: before.generation,
            now: plan.generation,
        });
    }
    if plan.waves.len() < before.waves.len() {
        return edited("the number of waves", plan.waves.len());
    }
    let ignores = book.spec.policy.membership.added == OnAdded::Ignore;
    for (index, wave) in plan.waves.iter().enumerate() {
        match before.waves.get(index) {
            Some(old) if old.name != wave.name || old.after != wave.after => {
                return edited("wave", &wave.name);
            }
            Some(old) if old.soak > wave.soak || old.site_soak > wave.site_soak => {
                return edited("the soak of wave", &wave.name);
            }
            Some(_) => {}
            // A new one comes after all others.
            None if ignores
                || wave.origin != WaveOrigin::Added
                || !wave.after.iter().copied().eq(0..index) =>
            {
                return edited("wave", &wave.name);
            }
            None => {}
        }
        for site in &wave.sites {
            planned_site(book, index, site, changes)?;
        }
    }
    nobody_is_forgotten(book, plan, changes)
}

fn said<'a>(changes: &'a [MemberChange], name: &ClusterName) -> Option<&'a MemberOutcome> {
    let found = changes.iter().find(|change| change.cluster == *name);
    found.map(|change| &change.outcome)
}

fn planned_site(
    book: &Book,
    wave: usize,
    site: &PlannedSite,
    changes: &[MemberChange],
) -> Result<(), Violation> {
    let old = book.sites.get(&site.name);
    let came = |name: &ClusterName| !old.is_some_and(|old| old.clusters.contains(name));
    let new: Vec<&ClusterName> = site
        .clusters
        .iter()
        .map(|c| &c.name)
        .filter(|name| came(name))
        .collect();
    let anew = new.len() == site.clusters.len();
    let ignores = book.spec.policy.membership.added == OnAdded::Ignore;
    let listed = |name: &&ClusterName| {
        matches!(said(changes, name), Some(MemberOutcome::Added { .. }))
            && !book.clusters.contains_key(name)
    };
    match old {
        // Another site of the same name is no move.
        Some(old) if old.wave != wave && !(anew && old.place == Place::Pending) => {
            edited("the wave of site", &site.name)
        }
        Some(old) if old.place != Place::Pending && !new.is_empty() => edited("site", &site.name),
        _ if anew
            && !new.is_empty()
            && book.waves.get(wave).is_some_and(|w| w.soaking || w.done) =>
        {
            edited("a wave that soaks by site", &site.name)
        }
        _ if !new.is_empty() && (ignores || book.stopping.is_some()) => {
            edited("what may not grow by site", &site.name)
        }
        _ if !new.iter().all(listed) => edited("silently site", &site.name),
        _ => Ok(()),
    }
}

/// Every cluster that is in the plan no more is said to be, and only an untouched one may leave
/// without a trace.
fn nobody_is_forgotten(
    book: &Book,
    plan: &Plan,
    changes: &[MemberChange],
) -> Result<(), Violation> {
    let sites = plan.waves.iter().flat_map(|wave| &wave.sites);
    let now: BTreeMap<&SiteName, &PlannedSite> = sites.map(|s| (&s.name, s)).collect();
    for (name, site) in &book.sites {
        let planned = now.get(name);
        if planned.is_none() && (site.touched || site.place != Place::Pending) {
            return edited("away site", name);
        }
        for cluster in &site.clusters {
            let stays = planned.is_some_and(|s| s.clusters.iter().any(|c| c.name == *cluster));
            let untouched = !book.cluster(cluster).touched && site.place == Place::Pending;
            let fine = match said(changes, cluster) {
                Some(MemberOutcome::Left) => untouched && !stays,
                Some(MemberOutcome::LetGo { .. }) => true,
                _ => stays,
            };
            if !fine {
                return Err(Violation::Forgotten {
                    cluster: cluster.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Takes a child plan into the book.
pub(super) fn note(book: &mut Book, plan: &Plan, changes: &[MemberChange]) {
    for change in changes {
        if let Some(cluster) = book.clusters.get_mut(&change.cluster) {
            match &change.outcome {
                MemberOutcome::LetGo { .. } | MemberOutcome::Kept => cluster.left = true,
                MemberOutcome::Returned => cluster.left = false,
                MemberOutcome::Added { .. }
                | MemberOutcome::LeftOut { .. }
                | MemberOutcome::Left => {}
            }
        }
    }
    let rows = core::mem::take(&mut book.sites).into_rows();
    let mut sites: BTreeMap<SiteName, Site> = rows.into_iter().collect();
    let rows = core::mem::take(&mut book.clusters).into_rows();
    let mut clusters: BTreeMap<ClusterName, Cluster> = rows.into_iter().collect();
    for change in changes.iter().filter(|c| c.outcome == MemberOutcome::Left) {
        clusters.remove(&change.cluster);
    }
    let mut now = Vec::new();
    for (wave, planned) in plan.waves.iter().enumerate() {
        for site in &planned.sites {
            let names: Vec<ClusterName> = site.clusters.iter().map(|c| c.name.clone()).collect();
            for name in &names {
                clusters.entry(name.clone()).or_insert_with(|| Cluster {
                    site: site.name.clone(),
                    baseline: None,
                    epoch: None,
                    seen: None,
                    shown: None,
                    lost: false,
                    touched: false,
                    left: false,
                    late: None,
                });
            }
            let mut found = sites
                .remove(&site.name)
                .unwrap_or_else(|| fresh(wave, Vec::new()));
            found.wave = wave;
            found.clusters = names;
            now.push((site.name.clone(), found));
        }
    }
    book.sites = now.into_iter().collect();
    book.clusters = clusters.into_iter().collect();
    let more = plan.waves.len() - book.waves.len();
    book.waves.extend((0..more).map(|_| Default::default()));
    book.generation = plan.generation;
    book.spec.plan = plan.clone();
    book.note_size();
    // Whoever was asked was asked for the older plan.
    book.asked.clear();
}

pub(super) fn queued(book: &Book, free: bool) -> Result<(), Violation> {
    let begun = book.sites.values().any(|site| site.place != Place::Pending);
    if begun && !free {
        return Err(Violation::QueuesLate);
    }
    Ok(())
}

/// Counts the nodes that carry a site's traffic anew.
pub(super) fn demand(book: &Book, name: &SiteName, said: u32) -> Result<(), Violation> {
    let site = book.site(name);
    let (mut start, mut now, mut ready) = (0, 0, 0);
    let (mut elsewhere, mut still) = (false, false);
    for cluster in &site.clusters {
        let Some(seen) = &book.cluster(cluster).seen else {
            continue;
        };
        let named = |split: &Split| split.shares().iter().any(|s| s.cluster == *cluster);
        let carries = seen.new_share + seen.other_share > 0
            || named(&site.split)
            || site.intended.iter().any(named);
        let from_start = site.carriers.contains(cluster);
        if from_start {
            start += seen.desired;
        }
        if carries {
            now += seen.desired;
            ready += seen.all_ready;
            elsewhere |= !from_start;
            still |= from_start;
        }
    }
    let total = if !elsewhere {
        start
    } else if still {
        start.max(site.demand)
    } else {
        now.min(site.demand)
    };
    let found = if total > site.demand {
        total.min(ready.max(site.demand))
    } else {
        total
    };
    if found == said {
        return Ok(());
    }
    Err(Violation::Demand {
        site: name.clone(),
        said,
        found,
    })
}

/// A site that soaks is decided again only if it misses nodes, and only if there is a place.
pub(super) fn reopened(book: &Book, name: &SiteName) -> Result<(), Violation> {
    let site = book.site(name);
    let (wave, plan) = (&book.waves[site.wave], &book.spec.plan.waves[site.wave]);
    let soaks = match site.place {
        Place::Soaking => true,
        Place::Done => wave.soaking && wave.in_flight < plan.max_parallel_sites,
        _ => false,
    };
    let splits = book.spec.capabilities.splits_traffic;
    let misses = |cluster: &ClusterName| {
        let seen = book.cluster(cluster).seen.as_ref();
        seen.is_some_and(|seen| {
            (!splits || seen.new_share > 0) && seen.new.ready + seen.new.unready < seen.desired
        })
    };
    if soaks && site.clusters.iter().any(misses) {
        return within_budget(book, "another decision", name);
    }
    Err(Violation::Reopened { site: name.clone() })
}
