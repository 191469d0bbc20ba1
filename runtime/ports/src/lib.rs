//! The traits that the conductor needs from the world.
//!
//! **Owns:** the shape of every edge (driver, plugins, sources, journal, clock) and
//! [`Durable`], the proof that something was journaled before it takes effect.
//!
//! **Does not own:** any implementation. Adapters implement these traits, `cli` picks them.
//!
//! **Start at** [`journal::commit`] and [`driver::Driver`].

pub mod clock;
pub mod driver;
pub mod encoding;
pub mod journal;
pub mod plugins;
pub mod sources;
pub mod world;

use std::future::Future;
use std::pin::Pin;

pub use journal::Durable;

/// A future that an adapter returns from a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
