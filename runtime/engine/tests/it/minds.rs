//! Scripted strategies and gates: plain functions from what a plugin sees to what it answers.

use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use wavegate_model::plugin::{
    ClusterView, Completed, Evaluation, GateCall, Measurement, Outcome, Phase, PluginState,
    Proposal, SiteView, Verdict,
};
use wavegate_model::{ClusterGoal, ClusterName, DurationMs, GateName, Goal, Permille, Unavailable};

#[derive(Clone, Debug)]
pub(crate) enum Strategy {
    /// All nodes to the new release; the host's limits make the pace.
    OneAtATime,
    /// Shares of nodes and traffic in permille, gates between them.
    Staged(Vec<u32>),
    /// The idle cluster of a pair takes the release, then all traffic.
    Switch,
    /// Half the nodes, none, all.
    UpDownUp,
    /// Whatever comes to mind, most of it nonsense.
    Hostile,
    /// Moves to and fro without end, always within the rules.
    Restless,
    /// Moves on by and by, and waits for anything in between.
    Patient,
}

impl Strategy {
    pub(crate) fn decide(
        &self,
        view: &SiteView,
        state: &PluginState,
        rng: &mut Rng,
    ) -> Result<Outcome, Unavailable> {
        let (step, totals) = state.0.split_first().unwrap_or((&0, &[]));
        let step = *step;
        let memory = |mut outcome: Outcome| {
            let now = || {
                view.clusters
                    .iter()
                    .map(|c| u8::try_from(c.desired).unwrap())
            };
            let tail: Vec<u8> = if totals.is_empty() {
                now().collect()
            } else {
                totals.to_vec()
            };
            outcome.state.0.extend(tail);
            Ok(outcome)
        };
        match self {
            Self::OneAtATime => memory(staged(&[1000], view, step, totals)),
            Self::Staged(stages) => memory(staged(stages, view, step, totals)),
            Self::Switch => Ok(switch(view, state)),
            Self::UpDownUp => memory(up_down_up(view, step, totals)),
            Self::Hostile => hostile(view, rng),
            Self::Patient => patient(view, step, rng),
            Self::Restless => memory(restless(view, step, totals)),
        }
    }
}

/// Whether totals are what they were at the first call.
fn as_at_first(view: &SiteView, totals: &[u8]) -> bool {
    let now = view.clusters.iter().map(|c| c.desired);
    totals.is_empty() || now.eq(totals.iter().map(|n| u32::from(*n)))
}

fn outcome(proposal: Proposal, stage: &str, state: Vec<u8>) -> Outcome {
    Outcome {
        proposal,
        stage: stage.to_string(),
        reason: String::new(),
        state: PluginState(state),
    }
}

/// Part of the nodes and of the traffic of every cluster. Once totals have changed traffic follows
/// the nodes: a cluster that kept its share could be asked for more than fewer nodes carry.
fn part(view: &SiteView, permille: u32, totals: &[u8]) -> Proposal {
    let mut goal = kept_apart(view, permille);
    if view.splits_traffic && !as_at_first(view, totals) {
        by_nodes(&mut goal);
    }
    Proposal::Go(goal)
}

fn by_nodes(goal: &mut Goal) {
    let mut nodes: u32 = goal.clusters.iter().map(|c| c.new + c.baseline).sum();
    let mut rest = 1000;
    let mut part = |count: u32| {
        let part = (rest * count).checked_div(nodes).unwrap_or(0);
        rest -= part;
        nodes -= count;
        Permille(part)
    };
    for cluster in &mut goal.clusters {
        cluster.new_share = part(cluster.new);
        cluster.baseline_share = part(cluster.baseline);
    }
}

/// Each cluster keeps the traffic that it has.
fn kept_apart(view: &SiteView, permille: u32) -> Goal {
    let goal = |cluster: &ClusterView| {
        let traffic = cluster.new_permille + cluster.baseline_permille;
        let new = (cluster.desired * permille).div_ceil(1000);
        let old = cluster.desired - new;
        let share = match (view.splits_traffic, new, old) {
            (false, _, _) | (true, 0, _) => 0,
            (true, _, 0) => traffic,
            (true, _, _) => {
                let enough = cluster.desired - cluster.unavailable_max.min(old.min(new));
                let most = |nodes: u32| (traffic * nodes).div_ceil(enough).min(traffic);
                (traffic * permille / 1000).clamp(traffic - most(old), most(new))
            }
        };
        let rest = if view.splits_traffic {
            traffic - share
        } else {
            0
        };
        ClusterGoal {
            cluster: cluster.name.clone(),
            new,
            baseline: old,
            new_share: Permille(share),
            baseline_share: Permille(rest),
        }
    };
    Goal {
        clusters: view.clusters.iter().map(goal).collect(),
    }
}

