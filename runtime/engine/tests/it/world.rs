//! The modelled world: clusters in memory, virtual time, commands that are carried out late,
//! twice or not at all, and a host that can stop at any record.

mod happens;

use crate::minds::{GateMind, Strategy};
use crate::rng::Rng;
use crate::scenario::{self, Scenario};
use std::collections::BTreeMap;
use std::io::Write as _;
use wavegate_engine::audit::Auditor;
use wavegate_engine::command::{Change, NodesChange};
use wavegate_engine::input::CommandResult;
use wavegate_engine::swap::Part;
use wavegate_engine::{
    Answer, Command, Effect, Engine, Fact, Input, Observation, Request, Spec, Step, Verb, explain,
};
use wavegate_model::observation::Stamp;
use wavegate_model::plugin::Phase;
use wavegate_model::release::Reversal;
use wavegate_model::{
    ClusterName, ClusterObservation, Digest, DurationMs, Epoch, GateName, Member, NodeCounts,
    Permille, Timestamp,
};

pub(crate) use crate::scenario::START;
const POLL_MS: u64 = 1000;

#[derive(Clone, Debug)]
struct Node {
    release: Digest,
    ready_at: Option<u64>,
    dead: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    pub(crate) desired: u32,
    pub(crate) reachable: bool,
    /// When it answered last.
    answered: u64,
    traffic: BTreeMap<Digest, Permille>,
    epoch: Epoch,
    last_nodes: Option<Stamp>,
    last_traffic: Option<Stamp>,
}

#[derive(Clone, Debug)]
enum Event {
    Poll,
    /// By which host process, counted from 0.
    Execute(Effect, u64),
    Deliver(Input),
}

/// What happens to commands that are being carried out when the host stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InFlight {
    Lost,
    Done,
    ByChance,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) scenario: Scenario,
    pub(crate) clusters: BTreeMap<ClusterName, Cluster>,
    pub(crate) engine: Engine,
    pub(crate) auditor: Auditor,
    pub(crate) facts: Vec<(Timestamp, Fact)>,
    pub(crate) commands: u64,
    /// The fleet as its document says it.
    pub(crate) fleet: Vec<Member>,
    pub(crate) rng: Rng,
    /// Compares the state with the fold of all facts after every so many steps; 0 for never.
    pub(crate) fold_every: u64,
    steps: u64,
    up: bool,
    host: u64,
    seq: u64,
    queue: BTreeMap<(u64, u64), Event>,
}

impl World {
    pub(crate) fn new(scenario: Scenario, seed: u64) -> Self {
        let spec = scenario.spec();
        let (engine, step) = Engine::start(Timestamp(START), spec.clone());
        let mut world = Self {
            now: START,
            clusters: scenario
                .clusters()
                .map(|def| fresh(&scenario, def))
                .collect(),
            scenario,
            engine,
            auditor: Auditor::new(&spec),
            facts: Vec::new(),
            commands: 0,
            fleet: members(&spec),
            rng: Rng::new(seed),
            fold_every: 1,
            steps: 0,
            up: true,
            host: 0,
            seq: 0,
            queue: BTreeMap::new(),
        };
        world.take(step);
        world.claim_and_poll();
        world
    }

    fn at(&mut self, at: u64, event: Event) {
        self.seq += 1;
        self.queue.insert((at, self.seq), event);
    }

    fn later(&mut self) -> u64 {
        self.now + 100 + self.rng.below(self.scenario.mess.delay_ms + 1)
    }

    fn claim_and_poll(&mut self) {
        let names: Vec<ClusterName> = self.clusters.keys().cloned().collect();
        for cluster in names {
            self.claim(cluster);
        }
        self.at(self.now + 50, Event::Poll);
    }

    fn claim(&mut self, cluster: ClusterName) {
        let found = self.clusters.get_mut(&cluster).unwrap();
        found.epoch = found.epoch.next();
        let epoch = found.epoch;
        let claimed = Observation::Claimed { cluster, epoch };
        let at = self.later();
        self.at(at, Event::Deliver(Input::Observation(claimed)));
    }

    pub(crate) fn finished(&self) -> bool {
        self.engine.state().end().is_some()
    }

