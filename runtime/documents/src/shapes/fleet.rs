//! Maps of `Fleet` and `Release`, with what the driver of this machine reads of them.

use super::block;
use crate::kinds::{DRIVERS, NODES_MAX};
use crate::shape::{Kind, Shape, defaulted, optional, refused, required};

pub(crate) const FLEET: Shape = Shape::of(
    "Fleet",
    "The clusters.",
    &[&[required(
        "clusters",
        Kind::List(1, &Kind::Map(&CLUSTER)),
        "All clusters, in any order.",
    )]],
);

pub(crate) const CLUSTER: Shape = Shape::of(
    "cluster",
    "Nodes that serve together.",
    &[&[
        required("name", Kind::Name, "Unique in the fleet."),
        defaulted(
            "labels",
            Kind::Labels,
            "{}",
            "For selectors, sites and roles.",
        ),
        required(
            "nodes",
            Kind::Whole(1, NODES_MAX as u64),
            "How many nodes it is to have.",
        ),
        required(
            "driver",
            Kind::Words(|| DRIVERS.to_vec()),
            "What observes and changes it; its connection stands in a block of the same name.",
        ),
        block("local", &LOCAL_CONNECTION),
        refused("kubernetes"),
        refused("sim"),
    ]],
)
.one_of(&[&["local"]]);

/// Read by the driver; here for editors.
pub(crate) const LOCAL_CONNECTION: Shape = Shape::of(
    "connection",
    "Where the cluster is on this machine.",
    &[&[
        required(
            "dir",
            Kind::Text,
            "Folder of the cluster, relative to the document.",
        ),
        optional(
            "frontDoor",
            Kind::Text,
            "Address on which the site's front door takes requests, such as `127.0.0.1:18081`; \
             without it traffic cannot be split.",
        ),
        optional(
            "frontDoorDir",
            Kind::Text,
            "Folder of the front door; in the site's first cluster if left out.",
        ),
        defaulted(
            "standby",
            Kind::Boolean,
            "false",
            "It gets no traffic when the fleet is set up, as the idle cluster of a pair.",
        ),
        optional(
            "frontDoorMetrics",
            Kind::Text,
            "Address on which the front door gives its counts to Prometheus, at `/metrics`; the \
             clusters of a site name the same.",
        ),
    ]],
);

pub(crate) const RELEASE: Shape = Shape::of(
    "Release",
    "What is rolled out.",
    &[&[
        required("service", Kind::Name, "What this is a version of."),
        required("version", Kind::Text, "For people."),
        optional(
            "digest",
            Kind::Digest,
            "The identity of the release; made from version and artifacts if left out.",
        ),
        defaulted(
            "irreversible",
            Kind::Boolean,
            "false",
            "It cannot be rolled back: a failure may only hold.",
        ),
        required(
            "artifacts",
            Kind::Map(&ARTIFACTS),
            "For each driver a block that says how to run it.",
        ),
    ]],
);

pub(crate) const ARTIFACTS: Shape = Shape::of(
    "`artifacts`",
    "For each driver a block that says how to run the release.",
    &[&[
        block("local", &LOCAL_ARTIFACT),
        refused("kubernetes"),
        refused("sim"),
    ]],
)
.one_of(&[&["local"]]);

/// Read by the driver; here for editors.
pub(crate) const LOCAL_ARTIFACT: Shape = Shape::of(
    "artifact",
    "How to run the release as processes of this machine.",
    &[&[
        required(
            "command",
            Kind::List(1, &Kind::Text),
            "Program and arguments; `{port}`, `{node}`, `{cluster}`, `{dir}`, `{folder}` and \
             `{version}` are filled in.",
        ),
        defaulted(
            "env",
            Kind::Texts,
            "{}",
            "Environment, besides the little that every process gets; filled in, too.",
        ),
        optional(
            "folder",
            Kind::Text,
            "What the release serves or is made of, relative to the document; `{folder}` stands \
             for it.",
        ),
        defaulted(
            "files",
            Kind::Texts,
            "{}",
            "Texts by path, filled in and written into the node's own folder before each start.",
        ),
        optional(
            "health",
            Kind::Map(&LOCAL_HEALTH),
            "How to ask whether a node serves.",
        ),
        optional(
            "drain",
            Kind::Map(&LOCAL_DRAIN),
            "How to ask a node to end.",
        ),
    ]],
);

const LOCAL_HEALTH: Shape = Shape::of(
    "`health`",
    "A GET that must be answered with a status of 200 to 299.",
    &[&[
        defaulted("path", Kind::Text, "\"/healthz\"", "Path of the request."),
        defaulted(
            "timeout",
            Kind::DurationAboveZero,
            "\"1s\"",
            "How long an answer may take.",
        ),
        defaulted(
            "start",
            Kind::DurationAboveZero,
            "\"30s\"",
            "How long a node may take to come up before it counts as failed.",
        ),
    ]],
);

const LOCAL_DRAIN: Shape = Shape::of(
    "`drain`",
    "How a node is asked to end.",
    &[&[
        defaulted(
            "signal",
            Kind::Words(|| {
                vec![
                    "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2",
                ]
            }),
            "\"SIGTERM\"",
            "Signal that makes it finish its requests and end.",
        ),
        defaulted(
            "timeout",
            Kind::DurationAboveZero,
            "\"5s\"",
            "How long it may take before it is ended by force.",
        ),
    ]],
);
