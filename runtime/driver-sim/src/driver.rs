//! The world behind the ports.

use crate::answers::NoAnswer;
use crate::cluster::Cohort;
use crate::fleet::{BadWorld, Fleet, Scope};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wavegate_model::evidence::{EvidenceScope, ProbeSummary};
use wavegate_model::observation::Stamp;
use wavegate_model::{
    ClusterName, ClusterObservation, Digest, Epoch, Evidence, Query, RolloutId, ServiceName,
    Simulation, SiteName, SourceName, Split, Timestamp,
};
use wavegate_ports::BoxFuture;
use wavegate_ports::driver::{
    Capabilities, Driver, DriverError, DriverScope, Inspection, NodesTarget,
};
use wavegate_ports::world::{Arrival, Change, Exposure, Order, World};

/// A simulated fleet: a [`World`] for whoever drives its time, and a [`Driver`] for who asks it.
///
/// As a driver it answers at once, at the instant at which the world stands; what takes time
/// happens when time is let pass.
#[derive(Debug)]
pub struct SimDriver(Mutex<Fleet>);

impl SimDriver {
    /// The world of a seed.
    ///
    /// # Errors
    /// If the description does not fit the rollout.
    pub fn new(scope: &Scope, model: &Arc<Simulation>, seed: u64) -> Result<Self, BadWorld> {
        Fleet::new(scope, model, seed).map(|fleet| Self(Mutex::new(fleet)))
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        // Nothing that holds the lock panics half-way through a change that matters afterwards.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the rollout starts in it.
    pub fn start(&self) -> Timestamp {
        Timestamp(self.fleet().start)
    }

    /// The name of the fault that the release has; none if it is good.
    pub fn fault(&self) -> Option<String> {
        self.fleet().fault.as_ref().map(|fault| fault.name.clone())
    }

    /// An autoscaler wants another total of a cluster's nodes. What makes them come and go is who
    /// gives commands.
    pub fn scale(&self, cluster: &ClusterName, desired: u32) {
        let mut fleet = self.fleet();
        if let Some(number) = fleet.find(cluster) {
            fleet.clusters[number].desired = desired;
        }
    }

    /// What a source answers to a metric or HTTP query.
    ///
    /// # Errors
    /// If the simulation does not say.
    pub fn answer(
        &self,
        source: &SourceName,
        query: &Query,
        scope: &EvidenceScope,
    ) -> Result<Evidence, NoAnswer> {
        self.fleet().answer(source, query, scope)
    }
}

impl World for SimDriver {
    fn next(&self) -> Option<Timestamp> {
        self.fleet().next().map(Timestamp)
    }

    fn arrival(&self, until: Timestamp) -> Option<(Timestamp, Arrival)> {
        let (at, arrival) = self.fleet().arrival(until.0)?;
        Some((Timestamp(at), arrival))
    }

    fn order(&self, now: Timestamp, order: Order) {
        self.fleet().order(now.0, order);
    }

    fn exposure(&self, now: Timestamp) -> Exposure {
        self.fleet().exposure(now.0)
    }
}

fn unknown(cluster: &ClusterName) -> DriverError {
    DriverError::Failed {
        cluster: cluster.clone(),
        operation: "find",
        detail: "there is no such cluster".to_owned(),
    }
}

/// An answer that is there already.
fn now<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, T> {
    Box::pin(async { answer })
}

impl Driver for SimDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            splits_traffic: self.fleet().splits,
            surges: false,
            probes: true,
        }
    }

    fn inspect(
        &self,
        scope: DriverScope,
    ) -> BoxFuture<'_, BTreeMap<ClusterName, Result<Inspection, DriverError>>> {
        let fleet = self.fleet();
        let one = |name: &ClusterName| {
            let number = fleet.find(name).ok_or_else(|| unknown(name))?;
            let nodes = fleet.clusters[number].nodes().len();
            Ok(Inspection {
                nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
                owner: None,
            })
        };
        let all = scope
            .clusters
            .iter()
            .map(|c| (c.name.clone(), one(&c.name)));
        now(all.collect())
    }

    fn attach(&self, _: DriverScope) -> BoxFuture<'_, Result<(), DriverError>> {
        now(Ok(()))
    }

    fn claim(
        &self,
        _: &RolloutId,
        _: &ServiceName,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<Epoch, DriverError>> {
        let mut fleet = self.fleet();
        let claimed = fleet.find(cluster).map(|number| {
            let cluster = &mut fleet.clusters[number];
            cluster.epoch = cluster.epoch.next();
            cluster.epoch
        });
        now(claimed.ok_or_else(|| unknown(cluster)))
    }

    fn disown(
        &self,
        _: &RolloutId,
        _: &ServiceName,
        _: &ClusterName,
        _: Epoch,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        now(Ok(()))
    }

    fn observe(
        &self,
        _: &RolloutId,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<ClusterObservation, DriverError>> {
        let fleet = self.fleet();
        let seen = fleet.find(cluster).ok_or_else(|| unknown(cluster));
        now(seen.and_then(|number| {
            let lost = fleet.clusters[number].lost_until;
            if lost.is_some_and(|until| until > fleet.now) {
                return Err(DriverError::Unreachable {
                    cluster: cluster.clone(),
                    detail: "no answer".to_owned(),
                });
            }
            Ok(fleet.see(number))
        }))
    }

    fn set_nodes(
        &self,
        _: &RolloutId,
        cluster: &ClusterName,
        stamp: Stamp,
        target: NodesTarget,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let nodes = target.nodes.into_iter();
        let change = Change::Nodes {
            cluster: cluster.clone(),
            stamp,
            desired: target.desired,
            nodes: nodes.map(|(release, n)| (release.digest, n)).collect(),
        };
        now(self.fleet().change_now(&change))
    }

    fn set_traffic(
        &self,
        _: &RolloutId,
        site: &SiteName,
        stamps: BTreeMap<ClusterName, Stamp>,
        split: Split,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let change = Change::Traffic {
            site: site.clone(),
            stamps,
            split,
        };
        now(self.fleet().change_now(&change))
    }

    fn probe(
        &self,
        _: &RolloutId,
        cluster: &ClusterName,
        release: &Digest,
        since: Timestamp,
    ) -> BoxFuture<'_, Result<ProbeSummary, DriverError>> {
        let fleet = self.fleet();
        let cohort = if *release == fleet.new.digest {
            Cohort::New
        } else {
            Cohort::Old
        };
        let number = fleet.find(cluster).ok_or_else(|| unknown(cluster));
        now(number.map(|number| fleet.probe(number, cohort, since.0)))
    }
}