    /// Lets time pass until then, or until the rollout has ended.
    pub(crate) fn run_until(&mut self, until: u64) {
        while !self.finished() {
            let event = self.queue.keys().next().map(|(at, _)| *at);
            let due = self.engine.next_due().map(|at| at.0.max(self.now));
            let due = due.filter(|_| self.up);
            let Some(next) = [event, due].into_iter().flatten().min() else {
                break;
            };
            if next > until {
                break;
            }
            self.now = next;
            if event == Some(next) {
                let (_, event) = self.queue.pop_first().unwrap();
                self.happen(event);
            } else {
                self.input(&Input::Elapsed);
                let due = self.engine.next_due();
                assert!(
                    self.finished() || due.is_none_or(|at| at.0 > self.now),
                    "time is due again at once: {:?}",
                    explain::explain(self.engine.state(), Timestamp(self.now))
                );
            }
        }
        if !self.finished() {
            self.now = self.now.max(until);
        }
    }

    pub(crate) fn request(&mut self, verb: Verb) {
        self.request_by("ann", verb);
    }

    pub(crate) fn request_by(&mut self, actor: &str, verb: Verb) {
        self.input(&Input::Request(Request {
            verb,
            actor: actor.to_string(),
            reason: "as told".to_string(),
            inbox: None,
        }));
    }

    /// A person swaps the strategy for component number `n`, whose state has this version.
    pub(crate) fn swap_strategy(&mut self, next: Strategy, n: u8, version: u32) {
        let before = std::mem::replace(&mut self.scenario.strategy, next);
        if !self.swap(Part::Strategy, n, version) {
            self.scenario.strategy = before;
        }
    }

    /// The same for a gate.
    pub(crate) fn swap_gate(&mut self, gate: GateName, next: GateMind, n: u8, version: u32) {
        let before = self.scenario.minds.insert(gate.clone(), next);
        if !self.swap(Part::Gate(gate.clone()), n, version)
            && let Some(before) = before
        {
            self.scenario.minds.insert(gate, before);
        }
    }

    fn swap(&mut self, part: Part, n: u8, version: u32) -> bool {
        let known = self.facts.len();
        self.request(Verb::Swap(Box::new(scenario::swap(part, n, version))));
        let taken = |(_, fact): &(Timestamp, Fact)| matches!(fact, Fact::PluginSwapped { .. });
        self.facts[known..].iter().any(taken)
    }

    /// The host stops, and a new one folds the facts after `down`.
    pub(crate) fn restart(&mut self, in_flight: InFlight, down: u64) {
        self.stop(in_flight);
        self.run_until(self.now + down);
        self.resume();
    }

    /// Somebody undoes a rollout that has ended, in a new host process.
    pub(crate) fn undo(&mut self) {
        self.stop(InFlight::Done);
        self.resume_by(Verb::Undo);
    }

    fn stop(&mut self, in_flight: InFlight) {
        self.up = false;
        let events = std::mem::take(&mut self.queue);
        for (_, event) in events {
            // Answers and observations die with the process that waited for them.
            let Event::Execute(effect, host) = event else {
                continue;
            };
            match in_flight {
                InFlight::Lost => {}
                InFlight::Done => {
                    self.execute(&effect);
                }
                InFlight::ByChance => match self.rng.below(3) {
                    0 => {}
                    1 => {
                        self.execute(&effect);
                    }
                    // It runs when another host owns the cluster already.
                    _ => {
                        let at = self.now + self.rng.below(60_000);
                        self.at(at, Event::Execute(effect, host));
                    }
                },
            }
        }
    }

    fn resume(&mut self) {
        self.resume_by(Verb::Resume);
    }

    fn resume_by(&mut self, verb: Verb) {
        let facts = self.facts.iter().map(|(at, fact)| (*at, fact));
        self.engine = Engine::fold(facts).expect("a journal begins with its start");
        self.up = true;
        self.host += 1;
        self.request(verb);
        if !self.finished() {
            self.claim_and_poll();
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Poll => self.poll(),
            Event::Execute(effect, host) => {
                let result = self.execute(&effect);
                if !self.up || host != self.host {
                    return;
                }
                let answer = Answer::Command {
                    command: effect.id,
                    generation: effect.generation,
                    result,
                };
                self.answer(answer);
            }
            Event::Deliver(input) if self.up => self.input(&input),
            Event::Deliver(_) => {}
        }
    }

