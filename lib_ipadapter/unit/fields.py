"""What a field of a unit accepts: one small class per kind of value, each with a reader and a JSON Schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..base.errors import IPAdapterError, UnitError, brief
from .region_text import NAMED, SPREADS, read_places

MAX_TEXT = 2_000
MAX_PICTURE_TEXT = 64 * 1024 * 1024
"""Characters of one picture as base64: 48 MiB of file, more than any camera writes."""
MAX_PICTURES = 16

CROPS = ("center", "pad", "squash", "top", "bottom", "left", "right")
"""How a reference becomes square for the encoder."""


@dataclass(frozen=True)
class Kind:
    """A kind of value; `read` returns the value as the unit keeps it or raises a `UnitError` that names the field."""

    widget: ClassVar[str]
    """The browser's control for it, one of those in javascript/ip_adapter_controls.js."""

    def read(self, field: str, value: Any) -> Any:
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        raise NotImplementedError

    def parse(self, text: str) -> Any:
        """Return the value, yet to be read, that a text stands for; raises `ValueError` where a number is needed."""
        return text


@dataclass(frozen=True)
class Flag(Kind):
    widget: ClassVar[str] = "checkbox"

    def read(self, field: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise UnitError(field, value, f"must be true or false, not {brief(value)}.")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def parse(self, text: str) -> bool | str:
        return {"true": True, "false": False}.get(text.strip().lower(), text)


@dataclass(frozen=True)
class Number(Kind):
    widget: ClassVar[str] = "slider"
    minimum: float
    maximum: float
    step: float = 0.01

    def read(self, field: str, value: Any) -> float:
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


@dataclass(frozen=True)
class Whole(Number):
    """A number without fraction."""

    step: float = 1

    def read(self, field: str, value: Any) -> int:
        number = super().read(field, value)
        if number != int(number):
            raise UnitError(field, value, f"must be a whole number, not {brief(value)}.")
        return int(number)

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), "type": "integer"}


@dataclass(frozen=True)
class Choice(Kind):
    widget: ClassVar[str] = "choice"
    options: tuple[str, ...]

    def read(self, field: str, value: Any) -> str:
        if value not in self.options:
            raise UnitError(field, value, f"must be one of {', '.join(self.options)}; not {brief(value)}.")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.options)}


@dataclass(frozen=True)
class Text(Kind):
    widget: ClassVar[str] = "text"

    def read(self, field: str, value: Any) -> str:
        if not isinstance(value, str):
            raise UnitError(field, value, f"must be text, not {brief(value)}.")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise UnitError(field, value, "must be text, not halves of characters.")
        if len(value) > MAX_TEXT:
            raise UnitError(field, value, f"must have at most {MAX_TEXT} characters, not {len(value)}.")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": MAX_TEXT}


@dataclass(frozen=True)
class Saved(Text):
    """Name of a saved reference, which the first digits of its hash may follow, in brackets."""

    widget: ClassVar[str] = "saved-reference"


@dataclass(frozen=True)
class Subject(Saved):
    """Name of a subject, which the first digits of its hash may follow, in brackets."""

    widget: ClassVar[str] = "subject"


@dataclass(frozen=True)
class OptionalNumber(Kind):
    """A number, or None where another field's value stands in for it."""

    widget: ClassVar[str] = "optional-slider"
    minimum: float
    maximum: float
    step: float = 0.01

    def read(self, field: str, value: Any) -> float | None:
        return None if value is None else Number(self.minimum, self.maximum).read(field, value)

    def schema(self) -> dict[str, Any]:
        return {"type": ["number", "null"], "minimum": self.minimum, "maximum": self.maximum}

    def parse(self, text: str) -> float:
        return float(text)


def points(text: str) -> tuple[tuple[float, float], ...]:
    """Return the pairs of a text such as `0:1, 0.4:1, 0.6:0`; raises `ValueError` for any other text."""
    if not text.isascii() or "_" in text:  # which Python's numbers may have
        raise ValueError(text)
    pairs = [entry.split(":") for entry in text.split(",")] if text.strip() else []
    return tuple((float(at), float(value)) for at, value in pairs)


@dataclass(frozen=True)
class Points(Kind):
    """Text of pairs `at:value`, or one of some names, or nothing; values run from -5 to 5."""

    widget: ClassVar[str] = "points"
    first: float
    last: float
    whole: bool
    """Whether `at` is a whole number."""
    names: tuple[str, ...] = ()

    def read(self, field: str, value: Any) -> str:
        text = Text().read(field, value).strip()
        if text not in self.names:
            self._refuse_wrong(field, text)
        return text

    def _refuse_wrong(self, field: str, text: str) -> None:
        numbers = "a whole number" if self.whole else "a number"
        order = "" if self.whole else "rising, "
        allowed = f"must be pairs such as {self.example}: {numbers} from {self.first:g} to {self.last:g} each time, "
        allowed += f"{order}none twice, and a value from -5 to 5"
        if self.names:
            allowed += f"; or one of {', '.join(self.names)}"
        try:
            pairs = points(text)
        except ValueError as error:
            raise UnitError(field, text, f"{allowed}; not {brief(text)}.") from error
        places = [at for at, _ in pairs]
        fits = all(
            self.first <= at <= self.last and (not self.whole or at == int(at)) and -5 <= value <= 5
            for at, value in pairs
        )
        distinct = sorted(set(places))
        if not fits or distinct != (sorted(places) if self.whole else places):
            raise UnitError(field, text, f"{allowed}; not {brief(text)}.")

    @property
    def example(self) -> str:
        return "6:1, 3:0.5" if self.whole else "0:1, 0.4:1, 0.6:0"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": MAX_TEXT}


