//! Re-checks the invariants from the facts alone.
//!
//! It shares no code with what decides: not the guards, not the batches, not the traffic, not
//! the state. What it knows it has written into a book of its own, and it counts by itself. A
//! step that it objects to must not be recorded, let alone carried out.
//!
//! `check` leads each fact to the file that knows whether it may follow, and `note` writes it into
//! the `book`.

mod approvals;
mod back;
mod book;
mod commands;
mod ends;
mod evidence;
mod members;
mod note;
mod seen;
mod sites;
mod soak;
mod starts;
mod swap;
#[cfg(test)]
mod tests;
mod time;
mod verbs;
mod verdicts;
mod violation;
mod waves;

use crate::fact::Fact;
use crate::spec::Spec;
use book::Book;
pub use violation::Violation;
use wavegate_model::Timestamp;

/// Watches the facts of one rollout.
#[derive(Clone, Debug)]
pub struct Auditor {
    book: Book,
}

impl Auditor {
    /// An auditor that has seen nothing yet.
    pub fn new(spec: &Spec) -> Self {
        Self {
            book: Book::new(spec),
        }
    }

    /// Takes the next fact.
    ///
    /// # Errors
    /// The invariant that it breaks. What the auditor says of later facts is then of no use.
    pub fn observe(&mut self, at: Timestamp, fact: &Fact) -> Result<(), Violation> {
        check(&self.book, at, fact)?;
        self.book.check_component(fact)?;
        self.note(at, fact);
        self.book.note_component(fact);
        self.book.keep_time(at);
        Ok(())
    }
}

/// Whether a fact may follow what is in the book.
fn check(book: &Book, at: Timestamp, fact: &Fact) -> Result<(), Violation> {
    match fact {
        Fact::CommandIssued { effect } => commands::check(book, at, effect),
        Fact::WaveStarted { wave } => waves::wave_started(book, at, wave),
        Fact::WaveSoakStarted { wave } => waves::all_finished(book, wave),
        Fact::WaveDone { wave } => waves::wave_done(book, wave, at),
        Fact::SiteStarted { site, split, .. } => sites::site_started(book, at, site, split),
        Fact::WaitEnded { site } => sites::wait_ended(book, site, at),
        Fact::BatchPassed { site } => sites::batch_passed(book, site, at),
        Fact::SiteSoakStarted { site } => sites::soak_started(book, site, at),
        Fact::SiteDone { site } => {
            let wanted = book.spec.plan.waves[book.site(site).wave].site_soak;
            soak::soaked(book, site, at, wanted)
        }
        Fact::SiteSoaked { site } => {
            let wanted = book.spec.plan.waves[book.site(site).wave].soak;
            soak::soaked(book, site, at, wanted)
        }
        Fact::SiteRollbackStarted { site } => back::reversible(book, site),
        Fact::SiteRolledBack { site } => {
            commands::none_may_arrive(book, site, "back")?;
            back::rolled_back(book, site)
        }
        Fact::GoalReached { site } => commands::none_may_arrive(book, site, "at its goal"),
        Fact::BaselineTaken {
            cluster, release, ..
        } => back::baseline(book, cluster, &release.digest),
        Fact::GateAnswered {
            consultation,
            gate,
            evaluation,
        } => evidence::answered(book, *consultation, gate, evaluation, at),
        Fact::GateCancelled {
            consultation, why, ..
        } => evidence::cancelled(book, *consultation, *why),
        Fact::SiteFailed { site, reason } => evidence::site_failed(book, site, reason),
        Fact::Stopped { reason, sites } => back::stopped(book, reason, &sites.iter().collect()),
        Fact::Finished { end } => ends::finished(book, *end),
        Fact::SiteRetried { site } => verbs::check_retried(book, site),
        Fact::SiteSkipped { site, .. } => verbs::check_skipped(book, site),
        Fact::SiteGivenUp { site, .. } => verbs::check_given_up(book, site),
        Fact::GateOverridden { gate, actor, .. } => verbs::check_overridden(book, gate, actor),
        Fact::Undone { sites, .. } => verbs::check_undone(book, sites),
        Fact::Replanned { plan, changes, .. } => members::replanned(book, plan, changes),
        Fact::Queued { behind } => members::queued(book, behind.is_empty()),
        Fact::DemandChanged { site, demand } => members::demand(book, site, *demand),
        Fact::SiteReopened { site } => {
            starts::may_start(
                book,
                book.site(site).wave,
                at,
                "a site that is decided again",
            )?;
            members::reopened(book, site)
        }
        _ => Ok(()),
    }
}
