//! What must be true at an end, whatever happened on the way.

use crate::disk::SwarmJournal;
use crate::hosts::words;
use crate::people;
use crate::plugins::SwarmPlugins;
use crate::swarm::Swarm;
use std::sync::Arc;
use wavegate_engine::End;
use wavegate_engine::state::{ClusterState, SitePhase, State};
use wavegate_model::{ClusterName, Digest, RolloutId};
use wavegate_plugin_host::PluginHost;
use wavegate_ports::plugins::Plugins;

/// An end is what the fleet looks like.
pub(crate) fn end(swarm: &Swarm, rollout: &RolloutId, end: End) {
    let Some(state) = people::state(swarm, rollout) else {
        return swarm
            .world
            .find(format!("{rollout}: its journal cannot be read at its end"));
    };
    let new = state.spec.release.digest.clone();
    for (name, cluster) in &state.clusters {
        let Some(phase) = phase(&state, cluster) else {
            continue;
        };
        if swarm.world.is_anothers(rollout, name) {
            continue;
        }
        match (end, phase) {
            (End::Done, SitePhase::Done) => is_on(swarm, rollout, name, &new),
            (End::Done | End::RolledBack, SitePhase::RolledBack) if cluster.touched => {
                is_off(swarm, rollout, name, cluster, &new);
            }
            _ => {}
        }
    }
}

/// Where the site of a cluster is; none of one that is let go.
fn phase(state: &State, cluster: &ClusterState) -> Option<SitePhase> {
    let site = cluster.site.as_ref().filter(|_| !cluster.left)?;
    Some(state.sites.get(site)?.phase)
}

/// All traffic of a cluster goes to a release, and all its nodes where there is no traffic to see.
fn is_on(swarm: &Swarm, rollout: &RolloutId, name: &ClusterName, new: &Digest) {
    let Ok(seen) = swarm.world.see(rollout, name) else {
        return;
    };
    let elsewhere = match &seen.traffic {
        Some(traffic) => traffic
            .iter()
            .any(|(release, share)| release != new && share.0 > 0),
        None => seen
            .nodes
            .iter()
            .any(|(release, counts)| release != new && counts.total() > 0),
    };
    if elsewhere {
        swarm.world.find(format!(
            "{rollout} is done, and {name} is not on the release: {:?}, {:?}",
            seen.nodes, seen.traffic
        ));
    }
}

/// Nothing of a release is left in a cluster that ran something else before.
fn is_off(
    swarm: &Swarm,
    rollout: &RolloutId,
    name: &ClusterName,
    cluster: &ClusterState,
    new: &Digest,
) {
    let ran_it = cluster
        .baseline
        .as_ref()
        .is_some_and(|baseline| baseline.digest == *new);
    let kept = cluster.remainder.contains(new);
    let Ok(seen) = swarm.world.see(rollout, name) else {
        return;
    };
    if !ran_it && !kept && seen.of(new).total() > 0 {
        swarm.world.find(format!(
            "{rollout}: the site of {name} is back, and {} of its nodes are not",
            seen.of(new).total()
        ));
    }
}

/// The journal runs again to the same facts and answers.
pub(crate) async fn replay(swarm: &Arc<Swarm>, plugins: &Arc<PluginHost>, rollout: &RolloutId) {
    let life = swarm.born();
    let journal = SwarmJournal(Arc::clone(&life));
    let host = Arc::clone(plugins);
    let plugins: Arc<dyn Plugins> = Arc::new(SwarmPlugins {
        life,
        rollout: rollout.clone(),
        host,
    });
    match wavegate_foresight::verify(&journal, &plugins, rollout).await {
        Ok(verified) => {
            swarm.count("check: a journal ran again");
            if let Some(first) = verified.differences.first() {
                swarm.world.find(format!(
                    "{rollout}: record {} goes another way when it runs again: {:?}",
                    first.seq, first.what
                ));
            }
            if let Some(first) = verified.unchecked.first() {
                swarm.world.find(format!("{rollout}: {first:?}"));
            }
        }
        Err(error) => swarm.world.find(format!("{rollout}: {}", words(&error))),
    }
}
