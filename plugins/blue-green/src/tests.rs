use wavegate_sdk::harness::{BASELINE_DIGEST, NEW_DIGEST, Site, StrategyRun};
use wavegate_sdk::{ClusterView, Decision, Outcome, Strategy};

use super::BlueGreen;

/// A pair of which *blue* has all traffic.
fn pair(blue: u32, green: u32) -> Site {
    Site::new("s").cluster("blue", blue).cluster("green", green)
}

/// A run on a pair in which these clusters have these shares of the traffic.
fn run_with_shares(site: Site, config: &str, shares: &[u32]) -> StrategyRun<BlueGreen> {
    let mut run = StrategyRun::<BlueGreen>::new(site, config);
    for (cluster, share) in run.view.clusters.iter_mut().zip(shares) {
        cluster.baseline_permille = *share;
    }
    run
}

fn run_on_pair(config: &str) -> StrategyRun<BlueGreen> {
    run_with_shares(pair(4, 4).gate("load").gate("probe"), config, &[1000, 0])
}

/// A run in a single cluster that may have so many nodes above its four.
fn run_in_one(config: &str, surge_max: u32) -> StrategyRun<BlueGreen> {
    let site = Site::new("s").cluster("a", 4).gate("g");
    let mut run = StrategyRun::<BlueGreen>::new(site, config);
    run.view.clusters[0].surge_max = surge_max;
    run
}

/// A run as lines: the stage, then goals as new/baseline@permille of each cluster, waits and
/// ends.
fn trace(run: &mut StrategyRun<BlueGreen>) -> Vec<String> {
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

/// The answer to the first call, which must be this one line.
fn first(run: &mut StrategyRun<BlueGreen>) -> String {
    line(&run.decide().expect("answer"))
}

/// Makes a cluster one that ran the release when the rollout started.
fn on_the_release(cluster: &mut ClusterView) {
    cluster.baseline = NEW_DIGEST.to_owned();
    cluster.new_ready = cluster.baseline_ready;
    cluster.baseline_ready = 0;
    cluster.new_permille = cluster.baseline_permille;
    cluster.baseline_permille = 0;
}

#[test]
fn the_idle_cluster_takes_the_release_and_then_all_traffic() {
    assert_eq!(
        trace(&mut run_on_pair("{}")),
        [
            "prepare: go 0/4@0/1000 4/0@0/0",
            "prepare: gates load,probe",
            "traffic 100 %: go 0/4@0/0 4/0@1000/0",
            "traffic 100 %: gates load,probe",
            "traffic 100 %: done",
        ]
    );
}

#[test]
fn the_live_cluster_is_the_one_with_the_traffic_and_not_the_first_one() {
    let site = pair(4, 4).gate("g");
    let lines = trace(&mut run_with_shares(site, "{}", &[0, 1000]));
    assert_eq!(lines[0], "prepare: go 4/0@0/0 0/4@0/1000");
    assert_eq!(lines[2], "traffic 100 %: go 4/0@1000/0 0/4@0/0");
}

#[test]
fn who_is_live_is_remembered_when_the_traffic_has_moved() {
    let mut run = run_on_pair("{}");
    for _ in 0..3 {
        let outcome = run.decide().expect("answer");
        run.carry_out(&outcome.decision);
    }
    assert_eq!(run.view.clusters[1].new_permille, 1000);
    // By the traffic alone, green would be live now.
    assert_eq!(first(&mut run), "traffic 100 %: gates load,probe");
}

#[test]
fn traffic_in_shares_with_everything() {
    let config = r#"{"traffic":["10%","50%","100%"],"wait":"1m","gates":["probe"],
        "approval":"move the traffic","delay":"1h","afterwards":"keep"}"#;
    assert_eq!(
        trace(&mut run_on_pair(config)),
        [
            "prepare: go 0/4@0/1000 4/0@0/0",
            "prepare: gates probe",
            "prepare: person move the traffic",
            "traffic 10 %: go 0/4@0/900 4/0@100/0",
            "traffic 10 %: wait 60000",
            "traffic 10 %: gates probe",
            "traffic 50 %: go 0/4@0/500 4/0@500/0",
            "traffic 50 %: wait 60000",
            "traffic 50 %: gates probe",
            "traffic 100 %: go 0/4@0/0 4/0@1000/0",
            "traffic 100 %: wait 3600000",
            "traffic 100 %: gates probe",
            "traffic 100 %: done",
        ]
    );
}

