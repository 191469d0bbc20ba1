"""The plugin's log. The host caps and cleans every line and keeps it with the call."""

from __future__ import annotations

from collections.abc import Callable

Writer = Callable[[str, str], None]


def _nowhere(level: str, message: str) -> None:
    del level, message


_write: Writer = _nowhere


def send_to(writer: Writer) -> None:
    """Says where lines go. The export and the harness call this; plugins need not."""
    global _write
    _write = writer


def send_to_nobody() -> None:
    """Lines go nowhere from here on."""
    send_to(_nowhere)


def debug(message: str) -> None:
    """Writes a line of level debug."""
    _write("debug", message)


def info(message: str) -> None:
    """Writes a line of level info."""
    _write("info", message)


def warn(message: str) -> None:
    """Writes a line of level warn."""
    _write("warn", message)


def error(message: str) -> None:
    """Writes a line of level error."""
    _write("error", message)
