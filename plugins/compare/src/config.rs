//! The configuration.

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use wavegate_sdk::units::{Millis, Ratio, number};
use wavegate_sdk::{Problem, problem, query};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    pub(crate) query: String,
    pub(crate) baseline_query: Option<String>,
    pub(crate) before: Option<String>,
    #[serde(default)]
    pub(crate) against: Against,
    #[serde(default)]
    pub(crate) without_control: WithoutControl,
    #[serde(default = "default_label")]
    pub(crate) cluster_label: String,
    #[serde(default)]
    pub(crate) method: Method,
    #[serde(default)]
    pub(crate) worse: Worse,
    #[serde(default)]
    pub(crate) tolerated: Margin,
    pub(crate) critical: Margin,
    #[serde(default = "default_confidence")]
    pub(crate) confidence: Ratio,
    #[serde(default = "default_samples")]
    pub(crate) min_samples: u32,
    #[serde(default = "default_window")]
    pub(crate) window: Millis,
    step: Option<Millis>,
    #[serde(default = "default_name")]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) unit: String,
}

fn default_label() -> String {
    "cluster".to_owned()
}

fn default_confidence() -> Ratio {
    Ratio::parse("98%").expect("a constant that a test reads")
}

/// With ten samples on each side the test has some power, and its approximation holds.
fn default_samples() -> u32 {
    10
}

fn default_window() -> Millis {
    Millis::from_secs(600)
}

fn default_name() -> String {
    "value".to_owned()
}

/// Samples of a window, unless the configuration says otherwise: a quarter of a minute in
/// ten minutes, as often as servers are usually scraped.
const SAMPLES_PER_WINDOW: u32 = 40;

/// What the new nodes of a cluster are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Against {
    /// Nodes of the same cluster that run its baseline.
    #[default]
    Baseline,
    /// Clusters that the rollout has not touched.
    Untouched,
}

/// What to do when there is nothing to compare with, such as a cluster that is all new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WithoutControl {
    #[default]
    Hold,
    /// The last comparison of the cluster in this phase counts on, if it passed.
    Last,
    /// Untouched clusters instead of baseline nodes.
    Untouched,
}

/// How it is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Method {
    #[default]
    Ranks,
    Sequential,
}

/// Which direction is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Worse {
    #[default]
    Higher,
    Lower,
    Either,
}

/// An amount of change: in the unit of the metric, or a share of what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Margin {
    Absolute(f64),
    Share(f64),
}

impl Default for Margin {
    fn default() -> Self {
        Self::Absolute(0.0)
    }
}

impl Margin {
    /// A value made larger by the margin.
    pub(crate) fn above(self, value: f64) -> f64 {
        match self {
            Self::Absolute(amount) => value + amount,
            Self::Share(share) => value + share * value.abs(),
        }
    }

    /// The same, and at least the next double: a share of nothing is still a step, so that
    /// two sides without a single error are not critically different.
    pub(crate) fn strictly_above(self, value: f64) -> f64 {
        self.above(value).max(value.next_up())
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.amount() == 0.0
    }

    fn amount(self) -> f64 {
        match self {
            Self::Absolute(amount) | Self::Share(amount) => amount,
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::Absolute(amount) => number(amount),
            Self::Share(share) => format!("{} %", number(share * 100.0)),
        }
    }
}

impl<'de> Deserialize<'de> for Margin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MarginVisitor;
        impl Visitor<'_> for MarginVisitor {
            type Value = Margin;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("a number from 0 on, or a percentage such as \"10%\"")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Margin, E> {
                match value.is_finite() && value >= 0.0 {
                    true => Ok(Margin::Absolute(value)),
                    false => Err(E::custom("must not be below 0")),
                }
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Margin, E> {
                let small = u32::try_from(value).map_err(|_| E::custom("the number is too large"));
                small.map(|value| Margin::Absolute(f64::from(value)))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Margin, E> {
                Err(E::custom("must not be below 0"))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Margin, E> {
                // A change may be larger than the whole, so this is no `Ratio`.
                let share = value.strip_suffix('%').and_then(|percent| {
                    let plain = percent.bytes().all(|b| b.is_ascii_digit() || b == b'.');
                    plain.then(|| format!("{percent}e-2").parse().ok())?
                });
                share
                    .map(Margin::Share)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(value), &self))
            }
        }
        deserializer.deserialize_any(MarginVisitor)
    }
}

