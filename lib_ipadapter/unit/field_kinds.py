"""Kinds of field values. A kind validates, describes and restores values, and names their control in the panel."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from ..base.errors import UnitError, brief
from ..base.file_names import HASH
from .curves import points
from .region_text import NAMED, SPREADS, read_places

MAX_TEXT = 2_000
"""Maximum characters of a text."""

DIGEST_LENGTH = 12
"""Hexadecimal digits of a SHA-256 in infotext that identify a picture: enough for millions of pictures."""

ADAPTER_DIGITS = 10
"""Hexadecimal digits of an adapter's SHA-256 in infotext, as many as the web UI writes for a checkpoint."""
ADAPTER_HASH = re.compile(r"(.*) \[[0-9a-f]{10}\]", re.DOTALL)

FindReference = Callable[[str], str | None]
"""Returns the stored picture whose hash begins with these digits, as a data URL, or None."""


class MissingReferenceError(Exception):
    """Pictures are not in the reference store; the text has their hashes."""


@dataclass(frozen=True)
class Kind:
    """A kind of value. `read` returns a validated value, or raises `UnitError` with the field.

    Kinds without parameters are plain subclasses, because creating a dataclass slows down the import.
    """

    widget: ClassVar[str]
    """Name of the control in javascript/ip_adapter_controls.js."""
    example: ClassVar[str] = ""
    """Placeholder of an empty text control."""
    filled: ClassVar[Mapping[str, int]] = {"minLength": 1}
    """JSON Schema of a value that is not empty."""
    axis_type: ClassVar[type] = str
    """Type of the values in the X/Y/Z plot: `float` for numbers, which allows ranges, or `str`."""
    of_pictures: ClassVar[bool] = False
    """Whether values are pictures, which infotext describes by hash at the end of a unit's line."""
    by_name: ClassVar[bool] = False
    """Whether values are names of files that may have changed since the infotext was written."""

    def read(self, field: str, value: Any) -> Any:
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        raise NotImplementedError

    def parse(self, text: str) -> Any:
        """Return the value of a text, not validated yet; raises `ValueError` if it should be a number but is not."""
        return text

    def facts(self) -> dict[str, Any]:
        """Return what the control in the browser needs, as JSON values."""
        return {"widget": self.widget, "example": self.example, **asdict(self)}

    def describe(self, field: str, value: Any, digests: Mapping[str, str]) -> str:
        """Return a value as infotext shows it; `digests` are the SHA-256 of files, by field."""
        return str(value)

    def restore(self, field: str, text: str, find: FindReference) -> Any:
        """Return a value from infotext, as JSON.

        Raises `UnitError` or `ValueError` for invalid texts, and `MissingReferenceError` for pictures not in the store.
        """
        return self.read(field, self.parse(text))

    def axis_values(self) -> tuple[str, ...]:
        """Return the choices in the X/Y/Z plot; empty for values that the user types."""
        return ()

    def in_cell(self, field: str, value: Any, given: Any) -> Any:
        """Return a field's value for an X/Y/Z plot cell; `given` is the unit's own value."""
        return self.read(field, self.parse(value.strip()))


class Flag(Kind):
    """True or false."""

    widget: ClassVar[str] = "checkbox"

    def read(self, field: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise UnitError(field, value, f"must be true or false, not {brief(value)}.")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def parse(self, text: str) -> bool | str:
        return {"true": True, "false": False}.get(text.strip().lower(), text)

    def axis_values(self) -> tuple[str, ...]:
        return ("True", "False")


@dataclass(frozen=True)
class Number(Kind):
    """A number within a range."""

    widget: ClassVar[str] = "slider"
    axis_type: ClassVar[type] = float

    minimum: float
    maximum: float
    step: float = 0.01

    def read(self, field: str, value: Any) -> Any:
        allowed = f"must be a number from {self.minimum:g} to {self.maximum:g}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UnitError(field, value, f"{allowed}, not {brief(value)}.")
        if not self.minimum <= value <= self.maximum:
            raise UnitError(field, value, f"{allowed}, not {brief(value)}.")
        return float(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}

    def parse(self, text: str) -> float:
        return float(text)

    def describe(self, field: str, value: Any, digests: Mapping[str, str]) -> str:
        return f"{value:.12g}"

    def in_cell(self, field: str, value: Any, given: Any) -> Any:
        return self.read(field, round(float(value), 8))  # a range may give 0.6000000000000001


@dataclass(frozen=True)
class Whole(Number):
    """A number without a fractional part."""

    step: float = 1

    def read(self, field: str, value: Any) -> int:
        number = super().read(field, value)
        if number != int(number):
            raise UnitError(field, value, f"must be a whole number, not {brief(value)}.")
        return int(number)

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), "type": "integer"}


class OptionalNumber(Number):
    """A number, or None to use another field's value."""

    widget: ClassVar[str] = "optional-slider"

    def read(self, field: str, value: Any) -> float | None:
        return None if value is None else super().read(field, value)

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), "type": ["number", "null"]}


