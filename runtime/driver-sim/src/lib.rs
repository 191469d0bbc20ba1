//! Clusters of a modelled world in virtual time.
//!
//! **Owns:** nodes that start, serve and fail; requests and their metrics; releases that are bad
//! in one way or another; commands and observations that are late, lost for a while, or come
//! twice. All of it is drawn from a seed: the same seed gives the same world, event by event.
//!
//! **Does not own:** time (it is told how late it is), nor what follows from what is seen.
//!
//! **Start at** [`SimDriver`]. `fleet` has the events, `cluster` the nodes, `requests` what is
//! counted, `answers` what sources say of it.

mod answers;
mod cluster;
mod driver;
mod fleet;
mod requests;
mod rng;
#[cfg(test)]
mod tests;

pub use answers::NoAnswer;
pub use driver::SimDriver;
pub use fleet::{BadWorld, FIRST_DAY, Scope, baseline};
pub use rng::Rng;
