//! A Prometheus server, or one that speaks its HTTP API.

use crate::client::{Ask, Client, Reply};
use crate::set::BadSource;
use crate::{Fault, Source, promql, what_is};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use wavegate_model::evidence::{EvidenceScope, Series};
use wavegate_model::source::PrometheusSource as PrometheusSpec;
use wavegate_model::{DurationMs, Evidence, Query, Timestamp};
use wavegate_ports::BoxFuture;

/// As JSON, an answer is several times as large as the evidence that may be made of it.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Prometheus itself gives no more steps of one range.
const STEPS_MAX: u64 = 11_000;
/// How far an instant looks back for a sample, unless it says otherwise: Prometheus' default.
const LOOKBACK: DurationMs = DurationMs::secs(300);

/// A Prometheus server: answers instant and range queries in its language.
///
/// Queries are evaluated at the instant of the evaluation that asks. A window ends there and is cut
/// off where the evidence starts, and so is how far an instant looks back for the last sample. A
/// range that is written inside a query (`rate(errors[5m])`) is its author's: it reaches back as
/// far as it says.
///
/// Labels that the owner fixes are added to every selector; a query whose selectors cannot be told
/// for certain is then refused. Samples that are not finite, and series without a sample, are left
/// out. An answer of which the server says that parts are missing is no answer.
pub struct PrometheusSource {
    client: Client,
    /// For every selector; empty if the owner fixes no labels.
    matchers: String,
    timeout: DurationMs,
    range_max: DurationMs,
    series_max: usize,
}

impl PrometheusSource {
    /// Checks the description; asks nobody.
    pub(crate) fn new(spec: &PrometheusSpec) -> Result<Self, BadSource> {
        let matchers: Result<Vec<String>, BadSource> = spec
            .labels
            .iter()
            .map(|(label, value)| {
                promql::matcher(label, value).ok_or_else(|| BadSource::Label(label.clone()))
            })
            .collect();
        Ok(Self {
            client: Client::new(&spec.endpoint)?,
            matchers: matchers?.join(","),
            timeout: spec.endpoint.timeout,
            range_max: spec.range_max,
            series_max: usize::try_from(spec.series_max).unwrap_or(usize::MAX),
        })
    }

    fn ask(&self, query: &Query, scope: &EvidenceScope) -> Result<Ask, Fault> {
        match query {
            Query::Instant { query, .. } => {
                let mut form = self.form(query, scope)?;
                form.field("time", &seconds(scope.now.0));
                Ok(Ask::PostForm("/api/v1/query", form.0))
            }
            Query::Range {
                query,
                window,
                step,
                ..
            } => {
                self.check_range(*window, *step)?;
                let start = Timestamp(scope.now.0.saturating_sub(window.0)).max(scope.start);
                let mut form = self.form(query, scope)?;
                form.field("start", &seconds(start.0.min(scope.now.0)));
                form.field("end", &seconds(scope.now.0));
                form.field("step", &seconds(step.0));
                Ok(Ask::PostForm("/api/v1/query_range", form.0))
            }
            Query::HttpGet { .. } | Query::Probe { .. } => Err(Fault::WrongKind(what_is(query))),
        }
    }

    fn check_range(&self, window: DurationMs, step: DurationMs) -> Result<(), Fault> {
        let refuse = |detail: String| Err(Fault::Refused(detail));
        if window > self.range_max {
            let (window, max) = (window.0, self.range_max.0);
            return refuse(format!(
                "its window is {window} ms, its owner allows {max} ms"
            ));
        }
        if step.0 == 0 || window.0 / step.0 >= STEPS_MAX {
            let (window, step) = (window.0, step.0);
            return refuse(format!(
                "{window} ms in steps of {step} ms are more than {STEPS_MAX} steps"
            ));
        }
        Ok(())
    }

    fn form(&self, query: &str, scope: &EvidenceScope) -> Result<Form, Fault> {
        let mut form = Form(String::new());
        if self.matchers.is_empty() {
            form.field("query", query);
        } else {
            let query = promql::with_matchers(query, &self.matchers)
                .map_err(|error| Fault::Refused(error.to_string()))?;
            form.field("query", &query);
        }
        // One more than allowed tells that there are too many. Older servers do not know it, and
        // give them all.
        form.field("limit", &self.series_max.saturating_add(1).to_string());
        form.field("timeout", &format!("{}ms", self.timeout.0));
        let since_start = scope.now.since(scope.start);
        let fresh_for = scope.fresh_for.unwrap_or(LOOKBACK);
        let back = since_start.min(fresh_for).max(DurationMs(1));
        if back < LOOKBACK {
            form.field("lookback_delta", &format!("{}ms", back.0));
        }
        Ok(form)
    }

