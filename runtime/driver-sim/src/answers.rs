//! What simulated sources answer to metric and HTTP queries.
//!
//! The queries are texts in a language of the source. What such a query is about is taken from
//! the names in it: clusters, and the digest of the release or of a baseline.

use crate::cluster::Cohort;
use crate::fleet::Fleet;
use crate::requests::{Counted, Quantile};
use crate::rng::{Rng, as_f64, within};
use wavegate_model::evidence::{EvidenceScope, Series};
use wavegate_model::simulation::{Metric, Value};
use wavegate_model::{DurationMs, Evidence, Query, SourceName};

/// How far back a query looks that says nothing about it.
const LOOK_BACK: DurationMs = DurationMs::secs(60);
/// Points of a range: more than a gate can take.
const POINTS_MAX: u64 = 11_000;

/// What a query is about.
struct About {
    clusters: Vec<usize>,
    cohorts: Vec<Cohort>,
    /// How far back the query itself looks from each of its points.
    back: u64,
}

/// The simulation does not say what a query is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// Which source.
    pub source: SourceName,
    /// The query, or the path.
    pub query: String,
}

/// Whether a text has a word of its own: nothing beside it could be a part of the same name.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

/// The first range in brackets.
fn range(text: &str) -> Option<DurationMs> {
    let (_, rest) = text.split_once('[')?;
    let end = rest.find([']', ':'])?;
    DurationMs::parse(&rest[..end]).ok()
}

impl Fleet {
    fn about(&self, text: &str, scope: &EvidenceScope) -> About {
        let known: Vec<usize> = scope
            .baselines
            .keys()
            .filter_map(|name| self.find(name))
            .collect();
        let named: Vec<usize> = known
            .iter()
            .copied()
            .filter(|number| has_word(text, self.clusters[*number].name.as_str()))
            .collect();
        let new = text.contains(scope.release.text().hex()) || has_word(text, "new");
        let old = has_word(text, "baseline")
            || scope
                .baselines
                .values()
                .any(|digest| text.contains(digest.text().hex()));
        let cohorts = match (new, old) {
            (true, false) => vec![Cohort::New],
            (false, true) => vec![Cohort::Old],
            (true, true) | (false, false) => vec![Cohort::New, Cohort::Old],
        };
        About {
            clusters: if named.is_empty() { known } else { named },
            cohorts,
            back: range(text).unwrap_or(LOOK_BACK).0,
        }
    }

    /// Answers an instant or a range query, or the path of an HTTP query.
    pub(crate) fn answer(
        &self,
        source: &SourceName,
        query: &Query,
        scope: &EvidenceScope,
    ) -> Result<Evidence, NoAnswer> {
        let (text, window, step) = match query {
            Query::Instant { query, .. } => (query, 0, 1),
            Query::Range {
                query,
                window,
                step,
                ..
            } => (query, window.0, step.0.max(1)),
            Query::HttpGet { path, .. } => return self.page(source, path, scope),
            Query::Probe { cluster, .. } => {
                return Err(NoAnswer {
                    source: source.clone(),
                    query: format!("a probe of {cluster}"),
                });
            }
        };
        let fits = |m: &&Metric| m.source == *source && text.contains(&m.contains);
        let Some(metric) = self.model.metrics.iter().find(fits) else {
            return Err(NoAnswer {
                source: source.clone(),
                query: text.clone(),
            });
        };
        let about = self.about(text, scope);
        let first = scope.start.0.max(scope.now.0.saturating_sub(window));
        let count = ((scope.now.0 - first.min(scope.now.0)) / step).min(POINTS_MAX);
        let points: Vec<u64> = (0..=count).rev().map(|n| scope.now.0 - n * step).collect();
        let mut all = Vec::new();
        let groups: Vec<(Option<usize>, Vec<usize>)> = match metric.cluster_label {
            Some(_) => about
                .clusters
                .iter()
                .map(|n| (Some(*n), vec![*n]))
                .collect(),
            None => vec![(None, about.clusters.clone())],
        };
        for (one, clusters) in groups {
            let skew = clusters.first().map_or(0.0, |number| self.skew(*number));
            let sample = |at: &u64| {
                let value = self.value(metric, &clusters, &about, *at)?;
                Some(((as_f64(*at) + skew).min(as_f64(scope.now.0)), value))
            };
            let samples: Vec<(f64, f64)> = points.iter().filter_map(sample).collect();
            if samples.is_empty() {
                continue;
            }
            let label = metric
                .cluster_label
                .iter()
                .zip(one)
                .map(|(label, number)| (label.clone(), self.clusters[number].name.to_string()));
            all.push(Series {
                labels: label.collect(),
                samples,
            });
        }
        Ok(Evidence::Series(all))
    }

