//! What a gate asked for, and what it got.

use crate::ids::{ClusterName, Digest, SlotName};
use crate::time::{DurationMs, Timestamp};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A question to a source, by slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Query {
    /// A metric query, evaluated now.
    Instant {
        /// Slot of the gate.
        slot: SlotName,
        /// In the source's language.
        query: String,
    },
    /// A metric query over a window.
    Range {
        /// Slot of the gate.
        slot: SlotName,
        /// In the source's language.
        query: String,
        /// How far back.
        window: DurationMs,
        /// Between samples.
        step: DurationMs,
    },
    /// An HTTP GET.
    HttpGet {
        /// Slot of the gate.
        slot: SlotName,
        /// Path below the source's address.
        path: String,
    },
    /// A summary of the driver's probes.
    Probe {
        /// Slot of the gate.
        slot: SlotName,
        /// Which cluster.
        cluster: ClusterName,
        /// `new` or `baseline`.
        cohort: String,
        /// How far back.
        window: DurationMs,
    },
}

impl Query {
    /// The slot that is asked.
    pub fn slot(&self) -> &SlotName {
        match self {
            Self::Instant { slot, .. }
            | Self::Range { slot, .. }
            | Self::HttpGet { slot, .. }
            | Self::Probe { slot, .. } => slot,
        }
    }
}

/// What a source answered. Numbers are finite: sources leave other samples out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// To a metric query.
    Series(Vec<Series>),
    /// To an HTTP GET.
    Http {
        /// Status code.
        status: u32,
        /// Content type; empty if the answer had none.
        content_type: String,
        /// Body, capped by the source.
        body: Vec<u8>,
    },
    /// To a probe query.
    Probe(ProbeSummary),
}

impl Evidence {
    /// The instant of its newest sample; none where samples have no time of their own: what is
    /// counted by the host is as new as the question.
    pub fn newest(&self) -> Option<Timestamp> {
        let Self::Series(list) = self else {
            return None;
        };
        let samples = list.iter().flat_map(|series| &series.samples);
        let newest = samples.map(|(at, _)| *at).reduce(f64::max)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast saturates: what is before 1970 is old, and what is far ahead is new"
        )]
        Some(Timestamp(newest as u64))
    }
}

/// A series of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Labels, sorted by name.
    pub labels: Vec<(String, String)>,
    /// (milliseconds since the epoch, value), sorted by time.
    pub samples: Vec<(f64, f64)>,
}

/// What the driver knows of the nodes of a cohort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeSummary {
    /// The host's own health checks.
    pub checks: Requests,
    /// Real traffic through the front door.
    pub traffic: Requests,
}

/// Counts and latencies of requests in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// All requests.
    pub total: u32,
    /// Requests without a good answer: none at all, or a status of 500 and above.
    pub failed: u32,
    /// Median latency in milliseconds; none without a request.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
}

/// What a source must know to answer for one evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceScope {
    /// The present instant.
    pub now: Timestamp,
    /// Nothing from before counts.
    pub start: Timestamp,
    /// Digest of the release that is rolled out.
    pub release: Digest,
    /// Clusters that may be asked about, with their baselines.
    pub baselines: BTreeMap<ClusterName, Digest>,
    /// How old the newest sample may be; none if that does not matter.
    #[serde(default)]
    pub fresh_for: Option<DurationMs>,
}
