//! Who drives the clusters of a rollout.

use crate::{Ports, RunError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use wavegate_engine::Spec;
use wavegate_model::{ClusterName, Epoch, RolloutId};
use wavegate_ports::driver::{Driver, DriverScope};

/// Who drives which cluster, and the epochs of this host.
#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) rollout: RolloutId,
    drivers: Arc<Mutex<BTreeMap<ClusterName, Arc<dyn Driver>>>>,
    claims: Arc<Mutex<BTreeMap<ClusterName, Epoch>>>,
}

impl Fleet {
    pub(crate) fn new(ports: &Ports, spec: &Spec) -> Result<Self, RunError> {
        let mut drivers = BTreeMap::new();
        for cluster in &spec.clusters {
            let driver = ports
                .drivers
                .get(&cluster.driver)
                .ok_or_else(|| RunError::NoDriver {
                    cluster: cluster.name.clone(),
                    driver: cluster.driver.clone(),
                })?;
            drivers.insert(cluster.name.clone(), driver.clone());
        }
        Ok(Self {
            rollout: spec.rollout.clone(),
            drivers: Arc::new(Mutex::new(drivers)),
            claims: Arc::default(),
        })
    }

    pub(crate) fn driver_of(&self, cluster: &ClusterName) -> Arc<dyn Driver> {
        let drivers = held(&self.drivers);
        let driver = drivers.get(cluster);
        Arc::clone(driver.expect("every cluster of the plan has a driver"))
    }

    /// A cluster that came while the rollout runs.
    pub(crate) fn add(&self, cluster: &ClusterName, driver: &Arc<dyn Driver>) {
        held(&self.drivers).insert(cluster.clone(), Arc::clone(driver));
    }

    pub(crate) fn note_claim(&self, cluster: &ClusterName, epoch: Epoch) {
        held(&self.claims).insert(cluster.clone(), epoch);
    }

    pub(crate) async fn disown(&self, spec: &Spec) {
        let claims = std::mem::take(&mut *held(&self.claims));
        for (cluster, epoch) in claims {
            self.give_up(spec, &cluster, epoch).await;
        }
    }

    /// Gives up one cluster, if it was claimed.
    pub(crate) async fn disown_one(&self, spec: &Spec, cluster: &ClusterName) {
        let claim = held(&self.claims).remove(cluster);
        if let Some(epoch) = claim {
            self.give_up(spec, cluster, epoch).await;
        }
    }

    async fn give_up(&self, spec: &Spec, cluster: &ClusterName, epoch: Epoch) {
        let driver = self.driver_of(cluster);
        let disowned = driver.disown(&self.rollout, &spec.service, cluster, epoch);
        if let Err(error) = disowned.await {
            tracing::warn!(%cluster, %error, "failed to give a cluster up");
        }
    }
}

/// Nothing that holds one of these locks can panic half-way through a change.
fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What each driver that has clusters of the rollout is to know of it, by the driver's name.
#[must_use]
pub fn scopes(spec: &Spec) -> BTreeMap<&str, DriverScope> {
    let sites = || spec.plan.waves.iter().flat_map(|wave| wave.sites.clone());
    let mut scopes = BTreeMap::new();
    for cluster in &spec.clusters {
        let scope = scopes
            .entry(cluster.driver.as_str())
            .or_insert_with(|| DriverScope {
                rollout: spec.rollout.clone(),
                service: spec.service.clone(),
                clusters: Vec::new(),
                sites: sites().collect(),
                release: spec.release.clone(),
            });
        scope.clusters.push(cluster.clone());
    }
    scopes
}

/// Tells each driver of its clusters, and of the first that does not take them.
pub(crate) async fn attach(ports: &Ports, spec: &Spec) -> Result<(), RunError> {
    let mut result = Ok(());
    for (name, scope) in scopes(spec) {
        // A cluster whose driver this host does not have was refused before.
        let Some(driver) = ports.drivers.get(name) else {
            continue;
        };
        let attached = driver.attach(scope).await;
        result = result.and(attached.map_err(|source| RunError::Attach {
            rollout: spec.rollout.clone(),
            driver: name.to_owned(),
            source,
        }));
    }
    result
}
