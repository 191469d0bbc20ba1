//! What a whole host needs for a rollout over a thousand clusters.
//!
//! Each round is a process of its own, because a process tells only the most memory that it ever
//! had.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod thousand;

use std::process::Command;
use thousand::CLUSTERS;

const ROUNDS: usize = 3;
/// A host for many clusters fits into the smallest pod that people give to a controller.
const MEMORY_MAX_MIB: f64 = 100.0;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--one-rollout") => one_rollout(),
        Some("--bench") => rounds(),
        // `cargo test --benches` starts this with nothing: then there is nothing to do.
        _ => {}
    }
}

fn rounds() {
    let (mut memory, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let program = std::env::current_exe().expect("the program's own file");
        let output = Command::new(program).arg("--one-rollout").output();
        let output = output.expect("a process for the round");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout);
        let mut numbers = text.split_whitespace().map(|n| n.parse::<f64>());
        let mut next = || numbers.next().expect("two numbers").expect("a number");
        memory.push(next());
        seconds.push(next());
    }
    let name = format!("rollout over {CLUSTERS} clusters");
    figure(
        &format!("{name}: peak memory of the process"),
        median(memory),
        "MiB",
        &format!("under {MEMORY_MAX_MIB}"),
    );
    figure(&format!("{name}: time"), median(seconds), "s", "");
}

fn figure(name: &str, median: f64, unit: &str, target: &str) {
    let figure = serde_json::json!({
        "name": name,
        "median": (median * 100.0).round() / 100.0,
        "unit": unit,
        "rounds": ROUNDS,
        "target": target,
    });
    println!("figure: {figure}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a rollout and prints the most memory that the process had in MiB, and the seconds.
fn one_rollout() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let (_, took) = runtime.block_on(thousand::run(folder.path()));
    println!("{} {}", peak_mib(), took.as_secs_f64());
}

/// The largest resident set that this process ever had.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.expect("the peak in KiB") / 1024.0
}
