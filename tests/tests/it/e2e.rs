//! The built binary with real processes, as a user has it.

mod documents;
mod membership;
mod plugins;
mod preflight;
mod quickstart;
mod simulate;
mod steering;
mod toolbox;
mod usage;
mod verbs;
mod windows;
