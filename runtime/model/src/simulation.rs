//! A simulated world, as its document describes it: how nodes, traffic, releases and the network
//! behave, and what sources answer.

use crate::amount::Permille;
use crate::fleet::Selector;
use crate::ids::SourceName;
use crate::time::DurationMs;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A world to simulate rollouts in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Simulation {
    /// Share of the releases that are bad.
    pub bad: Permille,
    /// How a bad release fails: each has one of these.
    pub faults: Vec<Fault>,
    /// How nodes start, stop and fail.
    pub nodes: Nodes,
    /// What the service is asked, and how it answers while it is well.
    pub traffic: Traffic,
    /// How commands and observations travel.
    pub network: Network,
    /// What metric queries are answered with; the first that fits counts.
    pub metrics: Vec<Metric>,
    /// What HTTP queries are answered with; the first that fits counts.
    pub pages: Vec<Page>,
    /// How long people take to approve what waits for them.
    pub approve_after: DurationMs,
    /// A rollout that has not ended by then counts as unfinished.
    pub give_up_after: DurationMs,
}

/// A way in which a release can be bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// How reports call it.
    pub name: String,
    /// How often it is drawn, beside the weights of the others.
    pub weight: u32,
    /// Share of the requests to an affected node that fail.
    pub errors: Permille,
    /// Latency of an affected node, in percent of what is usual.
    pub latency: u32,
    /// Share of its nodes that never come up.
    pub start: Permille,
    /// Share of its nodes' health checks that fail.
    pub checks: Permille,
    /// How long a node serves before it is affected.
    pub after: DurationMs,
    /// A node is affected only while it gets more than so many percent of its usual requests.
    pub load: Option<u32>,
    /// Clusters in which it shows.
    pub clusters: Selector,
    /// Share of these clusters in which it shows, drawn for each run.
    pub share: Permille,
}

/// How nodes start, stop and fail by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    /// Half of the nodes serve so soon after they were started.
    pub start: DurationMs,
    /// 95 of 100 do.
    pub start_p95: DurationMs,
    /// How long a node takes to end, before the one that replaces it starts.
    pub stop: DurationMs,
    /// Share of the nodes that take ten times as long to start.
    pub slow: Permille,
    /// Share of the nodes that fail again and again.
    pub flapping: Permille,
    /// Mean time that a flapping node serves.
    pub flap_every: DurationMs,
    /// How long it then does not.
    pub flap_for: DurationMs,
}

/// What the service is asked, and how it answers while it is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests for each node of a site in an average hour, per second.
    pub per_node: u32,
    /// How far the busiest hour is above the average, and the quietest below it.
    pub day: Permille,
    /// Standard deviation of the requests beside that, each ten seconds anew.
    pub noise: Permille,
    /// One of so many requests fails although nothing is wrong; none if 0.
    pub fails_one_in: u32,
    /// Median latency.
    pub latency: DurationMs,
    /// 95th percentile of the latency.
    pub latency_p95: DurationMs,
}

/// How commands and observations travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// How long a command or an answer takes, one way.
    pub delay: DurationMs,
    /// Share of commands, answers and observations that are late.
    pub late: Permille,
    /// How late they are at most. What was sent after them comes before them.
    pub late_by: DurationMs,
    /// Share of commands, answers and observations that come twice.
    pub twice: Permille,
    /// Share of commands that fail.
    pub fails: Permille,
    /// How far the clocks of clusters are off at most, either way: it shows in the times of samples.
    pub skew: DurationMs,
    /// Mean time between two times at which a cluster cannot be reached; never if 0.
    pub lost_every: DurationMs,
    /// Mean time that it then cannot be reached.
    pub lost_for: DurationMs,
}

/// What the queries to a source are answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Which source.
    pub source: SourceName,
    /// Text that the query has; any query if empty.
    pub contains: String,
    /// What it is answered with.
    pub value: Value,
    /// Unit of a latency. Prometheus counts in seconds, so they are the default.
    #[serde(default)]
    pub unit: LatencyUnit,
    /// A series for each cluster, with its name in this label; one in all if there is none.
    pub cluster_label: Option<String>,
}

