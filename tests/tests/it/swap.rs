//! A plugin of a running rollout is swapped: the host goes on with another component, whoever
//! asks for something that cannot be is told so and nothing is changed, and a kill leaves either
//! the old one or the new one, never something in between.

use serde_json::Value;
use wavegate_tests::components;
use wavegate_tests::crash_support::{
    Visitors, assert_done, assert_down, assert_no_verdict_is_lost, assert_runs, facts, fleet,
    killed_at, policy, start_with, status,
};
use wavegate_tests::fleet::{Done, Fleet};
use wavegate_tests::guests;

/// As in the policy of these fleets.
const PROBE: &str = "{minSuccess: 99%, minRequests: 3, window: 3s}\n";
const RUN: [&str; 4] = ["run", "demo", "--format", "human"];

/// A fleet whose gate never decides.
fn held() -> Fleet {
    let fleet = fleet(&policy("{nodes: 25%, wait: 100ms}"));
    guests::build_into(&fleet.documents(), "hold-gate");
    fleet.replace(
        "policy.yaml",
        "plugin: {shipped: probe}\n      config: {minSuccess: 99%, minRequests: 3, window: 3s}",
        "plugin: {file: ./hold-gate.wasm, class: medium}",
    );
    fleet
}

/// The shipped gate, as a file that says that it needs a class.
fn probe_of_class(fleet: &Fleet, class: &str) -> String {
    let mut bytes = std::fs::read(components::shipped("probe")).expect("it is shipped");
    let manifest = format!(r#"{{"class":"{class}"}}"#);
    components::add_section(&mut bytes, "wavegate:manifest", manifest.as_bytes());
    let path = fleet.folder().join(format!("probe-{class}.wasm"));
    std::fs::write(&path, bytes).expect("the folder can be written");
    path.display().to_string()
}

fn swap(fleet: &Fleet, part: &str, more: &[&str]) -> Done {
    let mut arguments = vec!["plugin", "swap", "last", part, "--reason", "it is broken"];
    arguments.extend(more);
    fleet.wavegate(&arguments)
}

fn dry_run(fleet: &Fleet, part: &str, more: &[&str]) -> Done {
    let mut arguments = vec!["plugin", "swap", "last", part, "--dry-run"];
    arguments.extend(more);
    fleet.wavegate(&arguments)
}

fn file(fleet: &Fleet, name: &str, text: &str) -> String {
    let path = fleet.folder().join(name);
    std::fs::write(&path, text).expect("the folder can be written");
    path.display().to_string()
}

fn swaps(facts: &[Value]) -> Vec<&Value> {
    let of = |fact: &&Value| fact["fact"].get("plugin-swapped").is_some();
    facts.iter().filter(of).collect()
}

#[test]
fn a_gate_that_holds_a_rollout_is_swapped_while_the_host_runs() {
    let fleet = held();
    fleet.up();
    let visitors = Visitors::start(fleet.doors()[..2].to_vec());
    let mut run = fleet.start(&RUN);
    run.line_with(&["site eu-1: gate success (after-batch)", "hold"]);
    let config = file(&fleet, "probe.yaml", PROBE);
    let before = status(&fleet)["plugins"]["gate success"].clone();
    assert!(before["swapped"].is_null(), "{before}");

    // What it asked was not asked before, so that nobody knows what it would have said.
    let dry = dry_run(&fleet, "gate/success=probe", &["--config", &config]).expect(0);
    for told in [
        "would ask more",
        "would have asked for the new nodes of eu-1",
        "would be taken",
    ] {
        assert!(dry.out.contains(told), "no `{told}` in\n{}", dry.out);
    }
    // The policy grants more than the first component asked for; a swap can use it, and no more.
    let medium = format!("gate/success={}", probe_of_class(&fleet, "medium"));
    dry_run(&fleet, &medium, &["--config", &config]).expect(0);
    let large = format!("gate/success={}", probe_of_class(&fleet, "large"));
    let too_large = swap(&fleet, &large, &["--config", &config]).expect(20);
    let why = "is of class large, and the rollout started with class medium";
    assert!(too_large.err.contains(why), "{}", too_large.err);
    let done = swap(&fleet, "gate/success=probe", &["--config", &config]).expect(0);
    assert!(done.out.contains(": taken"), "{}", done.out);
    assert!(done.err.contains("before is dropped"), "{}", done.err);
    let again = swap(&fleet, "gate/success=probe", &["--config", &config]).expect(12);
    assert!(
        again.out.contains("with this configuration already"),
        "{}",
        again.out
    );
    run.line("site eu-1 is done");
    run.end().expect(0);
    let visits = visitors.stop();
    assert_eq!(visits.lost, Vec::<String>::new());

    assert_done(&fleet);
    assert_runs(&fleet, &[("2.0", 6)], 12);
    let facts = facts(&fleet);
    assert_no_verdict_is_lost(&facts);
    let fact = &swaps(&facts)[..];
    assert_eq!(fact.len(), 1, "{fact:?}");
    let fact = &fact[0]["fact"]["plugin-swapped"];
    assert_eq!(fact["from"], before["digest"], "{fact}");
    let after = status(&fleet)["plugins"]["gate success"].clone();
    assert_eq!(after["digest"], fact["to"]["digest"]);
    assert_eq!(after["swapped"]["actor"], "ada", "{after}");
    assert_eq!(after["swapped"]["reason"], "it is broken", "{after}");
    for command in ["history", "status", "explain"] {
        let told = fleet.wavegate(&[command, "last"]).expect(0).out;
        assert!(told.contains("ada swapped"), "{command}:\n{told}");
        assert!(told.contains("it is broken"), "{command}:\n{told}");
    }
    who_answered(&fleet, &facts, fact, &config);
    assert_down(&fleet);
}

/// The journal names the component of every answer, and none of the old one counted after it was
/// swapped out.
fn who_answered(fleet: &Fleet, facts: &[Value], swap: &Value, config: &str) {
    let told = dry_run(
        fleet,
        "gate/success=probe",
        &["--config", config, "--format", "json"],
    );
    let told = told.expect(0).json().remove(0);
    assert_eq!(told["result"], "would-be-refused", "it has ended: {told}");
    let calls = told["calls"].as_array().expect("a list");
    let component = |consultation: &Value| {
        let text = consultation.to_string();
        let call = calls
            .iter()
            .find(|call| call["consultation"] == text.as_str());
        call.map(|call| call["component"].clone())
    };
    let (mut swapped, mut old, mut new) = (false, 0, 0);
    for fact in facts {
        let fact = &fact["fact"];
        swapped |= fact.get("plugin-swapped").is_some();
        let Some(answered) = fact.get("gate-answered") else {
            continue;
        };
        let by = component(&answered["consultation"]).expect("every answer was recorded");
        let wanted = if swapped {
            &swap["to"]["digest"]
        } else {
            &swap["from"]
        };
        assert_eq!(by, *wanted, "{answered}");
        *(if swapped { &mut new } else { &mut old }) += 1;
    }
    assert!(old > 0 && new > 0, "{old} and {new} answers");
    // Asked again, the new one says what it said.
    let its_own = calls
        .iter()
        .filter(|call| call["component"] == swap["to"]["digest"]);
    let otherwise: Vec<&Value> = its_own.filter(|call| call["same"] != true).collect();
    assert!(otherwise.is_empty(), "{otherwise:?}");
}

#[test]
fn what_cannot_be_swapped_is_refused_and_changes_nothing() {
    let fleet = fleet(&policy("{nodes: 25%, approval: look at it}"));
    let text = fleet.read("policy.yaml");
    let pinned = digest_of_gate(&fleet);
    let source = format!(
        "---\napiVersion: wavegate.dev/v1alpha1\nkind: Source\nmetadata: {{name: mine}}\n\
         spec: {{probe: {{}}, grants: {{policies: any, plugins: [\"{pinned}\"]}}}}\n"
    );
    fleet.write(
        "policy.yaml",
        &(text.replace("probe: nodes", "probe: mine") + &source),
    );
    fleet.up();
    let mut run = fleet.start(&RUN);
    run.line("site eu-1: stage 1 waits for a person");
    let before = status(&fleet)["plugins"].clone();
    let guest = |name: &str| {
        guests::build_into(fleet.folder(), name)
            .display()
            .to_string()
    };
    let bad = file(&fleet, "bad.yaml", "{minSucces: 99%}\n");
    let broken = file(&fleet, "broken.yaml", "{minSuccess: [\n");
    let foreign = guest("hold-gate");
    let other = format!("sha256:{}", "0".repeat(64));
    let refused = |part: &str, more: &[&str], code: i32, says: &str| {
        for done in [swap(&fleet, part, more), dry_run(&fleet, part, more)] {
            let done = done.expect(code);
            assert!(
                done.err.contains(says),
                "{part}: no `{says}` in\n{}",
                done.err
            );
        }
    };
    refused(
        &format!("strategy={}", guest("wrong-version")),
        &[],
        20,
        "0.9.0",
    );
    refused(
        &format!("strategy={}", guest("undeclared-import")),
        &[],
        20,
        "which strategy plugins are not granted",
    );
    refused("gate/success=canary", &[], 20, "does not export");
    let needs_more = format!("gate/success={}", probe_of_class(&fleet, "medium"));
    refused(&needs_more, &[], 20, "would have to say `class: medium`");
    refused("gate/success=threshold", &[], 20, "configuration");
    let limits = file(&fleet, "threshold.yaml", THRESHOLD);
    refused(
        "gate/success=threshold",
        &["--config", &limits],
        20,
        "does not bind",
    );
    refused(
        "gate/success=probe",
        &["--config", &bad],
        20,
        "bad.yaml:1:1",
    );
    refused(
        "gate/success=probe",
        &["--config", &broken],
        2,
        "broken.yaml",
    );
    refused("gate/success=nobody", &[], 20, "there are:");
    refused(
        "strategy=rolling",
        &[],
        20,
        "give one of its own with --config",
    );
    refused(
        "gate/success=probe",
        &["--digest", &other],
        12,
        "not sha256:0000",
    );
    refused(
        &format!("gate/success={foreign}"),
        &["--config", &file(&fleet, "none.yaml", "{}")],
        12,
        "source `mine` is not granted to the component sha256:",
    );
    refused("gate/none=probe", &[], 2, "it has: success");
    refused("wave=probe", &[], 2, "strategy=REF or gate/NAME=REF");
    let blank = ["plugin", "swap", "last", "gate/success=probe"];
    fleet.wavegate(&blank).expect(2);
    assert_eq!(status(&fleet)["plugins"], before);
    assert_eq!(swaps(&facts(&fleet)).len(), 0);

    // Its own digest and another limit are fine, and the dry run shows the difference.
    let strict = file(
        &fleet,
        "strict.yaml",
        "{minSuccess: 99%, minRequests: 1000000, window: 3s}\n",
    );
    let more = ["--config", strict.as_str(), "--digest", pinned.as_str()];
    let dry = dry_run(&fleet, "gate/success=probe", &more).expect(0);
    for told in [
        "after-batch",
        "pass",
        "hold",
        "differs",
        "the first that differs",
        "would be taken",
    ] {
        assert!(dry.out.contains(told), "no `{told}` in\n{}", dry.out);
    }
    let json = dry_run(
        &fleet,
        "gate/success=probe",
        &[&more[..], &["--format", "json"]].concat(),
    );
    let json = json.expect(0).json().remove(0);
    let calls = json["calls"].as_array().expect("a list");
    let differ = calls.iter().filter(|call| call["same"] == false).count();
    assert!(differ > 0 && json["differ"] == differ, "{json}");
    assert!(
        calls
            .iter()
            .any(|call| call["recorded"]["verdict"] == "pass" && call["now"]["verdict"] == "hold"),
        "{json}"
    );
    assert_eq!(json["state"], "kept", "{json}");
    assert_eq!(status(&fleet)["plugins"], before);
    fleet
        .wavegate(&["abort", "last", "--reason", "enough"])
        .expect(0);
    run.end().expect(14);
    assert_down(&fleet);
}

/// A configuration of *threshold* that is valid.
const THRESHOLD: &str = "{name: p95, query: p95_ms, max: 500}\n";

/// The digest of the gate of a fleet's policy.
fn digest_of_gate(fleet: &Fleet) -> String {
    let plan = fleet.wavegate(&["plan", "demo", "--format", "json"]);
    let plan = plan.expect(0).json().remove(0);
    let digest = &plan["gates"]["success"]["digest"];
    digest.as_str().expect("the plan names it").to_owned()
}

#[test]
fn a_strategy_is_swapped_in_the_middle_of_a_site() {
    let fleet = fleet(&policy("{nodes: 25%, approval: look at it}"));
    fleet.up();
    let visitors = Visitors::start(fleet.doors()[..2].to_vec());
    let mut run = fleet.start(&RUN);
    run.line("site eu-1: stage 1 waits for a person");
    let config = file(&fleet, "rolling.json", r#"{"batch": "50%"}"#);
    let dry = dry_run(&fleet, "strategy=rolling", &["--config", &config]).expect(0);
    assert!(dry.out.contains("wait for a person"), "{}", dry.out);
    swap(&fleet, "strategy=rolling", &["--config", &config]).expect(0);
    run.line("site eu-1 is done");
    run.end().expect(0);
    visitors.wait_for_more(20);
    assert_eq!(visitors.stop().lost, Vec::<String>::new());
    assert_done(&fleet);
    // Nothing was moved to and fro: each cluster had each node once on each release.
    assert_runs(&fleet, &[("2.0", 6)], 12);
    assert_no_verdict_is_lost(&facts(&fleet));
    let status = fleet.wavegate(&["status", "last"]).expect(0).out;
    assert!(status.contains("by rolling"), "{status}");
    assert_down(&fleet);
}

#[test]
fn a_kill_leaves_the_old_component_or_the_new_one() {
    let fleet = held();
    fleet.up();
    let visitors = Visitors::start(fleet.doors()[..2].to_vec());
    let config = file(&fleet, "probe.yaml", PROBE);
    let is_swapped = || !status(&fleet)["plugins"]["gate success"]["swapped"].is_null();

    // The request is in the inbox, and its effect is not recorded.
    let mut run = start_with(&fleet, &RUN, "WAVEGATE_CRASH_AT", "swap:before-commit:1");
    run.line_with(&["site eu-1: gate success", "hold"]);
    let asked = swap(&fleet, "gate/success=probe", &["--config", &config]).expect(0);
    assert!(asked.out.contains(": recorded"), "{}", asked.out);
    assert_eq!(run.end().code, None, "it was killed");
    assert!(!is_swapped(), "what is not recorded has not happened");

    // The next host takes it, and is killed when it is recorded and nothing was asked yet.
    killed_at(&fleet, &["resume", "last"], "swap:after-commit:1");
    assert!(is_swapped(), "what is recorded has happened");
    fleet.wavegate(&["resume", "last"]).expect(0);
    assert_eq!(visitors.stop().lost, Vec::<String>::new());
    assert_done(&fleet);
    assert_runs(&fleet, &[("2.0", 6)], 12);
    let facts = facts(&fleet);
    assert_eq!(swaps(&facts).len(), 1, "a request is taken once");
    assert_no_verdict_is_lost(&facts);
    who_answered(
        &fleet,
        &facts,
        &swaps(&facts)[0]["fact"]["plugin-swapped"],
        &config,
    );
    assert_down(&fleet);
}
