//! What the driver knows of its own nodes: health checks, and real traffic.

use crate::metrics::{self, Selection};
use crate::{Fault, Source, what_is};
use std::sync::Arc;
use wavegate_model::evidence::{EvidenceScope, ProbeSummary, Series};
use wavegate_model::{ClusterName, Digest, DurationMs, Evidence, Query, RolloutId, Timestamp};
use wavegate_ports::BoxFuture;
use wavegate_ports::driver::Driver;

/// The window of a metric query that names none: long enough for a ratio, short enough to
/// follow a change.
const INSTANT_WINDOW: DurationMs = DurationMs::secs(60);

/// The driver's own probes, asked through the driver.
///
/// It answers probe queries, and the same counts as metrics: `requests_total`, `failed_total`,
/// `success_ratio` and `p95_ms`, each with the labels `cluster`, `cohort` (`new` or `baseline`)
/// and `origin` (`checks` or `traffic`). A query is a name and, optionally, the labels that it
/// wants: `success_ratio{cluster="eu-1",cohort="new"}`. An instant query sums up the last minute;
/// a range query gives one sample, which sums up its window. No window reaches back beyond the
/// start of the evidence. A ratio or a quantile without a request is no data.
pub struct ProbeSource {
    driver: Arc<dyn Driver>,
    rollout: RolloutId,
}

impl ProbeSource {
    /// The probes of the driver, as far as this rollout may see them.
    pub fn new(driver: Arc<dyn Driver>, rollout: RolloutId) -> Self {
        Self { driver, rollout }
    }

    async fn summary(
        &self,
        scope: &EvidenceScope,
        cluster: &ClusterName,
        cohort: &str,
        window: DurationMs,
    ) -> Result<ProbeSummary, Fault> {
        let release = release_of(scope, cluster, cohort)?;
        let since = window_start(scope, window);
        let summary = self
            .driver
            .probe(&self.rollout, cluster, release, since)
            .await;
        summary.map_err(|error| Fault::Unavailable(error.to_string()))
    }

    async fn series(
        &self,
        scope: &EvidenceScope,
        query: &str,
        window: DurationMs,
    ) -> Result<Vec<Series>, Fault> {
        let wanted = Selection::parse(query).map_err(|error| Fault::Refused(error.to_string()))?;
        if let Some(cluster) = wanted.cluster() {
            // A name that may not be asked for is an error, not an absence of data.
            release_of(scope, &ClusterName::new(cluster), metrics::COHORTS[0])?;
        }
        let mut series = Vec::new();
        for cluster in scope
            .baselines
            .keys()
            .filter(|name| wanted.wants_cluster(name.as_str()))
        {
            for cohort in metrics::COHORTS
                .into_iter()
                .filter(|cohort| wanted.wants_cohort(cohort))
            {
                let summary = self.summary(scope, cluster, cohort, window).await?;
                series.extend(wanted.series(cluster, cohort, &summary, scope.now));
            }
        }
        Ok(series)
    }
}

impl Source for ProbeSource {
    fn kind(&self) -> &'static str {
        "probe"
    }

    /// The driver's own clusters are what it asks.
    fn check(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn fetch<'a>(
        &'a self,
        query: &'a Query,
        scope: &'a EvidenceScope,
    ) -> BoxFuture<'a, Result<Evidence, Fault>> {
        Box::pin(async move {
            match query {
                Query::Probe {
                    cluster,
                    cohort,
                    window,
                    ..
                } => self
                    .summary(scope, cluster, cohort, *window)
                    .await
                    .map(Evidence::Probe),
                Query::Instant { query, .. } => self
                    .series(scope, query, INSTANT_WINDOW)
                    .await
                    .map(Evidence::Series),
                Query::Range { query, window, .. } => self
                    .series(scope, query, *window)
                    .await
                    .map(Evidence::Series),
                Query::HttpGet { .. } => Err(Fault::WrongKind(what_is(query))),
            }
        })
    }
}

/// The release that a cohort of a cluster runs, if the cluster may be asked about.
fn release_of<'a>(
    scope: &'a EvidenceScope,
    cluster: &ClusterName,
    cohort: &str,
) -> Result<&'a Digest, Fault> {
    let baseline = scope.baselines.get(cluster).ok_or_else(|| {
        Fault::Refused(format!(
            "cluster `{cluster}` is not one that this evaluation may ask about"
        ))
    })?;
    match cohort {
        "new" => Ok(&scope.release),
        "baseline" => Ok(baseline),
        _ => Err(Fault::Refused(format!(
            "there is no cohort `{cohort}`, only `new` and `baseline`"
        ))),
    }
}

/// Where a window begins: never before the evidence starts.
fn window_start(scope: &EvidenceScope, window: DurationMs) -> Timestamp {
    Timestamp(scope.now.0.saturating_sub(window.0)).max(scope.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_never_reaches_beyond_the_start() {
        let scope = EvidenceScope {
            now: Timestamp(100_000),
            start: Timestamp(70_000),
            release: Digest::from_sha256(&[1; 32]),
            baselines: Default::default(),
            fresh_for: None,
        };
        assert_eq!(
            window_start(&scope, DurationMs::secs(10)),
            Timestamp(90_000)
        );
        assert_eq!(
            window_start(&scope, DurationMs::secs(60)),
            Timestamp(70_000)
        );
        assert_eq!(
            window_start(&scope, DurationMs::secs(1000)),
            Timestamp(70_000)
        );
    }
}
