//! Where evidence comes from: the sources of a rollout, by name.
//!
//! **Owns:** who may ask a source, the time and the size of an answer, and the sources
//! themselves: the driver's own probes ([`ProbeSource`], also as metrics), Prometheus servers
//! ([`PrometheusSource`]), HTTP endpoints ([`HttpSource`]) and recorded answers
//! ([`RecordedSource`]).
//!
//! **Does not own:** when evidence is fetched or where it is kept (that is the conductor and the
//! journal), nor what it means (that is a gate).
//!
//! Whatever a source says is cleaned here: samples and quantiles that are not finite are left
//! out, texts are capped and lose their control characters.
//!
//! Credentials and certificates are read for each request from where the source's document says,
//! and appear in no message, no evidence and no `Debug` output.
//!
//! **Start at** [`SourceSet`].

mod address;
mod client;
mod http;
mod metrics;
mod probe;
mod prometheus;
mod promql;
mod recorded;
mod secret;
mod set;
mod tls;

use wavegate_model::evidence::EvidenceScope;
use wavegate_model::{Evidence, Query};
use wavegate_ports::BoxFuture;

pub use http::HttpSource;
pub use probe::ProbeSource;
pub use prometheus::PrometheusSource;
pub use recorded::{RecordedSource, RecordedSources};
pub use set::{BadSource, OpenError, SourceSet};

/// A place that evidence comes from. Names, grants, time and size are the set's business.
pub trait Source: Send + Sync {
    /// Its kind, as documents say it.
    fn kind(&self) -> &'static str;

    /// Whether it is there and takes the credentials, as far as that shows without a question of
    /// a gate.
    fn check(&self) -> BoxFuture<'_, Result<(), Fault>>;

    /// Answers a query.
    fn fetch<'a>(
        &'a self,
        query: &'a Query,
        scope: &'a EvidenceScope,
    ) -> BoxFuture<'a, Result<Evidence, Fault>>;
}

/// Why a source did not answer, without its name. Holds no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It does not answer such queries.
    #[error("it cannot answer {0}")]
    WrongKind(&'static str),
    /// The query is outside of what may be asked.
    #[error("it refuses the query: {0}")]
    Refused(String),
    /// It gave no usable answer.
    #[error("it did not answer: {0}")]
    Unavailable(String),
}

/// A query in words, for errors.
fn what_is(query: &Query) -> &'static str {
    match query {
        Query::Instant { .. } => "metric queries",
        Query::Range { .. } => "metric queries over a window",
        Query::HttpGet { .. } => "HTTP requests",
        Query::Probe { .. } => "probe queries",
    }
}
