//! Durability: an answer comes after the disk's, and what was answered survives the power.

use crate::support::{again_on, compile_disk};
use crate::wreck::{Disk, Fate, Kind, Op, parse};
use crate::{batch, folder_in_memory, journal, record, run};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::future::poll_fn;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::{Digest, RolloutId};
use wavegate_ports::BoxFuture;
use wavegate_ports::journal::{Batch, Blob, Journal, JournalError, StoredRecord};

const CHILD: &str = "WAVEGATE_TEST_ON_DISK";

/// While the disk has not said that it is done, no append is.
#[test]
fn no_append_is_done_before_its_sync() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return with_a_disk_that_waits(Path::new(&folder));
    }
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("disk");
    fs::create_dir(&folder).expect("makes");
    let status = again_on(&compile_disk(outer.path()), &folder)
        .args(["power::no_append_is_done_before_its_sync", "--exact"])
        .env(CHILD, &folder)
        .env("DISK_GATE", outer.path().join("gate"))
        .status()
        .expect("it starts");
    assert!(status.success(), "the process on the disk failed");
}

fn with_a_disk_that_waits(folder: &Path) {
    let gate = folder.with_file_name("gate");
    let waiting = folder.with_file_name("gate.waiting");
    let rollouts: Vec<_> = (0..8)
        .map(|number| RolloutId::new(format!("r{number}")))
        .collect();
    run(async {
        let journal = journal(folder);
        for rollout in &rollouts {
            journal.open(rollout).await.expect("opens");
            journal
                .append(batch(rollout, 1, &["before"]))
                .await
                .expect("appends");
        }
        for _ in 0..3 {
            let gate = Gate::close(&gate);
            let mut appends: Vec<Append<'_>> = rollouts
                .iter()
                .map(|rollout| journal.append(batch(rollout, 1, &["x"])))
                .collect();
            tokio::select! {
                () = first_of(&mut appends) => panic!("an append was done and no sync was asked for"),
                () = exists(&waiting) => {}
            }
            // However long it stands there: nothing is done. One that does not wait for the
            // sync shows well within this time, since it takes microseconds.
            let early =
                tokio::time::timeout(Duration::from_millis(300), first_of(&mut appends)).await;
            assert!(early.is_err(), "an append was done before its sync");

            drop(gate);
            for append in appends {
                append.await.expect("appends");
            }
            fs::remove_file(&waiting).expect("removes");
        }
        for rollout in &rollouts {
            assert_eq!(journal.verify(rollout).await.expect("verifies").records, 4);
        }
    });
}

type Append<'a> = BoxFuture<'a, Result<(), JournalError>>;

/// Syncs wait while this is there. It opens when a test fails, too: closing the journal syncs.
struct Gate<'a>(&'a Path);

