//! One service in one cluster, as this process sees and changes it.

use crate::artifact::{Artifact, BadDocument, Connection};
use crate::files;
use crate::front_door::{Backend, BackendRole, FrontDoor, FrontDoorError, FrontDoorStatus};
use crate::health::{self, Check, Outcome, Ring};
use crate::owner::{ServiceFolder, Tenure};
use crate::slot::{Phase, Presence, Slot, SlotState};
use crate::{Helpers, Options};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use wavegate_model::evidence::{ProbeSummary, Requests};
use wavegate_model::observation::NodeCounts;
use wavegate_model::{
    ByRelease, Cluster, ClusterObservation, Digest, Epoch, Permille, Release, Timestamp,
};
use wavegate_ports::driver::{DriverError, Inspection};

/// Failed health checks in a row after which a node that has served gets no more requests. One
/// alone is often a busy machine, and taking nodes out for that would bring the others down.
const RED_CHECKS_MAX: u32 = 3;

/// Where the front door of a cluster's site is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DoorAt {
    pub(crate) dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
}

impl DoorAt {
    pub(crate) async fn ensure(&self, helpers: &Helpers) -> Result<FrontDoor, FrontDoorError> {
        FrontDoor::ensure(helpers, &self.dir, self.listen).await
    }
}

/// A service in a cluster.
pub(crate) struct Service {
    pub(crate) folder: ServiceFolder,
    /// Nodes that the fleet document says, until somebody wants another number.
    pub(crate) nodes: u32,
    /// Nodes that carry traffic from the start: none in a cluster that stands by.
    pub(crate) nodes_in_traffic: u32,
    pub(crate) door: Option<DoorAt>,
    pub(crate) options: Options,
    /// Commands that change nodes are carried out one after another.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Commands that are being carried out or wait for their turn.
    pub(crate) pending: AtomicU32,
    memory: Mutex<Memory>,
    /// Held while the front door is told its nodes, so that an older list never comes last.
    publishing: tokio::sync::Mutex<()>,
}

/// What this process remembers between two looks. All of it can be lost.
#[derive(Default)]
struct Memory {
    checks: Ring,
    /// By node: what decides whether it gets requests.
    nodes: BTreeMap<String, Standing>,
    /// Nodes that a command is draining.
    draining: BTreeSet<String>,
    /// Of the claim that this process made.
    epoch: Option<Epoch>,
}

/// How a node has been doing.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    has_served: Served,
    red_in_a_row: u32,
}

/// Whether a node was ever ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Served {
    #[default]
    NotYet,
    Once,
}

/// How a supervisor took a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    /// It answered.
    Answered,
    /// It is there and says nothing, or cannot be asked: it is stopped, or its socket is gone.
    Silent,
    /// There is none.
    Gone,
}

/// A slot as it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) slot: Slot,
    pub(crate) state: SlotState,
    pub(crate) presence: Presence,
    contact: Contact,
    /// None without a running service.
    check: Option<Check>,
}

impl Seen {
    pub(crate) fn is_ready(&self) -> bool {
        self.presence == Presence::Live
            && self.contact == Contact::Answered
            && self
                .check
                .as_ref()
                .is_some_and(|check| check.outcome == Outcome::Green)
    }

    /// A node that ended or never came up.
    pub(crate) fn has_failed(&self, at: Timestamp) -> bool {
        let start =
            Artifact::of(&self.state.release).map_or(0, |artifact| artifact.health.start_ms);
        match self.presence {
            Presence::Dead => true,
            Presence::Live => !self.is_ready() && at.since(self.state.started).0 > u64::from(start),
            Presence::Free | Presence::Draining => false,
        }
    }
}

/// Counts a command in progress for as long as it lives.
pub(crate) struct Pending<'a>(&'a AtomicU32);

