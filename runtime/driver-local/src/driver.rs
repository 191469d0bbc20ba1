//! The port's side: rollouts and their clusters.

use crate::Helpers;
use crate::artifact::{Artifact, BadDocument, Connection};
use crate::change::on_blocking;
use crate::cluster::{DoorAt, Service};
use crate::front_door::FrontDoorError;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::task::JoinSet;
use wavegate_model::evidence::ProbeSummary;
use wavegate_model::observation::Stamp;
use wavegate_model::{
    Cluster, ClusterName, ClusterObservation, Digest, Epoch, PlannedSite, RolloutId, ServiceName,
    SiteName, Split, Timestamp,
};
use wavegate_ports::BoxFuture;
use wavegate_ports::driver::{
    Capabilities, Driver, DriverError, DriverScope, Inspection, NodesTarget,
};

/// What the driver is given.
#[derive(Clone)]
pub struct Options {
    /// How to start supervisors and front doors.
    pub helpers: Helpers,
    /// Folder that relative folders of clusters are below.
    pub base: PathBuf,
    /// Called at named moments, so that a test can stop or kill the host just there:
    /// `set-nodes:after-accept`, `:before-drain`, `:before-stop`, `:before-start`, `:after-start`,
    /// `:before-stamp`, `set-traffic:before-write`, `:after-write`. No lock is held then.
    pub crash_point: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// Options without crash points.
    pub fn new(helpers: Helpers, base: impl Into<PathBuf>) -> Self {
        let base = base.into();
        Self {
            helpers,
            // The processes that are given folders below it may have another working folder.
            base: std::path::absolute(&base).unwrap_or(base),
            crash_point: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("helpers", &self.helpers)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// Clusters of real processes on this machine.
pub struct LocalDriver {
    pub(crate) options: Options,
    attached: RwLock<BTreeMap<RolloutId, Arc<Attached>>>,
}

/// The clusters of a rollout.
pub(crate) struct Attached {
    pub(crate) services: BTreeMap<ClusterName, Arc<Service>>,
    sites: BTreeMap<SiteName, Vec<ClusterName>>,
}

impl LocalDriver {
    /// A driver that knows no rollout yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            attached: RwLock::default(),
        }
    }

    fn service(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
    ) -> Result<Arc<Service>, DriverError> {
        let attached = self.attached(rollout);
        let found = attached.and_then(|attached| attached.services.get(cluster).cloned());
        found.ok_or_else(|| not_attached(rollout, cluster))
    }

    fn attached(&self, rollout: &RolloutId) -> Option<Arc<Attached>> {
        self.attached
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(rollout)
            .cloned()
    }

    pub(crate) fn remember(&self, rollout: &RolloutId, attached: Arc<Attached>) {
        let mut all = self
            .attached
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        all.insert(rollout.clone(), attached);
    }

    async fn write_split(
        &self,
        rollout: &RolloutId,
        site: &SiteName,
        stamps: BTreeMap<ClusterName, Stamp>,
        split: Split,
    ) -> Result<(), DriverError> {
        let nowhere = || not_attached(rollout, &ClusterName::new(site.as_str()));
        let attached = self.attached(rollout).ok_or_else(nowhere)?;
        let clusters = attached.sites.get(site).ok_or_else(nowhere)?;
        let services: Vec<&Arc<Service>> = clusters
            .iter()
            .filter_map(|name| attached.services.get(name))
            .collect();
        let first = *services.first().ok_or_else(nowhere)?;
        for service in &services {
            let Some(stamp) = stamps.get(&service.folder.cluster).copied() else {
                return Err(service.failed("set the traffic of its site", "it has no stamp"));
            };
            let accepting = Arc::clone(service);
            on_blocking(service, move || {
                accepting.folder.lock()?.accept_traffic(stamp)
            })
            .await?;
        }
        let Some(door) = first.door().await? else {
            return Err(first.failed("set the traffic of its site", "its site has no front door"));
        };
        (self.options.crash_point)("set-traffic:before-write");
        for service in &services {
            if let Some(stamp) = stamps.get(&service.folder.cluster) {
                service.folder.admit(*stamp)?;
            }
        }
        let written = door.set_split(stamps.into_iter().collect(), &split).await;
        (self.options.crash_point)("set-traffic:after-write");
        written.map_err(|error| match error {
            FrontDoorError::Stale {
                cluster,
                stamp,
                current,
            } => DriverError::Stale {
                cluster,
                stamp,
                current: (current.epoch.0, current.generation.0),
            },
            other => first.failed("set the traffic of its site", other),
        })
    }
}

fn not_attached(rollout: &RolloutId, cluster: &ClusterName) -> DriverError {
    let detail = format!("rollout `{rollout}` has not named it");
    DriverError::Failed {
        cluster: cluster.clone(),
        operation: "find it",
        detail,
    }
}

/// A document that is wrong, as the error of a cluster.
pub(crate) fn bad_document(cluster: &ClusterName, error: &BadDocument) -> DriverError {
    DriverError::Failed {
        cluster: cluster.clone(),
        operation: "read its documents",
        detail: error.to_string(),
    }
}

impl Attached {
    pub(crate) fn new(
        options: &Options,
        service: &ServiceName,
        clusters: &[Cluster],
        sites: &[PlannedSite],
    ) -> Result<Self, DriverError> {
        let by_name: BTreeMap<&ClusterName, &Cluster> =
            clusters.iter().map(|c| (&c.name, c)).collect();
        let mut attached = Self {
            services: BTreeMap::new(),
            sites: BTreeMap::new(),
        };
        for site in sites {
            // A site of which this driver has no cluster is another driver's.
            let members: Vec<&Cluster> = site
                .clusters
                .iter()
                .filter_map(|planned| by_name.get(&planned.name).copied())
                .collect();
            let door = door_of(&options.base, service, &members)?;
            for cluster in &members {
                let made = Service::new(cluster, service, door.clone(), options);
                let made = made.map_err(|e| bad_document(&cluster.name, &e))?;
                attached
                    .services
                    .insert(cluster.name.clone(), Arc::new(made));
            }
            if !members.is_empty() {
                let names = members.iter().map(|cluster| cluster.name.clone()).collect();
                attached.sites.insert(site.name.clone(), names);
            }
        }
        Ok(attached)
    }

