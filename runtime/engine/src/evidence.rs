//! What a gate's answer is worth: enough samples behind it, new enough, often enough in a row.
//! None of it is left to the gate.

use crate::state::GateState;
use alloc::format;
use wavegate_model::plugin::{Evaluation, Verdict};
use wavegate_model::policy::{GateBudget, GateUse};
use wavegate_model::{DurationMs, Timestamp};

/// An answer as it counts: a pass that rests on too little, or on what is too old, decides nothing.
/// A fail counts all the same.
pub fn accepted(
    evaluation: &Evaluation,
    policy: &GateUse,
    asked_at: Timestamp,
    now: Timestamp,
) -> Evaluation {
    let mut evaluation = evaluation.clone();
    let why = too_few(&evaluation, policy).or_else(|| too_old(&evaluation, policy, asked_at, now));
    if let Some(why) = why.filter(|_| evaluation.verdict == Verdict::Pass) {
        evaluation.verdict = Verdict::Hold;
        evaluation.reason = why;
    }
    evaluation
}

/// Each measurement that a pass rests on has its samples; one without a value has none, unless it
/// says itself that it decides nothing.
fn too_few(evaluation: &Evaluation, policy: &GateUse) -> Option<alloc::string::String> {
    let behind = evaluation
        .measurements
        .iter()
        .filter(|m| m.value.is_some() || m.verdict == Verdict::Pass);
    let samples = behind.map(|m| m.value.map_or(0, |_| m.samples)).min();
    let (valid, least) = (samples.unwrap_or(0), policy.min_samples);
    (valid < least).then(|| format!("{valid} valid samples, and the policy wants at least {least}"))
}

/// The answer took too long, or the newest sample behind it was old when it was asked for.
fn too_old(
    evaluation: &Evaluation,
    policy: &GateUse,
    asked_at: Timestamp,
    now: Timestamp,
) -> Option<alloc::string::String> {
    let limit = policy.fresh_for?;
    let took = now.since(asked_at);
    if took > limit {
        return Some(format!(
            "the answer took {took}, and a verdict counts for {limit}"
        ));
    }
    let age = asked_at.since(evaluation.newest?);
    (age > limit).then(|| {
        format!("its newest sample was {age} old, and the policy takes none older than {limit}")
    })
}

/// Whether a gate counts as passed for the present evidence.
pub fn passed(gate: &GateState, policy: &GateUse, now: Timestamp) -> bool {
    gate.passes_in_row >= policy.passes.max(1) && fresh_pass(gate, policy, now)
}

/// Whether its last verdict is a pass that still counts.
pub fn fresh_pass(gate: &GateState, policy: &GateUse, now: Timestamp) -> bool {
    match gate.last {
        Some((Verdict::Pass, at)) => is_fresh(policy, at, now),
        Some((Verdict::Hold | Verdict::Fail, _)) | None => false,
    }
}

/// Whether what was found at an instant still counts.
pub fn is_fresh(policy: &GateUse, at: Timestamp, now: Timestamp) -> bool {
    policy.fresh_for.is_none_or(|limit| now.since(at) <= limit)
}

/// The first instant at which its pass does not count any more.
pub fn stale_at(gate: &GateState, policy: &GateUse) -> Option<Timestamp> {
    let (_, at) = gate.last?;
    Some(at.plus(policy.fresh_for?).plus(DurationMs(1)))
}

/// How old the last verdict is.
pub fn age(gate: &GateState, now: Timestamp) -> DurationMs {
    gate.last.map_or(DurationMs::ZERO, |(_, at)| now.since(at))
}

/// What the last evaluations were, with one more: a bit for each, the newest one lowest.
pub fn with(recent: u64, failed: Failed) -> u64 {
    recent << 1 | u64::from(failed == Failed::Yes)
}

/// Whether an evaluation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It did.
    Yes,
    /// It passed.
    No,
}

