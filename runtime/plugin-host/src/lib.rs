//! Loads, links, meters and calls plugins.
//!
//! **Owns:** the Wasm engines and their settings, one module per released contract (whose types
//! never leave this crate), the component store and the cache of
//! compiled code, the limits of a call, the threads on which guests run, and the words for every
//! way in which a call can end.
//!
//! **Does not own:** what an answer means for a rollout (the engine believes none of them),
//! fetching evidence (the conductor does, between two runs of a gate), where components come from
//! (the registry).
//!
//! **Start at** [`PluginHost`]; a single call is `call.rs`, and what crosses the border to a guest
//! is in `contract`, with one module for each version of it.

#![expect(
    clippy::duplicate_mod,
    reason = "what contracts have in common is compiled with the bindings of each"
)]

mod bench;
mod call;
mod compile;
mod contract;
mod engine;
mod evidence;
mod here;
mod host;
mod inspect;
mod journal;
mod meter;
mod plugin;
mod schema;
mod stop;
mod store;
mod text;
mod wasi;
mod workbench;
mod workers;

#[doc(hidden)]
pub use bench::Bench;
pub use compile::{Compiler, compiler_main};
pub use here::OnThisThread;
pub use host::{CALLER_STACK_BYTES, HostOptions, NotStarted, PluginHost};
pub use inspect::Grant;
pub use store::{CompiledCache, digest_of};
pub use workbench::{Import, Kept, Tried, Workbench, on_bench};
