//! The Wasm engines: their settings, and the clock that ends calls which run too long.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store,
    Strategy, WasmBacktraceDetails,
};

use crate::call::CallData;
use crate::compile::engine_key;
use crate::contract;

/// Version of wasmtime; a test compares it with the lock file.
pub(crate) const WASMTIME_VERSION: &str = "48.0.8";
/// Between two ticks of the wall clock: a hundredth of the default time of a call or less.
pub(crate) const EPOCH: Duration = Duration::from_millis(10);
/// Stack of a guest. The threads that call guests have a multiple of it.
pub(crate) const WASM_STACK_BYTES: usize = 512 << 10;
/// Stack of a thread that calls or compiles guests: much more than the guest's part of it.
pub(crate) const THREAD_STACK_BYTES: usize = 8 * WASM_STACK_BYTES;
/// Instances that may exist at once in the pool. There are as many as workers; the rest is room.
const POOLED_INSTANCES: u32 = 64;
/// Bytes of a linear memory that are cleared by hand when a slot is used again, rather than given
/// back to the kernel: guests touch a part of their pages, and faulting these in again costs more.
/// A whole language runtime (Python) touches most of 13 MiB.
const RESIDENT_BYTES: usize = 16 << 20;

/// The settings that decide what a guest computes and how much fuel it takes, for the journal.
pub(crate) fn host_key() -> String {
    format!(
        "wasmtime {WASMTIME_VERSION}; cranelift speed; fuel default costs; epoch {} ms; nan canonical; \
         relaxed-simd off; memory64 off; tail-call off; gc off; stack {} KiB; {}-{}",
        EPOCH.as_millis(),
        WASM_STACK_BYTES >> 10,
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
}

/// An engine with what its plugins may import.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) strategy: Linker<CallData>,
    pub(crate) gate: Linker<CallData>,
}

impl Runtime {
    fn new(engine: Engine) -> wasmtime::Result<Self> {
        let strategy = contract::strategy_linker(&engine)?;
        let gate = contract::gate_linker(&engine)?;
        Ok(Self {
            engine,
            strategy,
            gate,
        })
    }
}

/// Makes the engines, in the order in which they are tried for a component: the pooling one, if
/// this machine has the address space for it, then one that allocates on demand, which also takes
/// components that are too large for a slot of the pool.
pub(crate) fn runtimes() -> wasmtime::Result<Vec<Runtime>> {
    let mut runtimes = Vec::new();
    match pooling() {
        Ok(engine) => runtimes.push(Runtime::new(engine)?),
        Err(why) => tracing::info!("plugins run without an instance pool: {why:#}"),
    }
    runtimes.push(Runtime::new(Engine::new(&config())?)?);
    Ok(runtimes)
}

/// An engine whose compiled code one of another process takes, if there is such a one.
pub(crate) fn like(key: &str) -> Result<Engine, String> {
    let plain = Engine::new(&config()).map_err(|error| format!("{error:#}"))?;
    if engine_key(&plain) == key {
        return Ok(plain);
    }
    match pooling() {
        Ok(engine) if engine_key(&engine) == key => Ok(engine),
        _ => Err("the process that compiles has another engine".to_owned()),
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        // Fuel decides, because it counts the same everywhere; the epoch is the backstop.
        .consume_fuel(true)
        .epoch_interruption(true)
        // Equal inputs must give equal outputs on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        // What no plugin needs is off: each feature had its security fixes.
        .wasm_memory64(false)
        // A component that is composed of several has a memory in each, and what wasmtime puts
        // between them uses both. They count together.
        .wasm_multi_memory(true)
        .wasm_tail_call(false)
        .concurrency_support(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        // Said here, so that an environment variable cannot change it.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .generate_address_map(true)
        .memory_init_cow(true)
        .parallel_compilation(true);
    config
}

fn pooling() -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(POOLED_INSTANCES)
        .total_core_instances(4 * POOLED_INSTANCES)
        .total_memories(2 * POOLED_INSTANCES)
        .total_tables(4 * POOLED_INSTANCES)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(64 << 10)
        // Where the kernel can say which pages were touched, only those are cleared.
        .pagemap_scan(Enabled::Auto);
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config)?;
    probe(&engine)?;
    Ok(engine)
}

/// Makes one instance with a memory: reserving address space can succeed where using it fails.
fn probe(engine: &Engine) -> wasmtime::Result<()> {
    // `(module (memory 1))`
    let module = wasmtime::Module::from_binary(engine, b"\0asm\x01\0\0\0\x05\x03\x01\x00\x01")?;
    let mut store = Store::new(engine, ());
    store.set_fuel(1000)?;
    store.set_epoch_deadline(1);
    wasmtime::Instance::new(&mut store, &module, &[])?;
    Ok(())
}

/// Does something every [`EPOCH`], on a thread of its own, until it is dropped.
pub(crate) struct Ticker {
    _stop: Sender<()>,
}

impl Ticker {
    pub(crate) fn start(tick: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        std::thread::Builder::new()
            .name("plugin-clock".into())
            .spawn(move || {
                while stopped.recv_timeout(EPOCH) == Err(RecvTimeoutError::Timeout) {
                    tick();
                }
            })?;
        Ok(Self { _stop: stop })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some toolchains make one component of two, such as an interpreter and stubs for it.
    #[test]
    fn a_component_may_be_composed_of_others() {
        let composed = wat::parse_str(
            r#"(component
              (component $callee
                (core module $m
                  (memory (export "memory") 1)
                  (func (export "f") (param i32 i32))
                  (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8))
                (core instance $i (instantiate $m))
                (func (export "f") (param "s" string)
                  (canon lift (core func $i "f") (memory $i "memory") (realloc (func $i "realloc")))))
              (component $caller
                (import "f" (func $f (param "s" string)))
                (core module $libc (memory (export "memory") 1))
                (core instance $libc (instantiate $libc))
                (core func $f (canon lower (func $f) (memory $libc "memory")))
                (core module $m
                  (import "" "f" (func $f (param i32 i32)))
                  (func (export "run") (call $f (i32.const 0) (i32.const 4))))
                (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
                (func (export "run") (canon lift (core func $i "run"))))
              (instance $callee (instantiate $callee))
              (instance $caller (instantiate $caller (with "f" (func $callee "f"))))
              (export "run" (func $caller "run")))"#,
        );
        for runtime in runtimes().unwrap() {
            let component = wasmtime::component::Component::from_binary(
                &runtime.engine,
                composed.as_ref().unwrap(),
            );
            assert!(component.is_ok(), "{:?}", component.err());
        }
    }

    #[test]
    fn the_host_key_names_the_locked_wasmtime() {
        let lock =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"))
                .unwrap();
        let entry = format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n");
        assert!(
            lock.contains(&entry),
            "WASMTIME_VERSION differs from Cargo.lock"
        );
        assert!(host_key().contains(WASMTIME_VERSION));
    }
}
