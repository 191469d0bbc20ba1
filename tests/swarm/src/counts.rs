//! What happens in worlds, by name, and how often it has to have happened before it is said that
//! nothing was found.

use std::collections::BTreeMap;

/// How often something happened, by its name.
pub type Counts = BTreeMap<&'static str, u64>;

/// So many seeds are enough for [`too_seldom`] to ask for anything.
const ENOUGH_SEEDS: u64 = 10_000;
/// Each fault happens at least so often in `ENOUGH_SEEDS`.
const EACH_FAULT: u64 = 1_000;
/// Rollouts end in each way at least so often in `ENOUGH_SEEDS`.
const EACH_END: u64 = 100;

/// All that goes wrong, and all that people, other hosts and fleets do.
const FAULTS: &[&str] = &[
    "clock: jumps",
    "cluster: another total",
    "cluster: cannot be reached",
    "cluster: claimed from elsewhere",
    "disk: a record is garbled",
    "disk: a record is torn",
    "disk: full",
    "disk: says that it failed",
    "driver: a command fails",
    "driver: does not take a plan",
    "driver: panics",
    "fleet: clusters come or go",
    "host: a second one takes over",
    "host: dies after a record",
    "host: dies before a record",
    "host: ended at a hold",
    "host: ended by SIGTERM",
    "host: found that another one had taken over",
    "host: goes on",
    "host: killed",
    "host: stopped",
    "network: a message comes too late",
    "network: a message comes twice",
    "network: a message is lost",
    "network: an answer is lost",
    "network: the answer to a claim is lost",
    "observation: late",
    "observation: stale",
    "operator: abort",
    "operator: approve",
    "operator: close",
    "operator: continue",
    "operator: override-gate",
    "operator: pause",
    "operator: promote",
    "operator: retry",
    "operator: rollback",
    "operator: skip",
    "operator: supersede",
    "operator: swap",
    "operator: swaps what is asked",
    "operator: undo",
    "plugin: it takes long",
    "plugin: no answer",
    "power: lost",
    "power: lost in the middle of a record",
    "rollout: another one for the same clusters",
    "source: it takes long",
    "source: no answer",
    "window: closed at some time",
];

/// How rollouts end.
const ENDS: &[&str] = &[
    "end: aborted",
    "end: done",
    "end: incomplete",
    "end: refused, because clusters are another's",
    "end: replaced",
    "end: rollback incomplete",
    "end: rolled back",
    "end: superseded",
];

/// What did not happen often enough for the seeds to say that nothing is wrong, in words. Fewer
/// than `ENOUGH_SEEDS` never say that, so of them nothing is asked.
pub fn too_seldom(seeds: u64, counts: &Counts) -> Vec<String> {
    if seeds < ENOUGH_SEEDS {
        return Vec::new();
    }
    let faults = FAULTS.iter().map(|name| (name, EACH_FAULT));
    let ends = ENDS.iter().map(|name| (name, EACH_END));
    let wanted = faults.chain(ends);
    let found = |name: &str| counts.get(name).copied().unwrap_or(0);
    let few = wanted.filter(|(name, least)| found(name) < *least);
    few.map(|(name, least)| format!("`{name}` {} times, not {least}", found(name)))
        .collect()
}

/// Whether a name is one of which [`too_seldom`] knows how often it has to be, or a check.
pub fn is_known(name: &str) -> bool {
    FAULTS.contains(&name) || ENDS.contains(&name) || name.starts_with("check: ")
}
