//! Maps of `Simulation`.

use super::policy::SELECTOR;
use crate::kinds::{LATENCY_UNITS, METRIC_VALUES};
use crate::shape::{Kind, Shape, defaulted, optional, required, words};

pub(crate) const SIMULATION: Shape = Shape::of(
    "Simulation",
    "A world to simulate rollouts in: releases, nodes, traffic, and what sources answer.",
    &[&[
        defaulted(
            "bad",
            Kind::Share,
            "\"5%\"",
            "Share of the releases that are bad.",
        ),
        optional(
            "faults",
            Kind::List(1, &Kind::Map(&FAULT)),
            "How bad releases fail: each in one of these ways; six common ones if left out.",
        ),
        optional(
            "nodes",
            Kind::Map(&NODES),
            "How nodes start, stop and fail by themselves.",
        ),
        optional(
            "traffic",
            Kind::Map(&TRAFFIC),
            "What the service is asked, and how it answers while it is well.",
        ),
        optional(
            "network",
            Kind::Map(&NETWORK),
            "How commands and observations travel.",
        ),
        optional(
            "metrics",
            Kind::List(0, &Kind::Map(&METRIC)),
            "What metric queries are answered with; the first that fits counts.",
        ),
        optional(
            "pages",
            Kind::List(0, &Kind::Map(&PAGE)),
            "What HTTP queries are answered with; the first that fits counts.",
        ),
        defaulted(
            "approveAfter",
            Kind::Duration,
            "\"10m\"",
            "How long people take to approve what waits for them.",
        ),
        defaulted(
            "giveUpAfter",
            Kind::DurationAboveZero,
            "\"12h\"",
            "A rollout that has not ended by then counts as unfinished.",
        ),
    ]],
);

pub(crate) const FAULT: Shape = Shape::of(
    "fault",
    "A way in which a release can be bad.",
    &[&[
        required("name", Kind::Name, "How reports call it."),
        defaulted(
            "weight",
            Kind::Whole(1, 1000),
            "1",
            "How often it is drawn, beside the weights of the others.",
        ),
        defaulted(
            "errors",
            Kind::Share,
            "\"0%\"",
            "Share of the requests to an affected node that fail.",
        ),
        defaulted(
            "slower",
            Kind::Whole(1, 1000),
            "1",
            "So many times its usual latency.",
        ),
        defaulted(
            "failedStarts",
            Kind::Share,
            "\"0%\"",
            "Share of its nodes that never come up.",
        ),
        defaulted(
            "failedChecks",
            Kind::Share,
            "\"0%\"",
            "Share of its nodes' health checks that fail.",
        ),
        defaulted(
            "after",
            Kind::Duration,
            "\"0s\"",
            "How long a node serves before it is affected.",
        ),
        optional(
            "underLoad",
            Kind::Whole(1, 10_000),
            "A node is affected only while it gets more than so many percent of its usual requests.",
        ),
        optional(
            "clusters",
            Kind::Map(&SELECTOR),
            "Clusters in which it shows; all if left out.",
        ),
        defaulted(
            "share",
            Kind::Share,
            "\"100%\"",
            "Share of these clusters in which it shows, drawn for each run.",
        ),
    ]],
);

pub(crate) const NODES: Shape = Shape::of(
    "`nodes`",
    "How nodes start, stop and fail by themselves.",
    &[&[
        defaulted(
            "start",
            Kind::DurationAboveZero,
            "\"3s\"",
            "Half of the nodes serve so soon after they were started.",
        ),
        defaulted(
            "startP95",
            Kind::DurationAboveZero,
            "\"8s\"",
            "95 of 100 do.",
        ),
        defaulted(
            "stop",
            Kind::Duration,
            "\"500ms\"",
            "How long a node takes to end, before the one that replaces it starts.",
        ),
        defaulted(
            "slow",
            Kind::Share,
            "\"1%\"",
            "Share of the nodes that take ten times as long to start.",
        ),
        defaulted(
            "flapping",
            Kind::Share,
            "\"0.1%\"",
            "Share of the nodes that fail again and again.",
        ),
        defaulted(
            "flapEvery",
            Kind::DurationAboveZero,
            "\"5m\"",
            "Mean time that a flapping node serves.",
        ),
        defaulted(
            "flapFor",
            Kind::DurationAboveZero,
            "\"5s\"",
            "How long it then does not.",
        ),
    ]],
);

