//! The sources of a rollout: who may ask, how long, and how much.

use crate::{Fault, HttpSource, ProbeSource, PrometheusSource, Source};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wavegate_model::evidence::{EvidenceScope, Requests, Series};
use wavegate_model::source::{SourceKind, SourceSpec};
use wavegate_model::{Digest, Evidence, PolicyName, Query, RolloutId, SourceName};
use wavegate_ports::BoxFuture;
use wavegate_ports::driver::Driver;
use wavegate_ports::sources::{SourceError, Sources};

/// For one answer of a driver: it asks a few hundred nodes' counts over local sockets at most.
/// A source that is slower would hold the gate's evaluation for its whole interval.
const PROBE_TIME_MAX: Duration = Duration::from_secs(10);
/// A query in a guest's configuration is at most as long; longer ones come from a mistake.
const QUERY_BYTES_MAX: usize = 8 << 10;
/// An answer goes through a guest's memory and into the journal: as much as a plugin may answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// A message is a line or two on a terminal.
const MESSAGE_CHARS_MAX: usize = 300;

/// The sources of one rollout, by name.
#[derive(Default)]
pub struct SourceSet {
    sources: BTreeMap<SourceName, Entry>,
}

struct Entry {
    spec: SourceSpec,
    source: Arc<dyn Source>,
    time_max: Duration,
}

/// A source cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its description cannot be carried out.
    #[error("source `{source_name}` cannot be asked")]
    BadSource {
        /// Which source.
        source_name: SourceName,
        /// What is wrong with it.
        #[source]
        why: BadSource,
    },
    /// The driver cannot answer for it.
    #[error("source `{source_name}` needs a driver that answers probes, and this one does not")]
    NoProbes {
        /// Which source.
        source_name: SourceName,
    },
}

/// What is wrong with the description of a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// It does not say where the server is.
    #[error("`{0}` is not an address of the form `http://host:port/path`")]
    Address(String),
    /// Certificates would not be used.
    #[error("it has `tls`, but its address `{0}` does not begin with `https://`")]
    TlsWithoutHttps(String),
    /// It fixes a label that no selector can have.
    #[error("`{0}` cannot be fixed as a label of Prometheus")]
    Label(String),
}

impl SourceSet {
    /// Opens the sources that a rollout's gates are bound to.
    pub fn open(
        specs: impl IntoIterator<Item = SourceSpec>,
        driver: &Arc<dyn Driver>,
        rollout: &RolloutId,
    ) -> Result<Self, OpenError> {
        let mut set = Self::default();
        for spec in specs {
            let source_name = spec.name.clone();
            match spec.kind {
                SourceKind::Probe if driver.capabilities().probes => {
                    let source = ProbeSource::new(Arc::clone(driver), rollout.clone());
                    set.add(spec, Arc::new(source));
                }
                SourceKind::Probe => return Err(OpenError::NoProbes { source_name }),
                SourceKind::Prometheus(ref prometheus) => {
                    let source = PrometheusSource::new(prometheus)
                        .map_err(|why| OpenError::BadSource { source_name, why })?;
                    set.add(spec, Arc::new(source));
                }
                SourceKind::Http(ref http) => {
                    let source = HttpSource::new(http)
                        .map_err(|why| OpenError::BadSource { source_name, why })?;
                    set.add(spec, Arc::new(source));
                }
            }
        }
        Ok(set)
    }

    /// Adds a source under the name and the grants of its description; replaces one of that name.
    pub fn add(&mut self, spec: SourceSpec, source: Arc<dyn Source>) {
        let time_max = match &spec.kind {
            SourceKind::Probe => PROBE_TIME_MAX,
            SourceKind::Prometheus(prometheus) => {
                Duration::from_millis(prometheus.endpoint.timeout.0)
            }
            SourceKind::Http(http) => Duration::from_millis(http.endpoint.timeout.0),
        };
        self.sources.insert(
            spec.name.clone(),
            Entry {
                spec,
                source,
                time_max,
            },
        );
    }

    /// Checks that the source's owner lets a policy bind a slot of this kind to it, for this
    /// component. Whoever binds calls it once; a fetch has no policy to check.
    pub fn check_grant(
        &self,
        source: &SourceName,
        slot_kind: &str,
        policy: &PolicyName,
        component: &Digest,
    ) -> Result<(), SourceError> {
        let entry = self
            .sources
            .get(source)
            .ok_or_else(|| SourceError::Unknown(source.clone()))?;
        let refuse = |detail: String| {
            Err(SourceError::Refused {
                source_name: source.clone(),
                detail,
            })
        };
        if !entry.spec.kind.fits(slot_kind) {
            let kind = entry.spec.kind.slot_kind();
            return refuse(format!(
                "it answers slots of kind `{kind}`, not `{slot_kind}`"
            ));
        }
        if !entry.spec.policies.allows(policy) {
            return refuse(format!("its owner does not grant it to policy `{policy}`"));
        }
        if !entry.spec.plugins.allows(component) {
            return refuse(format!(
                "its owner does not grant it to the component {component}"
            ));
        }
        Ok(())
    }

