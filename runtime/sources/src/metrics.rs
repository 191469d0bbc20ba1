//! Probes as metrics: a small query language, and the series that it selects.

use std::collections::BTreeMap;
use wavegate_model::evidence::{ProbeSummary, Requests, Series};
use wavegate_model::{ClusterName, Timestamp};

/// What a cluster's nodes are divided into.
pub(crate) const COHORTS: [&str; 2] = ["new", "baseline"];
const NAMES: [&str; 4] = ["requests_total", "failed_total", "success_ratio", "p95_ms"];
const LABELS: [&str; 3] = ["cluster", "cohort", "origin"];

/// What a query selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    metric: &'static str,
    labels: BTreeMap<&'static str, String>,
}

/// The text is not a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadQuery {
    #[error("there is no series `{0}`, only {names}", names = NAMES.join(", "))]
    UnknownName(String),
    #[error("there is no label `{0}`, only {labels}", labels = LABELS.join(", "))]
    UnknownLabel(String),
    #[error("the label `{0}` is named twice")]
    Repeated(&'static str),
    #[error(
        "expected {expected} at `{rest}`; a query looks like `success_ratio{{cohort=\"new\"}}`"
    )]
    Expected {
        expected: &'static str,
        rest: String,
    },
}

impl Selection {
    /// Parses `name` or `name{label="value",..}`.
    pub(crate) fn parse(query: &str) -> Result<Self, BadQuery> {
        let query = query.trim();
        let (name, rest) = query.split_at(query.find('{').unwrap_or(query.len()));
        let name = name.trim_end();
        let metric = NAMES.into_iter().find(|known| *known == name);
        let metric = metric.ok_or_else(|| BadQuery::UnknownName(name.to_owned()))?;
        let mut labels = BTreeMap::new();
        let Some(mut rest) = rest.strip_prefix('{') else {
            return Ok(Self { metric, labels });
        };
        loop {
            rest = rest.trim_start();
            // A comma may end the list, as in other languages for metrics.
            if let Some(end) = rest.strip_prefix('}') {
                return match end.trim() {
                    "" => Ok(Self { metric, labels }),
                    _ => Err(expected("the end", end)),
                };
            }
            let (label, value, after) = matcher(rest)?;
            if labels.insert(label, value).is_some() {
                return Err(BadQuery::Repeated(label));
            }
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None if rest.starts_with('}') => {}
                None => return Err(expected("`,` or `}`", rest)),
            }
        }
    }

    fn wants(&self, label: &str, value: &str) -> bool {
        self.labels.get(label).is_none_or(|wanted| wanted == value)
    }

    /// The one cluster that is asked for, if it is one.
    pub(crate) fn cluster(&self) -> Option<&str> {
        self.labels.get("cluster").map(String::as_str)
    }

    pub(crate) fn wants_cluster(&self, name: &str) -> bool {
        self.wants("cluster", name)
    }

    pub(crate) fn wants_cohort(&self, cohort: &str) -> bool {
        self.wants("cohort", cohort)
    }

    /// The selected series of one summary, each with one sample.
    pub(crate) fn series(
        &self,
        cluster: &ClusterName,
        cohort: &str,
        summary: &ProbeSummary,
        now: Timestamp,
    ) -> impl Iterator<Item = Series> {
        let origins = [("checks", summary.checks), ("traffic", summary.traffic)];
        let wanted = origins
            .into_iter()
            .filter(|(origin, _)| self.wants("origin", origin));
        wanted.filter_map(move |(origin, requests)| {
            let labels = [
                ("cluster", cluster.as_str()),
                ("cohort", cohort),
                ("origin", origin),
            ];
            Some(Series {
                labels: labels
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .to_vec(),
                samples: vec![(as_f64(now.0), self.value(&requests)?)],
            })
        })
    }

    fn value(&self, requests: &Requests) -> Option<f64> {
        let (total, failed) = (f64::from(requests.total), f64::from(requests.failed));
        match self.metric {
            "requests_total" => Some(total),
            "failed_total" => Some(failed),
            "success_ratio" => (requests.total > 0).then(|| 1.0 - failed / total),
            _ => requests.p95_ms,
        }
    }
}