@dataclass(frozen=True)
class Face(Kind):
    """Which of several faces: a place or a number counted from 0 in order of size."""

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
        return int(text) if text.isdecimal() else text


@dataclass(frozen=True)
class Region(Kind):
    """Where in the picture, in words or numbers; see `places`."""

    widget: ClassVar[str] = "region"
    names: tuple[str, ...] = (*SPREADS, *NAMED)
    example: str = "0, 0, 0.5, 1; feather 0.05"

    def read(self, field: str, value: Any) -> str:
        text = Text().read(field, value).strip()
        try:
            read_places(text)
        except ValueError as error:
            allowed = (
                f"must be a place, or several with | between them: one of {', '.join(NAMED)}, or its left, upper, "
                f"right and lower edge from 0 to 1 as in {self.example}; or {' or '.join(SPREADS)}"
            )
            raise UnitError(field, text, f"{allowed}; not {brief(text)}.") from error
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": MAX_TEXT}


@dataclass(frozen=True)
class Picture:
    """One reference as the client gave it: base64 text of a picture file, and how it counts."""

    image: str
    weight: float = 1.0
    mask: str | None = None
    crop: str | None = None
    """One of `CROPS`, or None where the unit's counts."""


@dataclass(frozen=True)
class Mask(Kind):
    """One optional picture, as text."""

    widget: ClassVar[str] = "mask"

    def read(self, field: str, value: Any) -> str | None:
        return None if value is None else read_picture_text(field, value)

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "null"], "maxLength": MAX_PICTURE_TEXT}


@dataclass(frozen=True)
class Pictures(Kind):
    """Any number of pictures up to `MAX_PICTURES`: each a text or an object with `image` and more."""

    widget: ClassVar[str] = "pictures"

    def read(self, field: str, value: Any) -> tuple[Picture, ...]:
        entries = value if isinstance(value, (list, tuple)) else [value]
        if len(entries) > MAX_PICTURES:
            raise UnitError(field, f"{len(entries)} pictures", f"must hold at most {MAX_PICTURES} pictures.")
        return tuple(read_picture(f"{field}[{i}]", entry) for i, entry in enumerate(entries))

    def schema(self) -> dict[str, Any]:
        text = {"type": "string", "maxLength": MAX_PICTURE_TEXT}
        weighted = {
            "type": "object",
            "additionalProperties": False,
            "required": ["image"],
            "properties": {
                "image": text,
                "weight": PICTURE_WEIGHT.schema(),
                "mask": Mask().schema(),
                "crop": {"enum": [*CROPS, None]},
            },
        }
        one = {"anyOf": [text, weighted]}
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one, "maxItems": MAX_PICTURES}]}


PICTURE_WEIGHT = Number(-5.0, 5.0)


def read_weights(field: str, text: str, count: int) -> list[float]:
    """Return the weights of `count` pictures that a text such as `1, 0.5` tells; the last one is that of all others.

    No text is no weight other than 1. Raises `UnitError` for any other text, and for weights of more pictures.
    """
    entries = text.split(",") if text.strip() else ["1"]
    allowed = f"must be numbers such as 1, 0.5: one for each of the {count} pictures or, at the end, for all others"
    try:
        weights = [PICTURE_WEIGHT.read(field, float(entry)) for entry in entries]
    except ValueError as error:
        raise UnitError(field, text, f"{allowed}; not {brief(text)}.") from error
    if len(weights) > count:
        raise UnitError(field, text, f"{allowed}; not {len(weights)}.")
    return weights + weights[-1:] * (count - len(weights))


def read_picture(field: str, value: Any) -> Picture:
    """Return one picture of a field that holds several; raises `UnitError`."""
    if isinstance(value, Picture):
        return value
    if not isinstance(value, dict):
        return Picture(read_picture_text(field, value))
    refuse_unknown(field, value, ("image", "weight", "mask", "crop"))
    if "image" not in value:
        raise UnitError(f"{field}.image", None, "is required: give the picture as base64 text.")
    return Picture(
        read_picture_text(f"{field}.image", value["image"]),
        PICTURE_WEIGHT.read(f"{field}.weight", value.get("weight", 1.0)),
        Mask().read(f"{field}.mask", value.get("mask")),
        read_crop(f"{field}.crop", value.get("crop")),
    )


def read_crop(field: str, value: Any) -> str | None:
    return None if value is None else Choice(CROPS).read(field, value)


def read_picture_text(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value.isascii():
        raise UnitError(
            field, value, f"must be a picture as base64 text, not {brief(value)}; files are not read by path."
        )
    if len(value) > MAX_PICTURE_TEXT:
        raise UnitError(
            field, value, f"must have at most {MAX_PICTURE_TEXT} characters, not {len(value)}: send a smaller picture."
        )
    return value


def read_object(what: str, given: Any, known: Sequence[str]) -> dict[str, Any]:
    """Return an object with no keys but these; raises `IPAdapterError` for anything else. `what` begins a sentence."""
    if not isinstance(given, dict):
        raise IPAdapterError(f"{what} must be an object with {' and '.join(known)}, not {brief(given)}.")
    refuse_unknown("", given, known)
    return given


def refuse_unknown(field: str, given: dict[str, Any], known: Sequence[str]) -> None:
    """Raise a `UnitError` for the first key of `given` that is not in `known`."""
    unknown = next((key for key in given if key not in known), None)
    if unknown is not None:
        name = f"{field}.{unknown}" if field else str(unknown)
        raise UnitError(name, given[unknown], f"is no field that this version knows; known are {', '.join(known)}.")