    fn evidence(&self, reply: &Reply) -> Result<Evidence, Fault> {
        let status = reply.status;
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(&reply.body) else {
            let detail = format!("status {status}, without an answer of Prometheus' API");
            return Err(Fault::Unavailable(detail));
        };
        let data = match (status, answer.status.as_str(), answer.data) {
            (200, "success", Some(data)) => data,
            _ => return Err(failure(status, &answer.error_type, &answer.error)),
        };
        for warning in &answer.warnings {
            // Remarks on the query are told so; every other warning is about missing parts.
            if !warning.starts_with("PromQL ") {
                return Err(Fault::Unavailable(format!("not a whole answer: {warning}")));
            }
            tracing::warn!(%warning, "prometheus remarks on a query");
        }
        let series = data.series()?;
        if series.len() > self.series_max {
            return Err(Fault::Refused(format!(
                "it selects more than {} series, which is as many as its owner allows",
                self.series_max
            )));
        }
        Ok(Evidence::Series(series))
    }
}

/// What every Prometheus can answer, also through a proxy that asks for a selector.
const CHECK: &str = "count(up)";

impl Source for PrometheusSource {
    fn kind(&self) -> &'static str {
        "prometheus"
    }

    fn check(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let query = if self.matchers.is_empty() {
                CHECK.to_owned()
            } else {
                promql::with_matchers(CHECK, &self.matchers)
                    .map_err(|error| Fault::Refused(error.to_string()))?
            };
            let mut form = Form(String::new());
            form.field("query", &query);
            let ask = Ask::PostForm("/api/v1/query", form.0);
            let reply = self.client.ask(ask, BODY_BYTES_MAX).await?;
            self.evidence(&reply).map(drop)
        })
    }

    fn fetch<'a>(
        &'a self,
        query: &'a Query,
        scope: &'a EvidenceScope,
    ) -> BoxFuture<'a, Result<Evidence, Fault>> {
        Box::pin(async move {
            let ask = self.ask(query, scope)?;
            let reply = self.client.ask(ask, BODY_BYTES_MAX).await?;
            self.evidence(&reply)
        })
    }
}

/// An answer of the API; an error has no data.
#[derive(Deserialize)]
struct Answer<'a> {
    status: String,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(rename = "errorType", default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "resultType")]
    kind: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

/// Seconds since the epoch, and a number as text, which may be `NaN` or `+Inf`.
type Sample = (f64, String);

/// A series of a vector has a value, one of a matrix has values.
#[derive(Deserialize)]
struct Selected {
    metric: BTreeMap<String, String>,
    value: Option<Sample>,
    #[serde(default)]
    values: Vec<Sample>,
    histogram: Option<serde::de::IgnoredAny>,
    histograms: Option<serde::de::IgnoredAny>,
}

impl Data<'_> {
    fn series(&self) -> Result<Vec<Series>, Fault> {
        let selected = match self.kind.as_str() {
            "scalar" => vec![Selected {
                metric: BTreeMap::new(),
                value: Some(self.parse()?),
                values: Vec::new(),
                histogram: None,
                histograms: None,
            }],
            "vector" | "matrix" => self.parse()?,
            other => {
                let detail = format!("its result is a {other}, which is no series of numbers");
                return Err(Fault::Refused(detail));
            }
        };
        let mut list = Vec::new();
        for series in selected {
            if series.histogram.is_some() || series.histograms.is_some() {
                let detail = "its result holds native histograms, which are no numbers";
                return Err(Fault::Refused(detail.to_owned()));
            }
            let mut samples = Vec::new();
            for (at, value) in series.value.into_iter().chain(series.values) {
                let Ok(value) = value.parse::<f64>() else {
                    return Err(Fault::Unavailable("a sample is not a number".to_owned()));
                };
                if at.is_finite() && value.is_finite() {
                    samples.push(((at * 1000.0).round(), value));
                }
            }
            if !samples.is_empty() {
                let labels = series.metric.into_iter().collect();
                list.push(Series { labels, samples });
            }
        }
        Ok(list)
    }

    fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Fault> {
        serde_json::from_str(self.result.get()).map_err(|error| {
            Fault::Unavailable(format!("its {} cannot be read: {error}", self.kind))
        })
    }
}

/// What an error of the API means. Only `bad_data` blames the query; the rest may pass.
fn failure(status: u16, kind: &str, message: &str) -> Fault {
    match (kind, status) {
        ("bad_data", _) => Fault::Refused(message.to_owned()),
        ("", 401 | 403) => Fault::Unavailable(format!("status {status}: not let in")),
        ("", _) => Fault::Unavailable(format!("status {status}, without a reason")),
        _ => Fault::Unavailable(format!("{kind}: {message}")),
    }
}

/// Milliseconds as the API wants them, exactly.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Fields as `application/x-www-form-urlencoded`.
struct Form(String);

impl Form {
    fn field(&mut self, name: &str, value: &str) {
        let separator = if self.0.is_empty() { "" } else { "&" };
        self.0.extend([separator, name, "="]);
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(self.0, "%{byte:02X}");
            }
        }
    }
}
