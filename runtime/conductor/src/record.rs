//! What the journal of a rollout holds.
//!
//! Two kinds of record: a `step` has an input and the facts that it led to; a `consultation`
//! says how a plugin was asked. Every record carries the version of its format. Fields are
//! added, never changed: a reader of this version skips kinds that it does not know.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wavegate_engine::audit::Auditor;
use wavegate_engine::decide::FoldError;
use wavegate_engine::{Engine, Fact, Input, Spec, State};
use wavegate_model::{ConsultationId, Digest, Query, RolloutId, Timestamp, Unavailable};
use wavegate_ports::journal::{Blob, Journal, JournalError, NewRecord, StoredRecord};

use crate::RunError;

/// Version of the records that this program writes.
pub const VERSION: u32 = 1;
/// Kind of a record with an input and its facts.
pub const STEP: &str = "step";
/// Kind of a record about a question to a plugin.
pub const CONSULTATION: &str = "consultation";

/// An input and what it led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// What arrived.
    pub input: Input,
    /// What was decided.
    pub facts: Vec<Fact>,
}

/// How a plugin was asked. Bytes are in the journal's table of blobs, by digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsultationRecord {
    /// Which question.
    pub consultation: ConsultationId,
    /// Who was asked: `strategy`, or `gate NAME`.
    pub who: String,
    /// Digest of the component.
    pub component: Digest,
    /// Wasmtime's version, settings and target: fuel compares only under an equal key.
    pub host_key: String,
    /// The question.
    pub input: Digest,
    /// The configuration, as JSON.
    pub config: String,
    /// Evidence in the order in which it was asked for.
    pub evidence: Vec<(Query, Digest)>,
    /// The answer, if there was one.
    pub output: Option<Digest>,
    /// Why there was none.
    pub unavailable: Option<Unavailable>,
    /// From the question to the answer in microseconds: all rounds, waiting for a worker and
    /// fetching evidence included. For operators; no decision rests on it.
    #[serde(default)]
    pub took_us: u64,
    /// Fuel of the last round.
    pub fuel: u64,
    /// Peak of memory in bytes.
    pub memory_bytes: u64,
    /// What the guest logged in the last round, cleaned and capped by the plugin host.
    pub log: Vec<(String, String)>,
}

/// Makes a blob of bytes.
pub fn blob(bytes: Vec<u8>) -> Blob {
    let digest = Digest::from_sha256(&Sha256::digest(&bytes).into());
    Blob { digest, bytes }
}

/// Makes a record of a serialisable body.
///
/// # Panics
/// If the body cannot be written as JSON: bodies are our own types with string keys.
pub fn record<T: Serialize>(at: Timestamp, kind: &str, body: &T) -> NewRecord {
    let body = serde_json::to_vec(body).expect("records are made of types that JSON can say");
    NewRecord {
        at,
        kind: kind.to_owned(),
        version: VERSION,
        body,
    }
}

/// All facts of a rollout as its journal tells them.
#[derive(Clone, Debug)]
pub struct Story {
    /// Which rollout.
    pub rollout: RolloutId,
    /// Each with its instant.
    pub facts: Vec<(Timestamp, Fact)>,
    /// How plugins were asked, with the instant.
    pub consultations: Vec<(Timestamp, ConsultationRecord)>,
    /// Number of the last record.
    pub last: u64,
    /// Of each record with facts: how many facts there are with its own, and its number.
    steps: Vec<(usize, u64)>,
}

impl Story {
    /// A story without a record yet.
    pub fn new(rollout: RolloutId) -> Self {
        Self {
            rollout,
            facts: Vec::new(),
            consultations: Vec::new(),
            last: 0,
            steps: Vec::new(),
        }
    }

    /// When the rollout started, and as what: plan and plugins may be others by now.
    pub fn started(&self) -> Option<(Timestamp, &Spec)> {
        self.facts.iter().find_map(|(at, fact)| match fact {
            Fact::Started { spec } => Some((*at, &**spec)),
            _ => None,
        })
    }