    fn answer(&mut self, answer: Answer) {
        let twice = self.rng.percent(self.scenario.mess.twice);
        for _ in 0..1 + u32::from(twice) {
            let at = self.later();
            self.at(at, Event::Deliver(Input::Answer(answer.clone())));
        }
    }

    fn poll(&mut self) {
        if !self.up {
            return;
        }
        let names: Vec<ClusterName> = self.clusters.keys().cloned().collect();
        for cluster in names {
            let deaths = self.scenario.mess.deaths;
            let dies = self.rng.below(10_000) < deaths;
            let found = self.clusters.get_mut(&cluster).unwrap();
            if dies && !found.nodes.is_empty() {
                let index = self.rng.below(u64::try_from(found.nodes.len()).unwrap());
                found.nodes[usize::try_from(index).unwrap()].dead = true;
            }
            let observation = if found.reachable {
                found.answered = self.now;
                Observation::Seen {
                    seen: self.see(&cluster).into(),
                    cluster,
                }
            } else {
                Observation::Lost {
                    cluster,
                    detail: "no route".to_string(),
                    answered: Some(Timestamp(found.answered)),
                }
            };
            let at = self.later();
            self.at(at, Event::Deliver(Input::Observation(observation)));
        }
        self.at(self.now + POLL_MS, Event::Poll);
    }

    pub(crate) fn see(&self, name: &ClusterName) -> ClusterObservation {
        let cluster = &self.clusters[name];
        let mut nodes: BTreeMap<Digest, NodeCounts> = BTreeMap::new();
        for node in &cluster.nodes {
            let counts = nodes.entry(node.release.clone()).or_default();
            if node.dead {
                counts.unready += 1;
                counts.failed += 1;
            } else if node.ready_at.is_some_and(|at| at <= self.now) {
                counts.ready += 1;
            } else {
                counts.unready += 1;
            }
        }
        let possible = Reversal::Possible;
        let known = [(1, possible), (2, self.scenario.reversal), (3, possible)];
        let idle = nodes.is_empty().then(|| scenario::digest(1));
        let releases = known
            .into_iter()
            .map(|(n, reversal)| scenario::release(n, reversal))
            .filter(|release| {
                nodes.contains_key(&release.digest) || idle.as_ref() == Some(&release.digest)
            })
            .map(|release| (release.digest.clone(), release));
        let stamp = |stamp: Option<Stamp>| stamp.filter(|_| self.scenario.stamps);
        ClusterObservation {
            at: Timestamp(self.now),
            desired: cluster.desired,
            releases: releases.collect(),
            nodes: nodes.into(),
            traffic: self.scenario.splits.then(|| cluster.traffic.clone().into()),
            busy: false,
            last_nodes: stamp(cluster.last_nodes),
            last_traffic: stamp(cluster.last_traffic),
        }
    }

    /// What a driver does: refuses older owners, does nothing twice, sets absolute numbers.
    fn execute(&mut self, effect: &Effect) -> CommandResult {
        if self.rng.percent(self.scenario.mess.fails) {
            return CommandResult::Failed("out of order".to_string());
        }
        let stamp = |epoch: Epoch| Stamp {
            epoch,
            generation: effect.generation,
            command: effect.id,
        };
        match &effect.change {
            Change::Nodes(change) => {
                let name = &change.cluster;
                match accepts(&self.clusters[name], change.epoch, effect, Which::Nodes) {
                    Accepts::Not(result) => return result,
                    Accepts::Again => {}
                    Accepts::Yes if self.clusters[name].desired != change.desired => {
                        return CommandResult::DesiredChanged;
                    }
                    Accepts::Yes => {
                        self.set_nodes(change);
                        let cluster = self.clusters.get_mut(name).unwrap();
                        cluster.last_nodes = Some(stamp(change.epoch));
                    }
                }
            }
            Change::Traffic { epochs, split } => {
                let answers: Vec<Accepts> = epochs
                    .iter()
                    .map(|(name, epoch)| {
                        accepts(&self.clusters[name], *epoch, effect, Which::Traffic)
                    })
                    .collect();
                if let Some(Accepts::Not(result)) =
                    answers.iter().find(|a| matches!(a, Accepts::Not(_)))
                {
                    return result.clone();
                }
                if answers.contains(&Accepts::Again) {
                    return CommandResult::Accepted;
                }
                for (name, epoch) in epochs {
                    let cluster = self.clusters.get_mut(name).unwrap();
                    let shares = split.shares().iter().filter(|s| s.cluster == *name);
                    cluster.traffic = shares.map(|s| (s.release.clone(), s.share)).collect();
                    cluster.last_traffic = Some(stamp(*epoch));
                }
            }
        }
        CommandResult::Accepted
    }

