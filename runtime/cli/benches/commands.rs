//! Whole processes: how long a person waits for `validate` and `plan` of a large fleet.
//!
//! The binary is started anew each time, with the shipped plugins compiled before: the first
//! start after an upgrade compiles them once. The two commands take turns.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 7;
const CLUSTERS: usize = 10_000;
const REGIONS: usize = 50;
/// Both commands together.
const TARGET_MS: u32 = 1000;

const HEAD: &str = "apiVersion: wavegate.dev/v1alpha1\nkind: ";

fn main() {
    // `cargo test --benches` starts this with no `--bench`: then there is nothing to do.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let run = |command: &str| milliseconds(folder.path(), command);
    run("plan");
    let mut each: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let (validate, plan) = (run("validate"), run("plan"));
        each[0].push(validate);
        each[1].push(plan);
        each[2].push(validate + plan);
    }
    let [validate, plan, both] = each.map(median);
    figure("validate, 10000 clusters", validate, "");
    figure("plan, 10000 clusters", plan, "");
    let target = format!("at most {TARGET_MS}");
    figure("validate and plan, 10000 clusters", both, &target);
}

fn figure(name: &str, median: f64, target: &str) {
    println!(
        "figure: {{\"name\": \"{name}\", \"median\": {median:.1}, \"unit\": \"ms\", \"rounds\": {ROUNDS}, \"target\": \"{target}\"}}"
    );
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn milliseconds(folder: &Path, command: &str) -> f64 {
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_wavegate"))
        .args(["--state", "state", command, "documents"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .status()
        .expect("it starts");
    assert!(status.success(), "{command} ended with {status}");
    start.elapsed().as_secs_f64() * 1000.0
}

/// A hundred clusters first, then a wave for each region.
fn write(folder: &Path) {
    let mut fleet = format!("{HEAD}Fleet\nmetadata: {{name: demo}}\nspec:\n  clusters:\n");
    for cluster in 0..CLUSTERS {
        let tier = if cluster < 100 { "canary" } else { "main" };
        let region = cluster % REGIONS;
        writeln!(
            fleet,
            "    - {{name: c-{cluster:05}, labels: {{region: r{region}, tier: {tier}}}, nodes: 12, driver: local, \
             local: {{dir: clusters/c-{cluster:05}, frontDoor: \"127.0.0.1:18081\"}}}}"
        )
        .expect("a string takes it");
    }
    let mut policy = format!(
        "{HEAD}RolloutPolicy\nmetadata: {{name: careful}}\nspec:\n  waves:\n    \
         - {{name: first, clusters: {{labels: {{tier: canary}}}}, siteSoak: 1m}}\n"
    );
    for region in 0..REGIONS {
        writeln!(
            policy,
            "    - {{name: r{region}, clusters: {{labels: {{tier: main, region: r{region}}}}}, \
             after: [first], maxParallelSites: 10%, soak: 5m}}"
        )
        .expect("a string takes it");
    }
    policy.push_str(
        "  batch: {size: 25%, maxUnavailable: 1}
  strategy: {plugin: {shipped: canary}, config: {stages: [{nodes: 25%, traffic: 10%, wait: 1m}]}}
  gates:
    - name: success
      plugin: {shipped: probe}
      config: {minSuccess: 99%}
      phases: [afterBatch, soak, continuous]
      slots: {probe: nodes}
",
    );
    let rest = [
        "Release\nmetadata: {name: new}\nspec: {service: shop, version: '2.0', artifacts: {local: {command: [./shop]}}}\n",
        "Source\nmetadata: {name: nodes}\nspec: {probe: {}}\n",
        "Rollout\nmetadata: {name: shop-2}\nspec: {service: shop, policy: careful, fleet: demo, release: new}\n",
    ]
    .map(|text| format!("{HEAD}{text}"))
    .join("---\n");
    let documents = folder.join("documents");
    std::fs::create_dir(&documents).expect("a folder can be made");
    for (name, text) in [("fleet", fleet), ("policy", policy), ("rest", rest)] {
        std::fs::write(documents.join(format!("{name}.yaml")), text).expect("it can be written");
    }
}
