//! The front door: one process per site that takes the site's real traffic and splits it.
//!
//! It is a reverse proxy on loopback, HTTP/1.1 on both sides. Each request is given to one
//! node: first the (cluster, release) is chosen by the permille of the split, then the nodes
//! of that share take turns. The split is exact: of any 1000 requests in a row under one table,
//! each share gets its permille. A table is never changed, only replaced in one step, so no
//! request sees half of a change.
//!
//! **A request is never sent twice.** If a connection to a node fails before a byte of the
//! request was written, another node of the same share gets it: that is choosing, not retrying.
//! As soon as a byte was written, an error is the answer (502, or 504 after the time limit), and
//! it counts as a failure of that release.
//!
//! A share without a node gives its requests to the other shares, in proportion, and counts
//! them in [`FrontDoorStatus::diverted`]. Without any node, or before the first split, the
//! answer is 503, counted in [`FrontDoorStatus::unrouted`].
//!
//! The process lives in a session of its own, holds `dir/lock`, and is steered over the unix
//! socket `dir/ctl`. It outlives the host; killed and started again, it goes on with the split
//! and the nodes in `dir/state.json`. Counts are not kept: they start again with the process.
//!
//! Its counts are there for Prometheus too, on an address of their own ([`FrontDoor::set_metrics`]):
//! the site's requests have all paths of the other one to themselves.
//!
//! Splits carry a stamp per cluster. Older stamps than the last are refused, and so are all of an
//! epoch below the fence that a new owner sets with [`FrontDoor::fence`].
//!
//! **Start at** [`FrontDoor`] for the host's side, `process` for the other.

mod client;
mod door;
mod metrics;
mod pool;
mod process;
mod proxy;
mod server;
mod state;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod wire;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, Digest, Split};

pub use client::{Found, FrontDoor};
pub use process::main;

/// Response header that names the node that answered.
pub const NODE_HEADER: &str = "x-wavegate-node";
/// Response header with the first 12 hex digits of the release that answered.
pub const RELEASE_HEADER: &str = "x-wavegate-release";

/// A node that may get requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Backend {
    /// Name of the node, unique in its cluster.
    pub node: String,
    /// The release that it runs.
    pub release: Digest,
    /// Where it listens.
    pub addr: SocketAddr,
}

/// What a front door is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontDoorStatus {
    /// Process id.
    pub pid: u32,
    /// Where it takes requests.
    pub listen: SocketAddr,
    /// Where it gives its metrics, if it does.
    pub metrics: Option<SocketAddr>,
    /// The split that it follows; empty before the first.
    pub split: Split,
    /// The last stamp per cluster that it accepted with a split.
    pub stamps: BTreeMap<ClusterName, Stamp>,
    /// Nodes that get requests, and those that still finish some.
    pub backends: Vec<BackendStatus>,
    /// Requests of a share without a node that another share took.
    pub diverted: u64,
    /// Requests that were answered 503, because there was no node or no split.
    pub unrouted: u64,
    /// Times that a node took no connection, so that its request went to another of its share.
    pub rechosen: u64,
    /// Requests that their clients gave up too soon to say anything about the node.
    pub abandoned: u64,
}

/// A node as the front door knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendStatus {
    /// Its cluster.
    pub cluster: ClusterName,
    /// Which.
    pub backend: Backend,
    /// Requests that it has not finished.
    pub in_flight: usize,
    /// Whether it gets new ones.
    pub role: BackendRole,
}

/// Whether a node gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendRole {
    /// It gets new requests, as far as its release has a share.
    Serving,
    /// It was drained or taken out, and still finishes some.
    Leaving,
}

/// Requests that a release got in a cluster since the front door started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Which cluster.
    pub cluster: ClusterName,
    /// Which release.
    pub release: Digest,
    /// All requests.
    pub total: u64,
    /// Those without a good answer.
    pub failed: u64,
}

/// A front door could not be reached, or would not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontDoorError {
    /// It would be open to other machines.
    #[error("a front door listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The folder is in use by a front door with another address.
    #[error("the front door of {} listens on {found}, not on {wanted}", .dir.display())]
    ListensElsewhere {
        /// Its folder.
        dir: PathBuf,
        /// What was asked for.
        wanted: SocketAddr,
        /// Where it listens.
        found: SocketAddr,
    },
    /// The process could not be started, or ended at once.
    #[error("failed to start the front door of {}: {detail}", .dir.display())]
    Start {
        /// Its folder.
        dir: PathBuf,
        /// Why, with the end of its log.
        detail: String,
    },
    /// It runs or should run, but does not answer.
    #[error("the front door of {} does not answer: {detail}", .dir.display())]
    Unreachable {
        /// Its folder.
        dir: PathBuf,
        /// What was tried.
        detail: String,
    },
    /// The split comes from a host that is no longer the owner, or from an older plan or command.
    #[error("the front door refused a split of epoch {}, generation {} for cluster `{cluster}`: it follows epoch {}, generation {}",
        .stamp.epoch, .stamp.generation, .current.epoch, .current.generation)]
    Stale {
        /// Which cluster.
        cluster: ClusterName,
        /// What the split carried.
        stamp: Stamp,
        /// What the front door follows.
        current: Stamp,
    },
    /// A split that gives or takes traffic must be stamped for that cluster, but for the first.
    #[error("the split has no stamp for cluster `{0}`")]
    Unstamped(ClusterName),
    /// Equal stamps with another split: one of both commands is not what was journaled.
    #[error("the front door already follows another split with the same stamps")]
    Conflict,
    /// The shares do not sum to 1000.
    #[error("the shares of the split sum to {0} permille, not to 1000")]
    WrongTotal(u32),
    /// More than a front door holds.
    #[error("{found} {what} are more than the {limit} that a front door holds")]
    TooMany {
        /// Of what.
        what: String,
        /// How many there were.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Nodes had not finished their requests in time. They get no new ones.
    #[error("{in_flight} requests were not finished after {} ms", .timeout.as_millis())]
    NotDrained {
        /// Requests that go on.
        in_flight: usize,
        /// How long it waited.
        timeout: Duration,
    },
    /// It cannot give its metrics there; it goes on as it was.
    #[error("the front door cannot give its metrics on {listen}: {detail}")]
    NoMetrics {
        /// Where it should.
        listen: SocketAddr,
        /// Why not.
        detail: String,
    },
    /// Its state could not be written; nothing changed.
    #[error("the front door could not write its state: {0}")]
    NotPersisted(String),
}
