use wavegate_sdk::harness::{Site, StrategyRun};
use wavegate_sdk::{Decision, Outcome, Strategy};

use super::Canary;

/// A run as lines: the stage, then goals as new/baseline@permille of each cluster, waits and
/// ends.
fn trace(site: Site, config: &str) -> Vec<String> {
    let mut run = StrategyRun::<Canary>::new(site, config);
    run.run(100).iter().map(line).collect()
}

fn line(outcome: &Outcome<Vec<u8>>) -> String {
    let text = match &outcome.decision {
        Decision::Go(goal) => {
            let clusters = goal.clusters.iter().map(|c| {
                format!(
                    "{}/{}@{}/{}",
                    c.new, c.baseline, c.new_permille, c.baseline_permille
                )
            });
            format!("go {}", clusters.collect::<Vec<_>>().join(" "))
        }
        Decision::WaitGates(gates) => format!("gates {}", gates.join(",")),
        Decision::WaitMs(ms) => format!("wait {ms}"),
        Decision::WaitPerson(text) => format!("person {text}"),
        Decision::Done => "done".to_owned(),
        Decision::Failed(reason) => format!("failed {reason}"),
    };
    format!("{}: {text}", outcome.stage)
}

#[test]
fn stages_with_everything() {
    let site = Site::new("s").cluster("a", 4).gate("probe").gate("load");
    let config = r#"{"stages":[
        {"nodes":"25%","traffic":"10%","wait":"500ms","gates":["probe"]},
        {"nodes":2,"approval":"half of the site"},
        {"nodes":"100%","gates":[]}]}"#;
    assert_eq!(
        trace(site, config),
        [
            "stage 1: go 1/3@100/900",
            "stage 1: wait 500",
            "stage 1: gates probe",
            "stage 2: go 2/2@500/500",
            "stage 2: gates load,probe",
            "stage 2: person half of the site",
            "all: go 4/0@1000/0",
            "all: done",
        ]
    );
}

