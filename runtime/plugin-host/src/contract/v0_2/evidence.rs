//! Evidence of every kind, asked for at once.

use super::gate_world::wavegate::plugin::evidence as wit;
use super::http::response_of;
use super::metrics::one_series;
use super::probes::summary_of;
use super::strategy_world::wavegate::plugin::types::Failure;
use crate::call::CallData;
use crate::contract::query::{self, BadQuery};
use crate::stop::Stop;
use wavegate_model::{ClusterName, DurationMs, Evidence, Query};

impl wit::Host for CallData {
    fn ask(
        &mut self,
        questions: Vec<wit::Question>,
    ) -> wasmtime::Result<Result<Vec<wit::Answer>, Failure>> {
        let mut queries = Vec::with_capacity(questions.len());
        for question in questions {
            match asked(self, question)? {
                Ok(query) => queries.push(query),
                Err(refused) => return Ok(Err(refused.into())),
            }
        }
        let answers = self.book.answers(&queries)?.zip(&queries);
        let each = answers.map(|(evidence, query)| answered(evidence, query));
        Ok(Ok(each.collect::<Result<_, _>>()?))
    }
}

fn asked(data: &CallData, question: wit::Question) -> Result<Result<Query, BadQuery>, Stop> {
    let time = |ms: u32| DurationMs(u64::from(ms));
    Ok(match question {
        wit::Question::Instant(asked) => {
            let slot = data.book.slot(&asked.slot)?;
            query::text("query", &asked.query).map(|()| Query::Instant {
                slot,
                query: asked.query,
            })
        }
        wit::Question::Range(asked) => {
            let slot = data.book.slot(&asked.slot)?;
            let checked = query::text("query", &asked.query).and(query::step(asked.step_ms));
            checked.map(|()| Query::Range {
                slot,
                query: asked.query,
                window: time(asked.window_ms),
                step: time(asked.step_ms),
            })
        }
        wit::Question::Get(asked) => {
            let slot = data.book.slot(&asked.slot)?;
            query::text("path", &asked.path).map(|()| Query::HttpGet {
                slot,
                path: asked.path,
            })
        }
        wit::Question::Summary(asked) => {
            let slot = data.book.slot(&asked.slot)?;
            let checked =
                query::text("cluster", &asked.cluster).and(query::text("cohort", &asked.cohort));
            checked.map(|()| Query::Probe {
                slot,
                cluster: ClusterName::new(asked.cluster),
                cohort: asked.cohort,
                window: time(asked.window_ms),
            })
        }
    })
}

fn answered(evidence: &Evidence, query: &Query) -> Result<wit::Answer, Stop> {
    Ok(match query {
        Query::Instant { .. } | Query::Range { .. } => match evidence {
            Evidence::Series(series) => {
                wit::Answer::Series(series.iter().map(one_series).collect())
            }
            Evidence::Http { .. } | Evidence::Probe(_) => {
                return Err(crate::evidence::wrong_kind(query));
            }
        },
        Query::HttpGet { .. } => wit::Answer::Response(response_of(evidence, query)?),
        Query::Probe { .. } => wit::Answer::Summary(summary_of(evidence, query)?),
    })
}
