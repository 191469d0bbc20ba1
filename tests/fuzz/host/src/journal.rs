//! Journals that nobody wrote with this program: an error that names the record, or a rollout
//! that can be looked at.

use crate::scene::NOW;
use crate::{words, world};
use std::time::Duration;
use wavegate_conductor::RunError;
use wavegate_conductor::record::{CONSULTATION, STEP, Story, VERSION};
use wavegate_engine::explain;
use wavegate_fuzz::bounds::Bounds;
use wavegate_model::Digest;
use wavegate_ports::journal::{NewRecord, StoredRecord};

/// Facts are larger in memory than as text; inputs have some tens of KiB.
const BOUNDS: Bounds = Bounds {
    bytes: 128 << 20,
    time: Duration::from_secs(10),
};

/// The number of the first record: not 0, so that a number that is right by chance is none.
const FIRST: u64 = 100;

/// Takes each line for the body of a record, and reads them as a resume does.
///
/// # Panics
/// If it ends in something else than a rollout or an error that names a record.
pub fn check(data: &[u8]) {
    let records: Vec<StoredRecord> = data
        .split(|byte| *byte == b'\n')
        .zip(FIRST..)
        .map(|(line, seq)| record(seq, line))
        .collect();
    BOUNDS.hold(|| {
        let mut story = Story::new("shop-2".into());
        if let Err(error) = story.extend(&records) {
            return refused(&error);
        }
        match story.engine() {
            Err(error) => refused(&error),
            Ok(engine) => {
                for waiting in explain::explain(engine.state(), NOW) {
                    assert!(!waiting.on.to_string().is_empty());
                }
                audited(&story);
            }
        }
    });
}

/// A rollout that went well, one that went back, and the begin of each.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for end in [world::Ending::Done, world::Ending::RolledBack] {
        let records = world::rollout(end);
        let lines: Vec<Vec<u8>> = records
            .iter()
            .map(|step| serde_json::to_vec(step).expect("a record can be written"))
            .collect();
        seeds.push(lines.join(&b'\n'));
        seeds.extend((1..lines.len().min(8)).map(|some| lines[..some].join(&b'\n')));
    }
    seeds
}

/// A step, unless its first byte says that it is a consultation or of another version.
fn record(seq: u64, line: &[u8]) -> StoredRecord {
    let (kind, version, body) = match line.split_first() {
        Some((b'c', rest)) => (CONSULTATION, VERSION, rest),
        Some((b'v', rest)) => (STEP, VERSION + 1, rest),
        Some((b'?', rest)) => ("of another program", VERSION, rest),
        Some(_) | None => (STEP, VERSION, line),
    };
    StoredRecord {
        seq,
        hash: Digest::from_sha256(&[0; 32]),
        record: NewRecord {
            at: NOW,
            kind: kind.to_owned(),
            version,
            body: body.to_vec(),
        },
    }
}

fn refused(error: &RunError) {
    let told = error.to_string();
    words::shown("a refusal", &told);
    let no_start = told.contains("the first fact of a rollout must be its start");
    let number = told.split_once("record ").map(|(_, rest)| rest);
    let number = number.and_then(|rest| rest.split([' ', ':']).next()?.parse::<u64>().ok());
    let named = number.is_some_and(|number| number >= FIRST);
    assert!(named || no_start, "no record is named: {told}");
}

/// A rollout that nobody may go on with says which rule it breaks.
fn audited(story: &Story) {
    if let Err(error) = story.auditor() {
        refused(&error);
    }
}
