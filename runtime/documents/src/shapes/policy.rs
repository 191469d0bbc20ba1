//! Maps of `RolloutPolicy`.

use crate::defaults;
use crate::kinds::{
    CLASSES, END_STATES, ON_ADDED, ON_REMOVED, ON_TIME_LIMIT, ON_UNAVAILABLE, ON_UNREACHABLE,
    PHASES, WHEN_BUSY,
};
use crate::shape::{Kind, Shape, defaulted, optional, required, words};
use crate::shapes::{approvals, windows};
use wavegate_model::limits::BUDGET_WINDOW_MAX;

pub(crate) const POLICY: Shape = Shape::of(
    "RolloutPolicy",
    "Order, limits, strategy, gates, and what happens on failure.",
    &[&[
        required(
            "waves",
            Kind::List(1, &Kind::Map(&WAVE)),
            "The waves. Every cluster is in exactly one of them, or excluded.",
        ),
        optional(
            "siteBy",
            Kind::LabelKey,
            "Label whose value makes clusters one site; each cluster is a site if left out.",
        ),
        optional(
            "roleBy",
            Kind::LabelKey,
            "Label that tells a cluster's role in its site to the strategy.",
        ),
        optional(
            "exclude",
            Kind::Map(&SELECTOR),
            "Clusters that are left out.",
        ),
        optional("batch", Kind::Map(&BATCH), "How many nodes move at once."),
        optional(
            "timeLimits",
            Kind::Map(&TIME_LIMITS),
            "How long things may take. They stand still while the rollout is paused and while no host runs it.",
        ),
        optional(
            "failure",
            Kind::Map(&FAILURE),
            "How many failed sites are tolerated, and what happens when more fail.",
        ),
        optional(
            "membership",
            Kind::Map(&MEMBERSHIP),
            "What happens to clusters that cannot be reached, that come and that go.",
        ),
        defaulted(
            "whenBusy",
            Kind::Words(|| words(WHEN_BUSY)),
            "\"refuse\"",
            "What happens to a new rollout whose clusters have an unfinished one: it is refused, it waits, or the earlier one makes room.",
        ),
        optional(
            "windows",
            Kind::Map(&windows::WINDOWS),
            "When the rollout may go on; at any time if left out.",
        ),
        defaulted(
            "freezes",
            Kind::List(0, &Kind::Map(&windows::FREEZE)),
            "[]",
            "Times in which nothing new starts.",
        ),
        required(
            "strategy",
            Kind::Map(&STRATEGY),
            "Plugin that says what a site is to look like next.",
        ),
        defaulted(
            "gates",
            Kind::List(0, &Kind::Map(&GATE)),
            "[]",
            "Plugins that judge whether the release is healthy.",
        ),
        defaulted(
            "approvals",
            Kind::List(0, &Kind::Map(&approvals::STAGE_APPROVAL)),
            "[]",
            "Approvals before stages of the strategy; at most one for a stage of a wave.",
        ),
    ]],
);

pub(crate) const WAVE: Shape = Shape::of(
    "wave",
    "Sites that are updated before the waves that come after it start.",
    &[&[
        required("name", Kind::Name, "Unique in the policy."),
        required(
            "clusters",
            Kind::Map(&SELECTOR),
            "Which clusters; `{}` for all.",
        ),
        optional(
            "after",
            Kind::List(0, &Kind::Name),
            "Waves that must be done and soaked before: the wave before it if left out, `[]` for none.",
        ),
        defaulted(
            "maxParallelSites",
            Kind::AmountAboveZero,
            "1",
            "Sites in flight at once.",
        ),
        defaulted(
            "siteSoak",
            Kind::Duration,
            "\"0s\"",
            "Healthy time before a site counts as done.",
        ),
        defaulted(
            "soak",
            Kind::Duration,
            "\"0s\"",
            "Healthy time of the wave after all its sites are done.",
        ),
        optional(
            "approval",
            Kind::Either(&[Kind::Text, Kind::Map(&approvals::APPROVAL)]),
            "A person has to approve the start; the text says what for.",
        ),
        optional(
            "gates",
            Kind::List(0, &Kind::Name),
            "Gates of the policy that are asked in this wave: all if left out, `[]` for none.",
        ),
        optional(
            "windows",
            Kind::Map(&windows::WINDOWS),
            "Windows of its own, besides the policy's: its sites start and go on while both are open.",
        ),
    ]],
);

pub(crate) const SELECTOR: Shape = Shape::of(
    "selector",
    "Clusters that have all the labels and, if there are names, one of the names.",
    &[&[
        defaulted("labels", Kind::Labels, "{}", "All must be equal."),
        optional("names", Kind::List(1, &Kind::Name), "One of them."),
    ]],
)
.not_built(&["not", "others", "expressions"]);