    /// Keeps what is known of clusters that were there before and are described as then.
    fn keep(&mut self, before: &Self) {
        for (name, service) in &mut self.services {
            let known = before.services.get(name);
            if let Some(known) = known.filter(|known| known.is_described_as(service)) {
                *service = Arc::clone(known);
            }
        }
    }

    /// Starts the front doors that do not run, and their metrics.
    pub(crate) async fn ensure_doors(&self) -> Result<(), DriverError> {
        for service in self.services.values() {
            service.door().await?;
            service.give_metrics().await?;
        }
        Ok(())
    }
}

/// The front door that the clusters of a site name, if any does.
fn door_of(
    base: &Path,
    service: &ServiceName,
    members: &[&Cluster],
) -> Result<Option<DoorAt>, DriverError> {
    let mut door: Option<DoorAt> = None;
    let mut first_dir = None;
    let mut named_dir = None;
    for cluster in members {
        let connection = Connection::of(cluster).map_err(|e| bad_document(&cluster.name, &e))?;
        let dir = connection.folder(base);
        first_dir.get_or_insert_with(|| dir.join(service.as_str()).join("front-door"));
        named_dir = named_dir.or(connection.front_door_dir.map(|dir| base.join(dir)));
        let Some(listen) = connection.front_door else {
            continue;
        };
        let metrics = connection.front_door_metrics;
        let differs = match &door {
            Some(door) if door.listen != listen => Some(format!("`frontDoor` {listen}")),
            Some(door) if door.metrics != metrics => Some(match metrics {
                Some(metrics) => format!("`frontDoorMetrics` {metrics}"),
                None => "`frontDoorMetrics`, of which it has none,".to_owned(),
            }),
            Some(_) | None => None,
        };
        if let Some(what) = differs {
            let error = BadDocument::Connection {
                cluster: cluster.name.to_string(),
                detail: format!("{what} is not that of the other clusters of the site"),
            };
            return Err(bad_document(&cluster.name, &error));
        }
        door = Some(DoorAt {
            dir: PathBuf::new(),
            listen,
            metrics,
        });
    }
    let dir = named_dir.or(first_dir);
    Ok(door.zip(dir).map(|(door, dir)| DoorAt { dir, ..door }))
}

impl Driver for LocalDriver {
    fn capabilities(&self) -> Capabilities {
        let attached = self.attached.read().unwrap_or_else(PoisonError::into_inner);
        let mut services = attached
            .values()
            .flat_map(|attached| attached.services.values());
        Capabilities {
            splits_traffic: services.all(|service| service.door.is_some()),
            surges: true,
            probes: true,
        }
    }

