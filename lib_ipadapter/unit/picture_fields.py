"""Kinds of picture fields: references, each with its own weight, mask, crop and box, and region masks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..base.boxes import WHOLE, Box
from ..base.errors import UnitError, brief
from ..base.json_objects import refuse_unknown
from ..pictures.crops import CROPS
from .field_kinds import DIGEST_LENGTH, Choice, FindReference, Flag, Kind, MissingReferenceError, Number

MAX_PICTURE_TEXT = 64 * 1024 * 1024
"""Maximum characters of one picture as base64: a file of 48 MiB, more than any camera writes."""
MAX_PICTURES = 16

PICTURE_WEIGHT = Number(-5.0, 5.0)
CROP = Choice(tuple(CROPS))

BOX_DIGITS = 5
"""Decimal places of a box's edges: finer than a pixel of the largest picture, and the same in infotext and records."""

HASHED = re.compile(
    r"(?P<image>[0-9a-f]+)(×(?P<weight>[-+.e0-9]+))?(@(?P<mask>[0-9a-f]+))?(/(?P<crop>[a-z]+))?(#(?P<box>[-.0-9]+))?"
)
"""A reference in infotext."""


@dataclass(frozen=True)
class Picture:
    """One reference as the client sent it: base64 text of a picture file, with its own settings."""

    image: str
    weight: float = 1.0
    mask: str | None = None
    crop: str | None = None
    """A name in `CROPS`, or None to use the unit's crop."""
    box: Box | None = None
    """The part that is used, cut out before the crop; None for the whole picture."""
    enabled: bool = True
    """False as if the reference was not there."""

    @property
    def counts(self) -> bool:
        """Whether the reference is on and has a weight."""
        return self.enabled and self.weight != 0


class Mask(Kind):
    """One optional picture, as text."""

    widget: ClassVar[str] = "mask"
    of_pictures: ClassVar[bool] = True

    def read(self, field: str, value: Any) -> str | None:
        return None if value is None else read_picture_text(field, value)

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "null"], "maxLength": MAX_PICTURE_TEXT}

    def describe(self, field: str, value: Any, digests: Mapping[str, str]) -> str:
        return digests[field][:DIGEST_LENGTH]

    def restore(self, field: str, text: str, find: FindReference) -> str:
        url = find(text)
        if url is None:
            raise MissingReferenceError(text)
        return url


class Pictures(Kind):
    """Up to `MAX_PICTURES` pictures: each a text, or an object with `image` and optional settings."""

    widget: ClassVar[str] = "pictures"
    filled: ClassVar[Mapping[str, int]] = {"minItems": 1}
    of_pictures: ClassVar[bool] = True

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
                "box": {
                    "type": ["array", "null"],
                    "items": {"type": "number", "minimum": 0, "maximum": 1},
                    "minItems": 4,
                    "maxItems": 4,
                },
                "enabled": {"type": "boolean", "default": True},
            },
        }
        one = {"anyOf": [text, weighted]}
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one, "maxItems": MAX_PICTURES}]}

    def describe(self, field: str, value: Any, digests: Mapping[str, str]) -> str:
        return " ".join(_hashed(each, f"{field}[{i}]", digests) for i, each in enumerate(value) if each.counts)

    def restore(self, field: str, text: str, find: FindReference) -> list[dict[str, Any]]:
        """Restore all pictures or none, because a unit with only some of its references gives another result."""
        entries = [HASHED.fullmatch(entry) for entry in text.split()]
        if len(entries) > MAX_PICTURES:
            raise ValueError(text)
        missing: list[str] = []
        pictures = [_restored(field, entry, find, missing) for entry in entries]
        if missing:
            raise MissingReferenceError(" ".join(missing))
        return pictures

    def in_cell(self, field: str, value: Any, given: Any) -> list[Any]:
        """Return a selection of the unit's pictures: `2` is the second, `1+3` are these two; also `all` and `none`."""
        pictures: list[Any] = given if isinstance(given, list) else [given] if given else []
        value = value.strip()
        every = [str(i + 1) for i in range(len(pictures))]
        words: dict[str, list[str]] = {"all": every, "none": []}
        numbers = words[value] if value in words else value.split("+")
        places = [int(number) for number in numbers if re.fullmatch(r"[0-9]{1,3}", number.strip())]
        if len(places) < len(numbers) or not all(1 <= place <= len(pictures) for place in places):
            allowed = f"must be all, none, or numbers of the unit's pictures from 1 to {len(pictures)}, as in 1 or 1+2"
            raise UnitError(field, value, f"{allowed}; not {brief(value)}.")
        return [pictures[place - 1] for place in places]


