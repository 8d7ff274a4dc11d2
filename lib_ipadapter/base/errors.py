"""Errors that a user or a client can fix, and how they show values."""

import json
import re

MAX_SAID = 60
"""Values longer than this are summarised in messages."""

QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')

TITLES = {422: "Unprocessable Entity", 403: "Forbidden"}
"""HTTP statuses of errors, and their names."""


class IPAdapterError(Exception):
    """A sentence for the user: what was expected, what was found, why, and what to do."""

    status = 422
    """HTTP status; by default that of errors that a client can fix."""

    unit: int | None = None
    """Number of the unit that cannot run, counted from 1, where it is known."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    def __str__(self) -> str:
        return f"IP-Adapter{f' unit {self.unit}' if self.unit else ''}: {self.sentence}"

    @property
    def remedy(self) -> str:
        """What to do: the text after the first sentence, or the whole text if there is only one.

        A full stop inside quotes, as in a file name, does not end a sentence.
        """
        plain = QUOTED.sub(lambda quoted: "_" * len(quoted[0]), self.sentence)
        end = re.search(r"\. (?=[A-Z])", plain)
        return self.sentence[end.end() :] if end else self.sentence

    def problem(self) -> dict[str, object]:
        """Return the error as an RFC 7807 problem, a JSON object, with the unit's number and the remedy."""
        return {
            "type": "about:blank",
            "title": TITLES[self.status],
            "status": self.status,
            "detail": str(self),
            "unit": self.unit,
            "remedy": self.remedy,
        }


class ForbiddenError(IPAdapterError):
    """The request is for something that is turned off here."""

    status = 403


class UnrecognisedError(IPAdapterError):
    """A file is intact, but is neither an adapter nor an encoder: for example a ControlNet in the same folder."""


class LaterVersionError(IPAdapterError):
    """A later version of this extension saved a file, which is therefore neither used nor replaced."""


def saved_later(what: str, why: str) -> LaterVersionError:
    return LaterVersionError(
        f"{what} was saved by a later version of IP-Adapter ({why}). Update the extension to use or replace it."
    )


class UnitError(IPAdapterError):
    """A unit's field has an invalid value; has the field's name and the value for API clients."""

    def __init__(self, field: str, value: object, sentence: str) -> None:
        super().__init__(f"{printable(field)} {sentence}")
        self.field = printable(field)
        self.value = json_safe(value)

    def problem(self) -> dict[str, object]:
        """Return the problem with the field and its value."""
        return super().problem() | {"field": self.field, "value": self.value}


def printable(text: str, limit: int = 80) -> str:
    """Return an untrusted text in a form for messages: printable, and cut to `limit` characters."""
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def json_safe(value: object) -> object:
    """Return a value for a JSON response: the value itself if it is simple and short, else a description."""
    if value is None or (isinstance(value, (int, float)) and abs(value) < 1 << 63):  # neither NaN nor infinity
        return value
    return printable(value) if isinstance(value, str) else brief(value)


def brief(value: object) -> str:
    """Return a value for a message: as JSON if it is short, else a description."""
    if isinstance(value, str) and len(value) > MAX_SAID:
        return f"a text of {len(value)} characters"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, (int, float, str)):
        return json.dumps(value, ensure_ascii=not str(value).isprintable())
    return {"list": "a list", "tuple": "a list", "dict": "an object"}.get(kind := type(value).__name__, kind)


def readable_size(size: int) -> str:
    """Return a number of bytes for a message, such as "2.5 GB"."""
    for unit, one in (("GB", 1e9), ("MB", 1e6)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size / 1e3:.0f} KB"
