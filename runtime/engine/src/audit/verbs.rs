//! What operators decided: written into the book, and checked, by code of its own.

use super::Violation;
use super::back::{reversible, rolled_back};
use super::book::{Book, Place, Wait};
use super::verdicts::Said;
use crate::state::GateKey;
use wavegate_model::plugin::{Phase, Subject, Verdict};
use wavegate_model::{SiteName, Timestamp};

pub(super) fn promoted(book: &mut Book, site: Option<&SiteName>) {
    match site {
        Some(site) => book.site_mut(site).promoted = true,
        None => book.promoted = true,
    }
}

/// Whether somebody waived the timed waits of a site.
pub(super) fn is_promoted(book: &Book, site: &SiteName) -> bool {
    book.promoted || book.site(site).promoted
}

pub(super) fn failed(book: &mut Book, name: &SiteName) {
    book.place(name, Place::Failed);
    let site = book.site_mut(name);
    site.failures += 1;
    let wave = site.wave;
    book.waves[wave].failed += 1;
    book.failed += 1;
}

/// A site that a person takes up or leaves out has not failed any more, and what was held for it
/// is not.
fn not_failed(book: &mut Book, name: &SiteName) {
    if book.site(name).place == Place::Failed && book.held_by_failure {
        book.held = false;
        book.held_by_failure = false;
    }
    let site = book.site_mut(name);
    let (failures, wave) = (core::mem::take(&mut site.failures), site.wave);
    book.waves[wave].failed -= failures;
    book.failed -= failures;
}

pub(super) fn retried(book: &mut Book, name: &SiteName) {
    let (place, touched, index) = {
        let site = book.site(name);
        (site.place, site.touched, site.wave)
    };
    if place == Place::NotBack {
        return book.place(name, Place::Failed);
    }
    not_failed(book, name);
    book.waves[index].done = false;
    book.waves[index].soaking = false;
    let goes_on = place == Place::Failed && touched;
    let to = if goes_on {
        Place::Updating
    } else {
        Place::Pending
    };
    book.place(name, to);
    let site = book.site_mut(name);
    site.given_up = false;
    if !goes_on {
        site.settled = true;
        site.approved.clear();
    }
    if !matches!(site.wait, Wait::BeforeSite) {
        site.wait = Wait::Nothing;
    }
}

/// Left out; with clusters of which nobody knows what runs there, if it is given up.
pub(super) fn left_out(book: &mut Book, name: &SiteName, given_up: bool) {
    if book.site(name).place == Place::Failed {
        not_failed(book, name);
    }
    book.place(name, Place::Skipped);
    let site = book.site_mut(name);
    site.given_up = given_up;
    site.settled = true;
}

pub(super) fn overridden(book: &mut Book, key: &GateKey, at: Timestamp) {
    let evidence = book.evidence_of(key);
    book.asked.retain(|_, question| question.gate != *key);
    let said = Said {
        verdict: Verdict::Pass,
        evidence,
        at,
        passes: u32::MAX,
    };
    book.verdict(key, Some(said));
    book.cover(key, Some(Verdict::Pass), at);
}

/// Everything of these that could not go back, or was given up, is to go back again.
pub(super) fn stopped(book: &mut Book, sites: &[SiteName]) {
    book.paused = false;
    book.held = false;
    for name in sites {
        let site = book.site(name);
        if site.place == Place::NotBack || (site.place == Place::Skipped && site.given_up) {
            book.place(name, Place::Failed);
            book.site_mut(name).given_up = false;
        }
    }
    book.stopping = Some(sites.iter().cloned().collect());
}

pub(super) fn undone(book: &mut Book, sites: &[SiteName]) {
    book.end = None;
    stopped(book, sites);
}

pub(super) fn check_retried(book: &Book, name: &SiteName) -> Result<(), Violation> {
    let place = book.site(name).place;
    let possible = match book.stopping {
        Some(_) => place == Place::NotBack,
        None => matches!(
            place,
            Place::Failed | Place::Back | Place::Skipped | Place::NotBack
        ),
    };
    open(book, "a retry")?;
    if possible {
        Ok(())
    } else {
        Err(Violation::OutOfPlace {
            what: "tried again",
            site: name.clone(),
        })
    }
}

/// Nothing that was changed is dropped as it is.
pub(super) fn check_skipped(book: &Book, name: &SiteName) -> Result<(), Violation> {
    open(book, "a site that is left out")?;
    let site = book.site(name);
    if site
        .clusters
        .iter()
        .any(|cluster| book.cluster(cluster).left)
    {
        // It has left the fleet: what became of it was said when it went.
        return Ok(());
    }
    let possible = matches!(
        site.place,
        Place::Pending | Place::Updating | Place::Soaking | Place::Failed
    );
    if !possible || book.stopping.is_some() {
        return Err(Violation::OutOfPlace {
            what: "left out",
            site: name.clone(),
        });
    }
    if site.touched {
        return rolled_back(book, name);
    }
    Ok(())
}

pub(super) fn check_given_up(book: &Book, name: &SiteName) -> Result<(), Violation> {
    open(book, "a site that is given up")?;
    let site = book.site(name);
    let unknown = |name| {
        let cluster = book.cluster(name);
        cluster.touched && cluster.lost
    };
    if book.stopping.is_none() && site.clusters.iter().any(unknown) {
        return Ok(());
    }
    Err(Violation::OutOfPlace {
        what: "given up",
        site: name.clone(),
    })
}

/// A person may speak for a gate about what is there, by name.
pub(super) fn check_overridden(book: &Book, key: &GateKey, actor: &str) -> Result<(), Violation> {
    open(book, "a person's verdict")?;
    if actor.is_empty() {
        return Err(Violation::Nobody {
            what: "a person's verdict",
        });
    }
    if let (Subject::Site(name), Phase::AfterBatch) = (&key.subject, key.phase) {
        let site = book.site(name);
        if !site.settled || site.outstanding.is_some() {
            return Err(Violation::NotSettled { site: name.clone() });
        }
    }
    Ok(())
}

pub(super) fn check_undone(book: &Book, sites: &[SiteName]) -> Result<(), Violation> {
    if book.end.is_none() {
        return Err(Violation::Blocked {
            what: "undoing",
            state: "not over",
        });
    }
    if let Some(site) = sites.first() {
        reversible(book, site)?;
    }
    let away = |(name, site): &(&SiteName, &super::book::Site)| {
        let at_baseline =
            site.place == Place::Back || (site.place == Place::Skipped && !site.given_up);
        site.touched && !at_baseline && !sites.contains(name)
    };
    match book.sites.iter().find(away) {
        Some((site, _)) => Err(Violation::LeftBehind { site: site.clone() }),
        None => Ok(()),
    }
}

fn open(book: &Book, what: &'static str) -> Result<(), Violation> {
    match book.end {
        Some(_) => Err(Violation::AfterEnd { what }),
        None => Ok(()),
    }
}
