//! Contract 0.2: as 0.1, and gates can ask for evidence of every kind at once.

#[path = "v0_1/answers.rs"]
mod answers;
#[path = "v0_1/calls.rs"]
mod calls;
mod evidence;
#[path = "v0_1/gate.rs"]
mod gate;
mod http;
#[path = "v0_1/log.rs"]
mod log;
#[path = "v0_1/metrics.rs"]
mod metrics;
#[path = "v0_1/probes.rs"]
mod probes;
#[path = "v0_1/strategy.rs"]
mod strategy;

use crate::call::CallData;
use wasmtime::component::{HasSelf, Linker};

mod strategy_world {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "wavegate:plugin/strategy-plugin",
        imports: { default: trappable },
    });
}

mod gate_world {
    wasmtime::component::bindgen!({
        path: "../../wit",
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
