//! The hash chain of a rollout.
//!
//! A record's hash is SHA-256 over a tag, the previous record's hash and the stored fields,
//! each with its length in front, so that no two different records have the same input.

use sha2::{Digest as _, Sha256};
use wavegate_model::{Digest, RolloutId};
use wavegate_ports::journal::NewRecord;

pub(crate) type Hash = [u8; 32];

/// What the first record follows.
pub(crate) const GENESIS: Hash = [0; 32];

/// Names the input's layout. Another layout gets another tag, so hashes never mix.
const TAG: &[u8] = b"wavegate journal record 1";

pub(crate) fn hash(previous: &Hash, rollout: &RolloutId, seq: u64, record: &NewRecord) -> Hash {
    let mut sum = Sha256::new();
    let fields: [&[u8]; 8] = [
        TAG,
        previous,
        rollout.as_str().as_bytes(),
        &seq.to_be_bytes(),
        &record.at.0.to_be_bytes(),
        record.kind.as_bytes(),
        &record.version.to_be_bytes(),
        &record.body,
    ];
    for field in fields {
        sum.update((field.len() as u64).to_be_bytes());
        sum.update(field);
    }
    sum.finalize().into()
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wavegate_model::Timestamp;

    fn record() -> NewRecord {
        NewRecord {
            at: Timestamp(5),
            kind: "step".into(),
            version: 1,
            body: b"body".to_vec(),
        }
    }

    /// Journals that exist must verify for ever: the layout of the input is part of the format.
    #[test]
    fn the_layout_is_fixed() {
        let hash = hash(&GENESIS, &RolloutId::from("r1"), 1, &record());
        assert_eq!(
            Digest::from_sha256(&hash).text().as_str(),
            "sha256:6a4d68c2f495ef60220ada9ae6953be692781c8b8ec527973d4d1be49824b001"
        );
    }

    #[test]
    fn every_field_counts() {
        let rollout = RolloutId::from("r1");
        let base = hash(&GENESIS, &rollout, 1, &record());
        let others = [
            hash(&[1; 32], &rollout, 1, &record()),
            hash(&GENESIS, &RolloutId::from("r2"), 1, &record()),
            hash(&GENESIS, &rollout, 2, &record()),
            hash(
                &GENESIS,
                &rollout,
                1,
                &NewRecord {
                    at: Timestamp(6),
                    ..record()
                },
            ),
            hash(
                &GENESIS,
                &rollout,
                1,
                &NewRecord {
                    kind: "stepb".into(),
                    body: b"ody".to_vec(),
                    ..record()
                },
            ),
            hash(
                &GENESIS,
                &rollout,
                1,
                &NewRecord {
                    version: 2,
                    ..record()
                },
            ),
            hash(
                &GENESIS,
                &rollout,
                1,
                &NewRecord {
                    body: Vec::new(),
                    ..record()
                },
            ),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(*other, base, "change {index} gives the same hash");
        }
    }
}
