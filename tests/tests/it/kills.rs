//! The host is killed at twenty moments of each strategy and goes on to the same end: nothing is
//! lost, nothing is started twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use wavegate_tests::crash_support::{
    Visitors, assert_done, assert_down, assert_no_verdict_is_lost, assert_runs, facts, fleet,
    killed_at, node_commands, pairs, policy, policy_with, start_with, status, traffic_commands,
};
use wavegate_tests::fleet::Fleet;
use wavegate_tests::stories::side_by_side;

/// Rollouts side by side: more only make each other slow.
const AT_ONCE: usize = 6;
/// Where the documents of a fleet are, from its folder.
const DOCUMENTS: &str = "demo";

/// How a fleet is set up and led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Canary,
    BlueGreenPair,
    BlueGreenSurge,
    Rolling,
}

const BLUE_GREEN: &str = "    plugin: {shipped: blue-green}
    config: {traffic: [10%, 50%, 100%], wait: 300ms, afterwards: @AFTERWARDS@}";

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::BlueGreenPair => "blue-green, pairs",
            Self::BlueGreenSurge => "blue-green, one cluster",
            Self::Rolling => "rolling",
        }
    }

    fn fleet(self) -> Fleet {
        let one_by_one = "size: 1, maxUnavailable: 1";
        match self {
            Self::Canary => fleet(&policy("{nodes: 25%, traffic: 10%, wait: 300ms}")),
            Self::BlueGreenPair => {
                let strategy = BLUE_GREEN.replace("@AFTERWARDS@", "keep");
                pairs(&policy_with(&strategy, one_by_one))
            }
            Self::BlueGreenSurge => {
                let strategy = BLUE_GREEN.replace("@AFTERWARDS@", "scale-to-zero");
                let batch = "size: 2, maxUnavailable: 1, maxSurge: 4";
                fleet(&policy_with(&strategy, batch))
            }
            Self::Rolling => fleet(&policy_with("    plugin: {shipped: rolling}", one_by_one)),
        }
    }

    /// Nodes by version in the end, and how many were started for that since the beginning.
    fn end(self) -> (&'static [(&'static str, usize)], u64) {
        match self {
            // Green takes the release, blue stays as it was.
            Self::BlueGreenPair => (&[("1.0", 3), ("2.0", 3)], 6 + 3),
            Self::Canary | Self::BlueGreenSurge | Self::Rolling => (&[("2.0", 6)], 6 + 6),
        }
    }
}

/// A host is killed at the first moment; if there are more, so is each that goes on after it.
type Moments = &'static [&'static str];

/// Around changes of traffic: before the front door is told, and after that.
const TRAFFIC: [Moments; 10] = [
    &["set-traffic:before-write:1"],
    &["set-traffic:after-write:1"],
    &["set-traffic:before-write:2"],
    &["set-traffic:after-write:3"],
    &["set-traffic:before-write:4"],
    &["set-traffic:after-write:5"],
    &["set-traffic:before-write:6"],
    &["set-traffic:after-write:6"],
    &["set-traffic:before-write:2", "set-traffic:after-write:1"],
    &[
        "set-traffic:after-write:2",
        "set-traffic:before-write:1",
        "turn:after-commit:5",
    ],
];

/// Between the intent, which is recorded, and each step of the effect; and in the middle of turns.
const NODES: [Moments; 10] = [
    &["set-nodes:after-accept:1"],
    &["set-nodes:before-drain:2"],
    &["set-nodes:before-stop:1"],
    &["set-nodes:before-start:3"],
    &["set-nodes:after-start:2"],
    &["set-nodes:before-stamp:2"],
    &["turn:after-commit:1"],
    &["turn:before-commit:15"],
    &["turn:after-commit:40"],
    &["set-nodes:before-start:2", "set-traffic:before-write:1"],
];

/// The same halves of the moments for a pair and for one cluster would leave out the others.
fn split(moments: &[Moments; 10], way: Way) -> Vec<(Way, Moments)> {
    let odd = usize::from(way == Way::BlueGreenPair);
    let each = moments.iter().enumerate();
    let half = each.filter(|(at, _)| at % 2 == odd);
    half.map(|(_, moments)| (way, *moments)).collect()
}

#[test]
fn a_host_killed_at_any_moment_of_a_canary_goes_on_to_the_same_end() {
    kill_at_all(&all(Way::Canary));
}

#[test]
fn a_host_killed_at_any_moment_of_a_rolling_update_goes_on_to_the_same_end() {
    kill_at_all(&all(Way::Rolling));
}

#[test]
fn a_host_killed_at_any_moment_of_a_blue_green_change_goes_on_to_the_same_end() {
    let of = |way| [split(&TRAFFIC, way), split(&NODES, way)].concat();
    kill_at_all(&[of(Way::BlueGreenPair), of(Way::BlueGreenSurge)].concat());
}