impl<'a> Pending<'a> {
    pub(crate) fn new(counter: &'a AtomicU32) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service {
    pub(crate) fn new(
        cluster: &Cluster,
        service: &wavegate_model::ServiceName,
        door: Option<DoorAt>,
        options: &Options,
    ) -> Result<Self, BadDocument> {
        let connection = Connection::of(cluster)?;
        let dir = connection.folder(&options.base);
        let nodes_in_traffic = if connection.standby { 0 } else { cluster.nodes };
        Ok(Self {
            folder: ServiceFolder::new(&cluster.name, &dir, service),
            nodes: cluster.nodes,
            nodes_in_traffic,
            door,
            options: options.clone(),
            turn: tokio::sync::Mutex::default(),
            pending: AtomicU32::new(0),
            memory: Mutex::default(),
            publishing: tokio::sync::Mutex::default(),
        })
    }

    /// Whether two descriptions are of the same folder, nodes and front door.
    pub(crate) fn is_described_as(&self, other: &Self) -> bool {
        self.folder.path == other.folder.path
            && self.nodes == other.nodes
            && self.nodes_in_traffic == other.nodes_in_traffic
            && self.door == other.door
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing that holds it can panic half-way through a change.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remember_claim(&self, epoch: Option<Epoch>) {
        self.memory().epoch = epoch;
    }

    pub(crate) fn set_draining(&self, nodes: &[String]) {
        self.memory().draining.extend(nodes.iter().cloned());
    }

    pub(crate) fn forget_draining(&self, nodes: &[String]) {
        let mut memory = self.memory();
        for node in nodes {
            memory.draining.remove(node);
        }
    }

    pub(crate) fn failed(&self, operation: &'static str, detail: impl ToString) -> DriverError {
        self.folder.failed(operation, detail)
    }

    /// Looks at all slots at once.
    pub(crate) async fn look(self: &Arc<Self>) -> Result<Vec<Seen>, DriverError> {
        self.folder.check_present()?;
        let slots = Slot::all(&self.folder).map_err(|e| self.failed("list its slots", e))?;
        let mut looks = JoinSet::new();
        for slot in slots {
            looks.spawn(look_at(slot));
        }
        let mut seen = Vec::new();
        while let Some(look) = looks.join_next().await {
            let look = look.map_err(|e| self.failed("look at a slot", e))?;
            seen.extend(look.map_err(|e| self.failed("look at a slot", e))?);
        }
        seen.sort_by_key(|seen| seen.slot.number);
        self.remember(&seen);
        let (mut supervised, mut silent) = (0, 0);
        for seen in seen
            .iter()
            .filter(|seen| matches!(seen.presence, Presence::Live | Presence::Draining))
        {
            supervised += 1;
            silent += u32::from(seen.contact == Contact::Silent);
        }
        if supervised > 0 && supervised == silent {
            let detail = format!("none of {supervised} supervisors answers");
            return Err(DriverError::Unreachable {
                cluster: self.folder.cluster.clone(),
                detail,
            });
        }
        Ok(seen)
    }

    fn remember(&self, seen: &[Seen]) {
        let mut memory = self.memory();
        memory
            .nodes
            .retain(|node, _| seen.iter().any(|seen| seen.state.node == *node));
        for seen in seen {
            let Some(check) = &seen.check else { continue };
            let standing = memory.nodes.entry(seen.state.node.clone()).or_default();
            // A node that is still starting has not failed anybody: its red checks say that it is
            // not ready, and are no evidence about the release that serves.
            if seen.is_ready() || matches!(standing.has_served, Served::Once) {
                let check = check.clone();
                memory.checks.push(check);
            }
            let standing = memory.nodes.entry(seen.state.node.clone()).or_default();
            if seen.is_ready() {
                *standing = Standing {
                    has_served: Served::Once,
                    red_in_a_row: 0,
                };
            } else {
                standing.red_in_a_row = standing.red_in_a_row.saturating_add(1);
            }
        }
    }

    /// What there is, without the front door.
    pub(crate) async fn inspect(self: &Arc<Self>) -> Result<Inspection, DriverError> {
        let seen = self.look().await?;
        let is_there = |seen: &&Seen| matches!(seen.presence, Presence::Live | Presence::Dead);
        let nodes = seen.iter().filter(is_there).count();
        let owner = self.folder.owner()?;
        let owner = owner.filter(|owner| owner.tenure == Tenure::Open);
        Ok(Inspection {
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
            owner: owner.map(|owner| owner.rollout),
        })
    }

    pub(crate) async fn observe(self: &Arc<Self>) -> Result<ClusterObservation, DriverError> {
        let at = files::now();
        // Before the look: a command that ends during it is still seen as going on.
        let busy = self.pending.load(Ordering::SeqCst) > 0;
        let seen = self.look().await?;
        let door = self.refresh_door(&seen).await?;
        let mut nodes: BTreeMap<Digest, NodeCounts> = BTreeMap::new();
        let mut releases: BTreeMap<Digest, Release> = BTreeMap::new();
        for seen in &seen {
            if !matches!(seen.presence, Presence::Live | Presence::Dead) {
                continue;
            }
            let digest = &seen.state.release.digest;
            releases
                .entry(digest.clone())
                .or_insert_with(|| seen.state.release.clone());
            let counts = nodes.entry(digest.clone()).or_default();
            counts.ready += u32::from(seen.is_ready());
            counts.unready += u32::from(!seen.is_ready());
            counts.failed += u32::from(seen.has_failed(at));
        }
        if nodes.is_empty() {
            let last = self.ran_last()?;
            releases.extend(last.map(|release| (release.digest.clone(), release)));
        }
        let owner = self.folder.owner()?;
        Ok(ClusterObservation {
            at,
            desired: self.folder.desired(self.nodes)?,
            nodes: nodes.into(),
            releases: releases.into(),
            traffic: door.as_ref().map(|door| self.traffic(door)),
            busy,
            last_nodes: owner.and_then(|owner| owner.last_nodes),
            last_traffic: door.and_then(|door| door.stamps.get(&self.folder.cluster).copied()),
        })
    }

    /// The release of the node that was started last, as its slot remembers it: what a cluster
    /// without nodes goes back to.
    fn ran_last(&self) -> Result<Option<Release>, DriverError> {
        let slots = Slot::all(&self.folder).map_err(|e| self.failed("list its slots", e))?;
        let mut last: Option<SlotState> = None;
        for slot in slots {
            let state = slot
                .read()
                .map_err(|e| self.failed("read a slot", e))?
                .filter(|state| last.as_ref().is_none_or(|l| l.started <= state.started));
            last = state.or(last);
        }
        Ok(last.map(|state| state.release))
    }

    fn traffic(&self, door: &FrontDoorStatus) -> ByRelease<Permille> {
        let shares = door
            .split
            .shares()
            .iter()
            .filter(|share| share.cluster == self.folder.cluster);
        shares
            .map(|share| (share.release.clone(), share.share))
            .collect()
    }

    /// The site's front door, started again if it is gone.
    pub(crate) async fn door(&self) -> Result<Option<FrontDoor>, DriverError> {
        let Some(door) = &self.door else {
            return Ok(None);
        };
        let ensured = door.ensure(&self.options.helpers).await;
        ensured
            .map(Some)
            .map_err(|e| self.failed("reach the front door of its site", e))
    }

    /// Has the site's front door give its metrics as the documents say.
    pub(crate) async fn give_metrics(&self) -> Result<(), DriverError> {
        let (Some(at), Some(door)) = (&self.door, self.door().await?) else {
            return Ok(());
        };
        let given = door.set_metrics(at.metrics).await;
        given.map_err(|e| self.failed("open the metrics of the front door of its site", e))
    }

    /// Tells the front door which nodes serve, if it knows otherwise and if that is for this
    /// process to say: only the owner knows what is being drained.
    async fn refresh_door(&self, seen: &[Seen]) -> Result<Option<FrontDoorStatus>, DriverError> {
        let Some(door) = self.door().await? else {
            return Ok(None);
        };
        let failed = |e: FrontDoorError| self.failed("talk to the front door of its site", e);
        let _publishing = self.publishing.lock().await;
        let status = door.status().await.map_err(failed)?;
        let own = status
            .backends
            .iter()
            .filter(|backend| backend.cluster == self.folder.cluster);
        let mut known: Vec<Backend> = own
            .filter(|b| b.role == BackendRole::Serving)
            .map(|b| b.backend.clone())
            .collect();
        known.sort();
        let wanted = self.backends(seen, &known);
        if wanted != known && self.is_owner()? {
            door.set_backends(&self.folder.cluster, wanted)
                .await
                .map_err(failed)?;
        }
        Ok(Some(status))
    }

    fn is_owner(&self) -> Result<bool, DriverError> {
        let claimed = self.memory().epoch;
        let owner = self.folder.owner()?;
        Ok(claimed.is_some() && claimed == owner.map(|owner| owner.epoch))
    }

    /// The nodes that are to get requests: those that are ready, and those that were and fail
    /// for the first time or two. `known` has served, even if it was before this process began.
    fn backends(&self, seen: &[Seen], known: &[Backend]) -> Vec<Backend> {
        let memory = self.memory();
        let serves = |seen: &&Seen| {
            let node = &seen.state.node;
            let standing = memory.nodes.get(node).copied().unwrap_or_default();
            let has_served =
                standing.has_served == Served::Once || known.iter().any(|b| b.node == *node);
            seen.presence == Presence::Live
                && seen.state.phase == Phase::Running
                && !memory.draining.contains(node)
                && has_served
                && standing.red_in_a_row < RED_CHECKS_MAX
        };
        let backend = |seen: &Seen| Backend {
            node: seen.state.node.clone(),
            release: seen.state.release.digest.clone(),
            addr: health::address(seen.state.port),
        };
        let mut backends: Vec<Backend> = seen.iter().filter(serves).map(backend).collect();
        backends.sort();
        backends
    }

    pub(crate) async fn probe(
        &self,
        release: &Digest,
        since: Timestamp,
    ) -> Result<ProbeSummary, DriverError> {
        let checks = self.memory().checks.summary(release, since);
        let traffic = match self.door().await? {
            None => Requests::default(),
            Some(door) => {
                let stats = door.stats(&self.folder.cluster, release, since).await;
                stats.map_err(|e| self.failed("ask the front door of its site", e))?
            }
        };
        Ok(ProbeSummary { checks, traffic })
    }

    /// How long nodes of a release may take to drain.
    pub(crate) fn drain_time(&self, release: &Release) -> Duration {
        Artifact::of(release).map_or(Duration::ZERO, |artifact| artifact.drain_time())
    }
}

/// None if the slot was never used, or is free.
async fn look_at(slot: Slot) -> std::io::Result<Option<Seen>> {
    let Some((state, presence)) = slot.node()? else {
        return Ok(None);
    };
    if presence == Presence::Dead {
        let (contact, check) = (Contact::Gone, None);
        return Ok(Some(Seen {
            slot,
            state,
            presence,
            contact,
            check,
        }));
    }
    let (status, check) = tokio::join!(slot.status(), check(&state));
    let (node, silence) = match status {
        Ok(_) => (Some((state, presence)), Contact::Answered),
        // It may have come to its end between the two looks.
        Err(_) => (slot.node()?, Contact::Silent),
    };
    Ok(node.map(|(state, presence)| Seen {
        slot,
        contact: if presence == Presence::Dead {
            Contact::Gone
        } else {
            silence
        },
        state,
        presence,
        check,
    }))
}

async fn check(state: &SlotState) -> Option<Check> {
    let alive = state
        .service
        .as_ref()
        .is_some_and(crate::process::ProcessMark::is_alive);
    let artifact = Artifact::of(&state.release).ok()?;
    if !alive || state.phase != Phase::Running {
        return None;
    }
    Some(health::check(state.port, &artifact.health, &state.release.digest).await)
}
