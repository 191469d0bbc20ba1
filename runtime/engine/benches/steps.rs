//! How many steps one core makes, and what the auditor costs.
//!
//! `cargo bench -p wavegate-engine`. Whole rollouts over 100 and over 10,000 clusters of two
//! nodes each, in a world that answers at once; with and without the auditor in turns, medians of
//! five rounds. Both fleets have the same policy, ten sites in flight; the large one also goes with
//! a tenth of it in flight, which shows what it costs that the state of a thousand sites does not
//! fit the caches next to a core. A step takes one input; facts are not written anywhere. Only what the engine and
//! the auditor do is timed, not the world that they are shown.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "../tests/it/minds.rs"]
#[expect(dead_code, reason = "one strategy and one gate are measured")]
mod minds;
#[path = "../tests/it/rng.rs"]
mod rng;
#[path = "../tests/it/scenario.rs"]
#[expect(dead_code, reason = "the scenes of tests are larger")]
mod scenario;

use minds::GateMind;
use rng::Rng;
use scenario::{Scenario, WaveDef, digest, new_release, release, single};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use wavegate_engine::audit::Auditor;
use wavegate_engine::command::Change;
use wavegate_engine::input::CommandResult;
use wavegate_engine::{Answer, Command, Effect, End, Engine, Input, Observation, Spec, Step};
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::Phase;
use wavegate_model::policy::{GateBudget, GateUse, OnUnavailable, PluginRef};
use wavegate_model::release::Reversal;
use wavegate_model::{
    ClusterName, ClusterObservation, Digest, DurationMs, Epoch, NodeCounts, Permille, Timestamp,
};

const ROUNDS: usize = 5;
/// Of the auditor, and of a large fleet over a small one.
const TARGET: f64 = 1.5;
const SMALL: usize = 100;
const LARGE: usize = 10_000;
/// Sites in flight.
const FEW: u32 = 10;
const MANY: u32 = 1000;

fn main() {
    // `cargo test --benches` starts this with no `--bench`: then there is nothing to do.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut fleets = [
        Fleet::new(SMALL, FEW),
        Fleet::new(LARGE, FEW),
        Fleet::new(LARGE, MANY),
    ];
    for _ in 0..ROUNDS {
        for fleet in &mut fleets {
            fleet.round();
        }
    }
    let [small, large, wide] = fleets;
    let ratios = |small: f64, large: f64, wide: f64, what: &str| {
        let name = format!("{what}, {SMALL} clusters over {LARGE}");
        figure(&name, small / large, "times", &format!("at most {TARGET}"));
        let name = format!("{name} with {MANY} in flight");
        figure(&name, small / wide, "times", "");
    };
    ratios(small.plain(), large.plain(), wide.plain(), "steps");
    ratios(
        small.audited(),
        large.audited(),
        wide.audited(),
        "audited steps",
    );
}

/// A fleet and what was measured of it.
struct Fleet {
    clusters: usize,
    in_flight: u32,
    scenario: Scenario,
    /// Steps per second, a value for each round.
    without: Vec<f64>,
    /// The same with the auditor.
    with: Vec<f64>,
}

impl Fleet {
    fn new(clusters: usize, in_flight: u32) -> Self {
        Self {
            clusters,
            in_flight,
            scenario: rollout(clusters, in_flight),
            without: Vec::new(),
            with: Vec::new(),
        }
    }

    fn round(&mut self) {
        // Small fleets repeat, so that a round takes long enough to be timed.
        let repeat = LARGE / self.clusters;
        for (audit, values) in [(Audit::Off, &mut self.without), (Audit::On, &mut self.with)] {
            values.push(steps_per_second(&self.scenario, repeat, audit));
        }
    }

    fn name(&self) -> String {
        let Self {
            clusters,
            in_flight,
            ..
        } = self;
        format!("{clusters} clusters, {in_flight} in flight")
    }

    fn plain(&self) -> f64 {
        let plain = median(self.without.clone());
        figure(&format!("steps, {}", self.name()), plain, "per second", "");
        plain
    }

    fn audited(&self) -> f64 {
        let (plain, audited) = (median(self.without.clone()), median(self.with.clone()));
        figure(
            &format!("audited steps, {}", self.name()),
            audited,
            "per second",
            "",
        );
        figure(
            &format!("cost of the auditor, {}", self.name()),
            plain / audited,
            "times",
            &format!("at most {TARGET}"),
        );
        audited
    }
}

