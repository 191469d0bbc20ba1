//! Where evidence comes from, as the source's owner describes it.

use crate::ids::{Digest, PolicyName, SourceName};
use crate::time::DurationMs;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A source and who may use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// Name of the document.
    pub name: SourceName,
    /// What it is.
    pub kind: SourceKind,
    /// Policies that may bind a slot to it.
    pub policies: Grant<PolicyName>,
    /// Components that may ask it.
    pub plugins: Grant<Digest>,
}

/// Who may use something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant<T: Ord> {
    /// Everybody.
    Any,
    /// These and nobody else.
    Only(BTreeSet<T>),
}

impl<T: Ord> Grant<T> {
    /// Whether it is granted to somebody.
    pub fn allows(&self, who: &T) -> bool {
        match self {
            Self::Any => true,
            Self::Only(listed) => listed.contains(who),
        }
    }
}

/// The kinds of source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// What the driver of a cluster knows of its nodes.
    Probe,
    /// A Prometheus server.
    Prometheus(PrometheusSource),
    /// An HTTP endpoint.
    Http(HttpSource),
}

impl SourceKind {
    /// The kind of slot that it fits: `probes`, `metrics` or `http`.
    pub fn slot_kind(&self) -> &'static str {
        match self {
            Self::Probe => "probes",
            Self::Prometheus(_) => "metrics",
            Self::Http(_) => "http",
        }
    }

    /// Whether a slot of this kind can be bound to it. What a driver knows of its nodes can also
    /// be asked for as metrics, so that a gate on metrics needs no server.
    pub fn fits(&self, slot_kind: &str) -> bool {
        slot_kind == self.slot_kind() || matches!((self, slot_kind), (Self::Probe, "metrics"))
    }
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `http://` or `https://`, host, port and path.
    pub address: String,
    /// For one request, connecting included.
    pub timeout: DurationMs,
    /// How the host proves who it is.
    pub auth: Auth,
    /// How the connection is protected; none for what the system trusts.
    pub tls: Option<Tls>,
}

/// How the host proves who it is to a server. Names credentials, never holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// It does not.
    None,
    /// A token in the `Authorization` header.
    Bearer(SecretRef),
    /// A name and a password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: SecretRef,
    },
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// An environment variable of the host.
    Env(String),
    /// A file, relative to the document.
    File(String),
}

/// Certificates of a connection: files, relative to the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Authorities that are trusted instead of the system's.
    pub ca: Option<String>,
    /// The host's certificate and its key.
    pub identity: Option<(String, String)>,
}

/// A Prometheus server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrometheusSource {
    /// How it is reached.
    pub endpoint: Endpoint,
    /// Labels that every selector of every query gets, such as the tenant.
    pub labels: BTreeMap<String, String>,
    /// The longest window of a range query.
    pub range_max: DurationMs,
    /// The most series of an answer.
    pub series_max: u32,
}

/// An HTTP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSource {
    /// How it is reached.
    pub endpoint: Endpoint,
    /// Paths that may be asked for; one that ends in `*` stands for all that begin so.
    pub paths: Vec<String>,
    /// The most bytes of an answer.
    pub body_bytes_max: u64,
}
