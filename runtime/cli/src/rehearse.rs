//! A rollout before it starts, in a world in which everything goes well: the real engine asks the
//! real strategy about a site of each shape, and clusters do at once what they are told.
//!
//! What goes wrong even there, such as a stage whose share of traffic its nodes cannot carry,
//! would hold the rollout for ever, and is told before it starts.

use crate::host::Host;
use crate::output::{self, STRONG, paint};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use wavegate_engine::command::{Change, Effect};
use wavegate_engine::input::{Approval, CommandResult};
use wavegate_engine::{
    Answer, Command, Engine, Fact, Input, Observation, Request, Spec, Step, Verb,
};
use wavegate_model::plugin::{Evaluation, Measurement, PluginState, Verdict};
use wavegate_model::{
    ClusterName, ClusterObservation, Digest, DurationMs, Epoch, NodeCounts, Permille, PlannedSite,
    Release, Timestamp, Unavailable,
};
use wavegate_ports::plugins::{self, CallEnd, PluginCall, Plugins as _, Question};

/// Shapes of sites that are rehearsed; a fleet of so many different ones is rare, and each costs
/// some milliseconds.
const SHAPES_MAX: usize = 16;
/// Inputs of one rehearsal. A canary over 50 nodes, one at a time, takes a tenth.
const INPUTS_MAX: usize = 5000;

/// Tells what would go wrong even if everything went well.
pub(crate) async fn warn(host: &Host, spec: &Spec) {
    for (site, why) in problems(host, spec).await {
        output::say(&format!(
            "{} site {site} would hold: {why}",
            paint(STRONG, "warning:")
        ));
    }
}

/// The first site of each shape that would not get through, and why.
async fn problems(host: &Host, spec: &Spec) -> Vec<(String, String)> {
    let nodes: BTreeMap<&ClusterName, u32> =
        spec.clusters.iter().map(|c| (&c.name, c.nodes)).collect();
    let shape = |site: &PlannedSite| -> Vec<(String, u32)> {
        let clusters = site.clusters.iter();
        clusters
            .map(|c| {
                (
                    c.role.clone(),
                    nodes.get(&c.name).copied().unwrap_or_default(),
                )
            })
            .collect()
    };
    let mut known = BTreeSet::new();
    let mut problems = Vec::new();
    for site in spec.plan.waves.iter().flat_map(|wave| &wave.sites) {
        if known.len() >= SHAPES_MAX || !known.insert(shape(site)) {
            continue;
        }
        if let Some(why) = Rehearsal::of(spec, site, &nodes).run(host).await {
            problems.push((site.name.to_string(), why));
        }
    }
    problems
}

/// One site and its clusters.
struct Rehearsal {
    spec: Spec,
    now: Timestamp,
    clusters: BTreeMap<ClusterName, ClusterObservation>,
    inputs: VecDeque<Input>,
}

impl Rehearsal {
    fn of(spec: &Spec, site: &PlannedSite, nodes: &BTreeMap<&ClusterName, u32>) -> Self {
        let mut spec = spec.clone();
        // One wave of one site, in which nothing has to be waited for.
        spec.plan.waves.truncate(1);
        for wave in &mut spec.plan.waves {
            wave.sites = vec![site.clone()];
            (wave.site_soak, wave.soak) = (DurationMs::ZERO, DurationMs::ZERO);
            (wave.approval, wave.after) = (None, Vec::new());
        }
        spec.policy.time_limits = Default::default();
        spec.windows = Default::default();
        spec.policy.approvals.clear();
        spec.wave_windows = Default::default();
        // It plays alone.
        spec.policy.when_busy = Default::default();
        let old = Release {
            version: "before".to_owned(),
            digest: Digest::from_sha256(&[0; 32]),
            artifacts: BTreeMap::new(),
            reversal: Default::default(),
        };
        let clusters = site.clusters.iter().enumerate().map(|(index, cluster)| {
            let desired = nodes.get(&cluster.name).copied().unwrap_or_default();
            // Where several clusters are one site, one of them serves before the rollout.
            let share = if index == 0 {
                Permille::ALL
            } else {
                Permille::NONE
            };
            let traffic = [(old.digest.clone(), share)].into();
            let seen = ClusterObservation {
                at: Timestamp(0),
                desired,
                nodes: [(old.digest.clone(), ready(desired))].into(),
                releases: [(old.digest.clone(), old.clone())].into(),
                traffic: spec.capabilities.splits_traffic.then_some(traffic),
                busy: false,
                last_nodes: None,
                last_traffic: None,
            };
            (cluster.name.clone(), seen)
        });
        Self {
            clusters: clusters.collect(),
            spec,
            now: Timestamp(1_000_000),
            inputs: VecDeque::new(),
        }
    }

