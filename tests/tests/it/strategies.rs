//! The fleet of the quickstart by each strategy, with a good and with a bad release, while
//! visitors come to all front doors.

use serde_json::Value;
use wavegate_tests::crash_support::{services, slots};
use wavegate_tests::fleet::{Answers, Done, Fleet, Load, ask};
use wavegate_tests::stories::side_by_side;

/// Fleets side by side: each has a dozen nodes and three load generators.
const AT_ONCE: usize = 4;
/// Of each load generator: the machine has other fleets to carry.
const CONNECTIONS: u32 = 2;
const SITES: [&str; 3] = ["eu-1", "us-1", "ap-1"];

/// How a fleet is set up and led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Canary,
    BlueGreenPair,
    BlueGreenSurge,
    Rolling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    Good,
    Bad,
}

const STORIES: [(Way, Release); 8] = [
    (Way::Canary, Release::Good),
    (Way::Canary, Release::Bad),
    (Way::BlueGreenPair, Release::Good),
    (Way::BlueGreenPair, Release::Bad),
    (Way::BlueGreenSurge, Release::Good),
    (Way::BlueGreenSurge, Release::Bad),
    (Way::Rolling, Release::Good),
    (Way::Rolling, Release::Bad),
];

const BLUE_GREEN: &str = "    plugin: {shipped: blue-green}
    config: {traffic: [20%, 100%], wait: 4s, delay: 1s, afterwards: @AFTERWARDS@}
";

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::BlueGreenPair => "blue-green, pairs",
            Self::BlueGreenSurge => "blue-green, one cluster",
            Self::Rolling => "rolling",
        }
    }

    /// The documents of the quickstart with this strategy. Time limits are far away: a busy
    /// machine must not fail a rollout.
    fn fleet(self) -> Fleet {
        let fleet = Fleet::quickstart();
        fleet.replace("policy.yaml", "{after: 20s,", "{after: 2m,");
        fleet.replace(
            "policy.yaml",
            "{after: 2m, then: fail}\n  failure",
            "{after: 10m, then: fail}\n  failure",
        );
        fleet.replace("policy.yaml", "progress: 20s", "progress: 2m");
        let policy = fleet.read("policy.yaml");
        let (before, rest) = policy.split_once("  strategy:\n").expect("it has one");
        let (canary, gates) = rest.split_once("  gates:\n").expect("it has gates");
        let strategy = match self {
            Self::Canary => canary.to_owned(),
            Self::BlueGreenPair => BLUE_GREEN.replace("@AFTERWARDS@", "keep"),
            Self::BlueGreenSurge => BLUE_GREEN.replace("@AFTERWARDS@", "scale-to-zero"),
            Self::Rolling => "    plugin: {shipped: rolling}\n    config: {batch: 1}\n".to_owned(),
        };
        let before = match self {
            Self::Canary | Self::Rolling => before.to_owned(),
            Self::BlueGreenPair => {
                before.replace("  batch:", "  siteBy: site\n  roleBy: role\n  batch:")
            }
            Self::BlueGreenSurge => before.replace(
                "{size: 1, maxUnavailable: 1}",
                "{size: 4, maxUnavailable: 1, maxSurge: 4}",
            ),
        };
        fleet.write(
            "policy.yaml",
            &format!("{before}  strategy:\n{strategy}  gates:\n{gates}"),
        );
        if self == Self::BlueGreenPair {
            fleet.write("fleet.yaml", &pairs(&fleet));
        }
        fleet
    }

    /// Nodes that run before and after a rollout that ends well, by version.
    fn nodes(self) -> [(&'static str, usize); 2] {
        match self {
            // The idle half of each pair takes the release, the other half stays.
            Self::BlueGreenPair => [("1.0", 6), ("2.0", 6)],
            Self::Canary | Self::BlueGreenSurge | Self::Rolling => [("1.0", 0), ("2.0", 12)],
        }
    }
}

/// Twelve nodes in three pairs: each has two blue ones, which serve, and two green ones.
fn pairs(fleet: &Fleet) -> String {
    let mut text = "apiVersion: wavegate.dev/v1alpha1\nkind: Fleet\nmetadata: {name: demo}\nspec:\n  clusters:\n".to_owned();
    for (site, door) in SITES.iter().zip(fleet.doors()) {
        let tier = if *site == "eu-1" { "canary" } else { "main" };
        for (role, more) in [("blue", ""), ("green", ", standby: true")] {
            text += &format!(
                "    - name: {site}-{role}\n      labels: {{tier: {tier}, site: {site}, role: {role}}}\n      \
                 nodes: 2\n      driver: local\n      \
                 local: {{dir: clusters/{site}-{role}, frontDoor: \"{door}\"{more}}}\n"
            );
        }
    }
    text
}

#[test]
fn each_strategy_rolls_the_fleet_of_the_quickstart_and_takes_a_bad_release_back() {
    let name = |(way, release): &(Way, Release)| {
        let release = match release {
            Release::Good => "a good release",
            Release::Bad => "a bad release",
        };
        format!("{:<23} {release:<14}", way.name())
    };
    side_by_side(AT_ONCE, &STORIES, name, |(way, release)| {
        let fleet = way.fleet();
        fleet.up();
        let told = match release {
            Release::Good => good(&fleet, *way),
            Release::Bad => bad(&fleet),
        };
        fleet.down();
        fleet.assert_nothing_is_left();
        told
    });
}