fn all_new(view: &SiteView) -> bool {
    let only_new = |c: &ClusterView| c.baseline_ready + c.baseline_unready == 0;
    view.clusters
        .iter()
        .all(|c| c.new_ready >= c.desired && c.baseline_permille == 0 && only_new(c))
}

fn staged(stages: &[u32], view: &SiteView, step: u8, totals: &[u8]) -> Outcome {
    // Even steps go to a stage, odd ones wait for its gates.
    let index = usize::from(step / 2);
    let name = |index: usize| format!("{}%", stages[index.min(stages.len() - 1)] / 10);
    if index >= stages.len() {
        let last = stages[stages.len() - 1];
        return if all_new(view) {
            outcome(Proposal::Done, &name(index), vec![step])
        } else {
            outcome(part(view, last, totals), &name(index), vec![step])
        };
    }
    if step.is_multiple_of(2) {
        outcome(
            part(view, stages[index], totals),
            &name(index),
            vec![step + 1],
        )
    } else if view.completed == Completed::Goal {
        let gates = view.gates.iter().map(|gate| gate.name.clone()).collect();
        outcome(Proposal::WaitGates(gates), &name(index), vec![step + 1])
    } else {
        outcome(part(view, stages[index], totals), &name(index), vec![step])
    }
}

fn switch(view: &SiteView, state: &PluginState) -> Outcome {
    let (step, idle) = match state.0.split_first() {
        Some((step, idle)) => (*step, ClusterName::new(String::from_utf8_lossy(idle))),
        None => {
            let idle = view
                .clusters
                .iter()
                .find(|c| c.new_permille + c.baseline_permille == 0);
            let Some(idle) = idle else {
                return outcome(
                    Proposal::WaitPerson("no cluster is idle".to_string()),
                    "ambiguous",
                    Vec::new(),
                );
            };
            (0, idle.name.clone())
        }
    };
    let goal = |to_idle: u32| {
        let cluster = |c: &ClusterView| {
            let is_idle = c.name == idle;
            ClusterGoal {
                cluster: c.name.clone(),
                new: if is_idle { c.desired } else { 0 },
                baseline: if is_idle { 0 } else { c.desired },
                new_share: Permille(if is_idle { to_idle } else { 0 }),
                baseline_share: Permille(if is_idle { 0 } else { 1000 - to_idle }),
            }
        };
        Proposal::Go(Goal {
            clusters: view.clusters.iter().map(cluster).collect(),
        })
    };
    // A goal that was dropped on the way, as when a total has changed, is proposed again.
    let step = match step {
        1 | 3 if view.completed != Completed::Goal => step - 1,
        step => step,
    };
    let mut next = vec![step + 1];
    next.extend(idle.as_str().bytes());
    match step {
        0 => outcome(goal(0), "prepare", next),
        1 => {
            let gates = view.gates.iter().map(|gate| gate.name.clone()).collect();
            outcome(Proposal::WaitGates(gates), "check", next)
        }
        2 => outcome(goal(1000), "switch", next),
        _ => outcome(Proposal::Done, "keep", next),
    }
}

fn up_down_up(view: &SiteView, step: u8, totals: &[u8]) -> Outcome {
    match step {
        0 => outcome(part(view, 500, totals), "up", vec![1]),
        1 => outcome(part(view, 0, totals), "down", vec![2]),
        2 => outcome(part(view, 1000, totals), "up again", vec![3]),
        _ if all_new(view) => outcome(Proposal::Done, "up again", vec![3]),
        _ => outcome(part(view, 1000, totals), "up again", vec![3]),
    }
}

fn restless(view: &SiteView, step: u8, totals: &[u8]) -> Outcome {
    let permille = if step == 0 { 500 } else { 0 };
    outcome(
        part(view, permille, totals),
        "to and fro",
        vec![1 - step.min(1)],
    )
}

