//! The task runner: one command for everything that continuous integration checks.
//!
//! It owns the list of checks, the tools that they need and the line that counts them.
//! It does not own what is checked: rules about the code are tests of the crate `wavegate-tests`,
//! rules about plugins are in [`plugins`]. Start at [`checks::all`].
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to the terminal"
)]

mod bench;
mod bindings;
mod checks;
mod fuzz;
mod generated;
mod languages;
mod mutants;
mod plugins;
mod project;
mod report;
mod run;
mod swarm;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::project::Project;

/// Runs the project's checks and builds.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that continuous integration checks
    Test {
        /// Also run the tests of the slow tier
        #[arg(long)]
        slow: bool,
    },
    /// The benchmarks, and their figures as a table
    Bench {
        /// Names of benchmark targets; all of them when none is named
        names: Vec<String>,
        /// Put the table into runtime/docs/benchmarks.md
        #[arg(long)]
        write: bool,
    },
    /// Take the guards of the invariants out, one at a time, and demand that tests notice
    Mutants {
        /// Names of files in tests/mutants; all of them when none is named
        names: Vec<String>,
    },
    /// Search for inputs that are handled badly, guided by the code that they reach
    Fuzz {
        /// Names of programs in tests/fuzz; all of them when none is named
        targets: Vec<String>,
        /// How long each of them searches
        #[arg(long, default_value_t = 10)]
        minutes: u32,
        /// Put the fewest inputs that reach everything into tests/fuzz/corpus
        #[arg(long)]
        keep: bool,
    },
    /// Run the whole system in simulated worlds under random faults
    Swarm {
        /// Bring known bugs back, one at a time, and demand that they are found; all of
        /// tests/swarm/planted and tests/swarm/planted.txt when none is named
        #[arg(long, num_args = 0.., value_name = "NAME")]
        planted: Option<Vec<String>>,
        /// Passed on: --seeds N, --first SEED, --minutes M, --jobs N, --stop, --trace, --show SEED
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the plugins and record what they were built from
    Plugins {
        /// Only compare what is committed with its sources
        #[arg(long)]
        check: bool,
    },
    /// Generate the bindings of the SDKs for C and Go from the contract
    Bindings {
        /// Only compare what is committed with what the contract says
        #[arg(long)]
        check: bool,
    },
    /// Make, build and unit-test the worked examples of the SDKs
    Languages,
    /// Measure the worked strategies of all languages, and put the table into sdk/README.md
    SdkTable,
    /// Rewrite the generated files and the recorded outputs of tests
    Bless,
}

fn main() -> ExitCode {
    // Cargo calls this program in the place of the compiler while guests and fuzzers are built.
    if let Some(code) = plugins::wrapper::run().or_else(fuzz::counters::run) {
        return code;
    }
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let project = Project::find()?;
    match arguments.task {
        Task::Test { slow } => {
            let tier = if slow {
                checks::Tier::Slow
            } else {
                checks::Tier::Usual
            };
            return Ok(checks::all(&project, tier));
        }
        Task::Bench { names, write } => {
            let output = if write {
                bench::Output::Document
            } else {
                bench::Output::Terminal
            };
            bench::measure(&project, &names, output)?;
        }
        Task::Plugins { check } => {
            tools::guest_compiler(&project)?;
            let mode = if check {
                plugins::Mode::Check
            } else {
                plugins::Mode::Write
            };
            println!("{}", plugins::build_all(mode)?);
        }
        Task::Bindings { check } => {
            let mode = if check {
                bindings::Mode::Check
            } else {
                bindings::Mode::Write
            };
            bindings::all(&project, mode)?;
        }
        Task::Languages => {
            checks::build(&project)?;
            languages::build(&project)?;
            languages::unit_tests(&project)?;
        }
        Task::SdkTable => {
            checks::build(&project)?;
            languages::build(&project)?;
            bench::languages(&project)?;
        }
        Task::Mutants { names } => return Ok(checks::mutants(&project, &names)),
        Task::Swarm { planted, arguments } => {
            return match planted {
                Some(names) => Ok(checks::planted(&project, &names)),
                None => swarm::seeds(&project, &arguments),
            };
        }
        Task::Fuzz {
            targets,
            minutes,
            keep,
        } => {
            let keep = if keep {
                fuzz::Keep::Committed
            } else {
                fuzz::Keep::Aside
            };
            return Ok(checks::fuzz(&project, &targets, minutes, keep));
        }
        Task::Bless => {
            generated::write(&project)?;
            checks::bless(&project)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
