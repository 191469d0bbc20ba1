"""Goes through what every call goes through, while the component is made.

The memory of a component is saved when its modules have been imported, and every call starts from
a fresh copy of it. What is imported, compiled, looked up or specialised before that is done once;
what is not is done again in each call, and each page of memory that it writes is copied again.

Only code of the SDK is rehearsed, with plugins of its own: what an author's code does is not
known, and must not be done before somebody asks for it.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import dataclass

from . import config as configs, log, shares
from .errors import Problem
from .gate import Evaluation, Finding, Gate, cluster_verdict, evaluation_of
from .strategy import Outcome, Strategy, done, fail, go, wait_for_gates, wait_for_person, wait_ms
from .types import (
    ClusterSummary,
    ClusterView,
    GateCall,
    GateCluster,
    GateView,
    Measurement,
    Release,
    SiteSummary,
    SiteView,
    Stage,
    Subject,
    Verdict,
)
from .units import Amount, Duration

#: The interpreter fits its code to what it meets after some tens of runs.
TIMES = 60


@dataclass
class _Config:
    steps: list[Amount] = configs.setting("", min_items=1)
    pause: Duration | None = configs.setting("", default=None)
    gates: list[str] | None = configs.setting("", default=None)
    share: float = configs.setting("", default=0.5)
    only: bool = configs.setting("", default=False)


@dataclass
class _State:
    turn: int = 0
    phase: str = ""


_CONFIG = '{"steps":[1,"12.5%","100%"],"pause":"1m30s","gates":["a","b"],"share":1,"only":true}'


class _Strategy(Strategy):
    name, version, text = "rehearsal", "0.0.0", ""
    Config, State = _Config, _State
    examples = [json.loads(_CONFIG)]

    def validate_config(self, config):
        return [Problem("/steps", "")]

    def outline(self, site, release, config):
        return [Stage("", f"{step} of {len(site.clusters)}") for step in config.steps]

    def decide(self, view, config, state):
        nodes = shares.spread(config.steps[1].of(shares.desired(view)), [it.desired for it in view.clusters])
        goal = shares.goal_by_capacity(view.clusters, nodes)
        shares.reached(view, goal)
        gates = [gate.name for gate in view.gates if gate.last is Verdict.PASS]
        pause = wait_ms(config.pause.ms)
        answers = [go(goal), wait_for_gates(gates), pause, wait_for_person("who"), done(), fail("why")]
        return Outcome(answers[state.turn], "all", f"{nodes[0]} nodes", state)


class _Gate(Gate):
    name, version, text = "rehearsal", "0.0.0", ""
    Config, State = _Config, _State
    examples = [json.loads(_CONFIG)]

    def evaluate(self, call, config, state, evidence):
        measured = [
            Finding(Measurement("a", it.name, config.share, "ms", "<= 1", Verdict.PASS, 1), "well")
            for it in call.updated
        ]
        clusters = [cluster_verdict(it.measurement.cluster, [it]) for it in measured]
        return evaluation_of(measured, clusters, state)


def rehearse(plugin: type, export: Callable[[type], type]) -> None:
    """Rehearses the export of a kind of plugin, and settles memory."""
    if issubclass(plugin, Strategy):
        exported = export(_Strategy)()
        for turn in range(TIMES):
            state = json.dumps({"turn": turn % 6, "phase": "x"}).encode()
            exported.decide(_view(), _CONFIG, state)
            exported.outline(_site(), _release(), _CONFIG)
    else:
        exported = export(_Gate)()
        for turn in range(TIMES):
            exported.evaluate(_call(), _CONFIG, b'{"turn":1,"phase":"x"}')
    exported.describe()
    exported.validate_config(_CONFIG)
    # Remembers what the fields of the plugin's own configuration are.
    configs.schema(plugin.Config, "", [])
    log.send_to_nobody()
    # Collecting garbage looks at everything that there is, and writes to it: what is here now stays
    # out of it, and a call is over before there is much to collect.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def _release() -> Release:
    return Release("2.0", "sha256:00")


def _site() -> SiteSummary:
    return SiteSummary("s", [ClusterSummary("c", "", 3), ClusterSummary("d", "", 4)])


def _view() -> SiteView:
    clusters = [
        ClusterView(name, desired=4, new_ready=1, baseline_ready=3, new_permille=100, baseline_permille=400)
        for name in ("c", "d")
    ]
    gates = [GateView("a", Verdict.PASS, 1), GateView("b")]
    return SiteView(0.0, "s", clusters, True, _release(), gates=gates)


def _call() -> GateCall:
    clusters = [GateCluster("c", new_ready=1), GateCluster("d")]
    return GateCall(0.0, Subject("site", "s"), "soak", 1, 0.0, _release(), clusters)
