"""The base class of a gate, what it asks, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from .errors import Problem
from .types import (
    ClusterVerdict,
    GateCall,
    Measurement,
    ProbeSummary,
    Response,
    Series,
    Slot,
    Verdict,
)

#: The phases that this version of the contract names. Hold at any other phase.
PHASES = ("before-wave", "before-site", "after-batch", "soak", "after-wave", "continuous")


class Evidence(Protocol):
    """Where evidence comes from: the host, or recorded answers in a test.

    Where an answer is missing the host ends the call, fetches it and starts the call again, so
    ask at once for what you know that you need: the plural forms take one round of at most 16.
    A source that fails raises `Failed`; let it pass, and the host holds.
    """

    def instant(self, slot: str, query: str) -> list[Series]:
        """Evaluates a metric query now. No data is an empty list."""

    def instants(self, slot: str, queries: list[str]) -> list[list[Series]]:
        """Evaluates several queries now, in one round."""

    def range(self, slot: str, query: str, window_ms: int, step_ms: int) -> list[Series]:
        """Evaluates a query over the last `window_ms`, every `step_ms`."""

    def ranges(self, slot: str, queries: list[str], window_ms: int, step_ms: int) -> list[list[Series]]:
        """The same for several queries, in one round."""

    def get(self, slot: str, path: str) -> Response:
        """HTTP GET to a path below an address that the host holds."""

    def gets(self, slot: str, paths: list[str]) -> list[Response]:
        """The same for several paths, in one round."""

    def summary(self, slot: str, cluster: str, cohort: str, window_ms: int) -> ProbeSummary:
        """Sums up the nodes of a cohort ("new" or "baseline") of a cluster."""

    def summaries(self, slot: str, clusters: list[str], cohort: str, window_ms: int) -> list[ProbeSummary]:
        """The same for several clusters, in one round."""


@dataclass
class Evaluation:
    """The answer of a gate. The host takes the worst of `verdict` and those of `clusters`."""

    verdict: Verdict
    reason: str
    clusters: list[ClusterVerdict] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    state: Any = None


class Gate:
    """Judges whether what runs is healthy, one evaluation at a time.

    Counting failures, budgets and repetitions is the host's work. The same input must lead to the
    same questions.
    """

    #: Kebab-case name.
    name: ClassVar[str]
    #: Semantic version of the plugin.
    version: ClassVar[str]
    #: A paragraph for people: what it does and when to use it.
    text: ClassVar[str]
    #: Sources that it needs; the policy binds each slot.
    slots: ClassVar[list[Slot]] = []
    #: Raise it when the form of the state changes: a swap to another number drops the state.
    state_version: ClassVar[int] = 1
    #: A dataclass with one `setting` for each field.
    Config: ClassVar[type]
    #: A dataclass with a default for each field, or None. Stored as JSON, 64 KiB at most.
    State: ClassVar[type | None] = None
    #: Configurations to start from; they become part of the JSON Schema.
    examples: ClassVar[list] = []

    def validate_config(self, config: Any) -> list[Problem]:
        """Checks what the JSON Schema cannot say."""
        del config
        return []

    def evaluate(self, call: GateCall, config: Any, state: Any, evidence: Evidence) -> Evaluation:
        """Judges once. Answer `Verdict.HOLD` to a phase that you do not know."""
        raise NotImplementedError


@dataclass
class Finding:
    """A measurement, and the sentence that says how it stands to its limit."""

    measurement: Measurement
    text: str


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of some verdicts: fail before hold before pass; hold without any."""
    return max(verdicts, key=lambda verdict: verdict.value, default=Verdict.HOLD)


def cluster_verdict(cluster: str, findings: list[Finding]) -> ClusterVerdict:
    """The verdict of a cluster by its findings."""
    return ClusterVerdict(cluster, worst(finding.measurement.verdict for finding in findings))


def evaluation_of(
    findings: list[Finding], clusters: list[ClusterVerdict] | None = None, state: Any = None
) -> Evaluation:
    """The worst of the findings, with the sentence of the first that says so."""
    verdict = worst(finding.measurement.verdict for finding in findings)
    texts = [finding.text for finding in findings if finding.measurement.verdict == verdict]
    reason = texts[0] if texts else "nothing was measured"
    if len(texts) > 1:
        reason = f"{reason}, and {len(texts) - 1} more"
    measurements = [finding.measurement for finding in findings]
    return Evaluation(verdict, reason, clusters or [], measurements, state)