#[test]
fn a_last_stage_that_is_not_everything_is_followed_by_one_that_is() {
    let site = Site::new("s").cluster("a", 2).gate("g");
    assert_eq!(
        trace(site, r#"{"stages":[{"nodes":1}]}"#),
        [
            "stage 1: go 1/1@500/500",
            "stage 1: gates g",
            "all: go 2/0@1000/0",
            "all: gates g",
            "all: done",
        ]
    );
}

#[test]
fn a_stage_that_changes_nothing_in_a_small_site_is_still_watched() {
    let site = Site::new("s").cluster("a", 1).gate("g");
    assert_eq!(
        trace(
            site,
            r#"{"stages":[{"nodes":"10%","wait":"1s"},{"nodes":"50%"}]}"#
        ),
        [
            "stage 1: go 1/0@1000/0",
            "stage 1: wait 1000",
            "stage 1: gates g",
            "all: gates g",
            "all: done",
        ]
    );
}

#[test]
fn nodes_and_traffic_of_a_pair_are_proportional() {
    let site = Site::new("s").cluster("blue", 4).cluster("green", 8);
    assert_eq!(
        trace(site, r#"{"stages":[{"nodes":"25%","traffic":"10%"}]}"#),
        [
            "stage 1: go 1/3@33/300 2/6@67/600",
            "all: go 4/0@333/0 8/0@667/0",
            "all: done"
        ]
    );
}

#[test]
fn later_stages_never_ask_for_fewer_nodes() {
    let site = Site::new("s").cluster("a", 10);
    assert_eq!(
        trace(site, r#"{"stages":[{"nodes":5},{"nodes":"10%"}]}"#),
        [
            "stage 1: go 5/5@500/500",
            "all: go 10/0@1000/0",
            "all: done"
        ]
    );
}

#[test]
fn works_where_traffic_cannot_be_split() {
    let site = Site::new("s").cluster("a", 4).without_traffic();
    let lines = trace(site, r#"{"stages":[{"nodes":"25%","traffic":"10%"}]}"#);
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_node_lost_while_time_goes_by_starts_the_stage_again() {
    let site = Site::new("s").cluster("a", 4);
    let mut run = StrategyRun::<Canary>::new(site, r#"{"stages":[{"nodes":2,"wait":"1s"}]}"#);
    for expected in ["stage 1: go 2/2@500/500", "stage 1: wait 1000"] {
        let outcome = run.decide().expect("answer");
        assert_eq!(line(&outcome), expected);
        run.carry_out(&outcome.decision);
    }
    run.view.clusters[0].new_ready = 1;
    for expected in [
        "stage 1: go 2/2@500/500",
        "stage 1: wait 1000",
        "all: go 4/0@1000/0",
    ] {
        let outcome = run.decide().expect("answer");
        assert_eq!(line(&outcome), expected);
        run.carry_out(&outcome.decision);
    }
}

#[test]
fn asking_twice_without_carrying_out_gives_the_same_answer() {
    let site = Site::new("s").cluster("a", 4).gate("g");
    let config = r#"{"stages":[{"nodes":1,"wait":"1s","approval":"go on"}]}"#;
    let mut run = StrategyRun::<Canary>::new(site, config);
    loop {
        let first = run.decide().expect("answer");
        let second = run.decide().expect("answer");
        assert_eq!(first.decision, second.decision);
        if first.decision == Decision::Done {
            break;
        }
        run.carry_out(&first.decision);
    }
}

#[test]
fn a_gate_that_the_policy_does_not_have_is_a_failure() {
    let site = Site::new("s").cluster("a", 1);
    let config = r#"{"stages":[{"nodes":1,"gates":["smoke"]}]}"#;
    let mut run = StrategyRun::<Canary>::new(site, config);
    let outcome = run.decide().expect("goal");
    run.carry_out(&outcome.decision);
    assert_eq!(run.decide().unwrap_err().code, "unknown-gate");
}

#[test]
fn problems_point_to_the_value() {
    let pointers = |config: &str| -> Vec<String> {
        StrategyRun::<Canary>::problems(config)
            .into_iter()
            .map(|problem| problem.pointer)
            .collect()
    };
    assert!(pointers(r#"{"stages":[{"nodes":1},{"nodes":"50%"}]}"#).is_empty());
    assert_eq!(pointers(r#"{"stages":[]}"#), ["/stages"]);
    assert_eq!(
        pointers(r#"{"stages":[{"nodes":"0%"}]}"#),
        ["/stages/0/nodes"]
    );
    assert_eq!(
        pointers(r#"{"stages":[{"nodes":"50%","traffic":"20%"},{"nodes":"25%","traffic":"10%"}]}"#),
        ["/stages/1/nodes", "/stages/1/traffic"]
    );
    assert_eq!(
        pointers(r#"{"stages":[{"nodes":"100%","traffic":"90%"}]}"#),
        ["/stages/0/traffic"]
    );
    assert_eq!(pointers(r#"{"stages":[{"nodes":"x"}]}"#), [""]);
}

#[test]
fn the_outline_is_in_words() {
    let config = r#"{"stages":[
        {"nodes":"25%","traffic":"10%","wait":"500ms","gates":["probe"]},
        {"nodes":2,"approval":"half"}]}"#;
    let run = StrategyRun::<Canary>::new(Site::new("s").cluster("a", 4), config);
    let lines: Vec<String> = run
        .outline()
        .expect("outline")
        .into_iter()
        .map(|stage| format!("{}: {}", stage.name, stage.text))
        .collect();
    assert_eq!(
        lines,
        [
            "stage 1: 1 of 4 nodes to 2.0 (25 %), 10 % of traffic, then wait 500 ms, then gate probe",
            "stage 2: 2 of 4 nodes to 2.0, traffic in proportion, then all gates, then approval: half",
            "all: 4 of 4 nodes to 2.0 (100 %), traffic in proportion, then all gates",
        ]
    );
}

#[test]
fn it_describes_itself() {
    assert_eq!(Canary::describe().name, "canary");
}
