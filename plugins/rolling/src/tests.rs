use wavegate_sdk::harness::{Site, StrategyRun};
use wavegate_sdk::{Decision, Outcome, Strategy};

use super::Rolling;

/// A run as lines: goals as new/baseline@permille of each cluster, waits and ends.
fn trace(site: Site, config: &str) -> Vec<String> {
    let mut run = StrategyRun::<Rolling>::new(site, config);
    run.run(100).iter().map(line).collect()
}

fn line(outcome: &Outcome<Vec<u8>>) -> String {
    match &outcome.decision {
        Decision::Go(goal) => {
            let clusters: Vec<String> = goal
                .clusters
                .iter()
                .map(|c| {
                    format!(
                        "{}/{}@{}/{}",
                        c.new, c.baseline, c.new_permille, c.baseline_permille
                    )
                })
                .collect();
            format!("go {}", clusters.join(" "))
        }
        Decision::WaitGates(gates) => format!("gates {}", gates.join(",")),
        other => format!("{other:?}"),
    }
}

#[test]
fn one_node_at_a_time_by_default() {
    let site = Site::new("s").cluster("a", 3);
    assert_eq!(
        trace(site, "{}"),
        [
            "go 1/2@333/667",
            "go 2/1@667/333",
            "go 3/0@1000/0",
            "Decision::Done"
        ]
    );
}

#[test]
fn all_gates_are_asked_after_each_batch() {
    let site = Site::new("s").cluster("a", 4).gate("smoke").gate("load");
    assert_eq!(
        trace(site, r#"{"batch":"50%"}"#),
        [
            "go 2/2@500/500",
            "gates load,smoke",
            "go 4/0@1000/0",
            "gates load,smoke",
            "Decision::Done"
        ]
    );
}

#[test]
fn batches_go_across_the_clusters_of_a_site() {
    let site = Site::new("s").cluster("a", 2).cluster("b", 4);
    assert_eq!(
        trace(site, r#"{"batch":2}"#),
        [
            "go 1/1@167/167 1/3@166/500",
            "go 1/1@167/167 3/1@500/166",
            "go 2/0@333/0 4/0@667/0",
            "Decision::Done"
        ]
    );
}

#[test]
fn works_where_traffic_cannot_be_split() {
    let site = Site::new("s").cluster("a", 2).without_traffic();
    assert_eq!(trace(site, "{}").len(), 3);
}

#[test]
fn a_site_without_nodes_is_done() {
    assert_eq!(
        trace(Site::new("s").cluster("a", 0), "{}"),
        ["Decision::Done"]
    );
}

#[test]
fn a_node_lost_while_the_gates_are_asked_is_replaced_before_they_are_asked_again() {
    let mut run = StrategyRun::<Rolling>::new(Site::new("s").cluster("a", 2).gate("g"), "{}");
    let first = run.decide().expect("goal");
    run.carry_out(&first.decision);
    let gates = run.decide().expect("gates");
    assert_eq!(line(&gates), "gates g");
    run.view.clusters[0].new_ready = 0;
    run.view.clusters[0].new_unready = 1;
    run.carry_out(&gates.decision);
    let again = run.decide().expect("goal again");
    assert_eq!(again.decision, first.decision);
    run.carry_out(&again.decision);
    assert_eq!(line(&run.decide().expect("gates again")), "gates g");
}

#[test]
fn a_site_that_shrinks_ends_at_its_new_size() {
    let mut run = StrategyRun::<Rolling>::new(Site::new("s").cluster("a", 4), r#"{"batch":3}"#);
    let first = run.decide().expect("goal");
    run.carry_out(&first.decision);
    run.view.clusters[0].desired = 2;
    run.view.clusters[0].new_permille = 1000;
    run.view.clusters[0].baseline_permille = 0;
    assert_eq!(run.decide().expect("done").decision, Decision::Done);
}

#[test]
fn a_batch_of_nothing_is_a_problem() {
    let problems = StrategyRun::<Rolling>::problems(r#"{"batch":"0%"}"#);
    assert_eq!(problems[0].pointer, "/batch");
    assert_eq!(StrategyRun::<Rolling>::problems("{}"), []);
    assert_eq!(StrategyRun::<Rolling>::problems(r#"{"bach":1}"#).len(), 1);
}

#[test]
fn the_outline_says_how_many_steps() {
    let run = StrategyRun::<Rolling>::new(Site::new("s").cluster("a", 5), r#"{"batch":2}"#);
    let stages = run.outline().expect("outline");
    assert_eq!(
        stages[0].text,
        "5 nodes to 2.0 in 3 steps, 2 at a time, each checked by the gates"
    );
}

#[test]
fn it_describes_itself() {
    assert_eq!(Rolling::describe().name, "rolling");
    assert!(
        Rolling::describe()
            .config_schema
            .contains("additionalProperties")
    );
}
