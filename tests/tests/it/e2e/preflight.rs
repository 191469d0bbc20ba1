//! What a rollout needs is looked at before anything is recorded.

use std::net::TcpListener;
use wavegate_tests::fleet::{Done, Fleet};

const ROLLING: &str = "    plugin: {shipped: rolling}\n    config: {}";
const GATE: &str = "  gates:
    - name: errors
      plugin: {shipped: threshold}
      phases: [afterBatch]
      interval: 1s
      slots: {metrics: shop-prom}
      config: {name: errors, query: \"sum(errors)\", max: 0.01}
";
const SOURCE: &str = "---
apiVersion: wavegate.dev/v1alpha1
kind: Source
metadata: {name: shop-prom}
spec:
  prometheus: {address: \"http://127.0.0.1:@PORT@\"}
  grants: {policies: any}
";

#[track_caller]
fn refused(fleet: &Fleet, code: i32, says: &str) -> Done {
    let done = fleet.wavegate(&["run", "demo"]).expect(code);
    assert!(done.err.contains(says), "{}", done.err);
    assert!(done.err.contains("nothing was touched"), "{}", done.err);
    done
}

#[test]
fn a_fleet_that_was_never_set_up_or_is_taken_down_is_told_before_anything_starts() {
    let fleet = Fleet::small(ROLLING);
    let never = refused(
        &fleet,
        30,
        "cluster `ap-1` is unreachable: there is no folder",
    );
    assert!(never.err.contains("3 problems"), "{}", never.err);
    assert!(!fleet.state().join("journal.db").exists());
    fleet.assert_nothing_is_left();

    fleet.up();
    fleet.down().expect(0);
    refused(&fleet, 12, "site eu-1 runs no node of service shop");
    fleet.assert_nothing_is_left();
}

#[test]
fn a_cluster_that_another_rollout_holds_is_told_before_anything_starts() {
    let fleet = Fleet::small(
        "    plugin: {shipped: canary}
    config: {stages: [{nodes: 50%, approval: look}]}",
    );
    fleet.up();
    let mut first = fleet.start(&["run", "demo", "--exit-on-hold"]);
    first.line("waits for a person: look");
    first.end().expect(10);
    let second = refused(&fleet, 12, "is unfinished in ap-1, eu-1, us-1");
    assert!(second.err.contains("abort or rollback"), "{}", second.err);
}

#[test]
fn a_source_that_does_not_answer_is_told_and_can_be_started_without() {
    let fleet = Fleet::small(ROLLING);
    // A port that was free a moment ago, and that nobody listens at.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("there is a free port").port().to_string();
    let policy = fleet.read("policy.yaml") + GATE + &SOURCE.replace("@PORT@", &port);
    fleet.write("policy.yaml", &policy);
    fleet.up();
    refused(&fleet, 12, "source `shop-prom` did not answer");

    let mut blind = fleet.start(&["run", "demo", "--skip-preflight"]);
    blind.line("gate errors is unavailable");
    fleet
        .wavegate(&["rollback", "last", "--reason", "blind"])
        .expect(0);
    assert_eq!(blind.end().code, Some(11));
}
