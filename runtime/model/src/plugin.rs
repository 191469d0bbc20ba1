//! Questions to plugins and their answers, independent of the contract's version.

use crate::goal::Goal;
use crate::ids::{ClusterName, Digest, GateName, SiteName, SlotName, WaveName};
use crate::time::{DurationMs, Timestamp};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The two kinds of plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// Says what a site should look like next.
    Strategy,
    /// Says whether it is healthy.
    Gate,
}

/// What a plugin says about itself, cleaned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Strategy or gate.
    pub kind: PluginKind,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Version of the state it writes.
    pub state_version: u32,
    /// JSON Schema of its configuration.
    pub config_schema: String,
    /// What it is for.
    pub text: String,
    /// Sources that it needs; always empty for a strategy.
    pub slots: Vec<Slot>,
}

/// A source that a gate needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The gate's name for it.
    pub name: SlotName,
    /// `metrics`, `http` or `probes`.
    pub kind: String,
    /// What it is asked for.
    pub text: String,
}

/// Something wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// JSON pointer.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

/// A step that a strategy means to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// What happens in it.
    pub text: String,
}

/// A site before anything was observed, for an outline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteSummary {
    /// Name of the site.
    pub site: SiteName,
    /// Its clusters: name, role, nodes.
    pub clusters: Vec<(ClusterName, String, u32)>,
}

/// The version and digest of a release, which is all that plugins see of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseId {
    /// The version that people say.
    pub version: String,
    /// What is compared.
    pub digest: Digest,
}

/// A cluster of a site as a strategy sees it. Fields as in the contract's `cluster-view`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented field by field in wit/strategy.wit")]
pub struct ClusterView {
    pub name: ClusterName,
    pub role: String,
    pub baseline: Digest,
    pub desired: u32,
    pub new_ready: u32,
    pub new_unready: u32,
    pub baseline_ready: u32,
    pub baseline_unready: u32,
    pub other: u32,
    pub failed: u32,
    pub new_permille: u32,
    pub baseline_permille: u32,
    pub batch_max: u32,
    pub unavailable_max: u32,
    pub surge_max: u32,
}

/// The last verdict of a gate as a strategy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateView {
    /// Which gate.
    pub name: GateName,
    /// None before the first evaluation and after a new batch.
    pub last: Option<Verdict>,
    /// Age of the verdict.
    pub age: DurationMs,
}

/// Where a site stands in the rollout, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented in wit/strategy.wit")]
pub struct Position {
    pub wave_name: WaveName,
    pub wave: u32,
    pub waves: u32,
    pub site: u32,
    pub sites: u32,
}

/// What a strategy sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented in wit/strategy.wit")]
pub struct SiteView {
    pub now: Timestamp,
    pub site: SiteName,
    pub clusters: Vec<ClusterView>,
    pub splits_traffic: bool,
    pub release: ReleaseId,
    pub stage: String,
    pub stage_elapsed: DurationMs,
    pub site_elapsed: DurationMs,
    pub time_left: Option<DurationMs>,
    pub completed: Completed,
    pub gates: Vec<GateView>,
    pub position: Position,
}

/// What was carried out since a strategy's last answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completed {
    /// Nothing: the first question.
    #[default]
    Nothing,
    /// The goal was reached.
    Goal,
    /// The gates passed.
    Gates,
    /// The time is over.
    Time,
    /// A person approved.
    Person,
}

impl Completed {
    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Goal => "goal",
            Self::Gates => "gates",
            Self::Time => "time",
            Self::Person => "person",
        }
    }
}

/// What a strategy decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proposal {
    /// Go to a goal.
    Go(Goal),
    /// Wait until gates have passed.
    WaitGates(Vec<GateName>),
    /// Wait so long.
    Wait(DurationMs),
    /// Wait for a person.
    WaitPerson(String),
    /// The site is done.
    Done,
    /// The site has failed.
    Failed(String),
}

/// A strategy's answer, converted and bounded but not yet believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it decided.
    pub proposal: Proposal,
    /// The stage that the site is in.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// State for the next call.
    pub state: PluginState,
}

/// Bytes that a plugin gets back at its next call. Written as hex in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginState(pub Vec<u8>);

impl From<PluginState> for String {
    fn from(state: PluginState) -> Self {
        // A state is written with every answer, and formatting byte by byte took longer than the
        // plugin's call.
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(2 * state.0.len());
        for byte in &state.0 {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        text
    }
}

impl TryFrom<String> for PluginState {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digit = |c: u8| {
            char::from(c)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes
            .map(Self)
            .ok_or("plugin state is not pairs of hex digits")
    }
}

/// When a gate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Before the first site of a wave starts.
    BeforeWave,
    /// Before a site starts.
    BeforeSite,
    /// After a batch has settled, and when the strategy asks.
    AfterBatch,
    /// While a site or wave soaks.
    Soak,
    /// After the last site of a wave is done.
    AfterWave,
    /// For every touched site, until the rollout ends.
    Continuous,
}

impl Phase {
    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeWave => "before-wave",
            Self::BeforeSite => "before-site",
            Self::AfterBatch => "after-batch",
            Self::Soak => "soak",
            Self::AfterWave => "after-wave",
            Self::Continuous => "continuous",
        }
    }
}

/// What a gate judges.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// One site.
    Site(SiteName),
    /// All sites of a wave.
    Wave(WaveName),
}

/// A cluster as a gate sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented in wit/gate.wit")]
pub struct GateCluster {
    pub name: ClusterName,
    pub role: String,
    pub baseline: Digest,
    pub new_ready: u32,
    pub baseline_ready: u32,
}

/// One evaluation that a gate is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented in wit/gate.wit")]
pub struct GateCall {
    pub now: Timestamp,
    pub subject: Subject,
    pub phase: Phase,
    pub attempt: u32,
    pub evidence_start: Timestamp,
    pub release: ReleaseId,
    pub updated: Vec<GateCluster>,
    pub untouched: Vec<GateCluster>,
}

/// A gate's judgement. Ordered from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Healthy, by enough evidence.
    Pass,
    /// Not decided.
    Hold,
    /// Not healthy.
    Fail,
}

/// Something that a gate measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented in wit/gate.wit")]
pub struct Measurement {
    pub name: String,
    /// Empty for all clusters.
    pub cluster: String,
    /// Finite, or none.
    pub value: Option<f64>,
    pub unit: String,
    pub limit: String,
    pub verdict: Verdict,
    pub samples: u32,
}

/// A gate's answer, converted and bounded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The worst of the gate's verdict and those for clusters.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// By cluster; empty if the gate does not tell clusters apart.
    pub clusters: BTreeMap<ClusterName, Verdict>,
    /// What was measured.
    pub measurements: Vec<Measurement>,
    /// State for the next call.
    pub state: PluginState,
    /// The instant of the newest sample behind it, as the host saw it: of the answer whose newest
    /// sample is the oldest. None if no answer had samples with a time.
    #[serde(default)]
    pub newest: Option<Timestamp>,
}
