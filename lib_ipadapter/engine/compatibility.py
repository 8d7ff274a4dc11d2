"""Checks whether a unit, its adapter, its files and the loaded checkpoint fit together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..base.errors import IPAdapterError, UnitError
from ..files.saved_embeds import SavedReference
from ..networks.kinds import found_in
from ..networks.layout import Found, Layout
from ..unit.schedule import layer_weights
from ..unit.unit import FIELDS, Unit
from ..weights.adapter_file import AdapterFile
from ..weights.bases import SIGLIP, base_name, network_without_unet
from ..weights.clip_vision import EncoderFile, fingerprint
from ..weights.encoders import Encoder
from ..weights.families import FAMILY_FIELDS, adapters_for
from ..weights.family import EMBED, HIDDEN

FEATURE_WORDS = {EMBED: "an image embedding", HIDDEN: "hidden states"}
"""The encoder output that a family takes, in words."""


@dataclass(frozen=True)
class LoadedNetwork:
    """What adapters need to know about the loaded checkpoint's network."""

    widths: Mapping[Any, int]
    """heads * dim of each site; empty for a network where no adapter can run."""
    context_dim: int
    base: str
    """Base model of a network without an SD or SDXL U-Net, or "" where it is unknown."""


def loaded_network(network: nn.Module) -> LoadedNetwork:
    """Return what adapters need to know about a network."""
    return LoadedNetwork(*found_in(network), network_without_unet(dict(network.named_children())))


def mismatch(adapter: AdapterFile, loaded: LoadedNetwork) -> str:
    """Return why an adapter cannot run on the loaded checkpoint, or "" where it can."""
    if adapter.reason:
        return adapter.reason
    found = adapter.recognised
    if not loaded.widths:
        what = _without_sites(loaded.base, found.base)
        return (
            f"{adapter.path.name} is for {found.base}, but the loaded checkpoint {what}. "
            f"Load a checkpoint made from {found.base}."
        )
    layout = adapter.layout
    wide = found.family.layers.wide
    theirs = {site: adapter.shapes[f"ip_adapter.{site.key}.{wide}"][0] for site in layout.sites}
    if layout.fits(Found(theirs, found.context_dim), Found(loaded.widths, loaded.context_dim)):
        return ""
    theirs = loaded.base or base_name(loaded.context_dim, len(loaded.widths))
    other = f"is {theirs}" if theirs != found.base else _other_blocks(theirs)
    return (
        f"{adapter.path.name} is for {found.base}, but the loaded checkpoint {other}. "
        "Choose an adapter made for it, or load another checkpoint."
    )


def _without_sites(base: str, wanted: str) -> str:
    """Return what a loaded checkpoint is where no adapter can run, as the end of a sentence."""
    if not base:
        return "has a different network, which is not supported yet"
    if base == wanted:
        return _other_blocks(base)
    families = adapters_for(base)
    if any(family.projector for family in families):
        return f"is {base}, which has no U-Net"
    known = " or ".join(family.title for family in families) or f"an adapter for {base}"
    return f"is {base}, which has no U-Net, and {known} is not supported yet"


def _other_blocks(base: str) -> str:
    return f"is a {base} with other blocks, as pruned or converted ones have"


def refuse_mismatch(adapter: AdapterFile, network: nn.Module) -> None:
    """Raise `IPAdapterError` where an adapter cannot run on a network."""
    if reason := mismatch(adapter, loaded_network(network)):
        raise IPAdapterError(reason)


def refuse_unused_fields(unit: Unit, adapter: AdapterFile) -> None:
    """Raise `UnitError` for a field that is set but has no effect with the unit's adapter."""
    found = adapter.recognised
    unused = set(FAMILY_FIELDS) - set(found.family.fields)
    if found.variant and "structure_weight" not in found.variant.settings:
        unused.add("structure_weight")
    if found.family.face_embedding:
        unused |= {"tiles", "noise", "enhance"}
    if found.image_encoder == SIGLIP:
        unused.add("enhance")
    for name in sorted(unused):
        value, default = getattr(unit, name), FIELDS[name].default
        if value != default:
            why = f"has no effect with {adapter.path.name}, {found.title}; leave it at {json.dumps(default)}."
            raise UnitError(name, value, why)


def refuse_unseen_compositions(unit: Unit, layout: Layout) -> None:
    """Raise `UnitError` for layers that do not exist and for composition references that no layer uses."""
    composed = any(at.composition for at in layer_weights(unit, layout).values())
    given = unit.pictures_on("composition_images")
    if given and not composed:
        raise UnitError(
            "composition_images",
            f"{len(given)} pictures",
            f"would not be used: with weight type {unit.weight_type} and these weights no composition layer is active.",
        )


def refuse_other_features(unit: Unit, saved: SavedReference, adapter: AdapterFile, encoder: Encoder | None) -> None:
    """Raise `UnitError` where a saved reference lacks the features that the adapter takes, or has another encoder's."""
    if not isinstance(encoder, EncoderFile) or adapter.recognised.family.face_embedding:
        found = adapter.recognised
        needed = "face embeddings" if found.family.face_embedding else f"those of {found.image_encoder}"
        why = f'"{saved.name}" holds image features, but {adapter.path.name} takes {needed}. Send pictures.'
        raise UnitError("embeds", unit.embeds, why)
    takes = adapter.recognised.family.takes
    own = {EMBED: (encoder.projection,), HIDDEN: (encoder.states, encoder.width)}
    if takes not in saved.shapes:
        held = " and ".join(f"{FEATURE_WORDS[kind]} {shape[1:]}" for kind, shape in saved.shapes.items())
        raise UnitError(
            "embeds",
            unit.embeds,
            f'"{saved.name}" holds only {held}, but {adapter.path.name} takes {FEATURE_WORDS[takes]}. '
            "Choose an adapter of the other kind, or save the pictures again.",
        )
    known = saved.fingerprint in ("", fingerprint(encoder))
    if saved.shapes[takes][1:] != own[takes] or not known:
        made_by = saved.encoder or f"an image encoder with {FEATURE_WORDS[takes]} {saved.shapes[takes][1:]}"
        raise UnitError(
            "embeds",
            unit.embeds,
            f'"{saved.name}" was made by {made_by}, but the unit uses {encoder.path.name} ({encoder.name}, with '
            f"{FEATURE_WORDS[takes]} {own[takes]}). Choose that encoder or an adapter for it, or save the pictures "
            "again.",
        )


def refuse_unsavable(unit: Unit) -> None:
    """Raise `UnitError` where a unit has no references, or references with settings that cannot be saved."""
    images = unit.pictures_on("images")
    if not images and not unit.subject:
        raise UnitError("images", [], "is required: the pictures to save.")
    masked = next((f"{field}.mask" for field, picture in images.items() if picture.mask is not None), None)
    if masked:
        raise UnitError(
            masked, "a picture", "cannot be saved: regions belong to units. Leave it out, and give the unit a mask."
        )
