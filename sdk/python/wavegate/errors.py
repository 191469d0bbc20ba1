"""What can go wrong, in the contract's words."""

from __future__ import annotations

from dataclasses import dataclass

BAD_CONFIG = "bad-config"
BAD_STATE = "bad-state"


class Failed(Exception):
    """Raise it when the plugin cannot answer. The host holds and asks again later.

    `code` is a short kebab-case word for programs, `message` a sentence for people.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        details: list[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.details = details or []


@dataclass
class Problem:
    """Something wrong in a configuration; `pointer` is a JSON pointer such as "/steps/1"."""

    pointer: str
    message: str
