//! The log, and the types that every interface has.

use super::strategy_world::wavegate::plugin::{log, types};
use crate::call::CallData;
use crate::contract::query::BadQuery;

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

impl From<BadQuery> for types::Failure {
    fn from(bad: BadQuery) -> Self {
        Self {
            code: "bad-query".into(),
            message: bad.0,
            retryable: false,
            details: Vec::new(),
        }
    }
}