pub(crate) const TRAFFIC: Shape = Shape::of(
    "`traffic`",
    "What the service is asked, and how it answers while it is well.",
    &[&[
        defaulted(
            "perNode",
            Kind::Whole(0, 1_000_000),
            "20",
            "Requests for each node of a site in an average hour, per second.",
        ),
        defaulted(
            "day",
            Kind::Share,
            "\"33%\"",
            "How far noon is above the average, and midnight below it.",
        ),
        defaulted(
            "noise",
            Kind::Share,
            "\"5%\"",
            "Standard deviation of the requests beside that, each ten seconds anew.",
        ),
        defaulted(
            "failsOneIn",
            Kind::Whole(0, 1_000_000_000),
            "10000",
            "One of so many requests fails although nothing is wrong; none if 0.",
        ),
        defaulted(
            "latency",
            Kind::DurationAboveZero,
            "\"40ms\"",
            "Median latency.",
        ),
        defaulted(
            "latencyP95",
            Kind::DurationAboveZero,
            "\"120ms\"",
            "95th percentile of the latency.",
        ),
    ]],
);

pub(crate) const NETWORK: Shape = Shape::of(
    "`network`",
    "How commands and observations travel.",
    &[&[
        defaulted(
            "delay",
            Kind::Duration,
            "\"20ms\"",
            "How long a command or an answer takes, one way.",
        ),
        defaulted(
            "late",
            Kind::Share,
            "\"0.5%\"",
            "Share of commands, answers and observations that are late.",
        ),
        defaulted(
            "lateBy",
            Kind::Duration,
            "\"5s\"",
            "How late they are at most; what was sent after them comes before them.",
        ),
        defaulted(
            "twice",
            Kind::Share,
            "\"0.5%\"",
            "Share of commands, answers and observations that come twice.",
        ),
        defaulted(
            "fails",
            Kind::Share,
            "\"0.1%\"",
            "Share of commands that fail.",
        ),
        defaulted(
            "skew",
            Kind::Duration,
            "\"500ms\"",
            "How far the clocks of clusters are off at most: it shows in the times of samples.",
        ),
        defaulted(
            "lostEvery",
            Kind::Duration,
            "\"30d\"",
            "Mean time between two times at which a cluster cannot be reached; never if 0.",
        ),
        defaulted(
            "lostFor",
            Kind::DurationAboveZero,
            "\"1m\"",
            "Mean time that it then cannot be reached.",
        ),
    ]],
);

pub(crate) const METRIC: Shape = Shape::of(
    "metric",
    "What the queries to a source are answered with.",
    &[&[
        required("source", Kind::DocumentName, "Name of a `Source`."),
        optional(
            "contains",
            Kind::Text,
            "Text that the query has; any query if left out.",
        ),
        required(
            "value",
            Kind::Words(|| words(METRIC_VALUES)),
            "What it says of the requests that the query is about.",
        ),
        defaulted(
            "unit",
            Kind::Words(|| words(LATENCY_UNITS)),
            "\"s\"",
            "Unit of a latency: of `p50`, `p95` and `p99`.",
        ),
        optional(
            "clusterLabel",
            Kind::Text,
            "A series for each cluster, with its name in this label; one in all if left out.",
        ),
    ]],
);

pub(crate) const PAGE: Shape = Shape::of(
    "page",
    "What an HTTP source answers to a path.",
    &[&[
        required("source", Kind::DocumentName, "Name of a `Source`."),
        optional(
            "contains",
            Kind::Text,
            "Text that the path has; any path if left out.",
        ),
        required("healthy", Kind::Map(&ANSWER), "While nothing is wrong."),
        required(
            "failing",
            Kind::Map(&ANSWER),
            "While a node of a cluster that is asked about is affected by a fault.",
        ),
    ]],
);

pub(crate) const ANSWER: Shape = Shape::of(
    "answer",
    "An HTTP answer.",
    &[&[
        defaulted("status", Kind::Whole(100, 599), "200", "Status code."),
        optional("body", Kind::Text, "Body, as it is; empty if left out."),
    ]],
);
