//! Counts what passed, failed and was skipped, and how long each step took.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

/// What a step found.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// One check, and it passed.
    Passed,
    /// A run of tests; each of them counts.
    Tests(Counts),
    /// It could not be done here, and why.
    Skipped(String),
}

/// How many checks or tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Whether a step may be left out: never in continuous integration, where a green run has to
/// mean that everything ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skipping {
    Allowed,
    Forbidden,
}

struct Step {
    name: &'static str,
    counts: Counts,
    took: Duration,
    notes: Vec<String>,
}

/// Runs steps one after another and remembers how each ended.
pub(crate) struct Report {
    skipping: Skipping,
    started: Instant,
    steps: Vec<Step>,
}

impl Report {
    pub(crate) fn new(skipping: Skipping) -> Report {
        Report {
            skipping,
            started: Instant::now(),
            steps: Vec::new(),
        }
    }

    /// Runs one step. A failure is shown and counted, and the next step runs all the same, so
    /// that one run shows everything that is wrong.
    pub(crate) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<Outcome>) {
        println!("\n=== {name}");
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        let (counts, notes) = judge(result, self.skipping);
        for note in &notes {
            eprintln!("{name}: {note}");
        }
        println!("--- {name}: {:.1} s", took.as_secs_f64());
        self.steps.push(Step {
            name,
            counts,
            took,
            notes,
        });
    }

    /// Prints the table of times, what went wrong, and last of all the line that counts.
    pub(crate) fn finish(self) -> ExitCode {
        let mut total = Counts::default();
        println!("\n{:>9}  {:>6}  step", "seconds", "failed");
        for step in &self.steps {
            total.add(step.counts);
            println!(
                "{:>9.1}  {:>6}  {}",
                step.took.as_secs_f64(),
                step.counts.failed,
                step.name
            );
        }
        let all = self.started.elapsed().as_secs_f64();
        println!("{all:>9.1}  {:>6}  all", total.failed);
        for step in &self.steps {
            for note in &step.notes {
                println!("{}: {note}", step.name);
            }
        }
        println!("{}", closing_line(total));
        if total.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn closing_line(counts: Counts) -> String {
    format!(
        "xtask: {} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.skipped
    )
}

fn judge(result: Result<Outcome>, skipping: Skipping) -> (Counts, Vec<String>) {
    let mut counts = Counts::default();
    let mut notes = Vec::new();
    match result {
        Ok(Outcome::Passed) => counts.passed = 1,
        Ok(Outcome::Tests(tests)) => {
            counts = tests;
            if tests.failed > 0 {
                notes.push(format!("{} failed", tests.failed));
            }
            if tests.skipped > 0 {
                notes.push(format!("{} ignored", tests.skipped));
            }
        }
        Ok(Outcome::Skipped(why)) => {
            counts.skipped = 1;
            notes.push(format!("skipped: {why}"));
        }
        Err(error) => {
            counts.failed = 1;
            notes.push(format!("{error:#}"));
        }
    }
    if counts.skipped > 0 && skipping == Skipping::Forbidden {
        counts.failed += counts.skipped;
        counts.skipped = 0;
        notes.push("nothing may be skipped in continuous integration".to_owned());
    }
    (counts, notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_step_fails_in_continuous_integration() {
        let outcome = || Ok(Outcome::Skipped("no compiler".to_owned()));
        let (here, _) = judge(outcome(), Skipping::Allowed);
        let (there, notes) = judge(outcome(), Skipping::Forbidden);
        assert_eq!(closing_line(here), "xtask: 0 passed, 0 failed, 1 skipped");
        assert_eq!(closing_line(there), "xtask: 0 passed, 1 failed, 0 skipped");
        assert!(notes[0].contains("no compiler"), "{notes:?}");
    }

    #[test]
    fn an_ignored_test_is_a_skipped_one() {
        let tests = Counts {
            passed: 5,
            failed: 0,
            skipped: 2,
        };
        let (counts, _) = judge(Ok(Outcome::Tests(tests)), Skipping::Forbidden);
        assert_eq!(closing_line(counts), "xtask: 5 passed, 2 failed, 0 skipped");
    }
}