#[test]
fn all_traffic_follows_a_last_share_that_is_less() {
    assert_eq!(
        trace(&mut run_on_pair(r#"{"traffic":["0.5%"],"gates":[]}"#)),
        [
            "prepare: go 0/4@0/1000 4/0@0/0",
            "traffic 0.5 %: go 0/4@0/995 4/0@5/0",
            "traffic 100 %: go 0/4@0/0 4/0@1000/0",
            "traffic 100 %: done",
        ]
    );
}

#[test]
fn afterwards_the_old_cluster_is_updated_or_scaled_to_zero() {
    let after = |afterwards: &str| {
        let config = format!(r#"{{"gates":["probe"],"delay":"5s","afterwards":"{afterwards}"}}"#);
        trace(&mut run_on_pair(&config)).split_off(3)
    };
    assert_eq!(
        after("update"),
        [
            "traffic 100 %: wait 5000",
            "traffic 100 %: gates probe",
            "old: go 4/0@0/0 4/0@1000/0",
            "old: done",
        ]
    );
    assert_eq!(
        after("scale-to-zero"),
        [
            "traffic 100 %: wait 5000",
            "traffic 100 %: gates probe",
            "old: go 0/0@0/0 4/0@1000/0",
            "old: done",
        ]
    );
}

#[test]
fn a_single_cluster_gets_a_second_set_of_nodes() {
    assert_eq!(
        trace(&mut run_in_one(r#"{"traffic":["50%"]}"#, 4)),
        [
            "prepare: go 4/4@0/1000",
            "prepare: gates g",
            "traffic 50 %: go 4/4@500/500",
            "traffic 50 %: gates g",
            "traffic 100 %: go 4/4@1000/0",
            "traffic 100 %: gates g",
            "traffic 100 %: done",
        ]
    );
}

#[test]
fn the_old_nodes_of_a_single_cluster_go_if_wanted() {
    let config = r#"{"delay":"2s","afterwards":"scale-to-zero"}"#;
    assert_eq!(
        trace(&mut run_in_one(config, 9)).split_off(3),
        [
            "traffic 100 %: wait 2000",
            "traffic 100 %: gates g",
            "old: go 4/0@1000/0",
            "old: done",
        ]
    );
}

#[test]
fn a_single_cluster_without_room_for_a_second_set_fails_at_once() {
    assert_eq!(
        trace(&mut run_in_one("{}", 3)),
        [
            "start: failed cluster a may have 3 nodes above its 4, and a second set needs 4: \
             the policy's batch needs `maxSurge: 100%`, and a driver that can surge"
        ]
    );
}

#[test]
fn a_single_cluster_has_no_other_one_to_update() {
    let mut run = run_in_one(r#"{"afterwards":"update"}"#, 4);
    assert_eq!(run.outline().unwrap_err().code, "nothing-to-update");
    assert_eq!(
        trace(&mut run),
        [
            "start: failed `afterwards: update` needs a pair: in a single cluster the old \
             nodes can be kept or removed"
        ]
    );
}

#[test]
fn a_person_is_asked_while_it_is_not_clear_who_is_live() {
    let mut run = run_with_shares(pair(4, 4), "{}", &[667, 333]);
    run.view.clusters[1].name = "g".to_owned();
    run.view.clusters[1].role = "green".to_owned();
    let expected = "start: person it is not clear which cluster is live: blue has 66.7 % of the \
                    traffic and g (green) has 33.3 %; abort, give one of them all of it, and \
                    start again";
    assert_eq!(first(&mut run), expected);
    // An approval does not make it clear.
    run.carry_out(&Decision::WaitPerson(String::new()));
    assert_eq!(first(&mut run), expected);
    for (cluster, share) in run.view.clusters.iter_mut().zip([0, 1000]) {
        cluster.baseline_permille = share;
    }
    assert_eq!(first(&mut run), "prepare: go 4/0@0/0 0/4@0/1000");
}

#[test]
fn a_pair_without_traffic_is_not_clear_either() {
    let mut run = run_with_shares(pair(4, 4), "{}", &[0, 0]);
    let answer = first(&mut run);
    assert!(
        answer.contains("blue has 0 % of the traffic and green has 0 %"),
        "{answer}"
    );
}

#[test]
fn a_cluster_too_small_for_the_traffic_fails_before_anything_moves() {
    let mut run = run_with_shares(pair(4, 2), "{}", &[1000, 0]);
    assert_eq!(
        first(&mut run),
        "start: failed cluster green has 2 nodes and needs 3 to carry the traffic of blue"
    );
    // The policy lets one of the four nodes be down, so three are enough.
    let mut run = run_with_shares(pair(4, 3), "{}", &[1000, 0]);
    assert_eq!(first(&mut run), "prepare: go 0/4@0/1000 3/0@0/0");
    let mut run = run_with_shares(pair(4, 3), "{}", &[1000, 0]);
    for cluster in &mut run.view.clusters {
        cluster.unavailable_max = 0;
    }
    let answer = first(&mut run);
    assert!(answer.contains("has 3 nodes and needs 4"), "{answer}");
}

#[test]
fn traffic_that_cannot_be_split_is_a_failure() {
    let mut run = StrategyRun::<BlueGreen>::new(pair(4, 4).without_traffic(), "{}");
    let lines = trace(&mut run);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("start: failed the traffic of the site cannot be split"),
        "{lines:?}"
    );
}

#[test]
fn more_clusters_than_a_pair_are_a_failure() {
    let site = pair(4, 4).cluster("red", 4);
    let mut run = StrategyRun::<BlueGreen>::new(site, "{}");
    assert_eq!(run.outline().unwrap_err().code, "not-a-pair");
    assert_eq!(
        trace(&mut run),
        ["start: failed the site has 3 clusters instead of a pair, or of one that can surge"]
    );
}

#[test]
fn a_site_without_nodes_is_done() {
    let mut run = StrategyRun::<BlueGreen>::new(Site::new("s").cluster("a", 0), "{}");
    assert_eq!(trace(&mut run), ["start: done"]);
}

#[test]
fn an_idle_cluster_that_has_the_release_only_needs_the_traffic() {
    let mut run = run_on_pair("{}");
    on_the_release(&mut run.view.clusters[1]);
    assert_eq!(
        trace(&mut run)[..2],
        [
            "prepare: gates load,probe",
            "traffic 100 %: go 0/4@0/0 4/0@1000/0"
        ]
    );
}

#[test]
fn traffic_that_is_on_the_release_from_the_start_stays_where_it_is() {
    let mut run = run_on_pair(r#"{"traffic":["10%","100%"],"afterwards":"update"}"#);
    on_the_release(&mut run.view.clusters[0]);
    assert_eq!(
        trace(&mut run),
        [
            "traffic 100 %: gates load,probe",
            "old: go 4/0@1000/0 4/0@0/0",
            "old: done"
        ]
    );
    let mut run = run_in_one("{}", 0);
    on_the_release(&mut run.view.clusters[0]);
    assert_eq!(
        trace(&mut run),
        ["traffic 100 %: gates g", "traffic 100 %: done"]
    );
}

#[test]
fn a_node_lost_while_time_goes_by_starts_the_stage_again() {
    let mut run = run_on_pair(r#"{"traffic":["10%"],"wait":"1s","gates":[]}"#);
    let expect = |run: &mut StrategyRun<BlueGreen>, lines: &[&str]| {
        for expected in lines {
            let outcome = run.decide().expect("answer");
            assert_eq!(line(&outcome), *expected);
            run.carry_out(&outcome.decision);
        }
    };
    let (go, wait) = (
        "traffic 10 %: go 0/4@0/900 4/0@100/0",
        "traffic 10 %: wait 1000",
    );
    expect(&mut run, &["prepare: go 0/4@0/1000 4/0@0/0", go, wait]);
    run.view.clusters[1].new_ready = 3;
    let all = "traffic 100 %: go 0/4@0/0 4/0@1000/0";
    expect(&mut run, &[go, wait, all, "traffic 100 %: done"]);
}

#[test]
fn a_site_that_is_decided_again_after_its_end_is_repaired() {
    let mut run = run_on_pair(r#"{"gates":[]}"#);
    run.run(100);
    let target = &mut run.view.clusters[1];
    target.new_ready = 1;
    target.baseline_ready = 3;
    assert_eq!(
        trace(&mut run),
        [
            "traffic 100 %: go 0/4@0/0 4/0@1000/0",
            "traffic 100 %: done"
        ]
    );
    assert_eq!(run.view.clusters[1].baseline, BASELINE_DIGEST);
}

#[test]
fn goals_follow_the_nodes_that_a_cluster_should_have() {
    let mut run = run_on_pair(r#"{"gates":[]}"#);
    assert_eq!(first(&mut run), "prepare: go 0/4@0/1000 4/0@0/0");
    for cluster in &mut run.view.clusters {
        cluster.desired = 6;
    }
    assert_eq!(first(&mut run), "prepare: go 0/6@0/1000 6/0@0/0");
}

#[test]
fn asking_twice_without_carrying_out_gives_the_same_answer() {
    let config = r#"{"traffic":["10%"],"wait":"1s","approval":"go on","delay":"1s",
        "afterwards":"update"}"#;
    let mut run = run_on_pair(config);
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
    let mut run = run_on_pair(r#"{"gates":["smoke"]}"#);
    let outcome = run.decide().expect("goal");
    run.carry_out(&outcome.decision);
    assert_eq!(run.decide().unwrap_err().code, "unknown-gate");
}

#[test]
fn problems_point_to_the_value() {
    let pointers = |config: &str| -> Vec<String> {
        StrategyRun::<BlueGreen>::problems(config)
            .into_iter()
            .map(|problem| problem.pointer)
            .collect()
    };
    assert!(pointers("{}").is_empty());
    assert!(pointers(r#"{"traffic":["10%","50%"],"wait":"1s"}"#).is_empty());
    assert_eq!(pointers(r#"{"traffic":[]}"#), ["/traffic"]);
    assert_eq!(pointers(r#"{"traffic":["0%","100%"]}"#), ["/traffic/0"]);
    assert_eq!(
        pointers(r#"{"traffic":["50%","50%","10%","100%"]}"#),
        ["/traffic/1", "/traffic/2"]
    );
    assert_eq!(pointers(r#"{"wait":"1s"}"#), ["/wait"]);
    assert_eq!(pointers(r#"{"afterwards":"drop"}"#), [""]);
    assert_eq!(pointers(r#"{"before":"x"}"#), [""]);
}

fn outline(run: &StrategyRun<BlueGreen>) -> Vec<String> {
    let stages = run.outline().expect("outline").into_iter();
    stages
        .map(|stage| format!("{}: {}", stage.name, stage.text))
        .collect()
}

#[test]
fn the_outline_of_a_pair_is_in_words() {
    let config = r#"{"traffic":["10%"],"wait":"500ms","gates":["probe"],
        "approval":"move it","delay":"1h"}"#;
    let mut run = run_on_pair(config);
    run.view.clusters[1].name = "site-1-b".to_owned();
    run.view.clusters[1].role = "green".to_owned();
    assert_eq!(
        outline(&run),
        [
            "prepare: the cluster of blue and site-1-b (green) that has no traffic takes 2.0 on \
             all nodes, then gate probe, then approval: move it",
            "traffic 10 %: 10 % of traffic to 2.0, then wait 500 ms, then gate probe",
            "traffic 100 %: 100 % of traffic to 2.0, then wait 1 h, then gate probe, then the \
             old cluster stays as it is",
        ]
    );
    assert_eq!(
        outline(&run_on_pair(r#"{"afterwards":"update"}"#))[2],
        "old: the old cluster takes the release too"
    );
}

#[test]
fn the_outline_of_a_single_cluster_is_in_words() {
    assert_eq!(
        outline(&run_in_one(r#"{"afterwards":"scale-to-zero"}"#, 4)),
        [
            "prepare: 4 more nodes with 2.0, without traffic, then all gates",
            "traffic 100 %: 100 % of traffic to 2.0, then all gates",
            "old: the old nodes are removed",
        ]
    );
}

#[test]
fn it_describes_itself() {
    assert_eq!(BlueGreen::describe().name, "blue-green");
}

#[test]
fn gates_without_traffic_are_asked_before_it_moves_and_the_others_after() {
    let config = r#"{"previewGates": ["probe"], "gates": ["load"], "traffic": ["10%"]}"#;
    let gates = |config: &str| -> Vec<String> {
        let lines = trace(&mut run_on_pair(config)).into_iter();
        lines.filter(|line| line.contains(": gates")).collect()
    };
    assert_eq!(
        gates(config),
        [
            "prepare: gates probe",
            "traffic 10 %: gates load",
            "traffic 100 %: gates load",
        ]
    );
    assert_eq!(
        gates(r#"{"previewGates": []}"#),
        ["traffic 100 %: gates load,probe"],
        "none before, all of them after"
    );
    assert_eq!(
        gates(r#"{"gates": ["load"]}"#),
        ["prepare: gates load", "traffic 100 %: gates load"],
        "one list says both"
    );
}

#[test]
fn preview_gates_are_gates_of_the_policy() {
    let mut run = run_on_pair(r#"{"previewGates":["smoke"],"gates":[]}"#);
    let outcome = run.decide().expect("goal");
    run.carry_out(&outcome.decision);
    assert_eq!(run.decide().unwrap_err().code, "unknown-gate");
}
