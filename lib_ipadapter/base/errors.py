"""The error for what a person or a program can fix, and how values appear in its sentence."""

import json
import re

MAX_SAID = 60
"""Characters of a value that a sentence repeats."""

QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')

STATUS = 422
"""The HTTP status of whatever a client can fix."""


class IPAdapterError(Exception):
    """A sentence for the user: what was expected, what was found, why, and what to do."""

    unit: int | None = None
    """Number of the unit that cannot run, counted from 1, where it is known."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    def __str__(self) -> str:
        return f"IP-Adapter{f' unit {self.unit}' if self.unit else ''}: {self.sentence}"

    @property
    def remedy(self) -> str:
        """What to do: the text after its first sentence, or all of it where there is only one.

        A full stop inside quotes, as in a file's name, ends no sentence.
        """
        plain = QUOTED.sub(lambda quoted: "_" * len(quoted[0]), self.sentence)
        end = re.search(r"\. (?=[A-Z])", plain)
        return self.sentence[end.end() :] if end else self.sentence

    def problem(self) -> dict[str, object]:
        """Return the details of a problem, the JSON object of RFC 7807, with the unit's number and the remedy."""
        return {
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": STATUS,
            "detail": str(self),
            "unit": self.unit,
            "remedy": self.remedy,
        }


class UnrecognisedError(IPAdapterError):
    """A file is intact, but neither an adapter nor an encoder: for example a ControlNet in the same folder."""


class UnitError(IPAdapterError):
    """A unit's field has a value that cannot be used; the field's name and the value are kept for API clients."""

    def __init__(self, field: str, value: object, sentence: str) -> None:
        super().__init__(f"{printable(field)} {sentence}")
        self.field = printable(field)
        self.value = carried(value)

    def problem(self) -> dict[str, object]:
        """Return the details, with the field and the value too."""
        return super().problem() | {"field": self.field, "value": self.value}


def printable(text: str, limit: int = 80) -> str:
    """Return a text from anywhere in a form that fits a sentence: printable, and at most `limit` characters of it."""
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def carried(value: object) -> object:
    """Return a value as a JSON answer can carry it: itself where it is short, else a few words for it."""
    if value is None or (isinstance(value, (int, float)) and abs(value) < 1 << 63):  # neither NaN nor infinity
        return value
    return printable(value) if isinstance(value, str) else brief(value)


def brief(value: object) -> str:
    """Return a value as it appears in a sentence: as JSON where it is short, else the name of its kind."""
    if isinstance(value, str) and len(value) > MAX_SAID:
        return f"a text of {len(value)} characters"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, (int, float, str)):
        return json.dumps(value, ensure_ascii=not str(value).isprintable())
    return {"list": "a list", "tuple": "a list", "dict": "an object"}.get(kind := type(value).__name__, kind)
