//! Answers that were given before, or made up for a test.

use crate::{Fault, Source, SourceSet};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::source::{Grant, SourceKind, SourceSpec};
use wavegate_model::{Evidence, Query, SourceName};
use wavegate_ports::BoxFuture;

/// Gives the recorded answer to a query. A query with several answers gets one after the other
/// and then the last again; one without any is unavailable, so that nothing passes by accident.
#[derive(Debug, Default)]
pub struct RecordedSource {
    answers: Mutex<BTreeMap<Query, Answers>>,
}

#[derive(Debug, Default)]
struct Answers {
    list: Vec<Result<Evidence, Fault>>,
    given: usize,
}

impl RecordedSource {
    /// Without any answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an answer to a query, after those that it has.
    #[must_use]
    pub fn with(self, query: Query, answer: Result<Evidence, Fault>) -> Self {
        self.answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(query)
            .or_default()
            .list
            .push(answer);
        self
    }

    /// How often a query was asked.
    pub fn asked(&self, query: &Query) -> usize {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(query).map_or(0, |answers| answers.given)
    }

    fn next(&self, query: &Query) -> Result<Evidence, Fault> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = answers.entry(query.clone()).or_default();
        let last = answers.list.len().saturating_sub(1);
        let answer = answers.list.get(answers.given.min(last)).cloned();
        answers.given += 1;
        answer.unwrap_or_else(|| Err(Fault::Unavailable("there is no recorded answer".to_owned())))
    }
}

impl Source for RecordedSource {
    fn kind(&self) -> &'static str {
        "recorded"
    }

    fn check(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn fetch<'a>(
        &'a self,
        query: &'a Query,
        _scope: &'a EvidenceScope,
    ) -> BoxFuture<'a, Result<Evidence, Fault>> {
        let answer = self.next(query);
        Box::pin(async move { answer })
    }
}

/// Sets of recorded sources, for tests.
pub struct RecordedSources;

impl RecordedSources {
    /// A set in which everybody may ask everything.
    pub fn set(sources: impl IntoIterator<Item = (SourceName, Arc<RecordedSource>)>) -> SourceSet {
        let mut set = SourceSet::default();
        for (name, source) in sources {
            let spec = SourceSpec {
                name,
                kind: SourceKind::Probe,
                policies: Grant::Any,
                plugins: Grant::Any,
            };
            set.add(spec, source);
        }
        set
    }
}
