//! The configuration, and the queries that it makes.

use serde::Deserialize;
use wavegate_sdk::units::{Millis, Ratio, number};
use wavegate_sdk::{GateCluster, Problem, Release, problem, query};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    pub(crate) objective: Ratio,
    error_ratio: Option<String>,
    good: Option<String>,
    bad: Option<String>,
    total: Option<String>,
    #[serde(default = "default_windows")]
    pub(crate) windows: Vec<Pair>,
    #[serde(default = "default_requests")]
    pub(crate) min_requests: f64,
    #[serde(default)]
    pub(crate) per_cluster: bool,
    #[serde(default = "default_label")]
    pub(crate) cluster_label: String,
}

/// Two windows that must both burn faster than the factor.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pair {
    pub(crate) long: Millis,
    pub(crate) short: Millis,
    pub(crate) factor: f64,
}

/// The two pairs of the SRE Workbook that call somebody at once, of its table 5-8: 2 % of the
/// budget of 30 days in an hour, and 5 % in six hours.
fn default_windows() -> Vec<Pair> {
    let pair = |long, short, factor| Pair {
        long: Millis::from_secs(long),
        short: Millis::from_secs(short),
        factor,
    };
    vec![pair(3_600, 300, 14.4), pair(21_600, 1_800, 6.0)]
}

/// A ratio of nothing is none.
fn default_requests() -> f64 {
    1.0
}

fn default_label() -> String {
    "cluster".to_owned()
}

/// What the queries say about requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asked<'a> {
    /// The share of bad requests, and how many there were, if that is asked for.
    Ratio {
        ratio: &'a str,
        total: Option<&'a str>,
    },
    /// Good requests, and all.
    Good { good: &'a str, total: &'a str },
    /// Bad requests, and all.
    Bad { bad: &'a str, total: &'a str },
}

impl Config {
    /// The share of requests that may be bad: the error budget.
    pub(crate) fn budget(&self) -> f64 {
        // Decimal fractions lose their last digit in a difference: 99.9 % leaves 0.1 %.
        let budget = 1.0 - self.objective.get();
        (budget * 1e12).round() / 1e12
    }

    /// What is asked; none if the configuration says too little or too much.
    pub(crate) fn asked(&self) -> Option<Asked<'_>> {
        let fields = (&self.error_ratio, &self.good, &self.bad, &self.total);
        match fields {
            (Some(ratio), None, None, total) => Some(Asked::Ratio {
                ratio,
                total: total.as_deref(),
            }),
            (None, Some(good), None, Some(total)) => Some(Asked::Good { good, total }),
            (None, None, Some(bad), Some(total)) => Some(Asked::Bad { bad, total }),
            _ => None,
        }
    }

    /// All windows, each once, the shortest first.
    pub(crate) fn lengths(&self) -> Vec<Millis> {
        let pairs = self.windows.iter();
        let mut lengths: Vec<Millis> = pairs.flat_map(|pair| [pair.short, pair.long]).collect();
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }

    /// A query for these clusters over a window.
    pub(crate) fn query(
        &self,
        text: &str,
        window: Millis,
        release: &Release,
        clusters: &[&GateCluster],
    ) -> String {
        let window = match window.get() {
            ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
            ms => format!("{ms}ms"),
        };
        let names = query::any_of(clusters.iter().map(|cluster| cluster.name.as_str()));
        let baselines = query::any_of(clusters.iter().map(|cluster| cluster.baseline.as_str()));
        let one = clusters.first().map_or("", |cluster| &cluster.name);
        query::fill(
            text,
            &[
                ("window", &window),
                ("release", &release.digest),
                ("version", &release.version),
                ("baseline", &baselines),
                ("cluster", one),
                ("clusters", &names),
            ],
        )
    }

    /// Whether one question is asked for all clusters.
    pub(crate) fn at_once(&self) -> bool {
        self.texts().all(|(_, text)| !query::has(text, "cluster"))
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let texts = [
            ("/errorRatio", &self.error_ratio),
            ("/good", &self.good),
            ("/bad", &self.bad),
            ("/total", &self.total),
        ];
        texts
            .into_iter()
            .filter_map(|(pointer, text)| Some((pointer, text.as_deref()?)))
    }

    /// What the schema cannot say.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |pointer: &str, text: String| problems.push(problem(pointer, text));
        if self.asked().is_none() {
            let text = "either errorRatio, or total with one of good and bad";
            add("", text.to_owned());
        }
        if self.budget() <= 0.0 || self.objective.get() <= 0.0 {
            let text = "must be more than 0% and less than 100%: without a budget nothing burns";
            add("/objective", text.to_owned());
            return problems;
        }
        if !(self.min_requests.is_finite() && self.min_requests >= 1.0) {
            let text = "must be at least 1: a verdict needs requests";
            add("/minRequests", text.to_owned());
        }
        if self.min_requests > 1.0 && self.total.is_none() {
            let text = "needs `total`, or requests cannot be counted";
            add("/minRequests", text.to_owned());
        }
        if self.windows.is_empty() {
            add("/windows", "at least one pair is needed".to_owned());
        }
        for (i, pair) in self.windows.iter().enumerate() {
            if pair.short.get() == 0 || pair.short > pair.long {
                let text = "must be longer than nothing and at most the long window";
                add(&format!("/windows/{i}/short"), text.to_owned());
            }
            let most = 1.0 / self.budget();
            if !(pair.factor > 0.0 && pair.factor < most) {
                let text = format!(
                    "must be above 0 and below {}: with this objective nothing burns faster",
                    number(most)
                );
                add(&format!("/windows/{i}/factor"), text);
            }
        }
        self.check_texts(&mut problems);
        problems
    }

    fn check_texts(&self, problems: &mut Vec<Problem>) {
        let known = [
            "window", "release", "version", "baseline", "cluster", "clusters",
        ];
        for (pointer, text) in self.texts() {
            let mut add = |text: String| problems.push(problem(pointer, text));
            for name in query::placeholders(text) {
                match name {
                    "cluster" | "clusters" | "baseline" if !self.per_cluster => {
                        add(format!("{{{{{name}}}}} needs perCluster to be true"));
                    }
                    _ if known.contains(&name) => {}
                    _ => add(format!("{{{{{name}}}}} is not known; there are {known:?}")),
                }
            }
            if !query::has(text, "window") {
                add("must ask for a window, as in rate(errors[{{window}}])".to_owned());
            }
            let of_cluster = query::has(text, "cluster") || query::has(text, "clusters");
            if self.per_cluster && !of_cluster {
                let text = "must ask for {{cluster}}, or for {{clusters}} at once, with perCluster";
                add(text.to_owned());
            }
        }
    }
}
