"""The strategy *stepwise*: takes a site to the new release step by step, watches after each step
and asks the gates before the next one."""

from dataclasses import dataclass

from wavegate import (
    Amount,
    Duration,
    Failed,
    Outcome,
    Percent,
    Problem,
    Release,
    SiteSummary,
    SiteView,
    Stage,
    done,
    export_strategy,
    go,
    setting,
    shares,
    wait_for_gates,
    wait_ms,
)
from wavegate import Strategy as Base

#: The step that follows those of the configuration.
ALL = Amount(Percent(1000))

#: The phases of a step, in order.
MOVE, PAUSE, GATES = "move", "pause", "gates"


@dataclass
class Config:
    steps: list[Amount] = setting(
        "Nodes of the site on the new release, step by step: counts, or percentages rounded up. "
        "A step to all nodes follows the last one.",
        min_items=1,
        max_items=100,
    )
    pause: Duration | None = setting(
        "How long to watch after each step, for example `500ms` or `1m30s`. Not at all if left out.",
        default=None,
    )
    gates: list[str] | None = setting(
        "Gates of the policy that must pass before the next step. All of them if left out, none if empty.",
        default=None,
        max_items=64,
        unique_items=True,
        item_min_length=1,
    )


@dataclass
class State:
    """What is remembered from call to call."""

    #: Index of the step.
    step: int = 0
    #: What the step waits for.
    phase: str = MOVE
    #: Most new nodes that a step asked for: later steps never ask for fewer.
    nodes: int = 0


class Stepwise(Base):
    name = "stepwise"
    version = "0.1.0"
    text = (
        "Takes a site to the new release step by step. After each step it pauses, then asks the gates."
    )
    Config = Config
    State = State
    examples = [
        {"steps": ["25%", "50%"], "pause": "10s"},
        {"steps": [1], "gates": []},
    ]

    def validate_config(self, config: Config) -> list[Problem]:
        problems = []
        for index, step in enumerate(config.steps):
            if step.is_zero():
                problems.append(Problem(f"/steps/{index}", "a step must have at least one node"))
            # A count against a percentage depends on the site; `decide` never goes back.
            before = config.steps[index - 1].value if index > 0 else None
            if type(before) is type(step.value) and step.value < before:
                text = "a step must not have fewer nodes than the step before it"
                problems.append(Problem(f"/steps/{index}", text))
        return problems

    def outline(self, site: SiteSummary, release: Release, config: Config) -> list[Stage]:
        total = min(sum(cluster.desired for cluster in site.clusters), 2**32 - 1)
        steps = all_steps(config, total)
        return [
            Stage(stage_name(index, len(steps)), words(config, step.of(total), total, release.version))
            for index, step in enumerate(steps)
        ]

    def decide(self, view: SiteView, config: Config, state: State) -> Outcome:
        total = shares.desired(view)
        if total == 0:
            return Outcome(done(), "all", "the site has no nodes", state)
        capacities = [cluster.desired for cluster in view.clusters]
        steps = all_steps(config, total)
        completed = view.completed
        while True:
            # A site that shrank may have lost its last step.
            index = min(state.step, len(steps) - 1)
            stage = stage_name(index, len(steps))
            nodes = max(steps[index].of(total), min(state.nodes, total))
            state.nodes = nodes
            goal = shares.goal_by_capacity(view.clusters, shares.spread(nodes, capacities))
            if not shares.reached(view, goal):
                # Also when nodes were lost while something was waited for.
                state.phase = MOVE
                return Outcome(go(goal), stage, f"{nodes} of {total} nodes to be new", state)
            paused = state.phase == GATES or (state.phase == PAUSE and completed == "time")
            if config.pause and config.pause.ms > 0 and not paused:
                state.phase = PAUSE
                return Outcome(wait_ms(config.pause.ms), stage, f"watching for {config.pause}", state)
            gates = asked_gates(view, config)
            passed = state.phase == GATES and completed == "gates"
            if gates and not passed:
                state.phase = GATES
                return Outcome(wait_for_gates(gates), stage, f"asking {', '.join(gates)}", state)
            if index + 1 == len(steps):
                return Outcome(done(), stage, f"all {total} nodes are new", state)
            # What was carried out belonged to the step that is over.
            completed = ""
            state.step += 1
            state.phase = MOVE


def all_steps(config: Config, total: int) -> list[Amount]:
    """The steps of a site of so many nodes; the last one is everything."""
    steps = list(config.steps)
    if not steps or steps[-1].of(total) < total:
        steps.append(ALL)
    return steps


def stage_name(index: int, count: int) -> str:
    return "all" if index + 1 == count else f"step {index + 1}"


def words(config: Config, nodes: int, total: int, version: str) -> str:
    """What happens in a step, in words."""
    text = f"{nodes} of {total} nodes to {version}"
    if config.pause and config.pause.ms > 0:
        text += f", then wait {config.pause}"
    if config.gates is None:
        text += ", then all gates"
    elif config.gates:
        text += f", then {', '.join(config.gates)}"
    return text


def asked_gates(view: SiteView, config: Config) -> list[str]:
    """The gates that a step asks."""
    known = [gate.name for gate in view.gates]
    if config.gates is None:
        return known
    for gate in config.gates:
        if gate not in known:
            raise Failed("unknown-gate", f"the policy has no gate {gate}")
    return config.gates


# The name that the component exports.
Strategy = export_strategy(Stepwise)