/// Parses `label="value"` and gives what follows it.
fn matcher(text: &str) -> Result<(&'static str, String, &str), BadQuery> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return Err(expected("a label", text));
    }
    let label = LABELS.into_iter().find(|known| *known == name);
    let label = label.ok_or_else(|| BadQuery::UnknownLabel(name.to_owned()))?;
    let rest = rest.trim_start();
    let after = rest
        .strip_prefix('=')
        .ok_or_else(|| expected("`=`", rest))?
        .trim_start();
    let quoted = after
        .strip_prefix('"')
        .ok_or_else(|| expected("a quoted value", after))?;
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((label, value, &quoted[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => return Err(expected("`\\\"` or `\\\\`", &quoted[at..])),
            },
            _ => value.push(c),
        }
    }
    Err(expected("a closing quote", after))
}

fn expected(expected: &'static str, rest: &str) -> BadQuery {
    const SHOWN: usize = 40;
    BadQuery::Expected {
        expected,
        rest: rest.chars().take(SHOWN).collect(),
    }
}

/// Instants are far below 2^53, so this is exact.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since the epoch fit into 53 bits for 285,000 years"
)]
fn as_f64(ms: u64) -> f64 {
    ms as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_parsed() {
        let parsed = |query: &str| {
            let selection = Selection::parse(query).unwrap();
            let labels: Vec<_> = selection.labels.into_iter().collect();
            (selection.metric, labels)
        };
        let label = |name: &'static str, value: &str| (name, value.to_owned());
        assert_eq!(parsed("requests_total"), ("requests_total", vec![]));
        assert_eq!(parsed(" p95_ms { } "), ("p95_ms", vec![]));
        assert_eq!(
            parsed(r#"success_ratio{cohort="new", cluster = "a\"b\\c{},",}"#),
            (
                "success_ratio",
                vec![label("cluster", r#"a"b\c{},"#), label("cohort", "new")]
            )
        );
    }

    #[test]
    fn what_is_no_query_is_refused_with_the_place() {
        for (query, says) in [
            ("", "no series ``"),
            ("latency", "no series `latency`, only requests_total"),
            ("p95_ms{zone=\"a\"}", "no label `zone`, only cluster"),
            (
                "p95_ms{cohort=\"a\",cohort=\"b\"}",
                "`cohort` is named twice",
            ),
            ("p95_ms{cohort}", "expected `=` at `}`"),
            ("p95_ms{cohort=new}", "expected a quoted value at `new}`"),
            ("p95_ms{cohort=\"new}", "expected a closing quote"),
            ("p95_ms{cohort=\"\\n\"}", "expected `\\\"` or `\\\\`"),
            ("p95_ms{cohort=\"new\"", "expected `,` or `}`"),
            (
                "p95_ms{cohort=\"new\" cluster=\"a\"}",
                "expected `,` or `}`",
            ),
            ("p95_ms{,}", "expected a label"),
            ("p95_ms{} > 3", "expected the end"),
        ] {
            let error = Selection::parse(query).unwrap_err().to_string();
            assert!(error.contains(says), "{query}: {error}");
        }
    }

    #[test]
    fn without_requests_there_is_no_ratio_and_no_quantile() {
        let cluster = ClusterName::from("a");
        let count = |query: &str, summary: &ProbeSummary| {
            Selection::parse(query)
                .unwrap()
                .series(&cluster, "new", summary, Timestamp(7))
                .count()
        };
        let traffic = Requests {
            total: 8,
            failed: 2,
            p95_ms: Some(4.5),
            ..Requests::default()
        };
        let summary = ProbeSummary {
            checks: Requests::default(),
            traffic,
        };
        assert_eq!(count("requests_total", &summary), 2);
        assert_eq!(count("success_ratio", &summary), 1);
        assert_eq!(count("p95_ms", &summary), 1);
        assert_eq!(count("success_ratio{origin=\"checks\"}", &summary), 0);
        let ratio = Selection::parse("success_ratio").unwrap();
        let series: Vec<_> = ratio
            .series(&cluster, "new", &summary, Timestamp(7))
            .collect();
        assert_eq!(series[0].samples, [(7.0, 0.75)]);
        let labels: Vec<_> = series[0]
            .labels
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            labels,
            [("cluster", "a"), ("cohort", "new"), ("origin", "traffic")]
        );
    }
}
