//! What authors of plugins work with, by the binary: test, inspect, list, bench, and the call of a
//! rollout once more.

use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use wavegate_tests::components;
use wavegate_tests::fleet::{Done, Fleet};
use wavegate_tests::guests;

fn write(fleet: &Fleet, name: &str, text: &str) -> String {
    let path = fleet.folder().join(name);
    std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("it can be made");
    std::fs::write(&path, text).expect("it can be written");
    path.display().to_string()
}

fn guest(fleet: &Fleet, name: &str) -> String {
    let path = guests::build_into(fleet.folder(), name);
    path.display().to_string()
}

fn one(done: &Done) -> Value {
    done.json().remove(0)
}

#[track_caller]
fn says(done: &Done, parts: &[&str]) {
    for part in parts {
        assert!(
            done.out.contains(part),
            "no `{part}` in\n{}\n{}",
            done.out,
            done.err
        );
    }
}

const CASES: &str = r#"
defaults:
  config: {stages: [{nodes: "25%"}]}
  view: {site: eu, splits-traffic: true}
cases:
- name: begins with one of four
  view: {clusters: [{name: a, desired: 4, baseline-ready: 4, baseline-permille: 1000}]}
  expect:
    decision: {go: [{cluster: a, new: 1, baseline: 3}]}
- name: holds the largest site
  view:
    clusters:
    - {repeat: 256, item: {name: "c-{i:03}", desired: 1, baseline-ready: 1}}
  expect: {stage: "1"}
- name: goes on from its own state
  view: {clusters: [{name: a, desired: 4, baseline-ready: 4, baseline-permille: 1000}]}
  steps:
  - expect: {stage: "1"}
  - view: {completed: goal, stage: "1", clusters: [
      {name: a, desired: 4, new-ready: 1, baseline-ready: 3, new-permille: 250, baseline-permille: 750}]}
    expect: {decision: {wait-gates: []}}
- name: needs a state that is its own
  view: {clusters: [{name: a, desired: 4, baseline-ready: 4}]}
  state: {hex: "ff00"}
  expect: {failure: {code: bad-state}}
"#;

#[test]
fn a_plugin_is_tried_with_the_cases_of_its_author() {
    let fleet = Fleet::empty();
    let cases = write(&fleet, "cases/canary.yaml", CASES);
    let done = fleet.wavegate(&[
        "plugin", "test", "canary", "--cases", &cases, "--format", "json",
    ]);
    let told = done.json();
    let passed = |name: &str| {
        let case = told.iter().find(|line| line["name"] == name);
        case.is_some_and(|case| case["passed"] == true || case["outcome"] == "passed")
    };
    for name in [
        "begins with one of four",
        "same input, same answer",
        "no state between calls",
        "reads its own state",
        "config refused",
        "limits with headroom",
    ] {
        assert!(passed(name), "{name}: {}", done.out);
    }

    // A wrong expectation is shown as a difference, and counts.
    let wrong = write(
        &fleet,
        "wrong.yaml",
        &CASES.replace("new: 1, baseline: 3}", "new: 2, baseline: 3}"),
    );
    let done = fleet
        .wavegate(&["plugin", "test", "canary", "--cases", &wrong])
        .expect(20);
    says(
        &done,
        &[
            "- expected",
            "+ came",
            "\"new\":1",
            "\"new\":2",
            "failed  begins with one of four",
        ],
    );

    // A file that is not one of cases is refused with the place.
    let broken = write(
        &fleet,
        "broken.yaml",
        "cases:\n- name: x\n  vieuw: {}\n  expect: {stage: a}\n",
    );
    let done = fleet
        .wavegate(&["plugin", "test", "canary", "--cases", &broken])
        .expect(2);
    assert!(done.err.contains("broken.yaml:3"), "{}", done.err);
    assert!(done.err.contains("known are"), "{}", done.err);
}

#[test]
fn the_shipped_plugins_keep_what_every_plugin_has_to() {
    let fleet = Fleet::empty();
    for name in [
        "blue-green",
        "burn-rate",
        "canary",
        "compare",
        "probe",
        "rolling",
        "threshold",
    ] {
        let done = fleet.wavegate(&["plugin", "test", name]);
        assert!(
            done.out.contains(": 0 failed"),
            "{name}\n{}\n{}",
            done.out,
            done.err
        );
        done.expect(0);
    }
}