/// What latencies are told in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LatencyUnit {
    /// Seconds.
    #[default]
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl LatencyUnit {
    /// So many milliseconds, in this unit.
    pub fn of_ms(self, ms: f64) -> f64 {
        match self {
            Self::Seconds => ms / 1000.0,
            Self::Milliseconds => ms,
        }
    }
}

/// What a simulated metric says of the requests that a query is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// How many there were.
    Requests,
    /// How many failed.
    Failed,
    /// How many did not.
    Succeeded,
    /// How many there were in a second.
    RequestRate,
    /// How many failed in a second.
    FailureRate,
    /// Share that failed.
    ErrorRatio,
    /// Share that did not.
    SuccessRatio,
    /// Median latency, in the metric's unit.
    P50,
    /// 95th percentile of the latency.
    P95,
    /// 99th percentile of the latency.
    P99,
    /// Nodes that serve.
    Nodes,
}

impl Value {
    /// Whether it is a time, so that it has a unit.
    pub fn is_latency(self) -> bool {
        matches!(self, Self::P50 | Self::P95 | Self::P99)
    }
}

/// What an HTTP source answers to a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Which source.
    pub source: SourceName,
    /// Text that the path has; any path if empty.
    pub contains: String,
    /// While nothing is wrong.
    pub healthy: Answer,
    /// While a node of a cluster that is asked about is affected by a fault.
    pub failing: Answer,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Status code.
    pub status: u32,
    /// Body, as it is.
    pub body: String,
}

impl Fault {
    /// Shows in all clusters, from the first moment, in no way yet.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_string(),
            weight: 1,
            errors: Permille::NONE,
            latency: 100,
            start: Permille::NONE,
            checks: Permille::NONE,
            after: DurationMs::ZERO,
            load: None,
            clusters: Selector::default(),
            share: Permille::ALL,
        }
    }
}

impl Default for Nodes {
    /// Small services: a node is there in seconds, one in a hundred takes its time, and one in a
    /// thousand is in trouble of its own.
    fn default() -> Self {
        Self {
            start: DurationMs::secs(3),
            start_p95: DurationMs::secs(8),
            stop: DurationMs(500),
            slow: Permille(10),
            flapping: Permille(1),
            flap_every: DurationMs::secs(300),
            flap_for: DurationMs::secs(5),
        }
    }
}

impl Default for Traffic {
    /// Enough requests for a ratio within seconds, a day that is twice as busy at noon as at
    /// midnight, and one failure in ten thousand, as a healthy service has.
    fn default() -> Self {
        Self {
            per_node: 20,
            day: Permille(330),
            noise: Permille(50),
            fails_one_in: 10_000,
            latency: DurationMs(40),
            latency_p95: DurationMs(120),
        }
    }
}

impl Default for Network {
    /// A network within a company: rarely late, rarely repeating itself, and a cluster out of
    /// reach for a minute each month.
    fn default() -> Self {
        Self {
            delay: DurationMs(20),
            late: Permille(5),
            late_by: DurationMs::secs(5),
            twice: Permille(5),
            fails: Permille(1),
            skew: DurationMs(500),
            lost_every: DurationMs(30 * 24 * 3600 * 1000),
            lost_for: DurationMs::secs(60),
        }
    }
}

impl Default for Simulation {
    /// What is simulated without a document: five of a hundred releases are bad, each in one of
    /// six ways that outages are made of.
    fn default() -> Self {
        let fault = Fault::named;
        let faults = vec![
            Fault {
                errors: Permille(200),
                ..fault("broken")
            },
            Fault {
                errors: Permille(200),
                after: DurationMs::secs(60),
                ..fault("late")
            },
            Fault {
                errors: Permille(200),
                load: Some(110),
                ..fault("under-load")
            },
            Fault {
                errors: Permille(200),
                share: Permille(250),
                ..fault("some-clusters")
            },
            Fault {
                latency: 2000,
                ..fault("slow")
            },
            Fault {
                start: Permille(500),
                ..fault("does-not-start")
            },
        ];
        Self {
            bad: Permille(50),
            faults,
            nodes: Nodes::default(),
            traffic: Traffic::default(),
            network: Network::default(),
            metrics: Vec::new(),
            pages: Vec::new(),
            approve_after: DurationMs::secs(600),
            give_up_after: DurationMs::secs(12 * 3600),
        }
    }
}
