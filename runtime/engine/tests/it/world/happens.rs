//! What happens to a world, as stories and chance have it.

use super::{World, fresh};
use crate::scenario::{self, SiteDef};
use std::collections::BTreeMap;
use wavegate_engine::input::CommandResult;
use wavegate_engine::{Answer, Input, Observation, Verb};
use wavegate_model::observation::Stamp;
use wavegate_model::{
    ClusterName, CommandId, Epoch, FleetView, Generation, Member, Permille, RolloutId, WaveName,
};

impl World {
    pub(crate) fn set_reachable(&mut self, name: &str, reachable: bool) {
        self.clusters.get_mut(&name.into()).unwrap().reachable = reachable;
    }

    /// What still arrives once a rollout is over.
    pub(crate) fn late_news(&mut self) {
        let cluster = self.clusters.keys().next().cloned();
        let Some(cluster) = cluster else { return };
        let seen = self.engine.state().clusters.get(&cluster);
        let seen = seen.and_then(|cluster| cluster.seen.clone());
        let epoch = Epoch(1000);
        self.input(&Input::Observation(Observation::Claimed {
            cluster: cluster.clone(),
            epoch,
        }));
        if let Some(seen) = seen {
            self.input(&Input::Observation(Observation::Seen {
                cluster: cluster.clone(),
                seen,
            }));
        }
        self.input(&Input::Observation(Observation::Lost {
            cluster,
            detail: "no answer".to_owned(),
            answered: None,
        }));
        self.input(&Input::Answer(Answer::Command {
            command: CommandId(1),
            generation: Generation(1),
            result: CommandResult::Accepted,
        }));
        self.input(&Input::Elapsed);
    }

    /// Another host claims a cluster and carries a command out.
    pub(crate) fn take_over(&mut self, name: &str) {
        let cluster = self.clusters.get_mut(&name.into()).unwrap();
        cluster.epoch = cluster.epoch.next();
        cluster.last_nodes = Some(Stamp {
            epoch: cluster.epoch,
            generation: Generation(1),
            command: CommandId(1000),
        });
    }

    /// Clusters come into the fleet's document or leave it, and the host looks at it.
    pub(crate) fn change_fleet(&mut self, added: &[(SiteDef, &str)], removed: &[&str]) {
        self.fleet
            .retain(|member| !removed.contains(&member.cluster.name.as_str()));
        for (site, wave) in added {
            for def in &site.clusters {
                let (name, cluster) = fresh(&self.scenario, def);
                if self.clusters.contains_key(&name) {
                    continue;
                }
                self.clusters.insert(name.clone(), cluster);
                self.fleet.push(Member {
                    cluster: scenario::cluster(def),
                    wave: WaveName::new(*wave),
                    site: site.name.as_str().into(),
                    role: def.role.clone(),
                });
                self.claim(name);
            }
        }
        let view = FleetView {
            members: self.fleet.clone(),
            excluded: Vec::new(),
        };
        self.request(Verb::Replan(Box::new(view)));
    }

    /// Other rollouts have these clusters, or none.
    pub(crate) fn busy(&mut self, rollout: &str, clusters: &[&str]) {
        let names: Vec<ClusterName> = clusters.iter().map(|name| (*name).into()).collect();
        let behind = [(RolloutId::new(rollout), names)];
        let behind = behind.into_iter().filter(|(_, c)| !c.is_empty()).collect();
        self.input(&Input::Observation(Observation::Busy { behind }));
    }

    pub(crate) fn kill_node(&mut self, name: &str) {
        let cluster = self.clusters.get_mut(&name.into()).unwrap();
        let alive = cluster.nodes.iter_mut().find(|node| !node.dead);
        alive.expect("a node is alive").dead = true;
    }

    /// Nodes that never came up serve now.
    pub(crate) fn mend(&mut self, name: &str) {
        let now = self.now;
        let cluster = self.clusters.get_mut(&name.into()).unwrap();
        for node in &mut cluster.nodes {
            node.ready_at.get_or_insert(now);
        }
    }

    /// The autoscaler wants another total; the cluster follows with nodes of the baseline.
    pub(crate) fn scale(&mut self, name: &str, desired: u32) {
        self.clusters.get_mut(&name.into()).unwrap().desired = desired;
    }

    /// Somebody else gives what runs in a cluster another share of the traffic.
    pub(crate) fn share(&mut self, name: &str, share: u32) {
        let cluster = self.clusters.get_mut(&name.into()).unwrap();
        let release = cluster.nodes.iter().map(|node| node.release.clone()).next();
        let release = release.expect("a cluster that gets traffic has nodes");
        cluster.traffic = BTreeMap::from([(release, Permille(share))]);
    }
}
