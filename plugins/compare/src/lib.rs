//! The gate *compare*: new nodes against the baseline nodes of their cluster, or updated
//! clusters against those that are not touched yet, at the same moments.
//!
//! **Owns** the comparison of one evaluation, and the state of the sequential test.
//! **Does not own** where the metrics come from: the policy binds the slot to a source.
//! **Start** with `evaluate`; the statistics are in [`ranks`], [`shift`] and [`sequential`],
//! each with its sources and with what it promises.

mod cohorts;
mod config;
mod judge;
pub mod normal;
pub mod ranks;
pub mod sequential;
pub mod shift;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wavegate_sdk::{
    About, Evaluation, Evidence, Failure, Finding, Gate, GateAbout, GateCall, PHASES, Problem,
    Slot, Verdict, cluster_verdict,
};

use cohorts::{Answers, Control, Sides};
pub use config::Config;
use config::{Method, WithoutControl};
use sequential::Test;

/// The name of the slot that the policy binds to a source.
const SLOT: &str = "metrics";

/// The gate.
#[derive(Debug)]
pub struct Compare;

/// What is remembered of each cluster. The names are short because a wave may have many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State(BTreeMap<String, Memory>);

/// What is remembered of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    /// When the evidence of the test began: another batch is another test.
    #[serde(rename = "b", default)]
    begin: f64,
    /// The moment of the newest pair that was taken.
    #[serde(rename = "t", default)]
    taken: f64,
    #[serde(rename = "s", default)]
    test: Test,
    /// Value and samples of the last comparison, if it passed.
    #[serde(rename = "l", default)]
    last: Option<(f64, u32)>,
}

impl Gate for Compare {
    type Config = Config;
    type State = State;

    fn describe() -> GateAbout {
        GateAbout {
            about: About {
                name: "compare".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                state_version: 1,
                config_schema: include_str!("schema.json").to_owned(),
                text: "Compares a metric of new nodes with that of the baseline nodes of their \
                       cluster, or updated clusters with untouched ones, at the same moments: by \
                       the test of Mann and Whitney, or by a sequential test that may be looked \
                       at again and again. Passes only when it is shown that nothing is \
                       critically worse; no data holds."
                    .to_owned(),
            },
            slots: vec![Slot {
                name: SLOT.to_owned(),
                kind: "metrics".to_owned(),
                text: "the metric of each cluster and cohort, over a window".to_owned(),
            }],
        }
    }

    fn validate_config(config: &Config) -> Vec<Problem> {
        config.problems()
    }

    fn evaluate(
        call: &GateCall,
        config: &Config,
        state: State,
        evidence: &impl Evidence,
    ) -> Result<Evaluation<State>, Failure> {
        if !PHASES.contains(&call.phase.as_str()) {
            let reason = format!("the phase {} is not known to this version", call.phase);
            return Ok(Evaluation::hold(reason, state));
        }
        if call.updated.is_empty() {
            let reason = "no cluster runs the new release yet, so there is nothing to compare";
            return Ok(Evaluation::hold(reason, state));
        }
        let answers = Answers::ask(call, config, evidence)?;
        let mut before = state.0;
        let mut state = State::default();
        let mut findings = Vec::new();
        let mut clusters = Vec::new();
        for cluster in &call.updated {
            let name = &cluster.name;
            let mut memory = before.remove(name).unwrap_or_default();
            let found = match Control::of(config, call, cluster) {
                Control::None => {
                    let why = "nothing is left to compare it with, see `withoutControl`";
                    judge::held(config, name, why, 0)
                }
                Control::Last => last(config, name, &memory),
                control => {
                    let found = compare(
                        call,
                        config,
                        name,
                        &answers.sides(name, control),
                        &mut memory,
                    );
                    if config.without_control == WithoutControl::Last {
                        memory.keep(&found);
                    }
                    found
                }
            };
            // Nothing to remember takes no room: a wave may have thousands.
            if memory != Memory::default() {
                state.0.insert(name.clone(), memory);
            }
            clusters.push(cluster_verdict(name, &found));
            findings.extend(found);
        }
        Ok(Evaluation::of(findings, clusters, state))
    }
}

fn compare(
    call: &GateCall,
    config: &Config,
    cluster: &str,
    sides: &Sides,
    memory: &mut Memory,
) -> Vec<Finding> {
    if config.method == Method::Sequential {
        learn(call, config, sides, memory);
    }
    // Nodes of the baseline may be there without getting any traffic.
    let last_counts = config.without_control == WithoutControl::Last;
    if last_counts && sides.only_new_since(call.now - judge::fresh_ms(config)) {
        return last(config, cluster, memory);
    }
    match judge::unusable(config, call.now, sides) {
        Some(why) => judge::held(config, cluster, &why, 0),
        None if config.method == Method::Ranks => judge::by_ranks(config, cluster, sides),
        None => judge::by_bets(config, cluster, &memory.test),
    }
}

/// With nothing to compare with, the last comparison that decided something.
fn last(config: &Config, cluster: &str, memory: &Memory) -> Vec<Finding> {
    match memory.last {
        Some((value, samples)) => judge::by_last(config, cluster, value, samples),
        None => {
            let why = "nothing to compare it with, and no comparison passed before";
            judge::held(config, cluster, why, 0)
        }
    }
}

/// Takes the pairs that are new and lie a step apart.
fn learn(call: &GateCall, config: &Config, sides: &Sides, memory: &mut Memory) {
    if memory.begin != call.evidence_start {
        memory.test = Test::default();
        (memory.begin, memory.taken) = (call.evidence_start, 0.0);
    }
    let step = f64::from(config.step_ms());
    let mut bets = Vec::new();
    for (at, new, control) in sides.pairs() {
        if at >= memory.taken + step {
            memory.taken = at;
            bets.push(judge::bets(config, new, control));
        }
    }
    memory.test.take(bets, config.alpha());
}

impl Memory {
    /// Keeps what was decided; what is undecided changes nothing.
    fn keep(&mut self, findings: &[Finding]) {
        let Some(decided) = findings.first().map(|finding| &finding.measurement) else {
            return;
        };
        match decided.verdict {
            Verdict::Pass => self.last = decided.value.map(|value| (value, decided.samples)),
            Verdict::Fail => self.last = None,
            Verdict::Hold => {}
        }
    }
}

wavegate_sdk::export_gate!(Compare);

#[cfg(test)]
mod tests;
