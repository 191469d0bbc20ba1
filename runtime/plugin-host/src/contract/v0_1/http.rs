//! HTTP GET, answered from what was recorded.

use super::gate_world::wavegate::plugin::http;
use super::strategy_world::wavegate::plugin::types::Failure;
use crate::call::CallData;
use crate::contract::query;
use crate::evidence::wrong_kind;
use crate::stop::Stop;
use wavegate_model::{Evidence, Query};

impl http::Host for CallData {
    fn get(
        &mut self,
        slot: String,
        path: String,
    ) -> wasmtime::Result<Result<http::Response, Failure>> {
        let slot = self.book.slot(&slot)?;
        if let Err(refused) = query::text("path", &path) {
            return Ok(Err(refused.into()));
        }
        let query = Query::HttpGet { slot, path };
        Ok(Ok(response_of(self.book.answer(&query)?, &query)?))
    }
}

fn response_of(evidence: &Evidence, query: &Query) -> Result<http::Response, Stop> {
    match evidence {
        Evidence::Http {
            status,
            content_type,
            body,
        } => Ok(http::Response {
            status: *status,
            content_type: content_type.clone(),
            body: body.clone(),
        }),
        Evidence::Series(_) | Evidence::Probe(_) => Err(wrong_kind(query)),
    }
}