    fn inspect(
        &self,
        scope: DriverScope,
    ) -> BoxFuture<'_, BTreeMap<ClusterName, Result<Inspection, DriverError>>> {
        Box::pin(async move {
            let attached =
                Attached::new(&self.options, &scope.service, &scope.clusters, &scope.sites);
            let attached = match attached {
                Ok(attached) => attached,
                Err(error) => {
                    let all = scope.clusters.iter().map(|cluster| cluster.name.clone());
                    return all.map(|name| (name, Err(error.clone()))).collect();
                }
            };
            let mut looks = JoinSet::new();
            for (name, service) in attached.services {
                looks.spawn(async move { (name, service.inspect().await) });
            }
            looks.join_all().await.into_iter().collect()
        })
    }

    fn attach(&self, scope: DriverScope) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let mut attached =
                Attached::new(&self.options, &scope.service, &scope.clusters, &scope.sites)?;
            if let Some(before) = self.attached(&scope.rollout) {
                attached.keep(&before);
            }
            if let Some(cluster) = scope.clusters.first() {
                Artifact::of(&scope.release).map_err(|e| bad_document(&cluster.name, &e))?;
            }
            let attached = Arc::new(attached);
            // First of all: one front door that does not open is no reason to know none of the
            // other clusters.
            self.remember(&scope.rollout, Arc::clone(&attached));
            let mut result = Ok(());
            for service in attached.services.values() {
                // A cluster that is away now may come back; it shows when it is observed.
                if service.folder.check_present().is_err() {
                    continue;
                }
                let opened = service.door().await.map(|_| ());
                // Nobody should have to go without a way back because of metrics: gates that
                // miss them hold.
                if opened.is_ok()
                    && let Err(error) = service.give_metrics().await
                {
                    tracing::warn!(%error, "a front door gives no metrics");
                }
                result = result.and(opened);
            }
            result
        })
    }

    fn claim(
        &self,
        rollout: &RolloutId,
        _service: &ServiceName,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<Epoch, DriverError>> {
        let found = self.service(rollout, cluster);
        let rollout = rollout.clone();
        Box::pin(async move {
            let service = found?;
            let claiming = Arc::clone(&service);
            let epoch =
                on_blocking(&service, move || claiming.folder.lock()?.claim(&rollout)).await?;
            if let Some(door) = service.door().await? {
                let fenced = door
                    .fence(vec![(service.folder.cluster.clone(), epoch)])
                    .await;
                fenced.map_err(|e| service.failed("fence the front door of its site", e))?;
            }
            service.remember_claim(Some(epoch));
            Ok(epoch)
        })
    }

    fn disown(
        &self,
        rollout: &RolloutId,
        _service: &ServiceName,
        cluster: &ClusterName,
        epoch: Epoch,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let found = self.service(rollout, cluster);
        let rollout = rollout.clone();
        Box::pin(async move {
            let service = found?;
            let disowning = Arc::clone(&service);
            on_blocking(&service, move || {
                disowning.folder.lock()?.disown(&rollout, epoch)
            })
            .await?;
            service.remember_claim(None);
            Ok(())
        })
    }

    fn observe(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<ClusterObservation, DriverError>> {
        let found = self.service(rollout, cluster);
        Box::pin(async move { found?.observe().await })
    }

    fn set_nodes(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
        stamp: Stamp,
        target: NodesTarget,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let found = self.service(rollout, cluster);
        Box::pin(async move { found?.set_nodes(stamp, target).await })
    }

    fn set_traffic(
        &self,
        rollout: &RolloutId,
        site: &SiteName,
        stamps: BTreeMap<ClusterName, Stamp>,
        split: Split,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let (rollout, site) = (rollout.clone(), site.clone());
        Box::pin(async move { self.write_split(&rollout, &site, stamps, split).await })
    }

    fn probe(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
        release: &Digest,
        since: Timestamp,
    ) -> BoxFuture<'_, Result<ProbeSummary, DriverError>> {
        let found = self.service(rollout, cluster);
        let release = release.clone();
        Box::pin(async move { found?.probe(&release, since).await })
    }
}
