//! Carries commands to drivers and brings the answers back as inputs.

use crate::fleet::Fleet;
use crate::runner::Arrival;
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use wavegate_engine::command::{Change, Effect};
use wavegate_engine::input::CommandResult;
use wavegate_engine::{Answer, Input, State};
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, Digest, Epoch, Release};
use wavegate_ports::Durable;
use wavegate_ports::driver::{DriverError, NodesTarget};

/// Carries a command out in a task of its own. It takes the proof that the command is recorded.
pub(crate) fn release(
    effect: Durable<Effect>,
    state: &State,
    fleet: &Fleet,
    inputs: &mpsc::Sender<Arrival>,
) {
    let effect = effect.into_inner();
    let (fleet, inputs) = (fleet.clone(), inputs.clone());
    let releases = releases(state, &effect);
    tokio::spawn(async move {
        let (command, generation) = (effect.id, effect.generation);
        let result = carry_out(&effect, releases, &fleet).await;
        let answer = Answer::Command {
            command,
            generation,
            result,
        };
        // The receiver is gone only when the run is over.
        let _ = inputs.send(Arrival::input(Input::Answer(answer))).await;
    });
}

/// The releases that a change of nodes may need: the new one, and the cluster's baseline.
fn releases(state: &State, effect: &Effect) -> BTreeMap<Digest, Release> {
    let mut releases = BTreeMap::new();
    if let Change::Nodes(change) = &effect.change {
        let baseline = state.cluster(&change.cluster).baseline.as_deref();
        for release in baseline.into_iter().chain([&state.spec.release]) {
            releases.insert(release.digest.clone(), release.clone());
        }
    }
    releases
}

async fn carry_out(
    effect: &Effect,
    releases: BTreeMap<Digest, Release>,
    fleet: &Fleet,
) -> CommandResult {
    let stamp = |epoch: Epoch| Stamp {
        epoch,
        generation: effect.generation,
        command: effect.id,
    };
    let result = match &effect.change {
        Change::Nodes(change) => {
            let nodes = change
                .nodes
                .iter()
                .filter_map(|(digest, count)| Some((releases.get(digest)?.clone(), *count)));
            let target = NodesTarget {
                desired: change.desired,
                nodes: nodes.collect(),
            };
            let driver = fleet.driver_of(&change.cluster);
            driver
                .set_nodes(&fleet.rollout, &change.cluster, stamp(change.epoch), target)
                .await
        }
        Change::Traffic { epochs, split } => {
            let stamps: BTreeMap<ClusterName, Stamp> = epochs
                .iter()
                .map(|(cluster, epoch)| (cluster.clone(), stamp(*epoch)))
                .collect();
            match epochs.keys().next() {
                Some(cluster) => {
                    let driver = fleet.driver_of(cluster);
                    driver
                        .set_traffic(&fleet.rollout, &effect.site, stamps, split.clone())
                        .await
                }
                None => Ok(()),
            }
        }
    };
    match result {
        Ok(()) => CommandResult::Accepted,
        Err(error @ (DriverError::Stale { .. } | DriverError::Owned { .. })) => {
            CommandResult::Superseded(error.to_string())
        }
        Err(DriverError::DesiredChanged { .. }) => CommandResult::DesiredChanged,
        Err(error @ (DriverError::Unreachable { .. } | DriverError::Failed { .. })) => {
            CommandResult::Failed(error.to_string())
        }
    }
}
