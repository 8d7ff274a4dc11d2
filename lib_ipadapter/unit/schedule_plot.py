"""What the panel plots: a unit's weight at each layer, and over the steps of a pass."""

from typing import Any

from ..networks.unet_sites import Layout
from .schedule import acts_in, factor_at, layer_weights, of_pass
from .unit import Unit

POINTS = 60
"""Places between the first step and the last at which the weight over the steps is sampled."""


def plotted(unit: Unit, layout: Layout) -> dict[str, Any]:
    """Return a unit's weights as JSON values: `blocks` names each layer's block, `passes` holds each pass that differs.

    A pass has `layers`, each with `weight`, `inverted` and `composition`, and `steps`, the unit's weight at `POINTS`
    + 1 places from the first step to the last.
    """
    passes = [_pass(unit, layout, hires) for hires in (False, True)]
    blocks = [block for block, _, _ in layout.transformers]
    return {"blocks": blocks, "passes": passes[:1] if passes[0] == passes[1] else passes}


def _pass(unit: Unit, layout: Layout, hires: bool) -> dict[str, Any]:
    layers = layer_weights(of_pass(unit, hires), layout) if acts_in(unit, hires) else {}
    none = {"weight": 0.0, "inverted": False, "composition": False}
    shown = [vars(layers[layer]) if layer in layers else none for layer in range(len(layout.transformers))]
    top = of_pass(unit, hires).weight if layers else 0.0
    return {"layers": shown, "steps": [top * factor_at(unit, i / POINTS) for i in range(POINTS + 1)]}
