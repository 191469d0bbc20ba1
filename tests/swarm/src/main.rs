//! Runs seeds, counts what happened, and tells what must not be.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to the terminal"
)]

use anyhow::Context as _;
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wavegate_driver_sim::Rng;
use wavegate_swarm::{Counts, Ran, Scene, plugin_host, run, too_seldom};

/// A run that takes longer than this is one that hangs: the slowest take a few seconds.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// Runs the whole system in simulated worlds under random faults.
#[derive(Parser)]
#[command(name = "swarm")]
struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Stop after so many minutes, however many seeds are left
    #[arg(long)]
    minutes: Option<u64>,
    /// How many at once
    #[arg(long)]
    jobs: Option<usize>,
    /// Stop at the first finding
    #[arg(long)]
    stop: bool,
    /// Show every fact of the seeds
    #[arg(long)]
    trace: bool,
    /// Show the documents of a seed instead
    #[arg(long, value_name = "SEED")]
    show: Option<u64>,
}

fn main() -> ExitCode {
    match all(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// What is known so far.
#[derive(Default)]
struct Known {
    counts: Counts,
    ran: u64,
    records: u64,
    bad: Vec<Ran>,
}

fn all(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(seed) = arguments.show {
        let scene = Scene::draw(&mut Rng::new(seed));
        println!("{}", scene.documents(|number| number < scene.at_first));
        eprintln!("{scene:#?}");
        return Ok(ExitCode::SUCCESS);
    }
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.context("failed to make a folder")?;
    let plugins = plugin_host(&folder.path().join("plugins"))?;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = arguments.jobs.unwrap_or(processors).max(1);
    let started = Instant::now();
    let until = arguments
        .minutes
        .map(|minutes| started + Duration::from_secs(60 * minutes));
    let (next, stop) = (AtomicU64::new(arguments.first), AtomicBool::new(false));
    let end = arguments.first.saturating_add(arguments.seeds);
    let known = Mutex::new(Known::default());
    let running = Mutex::new(vec![None; jobs]);
    let lock = |known: &Mutex<Known>, ran: Ran| {
        let mut known = known.lock().expect("nobody panics with it");
        known.ran += 1;
        for line in &ran.trace {
            println!("{line}");
        }
        known.records += ran.records;
        for (what, count) in &ran.counts {
            *known.counts.entry(what).or_default() += count;
        }
        if !ran.findings.is_empty() {
            for finding in &ran.findings {
                println!("seed {}: {finding}", ran.seed);
            }
            println!(
                "    again: cargo xtask swarm --first {} --seeds 1",
                ran.seed
            );
            known.bad.push(ran);
        }
    };
    let work = |job: usize| -> anyhow::Result<()> {
        while !stop.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            running.lock().expect("nobody panics with it")[job] = Some((seed, Instant::now()));
            let ran = run(seed, &plugins, folder.path(), arguments.trace)
                .with_context(|| format!("seed {seed} could not be run"))?;
            let bad = !ran.findings.is_empty();
            lock(&known, ran);
            if bad && arguments.stop {
                stop.store(true, Ordering::Relaxed);
            }
        }
        running.lock().expect("nobody panics with it")[job] = None;
        Ok(())
    };
    let results: Vec<anyhow::Result<()>> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..jobs)
            .map(|job| scope.spawn(move || work(job)))
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::park_timeout(Duration::from_millis(200));
            hangs(&running);
        }
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("a run panicked")))
            })
            .collect()
    });
    let known = known.into_inner().expect("nobody panics with it");
    report(&known, started.elapsed());
    results.into_iter().collect::<anyhow::Result<()>>()?;
    let seldom = too_seldom(known.ran, &known.counts);
    for what in &seldom {
        println!("too seldom to say that all is well: {what}");
    }
    Ok(if known.bad.is_empty() && seldom.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A run that never ends is a finding, and cannot be ended otherwise.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread that hangs can be ended only with the process"
)]
fn hangs(running: &Mutex<Vec<Option<(u64, Instant)>>>) {
    let running = running.lock().expect("nobody panics with it");
    for (seed, since) in running.iter().flatten() {
        if since.elapsed() > HANGS_AFTER {
            println!("seed {seed}: it hangs");
            println!("    again: cargo xtask swarm --first {seed} --seeds 1");
            std::process::exit(1);
        }
    }
}

fn report(known: &Known, took: Duration) {
    for (what, count) in &known.counts {
        println!("{count:>9}  {what}");
    }
    println!(
        "{} seeds in {:.0} s, {} records, {} with findings",
        known.ran,
        took.as_secs_f64(),
        known.records,
        known.bad.len()
    );
}
