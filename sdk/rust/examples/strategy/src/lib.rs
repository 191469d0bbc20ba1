//! The strategy *stepwise*: takes a site to the new release step by step, watches after each
//! step and asks the gates before the next one.

use serde::{Deserialize, Serialize};
use wavegate_sdk::units::{Amount, Millis, Percent};
use wavegate_sdk::{
    About, Decision, Failure, Outcome, Problem, Release, SiteSummary, SiteView, Stage, Strategy,
    failure, problem, shares,
};

/// The strategy.
pub struct Plugin;

/// The configuration; `schema.json` says what each setting means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    steps: Vec<Amount>,
    pause: Option<Millis>,
    gates: Option<Vec<String>>,
}

/// What is remembered from call to call.
#[derive(Default, Serialize, Deserialize)]
pub struct State {
    /// Index of the step.
    step: u32,
    /// What the step waits for.
    phase: Phase,
    /// Most new nodes that a step asked for: later steps never ask for fewer.
    nodes: u32,
}

/// The phases of a step, in order.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    #[default]
    Move,
    Pause,
    Gates,
}

/// The step that follows those of the configuration.
const ALL: Amount = Amount::Percent(Percent::WHOLE);

impl Strategy for Plugin {
    type Config = Config;
    type State = State;

    fn describe() -> About {
        About {
            name: "stepwise".to_owned(),
            version: "0.1.0".to_owned(),
            state_version: 1,
            config_schema: include_str!("schema.json").to_owned(),
            text: "Takes a site to the new release step by step. After each step it pauses, \
                   then asks the gates."
                .to_owned(),
        }
    }

    fn validate_config(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, step) in config.steps.iter().enumerate() {
            let mut add = |text| problems.push(problem(format!("/steps/{index}"), text));
            if step.is_zero() {
                add("a step must have at least one node");
            }
            let fewer = match (
                index.checked_sub(1).map(|before| config.steps[before]),
                step,
            ) {
                (Some(Amount::Count(before)), Amount::Count(now)) => *now < before,
                (Some(Amount::Percent(before)), Amount::Percent(now)) => *now < before,
                // A count against a percentage depends on the site; `decide` never goes back.
                _ => false,
            };
            if fewer {
                add("a step must not have fewer nodes than the step before it");
            }
        }
        problems
    }

    fn outline(
        site: &SiteSummary,
        release: &Release,
        config: &Config,
    ) -> Result<Vec<Stage>, Failure> {
        let total = site
            .clusters
            .iter()
            .fold(0, |sum: u32, cluster| sum.saturating_add(cluster.desired));
        let steps = steps(config, total);
        let stages = steps.iter().enumerate().map(|(index, step)| Stage {
            name: name(index, steps.len()),
            text: words(config, step.of(total), total, &release.version),
        });
        Ok(stages.collect())
    }

    fn decide(view: &SiteView, config: &Config, state: State) -> Result<Outcome<State>, Failure> {
        let mut state = state;
        let total = shares::desired(view);
        if total == 0 {
            return Ok(Outcome::done("all", "the site has no nodes", state));
        }
        let capacities: Vec<u32> = view.clusters.iter().map(|c| c.desired).collect();
        let steps = steps(config, total);
        let mut completed = view.completed.as_str();
        loop {
            // A site that shrank may have lost its last step.
            let index = (state.step as usize).min(steps.len() - 1);
            let stage = name(index, steps.len());
            let nodes = steps[index].of(total).max(state.nodes.min(total));
            state.nodes = nodes;
            let goal =
                shares::goal_by_capacity(&view.clusters, &shares::spread(nodes, &capacities));
            if !shares::reached(view, &goal) {
                // Also when nodes were lost while something was waited for.
                state.phase = Phase::Move;
                let reason = format!("{nodes} of {total} nodes to be new");
                return Ok(Outcome::go(goal, stage, reason, state));
            }
            let paused =
                state.phase > Phase::Pause || (state.phase == Phase::Pause && completed == "time");
            if let Some(pause) = config.pause.filter(|pause| pause.get() > 0 && !paused) {
                state.phase = Phase::Pause;
                let decision = Decision::WaitMs(pause.get());
                return Ok(Outcome::new(
                    decision,
                    stage,
                    format!("watching for {pause}"),
                    state,
                ));
            }
            let gates = gates(view, config)?;
            let asked = state.phase == Phase::Gates && completed == "gates";
            if !asked && !gates.is_empty() {
                state.phase = Phase::Gates;
                let reason = format!("asking {}", gates.join(", "));
                return Ok(Outcome::wait_gates(gates, stage, reason, state));
            }
            if index + 1 == steps.len() {
                return Ok(Outcome::done(
                    stage,
                    format!("all {total} nodes are new"),
                    state,
                ));
            }
            // What was carried out belonged to the step that is over.
            completed = "";
            state.step += 1;
            state.phase = Phase::Move;
        }
    }
}

/// The steps of a site of so many nodes; the last one is everything.
fn steps(config: &Config, total: u32) -> Vec<Amount> {
    let mut steps = config.steps.clone();
    if steps.last().is_none_or(|last| last.of(total) < total) {
        steps.push(ALL);
    }
    steps
}

fn name(index: usize, count: usize) -> String {
    match index + 1 == count {
        true => "all".to_owned(),
        false => format!("step {}", index + 1),
    }
}

/// What happens in a step, in words.
fn words(config: &Config, nodes: u32, total: u32, version: &str) -> String {
    let mut text = format!("{nodes} of {total} nodes to {version}");
    if let Some(pause) = config.pause.filter(|pause| pause.get() > 0) {
        text.push_str(&format!(", then wait {pause}"));
    }
    match config.gates.as_deref() {
        None => text.push_str(", then all gates"),
        Some([]) => {}
        Some(gates) => text.push_str(&format!(", then {}", gates.join(", "))),
    }
    text
}

/// The gates that a step asks.
fn gates(view: &SiteView, config: &Config) -> Result<Vec<String>, Failure> {
    let known: Vec<&str> = view.gates.iter().map(|gate| gate.name.as_str()).collect();
    let Some(wanted) = &config.gates else {
        return Ok(known.into_iter().map(str::to_owned).collect());
    };
    match wanted.iter().find(|gate| !known.contains(&gate.as_str())) {
        Some(gate) => Err(failure(
            "unknown-gate",
            format!("the policy has no gate {gate}"),
        )),
        None => Ok(wanted.clone()),
    }
}

wavegate_sdk::export_strategy!(Plugin);

#[cfg(test)]
mod tests;
