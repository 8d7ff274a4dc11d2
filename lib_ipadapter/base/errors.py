"""The one error for what a person or a client can put right, and how values stand in its sentence."""

import json
import re

MAX_SAID = 60
"""Characters of a value that a sentence repeats."""

STATUS = 422
"""The HTTP status of whatever a client can put right."""


class IPAdapterError(Exception):
    """A sentence for the user: what was expected, what came, why, and what to do."""

    unit: int | None = None
    """Number of the unit that cannot run, counted from 1, where it is known."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    def __str__(self) -> str:
        return f"IP-Adapter{f' unit {self.unit}' if self.unit else ''}: {self.sentence}"

    @property
    def remedy(self) -> str:
        """What to do: what the text says after its first sentence, or all of it, where one sentence says both."""
        first, *rest = re.split(r"(?<=\.) (?=[A-Z])", self.sentence, maxsplit=1)
        return rest[0] if rest else first

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
    """A file is sound, but no adapter or no encoder: a ControlNet in the same folder, say."""


class UnitError(IPAdapterError):
    """A unit's field has a value that cannot be used; the field's name and the value are kept for API clients."""

    def __init__(self, field: str, value: object, sentence: str) -> None:
        super().__init__(f"{printable(field)} {sentence}")
        self.field = printable(field)
        self.value = carried(value)

    def problem(self) -> dict[str, object]:
        """Return the details with the field and the value besides."""
        return super().problem() | {"field": self.field, "value": self.value}


def printable(text: str, limit: int = 80) -> str:
    """Return a text that may come from anywhere fit for a sentence: nothing unprintable, at most `limit` characters."""
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def carried(value: object) -> object:
    """Return a value as a JSON answer can carry it: itself where that is short, else in a word."""
    if value is None or (isinstance(value, (int, float)) and abs(value) < 1 << 63):  # neither NaN nor infinity
        return value
    return printable(value) if isinstance(value, str) else brief(value)


def brief(value: object) -> str:
    """Return a value as it stands in a sentence: in JSON where it is short, else the name of its kind."""
    if isinstance(value, str) and len(value) > MAX_SAID:
        return f"a text of {len(value)} characters"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, (int, float, str)):
        return json.dumps(value, ensure_ascii=not str(value).isprintable())
    return {"list": "a list", "tuple": "a list", "dict": "an object"}.get(kind := type(value).__name__, kind)
