//! Every way in which a call can end without an answer, and what it is called outside.

use crate::call::CallData;
use crate::engine::WASM_STACK_BYTES;
use crate::text::clean;
use wasmtime::{Trap, WasmBacktrace};
use wavegate_model::limits::CallLimits;
use wavegate_model::{Query, Unavailable};

/// Lines of a trace that are kept: twenty frames with their places.
const FRAME_LINES_MAX: usize = 60;

/// Why a host function or the meter ended a call. The guest cannot catch it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error("the gate needs evidence that it has not got")]
    NeedsEvidence(Vec<Query>),
    #[error(transparent)]
    Unavailable(Unavailable),
}

impl Stop {
    pub(crate) fn limit(what: &str, limit: u64) -> Self {
        Self::Unavailable(Unavailable::LimitExceeded {
            what: what.to_owned(),
            limit,
        })
    }
}

/// Says why a call ended. The host's own reasons come first, then the traps that stand for a
/// limit, then what the guest did to itself.
pub(crate) fn classify(error: &wasmtime::Error, data: &CallData, limits: &CallLimits) -> Stop {
    match error.downcast_ref::<Stop>() {
        Some(Stop::NeedsEvidence(queries)) => return Stop::NeedsEvidence(queries.clone()),
        Some(Stop::Unavailable(why)) => return Stop::Unavailable(why.clone()),
        None => {}
    }
    let said = || message(error, data);
    Stop::Unavailable(match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Unavailable::OutOfFuel { limit: limits.fuel },
        Some(Trap::Interrupt) => Unavailable::TimedOut {
            limit_ms: limits.time.0,
        },
        Some(Trap::StackOverflow) => Unavailable::LimitExceeded {
            what: "stack in bytes".into(),
            limit: WASM_STACK_BYTES as u64,
        },
        Some(trap) => Unavailable::Trap {
            trap: trap_name(*trap),
            message: said(),
        },
        None => untyped(&error.root_cause().to_string(), limits, said),
    })
}

/// Wasmtime has no types for these errors; tests with guests hold the words.
fn untyped(cause: &str, limits: &CallLimits, said: impl FnOnce() -> String) -> Unavailable {
    let limit = |what: &str, limit: u64| Unavailable::LimitExceeded {
        what: what.into(),
        limit,
    };
    if cause.contains("fuel allocated for hostcalls") {
        limit("bytes of an answer or of an argument", limits.result_bytes)
    } else if cause.contains("instance count too high") {
        limit("instances", crate::meter::INSTANCES_MAX as u64)
    } else if cause.contains("table count too high") {
        limit("tables", crate::meter::TABLES_MAX as u64)
    } else if cause.contains("memory count too high") {
        limit("memories", crate::meter::MEMORIES_MAX as u64)
    } else if cause.contains("handle") && cause.contains("limit") {
        limit("handles", crate::meter::HANDLES_MAX as u64)
    } else {
        Unavailable::Trap {
            trap: clean(cause),
            message: said(),
        }
    }
}

/// Where the guest was, innermost first: names are readable, and there are files and lines where
/// the component has them.
pub(crate) fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    let text = trace.to_string();
    // A heading, and for each frame a line with its name, and those with its places.
    let lines = text.lines().skip(1).take(FRAME_LINES_MAX);
    lines.map(clean).filter(|line| !line.is_empty()).collect()
}

fn trap_name(trap: Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()
}

/// What the guest said last (a panic message, as a rule), or else where it was.
fn message(error: &wasmtime::Error, data: &CallData) -> String {
    if let Some(said) = data.log.last_words() {
        return said.to_owned();
    }
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map(WasmBacktrace::frames)
        .unwrap_or_default();
    let function = frames.iter().find_map(|frame| frame.func_name());
    function
        .map(|name| clean(&format!("in `{name}`")))
        .unwrap_or_default()
}