    fn set_nodes(&mut self, change: &NodesChange) {
        let now = self.now;
        let new = scenario::new_release();
        let (bad_new, bad_old) = (
            self.scenario.bad_new.contains(&change.cluster),
            self.scenario.bad_old.contains(&change.cluster),
        );
        let (start_new, start_old) = self.scenario.start_ms;
        let cluster = self.clusters.get_mut(&change.cluster).unwrap();
        let serves = |node: &Node| !node.dead && node.ready_at.is_some_and(|at| at <= now);
        let mut kept: Vec<Node> = Vec::new();
        for (release, count) in &change.nodes {
            let count = usize::try_from(*count).unwrap();
            let mut mine: Vec<Node> = cluster
                .nodes
                .iter()
                .filter(|node| node.release == *release)
                .cloned()
                .collect();
            // Those that do not serve go first.
            mine.sort_by_key(|node| !serves(node));
            mine.truncate(count);
            while mine.len() < count {
                let (bad, start) = if *release == new {
                    (bad_new, start_new)
                } else {
                    (bad_old, start_old)
                };
                mine.push(Node {
                    release: release.clone(),
                    ready_at: (!bad).then_some(now + start),
                    dead: false,
                });
            }
            kept.extend(mine);
        }
        cluster.nodes = kept;
    }

    fn input(&mut self, input: &Input) {
        crate::coverage::note(self.engine.state(), input);
        let step = self.engine.step(Timestamp(self.now), input);
        let from_world = !matches!(input, Input::Request(_)) && !step.facts.is_empty();
        if from_world && self.rng.below(1000) < self.scenario.mess.lost_commits {
            // The step was not made durable: it has not happened, and nothing of it may be done.
            self.stop(InFlight::ByChance);
            self.resume();
            return;
        }
        self.take(step);
    }

    fn take(&mut self, step: Step) {
        for fact in step.facts {
            if let Err(violation) = self.auditor.observe(Timestamp(self.now), &fact) {
                panic!(
                    "{violation:?}: {violation}\nat {} by {fact:?}",
                    self.now - START
                );
            }
            self.facts.push((Timestamp(self.now), fact));
        }
        for command in step.commands {
            self.carry_out(command);
        }
        self.steps += 1;
        if self.fold_every > 0 && self.steps.is_multiple_of(self.fold_every) {
            self.check_fold();
        }
        let state = self.engine.state();
        if !self.finished() && state.outstanding.is_empty() && state.consultations.is_empty() {
            let why = explain::explain(state, Timestamp(self.now));
            assert!(!why.is_empty(), "it waits, and nobody knows for what");
        }
        self.check_need();
    }

    /// What needs somebody does not go on by time alone: not even for a host that comes late to
    /// what is due.
    fn check_need(&self) {
        let Some(due) = self.engine.next_due() else {
            return;
        };
        if explain::needs(self.engine.state(), due).is_none() {
            return;
        }
        let step = self.engine.clone().step(due, &Input::Elapsed);
        // An open window lets anything begin.
        let opens = |fact: &Fact| {
            matches!(
                fact,
                Fact::WindowOpened { .. } | Fact::WaveWindowOpened { .. }
            )
        };
        if step.facts.iter().any(opens) {
            return;
        }
        // A gate that watches is asked whatever else waits, and a window that closes moves nothing.
        let moves = |fact: &&Fact| match fact {
            Fact::GateAsked { gate, .. } => !matches!(gate.phase, Phase::Continuous | Phase::Soak),
            Fact::WindowClosed { .. } | Fact::WaveWindowClosed { .. } => false,
            _ => true,
        };
        let moved = step.facts.iter().find(moves);
        assert_eq!(moved, None, "it needs somebody, and yet goes on");
    }

