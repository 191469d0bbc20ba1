//! The way of a site: its start, waits and batches, until all that serves is the release.

use super::Violation;
use super::book::{Book, Place, Wait};
use super::starts::{may_start, within_budget};
use super::verbs;
use super::waves::after_all;
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::{ClusterName, Permille, SiteName, Split, Timestamp};

pub(super) fn site_started(
    book: &Book,
    at: Timestamp,
    name: &SiteName,
    split: &Split,
) -> Result<(), Violation> {
    let site = book.site(name);
    if split.total() > Permille::ALL {
        return Err(Violation::SplitSum {
            site: name.clone(),
            total: split.total().0,
        });
    }
    may_start(book, site.wave, at, "the start of a site")?;
    let (wave, plan) = (&book.waves[site.wave], &book.spec.plan.waves[site.wave]);
    after_all(book, site.wave)?;
    if site.place != Place::Pending || !wave.started || wave.done {
        return Err(Violation::SiteOrder { site: name.clone() });
    }
    if wave.in_flight >= plan.max_parallel_sites {
        return Err(Violation::InFlight {
            site: name.clone(),
            wave: plan.name.clone(),
            in_flight: wave.in_flight,
            limit: plan.max_parallel_sites,
        });
    }
    within_budget(book, "the start", name)
}

pub(super) fn wait_ended(book: &Book, name: &SiteName, at: Timestamp) -> Result<(), Violation> {
    let subject = Subject::Site(name.clone());
    match &book.site(name).wait {
        Wait::Nothing => Ok(()),
        Wait::BeforeSite => book.all_passed("a site begins", &subject, Phase::BeforeSite, at),
        Wait::Gates(gates) => {
            let wave = book.site(name).wave;
            for gate in gates.iter().filter(|gate| book.asks(wave, gate)) {
                book.has_passed("a wait ended", &subject, Phase::AfterBatch, gate, at)?;
            }
            Ok(())
        }
        Wait::Until(end) => {
            let left = end.minus(book.active_in(book.site(name).wave, at));
            if left.0 == 0 || verbs::is_promoted(book, name) {
                return Ok(());
            }
            Err(Violation::TooEarly {
                site: name.clone(),
                left,
            })
        }
    }
}

pub(super) fn batch_passed(book: &Book, name: &SiteName, at: Timestamp) -> Result<(), Violation> {
    let site = book.site(name);
    if !site.settled {
        return Err(Violation::NotSettled { site: name.clone() });
    }
    let new_nodes = |c: &ClusterName| {
        let seen = book.cluster(c).seen.as_ref();
        seen.map_or(0, |seen| seen.new.total())
    };
    // Where no node runs the release there is nothing to judge.
    if site.clusters.iter().map(new_nodes).sum::<u32>() == 0 {
        return Ok(());
    }
    let subject = Subject::Site(name.clone());
    book.all_passed("a batch passed", &subject, Phase::AfterBatch, at)
}

/// All that serves in a site is the release.
fn updated(book: &Book, name: &SiteName) -> Result<(), Violation> {
    let splits = book.spec.capabilities.splits_traffic;
    for cluster_name in &book.site(name).clusters {
        let cluster = book.cluster(cluster_name);
        let seen = cluster.seen.clone().unwrap_or_default();
        let serves = !splits || seen.new_share > 0;
        let short = serves && seen.new.ready < seen.desired;
        let remains = !splits && seen.old.total() > 0;
        if short || remains || seen.other_share > 0 {
            return Err(Violation::NotUpdated {
                site: name.clone(),
                cluster: cluster_name.clone(),
                ready: seen.new.ready,
                desired: seen.desired,
                elsewhere: seen.other_share,
            });
        }
    }
    Ok(())
}

pub(super) fn soak_started(book: &Book, name: &SiteName, at: Timestamp) -> Result<(), Violation> {
    updated(book, name)?;
    if !book.site(name).touched {
        return Ok(());
    }
    let subject = Subject::Site(name.clone());
    book.all_passed("a site soaks", &subject, Phase::AfterBatch, at)
}
