//! Retry, skip, override-gate, promote and undo through the binary, with real processes.

use std::os::unix::process::ExitStatusExt as _;
use wavegate_tests::fleet::{Done, Fleet, Running, wait_for};

/// A soak that nobody waits for.
const ROLLING: &str = "    plugin: {shipped: rolling}";

fn steer(fleet: &Fleet, words: &[&str], reason: &str) -> Done {
    let mut all = words.to_vec();
    all.extend(["--reason", reason]);
    fleet.wavegate(&all)
}

#[test]
fn what_is_done_is_undone_and_a_killed_host_does_not_stop_it() {
    let fleet = Fleet::small(ROLLING);
    fleet.up();
    let done = fleet.wavegate(&["run", "demo"]).expect(0);
    assert!(done.out.contains("2/2 nodes"), "{}", done.out);
    steer(&fleet, &["promote", "last"], "too late").expect(12);
    let blank = steer(&fleet, &["undo", "last"], " ").expect(2);
    assert!(blank.err.contains("a reason is needed"), "{}", blank.err);
    let dry = steer(&fleet, &["undo", "last", "--dry-run"], "2.0 loses orders").expect(0);
    assert!(dry.out.contains("would be taken"), "{}", dry.out);

    let undo = ["undo", "last", "--reason", "2.0 loses orders"];
    let mut host = fleet.command(&undo);
    host.env("WAVEGATE_CRASH_AT", "set-nodes:after-start:2");
    let killed = host.output().expect("the binary can be started");
    assert_eq!(killed.status.signal(), Some(9), "{killed:?}");
    let explained = fleet.wavegate(&["explain", "last"]).expect(0);
    assert!(
        explained.out.contains("no host runs it"),
        "{}",
        explained.out
    );
    let again = fleet.wavegate(&undo).expect(12);
    assert!(again.out.contains("has not ended"), "{}", again.out);
    let back = fleet.wavegate(&["resume", "last"]).expect(11);
    assert!(
        back.out.contains("0/2 nodes and 0% of traffic on 2.0"),
        "{}",
        back.out
    );
    let twice = fleet.wavegate(&undo).expect(12);
    assert!(twice.out.contains("on its baseline"), "{}", twice.out);
    let history = fleet.wavegate(&["history", "last"]).expect(0).out;
    assert!(
        history.contains("ada undid the rollout: 2.0 loses orders"),
        "{history}"
    );
}

/// A gate that never has enough samples, and an hour to wait in each stage and each wave.
const SLOW: &str = "    plugin: {shipped: canary}
    config: {stages: [{nodes: 50%, wait: 1h}]}
  gates:
    - name: careful
      plugin: {shipped: probe}
      config: {minSuccess: 99%, minRequests: 5, window: 5s}
      phases: [afterBatch]
      interval: 500ms
      minSamples: 1000000
      slots: {probe: nodes}";

