//! Setting up a fleet with its baseline, and taking a fleet down.

use crate::artifact::{Artifact, BadDocument, Connection};
use crate::driver::{Attached, LocalDriver, bad_document};
use crate::front_door::{Found, FrontDoor, FrontDoorError};
use crate::owner::ServiceFolder;
use crate::slot::{Answer, KILL_TIME_MAX, Presence, Slot, SlotState, wait_until};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use wavegate_model::observation::Stamp;
use wavegate_model::{
    Cluster, ClusterName, CommandId, Epoch, Generation, Permille, PlannedSite, Release, RolloutId,
    ServiceName, Share, SiteName, Split,
};
use wavegate_ports::driver::{Driver, DriverError, NodesTarget};

/// How often it is looked whether all nodes serve.
const READY_INTERVAL: Duration = Duration::from_millis(50);

/// A fleet to be set up.
#[derive(Clone, Debug)]
pub struct Provision {
    /// The service that it runs.
    pub service: ServiceName,
    /// The clusters; each gets the nodes that its document says.
    pub clusters: Vec<Cluster>,
    /// The sites that they make up. Clusters of no site get no nodes.
    pub sites: Vec<PlannedSite>,
    /// What the nodes run.
    pub release: Release,
    /// The traffic of sites; those that are not named split it by the nodes of the clusters that
    /// do not stand by.
    pub traffic: BTreeMap<SiteName, Split>,
    /// How long it may take until all nodes serve.
    pub within: Duration,
}

/// The owner while a fleet is set up.
fn provisioner() -> RolloutId {
    RolloutId::new("provision")
}

impl LocalDriver {
    /// Sets up a fleet: its folders, nodes and front doors. Has nothing more to do where that is
    /// done already. Refused where a rollout is unfinished.
    pub async fn provision(&self, provision: Provision) -> Result<(), DriverError> {
        let deadline = Instant::now() + provision.within;
        let rollout = provisioner();
        let attached = Arc::new(Attached::new(
            &self.options,
            &provision.service,
            &provision.clusters,
            &provision.sites,
        )?);
        if let Some(cluster) = provision.clusters.first() {
            Artifact::of(&provision.release).map_err(|e| bad_document(&cluster.name, &e))?;
        }
        for service in attached.services.values() {
            service.folder.create()?;
            service.folder.write_desired(service.nodes)?;
        }
        attached.ensure_doors().await?;
        self.remember(&rollout, Arc::clone(&attached));
        let mut epochs = BTreeMap::new();
        for name in attached.services.keys() {
            epochs.insert(
                name.clone(),
                self.claim(&rollout, &provision.service, name).await?,
            );
        }
        self.start_all(&rollout, &attached, &provision.release, &epochs)
            .await?;
        self.wait_ready(&rollout, &attached, deadline).await?;
        for site in &provision.sites {
            self.open_site(&rollout, &attached, site, &provision, &epochs)
                .await?;
        }
        for (name, epoch) in epochs {
            self.disown(&rollout, &provision.service, &name, epoch)
                .await?;
        }
        Ok(())
    }

    async fn start_all(
        &self,
        rollout: &RolloutId,
        attached: &Arc<Attached>,
        release: &Release,
        epochs: &BTreeMap<ClusterName, Epoch>,
    ) -> Result<(), DriverError> {
        let mut starts = JoinSet::new();
        for (name, epoch) in epochs {
            let Some(service) = attached.services.get(name).map(Arc::clone) else {
                continue;
            };
            let target = NodesTarget {
                desired: service.nodes,
                nodes: vec![(release.clone(), service.nodes)],
            };
            let stamp = first_stamp(*epoch);
            starts.spawn(async move { service.set_nodes(stamp, target).await });
        }
        while let Some(started) = starts.join_next().await {
            started.map_err(|e| DriverError::Failed {
                cluster: ClusterName::new(rollout.as_str()),
                operation: "start its nodes",
                detail: e.to_string(),
            })??;
        }
        Ok(())
    }

