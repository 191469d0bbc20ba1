//! Worlds, watched without an engine.

use crate::{Scope, SimDriver, baseline};
use std::collections::BTreeMap;
use std::sync::Arc;
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::observation::Stamp;
use wavegate_model::plan::PlannedCluster;
use wavegate_model::release::Reversal;
use wavegate_model::simulation::{Fault, LatencyUnit, Metric, Network, Nodes, Traffic, Value};
use wavegate_model::{
    Cluster, ClusterName, CommandId, Digest, DurationMs, Epoch, Evidence, Generation, Permille,
    PlannedSite, Query, Release, Selector, Share, Simulation, Split, Timestamp,
};
use wavegate_ports::world::{Arrival, Change, Order, World as _};

fn new_release() -> Release {
    Release {
        version: "2".into(),
        digest: Digest::from_sha256(&[2; 32]),
        artifacts: BTreeMap::new(),
        reversal: Reversal::Possible,
    }
}

/// Sites of one cluster each.
fn scope(clusters: &[(&str, u32)]) -> Scope {
    let cluster = |(name, nodes): &(&str, u32)| Cluster {
        name: (*name).into(),
        labels: [("region".to_owned(), name[..2].to_owned())].into(),
        nodes: *nodes,
        driver: "local".into(),
        connection: "{}".into(),
    };
    let site = |(name, _): &(&str, u32)| PlannedSite {
        name: (*name).into(),
        clusters: vec![PlannedCluster {
            name: (*name).into(),
            role: String::new(),
        }],
    };
    Scope {
        clusters: clusters.iter().map(cluster).collect(),
        sites: clusters.iter().map(site).collect(),
        release: new_release(),
        splits_traffic: true,
        resolution: DurationMs(250),
    }
}

/// A world in which nothing goes wrong but what is asked for.
fn calm(faults: Vec<Fault>) -> Simulation {
    Simulation {
        bad: if faults.is_empty() {
            Permille::NONE
        } else {
            Permille::ALL
        },
        faults,
        nodes: Nodes {
            slow: Permille::NONE,
            flapping: Permille::NONE,
            ..Nodes::default()
        },
        traffic: Traffic {
            day: Permille::NONE,
            noise: Permille::NONE,
            fails_one_in: 0,
            ..Traffic::default()
        },
        network: Network {
            late: Permille::NONE,
            twice: Permille::NONE,
            fails: Permille::NONE,
            skew: DurationMs::ZERO,
            lost_every: DurationMs::ZERO,
            ..Network::default()
        },
        ..Simulation::default()
    }
}

struct Story {
    world: SimDriver,
    now: Timestamp,
    commands: u64,
    told: Vec<(Timestamp, Arrival)>,
}

