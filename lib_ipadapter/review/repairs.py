"""What repairs a unit whose picture came out wrong: one table, for the panel and for docs/repairs.md.

The table needs no adapter file and no U-Net; `web/repair_answers.py` asks it for a unit of the panel.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ..base.errors import UnitError
from ..networks.unet_sites import SD, SDXL
from ..unit.schedule import acting_steps, layer_weights
from ..unit.unit import FIELDS, Unit
from ..unit.weight_types import PARTS, TYPE_GROUPS

STRONG, BACKGROUND, POSE, FACE, NOTHING, BURNT = (
    "Too strong",
    "Copies the background",
    "Copies the pose",
    "Face not alike",
    "Nothing changed",
    "Burnt",
)
ANSWERS = (STRONG, BACKGROUND, POSE, FACE, NOTHING, BURNT)
"""What can be wrong with a picture."""

MOST = 2
"""Repairs that are offered at once."""

Repair = Mapping[str, Any]
"""What the panel does: `do`, what that needs, and `why`, a sentence."""


@dataclass(frozen=True)
class Case:
    """A unit whose picture came out wrong, and what is known of that generation."""

    unit: Unit
    family: str = ""
    """Name of its adapter's family, or empty if the adapter cannot be read."""
    fields: tuple[str, ...] = ()
    """The fields that this family alone uses."""
    uses: tuple[str, ...] = ()
    """What its adapter was trained for (`web/adapter_uses.py`)."""
    place: float | None = None
    """Place of the strength slider, 0 to 4, or None if the user sets weight, start and end."""
    cfg_scale: float | None = None
    denoising: float | None = None
    """Denoising strength, in img2img."""
    steps: tuple[int, ...] = ()
    """Steps of each pass, the second that of hires fix; empty if they are unknown."""
    black_region: bool = False
    """Whether its region is black everywhere."""

    @property
    def hires(self) -> bool:
        return len(self.steps) > 1


@dataclass(frozen=True)
class Change:
    """What a repair does."""

    words: str
    """The change in words, for the documentation."""
    of: Callable[[Case], Repair | None]
    """Returns the repair without its reason, or None where it does not apply."""


@dataclass(frozen=True)
class Row:
    """One repair: for which answer, in which cases, and why."""

    answer: str
    when: str
    """The cases in words, for the documentation; empty for all."""
    applies: Callable[[Case], bool]
    change: Change
    why: str
    sure: bool = False
    """Whether it is the whole reason, so that no further repair is offered."""


# Changes


def _set(**fields: Any) -> Repair:
    return {"do": "set", "fields": fields}


def to(name: str, value: Any) -> Change:
    """A field gets a value."""
    field = FIELDS[name]
    shown = "on" if value is True else f"{value:g}" if isinstance(value, float) else value

    def of(case: Case) -> Repair | None:
        return _set(**{name: value}) if getattr(case.unit, field.attribute) != value else None

    return Change(f"*{field.label}* {shown}", of)


def emptied(name: str) -> Change:
    """A field gets its default, which stands for none."""
    default = FIELDS[name].json_default
    return Change(f"empty *{FIELDS[name].label}*", lambda case: _set(**{name: default}))


def later(limit: float) -> Change:
    """`start` comes 0.2 later, at most at the limit."""

    def of(case: Case) -> Repair | None:
        start = round(min(case.unit.start + 0.2, limit), 2)
        return _set(start=start) if case.unit.start < start < case.unit.end else None

    return Change(f"*Start* 0.2 later, at most {limit:g}", of)


def earlier(limit: float) -> Change:
    """`end` comes 0.2 earlier, at least at the limit."""

    def of(case: Case) -> Repair | None:
        end = round(max(case.unit.end - 0.2, limit), 2)
        return _set(end=end) if case.unit.start < end < case.unit.end else None

    return Change(f"*End* 0.2 earlier, at least {limit:g}", of)


