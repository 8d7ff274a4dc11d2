"""Reasons why a unit that runs may give a poor result, as far as settings, pictures and the checkpoint's name show."""

from dataclasses import replace
from typing import NamedTuple

from ..base.errors import UnitError
from ..engine.prepare import Preparation
from ..files.model_files import ModelFiles
from ..networks.unet_sites import SDXL
from ..unit.passes import INNER
from ..unit.schedule import acting_steps, passes_of
from ..unit.unit import Unit
from ..unit.weight_types import PARTS
from ..weights.adapter_file import AdapterFile
from .checkpoint_kinds import DISTILLED, NOOBAI_ADAPTER, RETRAINED, TOLERANCE, Checkpoint
from .findings import JOIN_INNER, Finding, of_error, to_use
from .thresholds import advice_on

DRAWING = "Reference {} looks like a drawing, but this adapter reads the face of a photo. Use a photo, or Plus Face."


class Generation(NamedTuple):
    """What a generation would use besides its units."""

    checkpoint: Checkpoint = Checkpoint()
    cfg_scale: float | None = None
    """None if it is unknown."""
    steps: tuple[int | None, ...] = ()
    """Steps of each pass; None if they are unknown."""
    inner: bool = False
    """Whether ADetailer is switched on, which runs inner generations."""


def weaknesses(unit: Unit, adapter: AdapterFile, preparation: Preparation, generation: Generation) -> list[Finding]:
    """Return the reasons why a unit's result may be poor."""
    found = (
        _retrained(adapter, preparation.files, generation.checkpoint),
        _too_much_guidance(generation),
        _few_steps(adapter, generation),
        _without_guidance(unit, generation.cfg_scale),
        _no_step(unit, generation.steps),
        _other_variant(unit, preparation),
        _left_out(unit, preparation, generation.inner),
        _drawing(unit, adapter, preparation),
    )
    return [each for each in found if each]


def _retrained(adapter: AdapterFile, files: ModelFiles, checkpoint: Checkpoint) -> Finding | None:
    """Return the weakness of an SDXL adapter with a model that was trained far away from SDXL."""
    model = checkpoint.kind(RETRAINED)
    published = files.known.check(adapter.path).published
    is_for_sdxl = adapter.layout is SDXL and not adapter.recognised.family.base
    if model is None or not is_for_sdxl or (published and published.name == NOOBAI_ADAPTER):
        return None
    better = files.known.catalogue.by_name.get(model.adapter)
    advice = f"use {better.title}, or a lower weight" if better else "use a lower weight"
    return Finding(
        f"{checkpoint.name} seems to be based on {model.name}. Adapters made for SDXL have less effect on such models "
        f"and may distort colours: {advice}.",
        stops=False,
        field="model",
        repair=to_use(files, better.name) if better else None,
    )


def _too_much_guidance(generation: Generation) -> Finding | None:
    """Return the weakness of a CFG scale that is too large for a distilled model; it multiplies what a unit adds."""
    model, cfg_scale = generation.checkpoint.kind(DISTILLED), generation.cfg_scale
    if model is None or cfg_scale is None or not model.most_cfg or cfg_scale <= model.most_cfg * TOLERANCE:
        return None
    recommended = "1" if model.most_cfg == 1 else f"1 to {model.most_cfg:g}"
    return Finding(
        f"{generation.checkpoint.name} seems to be a {model.name} model, made for a CFG scale of {recommended}. At "
        f"{cfg_scale:g}, colours burn out, above all where the unit acts.",
        stops=False,
    )


LEAST_STEPS = 5
"""Steps that the authors of PuLID v1.1 take with Lightning (app_v1_1.py)."""


