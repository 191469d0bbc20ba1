//! The `local` driver: clusters are groups of real processes on this machine.
//!
//! **Owns:** the folder of a (cluster, service) with its owner record, wanted total and slots;
//! the supervisor that runs one node; the front door that splits a site's traffic; health checks.
//!
//! **Does not own:** any decision about what should run. It does what a command says, refuses
//! commands that are out of date, and tells what it sees.
//!
//! Whatever changes a cluster happens in processes that outlive the host: a host that was
//! stopped, and goes on after another took over, is refused by them.
//!
//! **Start at** [`LocalDriver`] for the host's side and [`supervisor_main`] for a node's.

pub mod artifact;
mod change;
mod cluster;
mod driver;
mod files;
pub mod front_door;
mod health;
mod owner;
mod process;
mod provision;
mod slot;
mod supervisor;

use std::path::PathBuf;

pub use driver::{LocalDriver, Options};
pub use provision::{Provision, Stopped, TeardownError, teardown};
pub use supervisor::main as supervisor_main;

/// The name by which documents call this driver.
pub const NAME: &str = "local";

/// How to start the helper processes: one executable, which tells them apart by its first arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helpers {
    /// The executable.
    pub program: PathBuf,
    /// Arguments that make it call [`supervisor_main`] with those that follow.
    pub supervisor_args: Vec<String>,
    /// Arguments that make it call [`front_door::main`] with those that follow.
    pub front_door_args: Vec<String>,
}
