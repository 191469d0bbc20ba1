//! What grouping is worth: one producer that waits for each append, against 64 at once.
//!
//! `cargo bench -p wavegate-journal-sqlite`. The two sides take turns for five rounds on one
//! disk, each with a new file, and the medians are compared. Syncs are counted below SQLite,
//! by a library that is preloaded into the process that measures.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use support::{again_on, compile_disk};
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::{RolloutId, Timestamp};
use wavegate_ports::journal::{Batch, Journal, NewRecord};

const MEASURE_IN: &str = "WAVEGATE_BENCH_FOLDER";
const ROUNDS: usize = 5;
const PRODUCERS: usize = 64;
/// Appends of one side in one round: about a second for each.
const ALONE: usize = 1_500;
const TOGETHER: usize = 12_800;
/// Two records of this size are a usual turn.
const BODY: usize = 512;
const TARGET: f64 = 5.0;

fn main() {
    // `cargo test --benches` starts this with no `--bench`: then there is nothing to do.
    if let Some(folder) = std::env::var_os(MEASURE_IN) {
        measure(&PathBuf::from(folder));
    } else if std::env::args().any(|argument| argument == "--bench") {
        start();
    }
}

/// Starts this program again on a disk that counts, in a folder that is removed afterwards.
fn start() {
    let outer = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = outer.path().join("disk");
    fs::create_dir(&folder).expect("makes");
    let count = outer.path().join("count");
    fs::write(&count, [0; 8]).expect("writes");
    let status = again_on(&compile_disk(outer.path()), &folder)
        .env(MEASURE_IN, &folder)
        .env("DISK_COUNT", &count)
        .status()
        .expect("it starts");
    assert!(status.success(), "the measurement failed");
}

/// One side of one round.
#[derive(Clone, Copy)]
struct Sample {
    appends_per_second: f64,
    syncs: u64,
    transactions: u64,
}

fn measure(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let mut alone = Vec::new();
    let mut together = Vec::new();
    for round in 0..ROUNDS {
        let path = |side: &str| folder.join(format!("{round}-{side}")).join("journal.db");
        alone.push(runtime.block_on(side(&path("alone"), 1, ALONE)));
        together.push(runtime.block_on(side(&path("together"), PRODUCERS, TOGETHER)));
    }
    println!(
        "journal: appends of 2 records of {BODY} bytes, medians of {ROUNDS} interleaved rounds"
    );
    let one = print("ungrouped,  1 producer ", ALONE, &alone);
    let many = print("grouped,   64 producers", TOGETHER, &together);
    let ratio = many / one;
    let verdict = if ratio >= TARGET { "reached" } else { "missed" };
    println!("ratio {ratio:.1}, target at least {TARGET:.0}: {verdict}");
    println!(
        r#"figure: {{"name": "64 producers over one, in appends per second", "median": {ratio:.1}, "unit": "times", "rounds": 5, "target": "at least {TARGET:.0}"}}"#
    );
}

async fn side(path: &Path, producers: usize, appends: usize) -> Sample {
    let journal = Arc::new(SqliteJournal::open(path).expect("opens"));
    for producer in 0..producers {
        journal.open(&rollout(producer)).await.expect("opens");
    }
    let (before, syncs) = (journal.stats(), syncs());
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for producer in 0..producers {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            let rollout = rollout(producer);
            for _ in 0..appends / producers {
                journal.append(turn(&rollout)).await.expect("appends");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a producer succeeds");
    }
    let seconds = start.elapsed().as_secs_f64();
    Sample {
        appends_per_second: appends as f64 / seconds,
        syncs: self::syncs() - syncs,
        transactions: journal.stats().transactions - before.transactions,
    }
}

fn rollout(producer: usize) -> RolloutId {
    RolloutId::new(format!("rollout-{producer}"))
}

fn turn(rollout: &RolloutId) -> Batch {
    let record = NewRecord {
        at: Timestamp(1),
        kind: "step".to_owned(),
        version: 1,
        body: vec![7; BODY],
    };
    Batch {
        rollout: rollout.clone(),
        writer: 1,
        records: vec![record.clone(), record],
        blobs: Vec::new(),
    }
}

/// Syncs of this process so far, as the preloaded library counts them.
fn syncs() -> u64 {
    let path =
        std::env::var_os("DISK_COUNT").expect("the measurement runs on the disk that counts");
    u64::from_ne_bytes(
        fs::read(path)
            .expect("reads")
            .try_into()
            .expect("eight bytes"),
    )
}

/// Prints the median round of one side and returns its rate.
fn print(name: &str, appends: usize, samples: &[Sample]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|one, other| one.appends_per_second.total_cmp(&other.appends_per_second));
    let Sample {
        appends_per_second,
        syncs,
        transactions,
    } = sorted[sorted.len() / 2];
    println!(
        "{name}: {appends_per_second:>8.0} appends/s, {appends} appends in {transactions} transactions, \
         {syncs} syncs ({:.3} per append)",
        syncs as f64 / appends as f64
    );
    appends_per_second
}
