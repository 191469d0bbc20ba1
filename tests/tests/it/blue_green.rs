//! A pair of clusters behind one front door: the idle one takes the release, then the traffic.

use serde_json::Value;
use wavegate_tests::fleet::{Done, Fleet, Load, ask};

/// Both clusters at one front door; the green one is set up without traffic.
const FLEET: &str = "\
apiVersion: wavegate.dev/v1alpha1
kind: Fleet
metadata: {name: demo}
spec:
  clusters:
    - name: eu-1-blue
      labels: {tier: shop, site: eu-1, role: blue}
      nodes: 3
      driver: local
      local: {dir: clusters/eu-1-blue, frontDoor: \"127.0.0.1:@DOOR@\"}
    - name: eu-1-green
      labels: {tier: shop, site: eu-1, role: green}
      nodes: 3
      driver: local
      local: {dir: clusters/eu-1-green, frontDoor: \"127.0.0.1:@DOOR@\", standby: true}
";

const POLICY: &str = "\
apiVersion: wavegate.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: careful}
spec:
  waves:
    - name: all
      clusters: {labels: {tier: shop}}
  siteBy: site
  roleBy: role
  batch: {size: 3, maxUnavailable: 1}
  timeLimits:
    batchProgress: {after: 60s, then: fail}
    cluster: {after: 5m, then: fail}
  failure:
    tolerate: 0
    then: rollBackTouched
    rollback: {batch: 100%, maxUnavailable: 1, maxParallelSites: 1, progress: 60s}
  strategy:
    plugin: {shipped: blue-green}
    config: {traffic: [20%, 100%], wait: @WAIT@, afterwards: keep}
  gates:
    - name: success
      plugin: {shipped: probe}
      config: {minSuccess: 99%, minRequests: 5, window: 5s}
      phases: [afterBatch, continuous]
      interval: 500ms
      minSamples: 5
      slots: {probe: nodes}
";

/// A site of two clusters on 1.0 of which the blue one has all traffic.
fn pair(wait: &str) -> Fleet {
    let fleet = Fleet::quickstart();
    let door = fleet.port().to_string();
    fleet.write("fleet.yaml", &FLEET.replace("@DOOR@", &door));
    fleet.write("policy.yaml", &POLICY.replace("@WAIT@", wait));
    fleet.up();
    fleet
}

fn report(done: &Done) -> Value {
    done.json().pop().expect("there is a report")
}

/// The clusters whose nodes a rollout moved, in order, as the history tells it.
fn moved(fleet: &Fleet, rollout: &str) -> Vec<String> {
    let history = fleet.wavegate(&["history", rollout]).expect(0);
    let moves = history.out.lines().filter_map(|line| {
        // As in `site eu-1: cluster eu-1-green to 3 new and 0 baseline nodes`.
        let (_, change) = line.split_once(": cluster ")?;
        let (cluster, target) = change.split_once(" to ")?;
        target
            .ends_with(" baseline nodes")
            .then(|| cluster.to_owned())
    });
    moves.collect()
}

/// Every answer at the door is that of this release.
fn assert_serves(fleet: &Fleet, version: &str) {
    let [door, ..] = fleet.doors();
    for _ in 0..8 {
        let answer = ask(door);
        let welcome = format!("welcome to shop {version}");
        assert!(answer.contains(&welcome), "{answer}");
    }
}

#[test]
fn a_pair_takes_turns_without_losing_a_request() {
    let fleet = pair("500ms");
    let [door, ..] = fleet.doors();
    let load = Load::start(&fleet, door);

    let done = fleet
        .wavegate(&["run", "demo", "--format", "json"])
        .expect(0);
    let second = report(&done);
    assert_eq!(second["outcome"], "done");
    assert_eq!(second["sites"]["eu-1"], "done");
    assert_eq!(second["exposed_nodes"], 3, "the idle cluster and no other");
    assert_serves(&fleet, "2.0");
    assert_eq!(moved(&fleet, "shop-2"), ["eu-1-green"]);

    // The next release finds the other cluster idle.
    let text = fleet.read("releases.yaml");
    let two = text
        .split("---\n")
        .find(|document| document.contains("shop-2.0"));
    let three = two.expect("it has 2.0").replace("2.0", "3.0");
    let rollout = fleet.read("rollout.yaml");
    let rollout = rollout.replace("shop-2.0", "shop-3.0");
    let rollout = rollout.replace("name: shop-2}", "name: shop-3}");
    fleet.write("next.yaml", &format!("{three}\n---\n{rollout}"));
    let done = fleet
        .wavegate(&["run", "demo", "--rollout", "shop-3", "--format", "json"])
        .expect(0);
    let third = report(&done);
    assert_eq!(third["outcome"], "done");
    assert_serves(&fleet, "3.0");
    assert_eq!(moved(&fleet, "shop-3"), ["eu-1-blue"]);

    let answers = load.stop();
    assert_eq!(answers.lost(), 0, "{answers:?}");
    for report in [second, third] {
        let digest = report["digest"].as_str().expect("the report has a digest");
        assert!(answers.of(digest) > 0, "{digest} in {answers:?}");
    }
    fleet.down();
    fleet.assert_nothing_is_left();
}

#[test]
fn a_bad_release_leaves_the_live_cluster_of_a_pair_alone() {
    // It answers with errors three seconds after its start: while the first share is watched.
    let fleet = pair("60s");
    let [door, ..] = fleet.doors();
    let load = Load::start(&fleet, door);
    let arguments = ["run", "demo", "demo/bad", "--rollout", "shop-bad"];
    let done = fleet
        .wavegate(&[&arguments[..], &["--format", "json"]].concat())
        .expect(11);
    let answers = load.stop();

    let report = report(&done);
    assert_eq!(report["outcome"], "rolled back");
    assert_eq!(report["sites"]["eu-1"], "rolled back");
    assert_eq!(report["broken"][0]["gate"], "success");
    assert_eq!(moved(&fleet, "shop-bad"), ["eu-1-green", "eu-1-green"]);

    // Only the bad release's own share of the traffic had bad answers.
    let digest = report["digest"].as_str().expect("the report has a digest");
    let bad = answers
        .counts
        .iter()
        .filter(|((_, status), _)| *status != 200);
    assert!(bad.clone().count() > 0, "{answers:?}");
    assert!(
        bad.clone().all(|((release, _), _)| release == digest),
        "{answers:?}"
    );
    assert_eq!(answers.errors, 0);
    assert_eq!(report["requests"]["other_failed"], 0);
    assert_serves(&fleet, "1.0");
    fleet.down();
    fleet.assert_nothing_is_left();
}
