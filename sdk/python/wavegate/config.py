"""Configurations: a dataclass says what there is, and the JSON Schema is made from it.

    @dataclass
    class Config:
        steps: list[Amount] = setting("Nodes, step by step.", min_items=1)
        pause: Duration | None = setting("How long to watch.", default=None)
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import re
import types
import typing
from dataclasses import MISSING

from .errors import BAD_CONFIG, Failed
from .units import Amount, Duration, Percent

_WORDS = {
    "min_items": "minItems",
    "max_items": "maxItems",
    "unique_items": "uniqueItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "minimum": "minimum",
    "maximum": "maximum",
    "item_min_length": None,
}


def setting(text: str, *, default: object = MISSING, name: str = "", **limits: object) -> typing.Any:
    """A field of a configuration, with its description and what the JSON Schema limits.

    Without a default it is required. Names become camelCase in JSON. Limits are `min_items`,
    `max_items`, `unique_items`, `min_length`, `max_length`, `item_min_length`, `pattern`,
    `minimum` and `maximum`.
    """
    unknown = limits.keys() - _WORDS.keys()
    if unknown:
        raise TypeError(f"no such limit: {', '.join(sorted(unknown))}")
    metadata = {"text": text, "name": name, "limits": limits}
    if default is MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def schema(config: type, title: str, examples: list[object]) -> str:
    """The JSON Schema of a configuration."""
    properties = {}
    required = []
    for field, key, hint in _fields(config):
        properties[key] = _property(field, hint)
        if field.default is MISSING:
            required.append(key)
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
        "examples": examples,
    }
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"))


def read(config: type, text: str) -> typing.Any:
    """Reads a configuration; what cannot be read is the failure `bad-config`."""
    try:
        return _object(config, json.loads(text))
    except (ValueError, TypeError) as error:
        raise Failed(BAD_CONFIG, f"the configuration cannot be read: {error}") from error


def _object(config: type, value: object) -> typing.Any:
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    value = dict(value)
    read = {}
    for field, key, hint in _fields(config):
        if key in value:
            try:
                read[field.name] = _value(hint, value.pop(key))
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from error
        elif field.default is MISSING:
            raise ValueError(f"{key} is missing")
    if value:
        raise ValueError(f"unknown: {', '.join(value)}")
    return config(**read)


def _value(hint: typing.Any, value: object) -> object:
    hint = _present(hint)
    if typing.get_origin(hint) is list:
        if not isinstance(value, list):
            raise ValueError("not a list")
        return [_value(typing.get_args(hint)[0], item) for item in value]
    if hint is Amount:
        return Amount.parse(value)
    if hint in (Percent, Duration):
        if not isinstance(value, str):
            raise ValueError("not a text")
        return hint.parse(value)
    if dataclasses.is_dataclass(hint):
        return _object(hint, value)
    if issubclass(hint, enum.Enum):
        return hint(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ValueError(f"not of type {hint.__name__}")
    return value


def _property(field: dataclasses.Field, hint: typing.Any) -> dict:
    limits = dict(field.metadata.get("limits", {}))
    item_min_length = limits.pop("item_min_length", None)
    made = {"description": field.metadata.get("text", "")}
    if field.default is not MISSING and field.default is not None:
        made["default"] = _plain(field.default)
    made |= _shape(_present(hint))
    if item_min_length is not None:
        made["items"]["minLength"] = item_min_length
    made |= {_WORDS[name]: value for name, value in limits.items()}
    return made


def _shape(hint: typing.Any) -> dict:
    if typing.get_origin(hint) is list:
        return {"type": "array", "items": _shape(typing.get_args(hint)[0])}
    if hint is Amount:
        count = {"type": "integer", "minimum": 1, "maximum": 2**32 - 1}
        return {"oneOf": [count, {"type": "string", "pattern": Percent.PATTERN}]}
    if hint in (Percent, Duration):
        return {"type": "string", "pattern": hint.PATTERN}
    if dataclasses.is_dataclass(hint):
        return json.loads(schema(hint, hint.__name__, [])) | {"$schema": None}
    if issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    return {"type": {str: "string", int: "integer", float: "number", bool: "boolean"}[hint]}


def _plain(value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else value


def _present(hint: typing.Any) -> typing.Any:
    """The type without `| None`: what is left out is left to the default."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return next(part for part in typing.get_args(hint) if part is not types.NoneType)
    return hint


@functools.cache
def _fields(config: type) -> list[tuple[dataclasses.Field, str, typing.Any]]:
    """The fields of a configuration, with their names in JSON and their types."""
    hints = typing.get_type_hints(config)
    return [(field, _key(field), hints[field.name]) for field in dataclasses.fields(config)]


def _key(field: dataclasses.Field) -> str:
    name = field.metadata.get("name") or field.name
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)
