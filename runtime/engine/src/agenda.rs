//! Which sites are to be looked at, and when. Derived from the state, never stored: a site that
//! waits says until when nothing can change, and that is a function of the state alone.

use alloc::collections::{BTreeMap, BTreeSet};
use wavegate_model::{SiteName, Timestamp};

/// Sites and the rollout as a whole, by when they are due.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    dirty: BTreeSet<SiteName>,
    waves_dirty: bool,
    by_site: BTreeMap<SiteName, Timestamp>,
    by_time: BTreeSet<(Timestamp, SiteName)>,
    waves_due: Option<Timestamp>,
}

impl Agenda {
    /// Looks at a site in this step.
    pub fn touch(&mut self, site: &SiteName) {
        if !self.dirty.contains(site) {
            self.dirty.insert(site.clone());
        }
    }

    /// Looks at the waves in this step.
    pub fn touch_waves(&mut self) {
        self.waves_dirty = true;
    }

    /// Moves what is due to this step.
    pub fn due(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.by_time.first() {
            if *at > now {
                break;
            }
            if let Some((_, site)) = self.by_time.pop_first() {
                self.by_site.remove(&site);
                self.dirty.insert(site);
            }
        }
        if self.waves_due.is_some_and(|at| at <= now) {
            self.waves_due = None;
            self.waves_dirty = true;
        }
    }

    /// The next site to look at.
    pub fn next_site(&mut self) -> Option<SiteName> {
        self.dirty.pop_first()
    }

    /// Whether the waves are to be looked at; asks once.
    pub fn take_waves(&mut self) -> bool {
        core::mem::take(&mut self.waves_dirty)
    }

    /// A site waits until then, or until something arrives.
    pub fn sleep(&mut self, site: &SiteName, until: Option<Timestamp>) {
        if let Some(before) = self.by_site.remove(site) {
            self.by_time.remove(&(before, site.clone()));
        }
        if let Some(until) = until {
            self.by_site.insert(site.clone(), until);
            self.by_time.insert((until, site.clone()));
        }
    }

    /// The waves wait until then.
    pub fn sleep_waves(&mut self, until: Option<Timestamp>) {
        self.waves_due = until;
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        if self.waves_dirty || !self.dirty.is_empty() {
            // Left over from a step that was full, or from folding.
            return Some(Timestamp(0));
        }
        let site = self.by_time.first().map(|(at, _)| *at);
        match (site, self.waves_due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