    /// How far a cluster's clock is off. Sources leave out samples from the future, so one that is
    /// ahead shows as one that is right.
    fn skew(&self, number: usize) -> f64 {
        let most = as_f64(self.model.network.skew.0);
        let mut rng = Rng::new(within(self.clusters[number].seed, 40));
        (rng.unit() * 2.0 - 1.0) * most
    }

    fn value(&self, metric: &Metric, clusters: &[usize], about: &About, at: u64) -> Option<f64> {
        let value = metric.value;
        let from = at.saturating_sub(about.back);
        let pairs = || {
            clusters
                .iter()
                .flat_map(|number| about.cohorts.iter().map(move |cohort| (*number, *cohort)))
        };
        if value == Value::Nodes {
            let nodes = pairs().map(|(n, c)| self.clusters[n].serving(c, at, 0).nodes);
            return Some(f64::from(nodes.sum::<u32>()));
        }
        let quantile = match value {
            Value::P50 => Some(Quantile::P50),
            Value::P95 => Some(Quantile::P95),
            Value::P99 => Some(Quantile::P99),
            _ => None,
        };
        let counted = pairs().map(|(n, c)| (n, c, self.counted(n, c, from, at)));
        if let Some(which) = quantile {
            // The worst of those that are asked about.
            let values = counted.filter_map(|(n, c, it)| self.latency(n, c, it, which, at));
            return values.reduce(f64::max).map(|ms| metric.unit.of_ms(ms));
        }
        let mut sum = Counted::default();
        for (_, _, it) in counted {
            sum.good += it.good;
            sum.failed += it.failed;
            sum.took = sum.took.max(it.took);
        }
        let (failed, total) = (as_f64(sum.failed), as_f64(sum.total()));
        let seconds = as_f64(sum.took) / 1000.0;
        let some = |wanted: f64, value: f64| (wanted > 0.0).then_some(value);
        match value {
            Value::Requests => Some(total),
            Value::Failed => Some(failed),
            Value::Succeeded => Some(total - failed),
            Value::RequestRate => some(seconds, total / seconds),
            Value::FailureRate => some(seconds, failed / seconds),
            Value::ErrorRatio => some(total, failed / total),
            Value::SuccessRatio => some(total, 1.0 - failed / total),
            Value::P50 | Value::P95 | Value::P99 | Value::Nodes => None,
        }
    }

    fn page(
        &self,
        source: &SourceName,
        path: &str,
        scope: &EvidenceScope,
    ) -> Result<Evidence, NoAnswer> {
        let fits = |p: &&wavegate_model::simulation::Page| {
            p.source == *source && path.contains(&p.contains)
        };
        let Some(page) = self.model.pages.iter().find(fits) else {
            return Err(NoAnswer {
                source: source.clone(),
                query: path.to_owned(),
            });
        };
        let about = self.about(path, scope);
        let failing = about.clusters.iter().any(|number| self.affected(*number));
        let answer = if failing {
            &page.failing
        } else {
            &page.healthy
        };
        Ok(Evidence::Http {
            status: answer.status,
            content_type: "application/json".to_owned(),
            body: answer.body.clone().into_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_queries_are_whole_names() {
        assert!(has_word(r#"up{cluster="eu-1"}"#, "eu-1"));
        assert!(has_word(r#"up{cluster=~"eu-1|eu-10"}"#, "eu-10"));
        assert!(!has_word(r#"up{cluster="eu-10"}"#, "eu-1"));
        assert!(!has_word(r#"up{cluster="a-eu-1"}"#, "eu-1"));
        assert_eq!(range("rate(x[5m])"), Some(DurationMs::secs(300)));
        assert_eq!(range("x[1h:30s]"), Some(DurationMs::secs(3600)));
        assert_eq!(range("x"), None);
    }
}
