"""Runs a plugin's logic in an ordinary unit test, without Wasm.

Calls go through the same encoding of configuration and state as in a component. There is no
sandbox, no fuel and no limit of time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import codec, config as configs, log
from .errors import Failed, Problem
from .export import problems
from .gate import Evaluation, Gate
from .shares import PERMILLE, apportion
from .strategy import Outcome, Strategy
from .types import (
    ClusterSummary,
    ClusterView,
    Decision,
    GateCall,
    GateCluster,
    GateView,
    ProbeSummary,
    Release,
    Response,
    Series,
    SiteSummary,
    SiteView,
    Stage,
    Subject,
    Verdict,
)

#: 2026-01-01T00:00:00Z.
NOW = 1_767_225_600_000.0
NEW_DIGEST = "sha256:" + "2" * 64
BASELINE_DIGEST = "sha256:" + "1" * 64


def site(
    clusters: dict[str, int], gates: tuple[str, ...] = (), *, splits_traffic: bool = True
) -> SiteView:
    """A site before a rollout: every node is on the baseline and serves."""
    names = sorted(clusters)
    shares = apportion(PERMILLE if splits_traffic else 0, [clusters[name] for name in names])
    views = [
        ClusterView(
            name,
            baseline=BASELINE_DIGEST,
            desired=clusters[name],
            baseline_ready=clusters[name],
            baseline_permille=share,
        )
        for name, share in zip(names, shares)
    ]
    release = Release("2.0", NEW_DIGEST)
    return SiteView(
        NOW, "site", views, splits_traffic, release, gates=[GateView(name) for name in sorted(gates)]
    )


class StrategyRun:
    """A strategy at work on a site. Change `view` to test what goes wrong between calls."""

    def __init__(self, plugin: type[Strategy], view: SiteView, config: str) -> None:
        self.plugin = plugin
        self.view = view
        self.config = config
        self.state = b""
        self.log: list[tuple[str, str]] = []

    def decide(self) -> Outcome:
        """Asks once and keeps the new state; nothing is carried out."""
        log.send_to(lambda level, message: self.log.append((level, message)))
        settings = configs.read(self.plugin.Config, self.config)
        state = codec.read_state(self.plugin.State, self.state)
        outcome = self.plugin().decide(self.view, settings, state)
        self.state = codec.write_state(self.plugin.State, outcome.state)
        if self.view.stage != outcome.stage:
            self.view.stage = outcome.stage
            self.view.stage_elapsed_ms = 0
        return outcome

    def carry_out(self, decision: Decision) -> None:
        """Goals are reached, gates pass, time goes by, people approve."""
        completed = {"go": "goal", "wait-gates": "gates", "wait-ms": "time", "wait-person": "person"}
        match decision.kind:
            case "go":
                self._go(decision.value)
            case "wait-gates":
                for gate in self.view.gates:
                    if gate.name in decision.value:
                        gate.last = Verdict.PASS
            case "wait-ms":
                self.view.now += decision.value
                self.view.stage_elapsed_ms += decision.value
                self.view.site_elapsed_ms += decision.value
        self.view.completed = completed.get(decision.kind, self.view.completed)

    def run(self, calls: int = 100) -> list[Outcome]:
        """Asks and carries out until the site is done or has failed; checks goals as the host does."""
        outcomes: list[Outcome] = []
        for _ in range(calls):
            outcome = self.decide()
            if outcome.decision.kind == "go":
                self._check(outcome.decision.value)
            self.carry_out(outcome.decision)
            outcomes.append(outcome)
            if outcome.decision.kind in ("done", "failed"):
                return outcomes
        raise AssertionError(f"no end within {calls} calls: {outcomes[-1]}")

    def outline(self) -> list[Stage]:
        """The stages that the strategy means to go through."""
        clusters = [ClusterSummary(it.name, it.role, it.desired) for it in self.view.clusters]
        settings = configs.read(self.plugin.Config, self.config)
        return self.plugin().outline(SiteSummary(self.view.site, clusters), self.view.release, settings)

    def problems(self) -> list[Problem]:
        """What the strategy finds wrong with the configuration."""
        return problems(self.plugin, self.config)

    def _go(self, goal: list) -> None:
        goals = {it.cluster: it for it in goal}
        for cluster in self.view.clusters:
            wanted = goals.get(cluster.name)
            if wanted is None:
                continue
            cluster.new_ready, cluster.new_unready = wanted.new, 0
            cluster.baseline_ready, cluster.baseline_unready = wanted.baseline, 0
            if self.view.splits_traffic:
                cluster.new_permille = wanted.new_permille
                cluster.baseline_permille = wanted.baseline_permille
        # A verdict was made for another state of the site.
        for gate in self.view.gates:
            gate.last = None

    def _check(self, goal: list) -> None:
        ours = [cluster.name for cluster in self.view.clusters]
        assert ours == sorted(it.cluster for it in goal), "a goal names every cluster exactly once"
        shares = sum(it.new_permille + it.baseline_permille for it in goal)
        assert shares == PERMILLE, f"shares sum to 1000: {goal}"
        for it in goal:
            idle = (it.new == 0 and it.new_permille) or (it.baseline == 0 and it.baseline_permille)
            assert not idle, f"traffic without nodes: {it}"


class Recorded:
    """Evidence with answers that the test recorded; `asked` keeps the questions, in order."""

    def __init__(self) -> None:
        self.answers: dict[tuple, Any] = {}
        self.asked: list[tuple] = []

    def record(self, kind: str, slot: str, *question: object, answer: Any) -> Recorded:
        """Records an answer, or a failure, for ("instant", slot, query) and its kind.

        The kinds are "instant", "range", "get" and "summary", with the arguments of `Evidence`.
        """
        self.answers[(kind, slot, *question)] = answer
        return self

    def _answer(self, *question: object) -> Any:
        self.asked.append(question)
        answer = self.answers.get(question)
        if answer is None:
            raise Failed("no-recorded-answer", f"nothing recorded for {question}")
        if isinstance(answer, Failed):
            raise answer
        return answer

    def instant(self, slot: str, query: str) -> list[Series]:
        return self._answer("instant", slot, query)

    def instants(self, slot: str, queries: list[str]) -> list[list[Series]]:
        return self._all(lambda query: self.instant(slot, query), queries)

    def range(self, slot: str, query: str, window_ms: int, step_ms: int) -> list[Series]:
        return self._answer("range", slot, query, window_ms, step_ms)

    def ranges(self, slot: str, queries: list[str], window_ms: int, step_ms: int) -> list[list[Series]]:
        return self._all(lambda query: self.range(slot, query, window_ms, step_ms), queries)

    def get(self, slot: str, path: str) -> Response:
        return self._answer("get", slot, path)

    def gets(self, slot: str, paths: list[str]) -> list[Response]:
        return self._all(lambda path: self.get(slot, path), paths)

    def summary(self, slot: str, cluster: str, cohort: str, window_ms: int) -> ProbeSummary:
        return self._answer("summary", slot, cluster, cohort, window_ms)

    def summaries(self, slot: str, clusters: list[str], cohort: str, window_ms: int) -> list[ProbeSummary]:
        return self._all(lambda cluster: self.summary(slot, cluster, cohort, window_ms), clusters)

    def _all(self, ask: Callable[[str], Any], questions: list[str]) -> list:
        """All answers, or the first failure: whoever asks at once has asked everything by then."""
        answers: list[Any] = []
        failures: list[Failed] = []
        for question in questions:
            try:
                answers.append(ask(question))
            except Failed as failure:
                failures.append(failure)
        if failures:
            raise failures[0]
        return answers


class GateRun:
    """A gate and the call that it gets: after a batch, for these updated clusters."""

    def __init__(self, plugin: type[Gate], updated: list[str], config: str) -> None:
        self.plugin = plugin
        self.config = config
        self.state = b""
        self.log: list[tuple[str, str]] = []
        self.call = GateCall(
            now=NOW,
            subject=Subject("site", "site"),
            phase="after-batch",
            attempt=0,
            evidence_start=NOW - 10_000,
            release=Release("2.0", NEW_DIGEST),
            updated=[GateCluster(name, "", BASELINE_DIGEST, 1, 3) for name in updated],
        )

    def evaluate(self, evidence: Any) -> Evaluation:
        """Asks once and keeps the new state."""
        log.send_to(lambda level, message: self.log.append((level, message)))
        settings = configs.read(self.plugin.Config, self.config)
        state = codec.read_state(self.plugin.State, self.state)
        evaluation = self.plugin().evaluate(self.call, settings, state, evidence)
        self.state = codec.write_state(self.plugin.State, evaluation.state)
        return evaluation

    def problems(self) -> list[Problem]:
        """What the gate finds wrong with the configuration."""
        return problems(self.plugin, self.config)
