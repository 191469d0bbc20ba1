//! How long a newcomer takes, with the tools of a language installed: `plugin new`, `plugin build`,
//! `plugin test`, and a rollout up to the first verdict of the gate that was made.
//!
//! `cargo xtask sdk-table` puts the rows into `sdk/README.md`. Nothing that was built before is used:
//! each project begins with an empty folder, and so do the caches of Rust and Go.

#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]

use std::time::{Duration, Instant};
use wavegate_tests::fleet::{Fleet, Load};

/// Languages in the order of the table.
const LANGUAGES: [&str; 6] = ["rust", "c", "go", "javascript", "typescript", "python"];
/// What is still one sitting.
const TARGET: Duration = Duration::from_secs(300);

/// The shipped strategy and the gate that was just made, as its template is.
const PLUGINS: &str = "    plugin: {shipped: rolling}
  gates:
    - name: errors
      plugin: {file: ../first/plugin.wasm}
      config: {name: failed, query: 'failed_total{cluster=\"{{cluster}}\",cohort=\"new\"}', perCluster: true, max: 2}
      phases: [afterBatch]
      interval: 500ms
      slots: {metrics: nodes}";

/// Seconds of the steps.
struct Took {
    new: f64,
    build: f64,
    test: f64,
    verdict: f64,
}

fn main() {
    if std::env::var_os("WAVEGATE_LANGUAGES").is_none() {
        println!("WAVEGATE_LANGUAGES is not set: run `cargo xtask sdk-table`");
        return;
    }
    for language in LANGUAGES {
        let took = newcomer(language);
        let all = took.new + took.build + took.test + took.verdict;
        assert!(all < TARGET.as_secs_f64(), "{language}: {all:.1} s");
        println!(
            "row: | {language} | {:.1} s | {:.1} s | {:.1} s | {:.1} s | {all:.1} s |",
            took.new, took.build, took.test, took.verdict
        );
    }
}

fn newcomer(language: &str) -> Took {
    let fleet = Fleet::small(PLUGINS);
    let step = |arguments: &[&str]| {
        let started = Instant::now();
        let mut command = fleet.command(arguments);
        command
            .env("CARGO_TARGET_DIR", fleet.folder().join("rust"))
            .env("GOCACHE", fleet.folder().join("go"));
        wavegate_tests::fleet::Running::start(command)
            .end()
            .expect(0);
        started.elapsed().as_secs_f64()
    };
    let new = step(&[
        "plugin", "new", "first", "--lang", language, "--kind", "gate",
    ]);
    let build = step(&["plugin", "build", "first"]);
    let test = step(&["plugin", "test", "first"]);
    let started = Instant::now();
    fleet.up();
    let loads = Load::everywhere(&fleet);
    let mut run = fleet.start(&["run", "demo", "--format", "human"]);
    run.line_with(&["gate errors (after-batch)", "pass"]);
    let verdict = started.elapsed().as_secs_f64();
    run.end().expect(0);
    drop(loads);
    fleet.down();
    Took {
        new,
        build,
        test,
        verdict,
    }
}
