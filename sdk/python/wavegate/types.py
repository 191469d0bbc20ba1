"""What the host hands a plugin, and what it gets back: the records of the contract in `wit/`.

Durations are whole milliseconds, instants are milliseconds since the epoch (UTC), shares are
permille from 0 to 1000.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal


class Verdict(Enum):
    """A gate's judgement. Only `PASS` lets a rollout advance."""

    PASS = 0
    HOLD = 1
    FAIL = 2


@dataclass
class Release:
    """What is rolled out: the version that people say, and the digest that the host compares."""

    version: str
    digest: str


@dataclass
class ClusterView:
    """A cluster of the site as it was observed."""

    name: str
    role: str = ""
    baseline: str = ""
    desired: int = 0
    new_ready: int = 0
    new_unready: int = 0
    baseline_ready: int = 0
    baseline_unready: int = 0
    other: int = 0
    failed: int = 0
    new_permille: int = 0
    baseline_permille: int = 0
    batch_max: int = 1
    unavailable_max: int = 1
    surge_max: int = 0


@dataclass
class GateView:
    """The last verdict of a gate for this site; none before the first evaluation."""

    name: str
    last: Verdict | None = None
    age_ms: int = 0


@dataclass
class Position:
    """Where the site stands in the rollout, counted from 1."""

    wave_name: str = ""
    wave: int = 1
    waves: int = 1
    site: int = 1
    sites: int = 1


@dataclass
class SiteView:
    """The present view of one site. A strategy never sees other sites."""

    now: float
    site: str
    clusters: list[ClusterView]
    splits_traffic: bool
    release: Release
    stage: str = ""
    stage_elapsed_ms: int = 0
    site_elapsed_ms: int = 0
    time_left_ms: int | None = None
    #: What was carried out since the last call: "" at the first, "goal", "gates", "time", "person".
    completed: str = ""
    gates: list[GateView] = field(default_factory=list)
    position: Position = field(default_factory=Position)


@dataclass
class ClusterGoal:
    """How many nodes of one cluster run what, and the traffic they get."""

    cluster: str
    new: int
    baseline: int
    new_permille: int
    baseline_permille: int


@dataclass
class Decision:
    """The answer of a strategy. Make one with `go`, `wait_ms` and their kind."""

    kind: Literal["go", "wait-gates", "wait-ms", "wait-person", "done", "failed"]
    value: object = None


@dataclass
class ClusterSummary:
    """A cluster before anything has been observed."""

    name: str
    role: str = ""
    desired: int = 0


@dataclass
class SiteSummary:
    """A site before anything has been observed."""

    site: str
    clusters: list[ClusterSummary]


@dataclass
class Stage:
    """A step that the strategy means to take."""

    name: str
    text: str


@dataclass
class Slot:
    """A source that a gate needs; `kind` is "metrics", "http" or "probes"."""

    name: str
    kind: Literal["metrics", "http", "probes"]
    text: str


@dataclass
class GateCluster:
    """A cluster that the gate may ask about."""

    name: str
    role: str = ""
    baseline: str = ""
    new_ready: int = 0
    baseline_ready: int = 0


@dataclass
class Subject:
    """What is judged: a "site", a "wave" or the "rollout"."""

    kind: str
    name: str


@dataclass
class GateCall:
    """One evaluation."""

    now: float
    subject: Subject
    phase: str
    attempt: int
    evidence_start: float
    release: Release
    updated: list[GateCluster]
    untouched: list[GateCluster] = field(default_factory=list)


@dataclass
class Measurement:
    """Something that was measured, and the limit it was held against."""

    name: str
    cluster: str
    value: float | None
    unit: str
    limit: str
    verdict: Verdict
    samples: int


@dataclass
class ClusterVerdict:
    """The verdict for one cluster."""

    cluster: str
    verdict: Verdict


@dataclass
class Sample:
    """A sample of a series, at an instant."""

    at: float
    value: float


@dataclass
class Series:
    """Samples with labels, both sorted."""

    labels: list[tuple[str, str]]
    samples: list[Sample]


@dataclass
class Response:
    """The answer to an HTTP GET."""

    status: int
    content_type: str
    body: bytes


@dataclass
class Requests:
    """Counts and latencies of requests in a window."""

    total: int = 0
    failed: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


@dataclass
class ProbeSummary:
    """The host's own health checks, and real traffic as the front door sees it."""

    checks: Requests
    traffic: Requests
