"""Typed state on one side, JSON bytes on the other."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from .errors import BAD_STATE, Failed

#: The contract's limit.
STATE_BYTES_MAX = 64 * 1024


def read_state(form: type | None, state: bytes) -> Any:
    """Reads a state; no bytes are the state before the first call."""
    if form is None:
        return None
    if not state:
        return form()
    try:
        value = json.loads(state)
        names = {field.name for field in dataclasses.fields(form)}
        if not isinstance(value, dict) or set(value) != names:
            raise ValueError("its fields are not those of this version")
        return form(**value)
    except (ValueError, TypeError) as error:
        raise Failed(BAD_STATE, f"the state cannot be read: {error}") from error


def write_state(form: type | None, state: Any) -> bytes:
    """Writes a state, compact and with its fields in their order."""
    if form is None:
        return b""
    text = json.dumps(dataclasses.asdict(state), ensure_ascii=False, separators=(",", ":"))
    encoded = text.encode()
    if len(encoded) > STATE_BYTES_MAX:
        raise Failed(BAD_STATE, f"the state takes {len(encoded)} bytes, more than {STATE_BYTES_MAX}")
    return encoded
