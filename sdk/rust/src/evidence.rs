//! Evidence, asked for by slot.

use crate::{
    Answer, Failure, GetQuestion, InstantQuestion, ProbeSummary, Question, RangeQuestion, Response,
    Series, SummaryQuestion,
};

/// Which nodes of a cluster are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cohort {
    /// Nodes on the new release.
    New,
    /// Nodes on the baseline.
    Baseline,
}

impl Cohort {
    /// The word of the contract for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Baseline => "baseline",
        }
    }
}

/// Where evidence comes from: the host, or recorded answers in a test.
///
/// Slots are those that the gate declares in `describe`; the policy binds them to sources.
/// A failure of a source is best passed on with `?`: the host then holds and asks again.
pub trait Evidence {
    /// Evaluates a metric query now; at most one sample in each series. No data is an empty
    /// list.
    fn instant(&self, slot: &str, query: &str) -> Result<Vec<Series>, Failure>;

    /// Evaluates a metric query over the last `window_ms`, every `step_ms`.
    fn range(
        &self,
        slot: &str,
        query: &str,
        window_ms: u32,
        step_ms: u32,
    ) -> Result<Vec<Series>, Failure>;

    /// Evaluates several queries now, in one round of evidence: a gate that asks them one by one
    /// runs once more for each. The answers are in the order of the queries.
    fn instants(&self, slot: &str, queries: &[String]) -> Result<Vec<Vec<Series>>, Failure> {
        let answers = queries.iter().map(|query| self.instant(slot, query));
        all_asked(answers)
    }

    /// The same over the last `window_ms`, every `step_ms`.
    fn ranges(
        &self,
        slot: &str,
        queries: &[String],
        window_ms: u32,
        step_ms: u32,
    ) -> Result<Vec<Vec<Series>>, Failure> {
        let answers = queries
            .iter()
            .map(|query| self.range(slot, query, window_ms, step_ms));
        all_asked(answers)
    }

    /// HTTP GET to a path below an address that the host holds.
    fn get(&self, slot: &str, path: &str) -> Result<Response, Failure>;

    /// Gets several paths, in one round of evidence. The answers are in the order of the paths.
    fn gets(&self, slot: &str, paths: &[String]) -> Result<Vec<Response>, Failure> {
        let answers = paths.iter().map(|path| self.get(slot, path));
        all_asked(answers)
    }

    /// Sums up the nodes of a cohort of a cluster over the last `window_ms`.
    fn summary(
        &self,
        slot: &str,
        cluster: &str,
        cohort: Cohort,
        window_ms: u32,
    ) -> Result<ProbeSummary, Failure>;

    /// The same for several clusters, in one round of evidence. The answers are in the order of
    /// the clusters.
    fn summaries(
        &self,
        slot: &str,
        clusters: &[String],
        cohort: Cohort,
        window_ms: u32,
    ) -> Result<Vec<ProbeSummary>, Failure> {
        let answers = clusters
            .iter()
            .map(|cluster| self.summary(slot, cluster, cohort, window_ms));
        all_asked(answers)
    }

    /// Asks questions of every kind, over any slots, in one round of evidence. The answers are in
    /// the order of the questions; make these with [`ask`].
    fn ask(&self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
        let answers = questions.iter().map(|question| match question {
            Question::Instant(asked) => self.instant(&asked.slot, &asked.query).map(Answer::Series),
            Question::Range(asked) => self
                .range(&asked.slot, &asked.query, asked.window_ms, asked.step_ms)
                .map(Answer::Series),
            Question::Get(asked) => self.get(&asked.slot, &asked.path).map(Answer::Response),
            Question::Summary(asked) => {
                let cohort = match asked.cohort.as_str() {
                    "baseline" => Cohort::Baseline,
                    _ => Cohort::New,
                };
                self.summary(&asked.slot, &asked.cluster, cohort, asked.window_ms)
                    .map(Answer::Summary)
            }
        });
        all_asked(answers)
    }
}

