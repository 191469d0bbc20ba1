//! The simulated fleet as everybody shares it: hosts, rivals, and who checks what really happens.

use crate::scene::Scene;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;
use wavegate_driver_sim::{Scope, SimDriver};
use wavegate_engine::Spec;
use wavegate_model::observation::Stamp;
use wavegate_model::{
    Amount, ClusterName, ClusterObservation, CommandId, Digest, DurationMs, Epoch, RolloutId,
    ServiceName, SiteName, Split, Timestamp,
};
use wavegate_ports::driver::{Driver, DriverError, NodesTarget};
use wavegate_ports::world::World as _;

/// A rollout that is in another journal.
const ELSEWHERE: &str = "elsewhere";

/// The fleet, with the record of who owns what.
pub(crate) struct World {
    pub(crate) sim: Arc<SimDriver>,
    service: ServiceName,
    release: Digest,
    start: Timestamp,
    begun: Instant,
    strict: Strict,
    inner: Mutex<Inner>,
}

/// A command on its way.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Nodes(ClusterName, Stamp, NodesTarget),
    Traffic(SiteName, BTreeMap<ClusterName, Stamp>, Split),
}

impl Order {
    /// The clusters that it changes, with its stamp for each.
    pub(crate) fn stamps(&self) -> BTreeMap<ClusterName, Stamp> {
        match self {
            Self::Nodes(cluster, stamp, _) => BTreeMap::from([(cluster.clone(), *stamp)]),
            Self::Traffic(_, stamps, _) => stamps.clone(),
        }
    }
}

/// What must hold of nodes and traffic where nothing fails by itself.
struct Strict {
    peaceful: bool,
    /// Nodes of a cluster that may be down. None where clusters are filled and emptied.
    down: Option<Amount>,
}

#[derive(Default)]
struct Inner {
    owners: BTreeMap<ClusterName, RolloutId>,
    cut: BTreeSet<ClusterName>,
    /// Whose command a cluster carried out last.
    last: BTreeMap<ClusterName, RolloutId>,
    /// Commands that are in the journal for good.
    durable: BTreeMap<RolloutId, BTreeSet<CommandId>>,
    /// What clusters looked like earlier.
    earlier: BTreeMap<ClusterName, ClusterObservation>,
    findings: Vec<String>,
}