    async fn wait_ready(
        &self,
        rollout: &RolloutId,
        attached: &Attached,
        deadline: Instant,
    ) -> Result<(), DriverError> {
        let mut poll = tokio::time::interval(READY_INTERVAL);
        let mut waiting: BTreeSet<&ClusterName> = attached.services.keys().collect();
        while let Some(name) = waiting.first().copied() {
            let observed = match self.observe(rollout, name).await {
                // Supervisors on a busy machine may be late with their answers.
                Err(DriverError::Unreachable { .. }) if Instant::now() <= deadline => {
                    poll.tick().await;
                    continue;
                }
                observed => observed?,
            };
            if observed.ready() >= observed.desired {
                waiting.remove(name);
                continue;
            }
            let failed: u32 = observed.nodes.values().map(|counts| counts.failed).sum();
            if Instant::now() > deadline || failed > 0 {
                let detail = format!(
                    "{} of {} nodes are ready, {failed} have failed; see the logs below {}",
                    observed.ready(),
                    observed.desired,
                    attached
                        .services
                        .get(name)
                        .map_or_else(PathBuf::new, |s| s.folder.slots())
                        .display()
                );
                return Err(DriverError::Failed {
                    cluster: name.clone(),
                    operation: "start its nodes",
                    detail,
                });
            }
            poll.tick().await;
        }
        Ok(())
    }

    async fn open_site(
        &self,
        rollout: &RolloutId,
        attached: &Attached,
        site: &PlannedSite,
        provision: &Provision,
        epochs: &BTreeMap<ClusterName, Epoch>,
    ) -> Result<(), DriverError> {
        let members: Vec<_> = site
            .clusters
            .iter()
            .filter_map(|c| attached.services.get(&c.name))
            .collect();
        if members.is_empty() || members.iter().any(|service| service.door.is_none()) {
            return Ok(());
        }
        let by_nodes = || {
            let nodes: Vec<_> = members
                .iter()
                .filter(|s| s.nodes_in_traffic > 0)
                .map(|s| (s.folder.cluster.clone(), s.nodes_in_traffic))
                .collect();
            split_by_nodes(&nodes, &provision.release)
        };
        let split = provision
            .traffic
            .get(&site.name)
            .cloned()
            .unwrap_or_else(by_nodes);
        let stamps = members.iter().filter_map(|service| {
            let name = &service.folder.cluster;
            Some((name.clone(), first_stamp(*epochs.get(name)?)))
        });
        self.set_traffic(rollout, &site.name, stamps.collect(), split)
            .await
    }
}

fn first_stamp(epoch: Epoch) -> Stamp {
    Stamp {
        epoch,
        generation: Generation(0),
        command: CommandId(0),
    }
}

/// Shares in proportion to nodes; what rounding leaves goes to the first cluster.
fn split_by_nodes(clusters: &[(ClusterName, u32)], release: &Release) -> Split {
    let all: u64 = clusters.iter().map(|(_, nodes)| u64::from(*nodes)).sum();
    let part = |nodes: u32| u32::try_from(u64::from(nodes) * 1000 / all.max(1)).unwrap_or_default();
    let given: u32 = clusters.iter().map(|(_, nodes)| part(*nodes)).sum();
    let shares = clusters
        .iter()
        .enumerate()
        .map(|(index, (cluster, nodes))| Share {
            cluster: cluster.clone(),
            release: release.digest.clone(),
            share: Permille(part(*nodes) + if index == 0 { 1000 - given } else { 0 }),
        });
    Split::new(shares)
}

/// Something that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A node, with its service's pid.
    Node {
        /// Of which cluster.
        cluster: ClusterName,
        /// Which.
        node: String,
        /// The process id that its service had; none if it never started.
        pid: Option<u32>,
    },
    /// A front door.
    FrontDoor {
        /// Its folder.
        dir: PathBuf,
    },
}