    async fn ask(
        &self,
        name: SourceName,
        query: Query,
        scope: EvidenceScope,
    ) -> Result<Evidence, SourceError> {
        let Some(entry) = self.sources.get(&name) else {
            return Err(SourceError::Unknown(name));
        };
        let asked = async {
            check_query(&query)?;
            let fetched =
                tokio::time::timeout(entry.time_max, entry.source.fetch(&query, &scope)).await;
            let late = |_| Fault::Unavailable(too_late(entry.time_max));
            let evidence = cleaned(fetched.map_err(late)??);
            check_answer(&query, &evidence)?;
            Ok(evidence)
        };
        asked
            .await
            .map_err(|fault| named(name, entry.source.kind(), fault))
    }
}

impl Sources for SourceSet {
    fn check(&self, source: &SourceName) -> BoxFuture<'_, Result<(), SourceError>> {
        let name = source.clone();
        Box::pin(async move {
            let Some(entry) = self.sources.get(&name) else {
                return Err(SourceError::Unknown(name));
            };
            let checked = tokio::time::timeout(entry.time_max, entry.source.check()).await;
            let late = |_| Fault::Unavailable(too_late(entry.time_max));
            checked
                .map_err(late)
                .flatten()
                .map_err(|fault| named(name, entry.source.kind(), fault))
        })
    }

    fn fetch(
        &self,
        source: &SourceName,
        query: &Query,
        scope: &EvidenceScope,
    ) -> BoxFuture<'_, Result<Evidence, SourceError>> {
        Box::pin(self.ask(source.clone(), query.clone(), scope.clone()))
    }
}

fn too_late(limit: Duration) -> String {
    format!("no answer within {} ms", limit.as_millis())
}

fn named(source_name: SourceName, kind: &'static str, fault: Fault) -> SourceError {
    match fault {
        Fault::WrongKind(what) => SourceError::WrongKind {
            source_name,
            kind,
            what,
        },
        Fault::Refused(detail) => SourceError::Refused {
            source_name,
            detail: plain(&detail),
        },
        Fault::Unavailable(detail) => SourceError::Unavailable {
            source_name,
            detail: plain(&detail),
        },
    }
}

/// A message that can stand on a terminal.
fn plain(message: &str) -> String {
    message
        .chars()
        .filter(|c| !c.is_control())
        .take(MESSAGE_CHARS_MAX)
        .collect()
}

fn check_query(query: &Query) -> Result<(), Fault> {
    let bytes = match query {
        Query::Instant { query, .. } | Query::Range { query, .. } => query.len(),
        Query::HttpGet { path, .. } => path.len(),
        Query::Probe {
            cluster, cohort, ..
        } => cluster.as_str().len() + cohort.len(),
    };
    if bytes > QUERY_BYTES_MAX {
        return Err(Fault::Refused(format!(
            "it has {bytes} bytes, at most {QUERY_BYTES_MAX} are allowed"
        )));
    }
    Ok(())
}

/// An answer of the wrong shape, or larger than may be, is no answer.
fn check_answer(query: &Query, evidence: &Evidence) -> Result<(), Fault> {
    let fits = matches!(
        (query, evidence),
        (
            Query::Instant { .. } | Query::Range { .. },
            Evidence::Series(_)
        ) | (Query::HttpGet { .. }, Evidence::Http { .. })
            | (Query::Probe { .. }, Evidence::Probe(_))
    );
    if !fits {
        return Err(Fault::Unavailable(
            "it answers another question than was asked".to_owned(),
        ));
    }
    let bytes = size_of(evidence);
    if bytes > ANSWER_BYTES_MAX {
        let detail =
            format!("its answer has about {bytes} bytes, at most {ANSWER_BYTES_MAX} are taken");
        return Err(Fault::Unavailable(detail));
    }
    Ok(())
}

fn size_of(evidence: &Evidence) -> usize {
    match evidence {
        Evidence::Series(series) => series.iter().map(size_of_series).sum(),
        Evidence::Http {
            content_type, body, ..
        } => content_type.len() + body.len(),
        Evidence::Probe(_) => std::mem::size_of::<Requests>() * 2,
    }
}

fn size_of_series(series: &Series) -> usize {
    let labels: usize = series
        .labels
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    labels + series.samples.len() * std::mem::size_of::<(f64, f64)>()
}

/// Leaves out what is not a finite number, and sorts what the contract says is sorted.
fn cleaned(mut evidence: Evidence) -> Evidence {
    match &mut evidence {
        Evidence::Series(list) => {
            for series in list {
                series.labels.sort();
                series
                    .samples
                    .retain(|(at, value)| at.is_finite() && value.is_finite());
                series.samples.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            }
        }
        Evidence::Probe(summary) => {
            for requests in [&mut summary.checks, &mut summary.traffic] {
                for quantile in [
                    &mut requests.p50_ms,
                    &mut requests.p95_ms,
                    &mut requests.p99_ms,
                ] {
                    *quantile = quantile.filter(|value| value.is_finite());
                }
            }
        }
        Evidence::Http { .. } => {}
    }
    evidence
}