def _hashed(picture: Picture, field: str, digests: Mapping[str, str]) -> str:
    """Return a picture as its hash, with its weight if not 1, and its mask's hash, its crop and its box, if any."""
    weight = "" if picture.weight == 1.0 else f"×{picture.weight:.12g}"
    region = "" if picture.mask is None else f"@{digests[f'{field}.mask'][:DIGEST_LENGTH]}"
    crop = "" if picture.crop is None else f"/{picture.crop}"
    box = (
        ""
        if picture.box is None
        else f"#{'-'.join(f'{edge:.{BOX_DIGITS}f}'.rstrip('0').rstrip('.') for edge in picture.box)}"
    )
    return digests[field][:DIGEST_LENGTH] + weight + region + crop + box


def _restored(field: str, entry: re.Match[str] | None, find: FindReference, missing: list[str]) -> dict[str, Any]:
    """Return a picture as JSON, and add the hashes of pictures not in the store to `missing`."""
    if entry is None:
        raise ValueError(field)
    picture: dict[str, Any] = {}
    for part in ("image", "mask"):
        if digits := entry[part]:
            picture[part] = find(digits)
            missing += [digits] if picture[part] is None else []
    if entry["weight"]:
        picture["weight"] = PICTURE_WEIGHT.read(field, float(entry["weight"]))
    if entry["crop"]:
        picture["crop"] = read_crop(field, entry["crop"])
    if entry["box"]:
        box = read_box(field, [float(edge) for edge in entry["box"].split("-")])
        picture |= {"box": list(box)} if box else {}
    return picture


def read_weights(field: str, text: str, count: int) -> list[float]:
    """Return the weights of `count` pictures from a text such as `1, 0.5`; the last one applies to all others.

    An empty text means 1 for all. Raises `UnitError` for any other text, and for more weights than pictures.
    """
    entries = text.split(",") if text.strip() else ["1"]
    allowed = f"must be numbers such as 1, 0.5: at most {count}, one per picture, where the last is for all others too"
    if len(entries) > count:
        raise UnitError(field, text, f"{allowed}; not {len(entries)}.")
    try:
        weights = [PICTURE_WEIGHT.read(field, float(entry)) for entry in entries]
    except ValueError as error:
        raise UnitError(field, text, f"{allowed}; not {brief(text)}.") from error
    return weights + weights[-1:] * (count - len(weights))


def read_picture(field: str, value: Any) -> Picture:
    """Return one picture of a field with several; raises `UnitError`."""
    if isinstance(value, Picture):
        return value
    if not isinstance(value, dict):
        return Picture(read_picture_text(field, value))
    refuse_unknown(field, value, ("image", "weight", "mask", "crop", "box", "enabled"))
    if "image" not in value:
        raise UnitError(f"{field}.image", None, "is required: give the picture as base64 text.")
    return Picture(
        read_picture_text(f"{field}.image", value["image"]),
        PICTURE_WEIGHT.read(f"{field}.weight", value.get("weight", 1.0)),
        Mask().read(f"{field}.mask", value.get("mask")),
        read_crop(f"{field}.crop", value.get("crop")),
        read_box(f"{field}.box", value.get("box")),
        Flag().read(f"{field}.enabled", value.get("enabled", True)),
    )


def read_crop(field: str, value: Any) -> str | None:
    """Return a picture's own crop, or None to use the unit's crop; raises `UnitError`."""
    return None if value is None else CROP.read(field, value)


def read_box(field: str, value: Any) -> Box | None:
    """Return the part of a picture that is used, or None for all of it; raises `UnitError`."""
    if value is None:
        return None
    edges = [round(edge, BOX_DIGITS) for edge in value] if _are_numbers(value) else []
    if len(edges) == 4:
        left, upper, right, lower = edges
        if 0 <= left < right <= 1 and 0 <= upper < lower <= 1:
            return None if (left, upper, right, lower) == WHOLE else (left, upper, right, lower)
    allowed = "must be the left, upper, right and lower edge of a part of the picture, as fractions from 0 to 1"
    raise UnitError(field, value, f"{allowed}, such as [0.2, 0, 0.8, 0.6]; not {brief(value)}.")


def _are_numbers(value: Any) -> bool:
    every = value if isinstance(value, (list, tuple)) else [None]
    return all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in every)


def read_picture_text(field: str, value: Any) -> str:
    """Return a picture as base64 text, without decoding it; raises `UnitError` for anything else."""
    if not isinstance(value, str) or not value.isascii():
        raise UnitError(
            field, value, f"must be a picture as base64 text, not {brief(value)}; files are not read by path."
        )
    if len(value) > MAX_PICTURE_TEXT:
        raise UnitError(
            field, value, f"must have at most {MAX_PICTURE_TEXT} characters, not {len(value)}: send a smaller picture."
        )
    return value
