//! The configuration, and the query that it makes.

use serde::Deserialize;
use wavegate_sdk::units::Millis;
use wavegate_sdk::{GateCluster, Problem, Release, problem, query};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    query: String,
    pub(crate) max: Option<f64>,
    pub(crate) min: Option<f64>,
    #[serde(default)]
    pub(crate) aggregate: Aggregate,
    pub(crate) window: Option<Millis>,
    step: Option<Millis>,
    #[serde(default)]
    pub(crate) on_no_data: OnNoData,
    #[serde(default)]
    pub(crate) per_cluster: bool,
    pub(crate) cluster_label: Option<String>,
    #[serde(default = "default_name")]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) unit: String,
}

fn default_name() -> String {
    "value".to_owned()
}

/// How the samples of a series become one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Aggregate {
    Max,
    Min,
    Mean,
    #[default]
    Last,
}

/// What an empty answer means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnNoData {
    #[default]
    Hold,
    Fail,
}

/// Samples of a range query, unless the configuration says otherwise: enough to see a
/// course, few enough to be cheap for a source.
const SAMPLES_PER_WINDOW: u32 = 20;

impl Config {
    /// Distance of the samples of a range query over this window.
    pub(crate) fn step_ms(&self, window: Millis) -> u32 {
        let step = self.step.map(Millis::get);
        step.unwrap_or(window.get() / SAMPLES_PER_WINDOW).max(1)
    }

    /// The query with its placeholders filled in.
    pub(crate) fn query(&self, release: &Release, cluster: Option<&GateCluster>) -> String {
        let mut values = vec![
            ("release", release.digest.as_str()),
            ("version", &release.version),
        ];
        if let Some(cluster) = cluster {
            values.extend([
                ("cluster", cluster.name.as_str()),
                ("baseline", &cluster.baseline),
            ]);
        }
        query::fill(&self.query, &values)
    }

    /// Whether each updated cluster has a verdict of its own.
    pub(crate) fn tells_clusters_apart(&self) -> bool {
        self.per_cluster || self.cluster_label.is_some()
    }

    /// What the schema cannot say.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |pointer: &str, text: String| problems.push(problem(pointer, text));
        if self.max.is_none() && self.min.is_none() {
            add("", "a limit is needed: max, min or both".to_owned());
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            add("/min", "min must not be above max".to_owned());
        }
        if self.window.is_some_and(|window| window.get() == 0) {
            add("/window", "must be longer than nothing".to_owned());
        }
        if self.per_cluster && self.cluster_label.is_some() {
            let text = "perCluster asks once for each cluster, clusterLabel once for all of them; \
                        choose one";
            add("/clusterLabel", text.to_owned());
        }
        match (self.window, self.step) {
            (None, Some(_)) => add("/step", "a step needs a window".to_owned()),
            (Some(window), Some(step)) if step > window || step.get() == 0 => {
                add(
                    "/step",
                    "must be longer than nothing and at most the window".to_owned(),
                );
            }
            _ => {}
        }
        for name in query::placeholders(&self.query) {
            match name {
                "release" | "version" => {}
                "cluster" | "baseline" if self.per_cluster => {}
                "cluster" | "baseline" => {
                    add(
                        "/query",
                        format!("{{{{{name}}}}} needs perCluster to be true"),
                    );
                }
                _ => add(
                    "/query",
                    format!(
                        "{{{{{name}}}}} is not known; there are {{{{release}}}}, {{{{version}}}}, \
                         {{{{cluster}}}} and {{{{baseline}}}}"
                    ),
                ),
            }
        }
        problems
    }
}
