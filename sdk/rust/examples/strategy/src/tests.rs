use wavegate_sdk::Decision;
use wavegate_sdk::harness::{Site, StrategyRun};

use super::Plugin;

/// A run as lines: the stage, and what is to happen.
fn run(site: Site, config: &str) -> Vec<String> {
    let outcomes = StrategyRun::<Plugin>::new(site, config).run(100);
    let line = |decision: &Decision| match decision {
        Decision::Go(goal) => {
            let nodes = goal
                .clusters
                .iter()
                .map(|c| format!(" {}/{}", c.new, c.baseline));
            format!("go{}", nodes.collect::<String>())
        }
        Decision::WaitGates(gates) => format!("gates {}", gates.join(",")),
        Decision::WaitMs(ms) => format!("wait {ms}"),
        Decision::WaitPerson(text) => format!("person {text}"),
        Decision::Done => "done".to_owned(),
        Decision::Failed(reason) => format!("failed {reason}"),
    };
    outcomes
        .iter()
        .map(|it| format!("{}: {}", it.stage, line(&it.decision)))
        .collect()
}

#[test]
fn each_step_is_watched_and_judged_before_the_next() {
    let site = Site::new("eu").cluster("eu-1", 4).gate("errors");
    assert_eq!(
        run(site, r#"{"steps":["25%"],"pause":"10s"}"#),
        [
            "step 1: go 1/3",
            "step 1: wait 10000",
            "step 1: gates errors",
            "all: go 4/0",
            "all: wait 10000",
            "all: gates errors",
            "all: done",
        ]
    );
}

#[test]
fn a_lost_node_is_replaced_before_anything_else() {
    let site = Site::new("eu").cluster("eu-1", 4).gate("errors");
    let mut run = StrategyRun::<Plugin>::new(site, r#"{"steps":[2]}"#);
    let first = run.decide().expect("an answer");
    run.carry_out(&first.decision);
    run.view.clusters[0].new_ready = 1;
    let second = run.decide().expect("an answer");
    assert_eq!(second.decision, first.decision);
}

#[test]
fn steps_never_go_back() {
    let problems = StrategyRun::<Plugin>::problems(r#"{"steps":["50%","25%"]}"#);
    assert_eq!(problems[0].pointer, "/steps/1");
}

#[test]
fn a_gate_that_the_policy_does_not_have_is_a_failure() {
    let site = Site::new("eu").cluster("eu-1", 1);
    let mut run = StrategyRun::<Plugin>::new(site, r#"{"steps":[1],"gates":["errors"]}"#);
    let first = run.decide().expect("an answer");
    run.carry_out(&first.decision);
    assert_eq!(run.decide().expect_err("a failure").code, "unknown-gate");
}