fn patient(view: &SiteView, step: u8, rng: &mut Rng) -> Result<Outcome, Unavailable> {
    let gates = || view.gates.iter().map(|gate| gate.name.clone()).collect();
    let mut next = step;
    let proposal = match rng.below(20) {
        0..3 => Proposal::WaitPerson("look at it".to_string()),
        3..6 => Proposal::Wait(DurationMs(1000 + rng.below(20_000))),
        6..9 => Proposal::WaitGates(gates()),
        9 | 10 => return Err(Unavailable::OutOfFuel { limit: 1 }),
        11 if rng.percent(70) => Proposal::Failed("I gave up".to_string()),
        _ if all_new(view) => Proposal::Done,
        _ => {
            next = (step + 1).min(10);
            part(view, u32::from(next) * 100, &[])
        }
    };
    Ok(outcome(proposal, "by and by", vec![next]))
}

fn hostile(view: &SiteView, rng: &mut Rng) -> Result<Outcome, Unavailable> {
    let mut nonsense = |c: &ClusterView| ClusterGoal {
        cluster: c.name.clone(),
        new: rng.small(c.desired + 3),
        baseline: rng.small(c.desired + 3),
        new_share: Permille(rng.small(4) * 250),
        baseline_share: Permille(rng.small(4) * 250),
    };
    let mut goal = Goal {
        clusters: view.clusters.iter().map(&mut nonsense).collect(),
    };
    let proposal = match rng.below(14) {
        0..3 => part(view, rng.small(1001), &[]),
        3..6 => part(view, 1000, &[]),
        6 => {
            if let Some(first) = goal.clusters.first_mut() {
                first.new_share = Permille(1000);
                first.baseline_share = Permille(0);
            }
            Proposal::Go(goal)
        }
        7 => Proposal::Go(goal),
        8 => {
            goal.clusters.pop();
            Proposal::Go(goal)
        }
        9 => Proposal::WaitGates(vec![GateName::new(if rng.percent(50) { "g" } else { "x" })]),
        10 => Proposal::Wait(DurationMs(rng.below(5000))),
        11 => return Err(Unavailable::OutOfFuel { limit: 1 }),
        12 if rng.percent(10) => Proposal::Failed("I gave up".to_string()),
        _ => Proposal::Done,
    };
    Ok(outcome(proposal, "whatever", vec![0; 3]))
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GateMind {
    Pass,
    Hold,
    Unavailable,
    /// Passes, although not one of its queries gave a value.
    Valueless,
    /// Fails for subjects with one of these clusters updated, in these phases (all, if empty).
    FailFor(BTreeSet<ClusterName>, BTreeSet<Phase>),
    /// Passes, holds, fails or is unavailable, mostly the first.
    Moody,
    /// Passes by samples of which the newest is so old.
    Aged(DurationMs),
    Fail,
}

impl GateMind {
    pub(crate) fn evaluate(
        &self,
        call: &GateCall,
        rng: &mut Rng,
    ) -> Result<Evaluation, Unavailable> {
        let verdict = match self {
            Self::Pass | Self::Valueless | Self::Aged(_) => Verdict::Pass,
            Self::Fail => Verdict::Fail,
            Self::Hold => Verdict::Hold,
            Self::Unavailable => return Err(Unavailable::TimedOut { limit_ms: 1000 }),
            Self::FailFor(clusters, phases) => {
                let hit = call.updated.iter().any(|c| clusters.contains(&c.name));
                if hit && (phases.is_empty() || phases.contains(&call.phase)) {
                    Verdict::Fail
                } else {
                    Verdict::Pass
                }
            }
            Self::Moody => match rng.below(100) {
                0..80 => Verdict::Pass,
                80..90 => Verdict::Hold,
                90..95 => Verdict::Fail,
                _ => return Err(Unavailable::TimedOut { limit_ms: 1000 }),
            },
        };
        let value = if verdict == Verdict::Fail { 0.9 } else { 0.999 };
        let value = (*self != Self::Valueless).then_some(value);
        Ok(Evaluation {
            verdict,
            reason: format!("scripted {verdict:?}").to_lowercase(),
            clusters: BTreeMap::new(),
            measurements: vec![Measurement {
                name: "success-ratio".to_string(),
                cluster: String::new(),
                value,
                unit: "ratio".to_string(),
                limit: ">= 0.99".to_string(),
                verdict,
                samples: 100,
            }],
            state: PluginState::default(),
            newest: match self {
                Self::Aged(age) => Some(wavegate_model::Timestamp(call.now.0 - age.0)),
                _ => None,
            },
        })
    }
}