fn loads(fleet: &Fleet) -> Vec<Load> {
    let doors = fleet.doors();
    doors
        .map(|door| Load::with(fleet, door, CONNECTIONS))
        .into()
}

fn stop(loads: Vec<Load>) -> Answers {
    let each = loads.into_iter().map(Load::stop);
    each.fold(Answers::default(), Answers::and)
}

fn report(done: &Done) -> Value {
    done.json().pop().expect("there is a report")
}

fn good(fleet: &Fleet, way: Way) -> String {
    let loads = loads(fleet);
    let run = ["run", "demo", "--format", "json"];
    let report = report(&fleet.wavegate(&run).expect(0));
    assert_serves(fleet, "2.0");
    let answers = stop(loads);

    assert_eq!(report["outcome"], "done");
    for site in SITES {
        assert_eq!(report["sites"][site], "done", "{report}");
    }
    assert_eq!(answers.lost(), 0, "{answers:?}");
    let requests = &report["requests"];
    assert_eq!(requests["new_failed"], 0, "{report}");
    assert_eq!(requests["other_failed"], 0, "{report}");
    assert_runs(fleet, &way.nodes());
    told(0, &report, &answers)
}

/// Its health checks stay green, and after three seconds each of its nodes fails real requests.
fn bad(fleet: &Fleet) -> String {
    let loads = loads(fleet);
    let run = [
        "run",
        "demo",
        "demo/bad",
        "--rollout",
        "shop-bad",
        "--format",
        "json",
    ];
    // The bad release is gone when the report is made, so all of its answers are counted.
    let report = report(&fleet.wavegate(&run).expect(11));
    assert_serves(fleet, "1.0");
    let answers = stop(loads);

    assert_eq!(report["outcome"], "rolled back");
    assert_eq!(report["sites"]["eu-1"], "rolled back", "{report}");
    for site in ["us-1", "ap-1"] {
        assert_eq!(report["sites"][site], "pending", "{report}");
    }
    assert_eq!(report["broken"][0]["gate"], "success", "{report}");
    let digest = digest(&report);
    let by_others =
        |((release, status), _): &(&(String, u16), &u64)| release != digest && *status != 200;
    let others: Vec<_> = answers.counts.iter().filter(by_others).collect();
    assert!(
        others.is_empty(),
        "only the release answers badly: {others:?}"
    );
    assert_eq!(answers.errors, 0, "{answers:?}");
    assert!(
        answers.lost() > 0,
        "the gates judge by real traffic: {answers:?}"
    );
    // What the report says of those who were exposed is what they saw.
    let requests = &report["requests"];
    assert_eq!(requests["new"], answers.of(digest), "{report} {answers:?}");
    assert_eq!(
        requests["new_failed"],
        answers.lost(),
        "{report} {answers:?}"
    );
    assert_eq!(requests["other_failed"], 0, "{report}");
    assert_runs(fleet, &[("1.0", 12), ("2.0-bad", 0)]);
    told(11, &report, &answers)
}

fn digest(report: &Value) -> &str {
    report["digest"].as_str().expect("the report has a digest")
}

fn told(code: i32, report: &Value, answers: &Answers) -> String {
    let seconds = report["seconds"].as_f64().expect("a rollout takes time");
    let (digest, nodes) = (digest(report), &report["exposed_nodes"]);
    let (all, new, lost) = (answers.total(), answers.of(digest), answers.lost());
    let bad: u64 = answers
        .counts
        .iter()
        .filter(|((release, status), _)| release == digest && *status != 200)
        .map(|(_, count)| count)
        .sum();
    let lost = lost - bad;
    format!(
        "exit code {code:2} after {seconds:5.1} s, {nodes:2} nodes ran it at once, {all:5} requests, \
         {new:5} of them to it, {bad:3} answered badly by it, {lost} lost"
    )
}

/// Every answer at each door is that of this release.
#[track_caller]
fn assert_serves(fleet: &Fleet, version: &str) {
    for door in fleet.doors() {
        for _ in 0..8 {
            let answer = ask(door);
            let welcome = format!("welcome to shop {version}\n");
            assert!(answer.contains(&welcome), "{door}: {answer}");
        }
    }
}

/// So many nodes of these versions run, each with its own service, and nothing else does.
#[track_caller]
fn assert_runs(fleet: &Fleet, nodes: &[(&str, usize)]) {
    let (slots, services) = (slots(fleet), services(fleet));
    let running: Vec<_> = slots
        .iter()
        .filter(|slot| slot.phase == "running")
        .collect();
    for (version, count) in nodes {
        let of_it = running.iter().filter(|slot| slot.version == *version);
        assert_eq!(of_it.count(), *count, "{version}: {running:#?}");
        let alive = services.get(*version).map_or(0, |pids| pids.len());
        assert_eq!(alive, *count, "{version}: {services:?}");
    }
    let all: usize = nodes.iter().map(|(_, count)| count).sum();
    assert_eq!(running.len(), all, "{running:#?}");
}
