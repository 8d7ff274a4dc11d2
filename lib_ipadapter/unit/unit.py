"""The frozen `Unit`, one image prompt as the user set it, and its field table.

The class body is the table: the API, the panel, the infotext and the schema are all built from it.
"""

import dataclasses
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..base.errors import IPAdapterError, UnitError, printable
from .controlnet import from_controlnet
from .fields import (
    CROPS,
    Choice,
    Face,
    Flag,
    Kind,
    Mask,
    Number,
    OptionalNumber,
    Picture,
    Pictures,
    Points,
    Region,
    Saved,
    Subject,
    Text,
    Whole,
    brief,
    refuse_unknown,
)
from .region_text import read_places

SLOTS = 10
"""Args that the web UI passes through to the script; a list in one of them carries any number of units."""
MAX_NOTE = 300
"""Characters of the note on what is missing that a refusal repeats."""
MAX_NESTING = 4

WEIGHT_TYPES = (
    "linear",
    "ease in",
    "ease out",
    "ease in-out",
    "reverse in-out",
    "weak input",
    "weak output",
    "weak middle",
    "strong middle",
    "style transfer",
    "composition",
    "strong style transfer",
    "style and composition",
    "strong style and composition",
    "style transfer precise",
    "composition precise",
)
SCALINGS = ("V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty")
COMBINES = ("concat", "average", "add", "subtract", "norm average", "max", "min", "average tokens")
NOISES = ("none", "fade", "dissolve", "gaussian", "shuffle")
PASSES = ("both", "base", "hires")
INNER = ("all", "picture only", "inner only")
VARIANTS = ("auto", "v1", "v2", "unnorm", "InstantID")
CURVES = ("linear in", "linear out", "cosine in", "cosine out")


def _field(kind: Kind, default: Any, label: str, text: str, *, name: str = "") -> Any:
    facts = {"kind": kind, "label": label, "help": text, "name": name}
    return dataclasses.field(default=default, metadata=facts)


@dataclass(frozen=True)
class Unit:
    """One image prompt as the user set it; every value is checked and in range."""

    enabled: bool = _field(Flag(), True, "Enabled", "Whether the unit takes part.")
    model: str = _field(Text(), "", "Adapter", "Name of the adapter's file, with or without folder and extension.")
    images: tuple[Picture, ...] = _field(Pictures(), (), "References", "Pictures that steer the result.")
    negative_images: tuple[Picture, ...] = _field(
        Pictures(), (), "Negative references", "Pictures to move away from: what the negative prompt's rows see."
    )
    composition_images: tuple[Picture, ...] = _field(
        Pictures(), (), "Composition references", "Pictures that the composition layers see instead of the references."
    )
    subject: str = _field(
        Subject(), "", "Subject", "Name of a set of pictures that was saved; they join the references."
    )
    embeds: str = _field(Saved(), "", "Saved reference", "What was saved of pictures under a name, in their place.")
    weight: float = _field(Number(-5, 5), 1.0, "Weight", "1 is as trained; 0 is off; negative moves away.")
    hires_weight: float | None = _field(
        OptionalNumber(-5, 5), None, "Hires weight", "Weight in the hires pass, where it differs."
    )
    weight_type: str = _field(Choice(WEIGHT_TYPES), "linear", "Weight type", "How the weight spreads over the layers.")
    composition_weight: float = _field(
        Number(-5, 5), 1.0, "Composition weight", "Weight of the composition layers, for the types with both."
    )
    style_boost: float = _field(
        Number(-5, 5), 1.0, "Style boost", "Style transfer precise: how far the layout moves away from the reference."
    )
    composition_boost: float = _field(
        Number(-5, 5), 0.0, "Composition boost", "Composition precise: how far the style moves away from the reference."
    )
    layers: str = _field(
        Points(0, 15, whole=True), "", "Layers", "Weight per layer, as in 6:1, 3:0.5, times the weight; others rest."
    )
    curve: str = _field(
        Points(0, 1, whole=False, names=CURVES),
        "",
        "Curve",
        "Weight from start (0) to end (1): linear in, linear out, cosine in, cosine out, or points as in 0:1, 0.6:0.",
    )
    scaling: str = _field(Choice(SCALINGS), "V only", "Scaling", "What the weight multiplies: values, or keys too.")
    combine: str = _field(Choice(COMBINES), "concat", "Combine", "How several references become one.")
    start: float = _field(Number(0, 1), 0.0, "Start", "Part of the steps after which the unit acts.")
    end: float = _field(Number(0, 1), 1.0, "End", "Part of the steps until which the unit acts.")
    mask: str | None = _field(
        Mask(), None, "Region", "Part of the picture where the unit acts: white acts, black rests, grey is partial."
    )
    region: str = _field(
        Region(),
        "",
        "Place",
        "The same in words or numbers, as in left half; left to right gives each reference, or each face, its own.",
    )
    crop: str = _field(Choice(CROPS), "center", "Crop", "How a reference becomes square for the encoder.")
    tiles: bool = _field(
        Flag(), False, "Tiles", "Encode a reference in square tiles, each for its own place in the picture."
    )
    enhance: int = _field(
        Whole(1, 16),
        1,
        "Enhance",
        "Squares along a reference's side that are encoded beside the whole; 1 is the whole.",
    )
    enhance_ratio: float = _field(
        Number(0, 1), 0.5, "Enhance ratio", "Part of the whole in the mixture with its squares."
    )
    unfold: bool = _field(
        Flag(),
        False,
        "One each",
        "The first reference for the first picture of a batch, the second for the second, and so on.",
    )
    noise: float = _field(Number(0, 1), 0.0, "Noise", "Strength of the noise pictures that stand for the negative.")
    noise_type: str = _field(Choice(NOISES), "none", "Noise type", "How they are made of the references.")
    face: str | int = _field(
        Face(), "largest", "Face", "Which face of a reference: by its place, by number from 0 in order of size, or all."
    )
    structure_weight: float = _field(
        Number(-5, 5), 1.0, "Face structure", "FaceID Plus v2: weight of what the face looks like beside its vector."
    )
    lora_weight: float = _field(Number(-5, 5), 1.0, "LoRA weight", "FaceID's own LoRA; 0 is off.")
    variant: str = _field(
        Choice(VARIANTS),
        "auto",
        "Variant",
        "What an adapter's file is, where several kinds look alike; auto goes by its name.",
    )
    passes: str = _field(Choice(PASSES), "both", "Pass", "Passes in which the unit acts.", name="pass")
    inner: str = _field(
        Choice(INNER),
        "all",
        "Inner generations",
        "Whether the unit acts on the picture, or in what ADetailer generates within it: faces.",
    )
    encoder: str = _field(Text(), "auto", "Image encoder", "CLIP vision file; auto picks the one that fits.")


