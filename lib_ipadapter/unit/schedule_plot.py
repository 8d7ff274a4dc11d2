"""Data for the panel's plot: a unit's weight at each layer and over the steps of a pass."""

from typing import Any

from ..networks.flux_sites import XLABS
from ..networks.layout import Layout
from ..networks.unet_sites import SD, SDXL
from .schedule import acts_in, factor_at, layer_weights, of_pass, types_for
from .unit import Unit
from .weight_types import WEIGHT_TYPES

SHOWN = {SD.name: SD, SDXL.name: SDXL, "FLUX": XLABS}
"""The layouts that the pictures of weight types show, by the name of a base model; others are shown as SD."""

POINTS = 60
"""Number of intervals at which the weight over the steps is sampled."""


def plotted(unit: Unit, layout: Layout) -> dict[str, Any]:
    """Return a unit's weights as JSON values: `blocks` has each layer's block, `passes` one or two different passes.

    A pass has `layers`, each with `weight`, `inverted` and `composition`, and `steps`, the unit's weight at `POINTS`
    + 1 points from the first to the last step.
    """
    passes = [_pass(unit, layout, hires) for hires in (False, True)]
    return {"blocks": list(layout.blocks), "passes": passes[:1] if passes[0] == passes[1] else passes}


def _pass(unit: Unit, layout: Layout, hires: bool) -> dict[str, Any]:
    layers = layer_weights(of_pass(unit, hires), layout) if acts_in(unit, hires) else {}
    none = {"weight": 0.0, "inverted": False, "composition": False}
    shown = [vars(layers[layer]) if layer in layers else none for layer in range(len(layout.blocks))]
    top = of_pass(unit, hires).weight if layers else 0.0
    return {"layers": shown, "steps": [top * factor_at(unit, i / POINTS) for i in range(POINTS + 1)]}


def type_pictures() -> dict[str, dict[str, list[float]]]:
    """Return the weight at each layer for every weight type and layout in `SHOWN`, negative where it moves away.

    A type is missing where it has no meaning.

    The boosts are 1, so that types that can move away show where.
    """
    return {
        name: {
            base: _signed(Unit(weight_type=name, composition_boost=1.0), layout)
            for base, layout in SHOWN.items()
            if name in types_for(layout)
        }
        for name in WEIGHT_TYPES
    }


def _signed(unit: Unit, layout: Layout) -> list[float]:
    layers = layer_weights(unit, layout)
    shown = (layers.get(layer) for layer in range(len(layout.blocks)))
    return [round(-each.weight if each.inverted else each.weight, 3) if each else 0.0 for each in shown]