/// Placeholders of a query, and what they stand for.
const PLACEHOLDERS: [&str; 7] = [
    "cluster", "clusters", "running", "cohort", "release", "version", "baseline",
];

impl Config {
    /// Distance of the samples.
    pub(crate) fn step_ms(&self) -> u32 {
        let step = self.step.map(Millis::get);
        step.unwrap_or(self.window.get() / SAMPLES_PER_WINDOW)
            .max(1)
    }

    /// The probability of a false statement that is accepted.
    pub(crate) fn alpha(&self) -> f64 {
        1.0 - self.confidence.get()
    }

    /// What the schema cannot say.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |pointer: &str, text: &str| problems.push(problem(pointer, text));
        if self.window.get() == 0 {
            add("/window", "must be longer than nothing");
        }
        if let Some(step) = self.step
            && (step.get() == 0 || step > self.window)
        {
            add(
                "/step",
                "must be longer than nothing and at most the window",
            );
        }
        let confidence = self.confidence.get();
        if !(0.5..1.0).contains(&confidence) {
            add("/confidence", "must be at least 50% and less than 100%");
        }
        // Two numbers can be told apart only up from here.
        if self.min_samples < 2 {
            add("/minSamples", "must be at least 2");
        }
        if self.critical.amount() == 0.0 {
            let text = "must be more than 0: the least worsening that must not pass";
            add("/critical", text);
        }
        let one_kind = matches!(
            (self.tolerated, self.critical),
            (Margin::Absolute(_), Margin::Absolute(_)) | (Margin::Share(_), Margin::Share(_))
        );
        if self.tolerated.amount() > 0.0 && !one_kind {
            let text = "must be a percentage where critical is one, and a number where it is one";
            add("/tolerated", text);
        } else if self.tolerated.amount() >= self.critical.amount() {
            add("/tolerated", "must be less than critical");
        }
        if self.before.is_some() {
            if self.against == Against::Baseline {
                add("/before", "only makes sense against untouched clusters");
            }
            if matches!(self.critical, Margin::Share(_)) {
                let text = "what is compared with `before` are differences, of which no share \
                            can be taken: give a number";
                add("/critical", text);
            }
        }
        if self.against == Against::Untouched && self.without_control == WithoutControl::Untouched {
            add(
                "/withoutControl",
                "`untouched` is what it is compared with already",
            );
        }
        self.check_queries(&mut problems);
        problems
    }

    fn check_queries(&self, problems: &mut Vec<Problem>) {
        let queries = [
            ("/query", Some(&self.query)),
            ("/baselineQuery", self.baseline_query.as_ref()),
            ("/before", self.before.as_ref()),
        ];
        for (pointer, text) in queries {
            let Some(text) = text else { continue };
            for name in query::placeholders(text) {
                if !PLACEHOLDERS.contains(&name) {
                    let known = PLACEHOLDERS
                        .map(|name| format!("{{{{{name}}}}}"))
                        .join(", ");
                    let text = format!("{{{{{name}}}}} is not known; there are {known}");
                    problems.push(problem(pointer, text));
                }
            }
            if !query::has(text, "cluster") && !query::has(text, "clusters") {
                let text = "must ask for one cluster, as in cluster=\"{{cluster}}\", or for all \
                            at once, as in cluster=~\"{{clusters}}\"";
                problems.push(problem(pointer, text));
            }
        }
        let tells = ["running", "cohort", "release", "version", "baseline"];
        if self.against == Against::Baseline
            && self.baseline_query.is_none()
            && !tells.iter().any(|name| query::has(&self.query, name))
        {
            let text = "does not tell new nodes from those of the baseline: use {{running}}, the \
                        digest that the asked nodes run, or {{cohort}}, which is new or baseline, \
                        or give a baselineQuery";
            problems.push(problem("/query", text));
        }
    }
}
