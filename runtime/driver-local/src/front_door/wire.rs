//! What goes over the control socket: JSON bodies of HTTP/1 requests.

use super::{Backend, FrontDoorError};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, Digest, Epoch, Split, Timestamp};

/// A control body: a site of 256 clusters with dozens of nodes each is under 2 MiB.
pub(super) const BODY_BYTES_MAX: usize = 8 << 20;

pub(super) const SET_BACKENDS: &str = "/set-backends";
pub(super) const DRAIN: &str = "/drain";
pub(super) const SET_SPLIT: &str = "/set-split";
pub(super) const FENCE: &str = "/fence";
pub(super) const STATUS: &str = "/status";
pub(super) const STATS: &str = "/stats";
pub(super) const TOTALS: &str = "/totals";
pub(super) const SET_METRICS: &str = "/set-metrics";
pub(super) const STOP: &str = "/stop";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SetBackends {
    pub(super) cluster: ClusterName,
    pub(super) backends: Vec<Backend>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Drain {
    pub(super) cluster: ClusterName,
    pub(super) nodes: Vec<String>,
    pub(super) timeout_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SetSplit {
    pub(super) stamps: Vec<(ClusterName, Stamp)>,
    pub(super) split: Split,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Fence {
    pub(super) epochs: Vec<(ClusterName, Epoch)>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SetMetrics {
    pub(super) listen: Option<SocketAddr>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stats {
    pub(super) cluster: ClusterName,
    pub(super) release: Digest,
    pub(super) since: Timestamp,
}

/// Why the front door did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Refusal {
    Stale {
        cluster: ClusterName,
        stamp: Stamp,
        current: Stamp,
    },
    Unstamped {
        cluster: ClusterName,
    },
    Conflict,
    WrongTotal {
        total: u32,
    },
    TooMany {
        what: String,
        found: usize,
        limit: usize,
    },
    NotDrained {
        in_flight: usize,
        timeout_ms: u64,
    },
    NotPersisted {
        detail: String,
    },
    NoMetrics {
        listen: SocketAddr,
        detail: String,
    },
    NotUnderstood {
        detail: String,
    },
}

impl Refusal {
    pub(super) fn into_error(self, dir: &Path) -> FrontDoorError {
        match self {
            Self::Stale {
                cluster,
                stamp,
                current,
            } => FrontDoorError::Stale {
                cluster,
                stamp,
                current,
            },
            Self::Unstamped { cluster } => FrontDoorError::Unstamped(cluster),
            Self::Conflict => FrontDoorError::Conflict,
            Self::WrongTotal { total } => FrontDoorError::WrongTotal(total),
            Self::TooMany { what, found, limit } => FrontDoorError::TooMany { what, found, limit },
            Self::NotDrained {
                in_flight,
                timeout_ms,
            } => FrontDoorError::NotDrained {
                in_flight,
                timeout: Duration::from_millis(timeout_ms),
            },
            Self::NotPersisted { detail } => FrontDoorError::NotPersisted(detail),
            Self::NoMetrics { listen, detail } => FrontDoorError::NoMetrics { listen, detail },
            Self::NotUnderstood { detail } => FrontDoorError::Unreachable {
                dir: dir.to_owned(),
                detail,
            },
        }
    }
}
