//! Consultations as a journal has them, read back.

use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use wavegate_conductor::Story;
use wavegate_conductor::record::ConsultationRecord;
use wavegate_engine::swap::Part;
use wavegate_model::plugin::Subject;
use wavegate_model::{ConsultationId, Digest, Evidence, Query, Timestamp, Unavailable};
use wavegate_ports::encoding::{AnsweredForm, AskedForm};
use wavegate_ports::journal::{Journal, JournalError};
use wavegate_ports::plugins::{Answer, Question};

/// A question that was asked, with everything that was recorded about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// When the answer was recorded.
    pub at: Timestamp,
    /// Its number in the rollout.
    pub consultation: ConsultationId,
    /// The component that was asked.
    pub component: Digest,
    /// The configuration that it had.
    pub config: String,
    /// Under which fuel compares.
    pub host_key: String,
    /// Units of fuel of the last round.
    pub fuel: u64,
    /// The question, with all evidence in the order in which it was asked for.
    pub question: Question,
    /// What was answered.
    pub said: Said,
    /// The bytes of the answer, if there was one.
    pub output: Option<Vec<u8>>,
}

/// How a question ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// With an answer.
    Answer(Answer),
    /// Without one.
    Unavailable(Unavailable),
    /// It asked for what was not recorded.
    WouldAsk(Vec<Query>),
}

impl Said {
    /// Whether both lead to the same.
    pub fn decides_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Answer(Answer::Decide(one)), Self::Answer(Answer::Decide(other))) => {
                one.proposal == other.proposal
            }
            (Self::Answer(Answer::Evaluate(one)), Self::Answer(Answer::Evaluate(other))) => {
                one.verdict == other.verdict && one.clusters == other.clusters
            }
            (one, other) => one == other,
        }
    }
}

/// A journal lacks what its records name.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It could not be read.
    #[error("failed to read what was asked in consultation {consultation}")]
    Journal {
        /// Which question.
        consultation: ConsultationId,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// Bytes are missing, or are not what they should be.
    #[error("the {what} of consultation {consultation} cannot be read from the journal: {detail}")]
    Bytes {
        /// Which question.
        consultation: ConsultationId,
        /// The question, an answer or evidence.
        what: &'static str,
        /// What is wrong.
        detail: String,
    },
}

/// All consultations of a part, oldest first.
pub fn of_part<'a>(story: &'a Story, part: &Part) -> Vec<(Timestamp, &'a ConsultationRecord)> {
    let who = part.to_string();
    let mine = story.consultations.iter().filter(|(_, it)| it.who == who);
    mine.map(|(at, record)| (*at, record)).collect()
}

impl Recorded {
    /// Reads what a record names.
    ///
    /// # Errors
    /// If it is not there.
    pub async fn read(
        journal: &dyn Journal,
        at: Timestamp,
        record: &ConsultationRecord,
    ) -> Result<Self, Unreadable> {
        let bytes = Bytes::read(journal, [record]).await?;
        bytes.of(at, record)
    }

    /// What it was about, and for a gate in which phase.
    pub fn subject(&self) -> (Subject, Option<&'static str>) {
        match &self.question {
            Question::Outline { site, .. } => (Subject::Site(site.site.clone()), None),
            Question::Decide { view, .. } => (Subject::Site(view.site.clone()), None),
            Question::Evaluate { call, .. } => (call.subject.clone(), Some(call.phase.as_str())),
        }
    }
}

/// The bytes that some records name, read at once: a question to a journal takes longer than
/// what it is about.
pub(crate) struct Bytes(BTreeMap<Digest, Vec<u8>>);

impl Bytes {
    pub(crate) async fn read<'a>(
        journal: &dyn Journal,
        records: impl IntoIterator<Item = &'a ConsultationRecord>,
    ) -> Result<Self, Unreadable> {
        let mut last = ConsultationId::default();
        let mut wanted: BTreeSet<&Digest> = BTreeSet::new();
        for record in records {
            last = record.consultation;
            wanted.insert(&record.input);
            wanted.extend(record.evidence.iter().map(|(_, digest)| digest));
            wanted.extend(&record.output);
        }
        let wanted: Vec<Digest> = wanted.into_iter().cloned().collect();
        let found = journal.blobs(&wanted).await;
        let found = found.map_err(|source| Unreadable::Journal {
            consultation: last,
            source,
        })?;
        let found = wanted.into_iter().zip(found);
        let known = found.filter_map(|(digest, bytes)| Some((digest, bytes?)));
        Ok(Self(known.collect()))
    }

    /// What a record says, with its bytes.
    pub(crate) fn of(
        &self,
        at: Timestamp,
        record: &ConsultationRecord,
    ) -> Result<Recorded, Unreadable> {
        let reader = Reader {
            bytes: self,
            consultation: record.consultation,
        };
        let asked: AskedForm<'static> = reader.read("question", &record.input)?.1;
        let mut evidence: Vec<(Query, Evidence)> = Vec::new();
        for (query, digest) in &record.evidence {
            evidence.push((query.clone(), reader.read("evidence", digest)?.1));
        }
        let answered: Option<(&[u8], AnsweredForm<'static>)> = match &record.output {
            Some(digest) => Some(reader.read("answer", digest)?),
            None => None,
        };
        let (output, said) = match (answered, &record.unavailable) {
            (Some((bytes, form)), None) => (Some(bytes.to_vec()), Said::Answer(form.into())),
            (answered, Some(why)) => (
                answered.map(|(bytes, _)| bytes.to_vec()),
                Said::Unavailable(why.clone()),
            ),
            (None, None) => return Err(reader.wrong("answer", "there is none".to_owned())),
        };
        Ok(Recorded {
            at,
            consultation: record.consultation,
            component: record.component.clone(),
            config: record.config.clone(),
            host_key: record.host_key.clone(),
            fuel: record.fuel,
            question: asked.with(evidence),
            said,
            output,
        })
    }
}

struct Reader<'a> {
    bytes: &'a Bytes,
    consultation: ConsultationId,
}

impl<'a> Reader<'a> {
    fn read<T: DeserializeOwned>(
        &self,
        what: &'static str,
        digest: &Digest,
    ) -> Result<(&'a [u8], T), Unreadable> {
        let Some(bytes) = self.bytes.0.get(digest) else {
            return Err(self.wrong(what, format!("there are no bytes {digest}")));
        };
        match serde_json::from_slice(bytes) {
            Ok(value) => Ok((bytes, value)),
            Err(error) => Err(self.wrong(what, error.to_string())),
        }
    }

    fn wrong(&self, what: &'static str, detail: String) -> Unreadable {
        Unreadable::Bytes {
            consultation: self.consultation,
            what,
            detail,
        }
    }
}
