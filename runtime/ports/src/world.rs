//! A world in virtual time, for simulations: it is told how late it is, and tells what arrives.
//!
//! What a driver does in its own time, such as carrying out a command while its answer is on its
//! way, is an event here. Nothing waits.

use crate::driver::DriverError;
use std::collections::BTreeMap;
use wavegate_model::observation::Stamp;
use wavegate_model::{
    ClusterName, ClusterObservation, CommandId, Digest, Epoch, Generation, SiteName, Split,
    Timestamp,
};

/// A command on its way to the clusters that it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Unique in the rollout.
    pub id: CommandId,
    /// Generation it was decided for.
    pub generation: Generation,
    /// What is to change.
    pub change: Change,
}

/// What a command changes. Absolute.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Nodes of a cluster.
    Nodes {
        /// Which cluster.
        cluster: ClusterName,
        /// Who says so.
        stamp: Stamp,
        /// The desired total that the numbers were decided for.
        desired: u32,
        /// Releases with their numbers of nodes; others get none.
        nodes: Vec<(Digest, u32)>,
    },
    /// Traffic of a site.
    Traffic {
        /// Which site.
        site: SiteName,
        /// Who says so, for each cluster of the site.
        stamps: BTreeMap<ClusterName, Stamp>,
        /// The split.
        split: Split,
    },
}

/// Something that the host gets to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival {
    /// It became the owner of a cluster.
    Claimed {
        /// Which cluster.
        cluster: ClusterName,
        /// With this epoch.
        epoch: Epoch,
    },
    /// A cluster was seen.
    Seen {
        /// Which cluster.
        cluster: ClusterName,
        /// What it looked like.
        seen: ClusterObservation,
    },
    /// A cluster did not answer.
    Lost {
        /// Which cluster.
        cluster: ClusterName,
        /// When it answered last.
        answered: Timestamp,
    },
    /// A command was carried out, or not.
    Answered {
        /// Which command.
        id: CommandId,
        /// Generation it was decided for.
        generation: Generation,
        /// How it went.
        result: Result<(), DriverError>,
    },
}

/// What the release had to do with nodes and requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Exposure {
    /// Clusters in which a node of it served at some time.
    pub clusters: u32,
    /// Nodes of it that served at some time.
    pub nodes: u32,
    /// Nodes of it that serve now and are in a cluster in which it is bad.
    pub harmful: u32,
    /// Requests to the service.
    pub requests: f64,
    /// Requests that it got.
    pub exposed: f64,
    /// Requests that failed, or took much too long, because it is bad.
    pub harmed: f64,
}

/// A world in virtual time.
pub trait World {
    /// When something happens next. Nothing ever again, if there is none.
    fn next(&self) -> Option<Timestamp>;
    /// Lets time pass until then, event by event, up to the first thing that the host gets to
    /// know. None once everything up to then has happened.
    fn arrival(&self, until: Timestamp) -> Option<(Timestamp, Arrival)>;
    /// Sends a command.
    fn order(&self, now: Timestamp, order: Order);
    /// What the release had to do with nodes and requests until now.
    fn exposure(&self, now: Timestamp) -> Exposure;
}