impl World {
    pub(crate) fn new(scene: &Scene, whole: &Spec, seed: u64) -> anyhow::Result<Self> {
        let sites = whole.plan.waves.iter().flat_map(|wave| &wave.sites);
        let scope = Scope {
            clusters: whole.clusters.clone(),
            sites: sites.cloned().collect(),
            release: whole.release.clone(),
            splits_traffic: scene.splits,
            resolution: DurationMs::secs(1),
        };
        let sim = SimDriver::new(&scope, &Arc::new(scene.model.clone()), seed)
            .map_err(|bad| anyhow::anyhow!("{bad}"))?;
        // The way back of a scene's policy has the same limit.
        let down = whole.policy.batch.max_unavailable;
        Ok(Self {
            start: sim.start(),
            begun: Instant::now(),
            service: whole.service.clone(),
            release: whole.release.digest.clone(),
            strict: Strict {
                peaceful: scene.peaceful,
                down: (scene.strategy != "blue-green").then_some(down),
            },
            sim: Arc::new(sim),
            inner: Mutex::default(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic is a finding of its own; nobody goes on with what it left.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the clocks of clusters show.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.start.plus(DurationMs(passed))
    }

    /// Lets happen in the fleet what has happened by now.
    fn catch_up(&self) {
        let now = self.now();
        while self.sim.arrival(now).is_some() {}
    }

    pub(crate) fn cut(&self, cluster: &ClusterName, cut: bool) {
        let mut inner = self.inner();
        if cut {
            inner.cut.insert(cluster.clone());
        } else {
            inner.cut.remove(cluster);
        }
    }

    pub(crate) fn nobody_is_cut(&self) {
        self.inner().cut.clear();
    }

    pub(crate) fn is_cut(&self, cluster: &ClusterName) -> bool {
        self.inner().cut.contains(cluster)
    }

    /// An autoscaler wants another total.
    pub(crate) fn scale(&self, cluster: &ClusterName, desired: u32) {
        self.catch_up();
        self.sim.scale(cluster, desired);
    }

    /// Remembers that commands are in the journal for good.
    pub(crate) fn is_durable(&self, rollout: &RolloutId, commands: Vec<CommandId>) {
        let mut inner = self.inner();
        inner
            .durable
            .entry(rollout.clone())
            .or_default()
            .extend(commands);
    }

    /// Something that must not be.
    pub(crate) fn find(&self, what: String) {
        let mut inner = self.inner();
        if inner.findings.len() < 5 {
            inner.findings.push(what);
        }
    }

    pub(crate) fn findings(&self) -> Vec<String> {
        self.inner().findings.clone()
    }

    /// Who has the cluster.
    pub(crate) fn owner(&self, cluster: &ClusterName) -> Option<RolloutId> {
        self.inner().owners.get(cluster).cloned()
    }

    /// Whether another rollout has changed the cluster since.
    pub(crate) fn is_anothers(&self, rollout: &RolloutId, cluster: &ClusterName) -> bool {
        let inner = self.inner();
        inner.last.get(cluster).is_some_and(|last| last != rollout)
    }

    pub(crate) fn claim(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
    ) -> Result<Epoch, DriverError> {
        self.catch_up();
        let mut inner = self.inner();
        match inner.owners.get(cluster) {
            Some(owner) if owner != rollout => Err(owned(cluster, owner.clone())),
            _ => {
                inner.owners.insert(cluster.clone(), rollout.clone());
                drop(inner);
                at_once(self.sim.claim(rollout, &self.service, cluster))
            }
        }
    }

    /// Somebody who has another journal takes a cluster, whoever had it.
    pub(crate) fn elsewhere(&self, cluster: &ClusterName) {
        self.catch_up();
        let other = RolloutId::new(ELSEWHERE);
        let mut inner = self.inner();
        inner.owners.insert(cluster.clone(), other.clone());
        inner.last.insert(cluster.clone(), other.clone());
        drop(inner);
        if let Err(error) = at_once(self.sim.claim(&other, &self.service, cluster)) {
            self.find(format!("{cluster} cannot be claimed: {error}"));
        }
    }

    /// Whoever has another journal is done.
    pub(crate) fn nothing_is_elsewhere(&self) {
        let elsewhere = RolloutId::new(ELSEWHERE);
        self.inner().owners.retain(|_, owner| *owner != elsewhere);
    }

    pub(crate) fn disown(&self, rollout: &RolloutId, cluster: &ClusterName) {
        let mut inner = self.inner();
        if inner.owners.get(cluster) == Some(rollout) {
            inner.owners.remove(cluster);
        }
    }

    /// What a cluster looks like.
    pub(crate) fn see(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
    ) -> Result<ClusterObservation, DriverError> {
        self.catch_up();
        at_once(self.sim.observe(rollout, cluster))
    }

    /// What a cluster looked like when this was asked before, if that is long enough ago.
    pub(crate) fn earlier(
        &self,
        cluster: &ClusterName,
        seen: &ClusterObservation,
    ) -> Option<ClusterObservation> {
        let mut inner = self.inner();
        let known = inner.earlier.get(cluster).cloned();
        let old = known
            .as_ref()
            .is_none_or(|known| seen.at.since(known.at) > DurationMs::secs(10));
        if old {
            inner.earlier.insert(cluster.clone(), seen.clone());
        }
        known
    }

    /// A command reaches its clusters.
    pub(crate) fn carry_out(&self, rollout: &RolloutId, order: &Order) -> Result<(), DriverError> {
        self.catch_up();
        let stamps = order.stamps();
        let look = |cluster| self.see(rollout, cluster).ok();
        let before: Vec<_> = stamps.keys().map(look).collect();
        for (cluster, stamp) in &stamps {
            self.is_recorded(rollout, *stamp);
            let owner = self.owner(cluster);
            if let Some(owner) = owner.filter(|owner| owner != rollout) {
                return Err(owned(cluster, owner));
            }
        }
        at_once(match order.clone() {
            Order::Nodes(cluster, stamp, target) => {
                self.sim.set_nodes(rollout, &cluster, stamp, target)
            }
            Order::Traffic(site, stamps, split) => {
                self.sim.set_traffic(rollout, &site, stamps, split)
            }
        })?;
        for cluster in stamps.keys() {
            self.inner().last.insert(cluster.clone(), rollout.clone());
        }
        for (cluster, before) in stamps.keys().zip(before) {
            if let (Some(before), Ok(after)) = (before, self.see(rollout, cluster)) {
                self.is_carried(rollout, cluster, &before, &after);
            }
        }
        Ok(())
    }

    /// A command that takes effect before it is recorded would be forgotten by the next host.
    fn is_recorded(&self, rollout: &RolloutId, stamp: Stamp) {
        let inner = self.inner();
        let durable = inner.durable.get(rollout);
        if !durable.is_some_and(|known| known.contains(&stamp.command)) {
            drop(inner);
            self.find(format!(
                "{rollout}: command {} has reached a cluster and is not in the journal",
                stamp.command
            ));
        }
    }

    /// Where nothing fails by itself, no request is lost: what gets traffic serves, and never
    /// more nodes are down than the policy allows.
    fn is_carried(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
        before: &ClusterObservation,
        after: &ClusterObservation,
    ) {
        if !self.strict.peaceful {
            return;
        }
        let may = self
            .strict
            .down
            .map_or(0, |down| down.rounded_down(after.desired));
        let shares = after.traffic.iter().flat_map(|traffic| traffic.iter());
        for (release, share) in shares {
            let had = before.of(release).ready > 0;
            if share.0 > 0 && after.of(release).ready == 0 && had && may < after.desired {
                self.find(format!(
                    "{rollout}: {cluster} has {share} of the traffic for {} and no node that serves it",
                    self.named(release)
                ));
            }
        }
        let is = after.ready();
        if self.strict.down.is_some()
            && is < after.desired.saturating_sub(may)
            && is < before.ready()
        {
            self.find(format!(
                "{rollout}: {cluster} has {is} of {} nodes that serve, and {may} may be down",
                after.desired
            ));
        }
    }

    fn named(&self, release: &Digest) -> &'static str {
        if *release == self.release {
            "the release"
        } else {
            "the baseline"
        }
    }
}

fn owned(cluster: &ClusterName, owner: RolloutId) -> DriverError {
    DriverError::Owned {
        cluster: cluster.clone(),
        owner,
        since: "earlier".to_owned(),
    }
}

/// The answer of a simulation, which is there at once.
pub(crate) fn at_once<T>(mut answer: wavegate_ports::BoxFuture<'_, T>) -> T {
    use std::task::{Context, Poll, Waker};
    let mut context = Context::from_waker(Waker::noop());
    match answer.as_mut().poll(&mut context) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("a simulated world never waits"),
    }
}
