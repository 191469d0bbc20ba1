//! Metric queries, answered from what was recorded.

use super::gate_world::wavegate::plugin::metrics;
use super::strategy_world::wavegate::plugin::types::Failure;
use crate::call::CallData;
use crate::contract::query;
use crate::evidence::wrong_kind;
use wavegate_model::evidence::Series;
use wavegate_model::{DurationMs, Evidence, Query, SlotName};

impl metrics::Host for CallData {
    fn instant(
        &mut self,
        slot: String,
        query: String,
    ) -> wasmtime::Result<Result<Vec<metrics::Series>, Failure>> {
        let slot = self.book.slot(&slot)?;
        if let Err(refused) = query::text("query", &query) {
            return Ok(Err(refused.into()));
        }
        series(self, &Query::Instant { slot, query })
    }

    fn range(
        &mut self,
        slot: String,
        query: String,
        window_ms: u32,
        step_ms: u32,
    ) -> wasmtime::Result<Result<Vec<metrics::Series>, Failure>> {
        let slot = self.book.slot(&slot)?;
        if let Err(refused) = query::text("query", &query).and(query::step(step_ms)) {
            return Ok(Err(refused.into()));
        }
        let (window, step) = (
            DurationMs(u64::from(window_ms)),
            DurationMs(u64::from(step_ms)),
        );
        series(
            self,
            &Query::Range {
                slot,
                query,
                window,
                step,
            },
        )
    }

    fn instants(
        &mut self,
        slot: String,
        queries: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Vec<metrics::Series>>, Failure>> {
        all_series(self, &slot, queries, |slot, query| Query::Instant {
            slot,
            query,
        })
    }

    fn ranges(
        &mut self,
        slot: String,
        queries: Vec<String>,
        window_ms: u32,
        step_ms: u32,
    ) -> wasmtime::Result<Result<Vec<Vec<metrics::Series>>, Failure>> {
        if let Err(refused) = query::step(step_ms) {
            return Ok(Err(refused.into()));
        }
        all_series(self, &slot, queries, |slot, query| Query::Range {
            slot,
            query,
            window: DurationMs(u64::from(window_ms)),
            step: DurationMs(u64::from(step_ms)),
        })
    }
}

/// The series of several queries of one slot that are asked at once.
fn all_series(
    data: &mut CallData,
    slot: &str,
    queries: Vec<String>,
    query: impl Fn(SlotName, String) -> Query,
) -> wasmtime::Result<Result<Vec<Vec<metrics::Series>>, Failure>> {
    let slot = data.book.slot(slot)?;
    let refused = queries
        .iter()
        .find_map(|one| query::text("query", one).err());
    if let Some(refused) = refused {
        return Ok(Err(refused.into()));
    }
    let queries: Vec<Query> = queries
        .into_iter()
        .map(|one| query(slot.clone(), one))
        .collect();
    let answers = data.book.answers(&queries)?.zip(&queries);
    let each = answers.map(|(evidence, query)| match evidence {
        Evidence::Series(series) => Ok(series.iter().map(one_series).collect()),
        Evidence::Http { .. } | Evidence::Probe(_) => Err(wrong_kind(query)),
    });
    Ok(Ok(each.collect::<Result<_, _>>()?))
}

fn series(
    data: &mut CallData,
    query: &Query,
) -> wasmtime::Result<Result<Vec<metrics::Series>, Failure>> {
    match data.book.answer(query)? {
        Evidence::Series(series) => Ok(Ok(series.iter().map(one_series).collect())),
        Evidence::Http { .. } | Evidence::Probe(_) => Err(wrong_kind(query).into()),
    }
}

pub(super) fn one_series(series: &Series) -> metrics::Series {
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
