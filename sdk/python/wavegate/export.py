"""Carries a plugin over the contract.

In a component the modules that `componentize-py` makes from `wit/` are there; under a test they
are not, and exporting does nothing.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from . import codec, config as configs, log
from .errors import BAD_CONFIG, Failed, Problem
from .gate import Gate
from .rehearsal import rehearse
from .strategy import Strategy
from .types import ProbeSummary, Requests, Response, Sample, Series, Verdict

try:
    import wit_world
except ImportError:
    wit_world = None

Answer = TypeVar("Answer")


def export_strategy(plugin: type[Strategy]) -> type:
    """Exports a strategy: assign the result to a module's name `Strategy`.

    A traceback goes to the log, and the call ends as *unavailable*.
    """
    if wit_world is None:
        return plugin
    rehearse(plugin, _strategy)
    return _strategy(plugin)


def _strategy(plugin: type[Strategy]) -> type:
    from wit_world import exports
    from wit_world.exports import strategy as wit

    class Exported(exports.Strategy):
        def describe(self):
            return _call(lambda: _about(plugin))

        def validate_config(self, config: str):
            return _call(lambda: _problems(plugin, config))

        def outline(self, site, release, config: str):
            def answer():
                stages = plugin().outline(site, release, configs.read(plugin.Config, config))
                return [wit.Stage(stage.name, stage.text) for stage in stages]

            return _call(answer)

        def decide(self, view, config: str, state: bytes):
            def answer():
                for gate in view.gates:
                    gate.last = None if gate.last is None else Verdict(gate.last.value)
                settings = configs.read(plugin.Config, config)
                outcome = plugin().decide(view, settings, codec.read_state(plugin.State, state))
                return wit.Outcome(
                    decision=_decision(wit, outcome.decision),
                    stage=outcome.stage,
                    reason=outcome.reason,
                    state=codec.write_state(plugin.State, outcome.state),
                    extensions=[],
                )

            return _call(answer)

    return Exported


def export_gate(plugin: type[Gate]) -> type:
    """Exports a gate: assign the result to a module's name `Gate`.

    A traceback goes to the log, and the call ends as *unavailable*.
    """
    if wit_world is None:
        return plugin
    rehearse(plugin, _gate)
    return _gate(plugin)


def _gate(plugin: type[Gate]) -> type:
    from wit_world import exports
    from wit_world.exports import gate as wit
    from wit_world.imports import types

    verdicts = {verdict: types.Verdict(verdict.value) for verdict in Verdict}

    def measurement(measured):
        fields = {field.name: getattr(measured, field.name) for field in dataclasses.fields(measured)}
        return wit.Measurement(**fields | {"verdict": verdicts[measured.verdict]})

    class Exported(exports.Gate):
        def describe(self):
            def answer():
                slots = [wit.Slot(slot.name, slot.kind, slot.text) for slot in plugin.slots]
                return wit.GateAbout(about=_about(plugin), slots=slots)

            return _call(answer)

        def validate_config(self, config: str):
            return _call(lambda: _problems(plugin, config))

        def evaluate(self, call, config: str, state: bytes):
            def answer():
                settings = configs.read(plugin.Config, config)
                remembered = codec.read_state(plugin.State, state)
                found = plugin().evaluate(call, settings, remembered, HostEvidence())
                return wit.Evaluation(
                    verdict=verdicts[found.verdict],
                    reason=found.reason,
                    clusters=[wit.ClusterVerdict(it.cluster, verdicts[it.verdict]) for it in found.clusters],
                    measurements=[measurement(measured) for measured in found.measurements],
                    state=codec.write_state(plugin.State, found.state),
                    extensions=[],
                )

            return _call(answer)

    return Exported


class HostEvidence:
    """Evidence from the host."""

    def instant(self, slot: str, query: str) -> list[Series]:
        from wit_world.imports import metrics

        return _series(_asked(lambda: metrics.instant(slot, query)))

    def instants(self, slot: str, queries: list[str]) -> list[list[Series]]:
        from wit_world.imports import metrics

        return [_series(answer) for answer in _asked(lambda: metrics.instants(slot, queries))]

    def range(self, slot: str, query: str, window_ms: int, step_ms: int) -> list[Series]:
        from wit_world.imports import metrics

        return _series(_asked(lambda: metrics.range(slot, query, window_ms, step_ms)))

    def ranges(self, slot: str, queries: list[str], window_ms: int, step_ms: int) -> list[list[Series]]:
        from wit_world.imports import metrics

        answers = _asked(lambda: metrics.ranges(slot, queries, window_ms, step_ms))
        return [_series(answer) for answer in answers]

    def get(self, slot: str, path: str) -> Response:
        from wit_world.imports import http

        return _response(_asked(lambda: http.get(slot, path)))

    def gets(self, slot: str, paths: list[str]) -> list[Response]:
        from wit_world.imports import http

        return [_response(answer) for answer in _asked(lambda: http.gets(slot, paths))]

    def summary(self, slot: str, cluster: str, cohort: str, window_ms: int) -> ProbeSummary:
        from wit_world.imports import probes

        return _summary(_asked(lambda: probes.summary(slot, cluster, cohort, window_ms)))

    def summaries(self, slot: str, clusters: list[str], cohort: str, window_ms: int) -> list[ProbeSummary]:
        from wit_world.imports import probes

        answers = _asked(lambda: probes.summaries(slot, clusters, cohort, window_ms))
        return [_summary(answer) for answer in answers]


def _series(answer: list) -> list[Series]:
    return [
        Series([tuple(label) for label in series.labels], [Sample(it.at, it.value) for it in series.samples])
        for series in answer
    ]


def _response(answer: Any) -> Response:
    return Response(answer.status, answer.content_type, answer.body)


def _summary(answer: Any) -> ProbeSummary:
    def requests(it):
        return Requests(it.total, it.failed, it.p50_ms, it.p95_ms, it.p99_ms)

    return ProbeSummary(requests(answer.checks), requests(answer.traffic))


def _about(plugin: Any) -> Any:
    from wit_world.imports import types

    kind = "strategy" if issubclass(plugin, Strategy) else "gate"
    title = f"Configuration of the {kind} {plugin.name}"
    return types.About(
        name=plugin.name,
        version=plugin.version,
        state_version=plugin.state_version,
        config_schema=configs.schema(plugin.Config, title, plugin.examples),
        text=plugin.text,
    )


def _problems(plugin: Any, config: str) -> list:
    from wit_world.imports import types

    return [types.Problem(it.pointer, it.message) for it in problems(plugin, config)]


def problems(plugin: Any, config: str) -> list[Problem]:
    """What a plugin finds wrong with a configuration, as JSON."""
    try:
        settings = configs.read(plugin.Config, config)
    except Failed as failure:
        if failure.code != BAD_CONFIG:
            raise
        # The host shows a problem where the author of the policy wrote it.
        return [Problem("", failure.message)]
    return plugin().validate_config(settings)


def _decision(wit: Any, decision: Any) -> Any:
    match decision.kind:
        case "go":
            goals = [
                wit.ClusterGoal(it.cluster, it.new, it.baseline, it.new_permille, it.baseline_permille)
                for it in decision.value
            ]
            return wit.Decision_Go(wit.Goal(goals))
        case "wait-gates":
            return wit.Decision_WaitGates(decision.value)
        case "wait-ms":
            return wit.Decision_WaitMs(decision.value)
        case "wait-person":
            return wit.Decision_WaitPerson(decision.value)
        case "done":
            return wit.Decision_Done()
        case "failed":
            return wit.Decision_Failed(decision.value)
    raise ValueError(f"no such decision: {decision.kind}")


def _asked(question: Callable[[], Answer]) -> Answer:
    """Asks the host; a failure of the source becomes `Failed`."""
    from componentize_py_types import Err

    try:
        return question()
    except Err as error:
        failure = error.value
        raise Failed(
            failure.code,
            failure.message,
            retryable=failure.retryable,
            details=[tuple(it) for it in failure.details],
        ) from error


def _call(answer: Callable[[], Answer]) -> Answer:
    """Runs a call; what goes wrong reaches the host as a failure with the traceback in the log."""
    from componentize_py_types import Err
    from wit_world.imports import log as host_log
    from wit_world.imports import types

    levels = {level.name.lower(): level for level in host_log.Level}
    log.send_to(lambda level, message: host_log.write(levels[level], message))
    try:
        return answer()
    except Failed as failure:
        value = types.Failure(failure.code, failure.message, failure.retryable, failure.details)
        raise Err(value) from failure
    except Exception as error:
        # Without this the message would be lost with the instance.
        for line in traceback.format_exc().splitlines():
            log.error(line)
        value = types.Failure("uncaught", f"{type(error).__name__}: {error}", False, [])
        raise Err(value) from error
