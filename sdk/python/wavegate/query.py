"""Queries with placeholders: `{{name}}` is replaced by what a call knows.

Values go inside the double quotes of a query, as in `up{cluster="{{cluster}}"}`, and are escaped
for them: a name can never change what a query asks for.
"""

from __future__ import annotations

from .types import Series


def placeholders(query: str) -> list[str]:
    """The names between double braces, in order."""
    found = []
    for rest in query.split("{{")[1:]:
        name, closed, _ = rest.partition("}}")
        if closed:
            found.append(name)
    return found


def fill(query: str, values: dict[str, str]) -> str:
    """The query with these placeholders replaced; what stands in a value is not replaced again."""
    filled = []
    rest = query
    while True:
        before, opened, after = rest.partition("{{")
        filled.append(before)
        if not opened:
            return "".join(filled)
        name, closed, behind = after.partition("}}")
        if closed and name in values:
            filled.append(values[name].replace("\\", "\\\\").replace('"', '\\"'))
            rest = behind
        else:
            filled.append("{{")
            rest = after


def label(series: Series, name: str) -> str | None:
    """The value of a label; none if the series does not have it."""
    return next((value for key, value in series.labels if key == name), None)
