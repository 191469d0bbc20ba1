//! What observes and changes clusters.

use crate::BoxFuture;
use std::collections::BTreeMap;
use wavegate_model::observation::Stamp;
use wavegate_model::plan::PlannedSite;
use wavegate_model::{
    Cluster, ClusterName, ClusterObservation, Digest, Epoch, Release, RolloutId, ServiceName,
    SiteName, Split,
};

/// What a driver can do beyond replacing nodes one for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Split a site's traffic between releases and clusters.
    pub splits_traffic: bool,
    /// Run more nodes than desired for a while.
    pub surges: bool,
    /// Answer [`wavegate_model::Query::Probe`].
    pub probes: bool,
}

/// What a rollout tells a driver before anything else, and again when its clusters change.
#[derive(Clone, Debug)]
pub struct DriverScope {
    /// Which rollout.
    pub rollout: RolloutId,
    /// Of which service.
    pub service: ServiceName,
    /// All clusters of this driver in the rollout.
    pub clusters: Vec<Cluster>,
    /// The sites that they make up.
    pub sites: Vec<PlannedSite>,
    /// The release that is rolled out.
    pub release: Release,
}

/// Nodes that a cluster is to run. Absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodesTarget {
    /// The desired total that the target was decided for; the driver refuses it if that changed.
    pub desired: u32,
    /// (release, nodes); releases that are not named get none.
    pub nodes: Vec<(Release, u32)>,
}

/// A cluster as it is before anything of a rollout has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Nodes of the service, whatever they run and however they are.
    pub nodes: u32,
    /// The unfinished rollout that owns it.
    pub owner: Option<RolloutId>,
}

/// A driver could not, or would not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// Somebody else has an unfinished rollout of this service on the cluster.
    #[error("cluster `{cluster}` is owned by rollout `{owner}` since {since}")]
    Owned {
        /// Which cluster.
        cluster: ClusterName,
        /// The rollout that owns it.
        owner: RolloutId,
        /// Since when, for people.
        since: String,
    },
    /// The command comes from a host that is no longer the owner, or from an older plan.
    #[error("cluster `{cluster}` refused a command of epoch {epoch}, generation {generation}: it follows epoch {current_epoch}, generation {current_generation}",
        epoch = .stamp.epoch, generation = .stamp.generation, current_epoch = .current.0, current_generation = .current.1)]
    Stale {
        /// Which cluster.
        cluster: ClusterName,
        /// What the command carried.
        stamp: Stamp,
        /// Epoch and generation that the cluster follows.
        current: (u64, u64),
    },
    /// The desired total is not what the target was decided for.
    #[error("cluster `{cluster}` wants {found} nodes now, the command was decided for {expected}")]
    DesiredChanged {
        /// Which cluster.
        cluster: ClusterName,
        /// In the command.
        expected: u32,
        /// In the cluster.
        found: u32,
    },
    /// The cluster did not answer.
    #[error("cluster `{cluster}` is unreachable: {detail}")]
    Unreachable {
        /// Which cluster.
        cluster: ClusterName,
        /// What was tried.
        detail: String,
    },
    /// The cluster answered, and the operation failed.
    #[error("failed to {operation} in cluster `{cluster}`: {detail}")]
    Failed {
        /// Which cluster.
        cluster: ClusterName,
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        detail: String,
    },
}

/// Observes and changes the clusters of one kind.
///
/// Every changing call carries a [`Stamp`]. A driver keeps the highest epoch and, within it,
/// the highest generation with the cluster, and refuses older ones; it may get the same call
/// twice and then has nothing more to do. A call that arrives after a later one of the same
/// owner changes nothing: the engine counts on it where a call was given up.
pub trait Driver: Send + Sync {
    /// What this driver can do.
    fn capabilities(&self) -> Capabilities;
    /// Looks at the clusters of a rollout that has not begun. Changes nothing, starts nothing,
    /// and needs no [`Driver::attach`].
    fn inspect(
        &self,
        scope: DriverScope,
    ) -> BoxFuture<'_, BTreeMap<ClusterName, Result<Inspection, DriverError>>>;
    /// Tells the driver about a rollout. Called before all else, also on resume; again with each
    /// change of the plan, and again if it failed. What a driver can take of it counts even then,
    /// so that one cluster does not keep it from the others.
    fn attach(&self, scope: DriverScope) -> BoxFuture<'_, Result<(), DriverError>>;
    /// Makes the rollout the owner of (cluster, service), by compare and set on a record that is
    /// kept with the cluster, and returns the new epoch. Fails with [`DriverError::Owned`] if
    /// another rollout is unfinished there. Claiming again gives a higher epoch, so that an
    /// earlier host of the same rollout is refused from then on.
    fn claim(
        &self,
        rollout: &RolloutId,
        service: &ServiceName,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<Epoch, DriverError>>;
    /// Gives ownership up at the end of a rollout. The epoch stays.
    fn disown(
        &self,
        rollout: &RolloutId,
        service: &ServiceName,
        cluster: &ClusterName,
        epoch: Epoch,
    ) -> BoxFuture<'_, Result<(), DriverError>>;
    /// Looks at a cluster.
    fn observe(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<ClusterObservation, DriverError>>;
    /// Makes a cluster run these nodes: drains and stops what is too many, starts what is
    /// missing. Returns when all are started or stopped; whether they serve is for
    /// [`Driver::observe`] to tell.
    fn set_nodes(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
        stamp: Stamp,
        target: NodesTarget,
    ) -> BoxFuture<'_, Result<(), DriverError>>;
    /// Writes the traffic split of a site in one atomic step. `stamps` has one stamp for each
    /// cluster of the site, because epochs are kept with clusters.
    fn set_traffic(
        &self,
        rollout: &RolloutId,
        site: &SiteName,
        stamps: BTreeMap<ClusterName, Stamp>,
        split: Split,
    ) -> BoxFuture<'_, Result<(), DriverError>>;
    /// Sums up what is known of the nodes of a release since an instant.
    fn probe(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
        release: &Digest,
        since: wavegate_model::Timestamp,
    ) -> BoxFuture<'_, Result<wavegate_model::evidence::ProbeSummary, DriverError>>;
}