/// Whether more evaluations failed than a budget tolerates: in a row, in all, or among the last.
pub fn over_budget(budget: &GateBudget, in_row: u32, in_all: u32, recent: u64) -> bool {
    let among_last = budget.window.is_some_and(|window| {
        let last = u64::MAX >> (u64::BITS - window.of.clamp(1, u64::BITS));
        (recent & last).count_ones() > window.fails
    });
    in_row > budget.consecutive || in_all > budget.total.max(budget.consecutive) || among_last
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::{BTreeMap, BTreeSet};
    use wavegate_model::limits::CallLimits;
    use wavegate_model::plugin::{Measurement, PluginState};
    use wavegate_model::policy::{BudgetWindow, OnUnavailable, PluginRef};

    fn gate(min_samples: u32) -> GateUse {
        GateUse {
            name: "g".into(),
            plugin: PluginRef::Shipped("g".into()),
            config: "{}".into(),
            phases: BTreeSet::new(),
            interval: DurationMs::secs(1),
            slots: BTreeMap::new(),
            budget: GateBudget::default(),
            min_samples,
            passes: 1,
            fresh_for: Some(DurationMs::secs(60)),
            trial: false,
            on_unavailable: OnUnavailable::Hold,
            limits: CallLimits::SMALL,
            class: None,
        }
    }

    fn pass(measured: &[(Option<f64>, u32, Verdict)]) -> Evaluation {
        let measurement = |(value, samples, verdict): &(Option<f64>, u32, Verdict)| Measurement {
            name: "m".into(),
            cluster: "c".into(),
            value: *value,
            unit: "".into(),
            limit: "".into(),
            verdict: *verdict,
            samples: *samples,
        };
        Evaluation {
            verdict: Verdict::Pass,
            reason: "".into(),
            clusters: BTreeMap::new(),
            measurements: measured.iter().map(measurement).collect(),
            state: PluginState::default(),
            newest: None,
        }
    }

    #[test]
    fn every_measurement_behind_a_pass_has_its_samples() {
        let (good, at) = ((Some(1.0), 5, Verdict::Pass), Timestamp(1000));
        let verdict =
            |least, measured: &[_]| accepted(&pass(measured), &gate(least), at, at).verdict;
        assert_eq!(verdict(5, &[good]), Verdict::Pass);
        assert_eq!(verdict(6, &[good]), Verdict::Hold);
        let one_short = [good, (Some(1.0), 4, Verdict::Pass)];
        assert_eq!(verdict(5, &one_short), Verdict::Hold, "each of them");
        assert_eq!(verdict(1, &[]), Verdict::Hold, "nothing was measured");
        assert_eq!(verdict(0, &[]), Verdict::Pass, "and nothing was asked for");
        let nothing = [good, (None, 9, Verdict::Pass)];
        assert_eq!(
            verdict(1, &nothing),
            Verdict::Hold,
            "a pass without a value"
        );
        let undecided = [good, (None, 0, Verdict::Hold)];
        assert_eq!(
            verdict(1, &undecided),
            Verdict::Pass,
            "it says itself that it is none"
        );
    }

    #[test]
    fn a_fail_counts_however_old_its_samples_are() {
        let now = Timestamp(1_000_000);
        let aged = |age, verdict| Evaluation {
            verdict,
            newest: Some(Timestamp(now.0 - age)),
            ..pass(&[(Some(1.0), 5, Verdict::Pass)])
        };
        let verdict = |age, said| accepted(&aged(age, said), &gate(1), now, now).verdict;
        assert_eq!(verdict(60_000, Verdict::Pass), Verdict::Pass);
        assert_eq!(verdict(60_001, Verdict::Pass), Verdict::Hold);
        assert_eq!(verdict(60_001, Verdict::Fail), Verdict::Fail);
    }

    #[test]
    fn a_window_forgets_what_is_behind_it() {
        let budget = |fails, of| GateBudget {
            consecutive: 64,
            total: 64,
            window: Some(BudgetWindow { fails, of }),
        };
        let over = |budget: &GateBudget, text: &str| {
            let failed = |c| if c == 'x' { Failed::Yes } else { Failed::No };
            let recent = text.chars().fold(0, |recent, c| with(recent, failed(c)));
            over_budget(budget, 0, 0, recent)
        };
        let two_of_four = budget(2, 4);
        assert!(!over(&two_of_four, "xx.."), "as many as are tolerated");
        assert!(over(&two_of_four, "xx.x"), "one more");
        assert!(!over(&two_of_four, "xx..x"), "the first one is forgotten");
        assert!(over(&two_of_four, "x..x.xx"));
        let all = budget(0, 64);
        let late = alloc::format!("x{}", ".".repeat(63));
        assert!(over(&all, &late), "the oldest of the window counts");
        let later = alloc::format!("x{}", ".".repeat(64));
        assert!(!over(&all, &later), "the one before it does not");
    }
}