def _weaker(case: Case) -> Repair | None:
    """One mark lower on the slider, which ends at light; or a quarter less weight, down to 0.3."""
    if case.place is not None:
        return {"do": "strength", "place": -(-case.place // 1) - 1} if case.place > 1 else None
    weight = round(case.unit.weight * 0.75, 2)
    return _set(weight=weight) if weight >= 0.3 else None


def _stronger(case: Case) -> Repair | None:
    """One mark higher on the slider, which ends at full; or a quarter more weight, up to 1.3."""
    if case.place is not None:
        return {"do": "strength", "place": case.place // 1 + 1} if case.place < 4 else None
    weight = round(min(case.unit.weight * 1.25, 1.3), 2)
    return _set(weight=weight) if 0 < case.unit.weight < weight else None


WEAKER = Change("*Strength* one mark lower, or a quarter less *Weight*", _weaker)
STRONGER = Change("*Strength* one mark higher, or a quarter more *Weight*", _stronger)


def _normal(case: Case) -> Repair:
    return _set(weight=0.8) if case.place is None else {"do": "strength", "place": 2}


def _lower_cfg(case: Case) -> Repair | None:
    lower = next((scale for scale in (5, 3.5) if case.cfg_scale is not None and scale < case.cfg_scale), None)
    return {"do": "web ui", "fields": {"cfg_scale": lower}} if lower else None


def _whole_range(case: Case) -> Repair | None:
    """The unit's own end, if a start at 0 is enough."""
    from_start = replace(case.unit, start=0.0)
    return _set(start=0.0) if acting_steps(from_start, case.steps) else _set(start=0.0, end=1.0)


TITLES = (
    "Crop the reference…",
    "Draw a region…",
    "Add photos…",
    "Check references",
    "Use a face adapter",
)
"""What the panel opens, as its buttons say it."""


def opens(title: str) -> Change:
    """The panel opens what the user has to do by hand."""
    return Change(f"*{title}*", lambda case: {"do": "open", "title": title})


CROP, REGION, PHOTOS, CHECK, FACE_ADAPTER = map(opens, TITLES)


# Cases


def always(case: Case) -> bool:
    return True


def _general(case: Case) -> bool:
    return "general" in case.uses


def _any_layer(case: Case) -> bool:
    """Whether all layers are used, by a weight type that another one can replace."""
    return not case.unit.layers and case.unit.weight_type in (
        *TYPE_GROUPS["All layers"],
        *TYPE_GROUPS["Some layers weaker"],
    )


def _type(*names: str) -> Callable[[Case], bool]:
    return lambda case: not case.unit.layers and case.unit.weight_type in names


def _whole(case: Case) -> bool:
    """Whether the references are whole pictures, and a part could be cut out."""
    images = case.unit.pictures_on("images").values()
    return bool(images) and not any(each.box or each.mask for each in images)


def _everywhere(case: Case) -> bool:
    return case.unit.mask is None and not case.unit.region


def _guided(case: Case) -> bool:
    """Whether there is an unconditional pass, through which the precise types act."""
    return case.cfg_scale is None or case.cfg_scale >= 1.5


def _few_photos(case: Case) -> bool:
    images = case.unit.pictures_on("images")
    return bool(images) and len(images) < 3 and not case.unit.subject


def _pulid(case: Case) -> bool:
    return case.family.startswith("pulid")


def _has_method(case: Case) -> bool:
    return "method" in case.fields


def _likeness(case: Case) -> bool:
    return "likeness" in case.uses


def _face(case: Case) -> bool:
    return "face" in case.uses


def _out_of_range(case: Case) -> bool:
    without_curve = replace(case.unit, curve="", passes="both")
    return bool(case.steps) and not acting_steps(without_curve, case.steps)


def _flat_curve(case: Case) -> bool:
    both = replace(case.unit, passes="both")
    return bool(case.unit.curve and case.steps) and not _out_of_range(case) and not acting_steps(both, case.steps)


def _no_layer(case: Case) -> bool:
    with suppress(UnitError):  # of layers that the U-Net does not have, which is another fault
        return bool(case.unit.weight) and not any(layer_weights(case.unit, layout) for layout in (SD, SDXL))
    return False


def _few_layers(case: Case) -> bool:
    return not case.unit.layers and case.unit.weight_type in PARTS


# The table

ROWS: Sequence[Row] = (
    Row(STRONG, "", always, WEAKER, "It leaves more of the picture to the prompt."),
    Row(STRONG, "PuLID for SDXL", _has_method, to("method", "style"), "This method favours the prompt."),
    Row(STRONG, "", always, earlier(0.6), "The last steps, which draw the details, follow the prompt alone."),
    Row(STRONG, "", always, later(0.4), "The first steps, which decide the layout, follow the prompt alone."),
    Row(
        BACKGROUND,
        "FaceID Plus",
        lambda case: "structure_weight" in case.fields and case.unit.structure_weight > 0.7,
        to("structure_weight", 0.7),
        "The look of the face brings some of what is around it.",
    ),
    Row(
        BACKGROUND,
        "references that are whole pictures, except adapters that cut out the face themselves",
        lambda case: _whole(case) and not _likeness(case),
        CROP,
        "The encoder does not see what you cut off.",
    ),
    Row(
        BACKGROUND,
        "general adapters on all layers",
        lambda case: _general(case) and _any_layer(case),
        to("weight_type", "style transfer"),
        "It takes colours, light and technique, and leaves the content to the prompt.",
    ),
    Row(
        BACKGROUND,
        "style transfer",
        lambda case: _type("style transfer", "strong style transfer")(case) and _guided(case),
        to("weight_type", "style transfer precise"),
        "It also moves away from the layout of the reference.",
    ),
    Row(
        BACKGROUND,
        "no region",
        _everywhere,
        REGION,
        "Outside the region, the picture follows the prompt alone.",
    ),
    Row(BACKGROUND, "", always, later(0.4), "The first steps, which decide what is where, follow the prompt alone."),
    Row(
        POSE,
        "composition, or style and composition",
        _type("composition", "composition precise", "style and composition", "strong style and composition"),
        to("weight_type", "style transfer"),
        "This type leaves out the layers that carry the layout.",
    ),
    Row(
        POSE,
        "general adapters on all layers",
        lambda case: _general(case) and _any_layer(case),
        to("weight_type", "strong style transfer"),
        "It uses all layers but those that carry the layout.",
    ),
    Row(
        POSE,
        "style transfer",
        lambda case: _type("style transfer", "strong style transfer")(case) and _guided(case),
        to("weight_type", "style transfer precise"),
        "It also moves away from the layout of the reference.",
    ),
    Row(POSE, "", always, later(0.5), "The pose is decided in the first steps, which then follow the prompt alone."),
    Row(POSE, "", always, WEAKER, "It leaves more of the picture to the prompt."),
    Row(
        FACE,
        "adapters not made for faces",
        lambda case: bool(case.uses) and not (_face(case) or _likeness(case)),
        FACE_ADAPTER,
        "This adapter was not made for faces.",
    ),
    Row(
        FACE,
        "Plus Face and Full Face, references that are whole pictures",
        lambda case: _face(case) and _whole(case),
        CROP,
        "This adapter was trained on pictures that show little more than a face.",
    ),
    Row(
        FACE,
        "PuLID for SDXL",
        _has_method,
        to("method", "fidelity"),
        "This method favours the likeness.",
    ),
    Row(
        FACE,
        "PuLID",
        _pulid,
        to("start", 0.0),
        "PuLID was made to act from the first step on.",
    ),
    Row(
        FACE,
        "FaceID with a LoRA weight below 0.8",
        lambda case: "lora_weight" in case.fields and case.unit.lora_weight < 0.8,
        to("lora_weight", 1.0),
        "FaceID was trained together with its LoRA.",
    ),
    Row(
        FACE,
        "a weight below 1.2, with PuLID below 0.8",
        lambda case: case.unit.weight < (0.8 if _pulid(case) else 1.2),
        STRONGER,
        "More weight brings the picture closer to the face.",
    ),
    Row(
        FACE,
        "fewer than three photos, except PuLID",
        lambda case: _few_photos(case) and not _pulid(case),
        PHOTOS,
        "Three to five photos from different sides give a more stable likeness than one.",
    ),
    Row(
        FACE,
        "FaceID Plus v2",
        lambda case: "structure_weight" in case.fields and case.unit.structure_weight < 1.5,
        to("structure_weight", 1.5),
        "It gives more weight to what the face looks like.",
    ),
    Row(FACE, "", always, to("end", 1.0), "The last steps draw the details of the face."),
    Row(
        FACE,
        "",
        always,
        CHECK,
        "It says whether a face is too small, blurred or turned away.",
    ),
    Row(
        NOTHING,
        "a unit that is off",
        lambda case: not case.unit.enabled,
        to("enabled", True),
        "The unit was off.",
        sure=True,
    ),
    Row(
        NOTHING,
        "references that are all off",
        lambda case: bool(case.unit.images) and not case.unit.pictures_on("images"),
        Change("*Switch the references on*", lambda case: {"do": "references on"}),
        "All of its references were off.",
        sure=True,
    ),
    Row(
        NOTHING,
        "weight 0",
        lambda case: case.unit.weight == 0,
        Change("*Strength* normal", _normal),
        "Its weight was 0.",
        sure=True,
    ),
    Row(
        NOTHING,
        "no step from start to end",
        _out_of_range,
        Change("*Start* 0, and *End* 1 if that is not enough", _whole_range),
        "No step is between its start and its end.",
        sure=True,
    ),
    Row(
        NOTHING,
        "pass hires, but no hires fix",
        lambda case: case.unit.passes == "hires" and bool(case.steps) and not case.hires,
        to("pass", "both"),
        "It acts only in the second pass of hires fix, which was off.",
        sure=True,
    ),
    Row(
        NOTHING,
        "inner only",
        lambda case: case.unit.inner == "inner only",
        to("inner", "all"),
        "It acts only where ADetailer draws a part anew.",
        sure=True,
    ),
    Row(
        NOTHING,
        "a curve that is 0 at every step",
        _flat_curve,
        emptied("curve"),
        "Its curve is 0 at every step.",
        sure=True,
    ),
    Row(
        NOTHING,
        "layers that all have weight 0",
        _no_layer,
        emptied("layers"),
        "All of its layers have weight 0.",
        sure=True,
    ),
    Row(
        NOTHING,
        "a black region",
        lambda case: case.black_region,
        Change("*Remove region*", lambda case: _set(mask=None)),
        "Its region is black, so it acts nowhere.",
        sure=True,
    ),
    Row(
        NOTHING,
        "img2img with a denoising strength below 0.3",
        lambda case: case.denoising is not None and case.denoising < 0.3,
        Change("denoising strength 0.6", lambda case: {"do": "web ui", "fields": {"denoising_strength": 0.6}}),
        "The denoising strength is so low that the picture hardly changes.",
    ),
    Row(
        NOTHING,
        "a start from 0.4 on",
        lambda case: case.unit.start >= 0.4,
        to("start", 0.0),
        "It starts after the layout is decided.",
    ),
    Row(NOTHING, "", always, STRONGER, "More weight brings the picture closer to the reference."),
    Row(
        NOTHING,
        "style transfer",
        _type("style transfer", "style transfer precise"),
        to("weight_type", "strong style transfer"),
        "Style transfer uses few layers; this type uses more.",
    ),
    Row(
        NOTHING,
        "other types for style or composition",
        _few_layers,
        to("weight_type", "linear"),
        "This type uses few layers; linear uses all.",
    ),
    Row(
        NOTHING,
        "an end below 0.8",
        lambda case: case.unit.end < 0.8,
        to("end", 1.0),
        "The last steps draw the details.",
    ),
    Row(
        BURNT,
        "FaceID with a LoRA weight above 0.6",
        lambda case: "lora_weight" in case.fields and case.unit.lora_weight > 0.6,
        to("lora_weight", 0.6),
        "The LoRA and the adapter add up, which makes skin waxy.",
    ),
    Row(
        BURNT,
        "a precise type with a boost above 0.5",
        lambda case: _type("style transfer precise")(case) and case.unit.style_boost > 0.5,
        to("style_boost", 0.5),
        "The boost pushes colours apart.",
    ),
    Row(
        BURNT,
        "a precise type with a boost above 0",
        lambda case: _type("composition precise")(case) and case.unit.composition_boost > 0,
        to("composition_boost", 0.0),
        "The boost pushes colours apart.",
    ),
    Row(
        BURNT,
        "a weight from 0.6 on",
        lambda case: case.unit.weight >= 0.6,
        WEAKER,
        "The weight and the CFG scale add up.",
    ),
    Row(
        BURNT,
        "a CFG scale above 3.5",
        always,
        Change("CFG scale 5, then 3.5", _lower_cfg),
        "The CFG scale multiplies what the unit adds.",
    ),
    Row(
        BURNT,
        "a scaling other than V only",
        always,
        to("scaling", "V only"),
        "Scaled keys sharpen the attention, which hardens contrasts.",
    ),
    Row(BURNT, "", always, earlier(0.6), "The last steps, which sharpen the details, follow the prompt alone."),
    Row(
        BURNT,
        "general adapters on all layers",
        lambda case: _general(case) and _type("linear")(case),
        to("weight_type", "ease in-out"),
        "It weakens the first and the last layers.",
    ),
)
"""All repairs, for each answer the best first."""


def repairs_of(answer: str, case: Case) -> Iterator[Repair]:
    """Yield the repairs of a case, the best first, each with its reason; none of them changes nothing."""
    for row in ROWS:
        repair = row.change.of(case) if row.answer == answer and row.applies(case) else None
        if repair and _has_meaning(repair, case):
            yield {**repair, "why": row.why}
            if row.sure:
                return


def _has_meaning(repair: Repair, case: Case) -> bool:
    """Return whether the adapter uses all fields that a repair sets."""
    fields = repair["fields"] if repair["do"] == "set" else ()
    return all(name in case.fields for name in fields if FIELDS[name].by_family)
