//! Seeds that once showed something, and some that are new with every version of the swarm.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wavegate_plugin_host::PluginHost;
use wavegate_swarm::{Ran, is_known, plugin_host, run};

/// Seeds that showed a bug, with what it was. A seed means another world when the swarm changes,
/// and is then one among many.
const KEPT: &str = include_str!("../seeds.txt");

fn kept() -> Vec<u64> {
    let lines = KEPT.lines().filter(|line| !line.starts_with('#'));
    let seeds = lines.filter_map(|line| line.split_whitespace().next());
    seeds
        .map(|seed| seed.parse().expect("a seed is a number"))
        .collect()
}

/// How many seeds besides; `cargo xtask swarm` runs as many as one likes.
fn more() -> u64 {
    let given = std::env::var("WAVEGATE_SWARM_SEEDS").ok();
    given.map_or(60, |text| {
        text.parse().expect("WAVEGATE_SWARM_SEEDS is a number")
    })
}

struct Place {
    folder: tempfile::TempDir,
    plugins: Arc<PluginHost>,
}

impl Place {
    fn new() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.expect("a folder");
        let plugins = plugin_host(&folder.path().join("plugins")).expect("a plugin host");
        Self { folder, plugins }
    }

    fn run(&self, seed: u64) -> Ran {
        run(seed, &self.plugins, self.folder.path(), false).expect("the machine lets it")
    }
}

#[test]
fn nothing_is_found() {
    let place = Place::new();
    let seeds: Vec<u64> = kept().into_iter().chain(10_001..=10_000 + more()).collect();
    let next = AtomicU64::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(seed) = usize::try_from(next.fetch_add(1, Ordering::Relaxed))
            .ok()
            .and_then(|number| seeds.get(number))
        {
            let ran = place.run(*seed);
            let unknown = ran.counts.keys().filter(|name| !is_known(name));
            found.extend(unknown.map(|name| format!("`{name}` is counted, and in no list")));
            found.extend(
                ran.findings
                    .iter()
                    .map(|what| format!("seed {seed}: {what}")),
            );
        }
        found
    };
    let found: Vec<String> = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        let joined = threads.map(|thread| thread.join().expect("a run does not panic"));
        joined.into_iter().flatten().collect()
    });
    assert!(
        found.is_empty(),
        "{}\n(again: cargo xtask swarm --first SEED --seeds 1)",
        found.join("\n")
    );
}
