//! A log or a file that ends too early, at every place of interest.

use crate::{batch, bodies, folder_in_memory, journal, run};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::RolloutId;
use wavegate_ports::journal::{Journal, JournalError};

/// A journal in the midst of its life: its file, its log, and how long the log was after each
/// batch.
struct Taken {
    file: Vec<u8>,
    log: Vec<u8>,
    batches: Vec<(usize, usize)>,
}

const LARGE: usize = 6_000;

/// Bodies are small and large, so that some cross pages.
fn expected(count: usize) -> Vec<String> {
    (1..=count)
        .map(|n| format!("{n}:{}", "x".repeat(if n % 3 == 0 { LARGE } else { n })))
        .collect()
}

fn take(rollout: &RolloutId) -> Taken {
    let folder = folder_in_memory();
    let read = |name: &str| fs::read(folder.path().join(name)).expect("reads");
    run(async {
        let journal = journal(folder.path());
        journal.open(rollout).await.expect("opens");
        let mut batches = vec![(read("journal.db-wal").len(), 0)];
        let all = expected(14);
        for pair in all.chunks(2) {
            let pair: Vec<_> = pair.iter().map(String::as_str).collect();
            journal
                .append(batch(rollout, 1, &pair))
                .await
                .expect("appends");
            let records = batches.last().map_or(0, |(_, records)| *records) + pair.len();
            batches.push((read("journal.db-wal").len(), records));
        }
        Taken {
            file: read("journal.db"),
            log: read("journal.db-wal"),
            batches,
        }
    })
}

fn put(folder: &Path, file: &[u8], log: &[u8]) {
    let _ = fs::remove_file(folder.join("journal.db-shm"));
    fs::write(folder.join("journal.db"), file).expect("writes");
    fs::write(folder.join("journal.db-wal"), log).expect("writes");
}

/// A log cut anywhere loses the batches that were not whole, those and no others.
#[test]
fn a_cut_log_loses_exactly_the_batches_that_were_not_whole() {
    let rollout = RolloutId::from("r1");
    let taken = take(&rollout);
    let mut offsets = BTreeSet::new();
    for (end, _) in &taken.batches {
        offsets.extend([
            end.saturating_sub(4096),
            end - 25,
            end - 24,
            end - 1,
            *end,
            end + 1,
            end + 24,
            end + 25,
        ]);
    }
    let first = taken.batches[0].0;
    offsets.extend((first..taken.log.len()).step_by(997));
    offsets.retain(|offset| (first..=taken.log.len()).contains(offset));
    assert!(offsets.len() > 60, "{}", offsets.len());

    let folder = folder_in_memory();
    for offset in offsets {
        put(folder.path(), &taken.file, &taken.log[..offset]);
        let whole = taken
            .batches
            .iter()
            .rev()
            .find(|(end, _)| *end <= offset)
            .expect("the first is whole")
            .1;
        run(async {
            let journal = journal(folder.path());
            assert_eq!(
                bodies(&journal, &rollout).await,
                expected(whole),
                "cut at {offset}"
            );
            // And it goes on from there.
            let writer = journal.open(&rollout).await.expect("opens");
            journal
                .append(batch(&rollout, writer, &["next"]))
                .await
                .expect("appends");
            assert_eq!(
                journal.verify(&rollout).await.expect("verifies").records,
                whole as u64 + 1
            );
        });
    }
}

/// A byte of the log that turned loses its batch and what came after, never a part of a batch.
#[test]
fn a_turned_byte_in_the_log_is_a_cut() {
    let rollout = RolloutId::from("r1");
    let taken = take(&rollout);
    let folder = folder_in_memory();
    let first = taken.batches[0].0;
    for offset in (first..taken.log.len()).step_by(1_009) {
        let mut log = taken.log.clone();
        log[offset] ^= 0x40;
        put(folder.path(), &taken.file, &log);
        let whole = taken
            .batches
            .iter()
            .rev()
            .find(|(end, _)| *end <= offset)
            .expect("the first is whole")
            .1;
        let journal =
            SqliteJournal::open_read_only(&folder.path().join("journal.db")).expect("opens");
        assert_eq!(
            run(bodies(&journal, &rollout)),
            expected(whole),
            "turned at {offset}"
        );
    }
}

/// A file without its log has no checksums but the journal's own. Whatever is cut off or
/// turned in it, no record is read that was not written.
#[test]
fn a_damaged_file_never_yields_a_wrong_record() {
    let rollout = RolloutId::from("r1");
    let folder = folder_in_memory();
    let path = folder.path().join("journal.db");
    run(async {
        let journal = journal(folder.path());
        journal.open(&rollout).await.expect("opens");
        for body in expected(14) {
            journal
                .append(batch(&rollout, 1, &[&body]))
                .await
                .expect("appends");
        }
    });
    assert!(
        !folder.path().join("journal.db-wal").exists(),
        "a closed journal is one file"
    );
    let whole = fs::read(&path).expect("reads");
    let mut found = 0;
    let cuts = (0..whole.len())
        .step_by(1_499)
        .map(|offset| (offset, whole[..offset].to_vec()));
    let turns = (0..whole.len()).step_by(487).map(|offset| {
        let mut file = whole.clone();
        file[offset] ^= 0x10;
        (offset, file)
    });
    for (offset, file) in cuts.chain(turns) {
        put(folder.path(), &file, &[]);
        let read =
            SqliteJournal::open_read_only(&path).and_then(|journal| run(journal.read(&rollout, 0)));
        match read {
            Ok(records) => {
                let bodies: Vec<_> = records
                    .into_iter()
                    .map(|stored| stored.record.body)
                    .collect();
                let expected: Vec<_> = expected(bodies.len())
                    .into_iter()
                    .map(String::into_bytes)
                    .collect();
                assert_eq!(bodies, expected, "at {offset}");
            }
            Err(JournalError::TakenOver { .. }) => panic!("at {offset}: nobody takes over here"),
            Err(_) => found += 1,
        }
    }
    assert!(found > 50, "{found} found");
}
