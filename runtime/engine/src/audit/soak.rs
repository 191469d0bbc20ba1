//! Soaks: the healthy time of a site, what covers it, and whether it is enough.

use super::Violation;
use super::book::Book;
use super::verbs;
use crate::state::GateKey;
use wavegate_model::plugin::{Phase, Subject, Verdict};
use wavegate_model::policy::GateUse;
use wavegate_model::{DurationMs, SiteName, Timestamp};

#[derive(Clone, Debug, Default)]
pub(super) struct Covered {
    pub(super) time: DurationMs,
    pub(super) last: Option<DurationMs>,
}

impl Book {
    pub(super) fn soak_anew(&mut self, name: &SiteName, at: Timestamp) {
        let since = self.active_in(self.site(name).wave, at);
        let site = self.site_mut(name);
        site.covered.clear();
        site.soak_since = since;
        site.soaked = false;
    }

    /// What covered a soak is still passing when the soak is used.
    pub(super) fn vouched(&self, name: &SiteName, at: Timestamp) -> Result<(), Violation> {
        let phase = self.covering_phase(self.site(name).wave);
        for gate in self.deciding(self.site(name).wave, phase) {
            let key = GateKey {
                subject: Subject::Site(name.clone()),
                phase,
                gate: gate.name.clone(),
            };
            if !self.passed(&key, at, 1) {
                return Err(Violation::NotPassed {
                    what: "a soak counts",
                    gate: gate.name.clone(),
                    phase,
                });
            }
        }
        Ok(())
    }

    /// The phase of the gates that cover a soak.
    fn covering_phase(&self, wave: usize) -> Phase {
        if self.deciding(wave, Phase::Soak).next().is_some() {
            Phase::Soak
        } else {
            Phase::Continuous
        }
    }

    /// Whether every gate that covers the soak of a site has said pass last, since it began.
    pub(super) fn soak_gates_passed(&self, name: &SiteName) -> bool {
        let wave = self.site(name).wave;
        let covered = &self.site(name).covered;
        let passed = |gate: &GateUse| covered.get(&gate.name).is_some_and(|c| c.last.is_some());
        self.deciding(wave, self.covering_phase(wave)).all(passed)
    }

    /// Healthy time of a site: what its soak gates covered, else its continuous ones, else time.
    pub(super) fn covered(&self, name: &SiteName, at: Timestamp) -> DurationMs {
        let site = self.site(name);
        let phase = self.covering_phase(site.wave);
        let times = self.deciding(site.wave, phase).map(|g| {
            let covered = site.covered.get(&g.name);
            covered.map_or(DurationMs::ZERO, |c| c.time)
        });
        let bare = self.active_in(site.wave, at).minus(site.soak_since);
        times.min().unwrap_or(bare)
    }

    /// Adds an answer to a site's healthy time.
    pub(super) fn cover(&mut self, key: &GateKey, verdict: Option<Verdict>, at: Timestamp) {
        let Subject::Site(name) = &key.subject else {
            return;
        };
        if self.gate(&key.gate).is_none_or(|gate| gate.trial) {
            return;
        }
        let counts = match key.phase {
            Phase::Soak | Phase::Continuous => {
                key.phase == self.covering_phase(self.site(name).wave)
            }
            _ => return,
        };
        if verdict == Some(Verdict::Fail) {
            self.soak_anew(name, at);
            return;
        }
        if !counts {
            return;
        }
        let interval = self.gate(&key.gate);
        let interval = interval.map_or(DurationMs::ZERO, |g| g.interval);
        let now = self.active_in(self.site(name).wave, at);
        let site = self.site_mut(name);
        let covered = site.covered.entry(key.gate.clone()).or_default();
        if verdict != Some(Verdict::Pass) {
            covered.last = None;
            return;
        }
        if let Some(last) = covered.last {
            let gap = now.minus(last);
            if gap.0 <= interval.0 * 2 + 5000 {
                covered.time = covered.time.plus(gap);
            }
        }
        covered.last = Some(now);
    }
}

pub(super) fn soaked(
    book: &Book,
    name: &SiteName,
    at: Timestamp,
    wanted: DurationMs,
) -> Result<(), Violation> {
    let covered = book.covered(name, at);
    // Somebody may waive the time, and never the gates.
    let waived = verbs::is_promoted(book, name) && book.soak_gates_passed(name);
    if covered < wanted && !waived {
        return Err(Violation::Soak {
            site: name.clone(),
            covered,
            wanted,
        });
    }
    if wanted > DurationMs::ZERO {
        book.vouched(name, at)?;
    }
    Ok(())
}
