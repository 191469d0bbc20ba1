//! The fleet changes while a rollout runs, and a second rollout comes for the same clusters.

use rustix::process::Signal;
use wavegate_tests::fleet::{Done, Fleet, Running, ports, wait_for};
use wavegate_tests::stories::side_by_side;

/// Half of a site, then a person.
const ASKS: &str = "    plugin: {shipped: canary}
    config: {stages: [{nodes: 50%, approval: look at the first node}]}";

const RUN: [&str; 6] = ["run", "demo", "--rollout", "shop-2", "--format", "human"];

fn steer(fleet: &Fleet, verb: &str, rollout: &str) -> Done {
    fleet.wavegate(&[verb, rollout, "--reason", "as planned"])
}

/// A small fleet with a fourth cluster, `ap-2`, that runs and is not in the document.
fn with_a_spare(strategy: &str, policy: &str) -> (Fleet, String) {
    let fleet = Fleet::small(strategy);
    fleet.replace(
        "policy.yaml",
        "  failure:\n",
        &format!("{policy}  failure:\n"),
    );
    let without = fleet.read("fleet.yaml");
    let spare = format!(
        "    - name: ap-2
      labels: {{region: ap, tier: main}}
      nodes: 2
      driver: local
      local: {{dir: clusters/ap-2, frontDoor: \"127.0.0.1:{}\"}}
",
        ports()
    );
    fleet.write("fleet.yaml", &format!("{without}{spare}"));
    fleet.up();
    // What stops the fleet finds all clusters, whatever the rollout's own document says.
    let all = fleet.read("fleet.yaml").replace("name: demo", "name: all");
    let rollout = "apiVersion: wavegate.dev/v1alpha1
kind: Rollout
metadata: {name: everything}
spec: {service: shop, policy: careful, fleet: all, release: shop-2.0}
";
    fleet.write("all.yaml", &format!("{all}---\n{rollout}"));
    fleet.write("fleet.yaml", &without);
    (fleet, spare)
}

/// The host goes at once.
fn kill(run: Running) {
    run.signal(Signal::KILL);
    run.end();
}

fn first_site_waits(run: &mut Running) {
    run.line("site eu-1: stage 1 waits for a person");
}

#[test]
fn clusters_that_come_and_go_while_a_rollout_runs_are_followed() {
    let (fleet, spare) = with_a_spare(ASKS, "  membership: {added: append}\n");
    let without = fleet.read("fleet.yaml");
    let mut run = fleet.start(&RUN);
    first_site_waits(&mut run);

    // A broken version changes nothing; the policy is not followed.
    fleet.write("fleet.yaml", &format!("{without}    - name: broken\n"));
    run.line("it goes on with the fleet as it was");
    fleet.replace("policy.yaml", "batch: {size: 2", "batch: {size: 1");
    let us = without.find("    - name: us-1").expect("it is there");
    let ap = without.find("    - name: ap-1").expect("it is there");
    let changed = format!("{}{}{spare}", &without[..us], &without[ap..]);
    fleet.write("fleet.yaml", &changed);
    run.line("policy `careful` has changed; a rollout that runs keeps");
    run.line("plan 2, by ada: the fleet's document has changed");

    let status = fleet.wavegate(&["status", "last"]).expect(0).out;
    for told in [
        "generation 2",
        "cluster ap-2 came into wave rest",
        "cluster us-1 left untouched",
    ] {
        assert!(status.contains(told), "no `{told}` in\n{status}");
    }
    steer(&fleet, "approve", "last").expect(0);
    for site in ["ap-1", "ap-2"] {
        run.line(&format!("site {site}: stage 1 waits for a person"));
    }
    // A touched cluster goes: its site is let go as it stands, and that is said at the end.
    fleet.write("fleet.yaml", &format!("{}{spare}", &without[..us]));
    run.line("cluster ap-1 left and was let go as it stood: 1 of 2 nodes ran the release");
    steer(&fleet, "approve", "last").expect(0);
    let done = run.end().expect(0);
    for told in [
        "site      ap-2 (wave rest): done; 2/2 nodes",
        "fleet     cluster ap-1 left and was let go",
        "fleet     cluster us-1 left untouched",
    ] {
        assert!(done.out.contains(told), "no `{told}` in\n{}", done.out);
    }
}

/// A policy that names no class of resources starts with those of its components, and a swap
/// changes what the rollout has: neither is a change of the documents.
#[test]
fn a_resume_tells_of_documents_that_changed_and_of_no_others() {
    let fleet = Fleet::small(ASKS);
    fleet.up();
    let patient = ["run", "demo", "--exit-on-hold"];
    fleet.wavegate(&patient).expect(10);
    let said = said_at_resume(&fleet);
    assert!(!said.contains("has changed"), "{said}");

    let config = "stages: [{nodes: 50%, approval: look once more}]\n";
    std::fs::write(fleet.folder().join("other.yaml"), config).expect("the folder can be written");
    let swap = ["plugin", "swap", "last", "strategy=canary", "--reason", "x"];
    let swap = [&swap[..], &["--config", "other.yaml"]].concat();
    fleet.wavegate(&swap).expect(0);
    // The swap waits in the inbox, and a host that ends at a hold takes it first.
    fleet
        .wavegate(&["resume", "last", "--exit-on-hold"])
        .expect(10);
    let explained = fleet.wavegate(&["explain", "last"]).expect(0).out;
    assert!(explained.contains("look once more"), "{explained}");
    let said = said_at_resume(&fleet);
    assert!(!said.contains("has changed"), "{said}");

    fleet.replace("policy.yaml", "batch: {size: 2", "batch: {size: 1");
    let said = said_at_resume(&fleet);
    let told = "policy `careful` has changed; a rollout that runs keeps";
    assert!(said.contains(told), "{said}");
}

/// What a host says when it looks at the documents; a new label is said last, and changes nothing.
fn said_at_resume(fleet: &Fleet) -> String {
    let known = fleet.read("fleet.yaml");
    fleet.replace("fleet.yaml", "tier: canary}", "tier: canary, new: label}");
    let mut run = fleet.start(&["resume", "last", "--format", "human"]);
    run.line("cluster `eu-1` is described otherwise now");
    run.signal(Signal::KILL);
    let said = run.end().err;
    fleet.write("fleet.yaml", &known);
    said
}

#[test]
fn a_fleet_that_changed_while_no_host_ran_is_seen_at_the_resume() {
    let (fleet, spare) = with_a_spare(ASKS, "  membership: {added: ownWave}\n");
    let without = fleet.read("fleet.yaml");
    let patient = ["run", "demo", "--rollout", "shop-2", "--exit-on-hold"];
    fleet.wavegate(&patient).expect(10);
    fleet.write("fleet.yaml", &format!("{without}{spare}"));
    let mut run = fleet.start(&["resume", "last", "--format", "human"]);
    run.line("cluster ap-2 came into wave added");
    steer(&fleet, "approve", "last").expect(0);
    for site in ["us-1", "ap-1"] {
        run.line(&format!("site {site}: stage 1 waits for a person"));
    }
    steer(&fleet, "approve", "last").expect(0);
    run.line("site ap-2: stage 1 waits for a person");
    steer(&fleet, "approve", "last").expect(0);
    let done = run.end().expect(0);
    assert!(
        done.out.contains("site      ap-2 (wave added): done; 2/2"),
        "{}",
        done.out
    );

    // What a policy with other waves would have been told of the new fleet, nobody knows.
    let policy = fleet.read("policy.yaml");
    let same = policy.replacen("{size: 2", "{size: 2 ", 1);
    let other = policy.replacen("{labels: {tier: canary}}", "{names: [eu-1]}", 1);
    for (policy, told) in [
        (same, "decides the same to the end"),
        (
            other,
            "the fleet changed, and this policy chooses clusters otherwise",
        ),
    ] {
        let file = fleet.folder().join("other.yaml");
        std::fs::write(&file, policy).expect("the folder can be written");
        let with = format!("policy={}", file.display());
        let replayed = fleet.wavegate(&["replay", "last", "--with", &with, "--format", "human"]);
        let out = replayed.expect(0).out;
        assert!(out.contains(told), "no `{told}` in\n{out}");
    }
}

/// The documents once more, with another rollout of the release that is good.
fn second(fleet: &Fleet, when_busy: &str) {
    let policy = fleet
        .read("policy.yaml")
        .replace("name: careful", "name: second");
    let policy = policy.replace(
        "  failure:\n",
        &format!("  whenBusy: {when_busy}\n  failure:\n"),
    );
    let policy = policy.replace(ASKS, "    plugin: {shipped: rolling}");
    fleet.write("second-policy.yaml", &policy);
    let releases = fleet.read("releases.yaml");
    let at = releases.find("name: shop-2.0").expect("it is there");
    let begin = releases[..at].rfind("apiVersion").expect("it begins");
    let end = releases[at..]
        .find("\n---")
        .map_or(releases.len(), |end| at + end);
    let third = releases[begin..end].replace("2.0", "3.0");
    fleet.write("third.yaml", &third);
    fleet.write(
        "second.yaml",
        "apiVersion: wavegate.dev/v1alpha1
kind: Rollout
metadata: {name: shop-3}
spec: {service: shop, policy: second, fleet: demo, release: shop-3.0}
",
    );
}

const SECOND: [&str; 6] = ["run", "demo", "--rollout", "shop-3", "--format", "human"];

#[test]
fn a_second_rollout_for_the_same_clusters_is_refused_or_waits() {
    let fleet = Fleet::small(ASKS);
    fleet.up();
    second(&fleet, "refuse");
    let mut run = fleet.start(&RUN);
    first_site_waits(&mut run);
    let refused = fleet.wavegate(&SECOND).expect(12);
    assert!(refused.err.contains("is unfinished in"), "{}", refused.err);

    second(&fleet, "queue");
    let mut queued = fleet.start(&SECOND);
    queued.line("it waits for other rollouts: shop-2-");
    let explained = fleet.wavegate(&["explain", "shop-3"]).expect(0).out;
    assert!(
        explained.contains("its place in the queue: rollout shop-2-"),
        "{explained}"
    );
    let other = fleet.wavegate(&["explain", "shop-2"]).expect(0).out;
    assert!(other.contains("waits until this one has ended"), "{other}");

    // It survives its host, and queues again.
    kill(queued);
    let mut queued = fleet.start(&["resume", "shop-3", "--format", "human"]);
    steer(&fleet, "rollback", "shop-2").expect(0);
    run.end().expect(11);
    queued.line("no other rollout is at work in its clusters");
    let done = queued.end().expect(0);
    assert!(done.out.contains("shop 3.0: done"), "{}", done.out);
}

#[test]
fn a_cluster_that_comes_while_its_rollout_is_queued_is_updated() {
    let (fleet, spare) = with_a_spare(ASKS, "");
    second(&fleet, "queue\n  membership: {added: append}");
    let mut run = fleet.start(&RUN);
    first_site_waits(&mut run);
    let mut queued = fleet.start(&SECOND);
    queued.line("it waits for other rollouts: shop-2-");
    let without = fleet.read("fleet.yaml");
    fleet.write("fleet.yaml", &format!("{without}{spare}"));
    queued.line("cluster ap-2 came into wave rest");
    steer(&fleet, "rollback", "shop-2").expect(0);
    run.end().expect(11);
    let done = queued.end().expect(0);
    assert!(
        done.out.contains("site      ap-2 (wave rest): done; 2/2"),
        "{}",
        done.out
    );
}

#[test]
fn a_newer_release_takes_over_also_when_the_host_of_the_earlier_one_is_dead() {
    let fleet = Fleet::small(ASKS);
    fleet.up();
    second(&fleet, "supersede");
    let mut run = fleet.start(&RUN);
    first_site_waits(&mut run);
    steer(&fleet, "approve", "shop-2").expect(0);
    for site in ["us-1", "ap-1"] {
        run.line(&format!("site {site}: stage 1 waits for a person"));
    }
    kill(run);

    let done = fleet.wavegate(&SECOND).expect(0);
    assert!(done.out.contains("shop 3.0: done"), "{}", done.out);
    let earlier = fleet.wavegate(&["history", "shop-2"]).expect(0).out;
    for told in [
        "ada started the newer rollout shop-3-",
        "shop 3.0 is rolled out",
        "site us-1 is back on its baseline",
        "the rollout has ended: superseded by a newer rollout",
    ] {
        assert!(earlier.contains(told), "no `{told}` in\n{earlier}");
    }
    assert!(!earlier.contains("site eu-1 goes back"), "{earlier}");
    let status = fleet.wavegate(&["status", "shop-3"]).expect(0).out;
    assert!(
        status.contains("eu-1: done, stage rolling; 2/2 nodes"),
        "{status}"
    );
}

#[test]
fn a_running_rollout_makes_room_for_a_newer_one() {
    let fleet = Fleet::small(ASKS);
    fleet.up();
    second(&fleet, "supersede");
    let mut run = fleet.start(&RUN);
    first_site_waits(&mut run);
    let newer = fleet.wavegate(&SECOND).expect(0);
    assert!(newer.out.contains("shop 3.0: done"), "{}", newer.out);
    let earlier = run.end().expect(14);
    assert!(
        earlier.out.contains("superseded by a newer rollout"),
        "{}",
        earlier.out
    );
}

#[test]
fn totals_that_change_in_the_middle_of_a_site_are_followed() {
    let fleet = Fleet::small(ASKS);
    fleet.up();
    let mut run = fleet.start(&RUN);
    first_site_waits(&mut run);
    let desired = |nodes: &str| fleet.write("clusters/eu-1/shop/desired", nodes);
    desired("4\n");
    // The first stage is gone through again if the total is noticed after the approval.
    wait_for("the end of the first wave", || {
        let why = fleet.wavegate(&["explain", "last"]).out;
        if why.contains("site eu-1 waits for a person") {
            // Whatever it says: it may not wait any more.
            let _told = steer(&fleet, "approve", "last");
        }
        why.contains("site us-1 waits for a person").then_some(())
    });
    steer(&fleet, "rollback", "last").expect(0);
    let done = run.end().expect(11);
    assert!(
        done.out.contains("eu-1 (wave first): rolled back; 0/4"),
        "{}",
        done.out
    );
}

/// Each in a cluster of its own size: half of the nodes first, both releases side by side, one
/// node at a time.
const STRATEGIES: [(&str, &str); 3] = [
    (
        "canary",
        "    plugin: {shipped: canary}\n    config: {stages: [{nodes: 50%, wait: 1s}]}",
    ),
    (
        "blue-green",
        "    plugin: {shipped: blue-green}
    config: {traffic: [50%, 100%], wait: 1s, delay: 1s, afterwards: scale-to-zero}",
    ),
    ("rolling", "    plugin: {shipped: rolling}"),
];

#[test]
fn totals_that_an_autoscaler_changes_are_followed_by_each_strategy() {
    let name = |(name, _): &(&str, &str)| (*name).to_owned();
    side_by_side(STRATEGIES.len(), &STRATEGIES, name, |(name, strategy)| {
        let fleet = Fleet::small(strategy);
        if *name == "blue-green" {
            let surge = "maxUnavailable: 1, maxSurge: 4}\n  timeLimits";
            fleet.replace("policy.yaml", "maxUnavailable: 1}\n  timeLimits", surge);
        }
        fleet.up();
        let mut run = fleet.start(&RUN);
        run.line("site eu-1: the batch serves");
        fleet.write("clusters/eu-1/shop/desired", "3\n");
        run.line("site us-1: the batch serves");
        fleet.write("clusters/us-1/shop/desired", "1\n");
        let done = run.end().expect(0);
        for told in [
            "eu-1 (wave first): done; 3/3",
            "us-1 (wave rest): done; 1/1",
            "ap-1 (wave rest): done; 2/2",
        ] {
            assert!(done.out.contains(told), "no `{told}` in\n{}", done.out);
        }
        "3 nodes of 2, 1 of 2".to_owned()
    });
}
