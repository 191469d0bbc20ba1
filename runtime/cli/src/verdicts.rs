//! All answers of each gate, summed up: for the report and for `status`.

use crate::words::{plural, verdict_word};
use std::collections::{BTreeMap, BTreeSet};
use wavegate_engine::State;
use wavegate_engine::state::{GateKey, GateState};
use wavegate_model::GateName;
use wavegate_model::plugin::Subject;

/// All answers of a gate, as JSON.
#[derive(Default, serde::Serialize)]
pub(crate) struct GateSum {
    /// Decides nothing.
    trial: bool,
    asked: u32,
    /// Questions that were withdrawn, because what they were about had moved on.
    withdrawn: u32,
    /// Sites and waves that it was asked about.
    subjects: usize,
    /// How many of the last verdicts read so, one for each subject and phase.
    last: BTreeMap<&'static str, u32>,
    /// How many of its fails were more than its budget tolerates: each fails a site, unless it is
    /// on trial.
    over_budget: u32,
}

/// The sums of the gates that were asked, of the answers that `which` wants.
pub(crate) fn sums(
    state: &State,
    which: impl Fn(&GateKey, &GateState) -> bool,
) -> BTreeMap<GateName, GateSum> {
    let mut sums: BTreeMap<GateName, GateSum> = BTreeMap::new();
    let mut subjects: BTreeMap<GateName, BTreeSet<Subject>> = BTreeMap::new();
    for (key, gate) in state.gates().filter(|(key, gate)| which(key, gate)) {
        let sum = sums.entry(key.gate.clone()).or_default();
        sum.trial = is_on_trial(state, &key.gate);
        sum.asked += gate.answers;
        sum.withdrawn += gate.cancelled;
        sum.over_budget += gate.over_budget;
        if let Some(evaluation) = &gate.evaluation {
            *sum.last
                .entry(verdict_word(evaluation.verdict))
                .or_default() += 1;
        }
        subjects.entry(key.gate).or_default().insert(key.subject);
    }
    for (gate, subjects) in subjects {
        sums.entry(gate).or_default().subjects = subjects.len();
    }
    sums
}

pub(crate) fn is_on_trial(state: &State, gate: &GateName) -> bool {
    let mut gates = state.spec.policy.gates.iter();
    gates.any(|policy| policy.name == *gate && policy.trial)
}

/// `errors about 3 sites, asked 12 times; last verdicts: 3 pass`.
pub(crate) fn line(gate: &GateName, sum: &GateSum) -> String {
    let last: Vec<String> = sum
        .last
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let last = if last.is_empty() {
        "none".to_owned()
    } else {
        last.join(", ")
    };
    let withdrawn = match sum.withdrawn {
        0 => String::new(),
        count => format!("; {} withdrawn", plural(count, "question")),
    };
    let trial = match (sum.trial, sum.over_budget) {
        (false, _) => String::new(),
        (true, 0) => "; on trial: it would have failed nothing".to_owned(),
        (true, 1) => "; on trial: it would have failed a site".to_owned(),
        (true, count) => format!("; on trial: it would have failed a site {count} times"),
    };
    format!(
        "{gate} about {}, asked {}; last verdicts: {last}{withdrawn}{trial}",
        plural(sum.subjects, "site"),
        plural(sum.asked, "time"),
    )
}
