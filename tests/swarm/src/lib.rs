//! The whole system in simulated worlds under random faults.
//!
//! A seed means documents, a fleet, and what goes wrong. The real conductor runs the rollout with
//! the real engine, the real components and the real journal in a real file; the fleet is
//! `driver-sim`, and time is virtual. Hosts are killed, stopped and doubled between any two
//! records, the disk is full or loses what was not synced, messages are lost, late and doubled,
//! clocks jump, plugins and sources fail, people ask for anything at any time, and clusters come,
//! go, scale and cannot be reached.
//!
//! The auditor checks each step as it does in production. What it cannot know is checked here:
//! that a command which reaches a cluster is in the journal, that what gets traffic serves, that
//! an end is what the fleet looks like, that nothing which was written is lost, that a rollout
//! comes to an end once everything is well again, that its journal runs again to the same facts
//! and answers, and that the same seed gives the same run, fact by fact.
//!
//! **Start at** [`run`].

mod checks;
mod counts;
mod disk;
mod driver;
mod hosts;
mod life;
mod panics;
mod people;
mod plugins;
mod scene;
mod spec;
mod story;
mod swarm;
mod world;

use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use wavegate_plugin_host::{HostOptions, PluginHost};

pub use counts::{Counts, is_known, too_seldom};
pub use scene::Scene;

/// Of so many seeds one is run twice.
const TWICE: u64 = 8;

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The seed.
    pub seed: u64,
    /// What happened how often.
    pub counts: Counts,
    /// Records of its journals.
    pub records: u64,
    /// What must not be, in words.
    pub findings: Vec<String>,
    /// Every fact, if that was asked for.
    pub trace: Vec<String>,
}

/// The plugin host that all seeds share, with the shipped components.
///
/// # Errors
/// If it cannot be started.
pub fn plugin_host(store: &Path) -> anyhow::Result<Arc<PluginHost>> {
    let mut options = HostOptions::new(store);
    options.shipped = BTreeMap::from([
        shipped(
            "blue-green",
            include_bytes!("../../../plugins/components/blue-green.wasm"),
        ),
        shipped(
            "canary",
            include_bytes!("../../../plugins/components/canary.wasm"),
        ),
        shipped(
            "probe",
            include_bytes!("../../../plugins/components/probe.wasm"),
        ),
        shipped(
            "rolling",
            include_bytes!("../../../plugins/components/rolling.wasm"),
        ),
        shipped(
            "threshold",
            include_bytes!("../../../plugins/components/threshold.wasm"),
        ),
    ]);
    Ok(Arc::new(PluginHost::new(options)?))
}

fn shipped(name: &str, bytes: &'static [u8]) -> (String, &'static [u8]) {
    (name.to_owned(), bytes)
}

/// Runs a seed, some seeds twice.
///
/// # Errors
/// If the machine does not let it: a finding is no error.
pub fn run(
    seed: u64,
    plugins: &Arc<PluginHost>,
    folder: &Path,
    trace: bool,
) -> anyhow::Result<Ran> {
    // Not those of which journals are run again.
    if seed % TWICE != 1 {
        return once(seed, plugins, folder, trace);
    }
    let mut ran = once(seed, plugins, folder, true)?;
    let again = once(seed, plugins, folder, true)?;
    ran.findings.extend(difference(&ran, &again));
    ran.counts.insert("check: a seed ran again", 1);
    if !trace {
        ran.trace.clear();
    }
    Ok(ran)
}

/// What two runs of a seed do not have in common. What failing seeds print is of use only if they
/// do the same again.
fn difference(ran: &Ran, again: &Ran) -> Option<String> {
    let pairs = ran.trace.iter().zip(&again.trace);
    let fact = pairs.into_iter().find(|(one, other)| one != other);
    let what = match fact {
        Some((one, other)) => format!("`{one}`, then `{other}`"),
        None if ran.trace.len() != again.trace.len() => "one goes on longer".to_owned(),
        None if ran.counts != again.counts => "other things happen".to_owned(),
        None => return None,
    };
    Some(format!("the same seed is not the same run: {what}"))
}

/// Runs a seed in a folder of its own.
fn once(seed: u64, plugins: &Arc<PluginHost>, folder: &Path, trace: bool) -> anyhow::Result<Ran> {
    let folder = tempfile::tempdir_in(folder).context("failed to make a folder")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("failed to start a runtime")?;
    let (told, panics) =
        panics::noted(|| runtime.block_on(story::tell(seed, plugins, folder.path(), trace)));
    let mut ran = told?;
    ran.findings
        .extend(panics.into_iter().map(|what| format!("it {what}")));
    Ok(ran)
}
