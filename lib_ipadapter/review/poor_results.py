"""Reasons why a unit that runs may give a poor result, as far as settings, pictures and the checkpoint's name show."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple

from ..base.errors import UnitError
from ..engine.prepare import Preparation
from ..files.model_files import ModelFiles
from ..networks.unet_sites import SDXL
from ..unit.passes import INNER
from ..unit.unit import Unit
from ..unit.weight_types import PARTS
from ..weights.adapter_file import AdapterFile
from .findings import JOIN_INNER, Finding, of_error, to_use
from .thresholds import advice_on

NOOBAI_ADAPTER = "noobIPAMARK1_mark1.safetensors"
"""The published adapter that was trained on NoobAI, which itself was trained from Illustrious."""


DRAWING = "Reference {} looks like a drawing, but this adapter reads the face of a photo. Use a photo, or Plus Face."


@dataclass(frozen=True)
class Retrained:
    """Models trained so far away from SDXL that adapters made for SDXL work badly with them.

    Source: reports of blocks of colour and weak effects, such as ComfyUI_IPAdapter_plus issues 505 and 848.
    """

    name: str
    word: str
    """Part of the file names of these models, in lower case."""
    adapter: str = ""
    """Name of the published adapter that fits them, or empty."""


RETRAINED = (
    Retrained("NoobAI", "noob", NOOBAI_ADAPTER),
    Retrained("Illustrious", "illustrious", NOOBAI_ADAPTER),
    Retrained("Pony", "pony"),
)


class Generation(NamedTuple):
    """What a generation would use besides its units."""

    checkpoint: str = ""
    """File name of the selected checkpoint, or empty if it is unknown."""
    cfg_scale: float | None = None
    """None if it is unknown."""
    inner: bool = False
    """Whether ADetailer is switched on, which runs inner generations."""


def weaknesses(unit: Unit, adapter: AdapterFile, preparation: Preparation, generation: Generation) -> list[Finding]:
    """Return the reasons why a unit's result may be poor."""
    found = (
        _retrained(adapter, preparation.files, generation.checkpoint),
        _without_guidance(unit, generation.cfg_scale),
        _other_variant(unit, preparation),
        _left_out(unit, preparation, generation.inner),
        _drawing(unit, adapter, preparation),
    )
    return [each for each in found if each]


def _retrained(adapter: AdapterFile, files: ModelFiles, checkpoint: str) -> Finding | None:
    """Return the weakness of an SDXL adapter with a model that was trained far away from SDXL."""
    name = PurePath(checkpoint.replace("\\", "/")).name
    model = next((each for each in RETRAINED if each.word in name.lower()), None)
    published = files.known.check(adapter.path).published
    is_for_sdxl = adapter.layout is SDXL and not adapter.recognised.family.base
    if model is None or not is_for_sdxl or (published and published.name == NOOBAI_ADAPTER):
        return None
    better = files.known.catalogue.by_name.get(model.adapter)
    advice = f"use {better.title}, or a lower weight" if better else "use a lower weight"
    return Finding(
        f"{name} seems to be based on {model.name}. Adapters made for SDXL have less effect on such models and may "
        f"distort colours: {advice}.",
        stops=False,
        field="model",
        repair=to_use(files, better.name) if better else None,
    )


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