def name_of(field: "dataclasses.Field[Any]") -> str:
    """Return a field's public name, which for `passes` is the keyword `pass`."""
    return field.metadata["name"] or field.name


FIELDS = {name_of(field): field for field in dataclasses.fields(Unit)}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a unit."""
    properties = {
        name: {
            **field.metadata["kind"].schema(),
            "default": list(field.default) if isinstance(field.default, tuple) else field.default,
            "title": field.metadata["label"],
            "description": field.metadata["help"],
        }
        for name, field in FIELDS.items()
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "IP-Adapter unit",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "if": {"properties": {"enabled": {"const": False}}, "required": ["enabled"]},
        "else": {
            "required": ["model"],
            "properties": {"model": {"minLength": 1}},
            "oneOf": [{"anyOf": [_given("images"), _given("subject")]}, _given("embeds")],
        },
    }


def _given(name: str) -> dict[str, Any]:
    """Return the schema of an object where a field is given and not empty."""
    least = "minItems" if isinstance(FIELDS[name].metadata["kind"], Pictures) else "minLength"
    return {"required": [name], "properties": {name: {least: 1}}}


def read_unit(given: dict[str, Any]) -> Unit:
    """Return the unit that a JSON object describes.

    Raises `UnitError` for unknown fields, wrong types, values out of range, and settings that contradict each other.
    """
    if "note" in given:  # of restored parameters; the panel shows it and takes it out
        raise UnitError("note", given["note"], f"tells what is missing: {printable(str(given['note']), MAX_NOTE)}")
    refuse_unknown("", given, tuple(FIELDS))
    values = {FIELDS[name].name: FIELDS[name].metadata["kind"].read(name, value) for name, value in given.items()}
    unit = Unit(**values)
    if unit.enabled:
        _check_whole(unit)
    return unit


def _check_whole(unit: Unit) -> None:
    if not unit.model:
        raise UnitError("model", unit.model, "is required: the file name of an adapter.")
    if not (unit.images or unit.subject or unit.embeds):
        why = "is required: at least one reference picture as base64 text, or a subject, or embeds."
        raise UnitError("images", [], why)
    if unit.start > unit.end:
        raise UnitError("start", unit.start, f"must not be after end, which is {unit.end:g}.")
    refuse_contradictions(unit)


def refuse_contradictions(unit: Unit) -> None:
    """Raise `UnitError` for settings that cannot go together."""
    for field, value, wrong, why in _contradictions(unit):
        if wrong:
            raise UnitError(field, value, why)


PICTURE_FIELDS = ("images", "composition_images", "negative_images")


def _contradictions(unit: Unit) -> Iterator[tuple[str, Any, bool, str]]:
    """Return settings that cannot go together: field, value, whether it is so, and what to do."""
    both = bool(unit.embeds) and bool(unit.images or unit.subject)
    others = "images" if unit.images else "subject"
    yield "embeds", unit.embeds, both, f"stands in the place of {others}; leave one of them out."
    yield "noise", unit.noise, bool(unit.noise) and unit.noise_type == "none", "needs a noise_type other than none."
    blind = bool(unit.noise and unit.embeds) and not unit.negative_images
    yield "noise", unit.noise, blind, "is made of pictures, which a saved reference has not; give negative_images."
    yield "tiles", True, unit.tiles and unit.unfold, "and unfold cannot go together; switch one off."
    many = unit.face == "all" and unit.unfold
    yield "face", "all", many, "and unfold cannot go together: pictures may have different numbers of faces."
    divided = read_places(unit.region).divide
    several = "gives each reference its own place"
    yield "region", unit.region, divided and unit.combine != "concat", f"{several}: set combine to concat."
    yield "region", unit.region, divided and unit.unfold, f"{several}: it and unfold cannot go together."
    for name in PICTURE_FIELDS:
        given: tuple[Picture, ...] = getattr(unit, name)
        idle = bool(given) and not any(picture.weight for picture in given)
        yield name, f"{len(given)} pictures", idle, "have no weight at all; give one of them a weight."
        masked = next((f"{name}[{i}].mask" for i, picture in enumerate(given) if picture.mask is not None), "")
        if name == "negative_images":
            why = "has no meaning: rows of the negative prompt see the same everywhere."
            yield masked, "a picture", bool(masked), why
            continue
        merged = unit.combine != "concat" and not unit.unfold and sum(picture.weight != 0 for picture in given) > 1
        yield "tiles", True, unit.tiles and merged, "keeps references apart: set combine to concat."
        yield masked, "a picture", bool(masked) and merged, "keeps references apart: set combine to concat."
        alone = bool(masked) and unit.unfold
        yield masked, "a picture", alone, "and unfold cannot go together: each reference has its own picture."


def read_own_unit(given: Any, purpose: str, enabled: bool) -> Unit:
    """Return the unit that stands alone in what is asked, on or off whatever it says itself; raises `UnitError`.

    `purpose` follows "must be a unit" in the sentence for what is no object.
    """
    if not isinstance(given, dict):
        raise UnitError("unit", given, f"must be a unit{purpose}, not {brief(given)}.")
    return read_unit({**given, "enabled": enabled})


def read_units(args: Iterable[Any]) -> dict[int, Unit]:
    """Return the enabled units of a script's args by their number; errors carry the unit's number."""
    units: dict[int, Unit] = {}
    for number, given in given_units(args).items():
        with numbered(number):
            units[number] = read_unit(given)
    return {number: unit for number, unit in units.items() if unit.enabled}


def with_reference(args: Iterable[Any], picture: Picture) -> list[dict[str, Any] | None]:
    """Return the units of a script's args, in their places, with a picture given to those that have no references.

    Raises `UnitError` where there is none such, or what is given is no unit.
    """
    units = {number: dict(given) for number, given in given_units(args).items()}
    empty = [unit for unit in units.values() if unit.get("enabled", True) and not _has_references(unit)]
    if not empty:
        raise UnitError("images", f"{len(units)} units", "must be left empty in one unit, which gets the pictures.")
    for unit in empty:
        unit["images"] = [picture]
    return [units.get(number) for number in range(1, max(units) + 1)]


def _has_references(given: Mapping[str, Any]) -> bool:
    return any(given.get(name) for name in ("images", "subject", "embeds"))


def given_units(args: Iterable[Any]) -> dict[int, dict[str, Any]]:
    """Return the objects of a script's args by their number from 1, as they were given or translated from ControlNet's.

    Each arg is an object, the JSON text of one, a list of these, or nothing. An empty place counts too, so that a
    unit's number is that of its tab in the panel.
    """
    units: dict[int, dict[str, Any]] = {}
    for number, given in enumerate(_places(args), 1):
        if given is not None:
            with numbered(number):
                units[number] = from_controlnet(given)
    return units


@contextmanager
def numbered(number: int) -> Generator[None, None, None]:
    """Give errors the number of the unit that they are about."""
    try:
        yield
    except IPAdapterError as error:
        error.unit = number
        raise


def _places(given: Any, nesting: int = 0) -> Iterable[dict[str, Any] | None]:
    if isinstance(given, str):
        given = _from_json(given)
    if given is None or isinstance(given, dict):
        yield given
    elif isinstance(given, (list, tuple)) and nesting < MAX_NESTING:
        for entry in given:
            yield from _places(entry, nesting + 1)
    else:
        raise UnitError(
            "args", given, f"must hold unit objects, in lists at most {MAX_NESTING} deep; not {brief(given)}."
        )


def _from_json(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnitError("args", text, f"must hold units as JSON, but a text does not parse: {error}.") from error
