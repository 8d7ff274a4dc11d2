"""The line that describes a unit in a picture's parameters: `Label: value, Label: value`.

A value is in quotes, as JSON has them, where it holds what would end it. Reading takes time in proportion to the line,
whatever a pasted picture holds.
"""

import json
import re
from collections.abc import Iterable, Iterator

MAX_LINE = 50_000
"""Characters of a line: more than a unit with every field at its longest takes."""

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def written(entries: Iterable[tuple[str, str]]) -> str:
    """Return labels and values as a line."""
    return ", ".join(f"{label}: {_quoted(value)}" for label, value in entries)


def entries_of(line: str) -> Iterator[tuple[str, str]]:
    """Yield labels and values of a line; what is neither is passed over."""
    at = 0
    while (colon := line.find(": ", at)) >= 0:
        first = max(at, *(line.rfind(mark, at, colon) + 1 for mark in ',:"'))
        label = line[first:colon].strip()
        value, at = _value(line, colon + 2)
        if label:
            yield label, value


def _value(line: str, at: int) -> tuple[str, int]:
    """Return the value that begins at a place of a line, and where the next label begins."""
    string = STRING.match(line, at)
    if string and line[string.end() : string.end() + 1] in ("", ","):
        return _unquoted(string[0]), string.end() + 1
    comma = line.find(",", at)
    end = len(line) if comma < 0 else comma
    return _unquoted(line[at:end].strip()), end + 1


def _quoted(value: str) -> str:
    plain = value.strip() == value and not set(value) & set(',:"\n')
    return value if plain else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    """Return what `_quoted` was given; broken quotes stay as they are."""
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value
