"""The weight of a unit at every layer, and over the steps of a pass.

Layers are numbered by `Site.layer`, in execution order. Types and their numbers are those of ComfyUI_IPAdapter_plus
(`CrossAttentionPatch.ipadapter_attention` and `IPAdapterPlus.ipadapter_execute`), save that the middle block takes
part.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..base.errors import UnitError
from ..networks.unet_sites import SD, SDXL, Layout
from .fields import points
from .unit import Unit


@dataclass(frozen=True)
class LayerWeight:
    """What a unit does at one layer."""

    weight: float
    inverted: bool = False
    """Whether the layer moves away: unconditional rows get the image, and conditional rows nothing."""
    composition: bool = False
    """Whether the layer carries composition, so that a composition reference stands in for the others."""


LOW = 0.05
"""Where the ease types begin."""
WEAK = 0.2
"""What is left of a weakened part."""
REST = 0.1
"""What is left of the layers of neither style nor composition in "composition precise"."""

Factor = Callable[[int, str, int], float]
"""(layer, its block, number of layers) -> factor. The count itself divides, so curves end short of their end."""


def _weak(*blocks: str) -> Factor:
    return lambda layer, block, count: WEAK if block in blocks else 1.0


FACTORS: Mapping[str, Factor] = {
    "linear": lambda layer, block, count: 1.0,
    "ease in": lambda layer, block, count: LOW + (1 - LOW) * (1 - layer / count),
    "ease out": lambda layer, block, count: LOW + (1 - LOW) * layer / count,
    "ease in-out": lambda layer, block, count: LOW + (1 - LOW) * (1 - abs(layer - count / 2) / (count / 2)),
    "reverse in-out": lambda layer, block, count: LOW + (1 - LOW) * abs(layer - count / 2) / (count / 2),
    "weak input": _weak("input"),
    "weak output": _weak("output"),
    "weak middle": _weak("middle"),
    "strong middle": _weak("input", "output"),
}
"""Types that weaken layers by their place."""

STYLE = {SD.name: frozenset((0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15)), SDXL.name: frozenset((6,))}
"""Layers that carry style (InstantStyle, Wang et al. 2024, section 3.2; SD1.5's are ComfyUI_IPAdapter_plus's)."""
COMPOSITION = {SD.name: {4: 0.25, 5: 1.0}, SDXL.name: {3: 1.0}}
"""Layers that carry composition, and their share of its weight."""


@dataclass(frozen=True)
class Parts:
    """A type that sets the weights of style layers, composition layers and all others; None leaves them out."""

    style: Callable[[Unit], float] | None = None
    composition: Callable[[Unit], float] | None = None
    others: Callable[[Unit], float] | None = None
    shared: bool = True
    """Whether composition layers take only their share of the weight."""
    style_inverted: bool = False
    """Whether all but the composition layers move away."""
    composition_inverted: bool = False


def _weight(unit: Unit) -> float:
    return unit.weight


def _composition_weight(unit: Unit) -> float:
    return unit.composition_weight


PARTS: Mapping[str, Parts] = {
    "style transfer": Parts(style=_weight),
    "composition": Parts(composition=_weight),
    "strong style transfer": Parts(style=_weight, others=_weight),
    "style and composition": Parts(style=_weight, composition=_composition_weight),
    "strong style and composition": Parts(style=_weight, composition=_composition_weight, others=_weight, shared=False),
    "style transfer precise": Parts(
        style=_weight, composition=lambda unit: unit.style_boost, composition_inverted=True
    ),
    "composition precise": Parts(
        style=lambda unit: unit.composition_boost,
        composition=_weight,
        others=lambda unit: REST * unit.composition_boost,
        style_inverted=True,
    ),
}
"""Types that choose layers by what they carry."""


def acts_in(unit: Unit, hires: bool) -> bool:
    """Tell whether the unit takes part in a pass, be it the second one of hires fix or not."""
    return unit.passes in ("both", "hires" if hires else "base")


def of_pass(unit: Unit, hires: bool) -> Unit:
    """Return the unit with the weight that it has in a pass."""
    return replace(unit, weight=unit.hires_weight) if hires and unit.hires_weight is not None else unit


def layer_weights(unit: Unit, layout: Layout) -> dict[int, LayerWeight]:
    """Return what the unit does at each layer where it acts; layers that are absent or of weight 0 add nothing.

    Raises `UnitError` where `layers` names one that the layout has not.
    """
    weights = _given(unit, layout) if unit.layers else _by_type(unit, layout)
    parts = PARTS.get(unit.weight_type, Parts())
    made: dict[int, LayerWeight] = {}
    for layer, weight in weights.items():
        composition = layer in COMPOSITION[layout.name]
        inverted = parts.composition_inverted if composition else parts.style_inverted
        if weight:
            made[layer] = LayerWeight(weight, inverted, composition)
    return made


def _given(unit: Unit, layout: Layout) -> dict[int, float]:
    """Return the weights that the unit's text gives, times the unit's weight."""
    weights = {int(layer): value * unit.weight for layer, value in points(unit.layers)}
    count = len(layout.transformers)
    if max(weights) >= count:
        raise UnitError(
            "layers", unit.layers, f"names layer {max(weights)}, but {layout.name} has layers 0 to {count - 1}."
        )
    return weights


def _by_type(unit: Unit, layout: Layout) -> dict[int, float]:
    count = len(layout.transformers)
    if factor := FACTORS.get(unit.weight_type):
        return {t: unit.weight * factor(t, block, count) for t, (block, _, _) in enumerate(layout.transformers)}
    return _by_parts(unit, PARTS[unit.weight_type], layout)


def _by_parts(unit: Unit, parts: Parts, layout: Layout) -> dict[int, float]:
    weights: dict[int, float] = {}
    for layer in range(len(layout.transformers)):
        share = COMPOSITION[layout.name].get(layer)
        if share is not None:
            part, share = parts.composition, share if parts.shared else 1.0
        else:
            part, share = parts.style if layer in STYLE[layout.name] else parts.others, 1.0
        weights[layer] = share * part(unit) if part else 0.0
    return weights


CURVES: Mapping[str, Callable[[float], float]] = {
    "linear in": lambda at: at,
    "linear out": lambda at: 1.0 - at,
    "cosine in": lambda at: (1.0 - math.cos(math.pi * at)) / 2,
    "cosine out": lambda at: (1.0 + math.cos(math.pi * at)) / 2,
}
"""Factor of the weight by the place in the window from start (0) to end (1)."""


def factor_at(unit: Unit, progress: float) -> float:
    """Return what multiplies the unit's weight after the fraction `progress` (0..1) of a pass's steps; 0 is absent.

    `start` is inside the window and `end` is not, save that end = 1 keeps the last call on. The curve spans the window.
    """
    if progress < unit.start or (progress >= unit.end and unit.end < 1.0):
        return 0.0
    if not unit.curve:
        return 1.0
    at = (progress - unit.start) / (unit.end - unit.start) if unit.end > unit.start else 0.0
    named = CURVES.get(unit.curve)
    return named(at) if named else _between(points(unit.curve), at)


def _between(pairs: tuple[tuple[float, float], ...], at: float) -> float:
    """Return the value at `at` on straight lines between the points, level before the first and after the last."""
    places = [place for place, _ in pairs]
    after = bisect_right(places, at)
    if after == 0:
        return pairs[0][1]
    if after == len(pairs):
        return pairs[-1][1]
    (left, low), (right, high) = pairs[after - 1], pairs[after]
    return low + (high - low) * (at - left) / (right - left)
