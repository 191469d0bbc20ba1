"""The base class of a strategy, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .errors import Problem
from .types import ClusterGoal, Decision, Release, SiteSummary, SiteView, Stage


@dataclass
class Outcome:
    """A decision and what goes with it: the stage, the reason and the next state."""

    decision: Decision
    stage: str
    reason: str
    state: Any = None


class Strategy:
    """Says what a site should look like next.

    The host asks `decide` again whenever the last answer has been carried out. It carries a goal
    out in batches within the policy's limits, so a strategy says where to go and not how fast.
    Nothing is kept in the plugin between calls but the state that it returned.
    """

    #: Kebab-case name.
    name: ClassVar[str]
    #: Semantic version of the plugin.
    version: ClassVar[str]
    #: A paragraph for people: what it does and when to use it.
    text: ClassVar[str]
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

    def outline(self, site: SiteSummary, release: Release, config: Any) -> list[Stage]:
        """The stages that the strategy means to go through, shown before a rollout starts."""
        raise NotImplementedError

    def decide(self, view: SiteView, config: Any, state: Any) -> Outcome:
        """What the site should look like next."""
        raise NotImplementedError


def go(goal: list[ClusterGoal]) -> Decision:
    """Go to this goal: every cluster of the site once, and shares that sum to 1000."""
    return Decision("go", goal)


def wait_for_gates(gates: list[str]) -> Decision:
    """Wait until these gates have passed for the site as it is now."""
    return Decision("wait-gates", gates)


def wait_ms(ms: int) -> Decision:
    """Wait so long."""
    return Decision("wait-ms", ms)


def wait_for_person(text: str) -> Decision:
    """Wait until a person approves; the text says what for."""
    return Decision("wait-person", text)


def done() -> Decision:
    """The site is done. Accepted only when everything is on the release."""
    return Decision("done")


def fail(reason: str) -> Decision:
    """The site has failed."""
    return Decision("failed", reason)
