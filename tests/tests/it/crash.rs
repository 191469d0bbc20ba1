//! The host is killed, stopped or doubled at chosen moments; the rollout ends as if nothing had
//! happened, and the service notices nothing.

use rustix::process::Signal;
use serde_json::Value;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use wavegate_tests::crash_support::{
    Visitors, assert_no_verdict_is_lost, copy_folder, facts, fleet, killed_at, node_commands,
    policy, services, slots, start_with, status, wait_until_stopped,
};
use wavegate_tests::fleet::{Fleet, Running};

/// Rollouts side by side: more only make each other slow.
const WORKERS: usize = 4;
/// Where the documents of a fleet are, from its folder.
const DOCUMENTS: &str = "demo";
const FIRST_STAGE: &str = "{nodes: 25%, traffic: 10%, wait: 300ms}";
/// 4 and 2 nodes on 1.0, and one more for each when it is replaced.
const STARTS: u64 = 2 * (4 + 2);

/// When the host is killed; between the intent, which is recorded, and the effect, unless it is a
/// moment of a turn.
const MOMENTS: [&[&str]; 20] = [
    &["set-nodes:after-accept:1"],
    &["set-nodes:before-drain:2"],
    &["set-nodes:before-stop:1"],
    &["set-nodes:before-start:1"],
    &["set-nodes:before-start:3"],
    &["set-nodes:before-start:6"],
    &["set-nodes:after-start:2"],
    &["set-nodes:after-start:5"],
    &["set-nodes:before-stamp:4"],
    &["set-traffic:before-write:1"],
    &["set-traffic:before-write:3"],
    &["set-traffic:before-write:6"],
    &["set-traffic:after-write:2"],
    &["set-traffic:after-write:5"],
    &["turn:after-commit:1"],
    &["turn:before-commit:2"],
    &["turn:before-commit:15"],
    &["turn:after-commit:40"],
    // The host that goes on is killed as well.
    &["set-nodes:before-start:2", "set-traffic:before-write:1"],
    &[
        "set-traffic:before-write:2",
        "set-nodes:before-start:1",
        "turn:after-commit:5",
    ],
];

/// In the rollback of a bad release, after one batch of one node.
const MOMENTS_OF_ROLLBACK: [&[&str]; 3] = [
    &["set-traffic:before-write:2"],
    &["set-nodes:before-start:2"],
    &["set-nodes:after-start:2", "turn:before-commit:3"],
];

#[test]
fn a_host_killed_at_any_moment_goes_on_to_the_same_end() {
    at_all(&MOMENTS, "rollout", |moments| {
        let fleet = fleet(&policy(FIRST_STAGE));
        let story = kill_and_resume(&fleet, &["run", DOCUMENTS], moments, 0);
        assert_done(&fleet, STARTS);
        assert_down(&fleet);
        story
    });
}

#[test]
fn a_host_killed_in_a_rollback_goes_on_to_the_same_end() {
    at_all(&MOMENTS_OF_ROLLBACK, "rollback", |moments| {
        // Long enough that the gate sees real requests fail before the next batch.
        let fleet = fleet(&policy("{nodes: 25%, traffic: 30%, wait: 20s}"));
        fleet.replace("bad/bad.yaml", "\"3000\"", "\"0\"");
        let run = ["run", DOCUMENTS, "demo/bad", "--rollout", "shop-bad"];
        let story = kill_and_resume(&fleet, &run, moments, 11);
        assert_eq!(status(&fleet)["phase"], "rolled back");
        assert_runs(&fleet, "1.0", 4 + 2 + 2);
        assert_down(&fleet);
        story
    });
}

