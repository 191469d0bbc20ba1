//! The strategy *rolling*: replaces a site's nodes in small batches, one node at a time by
//! default, and lets traffic follow the nodes.
//!
//! **Owns** the order: how many nodes of each cluster are new at each step.
//! **Does not own** the pace: the host moves toward a goal within the policy's limits.
//! **Start** with `decide`.

use serde::{Deserialize, Serialize};
use wavegate_sdk::units::Amount;
use wavegate_sdk::{
    About, Failure, Outcome, Problem, Release, SiteSummary, SiteView, Stage, Strategy, problem,
    shares,
};

/// The whole rollout is one stage, so that its elapsed time is that of the rollout.
const STAGE: &str = "rolling";

/// The strategy.
#[derive(Debug)]
pub struct Rolling;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Nodes that each step replaces.
    #[serde(default = "one")]
    batch: Amount,
}

fn one() -> Amount {
    Amount::Count(1)
}

/// What is remembered from call to call.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// New nodes that the site was last sent to.
    target: u32,
    /// Whether the gates were asked for at this target.
    gates_asked: bool,
}

impl Strategy for Rolling {
    type Config = Config;
    type State = State;

    fn describe() -> About {
        About {
            name: "rolling".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state_version: 1,
            config_schema: include_str!("schema.json").to_owned(),
            text: "Replaces the nodes of a site in batches, one node at a time by default. \
                   Traffic follows the nodes, and after each batch the policy's gates must \
                   pass. Works where traffic cannot be split."
                .to_owned(),
        }
    }

    fn validate_config(config: &Config) -> Vec<Problem> {
        if config.batch.is_zero() {
            return vec![problem("/batch", "a batch must be at least one node")];
        }
        Vec::new()
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
        let batch = batch(config, total);
        let steps = total.div_ceil(batch);
        let text = format!(
            "{} to {} in {}, {batch} at a time, each checked by the gates",
            plural(total, "node"),
            release.version,
            plural(steps, "step"),
        );
        Ok(vec![Stage {
            name: STAGE.to_owned(),
            text,
        }])
    }

    fn decide(
        view: &SiteView,
        config: &Config,
        mut state: State,
    ) -> Result<Outcome<State>, Failure> {
        let total = shares::desired(view);
        if total == 0 {
            return Ok(Outcome::done(STAGE, "the site has no nodes", state));
        }
        if state.target > 0 {
            state.target = state.target.min(total);
            let goal = goal(view, state.target);
            if !shares::reached(view, &goal) {
                // Also when nodes were lost while the gates were asked: their verdicts were
                // made for another state of the site.
                state.gates_asked = false;
                let reason = format!("{} of {total} nodes to be new", state.target);
                return Ok(Outcome::go(goal, STAGE, reason, state));
            }
            let gates_passed = state.gates_asked && view.completed == "gates";
            if !view.gates.is_empty() && !gates_passed {
                state.gates_asked = true;
                let gates = view.gates.iter().map(|gate| gate.name.clone()).collect();
                let reason = format!("{} of {total} nodes are new", state.target);
                return Ok(Outcome::wait_gates(gates, STAGE, reason, state));
            }
            if state.target == total {
                let reason = format!("all {total} nodes are new");
                return Ok(Outcome::done(STAGE, reason, state));
            }
        }
        // Nodes that are new already are not taken back: a first call may find some.
        let present = view
            .clusters
            .iter()
            .fold(0, |sum: u32, cluster| sum.saturating_add(cluster.new_ready));
        state.target = state
            .target
            .max(present.min(total))
            .saturating_add(batch(config, total))
            .min(total);
        state.gates_asked = false;
        let reason = format!("{} of {total} nodes to be new", state.target);
        Ok(Outcome::go(goal(view, state.target), STAGE, reason, state))
    }
}

fn goal(view: &SiteView, new_total: u32) -> wavegate_sdk::Goal {
    let desired: Vec<u32> = view.clusters.iter().map(|c| c.desired).collect();
    shares::goal_by_capacity(&view.clusters, &shares::spread(new_total, &desired))
}

fn batch(config: &Config, total: u32) -> u32 {
    config.batch.of(total).max(1)
}

fn plural(count: u32, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

wavegate_sdk::export_strategy!(Rolling);

#[cfg(test)]
mod tests;
