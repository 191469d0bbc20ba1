//! Healthy time. One function, one clock: only time that is covered by passing evidence counts,
//! a fail starts it anew, a gap stops it.

use crate::state::{Coverage, GateKey, SiteState, State};
use alloc::vec::Vec;
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::{DurationMs, SiteName, Timestamp};

/// Gates whose passing covers the soak of a site: its soak gates, else its continuous ones.
pub fn covering(state: &State, name: &SiteName) -> Vec<GateKey> {
    let wave = state.site(name).wave;
    let of = |phase| {
        let key = move |gate: &wavegate_model::policy::GateUse| GateKey {
            subject: Subject::Site(name.clone()),
            phase,
            gate: gate.name.clone(),
        };
        crate::gates::in_phase(state, phase, wave)
            .map(key)
            .collect::<Vec<_>>()
    };
    let soak = of(Phase::Soak);
    if soak.is_empty() {
        of(Phase::Continuous)
    } else {
        soak
    }
}

/// Healthy time of a site so far: the least that any covering gate has covered. Without such
/// gates it is the time since the soak began.
pub fn covered(state: &State, name: &SiteName, site: &SiteState, now: Timestamp) -> DurationMs {
    let gates = covering(state, name);
    let by_gate = |key: &GateKey| site.soak.get(key).map_or(DurationMs::ZERO, |c| c.covered);
    match gates.iter().map(by_gate).min() {
        Some(covered) => covered,
        None => state.active_in(site.wave, now).minus(site.soak_since),
    }
}

/// Whether a gate's last answer since the soak began is a pass.
pub fn has_passed(site: &SiteState, key: &GateKey) -> bool {
    let covered = site.soak.get(key);
    covered.is_some_and(|coverage| coverage.last_pass.is_some())
}

/// The first covering gate whose last verdict is not a pass that still counts: healthy time is
/// used up only while its evidence goes on.
pub fn unvouched(state: &State, name: &SiteName, now: Timestamp) -> Option<GateKey> {
    covering(state, name).into_iter().find(|key| {
        let policy = crate::gates::policy_of(state, &key.gate);
        let gate = state.gate(key);
        !gate.is_some_and(|gate| crate::evidence::fresh_pass(gate, policy, now))
    })
}

/// Adds a pass at active time `at`. Passes that lie further apart than two intervals and five
/// seconds leave a gap: one evaluation may be late, two may not be missing.
pub fn passed(coverage: &mut Coverage, at: DurationMs, interval: DurationMs) {
    let gap_max = interval.plus(interval).plus(DurationMs::secs(5));
    if let Some(last) = coverage.last_pass {
        let step = at.minus(last);
        if step <= gap_max {
            coverage.covered = coverage.covered.plus(step);
        }
    }
    coverage.last_pass = Some(at);
}

/// A hold, or no answer: the clock stops until the next pass.
pub fn undecided(coverage: &mut Coverage) {
    coverage.last_pass = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_covered_time_counts() {
        let second = DurationMs::secs(1);
        let mut coverage = Coverage::default();
        for at in [10, 11, 12] {
            passed(&mut coverage, DurationMs::secs(at), second);
        }
        assert_eq!(coverage.covered, DurationMs::secs(2));
        undecided(&mut coverage);
        passed(&mut coverage, DurationMs::secs(15), second);
        assert_eq!(
            coverage.covered,
            DurationMs::secs(2),
            "a gap stops the clock"
        );
        passed(&mut coverage, DurationMs::secs(60), second);
        assert_eq!(
            coverage.covered,
            DurationMs::secs(2),
            "so do passes that lie too far apart"
        );
    }
}
