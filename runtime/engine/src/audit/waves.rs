//! When waves start and when they are done: their order, approvals and gates.

use super::Violation;
use super::approvals;
use super::book::{Book, Place};
use super::starts::may_start;
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::{Timestamp, WaveName};

pub(super) fn wave_started(book: &Book, at: Timestamp, name: &WaveName) -> Result<(), Violation> {
    let index = book.wave_index(name);
    may_start(book, index, at, "the start of a wave")?;
    let plan = &book.spec.plan.waves[index];
    after_all(book, index)?;
    // Where all sites have left there is nothing to approve and nothing to judge.
    if plan.sites.is_empty() {
        return Ok(());
    }
    let given = || book.waves[index].approved.iter();
    if plan.approval.is_some() && !approvals::enough(book, &plan.approvers, given()) {
        return Err(Violation::NotApproved { wave: name.clone() });
    }
    let subject = Subject::Wave(name.clone());
    book.all_passed("a wave starts", &subject, Phase::BeforeWave, at)
}

/// Every wave that comes before is done, also the ones that come before those.
pub(super) fn after_all(book: &Book, index: usize) -> Result<(), Violation> {
    let waves = &book.spec.plan.waves;
    let mut earlier = book.earlier(index).into_iter();
    match earlier.find(|before| !book.waves[*before].done) {
        Some(before) => Err(Violation::WaveOrder {
            wave: waves[index].name.clone(),
            before: waves[before].name.clone(),
        }),
        None => Ok(()),
    }
}

pub(super) fn all_finished(book: &Book, name: &WaveName) -> Result<(), Violation> {
    let index = book.wave_index(name);
    let mut mine = book.sites.iter().filter(|(_, site)| site.wave == index);
    match mine.find(|(_, site)| !site.place.finished()) {
        Some((site, _)) => Err(Violation::Unfinished {
            wave: name.clone(),
            site: site.clone(),
        }),
        None => Ok(()),
    }
}

pub(super) fn wave_done(book: &Book, name: &WaveName, at: Timestamp) -> Result<(), Violation> {
    all_finished(book, name)?;
    let index = book.wave_index(name);
    let wanted = book.spec.plan.waves[index].soak;
    for (site, found) in book.sites.iter().filter(|(_, site)| site.wave == index) {
        if found.place == Place::Done && !found.soaked {
            return Err(Violation::Soak {
                site: site.clone(),
                covered: book.covered(site, at),
                wanted,
            });
        }
    }
    if book.spec.plan.waves[index].sites.is_empty() {
        return Ok(());
    }
    let subject = Subject::Wave(name.clone());
    book.all_passed("a wave is done", &subject, Phase::AfterWave, at)
}