fn all(way: Way) -> Vec<(Way, Moments)> {
    let each = TRAFFIC.iter().chain(&NODES);
    each.map(|moments| (way, *moments)).collect()
}

fn kill_at_all(stories: &[(Way, Moments)]) {
    assert_eq!(stories.len(), 20);
    let name = |(way, moments): &(Way, Moments)| {
        format!("{} killed at {}", way.name(), moments.join(", "))
    };
    side_by_side(AT_ONCE, stories, name, |(way, moments)| {
        let fleet = way.fleet();
        let story = kill_and_resume(&fleet, &["run", DOCUMENTS], moments, 0);
        let (nodes, starts) = way.end();
        assert_done(&fleet);
        assert_runs(&fleet, nodes, starts);
        assert_down(&fleet);
        story
    });
}

/// No rollout of [`Way::Rolling`] appends so often, and the last kills find it ended.
const APPENDS_MAX: usize = 170;

/// Between any two appends to the journal, and after each, the host is killed; it goes on to the
/// same end. The slow tier takes all of them, the usual one some.
#[test]
fn a_host_killed_at_each_boundary_of_its_journal_goes_on_to_the_same_end() {
    let all = std::env::var_os("WAVEGATE_SLOW_TESTS").is_some();
    let step = if all { 1 } else { 17 };
    let numbers = (1..=APPENDS_MAX).step_by(step).chain([APPENDS_MAX]);
    let points = numbers.flat_map(|number| {
        ["turn:before-commit", "turn:after-commit"].map(|point| format!("{point}:{number}"))
    });
    let points: Vec<String> = points.collect();
    let ended = AtomicUsize::new(0);
    side_by_side(AT_ONCE, &points, String::clone, |point| {
        let fleet = Way::Rolling.fleet();
        fleet.up();
        let [eu, us, _] = fleet.doors();
        let visitors = Visitors::start(vec![eu, us]);
        visitors.wait_for_more(10);
        let run = start_with(&fleet, &["run", DOCUMENTS], "WAVEGATE_CRASH_AT", point).end();
        let told = match run.code {
            None => {
                let before = killed_facts(&fleet);
                // Before the first record there is no rollout to go on with.
                let command: &[&str] = match before.is_empty() {
                    true => &["run", DOCUMENTS],
                    false => &["resume", "last"],
                };
                fleet.wavegate(command).expect(0);
                assert!(facts(&fleet).starts_with(&before), "facts are gone");
                format!("killed after {} facts", before.len())
            }
            Some(code) => {
                assert_eq!(code, 0, "{}", run.err);
                ended.fetch_add(1, Ordering::Relaxed);
                "it had come to its end before".to_owned()
            }
        };
        let (nodes, starts) = Way::Rolling.end();
        assert_done(&fleet);
        assert_runs(&fleet, nodes, starts);
        let lost = visitors.stop().lost.len();
        assert_eq!(lost, 0, "requests were lost");
        assert_down(&fleet);
        told
    });
    assert!(ended.into_inner() > 0, "there are more boundaries");
}

/// Facts of the newest rollout; none if there is no rollout.
fn killed_facts(fleet: &Fleet) -> Vec<serde_json::Value> {
    let done = fleet.wavegate(&["--format", "json", "history", "last"]);
    if done.code == Some(0) {
        done.json()
    } else {
        Vec::new()
    }
}

/// In the rollback of a bad release, after one batch of one node.
const IN_ROLLBACK: [Moments; 3] = [
    &["set-traffic:before-write:2"],
    &["set-nodes:before-start:2"],
    &["set-nodes:after-start:2", "turn:before-commit:3"],
];

#[test]
fn a_host_killed_in_a_rollback_goes_on_to_the_same_end() {
    let name = |moments: &Moments| format!("rollback killed at {}", moments.join(", "));
    side_by_side(AT_ONCE, &IN_ROLLBACK, name, |moments| {
        // Long enough that the gate sees real requests fail before the next batch.
        let fleet = fleet(&policy("{nodes: 25%, traffic: 30%, wait: 20s}"));
        fleet.replace("bad/bad.yaml", "\"3000\"", "\"0\"");
        let run = ["run", DOCUMENTS, "demo/bad", "--rollout", "shop-bad"];
        let story = kill_and_resume(&fleet, &run, moments, 11);
        assert_eq!(status(&fleet)["phase"], "rolled back");
        assert_runs(&fleet, &[("1.0", 6)], 4 + 2 + 2);
        assert_down(&fleet);
        story
    });
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
        "exit code {code}, {} changes of nodes and {} of traffic, 0 of {sent} requests lost",
        node_commands(&after).len(),
        traffic_commands(&after)
    )
}
