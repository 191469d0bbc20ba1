//! A gate with recorded evidence.

use core::marker::PhantomData;
use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::bindings::gate::exports::wavegate::plugin::gate as contract;
use crate::gate::{evaluate_encoded, validate_encoded};
use crate::{
    Cohort, Evaluation, Evidence, Failure, Gate, GateCall, GateCluster, ProbeSummary, Problem,
    Response, Series, Subject, failure,
};

use super::{BASELINE_DIGEST, NOW, release};

/// Evidence with answers that the test recorded.
///
/// A question without an answer is a failure with the code `no-recorded-answer`.
#[derive(Debug, Default)]
pub struct Recorded {
    metrics: BTreeMap<String, Result<Vec<Series>, Failure>>,
    responses: BTreeMap<String, Result<Response, Failure>>,
    summaries: BTreeMap<String, Result<ProbeSummary, Failure>>,
    asked: RefCell<Vec<String>>,
}

impl Recorded {
    /// No answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records the answer of an instant query.
    #[must_use]
    pub fn instant(
        mut self,
        slot: &str,
        query: &str,
        answer: Result<Vec<Series>, Failure>,
    ) -> Self {
        self.metrics.insert(instant_key(slot, query), answer);
        self
    }

    /// Records the answer of a range query.
    #[must_use]
    pub fn range(
        mut self,
        slot: &str,
        query: &str,
        window_ms: u32,
        step_ms: u32,
        answer: Result<Vec<Series>, Failure>,
    ) -> Self {
        self.metrics
            .insert(range_key(slot, query, window_ms, step_ms), answer);
        self
    }

    /// Records the answer of a GET.
    #[must_use]
    pub fn get(mut self, slot: &str, path: &str, answer: Result<Response, Failure>) -> Self {
        self.responses.insert(get_key(slot, path), answer);
        self
    }

    /// Records the summary of a cohort, for windows of any length.
    #[must_use]
    pub fn summary(
        mut self,
        slot: &str,
        cluster: &str,
        cohort: Cohort,
        answer: Result<ProbeSummary, Failure>,
    ) -> Self {
        self.summaries
            .insert(summary_key(slot, cluster, cohort), answer);
        self
    }

    /// The questions that were asked, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    fn answer<A: Clone>(
        &self,
        answers: &BTreeMap<String, Result<A, Failure>>,
        question: String,
    ) -> Result<A, Failure> {
        let answer = answers.get(&question).cloned().unwrap_or_else(|| {
            Err(failure(
                "no-recorded-answer",
                format!("nothing recorded for {question}"),
            ))
        });
        self.asked.borrow_mut().push(question);
        answer
    }
}

impl Evidence for Recorded {
    fn instant(&self, slot: &str, query: &str) -> Result<Vec<Series>, Failure> {
        self.answer(&self.metrics, instant_key(slot, query))
    }

    fn range(
        &self,
        slot: &str,
        query: &str,
        window_ms: u32,
        step_ms: u32,
    ) -> Result<Vec<Series>, Failure> {
        self.answer(&self.metrics, range_key(slot, query, window_ms, step_ms))
    }

    fn get(&self, slot: &str, path: &str) -> Result<Response, Failure> {
        self.answer(&self.responses, get_key(slot, path))
    }

    fn summary(
        &self,
        slot: &str,
        cluster: &str,
        cohort: Cohort,
        _window_ms: u32,
    ) -> Result<ProbeSummary, Failure> {
        self.answer(&self.summaries, summary_key(slot, cluster, cohort))
    }
}

fn instant_key(slot: &str, query: &str) -> String {
    format!("{slot} instant {query}")
}

fn range_key(slot: &str, query: &str, window_ms: u32, step_ms: u32) -> String {
    format!("{slot} range {query} over {window_ms} ms every {step_ms} ms")
}

fn get_key(slot: &str, path: &str) -> String {
    format!("{slot} get {path}")
}

fn summary_key(slot: &str, cluster: &str, cohort: Cohort) -> String {
    format!("{slot} summary {cluster} {}", cohort.as_str())
}

/// A gate and the call that it gets.
#[derive(Debug)]
pub struct GateRun<T> {
    /// What the gate is asked next. Change it to test phases, attempts and times.
    pub call: GateCall,
    /// The configuration, as JSON.
    pub config: String,
    /// The state that the gate gets next.
    pub state: Vec<u8>,
    gate: PhantomData<T>,
}

impl<T: Gate> GateRun<T> {
    /// A call after a batch, ten seconds after its evidence started, for these updated
    /// clusters, and the configuration as JSON.
    pub fn new(updated: &[&str], config: &str) -> Self {
        let call = GateCall {
            now: NOW,
            subject: Subject {
                kind: "site".to_owned(),
                name: "site".to_owned(),
            },
            phase: "after-batch".to_owned(),
            attempt: 0,
            evidence_start: NOW - 10_000.0,
            release: release(),
            updated: updated.iter().map(|name| cluster(name)).collect(),
            untouched: Vec::new(),
            extensions: Vec::new(),
        };
        Self {
            call,
            config: config.to_owned(),
            state: Vec::new(),
            gate: PhantomData,
        }
    }

    /// Asks once and keeps the new state.
    pub fn evaluate(&mut self, evidence: &Recorded) -> Result<Evaluation<Vec<u8>>, Failure> {
        let evaluation = evaluate_encoded::<T>(&self.call, &self.config, &self.state, evidence)?;
        self.state.clone_from(&evaluation.state);
        let contract::Evaluation {
            verdict,
            reason,
            clusters,
            measurements,
            state,
            extensions,
        } = evaluation;
        Ok(Evaluation {
            verdict,
            reason,
            clusters,
            measurements,
            state,
            extensions,
        })
    }

    /// What the gate finds wrong with a configuration, as JSON.
    pub fn problems(config: &str) -> Vec<Problem> {
        validate_encoded::<T>(config)
    }
}

fn cluster(name: &str) -> GateCluster {
    GateCluster {
        name: name.to_owned(),
        role: String::new(),
        baseline: BASELINE_DIGEST.to_owned(),
        new_ready: 1,
        baseline_ready: 3,
    }
}