#[test]
fn a_person_speaks_for_a_gate_skips_sites_and_waives_waits() {
    let fleet = Fleet::small(SLOW);
    fleet.replace(
        "policy.yaml",
        "{tier: canary}}\n",
        "{tier: canary}}\n      soak: 1h\n",
    );
    fleet.up();
    let run = fleet.start(&["run", "demo", "--format", "human"]);
    run_until_waiting(&fleet, "gate careful (after-batch)");

    let unknown = steer(&fleet, &["override-gate", "last", "bold"], "sure").expect(12);
    assert!(unknown.out.contains("it has careful"), "{}", unknown.out);
    steer(&fleet, &["skip", "last", "eu-1"], "no").expect(12);
    steer(&fleet, &["retry", "last", "us-1"], "no").expect(12);
    steer(&fleet, &["skip", "last", "us-1"], "being rebuilt").expect(0);
    steer(&fleet, &["skip", "last", "us-1"], "being rebuilt").expect(12);
    steer(&fleet, &["skip", "last", "ap-1"], "being rebuilt").expect(0);

    let first = ["override-gate", "last", "careful", "--site", "eu-1"];
    steer(&fleet, &first, "I have looked").expect(0);
    run_until_waiting(&fleet, "time that the strategy asked for");
    steer(&fleet, &["promote", "last"], "it is urgent").expect(0);
    steer(&fleet, &["promote", "last"], "it is urgent").expect(12);
    // The time is waived, the gate is not: it is asked about what follows.
    let mut verdicts = 0;
    let ended = loop {
        let explained = fleet.wavegate(&["explain", "last"]).expect(0).out;
        if explained.contains("is done") {
            break explained;
        }
        assert!(explained.contains("promoted: "), "{explained}");
        verdicts += u32::from(fleet.wavegate(&OVERRIDE).code == Some(0));
        assert!(verdicts < 20, "{explained}");
    };
    assert!(ended.contains("overridden: "), "{ended}");
    let done = run.end().expect(0);
    assert!(
        done.out.contains("2/2 nodes and 100% of traffic on 2.0"),
        "{}",
        done.out
    );
    assert!(done.out.contains("by ada: still"), "{}", done.out);
    let history = fleet.wavegate(&["history", "last"]).expect(0).out;
    for told in [
        "ada overrode gate careful (after-batch) to pass: I have looked",
        "ada promoted the rollout, and no timed wait is waited for: it is urgent",
        "ada skipped site us-1: being rebuilt",
        "site ap-1 is left out: nothing was changed there",
    ] {
        assert!(history.contains(told), "no `{told}` in\n{history}");
    }
}

const OVERRIDE: [&str; 5] = ["override-gate", "last", "careful", "--reason", "still"];

fn run_until_waiting(fleet: &Fleet, what: &str) {
    wait_for(what, || {
        let explained = fleet.wavegate(&["explain", "last"]);
        explained.out.contains(what).then_some(())
    });
}

#[test]
fn only_those_who_may_approve_a_wave_and_a_stage() {
    let fleet = Fleet::small("    plugin: {shipped: canary}\n    config: {stages: [{nodes: 50%}]}");
    let policy = fleet.read("policy.yaml");
    fleet.write(
        "policy.yaml",
        &format!(
            "{policy}  approvals:\n    - {{stage: all, waves: [first], text: half, by: [bob]}}\n"
        ),
    );
    fleet.replace(
        "policy.yaml",
        "{tier: main}}\n",
        "{tier: main}}\n      approval: {text: the rest, by: [ada, bob], starter: doesNotCount}\n",
    );
    fleet.up();
    let by = |who: &str| {
        let mut approve = fleet.command(&["approve", "last", "--reason", "looks good"]);
        approve.env("USER", who);
        Running::start(approve).end()
    };
    let held = fleet
        .wavegate(&["run", "demo", "--exit-on-hold"])
        .expect(10);
    assert!(
        held.out.contains("approve stage all: half (bob may)"),
        "{}",
        held.out
    );
    let refused = by("ada").expect(12);
    assert!(
        refused.out.contains("ada may not approve this; bob may"),
        "{}",
        refused.out
    );
    by("bob").expect(0);
    let resume = ["resume", "last", "--exit-on-hold"];
    let held = fleet.wavegate(&resume).expect(10);
    assert!(
        held.out.contains("approve wave rest: the rest (bob may)"),
        "{}",
        held.out
    );
    let refused = by("ada").expect(12);
    assert!(
        refused.out.contains("ada started the rollout"),
        "{}",
        refused.out
    );
    by("bob").expect(0);
    let done = fleet.wavegate(&resume).expect(0);
    assert!(
        done.out.contains("approved  wave rest by bob"),
        "{}",
        done.out
    );

    fleet.replace("policy.yaml", "stage: all", "stage: stage 7");
    let unknown = fleet.wavegate(&["plan", "demo"]).expect(2);
    assert!(
        unknown.err.contains("it has: stage 1, all"),
        "{}",
        unknown.err
    );
}