@dataclass(frozen=True)
class Choice(Kind):
    """One of several options."""

    widget: ClassVar[str] = "choice"

    options: tuple[str, ...]

    def read(self, field: str, value: Any) -> str:
        if value not in self.options:
            raise UnitError(field, value, f"must be one of {', '.join(self.options)}; not {brief(value)}.")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.options)}

    def axis_values(self) -> tuple[str, ...]:
        return self.options


class WeightType(Choice):
    """One of the weight types, which the panel draws with their layers."""

    widget: ClassVar[str] = "weight-type"


@dataclass(frozen=True)
class Face(Kind):
    """Which of several faces: a position, or a number from 0 in order of size."""

    widget: ClassVar[str] = "face"

    places: tuple[str, ...] = ("largest", "left", "right", "top", "bottom", "all")

    def read(self, field: str, value: Any) -> str | int:
        if value in self.places:
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value in range(100):
            return int(value)
        allowed = f"must be one of {', '.join(self.places)}, or an index from 0 to 99"
        raise UnitError(field, value, f"{allowed}; not {brief(value)}.")

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.places)}, {"type": "integer", "minimum": 0, "maximum": 99}]}

    def parse(self, text: str) -> str | int:
        return int(text) if text.isdecimal() and len(text) <= 2 else text

    def axis_values(self) -> tuple[str, ...]:
        return self.places


class Text(Kind):
    """Any text up to a maximum length."""

    widget: ClassVar[str] = "text"

    def read(self, field: str, value: Any) -> str:
        if not isinstance(value, str):
            raise UnitError(field, value, f"must be text, not {brief(value)}.")
        if len(value) > MAX_TEXT:
            raise UnitError(field, value, f"must have at most {MAX_TEXT} characters, not {len(value)}.")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise UnitError(field, value, "must be text, without lone surrogates.")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": MAX_TEXT}


class AdapterName(Text):
    """Name of an adapter's file; infotext adds the first digits of its hash, in brackets."""

    by_name: ClassVar[bool] = True

    def restore(self, field: str, text: str, find: FindReference) -> str:
        hashed = ADAPTER_HASH.fullmatch(text)
        return self.read(field, hashed[1] if hashed else text)


class SavedName(Text):
    """Name of a saved reference, optionally followed by the first digits of its hash in brackets."""

    widget: ClassVar[str] = "saved-reference"
    by_name: ClassVar[bool] = True

    def describe(self, field: str, value: Any, digests: Mapping[str, str]) -> str:
        return f"{HASH.sub('', value)} [{digests[field][:DIGEST_LENGTH]}]"


class SubjectName(SavedName):
    """Name of a subject, optionally followed by the first digits of its hash in brackets."""

    widget: ClassVar[str] = "subject"


@dataclass(frozen=True)
class Points(Text):
    """A list of pairs `at:value`, with values from -5 to 5, or one of several names, or empty."""

    widget: ClassVar[str] = "points"

    first: float
    last: float
    names: tuple[str, ...] = ()

    allowed: ClassVar[str] = "rising numbers from {first:g} to {last:g}"
    example: ClassVar[str] = "0:1, 0.4:1, 0.6:0"

    def read(self, field: str, value: Any) -> str:
        text = super().read(field, value).strip()
        if text in self.names or self._fits(text):
            return text
        places = self.allowed.format(first=self.first, last=self.last)
        allowed = f"must be pairs such as {self.example}: {places}, each with a value from -5 to 5"
        if self.names:
            allowed += f"; or one of {', '.join(self.names)}"
        raise UnitError(field, text, f"{allowed}; not {brief(text)}.")

    def _fits(self, text: str) -> bool:
        try:
            pairs = points(text)
        except ValueError:
            return False
        within = all(self.first <= at <= self.last and -5 <= value <= 5 for at, value in pairs)
        return within and self._ordered([at for at, _ in pairs])

    def _ordered(self, places: list[float]) -> bool:
        return places == sorted(set(places))


class LayerPoints(Points):
    """A list of pairs `layer:value`, in any order."""

    allowed: ClassVar[str] = "different whole numbers from {first:g} to {last:g}"
    example: ClassVar[str] = "6:1, 3:0.5"

    def _ordered(self, places: list[float]) -> bool:
        return len(set(places)) == len(places) and all(at == int(at) for at in places)


@dataclass(frozen=True)
class Region(Text):
    """A region of the picture as text; see `read_places`."""

    widget: ClassVar[str] = "region"
    example: ClassVar[str] = "0, 0, 0.5, 1; feather 0.05"

    names: tuple[str, ...] = (*SPREADS, *NAMED)

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "boxes": dict(NAMED), "spreads": dict(SPREADS)}

    def read(self, field: str, value: Any) -> str:
        text = super().read(field, value).strip()
        try:
            read_places(text)
        except ValueError as error:
            allowed = (
                f"must be one or more regions separated by |, each one of {', '.join(NAMED)}, or left, upper, right "
                f"and lower edge from 0 to 1, such as {self.example}; or {' or '.join(SPREADS)}"
            )
            raise UnitError(field, text, f"{allowed}; not {brief(text)}.") from error
        return text