def _few_steps(adapter: AdapterFile, generation: Generation) -> Finding | None:
    """Return the weakness of PuLID v1.1 in four steps of Lightning, for which its authors recommend v1."""
    first, model = next(iter(generation.steps), None), generation.checkpoint.kind(DISTILLED)
    is_lightning = model is not None and model.name == "Lightning"
    if not is_lightning or first is None or first >= LEAST_STEPS or adapter.recognised.family.name != "pulid-v1.1":
        return None
    sentence = (
        f"With {first} steps of a Lightning model, PuLID v1.1 is less alike than v1, say its authors. Use "
        f"{LEAST_STEPS} steps or more at CFG scale 2, or PuLID v1."
    )
    return Finding(sentence, stops=False, field="model")


def _no_step(unit: Unit, steps: tuple[int | None, ...]) -> Finding | None:
    """Return the weakness of a start and an end between which no step of any pass begins."""
    counts = passes_of(unit, steps)
    if not counts or acting_steps(replace(unit, curve=""), steps):
        return None
    sentence = (
        f"Of the {' + '.join(map(str, counts))} steps, none begins between start {unit.start:g} and end {unit.end:g}, "
        "so the unit has no effect. Start earlier, or end later."
    )
    return Finding(sentence, stops=False, field="start")


def _without_guidance(unit: Unit, cfg_scale: float | None) -> Finding | None:
    """Return the weakness of a setting that needs the unconditional pass, which CFG scale 1 skips, as LCM models do."""
    if cfg_scale != 1:
        return None
    parts = PARTS.get(unit.weight_type)
    why = "acts through the unconditional pass, which CFG scale 1 skips. Use 1.5 or more."
    if parts and (parts.style_inverted or parts.composition_inverted):
        return Finding(f"Part of {unit.weight_type} {why}", stops=False, field="weight_type")
    if unit.pictures_on("negative_images"):
        return Finding(f"A negative reference {why}", stops=False, field="negative_images")
    return None


def _other_variant(unit: Unit, preparation: Preparation) -> Finding | None:
    """Return the weakness of a unit that uses a file as another variant than its name or its hash shows."""
    known = preparation.files.adapter_as_known(unit.model)
    variant, by = known.recognised.variant, known.recognised.variant_by
    if variant is None or by not in ("name", "hash") or unit.variant in ("auto", variant.name):
        return None
    title = _plain(variant.title)
    return Finding(
        f"{known.path.name} is {title}, as its {'content' if by == 'hash' else 'name'} shows, but the unit uses it as "
        f"{unit.variant}. The likeness will be wrong.",
        stops=False,
        field="variant",
        repair={"do": "set", "field": "variant", "value": variant.name, "title": title},
    )


def _plain(title: str) -> str:
    """Return a title without its article and the word adapter."""
    return title.removeprefix("an ").removeprefix("a ").removesuffix(" adapter")


def _left_out(unit: Unit, preparation: Preparation, inner: bool) -> Finding | None:
    """Return what a unit lacks in ADetailer's generations, if ADetailer does not run this extension in them."""
    used = INNER[unit.inner]
    if not inner or True not in used or not preparation.host.inner_left_out():
        return None
    only = False not in used
    why = "so the unit would have no effect" if only else "so the faces that it redraws will be less alike"
    sentence = f"ADetailer does not run IP-Adapter in its own generations, {why}."
    return Finding(sentence, stops=only, field="inner", repair=JOIN_INNER)


def expects_photos(adapter: AdapterFile) -> bool:
    """Return whether an adapter needs photos: those that encode a picture of a face follow a drawn one too."""
    return bool(adapter.recognised.family.face_embedding)


def _drawing(unit: Unit, adapter: AdapterFile, preparation: Preparation) -> Finding | None:
    """Return the weakness of drawings in the place of photos, among the pictures that were read before."""
    if not expects_photos(adapter):
        return None
    for i, each in enumerate(unit.images):
        file = preparation.pictures.seen(each.image) if each.enabled else None
        try:
            measured = preparation.pictures.shading(f"images[{i}]", file) if file else 1.0
        except UnitError as error:  # it is damaged
            return of_error(error)
        if advice_on({"shading": measured}):
            return Finding(DRAWING.format(i + 1), stops=False, field="images")
    return None
