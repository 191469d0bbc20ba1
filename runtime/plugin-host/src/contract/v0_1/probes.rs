//! What the driver knows about nodes and traffic, as it was recorded.

use super::gate_world::wavegate::plugin::probes;
use super::strategy_world::wavegate::plugin::types::Failure;
use crate::call::CallData;
use crate::contract::query;
use crate::evidence::wrong_kind;
use crate::stop::Stop;
use wavegate_model::evidence::Requests;
use wavegate_model::{ClusterName, DurationMs, Evidence, Query};

impl probes::Host for CallData {
    fn summary(
        &mut self,
        slot: String,
        cluster: String,
        cohort: String,
        window_ms: u32,
    ) -> wasmtime::Result<Result<probes::ProbeSummary, Failure>> {
        let slot = self.book.slot(&slot)?;
        for (what, value) in [("cluster", &cluster), ("cohort", &cohort)] {
            if let Err(refused) = query::text(what, value) {
                return Ok(Err(refused.into()));
            }
        }
        let window = DurationMs(u64::from(window_ms));
        let query = Query::Probe {
            slot,
            cluster: ClusterName::new(cluster),
            cohort,
            window,
        };
        Ok(Ok(summary_of(self.book.answer(&query)?, &query)?))
    }

    fn summaries(
        &mut self,
        slot: String,
        clusters: Vec<String>,
        cohort: String,
        window_ms: u32,
    ) -> wasmtime::Result<Result<Vec<probes::ProbeSummary>, Failure>> {
        let slot = self.book.slot(&slot)?;
        let named = clusters.iter().map(|cluster| ("cluster", cluster));
        for (what, value) in named.chain([("cohort", &cohort)]) {
            if let Err(refused) = query::text(what, value) {
                return Ok(Err(refused.into()));
            }
        }
        let queries: Vec<Query> = clusters
            .into_iter()
            .map(|cluster| Query::Probe {
                slot: slot.clone(),
                cluster: ClusterName::new(cluster),
                cohort: cohort.clone(),
                window: DurationMs(u64::from(window_ms)),
            })
            .collect();
        let answers = self.book.answers(&queries)?.zip(&queries);
        let each = answers.map(|(evidence, query)| summary_of(evidence, query));
        Ok(Ok(each.collect::<Result<_, _>>()?))
    }
}

pub(super) fn summary_of(evidence: &Evidence, query: &Query) -> Result<probes::ProbeSummary, Stop> {
    match evidence {
        Evidence::Probe(summary) => Ok(probes::ProbeSummary {
            checks: requests(&summary.checks),
            traffic: requests(&summary.traffic),
        }),
        Evidence::Series(_) | Evidence::Http { .. } => Err(wrong_kind(query)),
    }
}

fn requests(requests: &Requests) -> probes::Requests {
    let finite = |quantile: Option<f64>| quantile.filter(|ms| ms.is_finite());
    probes::Requests {
        total: requests.total,
        failed: requests.failed,
        p50_ms: finite(requests.p50_ms),
        p95_ms: finite(requests.p95_ms),
        p99_ms: finite(requests.p99_ms),
    }
}