impl Story {
    fn new(scope: &Scope, model: Simulation, seed: u64) -> Self {
        let world = SimDriver::new(scope, &Arc::new(model), seed).expect("it fits");
        let now = world.start();
        Self {
            world,
            now,
            commands: 0,
            told: Vec::new(),
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(DurationMs::secs(seconds));
        while let Some(arrival) = self.world.arrival(self.now) {
            self.told.push(arrival);
        }
    }

    fn stamp(&mut self) -> Stamp {
        self.commands += 1;
        Stamp {
            epoch: Epoch(1),
            generation: Generation(1),
            command: CommandId(self.commands),
        }
    }

    fn order(&mut self, change: Change, stamp: Stamp) {
        let order = Order {
            id: stamp.command,
            generation: stamp.generation,
            change,
        };
        self.world.order(self.now, order);
    }

    fn nodes(&mut self, cluster: &str, new: u32, old: u32) {
        let stamp = self.stamp();
        let change = Change::Nodes {
            cluster: cluster.into(),
            stamp,
            desired: new + old,
            nodes: vec![(new_release().digest, new), (baseline().digest, old)],
        };
        self.order(change, stamp);
    }

    fn traffic(&mut self, cluster: &str, new: u32) {
        let stamp = self.stamp();
        let share = |release: Release, share| Share {
            cluster: cluster.into(),
            release: release.digest,
            share: Permille(share),
        };
        let split = Split::new([share(new_release(), new), share(baseline(), 1000 - new)]);
        let change = Change::Traffic {
            site: cluster.into(),
            stamps: [(cluster.into(), stamp)].into(),
            split,
        };
        self.order(change, stamp);
    }

    /// All traffic and all nodes of a cluster on the new release.
    fn update(&mut self, cluster: &str, nodes: u32) {
        self.nodes(cluster, nodes, 0);
        self.pass(60);
        self.traffic(cluster, 1000);
        self.pass(1);
    }

    fn scope(&self, clusters: &[&str]) -> EvidenceScope {
        let all = clusters
            .iter()
            .map(|name| (ClusterName::new(*name), baseline().digest));
        EvidenceScope {
            now: self.now,
            start: Timestamp(0),
            release: new_release().digest,
            baselines: all.collect(),
            fresh_for: None,
        }
    }

    fn metric(&self, text: &str, clusters: &[&str]) -> Vec<f64> {
        let query = Query::Instant {
            slot: "metrics".into(),
            query: text.to_owned(),
        };
        let answer = self
            .world
            .answer(&"prom".into(), &query, &self.scope(clusters));
        let Ok(Evidence::Series(series)) = answer else {
            panic!("{answer:?}");
        };
        series
            .iter()
            .flat_map(|one| one.samples.iter().map(|(_, value)| *value))
            .collect()
    }
}

fn metric(contains: &str, value: Value) -> Metric {
    Metric {
        source: "prom".into(),
        contains: contains.to_owned(),
        value,
        unit: LatencyUnit::default(),
        cluster_label: None,
    }
}

fn with_metrics(mut model: Simulation) -> Simulation {
    model.metrics = vec![
        metric("errors", Value::ErrorRatio),
        metric("requests", Value::RequestRate),
        metric("p95", Value::P95),
        Metric {
            unit: LatencyUnit::Milliseconds,
            ..metric("ms95", Value::P95)
        },
    ];
    model
}

#[test]
fn the_same_seed_gives_the_same_world_and_another_one_another() {
    let told = |seed| {
        let mut story = Story::new(
            &scope(&[("eu-1", 20), ("us-1", 20)]),
            Simulation::default(),
            seed,
        );
        story.pass(5);
        story.nodes("eu-1", 20, 0);
        story.pass(120);
        format!("{:?} {:?}", story.told, story.world.exposure(story.now))
    };
    assert_eq!(told(1), told(1));
    assert_ne!(told(1), told(2));
}

#[test]
fn nodes_start_in_their_time_and_traffic_goes_where_it_is_sent() {
    let mut story = Story::new(&scope(&[("eu-1", 100)]), with_metrics(calm(vec![])), 3);
    story.pass(2);
    story.nodes("eu-1", 50, 50);
    story.pass(4);
    let ready = |story: &Story| {
        let seen = story
            .told
            .iter()
            .rev()
            .find_map(|(_, arrival)| match arrival {
                Arrival::Seen { seen, .. } => Some(seen.of(&new_release().digest)),
                _ => None,
            });
        seen.expect("it was seen")
    };
    let early = ready(&story);
    // Three seconds is the median of a start, half a second the stop before it.
    assert!((10..40).contains(&early.ready), "{early:?}");
    assert_eq!(early.total(), 50);
    story.pass(60);
    assert_eq!((ready(&story).ready, ready(&story).unready), (50, 0));
    story.traffic("eu-1", 250);
    story.pass(70);
    let rate = story.metric(r#"requests{cluster="eu-1",cohort="new"}[1m]"#, &["eu-1"])[0];
    assert!(
        (rate - 500.0).abs() < 15.0,
        "a quarter of 100 nodes with 20 each: {rate}"
    );
    let again = story.metric(r#"requests{cluster="eu-1",cohort="new"}[1m]"#, &["eu-1"])[0];
    assert!((rate - again).abs() < f64::EPSILON, "asked twice");
}

#[test]
fn a_fault_shows_when_and_where_its_description_says() {
    let errors = |fault: Fault, cluster: &str, wait: u64| {
        let fleet = scope(&[("eu-1", 10), ("us-1", 10)]);
        let mut story = Story::new(&fleet, with_metrics(calm(vec![fault])), 4);
        story.pass(2);
        story.update(cluster, 10);
        story.pass(wait);
        let text = format!(r#"errors{{cluster="{cluster}",cohort="new"}}[20s]"#);
        story.metric(&text, &["eu-1", "us-1"])[0]
    };
    let about = |found: f64, wanted: f64| {
        assert!((found - wanted).abs() < 0.04, "{found} instead of {wanted}");
    };
    let broken = Fault {
        errors: Permille(200),
        ..Fault::named("broken")
    };
    about(errors(broken.clone(), "eu-1", 20), 0.2);
    let late = Fault {
        after: DurationMs::secs(180),
        ..broken.clone()
    };
    about(errors(late.clone(), "eu-1", 60), 0.0);
    about(errors(late, "eu-1", 240), 0.2);
    let in_us = Fault {
        clusters: Selector {
            labels: [("region".to_owned(), "us".to_owned())].into(),
            names: Vec::new(),
        },
        ..broken.clone()
    };
    about(errors(in_us.clone(), "eu-1", 20), 0.0);
    about(errors(in_us, "us-1", 20), 0.2);
    let under_load = |percent| Fault {
        load: Some(percent),
        ..broken.clone()
    };
    about(errors(under_load(150), "eu-1", 20), 0.0);
    about(errors(under_load(50), "eu-1", 20), 0.2);
}

#[test]
fn a_slow_release_shows_in_latency_and_a_broken_start_in_nodes() {
    let slow = Fault {
        latency: 1000,
        ..Fault::named("slow")
    };
    let mut story = Story::new(&scope(&[("eu-1", 10)]), with_metrics(calm(vec![slow])), 5);
    story.pass(2);
    story.update("eu-1", 10);
    story.pass(60);
    let p95 = story.metric(r#"p95{cluster="eu-1",cohort="new"}"#, &["eu-1"])[0];
    assert!(
        (1.0..1.5).contains(&p95),
        "ten times 120 ms, in seconds: {p95}"
    );
    let ms = story.metric(r#"ms95{cluster="eu-1",cohort="new"}"#, &["eu-1"])[0];
    assert!((ms - p95 * 1000.0).abs() < 1e-6, "{p95} s, and {ms} ms");

    let dead = Fault {
        start: Permille::ALL,
        ..Fault::named("dead")
    };
    let mut story = Story::new(&scope(&[("eu-1", 10)]), calm(vec![dead]), 6);
    story.pass(2);
    story.nodes("eu-1", 4, 6);
    story.pass(60);
    let exposure = story.world.exposure(story.now);
    assert_eq!(
        (exposure.nodes, exposure.clusters),
        (0, 0),
        "none ever served"
    );
}

#[test]
fn exposure_is_the_traffic_that_the_release_got() {
    let broken = Fault {
        errors: Permille(500),
        ..Fault::named("broken")
    };
    let mut story = Story::new(&scope(&[("eu-1", 10)]), calm(vec![broken]), 7);
    story.pass(2);
    story.nodes("eu-1", 5, 5);
    story.pass(60);
    let before = story.world.exposure(story.now);
    assert_eq!((before.nodes, before.harmful), (5, 5));
    assert!(before.exposed == 0.0, "no traffic yet");
    story.traffic("eu-1", 500);
    story.pass(100);
    let after = story.world.exposure(story.now);
    // Half of 200 requests a second for 100 seconds, of which half fail.
    assert!((after.exposed - 10_000.0).abs() < 50.0, "{after:?}");
    assert!((after.harmed - 5000.0).abs() < 25.0, "{after:?}");
}

#[test]
fn commands_come_twice_and_late_and_are_carried_out_once() {
    let mut model = calm(vec![]);
    model.network.twice = Permille(500);
    model.network.late = Permille(500);
    let mut story = Story::new(&scope(&[("eu-1", 10)]), model, 8);
    story.pass(10);
    for new in 1..=10 {
        story.nodes("eu-1", new, 10 - new);
        story.pass(60);
    }
    let answers = story
        .told
        .iter()
        .filter(|(_, a)| matches!(a, Arrival::Answered { .. }));
    assert!(answers.count() > 12, "some come twice");
    assert_eq!(
        story.world.exposure(story.now).nodes,
        10,
        "each node was started once"
    );
    let looks: Vec<Timestamp> = story
        .told
        .iter()
        .filter_map(|(_, arrival)| match arrival {
            Arrival::Seen { seen, .. } => Some(seen.at),
            _ => None,
        })
        .collect();
    assert!(
        looks.windows(2).any(|pair| pair[0] > pair[1]),
        "an older look came after a newer one"
    );
}

#[test]
fn a_cluster_that_cannot_be_reached_comes_back() {
    let mut model = calm(vec![]);
    model.network.lost_every = DurationMs::secs(600);
    model.network.lost_for = DurationMs::secs(30);
    let mut story = Story::new(&scope(&[("eu-1", 3)]), model, 9);
    story.pass(7200);
    let kinds: String = story
        .told
        .iter()
        .map(|(_, arrival)| match arrival {
            Arrival::Lost { .. } => 'l',
            Arrival::Seen { .. } => 's',
            _ => '-',
        })
        .collect();
    assert!(kinds.contains("ls"), "{kinds}");
}

#[test]
fn a_query_that_the_simulation_does_not_know_has_no_answer() {
    let story = Story::new(&scope(&[("eu-1", 3)]), with_metrics(calm(vec![])), 10);
    let query = Query::Instant {
        slot: "metrics".into(),
        query: "something_else".into(),
    };
    let answer = story
        .world
        .answer(&"prom".into(), &query, &story.scope(&["eu-1"]));
    assert_eq!(answer.unwrap_err().query, "something_else");
    let nowhere = Fault {
        clusters: Selector {
            labels: Default::default(),
            names: vec!["mars-1".into()],
        },
        ..Fault::named("far")
    };
    let fleet = scope(&[("eu-1", 3)]);
    let bad = SimDriver::new(&fleet, &Arc::new(calm(vec![nowhere])), 1).unwrap_err();
    assert!(
        bad.to_string().contains("`far` shows in no cluster"),
        "{bad}"
    );
}
