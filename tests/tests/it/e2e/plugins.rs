//! Plugins from files: pinned when a rollout starts, refused in words when they cannot be used.

use rustix::process::Signal;
use std::path::Path;
use wavegate_tests::fleet::{Done, Fleet};

/// Half of a site, then a person: only *canary* asks one.
const FROM_FILE: &str = "    plugin: {file: ./strategy.wasm}
    config: {stages: [{nodes: 50%, approval: look at the first node}]}";

fn shipped(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/components");
    std::fs::read(folder.join(format!("{name}.wasm"))).expect("the plugin is shipped")
}

fn put(fleet: &Fleet, bytes: &[u8]) {
    std::fs::write(fleet.documents().join("strategy.wasm"), bytes).expect("it can be written");
}

fn pinned(fleet: &Fleet) -> String {
    let history = fleet.wavegate(&["history", "last", "--format", "json"]);
    let facts = history.expect(0).json();
    let started = &facts[0]["fact"]["started"]["spec"]["pins"]["strategy"];
    started.as_str().expect("it is pinned").to_owned()
}

#[test]
fn a_file_that_is_replaced_while_a_rollout_runs_changes_nothing() {
    let fleet = Fleet::small(FROM_FILE);
    put(&fleet, &shipped("canary"));
    fleet.up();
    let mut run = fleet.start(&["run", "demo"]);
    run.line("site eu-1: stage 1 waits for a person");
    let before = pinned(&fleet);
    put(&fleet, &shipped("rolling"));
    fleet
        .wavegate(&["approve", "last", "--reason", "fine"])
        .expect(0);
    run.line("site eu-1 is done");
    run.line("site us-1: stage 1 waits for a person");
    run.line("site ap-1: stage 1 waits for a person");
    run.signal(Signal::INT);
    let interrupted = run.end().expect(10);
    assert!(interrupted.out.contains("resume"), "{}", interrupted.out);

    put(&fleet, b"not a component at all");
    fleet
        .wavegate(&["approve", "last", "--reason", "fine"])
        .expect(0);
    let done = fleet.wavegate(&["resume", "last"]).expect(0);
    assert!(done.out.contains("shop 2.0: done"), "{}", done.out);
    assert_eq!(pinned(&fleet), before);
    let status = fleet.wavegate(&["status", "last"]).expect(0);
    assert!(status.out.contains("by canary"), "{}", status.out);
}

fn validate(fleet: &Fleet) -> Done {
    fleet.wavegate(&["validate", "demo"])
}

#[track_caller]
fn check_rejected(done: Done, place: &str, parts: &[&str]) {
    let done = done.expect(20);
    assert!(done.out.is_empty(), "{}", done.out);
    for part in parts.iter().chain(&[place]) {
        assert!(done.err.contains(part), "no `{part}` in\n{}", done.err);
    }
}

#[test]
fn a_plugin_that_cannot_be_used_is_refused_at_its_place_in_the_policy() {
    let fleet = Fleet::small(FROM_FILE);
    check_rejected(
        validate(&fleet),
        "policy.yaml:20:13",
        &["failed to find plugin", "strategy.wasm"],
    );
    put(&fleet, b"not a component at all");
    check_rejected(
        validate(&fleet),
        "policy.yaml:20:13",
        &["is not a usable component"],
    );
    put(&fleet, &shipped("probe"));
    check_rejected(
        validate(&fleet),
        "policy.yaml:20:13",
        &["does not export", "strategy"],
    );
    // A run says the same, and has not begun.
    check_rejected(
        fleet.wavegate(&["run", "demo"]),
        "policy.yaml:20:13",
        &["nothing was touched"],
    );
    assert!(!fleet.state().join("journal.db").exists());
    put(&fleet, &shipped("canary"));
    validate(&fleet).expect(0);
}

#[test]
fn a_gate_that_cannot_be_used_is_refused_at_its_place_in_the_policy() {
    let fleet = Fleet::quickstart();
    fleet.replace(
        "policy.yaml",
        "plugin: {shipped: threshold}",
        "plugin: {shipped: canary}",
    );
    let policy = fleet.read("policy.yaml");
    let line = policy
        .lines()
        .position(|line| line.contains("name: latency"))
        .expect("the gate is there")
        + 2;
    check_rejected(
        validate(&fleet),
        &format!("policy.yaml:{line}:"),
        &["does not export", "gate"],
    );
    fleet.replace(
        "policy.yaml",
        "plugin: {shipped: canary}\n      config: {name",
        "plugin: {shipped: none-such}\n      config: {name",
    );
    check_rejected(
        validate(&fleet),
        &format!("policy.yaml:{line}:"),
        &["none-such", "threshold"],
    );
}

#[test]
fn a_wrong_configuration_is_told_where_it_is_written() {
    let fleet = Fleet::small(
        "    plugin: {shipped: canary}\n    config: {stages: [{nodes: 0%}, {nods: 50%}]}",
    );
    for command in ["validate", "plan", "run"] {
        let done = fleet.wavegate(&[command, "demo"]).expect(2);
        assert!(done.out.is_empty(), "{}", done.out);
        assert!(done.err.contains("policy.yaml:21:"), "{}", done.err);
        assert!(done.err.contains("nods"), "{}", done.err);
        assert!(done.err.contains("nothing was touched"), "{}", done.err);
    }
}

/// What the page of the gates says of the source that its examples ask.
const SHOP_PROM: &str = "---
apiVersion: wavegate.dev/v1alpha1
kind: Source
metadata: {name: shop-prom}
spec:
  prometheus: {address: \"https://prometheus.example.com\"}
  grants: {policies: any}
";

#[test]
fn the_examples_on_the_page_of_the_gates_are_valid() {
    let page = include_str!("../../../../runtime/docs/gates.md");
    let blocks = page.split("\n```yaml\n").skip(1);
    let examples: Vec<&str> = blocks
        .filter_map(|rest| rest.split("\n```").next())
        .collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let fleet = Fleet::small("    plugin: {shipped: rolling}");
        let indented = example.lines().map(|line| format!("  {line}\n"));
        let policy = fleet.read("policy.yaml") + &indented.collect::<String>() + SHOP_PROM;
        fleet.write("policy.yaml", &policy);
        fleet.wavegate(&["validate", "demo"]).expect(0);
        // It is the configuration that is valid, and not only the place where it stands.
        let broken = policy.replace("critical: 20%", "critical: none");
        let broken = broken.replace("objective: 99.9%", "objective: 100%");
        fleet.write("policy.yaml", &broken);
        fleet.wavegate(&["validate", "demo"]).expect(2);
    }
}
