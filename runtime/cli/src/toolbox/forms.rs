//! Questions and evidence as case files write them: in the words of the contract, with defaults.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use wavegate_model::evidence::{ProbeSummary, Requests, Series};
use wavegate_model::plugin::{
    ClusterView, Completed, GateCall, GateCluster, GateView, Phase, Position, ReleaseId,
    SiteSummary, SiteView, Subject, Verdict,
};
use wavegate_model::{
    ClusterName, Digest, DurationMs, Evidence, GateName, Query, SiteName, Timestamp, WaveName,
};

/// An instant in 2027, so that cases need not say one.
const NOW: u64 = 1_800_000_000_000;
/// Evidence begins a minute earlier.
const SETTLED: u64 = 60_000;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct ReleaseForm {
    version: String,
    digest: String,
}

impl Default for ReleaseForm {
    fn default() -> Self {
        Self {
            version: "2.0".into(),
            digest: format!("sha256:{}", "2".repeat(64)),
        }
    }
}

impl ReleaseForm {
    fn model(self) -> Result<ReleaseId, String> {
        Ok(ReleaseId {
            version: self.version,
            digest: digest(&self.digest)?,
        })
    }
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).map_err(|error| format!("`{text}`: {error}"))
}

fn baseline(text: Option<String>) -> Result<Digest, String> {
    digest(&text.unwrap_or_else(|| format!("sha256:{}", "1".repeat(64))))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ClusterViewForm {
    name: String,
    #[serde(default)]
    role: String,
    baseline: Option<String>,
    #[serde(default)]
    desired: u32,
    #[serde(default)]
    new_ready: u32,
    #[serde(default)]
    new_unready: u32,
    #[serde(default)]
    baseline_ready: u32,
    #[serde(default)]
    baseline_unready: u32,
    #[serde(default)]
    other: u32,
    #[serde(default)]
    failed: u32,
    #[serde(default)]
    new_permille: u32,
    #[serde(default)]
    baseline_permille: u32,
    batch_max: Option<u32>,
    unavailable_max: Option<u32>,
    surge_max: Option<u32>,
}

impl ClusterViewForm {
    fn model(self) -> Result<ClusterView, String> {
        Ok(ClusterView {
            name: ClusterName::new(self.name),
            role: self.role,
            baseline: baseline(self.baseline)?,
            desired: self.desired,
            new_ready: self.new_ready,
            new_unready: self.new_unready,
            baseline_ready: self.baseline_ready,
            baseline_unready: self.baseline_unready,
            other: self.other,
            failed: self.failed,
            new_permille: self.new_permille,
            baseline_permille: self.baseline_permille,
            batch_max: self.batch_max.unwrap_or(self.desired),
            unavailable_max: self.unavailable_max.unwrap_or(1),
            surge_max: self.surge_max.unwrap_or(1),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct GateViewForm {
    name: String,
    last: Option<Verdict>,
    #[serde(default)]
    age_ms: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct PositionForm {
    wave_name: String,
    wave: u32,
    waves: u32,
    site: u32,
    sites: u32,
}

impl Default for PositionForm {
    fn default() -> Self {
        Self {
            wave_name: "wave".into(),
            wave: 1,
            waves: 1,
            site: 1,
            sites: 1,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct ViewForm {
    now: u64,
    site: String,
    clusters: Vec<ClusterViewForm>,
    splits_traffic: bool,
    release: ReleaseForm,
    stage: String,
    stage_elapsed_ms: u32,
    site_elapsed_ms: u32,
    time_left_ms: Option<u32>,
    completed: String,
    gates: Vec<GateViewForm>,
    position: PositionForm,
}

impl Default for ViewForm {
    fn default() -> Self {
        Self {
            now: NOW,
            site: "site".into(),
            clusters: Vec::new(),
            splits_traffic: true,
            release: ReleaseForm::default(),
            stage: String::new(),
            stage_elapsed_ms: 0,
            site_elapsed_ms: 0,
            time_left_ms: None,
            completed: String::new(),
            gates: Vec::new(),
            position: PositionForm::default(),
        }
    }
}

fn completed(word: &str) -> Result<Completed, String> {
    let known = [
        Completed::Nothing,
        Completed::Goal,
        Completed::Gates,
        Completed::Time,
        Completed::Person,
    ];
    let found = known.into_iter().find(|known| known.as_str() == word);
    found.ok_or_else(|| {
        format!("`{word}` is nothing that can be completed; known are goal, gates, time, person and \"\"")
    })
}

fn ms(ms: u32) -> DurationMs {
    DurationMs(u64::from(ms))
}

/// What a strategy sees.
pub(super) fn view(value: &Value) -> Result<SiteView, String> {
    let form: ViewForm = read(value)?;
    let clusters = form.clusters.into_iter().map(ClusterViewForm::model);
    let gates = form.gates.into_iter().map(|gate| GateView {
        name: GateName::new(gate.name),
        last: gate.last,
        age: ms(gate.age_ms),
    });
    let mut view = SiteView {
        now: Timestamp(form.now),
        site: SiteName::new(form.site),
        clusters: clusters.collect::<Result<_, _>>()?,
        splits_traffic: form.splits_traffic,
        release: form.release.model()?,
        stage: form.stage,
        stage_elapsed: ms(form.stage_elapsed_ms),
        site_elapsed: ms(form.site_elapsed_ms),
        time_left: form.time_left_ms.map(ms),
        completed: completed(&form.completed)?,
        gates: gates.collect(),
        position: Position {
            wave_name: WaveName::new(form.position.wave_name),
            wave: form.position.wave,
            waves: form.position.waves,
            site: form.position.site,
            sites: form.position.sites,
        },
    };
    // As the host does.
    view.clusters.sort_by(|a, b| a.name.cmp(&b.name));
    view.gates.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(view)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ClusterSummaryForm {
    name: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    desired: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct OutlineForm {
    #[serde(default = "site")]
    site: String,
    #[serde(default)]
    clusters: Vec<ClusterSummaryForm>,
    #[serde(default)]
    release: ReleaseForm,
}

fn site() -> String {
    "site".into()
}

/// A site before anything was observed, and the release.
pub(super) fn outline(value: &Value) -> Result<(SiteSummary, ReleaseId), String> {
    let form: OutlineForm = read(value)?;
    let clusters = form.clusters.into_iter();
    let summary = SiteSummary {
        site: SiteName::new(form.site),
        clusters: clusters
            .map(|c| (ClusterName::new(c.name), c.role, c.desired))
            .collect(),
    };
    Ok((summary, form.release.model()?))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SubjectForm {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct GateClusterForm {
    name: String,
    #[serde(default)]
    role: String,
    baseline: Option<String>,
    #[serde(default)]
    new_ready: u32,
    #[serde(default)]
    baseline_ready: u32,
}

impl GateClusterForm {
    fn model(self) -> Result<GateCluster, String> {
        Ok(GateCluster {
            name: ClusterName::new(self.name),
            role: self.role,
            baseline: baseline(self.baseline)?,
            new_ready: self.new_ready,
            baseline_ready: self.baseline_ready,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct GateCallForm {
    #[serde(default = "now")]
    now: u64,
    subject: Option<SubjectForm>,
    phase: Option<Phase>,
    #[serde(default)]
    attempt: u32,
    evidence_start: Option<u64>,
    #[serde(default)]
    release: ReleaseForm,
    #[serde(default)]
    updated: Vec<GateClusterForm>,
    #[serde(default)]
    untouched: Vec<GateClusterForm>,
}

fn now() -> u64 {
    NOW
}

fn subject(form: Option<SubjectForm>) -> Result<Subject, String> {
    let Some(form) = form else {
        return Ok(Subject::Site("site".into()));
    };
    match form.kind.as_str() {
        "site" => Ok(Subject::Site(form.name.as_str().into())),
        "wave" => Ok(Subject::Wave(form.name.as_str().into())),
        other => Err(format!(
            "`{other}` is no kind of subject; known are site and wave"
        )),
    }
}

/// What a gate judges.
pub(super) fn evaluate(value: &Value) -> Result<GateCall, String> {
    let form: GateCallForm = read(value)?;
    let clusters = |forms: Vec<GateClusterForm>| -> Result<Vec<GateCluster>, String> {
        let clusters = forms.into_iter().map(GateClusterForm::model);
        let mut clusters = clusters.collect::<Result<Vec<_>, _>>()?;
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(clusters)
    };
    let settled = form.now.saturating_sub(SETTLED);
    Ok(GateCall {
        now: Timestamp(form.now),
        subject: subject(form.subject)?,
        phase: form.phase.unwrap_or(Phase::AfterBatch),
        attempt: form.attempt,
        evidence_start: Timestamp(form.evidence_start.unwrap_or(settled)),
        release: form.release.model()?,
        updated: clusters(form.updated)?,
        untouched: clusters(form.untouched)?,
    })
}

/// A question by which evidence is found; what is left out matches anything.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Pattern {
    slot: Option<String>,
    query: Option<String>,
    path: Option<String>,
    cluster: Option<String>,
    cohort: Option<String>,
    window_ms: Option<u64>,
    step_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Instant,
    Range,
    Get,
    Summary,
}

/// What a source answers to which questions.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    asked: Asked,
    pattern: Pattern,
    pub(crate) answer: Evidence,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct EntryForm {
    instant: Option<Pattern>,
    range: Option<Pattern>,
    get: Option<Pattern>,
    summary: Option<Pattern>,
    series: Option<Vec<SeriesForm>>,
    status: Option<u32>,
    content_type: Option<String>,
    body: Option<Value>,
    checks: Option<RequestsForm>,
    traffic: Option<RequestsForm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SeriesForm {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    samples: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RequestsForm {
    #[serde(default)]
    total: u32,
    #[serde(default)]
    failed: u32,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl From<RequestsForm> for Requests {
    fn from(form: RequestsForm) -> Self {
        Self {
            total: form.total,
            failed: form.failed,
            p50_ms: form.p50_ms,
            p95_ms: form.p95_ms,
            p99_ms: form.p99_ms,
        }
    }
}

/// An entry of evidence.
pub(super) fn entry(value: &Value) -> Result<Entry, String> {
    let mut form: EntryForm = read(value)?;
    let asked = [
        (Asked::Instant, form.instant.take()),
        (Asked::Range, form.range.take()),
        (Asked::Get, form.get.take()),
        (Asked::Summary, form.summary.take()),
    ];
    let mut asked = asked
        .into_iter()
        .filter_map(|(asked, pattern)| Some((asked, pattern?)));
    let (Some((asked, pattern)), None) = (asked.next(), asked.next()) else {
        return Err("it takes one question: instant, range, get or summary".into());
    };
    let answer = match asked {
        Asked::Instant | Asked::Range => Evidence::Series(series(form.series.take())?),
        Asked::Get => Evidence::Http {
            status: form.status.take().unwrap_or(200),
            content_type: form.content_type.take().unwrap_or_default(),
            body: form
                .body
                .take()
                .map_or(Ok(Vec::new()), |body| bytes(&body))?,
        },
        Asked::Summary => Evidence::Probe(ProbeSummary {
            checks: form.checks.take().map(Requests::from).unwrap_or_default(),
            traffic: form.traffic.take().map(Requests::from).unwrap_or_default(),
        }),
    };
    // What was not taken belongs to another kind of question.
    let left = [
        ("series", form.series.is_some()),
        ("status", form.status.is_some()),
        ("content-type", form.content_type.is_some()),
        ("body", form.body.is_some()),
        ("checks", form.checks.is_some()),
        ("traffic", form.traffic.is_some()),
    ];
    match left.iter().find(|(_, is_left)| *is_left) {
        Some((field, _)) => Err(format!("`{field}` is no answer to this question")),
        None => Ok(Entry {
            asked,
            pattern,
            answer,
        }),
    }
}

fn series(forms: Option<Vec<SeriesForm>>) -> Result<Vec<Series>, String> {
    let forms = forms.ok_or("it takes `series`, which may be an empty list")?;
    let series = forms.into_iter().map(|form| Series {
        labels: form.labels.into_iter().collect(),
        samples: form.samples,
    });
    Ok(series.collect())
}

impl Entry {
    /// Whether it answers a question.
    pub(crate) fn answers(&self, query: &Query) -> bool {
        let is = |pattern: &Option<String>, value: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern == value)
        };
        let lasts =
            |pattern: Option<u64>, value: &DurationMs| pattern.is_none_or(|ms| ms == value.0);
        let pattern = &self.pattern;
        is(&pattern.slot, query.slot().as_str())
            && match (self.asked, query) {
                (Asked::Instant, Query::Instant { query, .. }) => is(&pattern.query, query),
                (
                    Asked::Range,
                    Query::Range {
                        query,
                        window,
                        step,
                        ..
                    },
                ) => {
                    is(&pattern.query, query)
                        && lasts(pattern.window_ms, window)
                        && lasts(pattern.step_ms, step)
                }
                (Asked::Get, Query::HttpGet { path, .. }) => is(&pattern.path, path),
                (
                    Asked::Summary,
                    Query::Probe {
                        cluster,
                        cohort,
                        window,
                        ..
                    },
                ) => {
                    is(&pattern.cluster, cluster.as_str())
                        && is(&pattern.cohort, cohort)
                        && lasts(pattern.window_ms, window)
                }
                _ => false,
            }
    }
}

/// Bytes: a text, `{hex: "00ff"}` with or without `times`, or `{json: …}`.
pub(crate) fn bytes(value: &Value) -> Result<Vec<u8>, String> {
    let wrong = || "bytes are a text, {hex: \"00ff\", times: 1} or {json: …}".to_owned();
    let members = match value {
        Value::String(text) => return Ok(text.clone().into_bytes()),
        Value::Object(members) => members,
        _ => return Err(wrong()),
    };
    if let (1, Some(json)) = (members.len(), members.get("json")) {
        return Ok(json.to_string().into_bytes());
    }
    let hex = members.get("hex").and_then(Value::as_str);
    let times = members.get("times").map_or(Some(1), Value::as_u64);
    let known = members.keys().all(|key| key == "hex" || key == "times");
    let (Some(hex), Some(times), true) = (hex, times, known) else {
        return Err(wrong());
    };
    let hex: String = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let state = wavegate_model::plugin::PluginState::try_from(hex.to_lowercase());
    let once = state.map_err(|_| wrong())?.0;
    let times = usize::try_from(times).unwrap_or(usize::MAX);
    if once.len().saturating_mul(times) > 4 << 20 {
        return Err("these are more than 4 MiB".into());
    }
    Ok(once.repeat(times))
}

fn read<'a, T: Deserialize<'a>>(value: &'a Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_view_needs_only_what_matters() {
        let view =
            view(&json!({"clusters": [{"name": "b", "desired": 4}, {"name": "a"}]})).unwrap();
        assert_eq!(view.clusters[0].name.as_str(), "a");
        assert_eq!(view.clusters[1].batch_max, 4);
        assert_eq!(view.completed, Completed::Nothing);
        for wrong in [
            json!({"cluster": []}),
            json!({"completed": "lunch"}),
            json!({"clusters": [{"name": "a", "desired": -1}]}),
            json!({"release": {"digest": "sha256:1"}}),
        ] {
            assert!(super::view(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn evidence_answers_what_it_matches() {
        let any = entry(&json!({"instant": {}, "series": []})).unwrap();
        let one = entry(&json!({"instant": {"query": "up"}, "series": []})).unwrap();
        let query = |query: &str| Query::Instant {
            slot: "metrics".into(),
            query: query.into(),
        };
        assert!(any.answers(&query("down")) && !one.answers(&query("down")));
        assert!(one.answers(&query("up")));
        for wrong in [
            json!({"series": []}),
            json!({"instant": {}, "get": {}, "series": []}),
            json!({"instant": {}, "checks": {}}),
            json!({"get": {}, "series": []}),
        ] {
            assert!(entry(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_are_said_in_three_ways() {
        assert_eq!(bytes(&json!("ä")), Ok("ä".as_bytes().to_vec()));
        assert_eq!(
            bytes(&json!({"hex": "00FF", "times": 2})),
            Ok(vec![0, 255, 0, 255])
        );
        assert_eq!(
            bytes(&json!({"json": {"a": 1}})),
            Ok(br#"{"a":1}"#.to_vec())
        );
        for wrong in [json!(1), json!({"hex": "0"}), json!({"hex": "00", "x": 1})] {
            assert!(bytes(&wrong).is_err(), "{wrong}");
        }
    }
}