pub(crate) const BATCH: Shape = Shape::of(
    "`batch`",
    "How many nodes of a site move at once, whatever the strategy wants.",
    &[&[
        defaulted(
            "size",
            Kind::AmountAboveZero,
            "1",
            "Nodes in one move; a percentage rounds up.",
        ),
        defaulted(
            "maxUnavailable",
            Kind::Amount,
            "1",
            "Nodes that may be down at once, those that are down already included; a percentage rounds down.",
        ),
        defaulted(
            "maxSurge",
            Kind::Amount,
            "0",
            "Nodes above the desired total, where the driver can; a percentage rounds down.",
        ),
    ]],
);

pub(crate) const TIME_LIMITS: Shape = Shape::of(
    "`timeLimits`",
    "How long things may take.",
    &[&[
        defaulted(
            "batchProgress",
            TIME_LIMIT_OR_NONE,
            "{\"after\": \"10m\", \"then\": \"fail\"}",
            "Without a node that becomes ready; starts again with each.",
        ),
        defaulted(
            "cluster",
            TIME_LIMIT_OR_NONE,
            "\"none\"",
            "For one site, from its start.",
        ),
        defaulted(
            "wave",
            TIME_LIMIT_OR_NONE,
            "\"none\"",
            "For one wave, from its start; holds unless it says `fail`.",
        ),
        defaulted(
            "rollout",
            TIME_LIMIT_OR_NONE,
            "\"none\"",
            "For the whole rollout; holds unless it says `fail`.",
        ),
    ]],
);

const TIME_LIMIT_OR_NONE: Kind =
    Kind::Either(&[Kind::Words(|| vec!["none"]), Kind::Map(&TIME_LIMIT)]);

pub(crate) const TIME_LIMIT: Shape = Shape::of(
    "time limit",
    "How long something may take, and what happens then.",
    &[&[
        required("after", Kind::DurationAboveZero, "How long."),
        optional(
            "then",
            Kind::Words(|| words(ON_TIME_LIMIT)),
            "What happens then: `fail` the site, or `hold` for a person.",
        ),
    ]],
);

pub(crate) const FAILURE: Shape = Shape::of(
    "`failure`",
    "How many failed sites are tolerated, and what happens when more fail.",
    &[&[
        defaulted(
            "tolerate",
            Kind::Amount,
            "0",
            "Failed sites that are tolerated in all; they go back, the others go on. A percentage rounds down.",
        ),
        optional(
            "toleratePerWave",
            Kind::Amount,
            "The same in one wave; as `tolerate` if left out.",
        ),
        defaulted(
            "then",
            Kind::Words(|| words(END_STATES)),
            "\"hold\"",
            "What happens when more fail.",
        ),
        optional("rollback", Kind::Map(&ROLLBACK), "How it goes back."),
    ]],
);

pub(crate) const ROLLBACK: Shape = Shape::of(
    "`rollback`",
    "How it goes back. The way back skips gates and approvals.",
    &[&[
        defaulted(
            "batch",
            Kind::AmountAboveZero,
            "\"100%\"",
            "Nodes in one move on the way back.",
        ),
        optional(
            "maxUnavailable",
            Kind::Amount,
            "Nodes that may be down on the way back; as in `batch` if left out.",
        ),
        defaulted(
            "maxParallelSites",
            Kind::Whole(1, 1000),
            "4",
            "Sites that go back at once.",
        ),
        defaulted(
            "progress",
            Kind::DurationAboveZero,
            "\"5m\"",
            "Without a node that becomes ready for so long, the way back of the site has failed.",
        ),
    ]],
)
.not_built(&["gates", "windows", "approvals"]);

pub(crate) const MEMBERSHIP: Shape = Shape::of(
    "`membership`",
    "What happens to clusters that cannot be reached, that come and that go.",
    &[&[
        defaulted(
            "unreachableAfter",
            Kind::DurationAboveZero,
            "\"30s\"",
            "A cluster that could not be seen for so long is unreachable.",
        ),
        defaulted(
            "unreachable",
            Kind::Words(|| words(ON_UNREACHABLE)),
            "\"wait\"",
            "What then happens to an untouched cluster whose turn it is.",
        ),
        defaulted(
            "added",
            Kind::Words(|| words(ON_ADDED)),
            "\"ignore\"",
            "What happens to a cluster that comes into the fleet while the rollout runs.",
        ),
        defaulted(
            "removed",
            Kind::Words(|| words(ON_REMOVED)),
            "\"skip\"",
            "What happens when a cluster leaves the fleet whose site has begun and not finished; an untouched one leaves the plan.",
        ),
    ]],
);

pub(crate) const STRATEGY: Shape = Shape::of(
    "strategy",
    "Plugin that says what a site is to look like next.",
    &[&[
        required("plugin", Kind::Map(&PLUGIN), "Which plugin."),
        defaulted(
            "config",
            Kind::Open,
            "{}",
            "What the plugin is told; checked against the plugin's own schema.",
        ),
        optional("limits", Kind::Map(&LIMITS), "Tightens a call."),
    ]],
);

