//! Ways back that were not planned for: a site that fails long after it was done, and a cluster
//! that cannot go back.

use serde_json::Value;
use wavegate_tests::crash_support::{Visitors, services, slots, status};
use wavegate_tests::fleet::{Done, Fleet, wait_for};
use wavegate_tests::shop::{Trouble, write_releases};
use wavegate_tests::stories::side_by_side;

/// Three sites of two nodes. Half of a site takes the release, then a person looks at it; what
/// is touched is watched until the end.
const POLICY: &str = "\
apiVersion: wavegate.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: careful}
spec:
  waves:
@WAVES@
  batch: {size: 1, maxUnavailable: 1}
  timeLimits:
    batchProgress: {after: 2m, then: fail}
    cluster: {after: 10m, then: fail}
  failure:
    tolerate: 0
    then: @THEN@
    rollback: {batch: 1, maxUnavailable: 1, maxParallelSites: 3, progress: @PROGRESS@}
  strategy:
    plugin: {shipped: canary}
    config: {stages: [{nodes: 50%, approval: look at the first node}]}
  gates:
    - name: success
      plugin: {shipped: probe}
      config: {minSuccess: 99%, minRequests: 3, window: 3s}
      phases: [afterBatch, soak, continuous]
      interval: 300ms
      minSamples: 1
      slots: {probe: nodes}
";

/// Two sites first, which soak; then the third.
const TWO_THEN_ONE: &str = "    - name: first
      clusters: {names: [eu-1, us-1]}
      maxParallelSites: 2
      siteSoak: 500ms
      soak: 500ms
    - name: rest
      clusters: {names: [ap-1]}
      soak: 500ms";

const ALL_AT_ONCE: &str = "    - name: all
      clusters: {names: [eu-1, us-1, ap-1]}
      maxParallelSites: 3
      soak: 500ms";

const RUN: [&str; 5] = ["run", "demo", "--exit-on-hold", "--format", "json"];

fn fleet(waves: &str, then: &str, progress: &str) -> Fleet {
    let fleet = Fleet::small("    plugin: {shipped: rolling}");
    let policy = POLICY.replace("@WAVES@", waves).replace("@THEN@", then);
    fleet.write("policy.yaml", &policy.replace("@PROGRESS@", progress));
    write_releases(&fleet);
    fleet.up();
    fleet
}

fn report(done: &Done) -> Value {
    done.json().pop().expect("there is a report")
}

/// Goes on until the whole rollout waits for a person, which it does in these sites.
#[track_caller]
fn until_asked(fleet: &Fleet, command: &[&str], sites: &[&str]) {
    let held = fleet.wavegate(command).expect(10);
    let status = status(fleet);
    for site in sites {
        let said = format!("{}\n{}", held.out, held.err);
        assert_eq!(status["sites"][site]["stage"], "stage 1", "{said}");
        assert_eq!(status["sites"][site]["ready"], 1, "{said}");
    }
}

const RESUME: [&str; 5] = ["resume", "last", "--exit-on-hold", "--format", "json"];

fn approve(fleet: &Fleet) {
    let approve = ["approve", "last", "--reason", "it looks good"];
    fleet.wavegate(&approve).expect(0);
}

/// Nodes of each site that run 2.0 and serve.
fn on_the_release(fleet: &Fleet) -> [u64; 3] {
    let slots = slots(fleet);
    ["eu-1", "us-1", "ap-1"].map(|cluster| {
        let here = slots.iter().filter(|slot| slot.cluster == cluster);
        let new = here.filter(|slot| slot.phase == "running" && slot.version == "2.0");
        u64::try_from(new.count()).expect("a few")
    })
}

/// What the policy says is to happen, and where 2.0 runs after that.
const LATE: [(&str, i32, [u64; 3]); 4] = [
    ("hold", 10, [2, 2, 1]),
    ("rollBackSite", 11, [0, 2, 1]),
    ("rollBackWave", 11, [0, 0, 1]),
    ("rollBackTouched", 11, [0, 0, 0]),
];

