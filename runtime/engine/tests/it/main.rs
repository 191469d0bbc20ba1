//! The engine against a modelled world: stories with committed outcomes, and random worlds.

mod chance;
mod coverage;
mod format;
mod lessons;
mod minds;
mod plans;
mod properties;
mod rng;
mod scenario;
mod script;
mod stories;
mod swaps;
mod world;