/// Runs each of them, some at once, and shows what became of all.
fn at_all(all: &[&[&str]], what: &str, walk: impl Fn(&[&str]) -> String + Sync) {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS.min(all.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(moments) = all.get(at) else { break };
                    let started = Instant::now();
                    let ended = catch_unwind(AssertUnwindSafe(|| walk(moments)));
                    let row = (at, ended.is_ok(), ended.ok(), started.elapsed());
                    rows.lock().expect("no panic while it is held").push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("no panic while it is held");
    rows.sort_by_key(|row| row.0);
    let mut table = String::new();
    for (at, _, story, took) in &rows {
        let story = story.as_deref().unwrap_or("FAILED, see above");
        let moments = all[*at].join(", ");
        let seconds = took.as_secs_f64();
        writeln!(
            table,
            "{:2} {what} killed at {moments}: {story} ({seconds:.1} s)",
            at + 1
        )
        .expect("a string takes all");
    }
    assert!(rows.iter().all(|row| row.1), "\n{table}");
    // Shown with --nocapture.
    std::io::Write::write_all(&mut std::io::stderr(), table.as_bytes()).expect("it can be shown");
}

/// Kills the host at each of the moments, one after the other, then lets it come to its end.
fn kill_and_resume(fleet: &Fleet, run: &[&str], moments: &[&str], code: i32) -> String {
    fleet.up();
    let [eu, us, _] = fleet.doors();
    let visitors = Visitors::start(vec![eu, us]);
    visitors.wait_for_more(10);
    let mut before = Vec::new();
    let mut command = run;
    for point in moments {
        killed_at(fleet, command, point);
        // Nobody runs the rollout, and the service does not care.
        visitors.wait_for_more(20);
        let now = facts(fleet);
        assert!(
            now.starts_with(&before),
            "facts from before {point} are gone"
        );
        before = now;
        command = &["resume", "last"];
    }
    fleet.wavegate(command).expect(code);
    let after = facts(fleet);
    assert!(
        after.starts_with(&before),
        "facts from before the end are gone"
    );
    assert_no_verdict_is_lost(&after);
    visitors.wait_for_more(10);
    let visits = visitors.stop();
    let lost = visits.lost.len();
    let some: Vec<&String> = visits.lost.iter().take(10).collect();
    assert!(lost == 0, "{lost} requests were lost: {some:?}");
    if code == 0 {
        assert_eq!(visits.refused_by_node, 0, "a good release answers well");
    }
    let sent = visits.good + visits.refused_by_node;
    format!(
        "exit code {code}, {} facts, 0 of {sent} requests lost",
        after.len()
    )
}

/// Everything is on 2.0, and so many processes were started for that.
#[track_caller]
fn assert_done(fleet: &Fleet, starts: u64) {
    let status = status(fleet);
    assert_eq!(status["phase"], "done");
    let sites = status["sites"].as_object().expect("the status has sites");
    for (name, nodes) in [("eu-1", 4), ("us-1", 2)] {
        let site = &sites[name];
        let seen = (&site["ready"], &site["desired"], &site["traffic_permille"]);
        assert_eq!(seen, (&nodes.into(), &nodes.into(), &1000.into()), "{name}");
    }
    assert_runs(fleet, "2.0", starts);
}

/// Six nodes of this version run and nothing else, and so many nodes were ever started.
#[track_caller]
fn assert_runs(fleet: &Fleet, version: &str, starts: u64) {
    let slots = slots(fleet);
    let started: u64 = slots.iter().map(|slot| slot.starts).sum();
    assert_eq!(started, starts, "nodes ever started, {slots:#?}");
    let running: Vec<_> = slots
        .iter()
        .filter(|slot| slot.phase == "running")
        .collect();
    assert!(
        running.iter().all(|slot| slot.version == version),
        "{running:#?}"
    );
    let services = services(fleet);
    let pids: Vec<u64> = running.iter().filter_map(|slot| slot.service).collect();
    assert_eq!(pids.len(), 6, "{running:#?}");
    assert_eq!(services.len(), 1, "only {version} runs: {services:?}");
    let alive: Vec<u64> = services[version]
        .iter()
        .map(|pid| u64::from(*pid))
        .collect();
    let mut known = pids;
    known.sort_unstable();
    assert_eq!(alive, known, "each service is the one of its slot");
}

#[track_caller]
fn assert_down(fleet: &Fleet) {
    fleet.down();
    fleet.assert_nothing_is_left();
}

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
    assert_done(&fleet, STARTS);
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
    assert_done(&fleet, STARTS);
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
    assert_runs(&fleet, "2.0", STARTS);
    assert_down(&fleet);
}