/// A fleet could not be taken down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TeardownError {
    /// Nodes of a cluster, or its documents.
    #[error(transparent)]
    Cluster(#[from] DriverError),
    /// A front door.
    #[error(transparent)]
    FrontDoor(#[from] FrontDoorError),
}

/// Stops whatever runs of a service in these clusters: front doors first, so that requests in
/// flight are finished, then nodes. Whoever is rolling out there is refused from then on. Safe to
/// repeat; leaves all files where they are.
pub async fn teardown(
    base: &Path,
    service: &ServiceName,
    clusters: &[Cluster],
) -> Result<Vec<Stopped>, TeardownError> {
    let mut folders = Vec::new();
    let mut doors = BTreeSet::new();
    for cluster in clusters {
        let connection =
            Connection::of(cluster).map_err(|e: BadDocument| bad_document(&cluster.name, &e))?;
        let folder = ServiceFolder::new(&cluster.name, &connection.folder(base), service);
        doors.insert(folder.path.join("front-door"));
        doors.extend(connection.front_door_dir.map(|dir| base.join(dir)));
        if folder.check_present().is_ok() {
            depose(&folder).await?;
            folders.push(folder);
        }
    }
    let mut stopped = Vec::new();
    for dir in doors {
        match FrontDoor::stop_found(&dir).await? {
            Found::Stopped => stopped.push(Stopped::FrontDoor { dir }),
            Found::Nothing => {}
        }
    }
    let mut stops = JoinSet::new();
    for folder in folders {
        for slot in Slot::all(&folder).map_err(|e| folder.failed("list its slots", e))? {
            let folder = folder.clone();
            stops.spawn(async move { stop_slot(&folder, &slot).await });
        }
    }
    while let Some(done) = stops.join_next().await {
        let panicked = |e: tokio::task::JoinError| DriverError::Failed {
            cluster: ClusterName::new(service.as_str()),
            operation: "stop a node",
            detail: e.to_string(),
        };
        stopped.extend(done.map_err(panicked)??);
    }
    Ok(stopped)
}

/// Nobody else may change the cluster from here on. A supervisor that was stopped while it held
/// the cluster's lock would hold it for ever: one that does not answer is ended, and its node is
/// an orphan until its turn to be stopped comes.
async fn depose(folder: &ServiceFolder) -> Result<(), DriverError> {
    let teardown = RolloutId::new("teardown");
    let locked = match folder.lock() {
        Ok(lock) => return lock.depose(&teardown).map(drop),
        Err(locked) => locked,
    };
    let ended = end_silent_supervisors(folder).await;
    if ended.map_err(|e| folder.failed("end a supervisor that does not answer", e))? == 0 {
        return Err(locked);
    }
    folder.lock()?.depose(&teardown).map(drop)
}

/// Ends supervisors that do not answer, and says how many. Which process that is stands in the
/// state of its slot, by its pid and when it was started, so that nobody else is ended.
async fn end_silent_supervisors(folder: &ServiceFolder) -> std::io::Result<usize> {
    let mut ended = 0;
    for slot in Slot::all(folder)? {
        let Some((state, Presence::Live | Presence::Draining)) = slot.node()? else {
            continue;
        };
        if slot.status().await.is_err() {
            state.supervisor.signal(Signal::KILL);
            wait_until(KILL_TIME_MAX, || !state.supervisor.is_alive()).await?;
            ended += 1;
        }
    }
    Ok(ended)
}

async fn stop_slot(folder: &ServiceFolder, slot: &Slot) -> Result<Option<Stopped>, DriverError> {
    let failed =
        |e: std::io::Error| folder.failed("stop a node", format!("slot {}: {e}", slot.number));
    let Some((state, presence)) = slot.node().map_err(failed)? else {
        return Ok(None);
    };
    let stopped = Stopped::Node {
        cluster: folder.cluster.clone(),
        node: state.node.clone(),
        pid: state.service.as_ref().map(|service| service.pid),
    };
    match presence {
        Presence::Free => Ok(None),
        Presence::Dead => {
            let orphans = !state.supervisor.session_members().is_empty();
            slot.clear(&state).await.map_err(failed)?;
            Ok(orphans.then_some(stopped))
        }
        Presence::Live | Presence::Draining => {
            stop_or_kill(slot, &state).await.map_err(failed)?;
            Ok(Some(stopped))
        }
    }
}

async fn stop_or_kill(slot: &Slot, state: &SlotState) -> std::io::Result<()> {
    let drain =
        Artifact::of(&state.release).map_or(Duration::ZERO, |artifact| artifact.drain_time());
    match slot.stop(state, None, drain).await {
        Ok(Answer::Stopped) => Ok(()),
        Ok(_) | Err(_) => slot.kill(state).await,
    }
}
