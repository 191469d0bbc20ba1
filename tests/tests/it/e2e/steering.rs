//! People steer a rollout from another process, whether a host runs it or not.

use wavegate_tests::fleet::{Done, Fleet};

/// Half of a site, then a person.
const ASKS: &str = "    plugin: {shipped: canary}
    config: {stages: [{nodes: 50%, approval: look at the first node}]}";

const RUN: [&str; 4] = ["run", "demo", "--format", "human"];
const PATIENT: [&str; 3] = ["run", "demo", "--exit-on-hold"];

fn steer(fleet: &Fleet, verb: &str, reason: &str) -> Done {
    fleet.wavegate(&[verb, "last", "--reason", reason])
}

#[test]
fn a_second_process_pauses_continues_and_approves_while_a_rollout_runs() {
    let fleet = Fleet::small(ASKS);
    fleet.up();
    let mut run = fleet.start(&RUN);
    run.line("waits for a person: look at the first node");

    fleet.wavegate(&["pause", "last"]).expect(2);
    let blank = steer(&fleet, "pause", " ").expect(2);
    assert!(blank.err.contains("a reason is needed"), "{}", blank.err);
    let dry = fleet.wavegate(&["pause", "last", "--reason", "lunch", "--dry-run"]);
    assert!(dry.expect(0).out.contains("would be taken"));

    assert!(
        steer(&fleet, "pause", "lunch")
            .expect(0)
            .out
            .contains("taken")
    );
    let again = steer(&fleet, "pause", "lunch").expect(12);
    assert!(again.out.contains("refused: "), "{}", again.out);
    let explained = fleet.wavegate(&["explain", "last"]).expect(0);
    assert!(explained.out.contains("paused"), "{}", explained.out);
    steer(&fleet, "continue", "back").expect(0);
    steer(&fleet, "continue", "back").expect(12);
    let close = steer(&fleet, "close", "no time").expect(12);
    assert!(close.out.contains("refused: "), "{}", close.out);

    let site = [
        "approve",
        "last",
        "--site",
        "eu-1",
        "--reason",
        "looks good",
    ];
    fleet.wavegate(&site).expect(0);
    fleet.wavegate(&site).expect(12);
    for site in ["us-1", "ap-1"] {
        run.line(&format!("site {site}: stage 1 waits for a person"));
    }
    steer(&fleet, "approve", "the rest, too").expect(0);
    run.end().expect(0);

    let history = fleet.wavegate(&["history", "last"]).expect(0).out;
    for told in [
        "ada paused: lunch",
        "ada continued: back",
        "ada approved site eu-1: looks good",
        "ada approved site us-1: the rest, too",
    ] {
        assert!(history.contains(told), "no `{told}` in\n{history}");
    }
    assert_eq!(history.matches("ada paused: lunch").count(), 1, "{history}");
    steer(&fleet, "rollback", "too late").expect(12);
}

#[test]
fn a_second_process_sends_a_running_rollout_back() {
    let fleet = Fleet::small(ASKS);
    fleet.up();
    let mut run = fleet.start(&RUN);
    run.line("waits for a person: look at the first node");
    steer(&fleet, "rollback", "it smells").expect(0);
    let done = run.end().expect(11);
    assert!(
        done.out.contains("0/2 nodes and 0% of traffic on 2.0"),
        "{}",
        done.out
    );
    let history = fleet.wavegate(&["history", "last"]).expect(0).out;
    assert!(history.contains("it smells"), "{history}");
}

#[test]
fn a_request_without_a_host_takes_effect_when_one_resumes() {
    let fleet = Fleet::small(ASKS);
    fleet.up();
    let held = fleet.wavegate(&PATIENT).expect(10);
    assert!(
        held.out.contains("waits     site eu-1 for a person"),
        "{}",
        held.out
    );
    let unhosted = fleet.wavegate(&["explain", "last"]).expect(0);
    assert!(unhosted.out.contains("wavegate resume"), "{}", unhosted.out);

    let recorded = steer(&fleet, "approve", "fine").expect(0);
    assert!(recorded.out.contains("recorded"), "{}", recorded.out);
    fleet
        .wavegate(&["resume", "last", "--exit-on-hold"])
        .expect(10);
    let history = fleet.wavegate(&["history", "last"]).expect(0).out;
    assert!(
        history.contains("ada approved site eu-1: fine"),
        "{history}"
    );
    assert!(history.contains("site eu-1 is done"), "{history}");

    assert!(
        steer(&fleet, "rollback", "second thoughts")
            .expect(0)
            .out
            .contains("recorded")
    );
    fleet.wavegate(&["resume", "last"]).expect(11);
    // What has ended stays so, and says so again.
    fleet.wavegate(&["resume", "last"]).expect(11);
    steer(&fleet, "abort", "anyway").expect(12);

    fleet.wavegate(&PATIENT).expect(10);
    steer(&fleet, "abort", "enough").expect(0);
    fleet.wavegate(&["resume", "last"]).expect(14);
    let history = fleet.wavegate(&["history", "last"]).expect(0).out;
    assert!(
        history.contains("ada aborted: enough\n")
            && history.contains("the rollout has ended: aborted"),
        "{history}"
    );
}
