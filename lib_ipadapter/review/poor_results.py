"""Reasons why a unit that runs may give a poor result, as far as settings and the checkpoint's name show."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple

from ..files.model_files import ModelFiles
from ..networks.unet_sites import SDXL
from ..unit.unit import Unit
from ..unit.weight_types import PARTS
from ..weights.adapter_file import AdapterFile
from .findings import Finding, to_use

NOOBAI_ADAPTER = "noobIPAMARK1_mark1.safetensors"
"""The published adapter that was trained on NoobAI, which itself was trained from Illustrious."""


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


def weaknesses(unit: Unit, adapter: AdapterFile, files: ModelFiles, generation: Generation) -> list[Finding]:
    """Return the reasons why a unit's result may be poor."""
    found = (_retrained(adapter, files, generation.checkpoint), _without_guidance(unit, generation.cfg_scale))
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