pub(crate) const GATE: Shape = Shape::of(
    "gate",
    "Plugin that judges whether the release is healthy.",
    &[&[
        required("name", Kind::Name, "Unique in the policy."),
        required("plugin", Kind::Map(&PLUGIN), "Which plugin."),
        defaulted(
            "config",
            Kind::Open,
            "{}",
            "What the plugin is told; checked against the plugin's own schema.",
        ),
        required(
            "phases",
            Kind::List(1, &Kind::Words(|| words(PHASES))),
            "When it is asked.",
        ),
        defaulted(
            "interval",
            Kind::DurationAboveZero,
            "\"10s\"",
            "Between evaluations; at least `100ms`.",
        ),
        defaulted(
            "slots",
            Kind::Names(&Kind::DocumentName),
            "{}",
            "A `Source` for each slot of the plugin.",
        ),
        optional(
            "budget",
            Kind::Map(&GATE_BUDGET),
            "Fails that are tolerated, per site and phase.",
        ),
        defaulted(
            "minSamples",
            Kind::Whole(0, 1_000_000),
            "1",
            "A pass of which a measurement rests on fewer counts as undecided.",
        ),
        defaulted(
            "passes",
            Kind::Whole(1, 100),
            "1",
            "Evaluations that have to pass in a row before the gate counts as passed.",
        ),
        optional(
            "freshFor",
            Kind::DurationAboveZero,
            "How old a pass, and the newest sample behind it, may be: three intervals if left out, and at least `5m`.",
        ),
        defaulted(
            "trial",
            Kind::Boolean,
            "false",
            "On trial: it is asked and recorded, and decides nothing.",
        ),
        defaulted(
            "onUnavailable",
            Kind::Words(|| words(ON_UNAVAILABLE)),
            "\"hold\"",
            "What happens when it cannot answer; never a pass.",
        ),
        optional("limits", Kind::Map(&LIMITS), "Tightens a call."),
    ]],
)
.not_built(&["clusters", "waves"]);

pub(crate) const PLUGIN: Shape = Shape::of(
    "plugin",
    "Where a plugin is.",
    &[&[
        optional(
            "shipped",
            Kind::Text,
            "Name of one that comes with the host, such as `canary`.",
        ),
        optional("file", Kind::Text, "A component, relative to the document."),
        optional(
            "class",
            Kind::Words(|| words(CLASSES)),
            "What its calls may use: `small` for Rust and C, `medium` for JavaScript, TypeScript and Go, `large` for Python. What the component says of itself if left out.",
        ),
    ]],
)
.not_built(&["digest", "oci", "ref"])
.one_of(&[&["shipped"], &["file"]]);

pub(crate) const GATE_BUDGET: Shape = Shape::of(
    "`budget`",
    "Fails of a gate that are tolerated, per site and phase.",
    &[&[
        defaulted(
            "consecutive",
            Kind::Whole(0, 1000),
            "0",
            "In a row. As many as `window` tolerates if left out beside it.",
        ),
        defaulted(
            "total",
            Kind::Whole(0, 100_000),
            "0",
            "In all; at least as many as in a row. Without limit if left out beside `window`.",
        ),
        optional(
            "window",
            Kind::Map(&BUDGET_WINDOW),
            "Among the last evaluations that passed or failed.",
        ),
    ]],
);

pub(crate) const BUDGET_WINDOW: Shape = Shape::of(
    "`window`",
    "Fails that are tolerated among the last evaluations that passed or failed.",
    &[&[
        required(
            "fails",
            Kind::Whole(0, BUDGET_WINDOW_MAX as u64 - 1),
            "So many fails.",
        ),
        required(
            "of",
            Kind::Whole(2, BUDGET_WINDOW_MAX as u64),
            "Among so many evaluations.",
        ),
    ]],
);

pub(crate) const LIMITS: Shape = Shape::of(
    "`limits`",
    "Limits of one call of a plugin. They tighten what its class has, never widen it.",
    &[&[
        optional(
            "fuel",
            Kind::Whole(1, defaults::CALL_LIMITS.fuel),
            "Work, in units that are the same on every machine; what the class has if left out.",
        ),
        optional(
            "time",
            Kind::DurationAboveZero,
            "Time, as a backstop; what the class has if left out.",
        ),
        optional(
            "memory",
            Kind::Bytes,
            "Memory; what the class has if left out.",
        ),
        defaulted("result", Kind::Bytes, "\"1MiB\"", "Size of the answer."),
        defaulted("log", Kind::Bytes, "\"64KiB\"", "Size of the log."),
    ]],
)
.not_built(&["tables", "handles"]);