/// Questions for [`Evidence::ask`].
///
/// ```
/// use wavegate_sdk::harness::Recorded;
/// use wavegate_sdk::{Answer, Evidence, ask, failure};
///
/// let evidence = Recorded::new()
///     .instant("metrics", "up", Ok(Vec::new()))
///     .get("web", "/version", Err(failure("gone", "nobody answers")));
/// let up = ask::instant("metrics", "up");
/// assert_eq!(evidence.ask(&[up.clone()]), Ok(vec![Answer::Series(Vec::new())]));
/// // Both were asked by then; the first failure is the answer.
/// assert!(evidence.ask(&[up, ask::get("web", "/version")]).is_err());
/// assert_eq!(evidence.asked().len(), 3);
/// ```
pub mod ask {
    use super::{Cohort, GetQuestion, InstantQuestion, Question, RangeQuestion, SummaryQuestion};

    /// As [`Evidence::instant`](super::Evidence::instant).
    pub fn instant(slot: &str, query: impl Into<String>) -> Question {
        Question::Instant(InstantQuestion {
            slot: slot.to_owned(),
            query: query.into(),
        })
    }

    /// As [`Evidence::range`](super::Evidence::range).
    pub fn range(slot: &str, query: impl Into<String>, window_ms: u32, step_ms: u32) -> Question {
        Question::Range(RangeQuestion {
            slot: slot.to_owned(),
            query: query.into(),
            window_ms,
            step_ms,
        })
    }

    /// As [`Evidence::get`](super::Evidence::get).
    pub fn get(slot: &str, path: impl Into<String>) -> Question {
        Question::Get(GetQuestion {
            slot: slot.to_owned(),
            path: path.into(),
        })
    }

    /// As [`Evidence::summary`](super::Evidence::summary).
    pub fn summary(
        slot: &str,
        cluster: impl Into<String>,
        cohort: Cohort,
        window_ms: u32,
    ) -> Question {
        Question::Summary(SummaryQuestion {
            slot: slot.to_owned(),
            cluster: cluster.into(),
            cohort: cohort.as_str().to_owned(),
            window_ms,
        })
    }
}

/// All answers, or the first failure: whoever asks at once has asked everything by then.
fn all_asked<A>(answers: impl Iterator<Item = Result<A, Failure>>) -> Result<Vec<A>, Failure> {
    let answers: Vec<_> = answers.collect();
    answers.into_iter().collect()
}

/// Evidence from the host. Functions that a gate does not call are not imported.
#[doc(hidden)]
pub struct HostEvidence;

#[cfg(target_arch = "wasm32")]
impl Evidence for HostEvidence {
    fn instant(&self, slot: &str, query: &str) -> Result<Vec<Series>, Failure> {
        crate::bindings::gate::wavegate::plugin::metrics::instant(slot, query)
    }

    fn range(
        &self,
        slot: &str,
        query: &str,
        window_ms: u32,
        step_ms: u32,
    ) -> Result<Vec<Series>, Failure> {
        crate::bindings::gate::wavegate::plugin::metrics::range(slot, query, window_ms, step_ms)
    }

    fn instants(&self, slot: &str, queries: &[String]) -> Result<Vec<Vec<Series>>, Failure> {
        crate::bindings::gate::wavegate::plugin::metrics::instants(slot, queries)
    }

    fn ranges(
        &self,
        slot: &str,
        queries: &[String],
        window_ms: u32,
        step_ms: u32,
    ) -> Result<Vec<Vec<Series>>, Failure> {
        crate::bindings::gate::wavegate::plugin::metrics::ranges(slot, queries, window_ms, step_ms)
    }

    fn get(&self, slot: &str, path: &str) -> Result<Response, Failure> {
        crate::bindings::gate::wavegate::plugin::http::get(slot, path)
    }

    fn gets(&self, slot: &str, paths: &[String]) -> Result<Vec<Response>, Failure> {
        crate::bindings::gate::wavegate::plugin::http::gets(slot, paths)
    }

    fn ask(&self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
        crate::bindings::gate::wavegate::plugin::evidence::ask(questions)
    }

    fn summary(
        &self,
        slot: &str,
        cluster: &str,
        cohort: Cohort,
        window_ms: u32,
    ) -> Result<ProbeSummary, Failure> {
        crate::bindings::gate::wavegate::plugin::probes::summary(
            slot,
            cluster,
            cohort.as_str(),
            window_ms,
        )
    }

    fn summaries(
        &self,
        slot: &str,
        clusters: &[String],
        cohort: Cohort,
        window_ms: u32,
    ) -> Result<Vec<ProbeSummary>, Failure> {
        crate::bindings::gate::wavegate::plugin::probes::summaries(
            slot,
            clusters,
            cohort.as_str(),
            window_ms,
        )
    }
}