    /// The state that the facts make.
    pub fn state(&self) -> Option<State> {
        Some(self.engine().ok()?.state().clone())
    }

    /// The engine that the facts make.
    ///
    /// # Errors
    /// Names the record that cannot be one of this rollout.
    pub fn engine(&self) -> Result<Engine, RunError> {
        let facts = self.facts.iter().map(|(at, fact)| (*at, fact));
        Engine::fold(facts).map_err(|error| {
            let detail = match &error {
                FoldError::NoStart => error.to_string(),
                FoldError::Misfit { number, why } => {
                    format!(
                        "record {}: {}",
                        self.record_of(*number),
                        shown(&why.to_string())
                    )
                }
            };
            RunError::Unreadable {
                rollout: self.rollout.clone(),
                detail,
            }
        })
    }

    /// An auditor that has seen all facts so far. It begins with the rollout as it started: plan
    /// and plugins may be others by now.
    ///
    /// # Errors
    /// If a fact breaks an invariant, or there is none that starts a rollout.
    pub fn auditor(&self) -> Result<Auditor, RunError> {
        let unreadable = |detail: String| RunError::Unreadable {
            rollout: self.rollout.clone(),
            detail,
        };
        let (_, spec) = self
            .started()
            .ok_or_else(|| unreadable(FoldError::NoStart.to_string()))?;
        let mut auditor = Auditor::new(spec);
        for (number, (at, fact)) in self.facts.iter().enumerate() {
            let seen = auditor.observe(*at, fact);
            seen.map_err(|violation| {
                let why = shown(&violation.to_string());
                unreadable(format!("record {}: {why}", self.record_of(number)))
            })?;
        }
        Ok(auditor)
    }

    /// Number of the record that has a fact, by the fact's number from 0.
    fn record_of(&self, fact: usize) -> u64 {
        let after = self.steps.partition_point(|(facts, _)| *facts <= fact);
        self.steps.get(after).map_or(self.last, |step| step.1)
    }

    /// Takes more records, as a reader that follows a journal does.
    pub fn extend(&mut self, records: &[StoredRecord]) -> Result<(), RunError> {
        for stored in records {
            let record = &stored.record;
            let unreadable = |detail: String| RunError::Unreadable {
                rollout: self.rollout.clone(),
                detail,
            };
            if record.version > VERSION {
                let version = record.version;
                return Err(unreadable(format!(
                    "record {} has format {version}, newer than {VERSION}",
                    stored.seq
                )));
            }
            let bad = |error: serde_json::Error| {
                let why = shown(&error.to_string());
                unreadable(format!("record {}: {why}", stored.seq))
            };
            match record.kind.as_str() {
                STEP => {
                    let step: StepRecord = serde_json::from_slice(&record.body).map_err(bad)?;
                    self.facts
                        .extend(step.facts.into_iter().map(|fact| (record.at, fact)));
                    self.steps.push((self.facts.len(), stored.seq));
                }
                CONSULTATION => {
                    let consultation = serde_json::from_slice(&record.body).map_err(bad)?;
                    self.consultations.push((record.at, consultation));
                }
                _ => {}
            }
            self.last = stored.seq;
        }
        Ok(())
    }
}

/// What is said about bytes that this program did not write quotes them: short, and without
/// anything that would move a cursor.
fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    let mut shown = String::new();
    for c in text.chars().take(CHARS_MAX) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// Reads a rollout from its journal.
pub async fn read_story(journal: &dyn Journal, rollout: &RolloutId) -> Result<Story, RunError> {
    let failed = |source: JournalError| RunError::Journal {
        rollout: rollout.clone(),
        source,
    };
    let records = journal.read(rollout, 0).await.map_err(failed)?;
    if records.is_empty() {
        return Err(failed(JournalError::Unknown {
            rollout: rollout.clone(),
        }));
    }
    let mut story = Story::new(rollout.clone());
    story.extend(&records)?;
    Ok(story)
}
