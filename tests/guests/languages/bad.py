"""A strategy that does what its configuration says: loop, allocate, recurse, trap or flood the log."""

from dataclasses import dataclass

from wavegate import export_strategy, log, setting
from wavegate import Strategy as Base


@dataclass
class Config:
    bad: str = setting("What to do.")


def deep(depth: int) -> int:
    return deep(depth + 1) + 1


class Bad(Base):
    name = "bad"
    version = "0.1.0"
    text = "Misbehaves."
    Config = Config

    def outline(self, site, release, config):
        return []

    def decide(self, view, config, state):
        kept = []
        while config.bad == "loop":
            pass
        while config.bad == "allocate":
            kept.append(bytes(1 << 20))
        while config.bad == "log":
            log.info("x" * 1000)
        if config.bad == "recurse":
            deep(0)
        raise RuntimeError("the author made a mistake")


Strategy = export_strategy(Bad)
