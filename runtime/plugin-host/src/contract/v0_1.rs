//! Contract 0.1: generated bindings, and their way to and from the model.
//!
//! What has the same shape in a later contract is written here once and compiled again with the
//! bindings of that one. A shape that changes gets a file of its own there, and this stays.

mod answers;
mod calls;
mod gate;
mod http;
mod log;
mod metrics;
mod probes;
mod strategy;

use crate::call::CallData;
use wasmtime::component::{HasSelf, Linker};

mod strategy_world {
    wasmtime::component::bindgen!({
        path: "../../wit/released/0.1.0",
        world: "wavegate:plugin/strategy-plugin",
        imports: { default: trappable },
    });
}

mod gate_world {
    wasmtime::component::bindgen!({
        path: "../../wit/released/0.1.0",
        world: "wavegate:plugin/gate-plugin",
        imports: { default: trappable },
        with: {
            "wavegate:plugin/types": super::strategy_world::wavegate::plugin::types,
            "wavegate:plugin/log": super::strategy_world::wavegate::plugin::log,
        },
    });
}

pub(crate) use calls::{Gate, Strategy};

/// Adds what strategies of this contract may import.
pub(crate) fn grant_to_strategies(linker: &mut Linker<CallData>) -> wasmtime::Result<()> {
    strategy_world::StrategyPlugin::add_to_linker::<_, HasSelf<_>>(linker, |data| data)
}

/// Adds what gates of this contract may import.
pub(crate) fn grant_to_gates(linker: &mut Linker<CallData>) -> wasmtime::Result<()> {
    gate_world::GatePlugin::add_to_linker::<_, HasSelf<_>>(linker, |data| data)
}