#[test]
fn a_bad_plugin_fails_its_test_with_everything_that_helps() {
    let fleet = Fleet::empty();
    let cases = write(
        &fleet,
        "cases.yaml",
        "cases:\n- name: decides\n  view: {clusters: [{name: a, desired: 2}]}\n  expect: {decision: done}\n",
    );
    let panic = guest(&fleet, "panic");
    let done = fleet
        .wavegate(&["plugin", "test", &panic, "--cases", &cases])
        .expect(20);
    says(
        &done,
        &[
            "the plugin trapped: wasm `unreachable` instruction executed",
            "panicked: no node is good enough",
            "where it was, innermost first",
            "decide",
            "of 200,000,000 units of fuel",
            "it takes",
        ],
    );
    let counting = guest(&fleet, "counts-calls");
    let done = fleet.wavegate(&["plugin", "test", &counting]).expect(20);
    says(&done, &["failed  no state between calls", "asked twice"]);
    let refused = guest(&fleet, "undeclared-import");
    let done = fleet.wavegate(&["plugin", "test", &refused]).expect(20);
    assert!(
        done.err.contains("wasi:http/outgoing-handler"),
        "{}",
        done.err
    );
}

#[test]
fn plugins_say_what_they_are_and_what_a_call_costs() {
    let fleet = Fleet::empty();
    let done = fleet.wavegate(&["plugin", "inspect", "probe"]).expect(0);
    says(
        &done,
        &[
            "gate probe 0.1.0",
            "sha256:",
            "contract  wavegate:plugin 0.2.0",
            "class     small",
            "probes@0.2.0",
            "slots that a policy has to bind",
        ],
    );
    let inert = guest(&fleet, "wasi-user");
    let done = fleet
        .wavegate(&["plugin", "inspect", &inert, "--format", "json"])
        .expect(0);
    let told = one(&done);
    assert_eq!(told["contract"], "0.1.0");
    assert_eq!(told["kind"], "strategy");
    assert!(
        done.out
            .contains(r#""name":"wasi:cli/stdout@0.2.3","reaches":"inert""#),
        "{}",
        done.out
    );

    let listed = fleet
        .wavegate(&["plugin", "list", "--format", "json"])
        .expect(0)
        .json();
    assert!(listed.len() >= 7, "{listed:?}");
    assert!(
        listed
            .iter()
            .any(|plugin| plugin["name"] == "canary" && plugin["shipped"] == true)
    );

    let done = fleet
        .wavegate(&[
            "plugin", "bench", "rolling", "--calls", "50", "--format", "json",
        ])
        .expect(0);
    let told = one(&done);
    assert_eq!(told["calls"], 50);
    for figure in ["compileMs", "loadMs", "memoryBytes"] {
        assert!(
            told[figure].as_f64().is_some_and(|figure| figure > 0.0),
            "{figure}: {told}"
        );
    }
    assert!(told["fuel"]["p50"].as_f64() <= told["fuel"]["p99"].as_f64());
    let people = fleet
        .wavegate(&["plugin", "bench", "rolling", "--calls", "20"])
        .expect(0);
    says(&people, &["fuel", "p99", "an instance of its own"]);
}

fn shipped(name: &str) -> PathBuf {
    components::shipped(name)
}

#[test]
fn a_call_that_failed_in_a_rollout_is_made_again() {
    let fleet = Fleet::small("    plugin: {file: ./panic.wasm}");
    guests::build_into(&fleet.documents(), "panic");
    fleet.up();
    let mut run = fleet.start(&["run", "demo"]);
    let line = run.line("the strategy is unavailable");
    let from = line
        .split("--from ")
        .nth(1)
        .expect("it says how to look closer");
    let from = from.split('`').next().expect("the command ends").to_owned();
    let explained = fleet.wavegate(&["explain", "last"]).expect(0);
    says(&explained, &["wavegate plugin call --from"]);
    run.signal(Signal::INT);
    run.end().expect(10);
    let call = ["plugin", "call", "--from", &from];
    let done = fleet.wavegate(&call).expect(20);
    says(
        &done,
        &[
            "now, as recorded",
            "panicked: no node is good enough",
            "where it was, innermost first",
            "used ",
            "to the strategy about site eu-1",
        ],
    );
    // A mended one is asked the same.
    let mended = shipped("rolling").display().to_string();
    let done = fleet
        .wavegate(&[&call[..], &[mended.as_str()]].concat())
        .expect(0);
    says(&done, &["recorded", "now", "\"go\""]);
    fleet
        .wavegate(&["plugin", "call", "--from", "last:999999"])
        .expect(2);
    fleet
        .wavegate(&["plugin", "call", "--from", "last"])
        .expect(2);
}

#[test]
fn plugins_of_both_contracts_lead_one_rollout() {
    let fleet = Fleet::small(
        "    plugin: {file: ./old.wasm}
    config: {}
  gates:
    - {name: old, plugin: {file: ./pass-gate.wasm}, phases: [afterBatch], interval: 500ms, minSamples: 0}
    - {name: new, plugin: {file: ./ask-probes-gate.wasm}, phases: [afterBatch], interval: 500ms, minSamples: 0, slots: {probes: nodes}}",
    );
    let old = guests::folder().join("old/rust-strategy-0.1.0.wasm");
    std::fs::copy(old, fleet.documents().join("old.wasm")).expect("it can be copied");
    let contract = |name: &str| {
        let file = fleet.documents().join(name).display().to_string();
        let done = fleet.wavegate(&["plugin", "inspect", &file, "--format", "json"]);
        one(&done.expect(0))["contract"].clone()
    };
    for guest in ["pass-gate", "ask-probes-gate"] {
        guests::build_into(&fleet.documents(), guest);
    }
    assert_eq!(contract("old.wasm"), "0.1.0");
    assert_eq!(contract("pass-gate.wasm"), "0.1.0");
    assert_eq!(contract("ask-probes-gate.wasm"), "0.2.0");
    fleet.up();
    let done = fleet.wavegate(&["run", "demo"]).expect(0);
    says(&done, &["shop 2.0: done"]);
    let history = fleet.wavegate(&["history", "last", "--all"]).expect(0);
    says(&history, &["gate old", "gate new"]);
}

#[test]
fn a_source_that_is_not_granted_is_refused_before_the_start_and_says_who_could_grant_it() {
    let fleet = Fleet::quickstart();
    let policy = fleet.read("policy.yaml");
    let other = format!("sha256:{}", "0".repeat(64));
    let source = format!(
        "---\napiVersion: wavegate.dev/v1alpha1\nkind: Source\nmetadata: {{name: mine}}\n\
         spec: {{probe: {{}}, grants: {{policies: any, plugins: [\"{other}\"]}}}}\n"
    );
    fleet.write(
        "policy.yaml",
        &(policy.replace("probe: nodes", "probe: mine") + &source),
    );
    for command in [&["validate", "demo"][..], &["run", "demo"]] {
        let done = fleet.wavegate(command).expect(12);
        for part in [
            "source `mine` is not granted to the component sha256:",
            "the owner of the `Source` document `mine`",
        ] {
            assert!(done.err.contains(part), "no `{part}` in\n{}", done.err);
        }
    }
    assert!(
        !fleet.state().join("journal.db").exists(),
        "nothing has begun"
    );
}

#[test]
fn a_class_bounds_what_a_policy_can_ask_for() {
    let fleet = Fleet::small(
        "    plugin: {file: ./strategy.wasm}\n    config: {}\n    limits: {memory: 100MiB}",
    );
    std::fs::copy(shipped("rolling"), fleet.documents().join("strategy.wasm"))
        .expect("it can be copied");
    let done = fleet.wavegate(&["validate", "demo"]).expect(2);
    assert!(
        done.err.contains("unless `plugin` names a `class`"),
        "{}",
        done.err
    );
    fleet.replace(
        "policy.yaml",
        "./strategy.wasm}",
        "./strategy.wasm, class: medium}",
    );
    fleet.wavegate(&["validate", "demo"]).expect(0);
    fleet.replace("policy.yaml", "class: medium", "class: enormous");
    let done = fleet.wavegate(&["validate", "demo"]).expect(2);
    assert!(done.err.contains("medium"), "{}", done.err);
    fleet.replace("policy.yaml", "class: enormous", "class: medium");
}

/// A component of more than a mebibyte, which is compiled in a process of its own.
#[test]
fn a_large_component_is_compiled_apart_and_kept() {
    let fleet = Fleet::empty();
    let mut large = std::fs::read(shipped("rolling")).expect("the plugin is shipped");
    components::add_section(&mut large, "padding", &vec![0; 2 << 20]);
    components::add_section(&mut large, "wavegate:manifest", br#"{"class":"large"}"#);
    let path = fleet.folder().join("large.wasm");
    std::fs::write(&path, &large).expect("it can be written");
    let file = path.display().to_string();
    let told = one(&fleet
        .wavegate(&["plugin", "inspect", &file, "--format", "json"])
        .expect(0));
    assert_eq!(told["class"], "large");
    assert_eq!(told["limits"]["memoryBytes"], 256 << 20);
    let kept = std::fs::read_dir(fleet.state().join("plugins/compiled")).expect("there is a cache");
    assert!(kept.count() >= 1, "compiled code is kept");
    // What others changed is thrown away, and said.
    for entry in std::fs::read_dir(fleet.state().join("plugins/compiled")).expect("a cache") {
        let path = entry.expect("an entry").path();
        // Its owner cannot write to it either, but can put another file in its place.
        std::fs::remove_file(&path).expect("it can be removed");
        std::fs::write(&path, vec![0x41; 100_000]).expect("it can be written");
    }
    let done = fleet.wavegate(&["plugin", "inspect", &file]).expect(0);
    assert!(
        done.err
            .contains("was not written by this host and is compiled again"),
        "{}",
        done.err
    );
    let wrong = fleet.wavegate(&["compile-plugin", "another engine"]);
    assert!(!wrong.out.starts_with('c'), "{}", wrong.out);
}
