//! What guests may call: the log, and recorded evidence by slot.

use super::gate_world::wavegate::plugin::{http, metrics, probes};
use super::strategy_world::wavegate::plugin::{log, types};
use crate::call::CallData;
use crate::evidence::{QUERY_BYTES_MAX, wrong_kind};
use crate::stop::Stop;
use types::Failure;
use wavegate_model::evidence::{Requests, Series};
use wavegate_model::{ClusterName, DurationMs, Evidence, Query, SlotName};

impl types::Host for CallData {}

impl log::Host for CallData {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => "debug",
            log::Level::Info => "info",
            log::Level::Warn => "warn",
            log::Level::Error => "error",
        };
        self.log.write(level, &message);
        Ok(())
    }
}

impl metrics::Host for CallData {
    fn instant(
        &mut self,
        slot: String,
        query: String,
    ) -> wasmtime::Result<Result<Vec<metrics::Series>, Failure>> {
        let slot = self.book.slot(&slot)?;
        if let Err(refused) = text("query", &query) {
            return Ok(Err(refused));
        }
        self.series(&Query::Instant { slot, query })
    }

    fn range(
        &mut self,
        slot: String,
        query: String,
        window_ms: u32,
        step_ms: u32,
    ) -> wasmtime::Result<Result<Vec<metrics::Series>, Failure>> {
        let slot = self.book.slot(&slot)?;
        if let Err(refused) = text("query", &query) {
            return Ok(Err(refused));
        }
        if step_ms == 0 {
            return Ok(Err(refusal("step-ms is 0; it must be at least 1".into())));
        }
        let (window, step) = (
            DurationMs(u64::from(window_ms)),
            DurationMs(u64::from(step_ms)),
        );
        self.series(&Query::Range {
            slot,
            query,
            window,
            step,
        })
    }

    fn instants(
        &mut self,
        slot: String,
        queries: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Vec<metrics::Series>>, Failure>> {
        self.all_series(&slot, queries, |slot, query| Query::Instant { slot, query })
    }

    fn ranges(
        &mut self,
        slot: String,
        queries: Vec<String>,
        window_ms: u32,
        step_ms: u32,
    ) -> wasmtime::Result<Result<Vec<Vec<metrics::Series>>, Failure>> {
        if step_ms == 0 {
            return Ok(Err(refusal("step-ms is 0; it must be at least 1".into())));
        }
        self.all_series(&slot, queries, |slot, query| Query::Range {
            slot,
            query,
            window: DurationMs(u64::from(window_ms)),
            step: DurationMs(u64::from(step_ms)),
        })
    }
}

impl CallData {
    /// The series of several queries of one slot that are asked at once.
    fn all_series(
        &mut self,
        slot: &str,
        queries: Vec<String>,
        query: impl Fn(SlotName, String) -> Query,
    ) -> wasmtime::Result<Result<Vec<Vec<metrics::Series>>, Failure>> {
        let slot = self.book.slot(slot)?;
        if let Some(refused) = queries.iter().find_map(|one| text("query", one).err()) {
            return Ok(Err(refused));
        }
        let queries: Vec<Query> = queries
            .into_iter()
            .map(|one| query(slot.clone(), one))
            .collect();
        let answers = self.book.answers(&queries)?.zip(&queries);
        let each = answers.map(|(evidence, query)| match evidence {
            Evidence::Series(series) => Ok(series.iter().map(one_series).collect()),
            Evidence::Http { .. } | Evidence::Probe(_) => Err(wrong_kind(query)),
        });
        Ok(Ok(each.collect::<Result<_, _>>()?))
    }

    fn series(&mut self, query: &Query) -> wasmtime::Result<Result<Vec<metrics::Series>, Failure>> {
        match self.book.answer(query)? {
            Evidence::Series(series) => Ok(Ok(series.iter().map(one_series).collect())),
            Evidence::Http { .. } | Evidence::Probe(_) => Err(wrong_kind(query).into()),
        }
    }
}

fn one_series(series: &Series) -> metrics::Series {
    // Sources leave such samples out already; a journal from elsewhere might not.
    let finite = series
        .samples
        .iter()
        .filter(|(at, value)| at.is_finite() && value.is_finite());
    metrics::Series {
        labels: series.labels.clone(),
        samples: finite
            .map(|(at, value)| metrics::Sample {
                at: *at,
                value: *value,
            })
            .collect(),
    }
}

impl http::Host for CallData {
    fn get(
        &mut self,
        slot: String,
        path: String,
    ) -> wasmtime::Result<Result<http::Response, Failure>> {
        let slot = self.book.slot(&slot)?;
        if let Err(refused) = text("path", &path) {
            return Ok(Err(refused));
        }
        let query = Query::HttpGet { slot, path };
        match self.book.answer(&query)? {
            Evidence::Http {
                status,
                content_type,
                body,
            } => Ok(Ok(http::Response {
                status: *status,
                content_type: content_type.clone(),
                body: body.clone(),
            })),
            Evidence::Series(_) | Evidence::Probe(_) => Err(wrong_kind(&query).into()),
        }
    }
}

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
            if let Err(refused) = text(what, value) {
                return Ok(Err(refused));
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
            if let Err(refused) = text(what, value) {
                return Ok(Err(refused));
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

fn summary_of(evidence: &Evidence, query: &Query) -> Result<probes::ProbeSummary, Stop> {
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

/// Checks a text that goes to a source. Line breaks and tabs are part of query languages; other
/// control characters are part of attacks.
fn text(what: &str, text: &str) -> Result<(), Failure> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(refusal(format!(
            "the {what} has {} bytes; it may have {QUERY_BYTES_MAX}",
            text.len()
        )));
    }
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err(refusal(format!("the {what} has control characters")));
    }
    Ok(())
}

fn refusal(message: String) -> Failure {
    Failure {
        code: "bad-query".into(),
        message,
        retryable: false,
        details: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_a_source_is_bounded_text() {
        assert!(text("query", "sum(\n\trate(x[5m]))").is_ok());
        let escape = text("query", "up\x1b[2J").map_err(|refused| refused.message);
        assert_eq!(escape, Err("the query has control characters".into()));
        assert!(text("path", &"x".repeat(QUERY_BYTES_MAX)).is_ok());
        assert!(text("path", &"x".repeat(QUERY_BYTES_MAX + 1)).is_err());
    }
}