    /// Why the site would not get through.
    async fn run(mut self, host: &Host) -> Option<String> {
        let (mut engine, mut step) = Engine::start(self.now, self.spec.clone());
        for cluster in self.clusters.keys().cloned().collect::<Vec<_>>() {
            let epoch = Epoch(1);
            let claimed = Observation::Claimed {
                cluster: cluster.clone(),
                epoch,
            };
            self.inputs.push_back(Input::Observation(claimed));
            self.look(&cluster);
        }
        for _ in 0..INPUTS_MAX {
            if let Some(why) = step.facts.iter().find_map(trouble) {
                return Some(why);
            }
            self.take(step, host).await;
            if engine.state().end().is_some() {
                return None;
            }
            let input = match self.inputs.pop_front() {
                Some(input) => input,
                // Nothing is under way: a wait goes by, or a person agrees.
                None => match engine.next_due() {
                    Some(due) => {
                        self.now = self.now.max(due);
                        Input::Elapsed
                    }
                    None => approval(),
                },
            };
            self.now = self.now.plus(DurationMs(1));
            step = engine.step(self.now, &at(input, self.now));
        }
        None
    }

    async fn take(&mut self, step: Step, host: &Host) {
        for command in step.commands {
            let answer = match command {
                Command::Effect(effect) => {
                    self.carry_out(&effect);
                    Answer::Command {
                        command: effect.id,
                        generation: effect.generation,
                        result: CommandResult::Accepted,
                    }
                }
                Command::AskStrategy {
                    consultation,
                    generation,
                    view,
                    state,
                } => Answer::Strategy {
                    consultation,
                    generation,
                    result: self.ask(host, Question::Decide { view, state }).await,
                },
                Command::AskGate {
                    consultation,
                    generation,
                    ..
                } => Answer::Gate {
                    consultation,
                    generation,
                    result: Ok(pass()),
                },
            };
            // What a command led to is seen after its answer.
            self.inputs.push_front(Input::Answer(answer));
        }
    }

    async fn ask(
        &self,
        host: &Host,
        question: Question,
    ) -> Result<wavegate_model::plugin::Outcome, Unavailable> {
        let call = PluginCall {
            rollout: self.spec.rollout.clone(),
            digest: self.spec.pins.strategy.clone(),
            config: self.spec.policy.strategy.config.clone(),
            limits: self.spec.policy.strategy.limits,
            question,
        };
        match host.plugins.call(call).await.end {
            CallEnd::Answered(plugins::Answer::Decide(outcome)) => Ok(outcome),
            CallEnd::Unavailable(why) => Err(why),
            CallEnd::Answered(_) | CallEnd::NeedsEvidence(_) => Err(Unavailable::BadAnswer(
                wavegate_model::unavailable::BadAnswer::WrongKind,
            )),
        }
    }

    fn carry_out(&mut self, effect: &Effect) {
        match &effect.change {
            Change::Nodes(change) => {
                if let Some(cluster) = self.clusters.get_mut(&change.cluster) {
                    let nodes = change.nodes.iter();
                    cluster.nodes = nodes
                        .map(|(digest, n)| (digest.clone(), ready(*n)))
                        .collect();
                }
                self.look(&change.cluster);
            }
            Change::Traffic { epochs, split } => {
                for name in epochs.keys() {
                    let shares = split.shares().iter().filter(|s| s.cluster == *name);
                    let shares = shares.map(|s| (s.release.clone(), s.share)).collect();
                    if let Some(cluster) = self.clusters.get_mut(name) {
                        cluster.traffic = Some(shares);
                    }
                    self.look(name);
                }
            }
        }
    }

    fn look(&mut self, name: &ClusterName) {
        if let Some(seen) = self.clusters.get(name) {
            self.inputs.push_back(Input::Observation(Observation::Seen {
                cluster: name.clone(),
                seen: seen.clone().into(),
            }));
        }
    }
}

/// What would hold or fail a site although the world is as it should be.
fn trouble(fact: &Fact) -> Option<String> {
    match fact {
        // Asking again would lead to the same: a strategy is a function of what it is told.
        Fact::StrategyUnavailable { why, .. } => Some(why.to_string()),
        Fact::SiteFailed { reason, .. } => Some(reason.to_string()),
        _ => None,
    }
}

fn ready(nodes: u32) -> NodeCounts {
    NodeCounts {
        ready: nodes,
        unready: 0,
        failed: 0,
    }
}

fn pass() -> Evaluation {
    Evaluation {
        verdict: Verdict::Pass,
        reason: String::new(),
        clusters: BTreeMap::new(),
        measurements: vec![Measurement {
            name: "rehearsal".to_owned(),
            cluster: String::new(),
            value: Some(1.0),
            unit: String::new(),
            limit: String::new(),
            verdict: Verdict::Pass,
            samples: u32::MAX,
        }],
        state: PluginState::default(),
        newest: None,
    }
}

fn approval() -> Input {
    Input::Request(Request {
        verb: Verb::Approve(Approval::All),
        actor: "rehearsal".to_owned(),
        reason: String::new(),
        inbox: None,
    })
}

/// An observation is made at the moment at which it is taken.
fn at(input: Input, now: Timestamp) -> Input {
    match input {
        Input::Observation(Observation::Seen { cluster, seen }) => {
            let seen = ClusterObservation {
                at: now,
                ..(*seen).clone()
            };
            Input::Observation(Observation::Seen {
                cluster,
                seen: seen.into(),
            })
        }
        input => input,
    }
}