fn figure(name: &str, median: f64, unit: &str, target: &str) {
    let figure = serde_json::json!({
        "name": name,
        "median": (median * 100.0).round() / 100.0,
        "unit": unit,
        "rounds": ROUNDS,
        "target": target,
    });
    println!("figure: {figure}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Sites of one cluster, a gate after each batch.
fn rollout(clusters: usize, in_flight: u32) -> Scenario {
    let mut scenario = Scenario {
        waves: vec![WaveDef {
            name: "all".to_string(),
            sites: (0..clusters)
                .map(|n| single(&format!("c{n:05}"), 2))
                .collect(),
            parallel: in_flight,
            site_soak: DurationMs::ZERO,
            soak: DurationMs::ZERO,
            approval: None,
            approvers: Default::default(),
            gates: None,
            after: Vec::new(),
        }],
        ..Scenario::default()
    };
    scenario.gates.push(GateUse {
        name: "g".into(),
        plugin: PluginRef::Shipped("g".to_string()),
        config: "{}".to_string(),
        phases: [Phase::AfterBatch].into(),
        interval: DurationMs::secs(5),
        slots: BTreeMap::new(),
        budget: GateBudget::default(),
        min_samples: 1,
        passes: 1,
        fresh_for: None,
        trial: false,
        on_unavailable: OnUnavailable::Hold,
        limits: CallLimits::SMALL,
        class: None,
    });
    scenario
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Audit {
    On,
    Off,
}

fn steps_per_second(scenario: &Scenario, repeat: usize, audit: Audit) -> f64 {
    let spec = scenario.spec();
    let (mut steps, mut seconds) = (0, 0.0);
    for _ in 0..repeat {
        let mut world = World::new(scenario);
        steps += world.run(&spec, audit);
        seconds += world.timed.as_secs_f64();
    }
    f64::from(steps) / seconds
}

/// Clusters that do at once what they are told.
struct World<'a> {
    scenario: &'a Scenario,
    now: u64,
    clusters: BTreeMap<ClusterName, ClusterObservation>,
    inputs: VecDeque<Input>,
    rng: Rng,
    /// What the engine and the auditor took so far.
    timed: Duration,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let ready = NodeCounts {
            ready: 2,
            unready: 0,
            failed: 0,
        };
        let all = |n| {
            let release = release(n, Reversal::Possible);
            (release.digest.clone(), release)
        };
        let seen = ClusterObservation {
            at: Timestamp(0),
            desired: 2,
            nodes: [(digest(1), ready)].into(),
            releases: [all(1)].into(),
            traffic: Some([(digest(1), Permille::ALL)].into()),
            busy: false,
            last_nodes: None,
            last_traffic: None,
        };
        let names = scenario
            .clusters()
            .map(|c| ClusterName::new(c.name.clone()));
        Self {
            scenario,
            now: 1_000_000,
            clusters: names.map(|name| (name, seen.clone())).collect(),
            inputs: VecDeque::new(),
            rng: Rng::new(1),
            timed: Duration::ZERO,
        }
    }

    fn run(&mut self, spec: &Spec, audit: Audit) -> u32 {
        let mut auditor = Auditor::new(spec);
        let (mut engine, mut step) = Engine::start(Timestamp(self.now), spec.clone());
        let names: Vec<ClusterName> = self.clusters.keys().cloned().collect();
        for cluster in names {
            self.inputs
                .push_back(Input::Observation(Observation::Claimed {
                    cluster: cluster.clone(),
                    epoch: Epoch(1),
                }));
            self.look(&cluster);
        }
        let mut steps = 0;
        loop {
            self.take(step, &mut auditor, audit);
            let Some(input) = self.inputs.pop_front() else {
                break;
            };
            self.now += 1;
            let input = seen_now(input, self.now);
            let started = Instant::now();
            step = engine.step(Timestamp(self.now), &input);
            self.timed += started.elapsed();
            steps += 1;
        }
        assert_eq!(engine.state().end(), Some(End::Done), "the rollout is done");
        steps
    }

    fn take(&mut self, step: Step, auditor: &mut Auditor, audit: Audit) {
        if audit == Audit::On {
            let started = Instant::now();
            for fact in &step.facts {
                let answer = auditor.observe(Timestamp(self.now), fact);
                answer.expect("a sound rollout");
            }
            self.timed += started.elapsed();
        }
        for command in step.commands {
            let answer = match command {
                Command::Effect(effect) => {
                    self.carry_out(&effect);
                    continue;
                }
                Command::AskStrategy {
                    consultation,
                    generation,
                    view,
                    state,
                } => Answer::Strategy {
                    consultation,
                    generation,
                    result: self.scenario.strategy.decide(&view, &state, &mut self.rng),
                },
                Command::AskGate {
                    consultation,
                    generation,
                    call,
                    ..
                } => Answer::Gate {
                    consultation,
                    generation,
                    result: GateMind::Pass.evaluate(&call, &mut self.rng),
                },
            };
            self.inputs.push_back(Input::Answer(answer));
        }
    }

    fn carry_out(&mut self, effect: &Effect) {
        self.inputs.push_back(Input::Answer(Answer::Command {
            command: effect.id,
            generation: effect.generation,
            result: CommandResult::Accepted,
        }));
        match &effect.change {
            Change::Nodes(change) => {
                let cluster = self.clusters.get_mut(&change.cluster).expect("known");
                let counts = |ready| NodeCounts {
                    ready,
                    unready: 0,
                    failed: 0,
                };
                let nodes: [(Digest, NodeCounts); 2] = [
                    (new_release(), counts(change.new)),
                    (digest(1), counts(change.baseline)),
                ];
                cluster.nodes = nodes.into_iter().filter(|(_, n)| n.ready > 0).collect();
                self.look(&change.cluster);
            }
            Change::Traffic { epochs, split } => {
                for name in epochs.keys() {
                    let shares = split.shares().iter().filter(|s| s.cluster == *name);
                    let shares = shares.map(|s| (s.release.clone(), s.share)).collect();
                    self.clusters.get_mut(name).expect("known").traffic = Some(shares);
                    self.look(name);
                }
            }
        }
    }

    fn look(&mut self, name: &ClusterName) {
        self.inputs.push_back(Input::Observation(Observation::Seen {
            cluster: name.clone(),
            seen: self.clusters[name].clone().into(),
        }));
    }
}

/// An observation is made at the moment at which it is taken.
fn seen_now(input: Input, now: u64) -> Input {
    match input {
        Input::Observation(Observation::Seen { cluster, seen }) => {
            let seen = ClusterObservation {
                at: Timestamp(now),
                ..(*seen).clone()
            };
            let seen = seen.into();
            Input::Observation(Observation::Seen { cluster, seen })
        }
        input => input,
    }
}
