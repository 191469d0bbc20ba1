//! Clusters that do at once what they are told: enough to have whole journals to start from.

use crate::scene::{self, NOW};
use std::collections::BTreeMap;
use wavegate_conductor::record::StepRecord;
use wavegate_engine::command::{Change, Effect};
use wavegate_engine::input::CommandResult;
use wavegate_engine::{Answer, Command, Engine, Input, Observation, Request, Verb};
use wavegate_model::observation::Stamp;
use wavegate_model::plugin::{Completed, Outcome, Proposal, SiteView};
use wavegate_model::{
    ClusterGoal, ClusterName, ClusterObservation, Digest, DurationMs, Goal, NodeCounts, Permille,
    Timestamp,
};

/// Steps after which a rollout is given up: it takes a few dozen.
const STEPS_MAX: u64 = 400;

/// How a rollout ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    /// Somebody asks for it in the middle.
    RolledBack,
}

/// The records of a rollout.
pub(crate) fn rollout(ending: Ending) -> Vec<StepRecord> {
    let (mut engine, first) = Engine::start(NOW, scene::spec());
    let resume = |verb| {
        Input::Request(Request {
            verb,
            actor: "ann".into(),
            reason: "as planned".into(),
            inbox: None,
        })
    };
    let mut records = vec![StepRecord {
        input: resume(Verb::Resume),
        facts: first.facts,
    }];
    let mut clusters: BTreeMap<ClusterName, ClusterObservation> = BTreeMap::new();
    for name in ["eu-1", "eu-2", "us-1"] {
        clusters.insert(name.into(), scene::observation(name));
    }
    let mut inputs: Vec<Input> = clusters
        .keys()
        .map(|name| Input::Observation(scene::claimed(name.as_str())))
        .collect();
    for step in 0..STEPS_MAX {
        if engine.state().end().is_some() {
            break;
        }
        let now = NOW.plus(DurationMs::secs(step));
        for (name, cluster) in &mut clusters {
            cluster.at = now;
            inputs.push(Input::Observation(Observation::Seen {
                cluster: name.clone(),
                seen: cluster.clone().into(),
            }));
        }
        inputs.push(Input::Elapsed);
        if ending == Ending::RolledBack && step == 12 {
            inputs.push(resume(Verb::Rollback));
        }
        for input in std::mem::take(&mut inputs) {
            let taken = engine.step(now, &input);
            for command in taken.commands {
                inputs.extend(done(&mut clusters, command, now));
            }
            records.push(StepRecord {
                input,
                facts: taken.facts,
            });
        }
    }
    records
}

/// Does what is to be done, and says so.
fn done(
    clusters: &mut BTreeMap<ClusterName, ClusterObservation>,
    command: Command,
    now: Timestamp,
) -> Option<Input> {
    let answer = match command {
        Command::Effect(effect) => {
            carry_out(clusters, &effect);
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
            ..
        } => Answer::Strategy {
            consultation,
            generation,
            result: Ok(outcome(&view)),
        },
        Command::AskGate {
            consultation,
            generation,
            ..
        } => Answer::Gate {
            consultation,
            generation,
            result: Ok(scene::passed(now)),
        },
    };
    Some(Input::Answer(answer))
}

/// Everything on the new release, traffic as it is by cluster; then done.
fn outcome(view: &SiteView) -> Outcome {
    let all = |it: &wavegate_model::plugin::ClusterView| ClusterGoal {
        cluster: it.name.clone(),
        new: it.desired,
        baseline: 0,
        new_share: Permille(it.new_permille + it.baseline_permille),
        baseline_share: Permille(0),
    };
    let proposal = match view.completed {
        Completed::Nothing => Proposal::Go(Goal {
            clusters: view.clusters.iter().map(all).collect(),
        }),
        _ => Proposal::Done,
    };
    Outcome {
        proposal,
        stage: "all".into(),
        reason: String::new(),
        state: Default::default(),
    }
}

fn carry_out(clusters: &mut BTreeMap<ClusterName, ClusterObservation>, effect: &Effect) {
    let stamp = |epoch| Stamp {
        epoch,
        generation: effect.generation,
        command: effect.id,
    };
    match &effect.change {
        Change::Nodes(nodes) => {
            let cluster = clusters
                .get_mut(&nodes.cluster)
                .expect("it is in the scene");
            let counts = |ready| NodeCounts {
                ready,
                ..NodeCounts::default()
            };
            let both = [
                (scene::digest(2), nodes.new),
                (scene::digest(1), nodes.baseline),
            ];
            let there = both.into_iter().filter(|(_, ready)| *ready > 0);
            cluster.nodes = there
                .map(|(digest, ready)| (digest, counts(ready)))
                .collect();
            cluster.last_nodes = Some(stamp(nodes.epoch));
        }
        Change::Traffic { epochs, split } => {
            for (name, epoch) in epochs {
                let shares = split.shares().iter().filter(|share| share.cluster == *name);
                let shares: BTreeMap<Digest, Permille> = shares
                    .map(|share| (share.release.clone(), share.share))
                    .collect();
                let cluster = clusters.get_mut(name).expect("it is in the scene");
                cluster.traffic = Some(shares.into());
                cluster.last_traffic = Some(stamp(*epoch));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wavegate_engine::{End, Fact};

    #[test]
    fn rollouts_of_the_scene_come_to_their_end() {
        for (ending, end) in [
            (Ending::Done, End::Done),
            (Ending::RolledBack, End::RolledBack),
        ] {
            let records = rollout(ending);
            let mut facts = records.iter().flat_map(|record| &record.facts);
            let finished = facts.find_map(|fact| match fact {
                Fact::Finished { end } => Some(*end),
                _ => None,
            });
            assert_eq!(finished, Some(end), "{} records", records.len());
        }
    }
}
