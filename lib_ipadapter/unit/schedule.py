"""The weight of a unit at every layer, and over the steps of a pass.

Layers are numbered by `Site.layer`, in execution order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..base.errors import UnitError
from ..networks.layout import Layout
from ..networks.unet_sites import SD, SDXL
from .curves import curve_factor, points
from .passes import PASSES
from .unit import Unit
from .weight_types import FACTORS, PARTS, TYPE_GROUPS, WEIGHT_TYPES, Parts


@dataclass(frozen=True)
class LayerWeight:
    """A unit's weight at one layer."""

    weight: float
    inverted: bool = False
    """Whether the layer pushes away from the reference: unconditional rows get its tokens, conditional rows zeros."""
    composition: bool = False
    """Whether this is a composition layer, which uses composition references if there are any."""


STYLE = {SD.name: frozenset((0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15)), SDXL.name: frozenset((6,))}
"""Style layers (InstantStyle, Wang et al. 2024, section 3.2; for SD1.5 ComfyUI_IPAdapter_plus)."""
COMPOSITION = {SD.name: {4: 0.25, 5: 1.0}, SDXL.name: {3: 1.0}}
"""Composition layers, with their share of the weight."""


def types_for(layout: Layout) -> tuple[str, ...]:
    """Return the weight types that have a meaning for a layout: most are about the layers of a U-Net."""
    return WEIGHT_TYPES if layout.name in COMPOSITION else TYPE_GROUPS["All layers"]


def acts_in(unit: Unit, hires: bool) -> bool:
    """Return whether the unit is active in a pass: the second pass of hires fix, or any other."""
    return hires in PASSES[unit.passes]


def passes_of(unit: Unit, steps: Sequence[int | None]) -> list[int]:
    """Return the steps of the passes that the unit is active in; `steps` has those of each pass, None if unknown."""
    return [count for number, count in enumerate(steps) if count and acts_in(unit, hires=number == 1)]


def acting_steps(unit: Unit, steps: Sequence[int | None]) -> int:
    """Return in how many of its passes' steps the unit acts, by start, end and curve."""
    return sum(factor_at(unit, step / count) != 0 for count in passes_of(unit, steps) for step in range(count))


def of_pass(unit: Unit, hires: bool) -> Unit:
    """Return the unit with its weight for a pass."""
    return replace(unit, weight=unit.hires_weight) if hires and unit.hires_weight is not None else unit


def layer_weights(unit: Unit, layout: Layout) -> dict[int, LayerWeight]:
    """Return the unit's weight at each layer where it is active; missing layers have weight 0.

    Raises `UnitError` if `layers` names a layer that the layout does not have, or for a weight type that it has not.
    """
    if unit.weight_type not in (known := types_for(layout)):
        why = f"has no meaning for {layout.name}, which has no such layers. Choose one of {', '.join(known)}."
        raise UnitError("weight_type", unit.weight_type, why)
    weights = _given(unit, layout) if unit.layers else _by_type(unit, layout)
    parts = PARTS.get(unit.weight_type, Parts())
    made: dict[int, LayerWeight] = {}
    for layer, weight in weights.items():
        composition = layer in COMPOSITION.get(layout.name, {})
        inverted = parts.composition_inverted if composition else parts.style_inverted
        if weight:
            made[layer] = LayerWeight(weight, inverted, composition)
    return made


def _given(unit: Unit, layout: Layout) -> dict[int, float]:
    """Return the weights in the unit's `layers`, times the unit's weight."""
    weights = {int(layer): value * unit.weight for layer, value in points(unit.layers)}
    count = len(layout.blocks)
    if max(weights) >= count:
        raise UnitError(
            "layers", unit.layers, f"names layer {max(weights)}, but {layout.name} has layers 0 to {count - 1}."
        )
    return weights


def _by_type(unit: Unit, layout: Layout) -> dict[int, float]:
    count = len(layout.blocks)
    if factor := FACTORS.get(unit.weight_type):
        return {t: unit.weight * factor(t, block, count) for t, block in enumerate(layout.blocks)}
    return _by_parts(unit, PARTS[unit.weight_type], layout)


def _by_parts(unit: Unit, parts: Parts, layout: Layout) -> dict[int, float]:
    weights: dict[int, float] = {}
    for layer in range(len(layout.blocks)):
        share = COMPOSITION[layout.name].get(layer)
        if share is not None:
            part, share = parts.composition, share if parts.shared else 1.0
        else:
            part, share = parts.style if layer in STYLE[layout.name] else parts.others, 1.0
        weights[layer] = share * part.of(unit) if part else 0.0
    return weights


def factor_at(unit: Unit, progress: float) -> float:
    """Return the multiplier of the unit's weight at the fraction `progress` (0..1) of a pass's steps; 0 if inactive.

    The unit is active for start <= progress < end; end = 1 includes the last call. The curve runs from start to end.
    """
    if progress < unit.start or (progress >= unit.end and unit.end < 1.0):
        return 0.0
    if not unit.curve:
        return 1.0
    at = (progress - unit.start) / (unit.end - unit.start) if unit.end > unit.start else 0.0
    return curve_factor(unit.curve, at)
