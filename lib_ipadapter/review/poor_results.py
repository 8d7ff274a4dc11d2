"""Reasons why a unit that runs may give a poor result, as far as settings and the checkpoint's name show."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple

from ..files.known_files import KnownFiles
from ..networks.unet_sites import SDXL
from ..unit.unit import Unit
from ..unit.weight_types import PARTS
from ..weights.adapter_file import AdapterFile

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


class Weakness(NamedTuple):
    """One reason why the result may be poor."""

    sentence: str
    field: str = ""
    """The unit's field that it is about, if any."""
    adapter: str = ""
    """Name of the published adapter that fits better, if there is one."""


def weaknesses(unit: Unit, adapter: AdapterFile, known: KnownFiles, generation: Generation) -> list[Weakness]:
    """Return the reasons why a unit's result may be poor."""
    found = (_retrained(adapter, known, generation.checkpoint), _without_guidance(unit, generation.cfg_scale))
    return [each for each in found if each]


def _retrained(adapter: AdapterFile, known: KnownFiles, checkpoint: str) -> Weakness | None:
    """Return the weakness of an SDXL adapter with a model that was trained far away from SDXL."""
    name = PurePath(checkpoint.replace("\\", "/")).name
    model = next((each for each in RETRAINED if each.word in name.lower()), None)
    published = known.check(adapter.path).published
    is_for_sdxl = adapter.layout is SDXL and not adapter.recognised.family.base
    if model is None or not is_for_sdxl or (published and published.name == NOOBAI_ADAPTER):
        return None
    better = known.catalogue.by_name.get(model.adapter)
    advice = f"use {better.title}, or a lower weight" if better else "use a lower weight"
    return Weakness(
        f"{name} seems to be based on {model.name}. Adapters made for SDXL have less effect on such models and may "
        f"distort colours: {advice}.",
        "model",
        better.name if better else "",
    )


def _without_guidance(unit: Unit, cfg_scale: float | None) -> Weakness | None:
    """Return the weakness of a setting that needs the unconditional pass, which CFG scale 1 skips, as LCM models do."""
    if cfg_scale != 1:
        return None
    parts = PARTS.get(unit.weight_type)
    why = "acts through the unconditional pass, which CFG scale 1 skips. Use 1.5 or more."
    if parts and (parts.style_inverted or parts.composition_inverted):
        return Weakness(f"Part of {unit.weight_type} {why}", "weight_type")
    if unit.negative_images:
        return Weakness(f"A negative reference {why}", "negative_images")
    return None
