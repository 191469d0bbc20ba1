//! What fuzzing checks of the host: components that somebody brings, answers of guests, journals.
//!
//! **Owns:** one function for each target, as in `wavegate-fuzz`, and what they need around the
//! input: a plugin host, guests that say whatever they are told to, a site that is being updated.
//!
//! **Does not own:** bounds and kept inputs (`wavegate-fuzz`), and the search (`cargo xtask fuzz`).
//! It is a crate apart because it is built on Wasm engine and journal, which `documents` is not.
//!
//! **Start at** [`components::check`], [`answers::check`] and [`journal::check`].

pub mod answers;
pub mod components;
pub mod journal;
mod memory;
mod plugins;
mod scene;
pub mod seeds;
mod words;
mod world;

// Its code has the functions that the counters in our crates call, in tests of such a build, too.
#[cfg(feature = "search")]
use libfuzzer_sys as _;

#[path = "../../../../tests/src/guests.rs"]
#[expect(
    unreachable_pub,
    dead_code,
    reason = "it is shared with the end-to-end tests"
)]
mod guests;