#[test]
fn a_release_that_fails_in_one_region_after_its_wave_is_done_leads_to_the_declared_end() {
    let name = |(then, ..): &(&str, i32, [u64; 3])| format!("fails late, {then}");
    side_by_side(4, &LATE, name, |(then, code, nodes)| {
        let fleet = fleet(TWO_THEN_ONE, then, "2m");
        let visitors = Visitors::start(fleet.doors().into());
        until_asked(&fleet, &RUN, &["eu-1", "us-1"]);
        approve(&fleet);
        // The first wave is done and soaked, and the second has begun.
        until_asked(&fleet, &RESUME, &["ap-1"]);
        let before = status(&fleet);
        assert_eq!(before["waves"][0]["phase"], "done", "{before}");
        assert_eq!(before["sites"]["eu-1"]["phase"], "done", "{before}");
        assert_eq!(on_the_release(&fleet), [2, 2, 1]);

        // Nothing is to be approved any more before the next command. It fails in eu-1 only.
        let mut resume = fleet.start(&["resume", "last", "--format", "json"]);
        visitors.wait_for_more(10);
        Trouble::Bad.begin(&fleet, "2.0", "eu-1");
        resume.line("\"site-failed\":{\"site\":\"eu-1\"");
        let report = if *then == "hold" {
            // Nothing moves until a person decides, and nothing that was done is undone.
            resume.line("\"held\":");
            // A look at a cluster may still be on its way.
            let parts = [
                "the rollout is held, because site eu-1 failed and the policy holds on failure",
                "site eu-1 failed: gate success failed",
                "only a person can move it on",
            ];
            wait_for("an explanation of the hold", || {
                let explained = fleet.wavegate(&["explain", "last"]).expect(0).out;
                parts
                    .iter()
                    .all(|part| explained.contains(part))
                    .then_some(())
            });
            resume.signal(rustix::process::Signal::INT);
            report(&resume.end().expect(*code))
        } else {
            report(&resume.end().expect(*code))
        };
        Trouble::Bad.end(&fleet, "2.0", "eu-1");
        assert_eq!(report["broken"][0]["site"], "eu-1", "{report}");
        assert_eq!(
            report["broken"][0]["measurement"], "success-ratio",
            "{report}"
        );
        assert_eq!(on_the_release(&fleet), *nodes, "{report}");
        let told = format!("exit code {code}, 2.0 runs on {nodes:?} nodes of eu, us, ap");

        // From a hold a person can still take everything back.
        if *then == "hold" {
            let back = ["rollback", "last", "--reason", "enough"];
            fleet.wavegate(&back).expect(0);
            fleet.wavegate(&["resume", "last"]).expect(11);
            assert_eq!(on_the_release(&fleet), [0, 0, 0]);
        }
        let visits = visitors.stop();
        assert!(visits.lost.is_empty(), "{:?}", visits.lost);
        fleet.down();
        fleet.assert_nothing_is_left();
        format!(
            "{told}; of {} requests {} were answered badly, 0 lost",
            visits.good + visits.refused_by_node,
            visits.refused_by_node
        )
    });
}

#[test]
fn a_way_back_that_fails_half_way_says_what_is_not_back() {
    let fleet = fleet(ALL_AT_ONCE, "rollBackTouched", "5s");
    let visitors = Visitors::start(fleet.doors().into());
    let sites = ["eu-1", "us-1", "ap-1"];
    until_asked(&fleet, &RUN, &sites);
    let mut resume = fleet.start(&["resume", "last", "--format", "json"]);
    // The release goes bad in one site, and in another one its predecessor does not start again.
    Trouble::Refuses.begin(&fleet, "1.0", "us-1");
    Trouble::Bad.begin(&fleet, "2.0", "eu-1");
    resume.line("\"site-rollback-failed\":{\"site\":\"us-1\"");
    let report = report(&resume.end().expect(13));
    let visits = visitors.stop();

    assert_eq!(report["outcome"], "rollback incomplete");
    let phases = sites.map(|site| report["sites"][site].as_str().unwrap_or_default());
    assert_eq!(phases, ["rolled back", "rollback failed", "rolled back"]);
    let not_back = report["not_back"].as_array().expect("it lists them");
    assert_eq!(not_back.len(), 1, "{report}");
    assert_eq!(not_back[0]["site"], "us-1");
    let why = not_back[0]["why"].as_str().expect("it says why");
    assert!(why.contains("1 of 2 ready"), "{why}");
    let nodes = serde_json::json!({"desired": 2, "baseline_ready": 1, "new": 0});
    assert_eq!(not_back[0]["clusters"]["us-1"], nodes);

    // What could go back serves as before, also the half of the site that could not.
    assert_eq!(on_the_release(&fleet), [0, 0, 0]);
    let alive: Vec<(String, usize)> = services(&fleet)
        .into_iter()
        .map(|(version, pids)| (version, pids.len()))
        .collect();
    assert_eq!(alive, [("1.0".to_owned(), 5)]);
    assert!(visits.lost.is_empty(), "{:?}", visits.lost);

    // It stays said, for people too.
    let again = fleet.wavegate(&["resume", "last"]).expect(13);
    assert!(again.err.contains("rollback incomplete"), "{}", again.err);
    let history = fleet.wavegate(&["history", "last"]).expect(0).out;
    assert!(history.contains("site us-1 could not go back"), "{history}");
    fleet.down();
    fleet.assert_nothing_is_left();
}
