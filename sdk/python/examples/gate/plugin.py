"""The gate *ceiling*: holds the answer of a metric query against a greatest value, for the subject
as a whole or for each updated cluster."""

from dataclasses import dataclass
from enum import Enum
from math import isfinite

from wavegate import (
    Duration,
    Evaluation,
    Evidence,
    Finding,
    GateCall,
    GateCluster,
    Measurement,
    PHASES,
    Problem,
    Series,
    Slot,
    Verdict,
    cluster_verdict,
    evaluation_of,
    export_gate,
    query,
    setting,
)
from wavegate import Gate as Base
from wavegate.units import number

#: The name of the slot that the policy binds to a source.
SLOT = "metrics"

#: Samples of a window: enough to see a course, few enough to be cheap for a source.
SAMPLES_PER_WINDOW = 20


class OnNoData(Enum):
    HOLD = "hold"
    FAIL = "fail"


@dataclass
class Config:
    query: str = setting(
        "The query, in the language of the source. `{{release}}` is replaced by the digest of the new "
        "release and `{{version}}` by its version; with `perCluster` also `{{cluster}}` by the cluster's "
        "name. Inside double quotes.",
        min_length=1,
        max_length=8192,
    )
    max: float = setting("Greatest value that passes.")
    window: Duration | None = setting(
        "Looks at the worst value of so long, in twenty samples. At the present one if left out.",
        default=None,
    )
    per_cluster: bool = setting("Asks for each updated cluster and judges each.", default=False)
    on_no_data: OnNoData = setting("What an empty answer means. It never passes.", default=OnNoData.HOLD)
    name: str = setting(
        "Name of the measurement in reports.", default="value", pattern="^[a-z][a-z0-9-]{0,62}$"
    )
    unit: str = setting("Unit of the measurement in reports.", default="", max_length=32)


class Ceiling(Base):
    name = "ceiling"
    version = "0.1.0"
    text = (
        "Holds the answer of a metric query against a greatest value, for the subject as a whole or "
        "for each updated cluster."
    )
    slots = [Slot(SLOT, "metrics", "answers of the configured query")]
    Config = Config
    examples = [
        {"query": "error_ratio", "max": 0.01},
        {"query": 'p95_ms{cluster="{{cluster}}"}', "max": 500, "perCluster": True, "unit": "ms"},
    ]

    def validate_config(self, config: Config) -> list[Problem]:
        problems = []
        if config.window and config.window.ms == 0:
            problems.append(Problem("/window", "must be longer than nothing"))
        for name in query.placeholders(config.query):
            if name in ("release", "version") or (name == "cluster" and config.per_cluster):
                continue
            if name == "cluster":
                text = "{{cluster}} is known with perCluster only"
            else:
                text = f"{{{{{name}}}}} is not known; known are release, version and cluster"
            problems.append(Problem("/query", text))
        return problems

    def evaluate(self, call: GateCall, config: Config, state: None, evidence: Evidence) -> Evaluation:
        if call.phase not in PHASES:
            return Evaluation(Verdict.HOLD, f"the phase {call.phase} is not known")
        subjects = call.updated if config.per_cluster else [None]
        if not subjects:
            return Evaluation(Verdict.HOLD, "no cluster runs the new release yet")
        findings = []
        clusters = []
        for cluster, series in zip(subjects, ask(call, config, subjects, evidence)):
            finding = judge(config, cluster.name if cluster else "", series)
            if cluster:
                clusters.append(cluster_verdict(cluster.name, [finding]))
            findings.append(finding)
        return evaluation_of(findings, clusters)


def ask(
    call: GateCall, config: Config, subjects: list[GateCluster | None], evidence: Evidence
) -> list[list[Series]]:
    """Asks for all subjects at once: one by one, each would take a round of evidence."""
    queries = []
    for cluster in subjects:
        values = {"release": call.release.digest, "version": call.release.version}
        values["cluster"] = cluster.name if cluster else ""
        queries.append(query.fill(config.query, values))
    if config.window is None:
        return evidence.instants(SLOT, queries)
    step_ms = max(config.window.ms // SAMPLES_PER_WINDOW, 1)
    return evidence.ranges(SLOT, queries, config.window.ms, step_ms)


def judge(config: Config, cluster: str, series: list[Series]) -> Finding:
    """The worst value counts, of all samples of all series."""
    values = [sample.value for it in series for sample in it.samples if isfinite(sample.value)]
    value = max(values, default=None)
    limit = f"<= {number(config.max)}"
    place = f"cluster {cluster}: " if cluster else ""
    if value is None:
        verdict = Verdict.FAIL if config.on_no_data is OnNoData.FAIL else Verdict.HOLD
        text = f"{place}no data for {config.name}, which must be {limit}"
    else:
        verdict = Verdict.PASS if value <= config.max else Verdict.FAIL
        says = "meets" if verdict is Verdict.PASS else "breaks"
        text = f"{place}{config.name} {number(value)} {says} {limit} ({len(values)} samples)"
    measurement = Measurement(config.name, cluster, value, config.unit, limit, verdict, len(values))
    return Finding(measurement, text)


# The name that the component exports.
Gate = export_gate(Ceiling)
