//! The strategy *canary*: takes a site to the new release in stages. Each stage has a share
//! of the nodes and of the traffic, and is watched before the next one begins.
//!
//! **Owns** the stages: where each goes to and what must happen before it is over.
//! **Does not own** the pace within a stage, the verdicts, or what happens on failure: those
//! are the host's.
//! **Start** with `decide`: a stage goes through the steps of [`Step`] in their order.

mod config;

use serde::{Deserialize, Serialize};
use wavegate_sdk::{
    About, Decision, Failure, Goal, Outcome, Problem, Release, SiteSummary, SiteView, Stage,
    Strategy, failure, shares,
};

pub use config::Config;
use config::StageConfig;

/// The strategy.
#[derive(Debug)]
pub struct Canary;

/// What is remembered from call to call.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Index of the stage.
    stage: u32,
    /// What the stage waits for.
    step: Step,
    /// Most new nodes that a stage asked for: later stages never ask for fewer.
    nodes: u32,
}

/// The steps of a stage, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The host moves nodes and traffic.
    #[default]
    Move,
    /// Time goes by.
    Wait,
    /// The gates are asked.
    Gates,
    /// A person is asked.
    Approval,
}

impl Strategy for Canary {
    type Config = Config;
    type State = State;

    fn describe() -> About {
        About {
            name: "canary".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state_version: 1,
            config_schema: include_str!("schema.json").to_owned(),
            text: "Takes a site to the new release in stages. Each stage moves a share of the \
                   nodes and of the traffic, waits, asks the gates and if wanted a person. \
                   After the last stage everything is on the new release."
                .to_owned(),
        }
    }

    fn validate_config(config: &Config) -> Vec<Problem> {
        config.problems()
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
        let count = config.stages(total).count();
        let stages = config
            .stages(total)
            .enumerate()
            .map(|(index, stage)| Stage {
                name: StageConfig::name(index, count),
                text: stage.words(total, &release.version),
            });
        Ok(stages.collect())
    }

    fn decide(view: &SiteView, config: &Config, state: State) -> Result<Outcome<State>, Failure> {
        let total = shares::desired(view);
        let count = config.stages(total).count();
        if total == 0 {
            return Ok(Outcome::done("all", "the site has no nodes", state));
        }
        let mut state = state;
        // A site that shrank may have lost its last stage.
        let last = u32::try_from(count).unwrap_or(u32::MAX) - 1;
        state.stage = state.stage.min(last);
        let mut completed = view.completed.as_str();
        loop {
            let index = state.stage as usize;
            let Some(stage) = config.stages(total).nth(index) else {
                return Err(failure("no-stage", "there must be at least one stage"));
            };
            let name = StageConfig::name(index, count);
            let (goal, nodes) = goal(view, stage, state.nodes, total);
            state.nodes = nodes;
            if !shares::reached(view, &goal) {
                // Also when nodes were lost while something was waited for: what was seen
                // then says nothing about the site as it is now.
                state.step = Step::Move;
                let reason = format!("{nodes} of {total} nodes to be new");
                return Ok(Outcome::go(goal, name, reason, state));
            }
            if let Some(outcome) = wait(view, stage, &mut state, completed, &name)? {
                return Ok(outcome);
            }
            if state.stage == last {
                let reason = format!("all {total} nodes are new");
                return Ok(Outcome::done(name, reason, state));
            }
            state.stage += 1;
            state.step = Step::Move;
            // What was carried out belonged to the stage that is over.
            completed = "";
        }
    }
}

/// Where a stage goes to, and how many new nodes that is.
fn goal(view: &SiteView, stage: &StageConfig, nodes_min: u32, total: u32) -> (Goal, u32) {
    let desired: Vec<u32> = view.clusters.iter().map(|c| c.desired).collect();
    let nodes = stage.nodes.of(total).max(nodes_min.min(total));
    let new = shares::spread(nodes, &desired);
    let goal = match stage.traffic {
        Some(traffic) => shares::goal_by_share(&view.clusters, &new, traffic.permille()),
        None => shares::goal_by_capacity(&view.clusters, &new),
    };
    (goal, nodes)
}

/// What a stage that is at its goal waits for next; none if it is over.
fn wait(
    view: &SiteView,
    stage: &StageConfig,
    state: &mut State,
    completed: &str,
    name: &str,
) -> Result<Option<Outcome<State>>, Failure> {
    let past_wait = match state.step {
        Step::Move => false,
        Step::Wait => completed == "time",
        Step::Gates | Step::Approval => true,
    };
    if let Some(wait) = stage.wait.filter(|wait| wait.get() > 0 && !past_wait) {
        state.step = Step::Wait;
        let decision = Decision::WaitMs(wait.get());
        let reason = format!("watching for {wait}");
        return Ok(Some(Outcome::new(decision, name, reason, *state)));
    }
    let past_gates = match state.step {
        Step::Move | Step::Wait => false,
        Step::Gates => completed == "gates",
        Step::Approval => true,
    };
    if !past_gates {
        let gates = gates(view, stage)?;
        if !gates.is_empty() {
            state.step = Step::Gates;
            let reason = format!("asking {}", gates.join(", "));
            return Ok(Some(Outcome::wait_gates(gates, name, reason, *state)));
        }
    }
    let approved = state.step == Step::Approval && completed == "person";
    if let Some(approval) = stage.approval.as_ref().filter(|_| !approved) {
        state.step = Step::Approval;
        let decision = Decision::WaitPerson(approval.clone());
        return Ok(Some(Outcome::new(
            decision,
            name,
            "a person decides",
            *state,
        )));
    }
    Ok(None)
}

/// The gates that a stage asks.
fn gates(view: &SiteView, stage: &StageConfig) -> Result<Vec<String>, Failure> {
    let Some(wanted) = &stage.gates else {
        return Ok(view.gates.iter().map(|gate| gate.name.clone()).collect());
    };
    for name in wanted {
        if !view.gates.iter().any(|gate| gate.name == *name) {
            let text = format!("a stage asks for the gate {name}, which the policy does not have");
            return Err(failure("unknown-gate", text));
        }
    }
    Ok(wanted.clone())
}

wavegate_sdk::export_strategy!(Canary);

#[cfg(test)]
mod tests;
