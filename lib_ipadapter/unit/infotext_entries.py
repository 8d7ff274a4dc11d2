"""Format of a unit's infotext line: `Label: value, Label: value`.

A value that contains a separator is quoted as in JSON. Reading takes linear time for any pasted text.
"""

import json
import re
from collections.abc import Iterable, Iterator

MAX_LINE = 50_000
"""Maximum characters of a line: more than a unit with every field at its maximum length needs."""

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def written(entries: Iterable[tuple[str, str]]) -> str:
    """Return labels and values as a line."""
    return ", ".join(f"{label}: {_quoted(value)}" for label, value in entries)


def entries_of(line: str) -> Iterator[tuple[str, str]]:
    """Yield labels and values of a line, skipping everything else."""
    at = 0
    while (colon := line.find(": ", at)) >= 0:
        first = max(at, *(line.rfind(mark, at, colon) + 1 for mark in ',:"'))
        label = line[first:colon].strip()
        value, at = _value(line, colon + 2)
        if label:
            yield label, value


def _value(line: str, at: int) -> tuple[str, int]:
    """Return the value that starts at position `at`, and the position of the next label."""
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
    """Undo `_quoted`; invalid quotes stay as they are."""
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value
