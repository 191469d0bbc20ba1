//! How much slower a good rollout decides while a bad plugin runs in the same process.
//!
//! Through the built binary, over real processes. Rounds go over all bad plugins, with the good
//! rollout alone in between; compared are the 95th percentiles of all rounds together.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]

use wavegate_tests::isolation::{BAD, Neighbours, p95};

const ROUNDS: usize = 5;
/// Bad plugins between two runs of the good rollout alone.
const GROUP: usize = 5;

fn main() {
    let mut neighbours = Neighbours::start("patient");
    let mut alone = Vec::new();
    let mut beside = BAD.map(|_| Vec::new());
    for round in 1..=ROUNDS {
        for (first, group) in BAD.chunks(GROUP).enumerate() {
            alone.extend(neighbours.alone());
            for (at, (bad, says)) in group.iter().enumerate() {
                beside[first * GROUP + at].extend(neighbours.beside(bad, says));
            }
        }
        println!("round {round} of {ROUNDS}");
    }
    let alone = p95(&alone);
    figure("p95 of a decision, alone", alone, "ms", "");
    for ((bad, _), times) in BAD.iter().zip(&beside) {
        println!("{bad}: {} decisions, p95 {:.2} ms", times.len(), p95(times));
        let name = format!("p95 beside {bad}, over alone");
        figure(&name, p95(times) / alone, "times", "at most 2");
    }
}

fn figure(name: &str, median: f64, unit: &str, target: &str) {
    println!(
        "figure: {{\"name\": \"{name}\", \"median\": {median:.3}, \"unit\": \"{unit}\", \
         \"rounds\": {ROUNDS}, \"target\": \"{target}\"}}"
    );
}
