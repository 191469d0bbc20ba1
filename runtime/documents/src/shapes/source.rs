//! Maps of `Source`.

use crate::shape::{Field, Kind, Shape, defaulted, optional, refused, required};

pub(crate) const SOURCE: Shape = Shape::of(
    "Source",
    "Where evidence comes from, and who may use it.",
    &[&[
        optional(
            "probe",
            Kind::Map(&PROBE),
            "What the driver knows of its own nodes: health checks, and real traffic.",
        ),
        optional(
            "prometheus",
            Kind::Map(&PROMETHEUS),
            "A Prometheus server, or one that speaks its HTTP API.",
        ),
        optional("http", Kind::Map(&HTTP), "An HTTP endpoint."),
        optional(
            "grants",
            Kind::Map(&GRANTS),
            "Who may use it; required unless it is `probe`.",
        ),
    ]],
)
.one_of(&[&["probe"], &["prometheus", "grants"], &["http", "grants"]]);

pub(crate) const GRANTS: Shape = Shape::of(
    "`grants`",
    "Who may use the source.",
    &[&[
        defaulted(
            "policies",
            Kind::Either(&[ANY, Kind::List(0, &Kind::DocumentName)]),
            "\"any\"",
            "Names of policies, or `any`.",
        ),
        defaulted(
            "plugins",
            Kind::Either(&[ANY, Kind::List(0, &Kind::Digest)]),
            "\"any\"",
            "Digests of plugins, or `any`.",
        ),
    ]],
);

const ANY: Kind = Kind::Words(|| vec!["any"]);

pub(crate) const PROBE: Shape = Shape::of(
    "`probe` source",
    "What the driver knows of its own nodes.",
    &[],
);

pub(crate) const PROMETHEUS: Shape = Shape::of(
    "`prometheus` source",
    "A Prometheus server, or one that speaks its HTTP API.",
    &[
        ENDPOINT,
        &[
            defaulted(
                "labels",
                Kind::Labels,
                "{}",
                "Added as matchers to every selector of every query, such as the tenant.",
            ),
            defaulted(
                "maxRange",
                Kind::DurationAboveZero,
                "\"24h\"",
                "The longest window of a range query.",
            ),
            defaulted(
                "maxSeries",
                Kind::Whole(1, 100_000),
                "1000",
                "The most series of an answer.",
            ),
        ],
    ],
)
.not_built(&["perCluster"]);

pub(crate) const HTTP: Shape = Shape::of(
    "`http` source",
    "An HTTP endpoint.",
    &[
        ENDPOINT,
        &[
            required(
                "paths",
                Kind::List(0, &Kind::Path),
                "Paths below the address that may be asked for, with their query strings; one \
                 that ends in `*` stands for all that begin so.",
            ),
            defaulted(
                "maxBody",
                Kind::Bytes,
                "\"1MiB\"",
                "The most bytes of an answer.",
            ),
        ],
    ],
)
.not_built(&["perCluster", "headers"]);

/// Of every server.
const ENDPOINT: &[Field] = &[
    required(
        "address",
        Kind::Address,
        "`http://` or `https://`, host, port and path; without credentials.",
    ),
    defaulted(
        "timeout",
        Kind::DurationAboveZero,
        "\"5s\"",
        "For one request, connecting included.",
    ),
    optional("auth", Kind::Map(&AUTH), "How the host proves who it is."),
    optional("tls", Kind::Map(&TLS), "Certificates."),
];

pub(crate) const AUTH: Shape = Shape::of(
    "`auth`",
    "How the host proves who it is.",
    &[&[
        optional("bearer", Kind::Map(&SECRET), "Sent as a token."),
        optional("basic", Kind::Map(&BASIC), "A name and a password."),
    ]],
)
.not_built(&["oauth2"])
.one_of(&[&["bearer"], &["basic"]]);

pub(crate) const BASIC: Shape = Shape::of(
    "`basic`",
    "A name and a password.",
    &[&[
        required("username", Kind::Text, "The name."),
        required("password", Kind::Map(&SECRET), "The password."),
    ]],
);

pub(crate) const SECRET: Shape = Shape::of(
    "secret",
    "Where a secret is; it is never written into a document.",
    &[&[
        optional("env", Kind::Text, "Name of an environment variable."),
        optional("file", Kind::Text, "A file, relative to the document."),
    ]],
)
.not_built(&["command", "kubernetes"])
.one_of(&[&["env"], &["file"]]);

pub(crate) const TLS: Shape = Shape::of(
    "`tls`",
    "Certificates. `certificate` and `key` go together.",
    &[&[
        optional(
            "ca",
            Kind::Text,
            "File with the authorities that are trusted instead of the system's.",
        ),
        optional(
            "certificate",
            Kind::Text,
            "File with the certificate of the host.",
        ),
        optional("key", Kind::Text, "File with the key of the host."),
        refused("insecureSkipVerify"),
    ]],
)
.not_built(&["serverName"]);
