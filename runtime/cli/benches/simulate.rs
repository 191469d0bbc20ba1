//! Whole processes: what a simulated fleet costs, from a hundred clusters to ten thousand.
//!
//! A canary with a real gate over clusters of 100 nodes, ten at a time, with the real components;
//! one run on one thread. The sizes take turns. What is flat is the cost of a cluster.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 3;
const SIZES: [u32; 3] = [100, 1000, 10_000];
const NODES: u32 = 100;

fn main() {
    // `cargo test --benches` starts this with no `--bench`: then there is nothing to do.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for size in SIZES {
        let text = documents(size);
        let path = folder.path().join(format!("{size}.yaml"));
        std::fs::write(path, text).expect("it can be written");
    }
    // The first start compiles the plugins.
    run(folder.path(), SIZES[0]);
    let mut seconds: [Vec<f64>; 3] = Default::default();
    let mut mebibytes = Vec::new();
    for _ in 0..ROUNDS {
        for (at, size) in SIZES.into_iter().enumerate() {
            let took = run(folder.path(), size);
            seconds[at].push(took.seconds);
            if size == SIZES[2] {
                mebibytes.push(took.mebibytes);
            }
        }
    }
    let [hundred, thousand, all] = seconds.map(median);
    let each = |seconds: f64, size: u32| seconds * 1000.0 / f64::from(size);
    for (seconds, size) in [(hundred, SIZES[0]), (thousand, SIZES[1]), (all, SIZES[2])] {
        let name = format!("a cluster of {NODES} nodes, of {size}");
        figure(&name, each(seconds, size), "ms", "");
    }
    let flat = each(all, SIZES[2]) / each(thousand, SIZES[1]);
    figure(
        "a cluster of 10000 over one of 1000",
        flat,
        "times",
        "about 1",
    );
    let updates = f64::from(SIZES[2] * NODES) * 60.0 / all;
    figure(
        "node updates a minute, on one core",
        updates,
        "",
        "at least 1000000",
    );
    figure(
        "10000 clusters of 100 nodes through canary",
        all,
        "s",
        "under 60",
    );
    let peak = median(mebibytes);
    figure(
        "10000 clusters of 100 nodes: peak memory",
        peak,
        "MiB",
        "under 1024",
    );
}

fn figure(name: &str, median: f64, unit: &str, target: &str) {
    println!(
        "figure: {{\"name\": \"{name}\", \"median\": {median:.2}, \"unit\": \"{unit}\", \"rounds\": {ROUNDS}, \"target\": \"{target}\"}}"
    );
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

struct Took {
    seconds: f64,
    mebibytes: f64,
}

fn run(folder: &Path, size: u32) -> Took {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_wavegate"))
        .args(["--state", "state", "--format", "json", "simulate"])
        .arg(format!("{size}.yaml"))
        .args(["--runs", "1", "--threads", "1"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let memory = format!("/proc/{}/status", child.id());
    let mut out = child.stdout.take().expect("it is piped");
    // It writes only at its end: what it has taken by then is its peak.
    let mut first = [0_u8; 1];
    out.read_exact(&mut first).expect("it tells something");
    let status = std::fs::read_to_string(memory).expect("it is there");
    let mut text = vec![first[0]];
    out.read_to_end(&mut text).expect("it can be read");
    assert!(child.wait().expect("it ends").success());
    let text = String::from_utf8(text).expect("it is JSON");
    assert!(text.contains("\"outcome\""), "it tells of its run: {text}");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Took {
        seconds: start.elapsed().as_secs_f64(),
        mebibytes: kibibytes.expect("the kernel tells") / 1024.0,
    }
}

/// One cluster of a hundred first, then the others, a tenth of them at once.
fn documents(clusters: u32) -> String {
    let head = "apiVersion: wavegate.dev/v1alpha1\nkind: ";
    let mut text = format!("{head}Fleet\nmetadata: {{name: fleet}}\nspec:\n  clusters:\n");
    for cluster in 0..clusters {
        let tier = if cluster < clusters.div_ceil(100) {
            "canary"
        } else {
            "main"
        };
        writeln!(
            text,
            "    - {{name: c{cluster:05}, labels: {{tier: {tier}}}, nodes: {NODES}, driver: local, \
             local: {{dir: c{cluster:05}, frontDoor: \"127.0.0.1:18081\"}}}}"
        )
        .expect("a string takes it");
    }
    for document in [
        "Release\nmetadata: {name: shop-2}\nspec: {service: shop, version: '2', artifacts: {local: {command: [shop]}}}\n",
        "Source\nmetadata: {name: nodes}\nspec: {probe: {}}\n",
        "Simulation\nmetadata: {name: good}\nspec: {bad: 0%, giveUpAfter: 30d}\n",
        "Rollout\nmetadata: {name: shop}\nspec: {service: shop, policy: careful, fleet: fleet, release: shop-2}\n",
        POLICY,
    ] {
        write!(text, "---\n{head}{document}").expect("a string takes it");
    }
    text
}

const POLICY: &str = "RolloutPolicy
metadata: {name: careful}
spec:
  waves:
    - {name: first, clusters: {labels: {tier: canary}}, maxParallelSites: 10%, siteSoak: 30s, soak: 1m}
    - {name: rest, clusters: {labels: {tier: main}}, maxParallelSites: 10%, siteSoak: 30s, soak: 1m}
  batch: {size: 10, maxUnavailable: 10}
  failure: {tolerate: 10%, then: rollBackTouched}
  strategy:
    plugin: {shipped: canary}
    config: {stages: [{nodes: 10%, traffic: 5%, wait: 10s}, {nodes: 50%}]}
  gates:
    - name: success
      plugin: {shipped: probe}
      config: {minSuccess: 95%, window: 30s}
      phases: [afterBatch, soak]
      interval: 10s
      slots: {probe: nodes}
";