    pub(crate) fn check_fold(&self) {
        let facts = self.facts.iter().map(|(at, fact)| (*at, fact));
        let folded = Engine::fold(facts).expect("a journal begins with its start");
        assert!(
            folded.state() == self.engine.state(),
            "the fold of all facts is another state"
        );
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Effect(effect) => {
                self.commands += 1;
                let twice = self.rng.percent(self.scenario.mess.twice);
                for _ in 0..1 + u32::from(twice) {
                    let at = self.later();
                    self.at(at, Event::Execute(effect.clone(), self.host));
                }
            }
            Command::AskStrategy {
                consultation,
                generation,
                view,
                state,
            } => {
                let strategy = self.scenario.strategy.clone();
                let result = strategy.decide(&view, &state, &mut self.rng);
                self.answer(Answer::Strategy {
                    consultation,
                    generation,
                    result,
                });
            }
            Command::AskGate {
                consultation,
                generation,
                gate,
                call,
                ..
            } => {
                let mind = self.scenario.minds[&gate].clone();
                let result = mind.evaluate(&call, &mut self.rng);
                self.answer(Answer::Gate {
                    consultation,
                    generation,
                    result,
                });
            }
        }
    }

    pub(crate) fn span(&self) -> DurationMs {
        DurationMs(self.now - START)
    }
}

/// A case that fails tells how it came to that.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let told = self.facts.iter().filter_map(|(at, fact)| {
            let line = crate::format::line(fact)?;
            Some(format!("{:>9}  {line}\n", at.0 - START))
        });
        let told: Vec<String> = told.collect();
        let tail = &told[told.len().saturating_sub(60)..];
        // Nothing can be done about a closed terminal.
        let _closed = std::io::stderr().write_all(tail.concat().as_bytes());
    }
}

fn members(spec: &Spec) -> Vec<Member> {
    let mut members = Vec::new();
    for wave in &spec.plan.waves {
        for site in &wave.sites {
            for planned in &site.clusters {
                let cluster = spec.clusters.iter().find(|c| c.name == planned.name);
                members.push(Member {
                    cluster: cluster.expect("the plan is made of clusters").clone(),
                    wave: wave.name.clone(),
                    site: site.name.clone(),
                    role: planned.role.clone(),
                });
            }
        }
    }
    members
}

fn fresh(scenario: &Scenario, def: &scenario::ClusterDef) -> (ClusterName, Cluster) {
    let name: ClusterName = def.name.as_str().into();
    let nodes = |release: u8, count: u32| {
        let node = Node {
            release: scenario::digest(release),
            ready_at: Some(0),
            dead: false,
        };
        vec![node; usize::try_from(count).unwrap()]
    };
    let serving = if scenario.scaled_to_zero.contains(&name) {
        0
    } else {
        def.nodes
    };
    let left = scenario.remainder.get(&name).copied().unwrap_or_default();
    let runs = if scenario.updated.contains(&name) {
        2
    } else {
        1
    };
    let share = (scenario::digest(runs), Permille(def.share));
    let cluster = Cluster {
        nodes: [nodes(runs, serving), nodes(3, left)].concat(),
        desired: def.nodes,
        reachable: true,
        answered: START,
        traffic: [share].into_iter().filter(|(_, s)| s.0 > 0).collect(),
        epoch: Epoch(0),
        last_nodes: None,
        last_traffic: None,
    };
    (name, cluster)
}

enum Which {
    Nodes,
    Traffic,
}

#[derive(PartialEq)]
enum Accepts {
    Yes,
    Again,
    Not(CommandResult),
}

fn accepts(cluster: &Cluster, epoch: Epoch, effect: &Effect, which: Which) -> Accepts {
    let last = match which {
        Which::Nodes => cluster.last_nodes,
        Which::Traffic => cluster.last_traffic,
    };
    if !cluster.reachable {
        Accepts::Not(CommandResult::Failed("no route".to_string()))
    } else if epoch < cluster.epoch {
        Accepts::Not(CommandResult::Superseded("another host".to_string()))
    } else if last.is_some_and(|last| last.command >= effect.id) {
        Accepts::Again
    } else {
        Accepts::Yes
    }
}
