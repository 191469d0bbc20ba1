//! Evidence, asked for by slot.

use crate::{Failure, ProbeSummary, Response, Series};

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
