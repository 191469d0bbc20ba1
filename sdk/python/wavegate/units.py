"""Units for configurations, as people write them: "25%", 3, "1m30s"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

_U32_MAX = 2**32 - 1
_DAY_MS = 24 * 60 * 60 * 1000
_UNITS = {"ms": 1, "s": 1000, "m": 60 * 1000, "h": 60 * 60 * 1000, "d": _DAY_MS}

# Made once: a component is saved after its modules were imported, and every call starts from there.
_PERCENT = re.compile(r"([0-9]+)(?:\.([0-9]))?%")
_DURATION_PART = re.compile("([0-9]+)(ms|s|m|h|d)")
_DURATION = re.compile("([0-9]+(ms|s|m|h|d))+")


@total_ordering
@dataclass(frozen=True)
class Percent:
    """A share in permille, written as a percentage such as "25%" or "0.5%"."""

    permille: int

    PATTERN = r"^[0-9]{1,3}(\.[0-9])?%$"

    @classmethod
    def parse(cls, text: str) -> Percent:
        """Reads a percentage with at most one decimal, because shares are whole permille."""
        match = _PERCENT.fullmatch(text)
        permille = int(match[1]) * 10 + int(match[2] or 0) if match else None
        if permille is None or permille > 1000:
            raise ValueError(f'{text!r} is not a percentage from "0%" to "100%" with at most one decimal')
        return cls(permille)

    def of(self, count: int) -> int:
        """This share of a count, rounded up."""
        return -(-count * self.permille // 1000)

    def __lt__(self, other: Percent) -> bool:
        return self.permille < other.permille

    def __str__(self) -> str:
        whole, tenths = divmod(self.permille, 10)
        return f"{whole}.{tenths} %" if tenths else f"{whole} %"


@dataclass(frozen=True)
class Amount:
    """A count such as 3, or a percentage such as "25%"."""

    value: int | Percent

    @classmethod
    def parse(cls, value: object) -> Amount:
        """Reads a count or a percentage."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _U32_MAX:
            return cls(value)
        if isinstance(value, str):
            return cls(Percent.parse(value))
        raise ValueError(f'{value!r} is not a count, nor a percentage such as "25%"')

    def of(self, total: int) -> int:
        """The number out of `total`, rounded up and never more than `total`."""
        return self.value.of(total) if isinstance(self.value, Percent) else min(self.value, total)

    def is_zero(self) -> bool:
        """Whether it is nothing for every total."""
        return (self.value.permille if isinstance(self.value, Percent) else self.value) == 0

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Duration:
    """A duration in whole milliseconds, written as "500ms", "10s" or "1m30s"; 40 days at most."""

    ms: int

    PATTERN = "^([0-9]+(ms|s|m|h|d))+$"

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Reads a duration."""
        parts = _DURATION_PART.findall(text)
        ms = sum(int(number) * _UNITS[unit] for number, unit in parts)
        if not _DURATION.fullmatch(text) or ms > 40 * _DAY_MS:
            raise ValueError(f'{text!r} is not a duration up to 40 days such as "500ms", "10s" or "1m30s"')
        return cls(ms)

    def __str__(self) -> str:
        if self.ms == 0:
            return "0 s"
        for unit in ("h", "m", "s", "ms"):
            if self.ms % _UNITS[unit] == 0:
                return f"{self.ms // _UNITS[unit]} {unit}"
        raise AssertionError("every number is a multiple of one")


def number(value: float) -> str:
    """A number for people: at most six decimals, and no zeros at the end."""
    text = f"{value:.6f}"
    return text.rstrip("0").rstrip(".")