impl<'a> Gate<'a> {
    fn close(path: &'a Path) -> Self {
        File::create(path).expect("closes the gate");
        Self(path)
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}

/// Is ready once there is such a file.
async fn exists(path: &Path) {
    let mut moments = tokio::time::interval(Duration::from_millis(1));
    while !path.exists() {
        moments.tick().await;
    }
}

/// Is ready as soon as one is done.
async fn first_of(appends: &mut [Append<'_>]) {
    poll_fn(|context| {
        if appends
            .iter_mut()
            .any(|append| append.as_mut().poll(context).is_ready())
        {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

const PRODUCERS: u64 = 4;
const TURNS: u64 = 160;

/// After a loss of power at any moment, whatever was left of what was not synced: everything
/// that was acknowledged is there and the chains are whole. And the same check does find the
/// loss on a disk, or at a setting, that leaves syncs out.
#[test]
fn what_was_acknowledged_survives_a_loss_of_power() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return with_a_disk_that_logs(Path::new(&folder));
    }
    let outer = tempfile::tempdir().expect("a folder");
    let (folder, log) = (outer.path().join("disk"), outer.path().join("log"));
    fs::create_dir(&folder).expect("makes");
    let status = again_on(&compile_disk(outer.path()), &folder)
        .args([
            "power::what_was_acknowledged_survives_a_loss_of_power",
            "--exact",
        ])
        .env(CHILD, &folder)
        .env("DISK_LOG", &log)
        .status()
        .expect("it starts");
    assert!(status.success(), "the process on the disk failed");

    let ops = parse(&fs::read(&log).expect("reads"));
    let checkpointed = ops
        .iter()
        .filter(|op| op.kind == Kind::Write && op.name == "journal.db")
        .count();
    assert!(
        checkpointed > 20,
        "the log was not checkpointed in between: {checkpointed} writes"
    );

    let moments = moments(&ops);
    let losses = lose_power_at(&moments, &ops, |_| true);
    assert_eq!(losses, Vec::<String>::new());

    let few: Vec<_> = moments.into_iter().step_by(10).collect();
    let without_any = lose_power_at(&few, &ops, |_| false);
    assert!(
        !without_any.is_empty(),
        "no loss was found on a disk that never syncs"
    );
    // What `synchronous=NORMAL` would do: the log is synced at checkpoints only.
    let without_the_log = lose_power_at(&few, &ops, |name| name != "journal.db-wal");
    assert!(
        !without_the_log.is_empty(),
        "no loss was found with a log that is not synced"
    );
}

fn with_a_disk_that_logs(folder: &Path) {
    run(async {
        let journal = Arc::new(journal(folder));
        let acks = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("acks"))
            .expect("opens");
        let acks = Arc::new(Mutex::new(acks));
        let mut producers = tokio::task::JoinSet::new();
        for number in 0..PRODUCERS {
            let (journal, acks) = (Arc::clone(&journal), Arc::clone(&acks));
            producers.spawn(async move {
                let rollout = RolloutId::new(format!("r{number}"));
                let writer = journal.open(&rollout).await.expect("opens");
                for turn in 1..=TURNS {
                    journal
                        .append(turn_of(&rollout, writer, turn))
                        .await
                        .expect("appends");
                    let line = format!("{number} {turn}\n");
                    acks.lock()
                        .expect("nobody panicked")
                        .write_all(line.as_bytes())
                        .expect("writes");
                }
            });
        }
        while let Some(done) = producers.join_next().await {
            done.expect("a producer succeeds");
        }
    });
}

fn blob_of(rollout: &RolloutId, turn: u64) -> Vec<u8> {
    format!("{rollout}.{turn} ")
        .repeat(usize::try_from(turn % 7).expect("it fits") * 100 + 1)
        .into_bytes()
}

fn body_of(rollout: &RolloutId, turn: u64) -> String {
    format!("{rollout}.{turn} {}", digest(&blob_of(rollout, turn)))
}

fn turn_of(rollout: &RolloutId, writer: u64, turn: u64) -> Batch {
    let bytes = blob_of(rollout, turn);
    let blob = Blob {
        digest: digest(&bytes),
        bytes,
    };
    Batch {
        blobs: vec![blob],
        ..batch(rollout, writer, &[&body_of(rollout, turn)])
    }
}

fn digest(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from_sha256(&sha2::Sha256::digest(bytes).into())
}

/// When to lose the power: after acknowledgements, around the writes of checkpoints and
/// changes of names, and in between.
fn moments(ops: &[Op]) -> Vec<usize> {
    let mut acks = 0;
    let mut others = 0;
    let mut moments = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        let every = match (op.kind, op.name.as_str()) {
            (Kind::Write, "acks") => counted(&mut acks, 12),
            (Kind::Write, "journal.db") => counted(&mut others, 7),
            (Kind::Unlink | Kind::Truncate, _) => true,
            (Kind::Sync, name) => name != "journal.db-wal",
            (Kind::Write, _) => counted(&mut others, 71),
        };
        if every {
            moments.push(index + 1);
        }
    }
    assert!(moments.len() > 100, "{} moments", moments.len());
    moments
}

fn counted(count: &mut usize, every: usize) -> bool {
    *count += 1;
    count.is_multiple_of(every)
}

/// Loses the power at each moment, in several ways, and tells what was lost. `syncs` says
/// for which file a sync does anything.
fn lose_power_at(moments: &[usize], ops: &[Op], syncs: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = folder_in_memory();
    let mut disk = Disk::default();
    let mut acknowledged = BTreeMap::new();
    let mut followed = 0;
    let mut losses = Vec::new();
    for (number, moment) in moments.iter().enumerate() {
        for op in &ops[followed..*moment] {
            match op.name.as_str() {
                "acks" => note_acks(&op.data, &mut acknowledged),
                name if name.ends_with("-shm") => {}
                name if op.kind == Kind::Sync && !syncs(name) => {}
                _ => disk.follow(op),
            }
        }
        followed = *moment;
        let seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number as u64 + 1);
        let by_chance = Fate::Chance(seed);
        let turn_about = if number % 4 == 0 {
            Fate::Kept
        } else {
            Fate::Chance(seed.rotate_left(17))
        };
        for fate in [Fate::Lost, by_chance, turn_about] {
            for left in fs::read_dir(folder.path()).expect("reads") {
                fs::remove_file(left.expect("reads").path()).expect("removes");
            }
            disk.lose_power(&mut fate.clone(), folder.path());
            if let Err(loss) = check(&folder.path().join("journal.db"), &acknowledged) {
                losses.push(format!("at {moment} of {}, {fate:?}: {loss}", ops.len()));
            }
        }
    }
    losses
}

fn note_acks(lines: &[u8], acknowledged: &mut BTreeMap<String, u64>) {
    for line in std::str::from_utf8(lines).expect("text").lines() {
        let (number, turn) = line.split_once(' ').expect("two numbers");
        acknowledged.insert(format!("r{number}"), turn.parse().expect("a number"));
    }
}

/// Opens what is left as the next host would, and compares it with what was acknowledged.
fn check(path: &Path, acknowledged: &BTreeMap<String, u64>) -> Result<(), String> {
    if acknowledged.is_empty() && !path.exists() {
        return Ok(());
    }
    let opened = if acknowledged.is_empty() || path.exists() {
        SqliteJournal::open(path)
    } else {
        return Err("the file is gone".to_owned());
    };
    let journal = opened.map_err(|error| format!("it does not open: {error}"))?;
    run(async {
        for (rollout, turns) in acknowledged {
            let rollout = RolloutId::new(rollout);
            let records = journal
                .read(&rollout, 0)
                .await
                .map_err(|error| error.to_string())?;
            compare(&rollout, *turns, &records)?;
            // The latest are the ones in danger; what is older was checked at earlier moments.
            let last = records.len() as u64;
            for turn in (1..=last).rev().take(8) {
                let expected = blob_of(&rollout, turn);
                let found = journal
                    .blob(&digest(&expected))
                    .await
                    .map_err(|error| error.to_string())?;
                if found != Some(expected) {
                    return Err(format!("{rollout}: the blob of turn {turn} is lost"));
                }
            }
        }
        Ok(())
    })
}

fn compare(rollout: &RolloutId, acknowledged: u64, records: &[StoredRecord]) -> Result<(), String> {
    // One more than was acknowledged may be there: its answer was on its way.
    let found = records.len() as u64;
    if !(acknowledged..=acknowledged + 1).contains(&found) {
        return Err(format!(
            "{rollout}: {acknowledged} were acknowledged and {found} are there"
        ));
    }
    for (turn, stored) in (1..).zip(records) {
        if stored.record != record(&body_of(rollout, turn)) {
            return Err(format!("{rollout}: record {turn} is another one"));
        }
    }
    Ok(())
}
