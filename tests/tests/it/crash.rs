//! The host is stopped or doubled; the rollout ends as if nothing had happened, and the service
//! notices nothing.

use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use wavegate_tests::crash_support::{
    Visitors, assert_done, assert_down, assert_runs, copy_folder, facts, fleet, node_commands,
    policy, start_with, status, wait_until_stopped,
};
use wavegate_tests::fleet::Running;

/// Where the documents of a fleet are, from its folder.
const DOCUMENTS: &str = "demo";
const FIRST_STAGE: &str = "{nodes: 25%, traffic: 10%, wait: 300ms}";
/// 4 and 2 nodes on 1.0, and one more for each when it is replaced.
const STARTS: u64 = 2 * (4 + 2);
/// What runs in the end.
const NEW: [(&str, usize); 1] = [("2.0", 6)];

#[test]
fn each_batch_is_commanded_once() {
    let fleet = fleet(&policy(FIRST_STAGE));
    fleet.up();
    fleet.wavegate(&["run", DOCUMENTS]).expect(0);
    let cluster = |name: &str, new, baseline| (name.to_owned(), new, baseline);
    let wanted = vec![
        cluster("eu-1", 1, 3),
        cluster("eu-1", 2, 2),
        cluster("eu-1", 3, 1),
        cluster("eu-1", 4, 0),
        cluster("us-1", 1, 1),
        cluster("us-1", 2, 0),
    ];
    assert_eq!(node_commands(&facts(&fleet)), wanted);
    assert_done(&fleet);
    assert_runs(&fleet, &NEW, STARTS);
    assert_down(&fleet);
}

#[test]
fn a_second_host_is_refused_and_the_first_does_not_notice() {
    let fleet = fleet(&policy("{nodes: 25%, traffic: 10%, wait: 8s}"));
    fleet.up();
    let mut first = fleet.start(&["run", DOCUMENTS]);
    first.line("the batch serves");
    let refused = fleet.wavegate(&["--state", "another-state", "run", DOCUMENTS]);
    assert_ne!(
        status(&fleet)["phase"],
        "done",
        "the first is still at work"
    );
    let refused = refused.expect(12);
    let owner = status(&fleet)["rollout"]
        .as_str()
        .expect("it has an id")
        .to_owned();
    assert!(
        refused.err.contains(&owner),
        "who owns it is said: {}",
        refused.err
    );
    first.end().expect(0);
    assert_done(&fleet);
    assert_runs(&fleet, &NEW, STARTS);
    assert_down(&fleet);
}

/// What a cluster said to a command of a host that has no say any more.
fn refusal(fact: &Value) -> Option<&Value> {
    let result = &fact["fact"]["command-refused"]["result"];
    ["superseded", "Superseded"]
        .iter()
        .find_map(|name| result.get(name))
}

/// What the host that takes over has of the one that was stopped.
enum Journal {
    /// The same folder: the journal refuses the old host as well.
    Shared,
    /// A copy: only the driver can refuse the old host.
    Copied,
}

#[test]
fn a_host_that_was_stopped_is_refused_before_it_starts_a_node() {
    take_over("set-nodes:before-start:2", &Journal::Copied);
}

#[test]
fn a_host_that_was_stopped_is_refused_before_it_changes_traffic() {
    take_over("set-traffic:before-write:2", &Journal::Copied);
}

#[test]
fn a_host_that_was_stopped_is_refused_by_its_journal_too() {
    take_over("set-traffic:before-write:2", &Journal::Shared);
}

fn take_over(point: &str, journal: &Journal) {
    let fleet = fleet(&policy(FIRST_STAGE));
    fleet.up();
    let [eu, us, _] = fleet.doors();
    let visitors = Visitors::start(vec![eu, us]);
    let old = start_with(&fleet, &["run", DOCUMENTS], "WAVEGATE_STOP_AT", point);
    wait_until_stopped(old.pid());
    let state = match journal {
        Journal::Shared => fleet.state(),
        Journal::Copied => {
            let copy: PathBuf = fleet.folder().join("copy");
            copy_folder(&fleet.state(), &copy);
            copy
        }
    };
    let mut new = fleet.command(&["resume", "--take-over", "last"]);
    new.env("WAVEGATE_STATE", &state);
    let mut new = Running::start(new);
    // It has done something since, so that there is something that the old one could undo.
    new.line("cluster eu-1 to 3 new");
    old.signal(Signal::CONT);
    let old = old.end().expect(12);
    if matches!(journal, Journal::Copied) {
        // Its own journal took the answer of the cluster: the driver's words.
        assert!(
            old.out.contains("taken over by another host"),
            "{}\n{}",
            old.out,
            old.err
        );
        let facts = facts(&fleet);
        let refusals: Vec<&Value> = facts.iter().filter_map(refusal).collect();
        let [refusal] = refusals.as_slice() else {
            panic!("one command is refused: {refusals:?}");
        };
        let text = refusal.as_str().expect("a refusal is text");
        assert!(text.contains("refused a command of epoch"), "{text}");
    }
    new.end().expect(0);
    let visits = visitors.stop();
    assert!(visits.lost.is_empty(), "{:?}", visits.lost);
    // The old host's own journal does not know how it ended; the new one's does.
    let done = fleet.wavegate(&[
        "--state",
        &state.to_string_lossy(),
        "--format",
        "json",
        "status",
        "last",
    ]);
    assert_eq!(done.expect(0).json()[0]["phase"], "done");
    assert_runs(&fleet, &NEW, STARTS);
    assert_down(&fleet);
}
