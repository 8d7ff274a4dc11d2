"""The panel's plot shows what the engine does."""

from typing import Any

import pytest

from lib_ipadapter.networks.unet_sites import SD, SDXL, Layout
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.schedule import factor_at, layer_weights
from lib_ipadapter.unit.schedule_plot import POINTS, plotted
from lib_ipadapter.unit.unit import Unit
from lib_ipadapter.unit.weight_types import WEIGHT_TYPES


def unit(**values: Any) -> Unit:
    return read_unit({**values, "enabled": False})


@pytest.mark.parametrize("layout", [SD, SDXL])
@pytest.mark.parametrize("weight_type", WEIGHT_TYPES)
def test_the_plotted_layers_are_the_schedules(layout: Layout, weight_type: str) -> None:
    drawn = unit(weight=0.7, weight_type=weight_type, composition_boost=0.5)
    (shown,) = plotted(drawn, layout)["passes"]
    expected = layer_weights(drawn, layout)
    assert len(shown["layers"]) == len(layout.transformers) == len(plotted(drawn, layout)["blocks"])
    for layer, at in enumerate(shown["layers"]):
        assert at["weight"] == (expected[layer].weight if layer in expected else 0)
        assert at["inverted"] == (layer in expected and expected[layer].inverted)


def test_the_plotted_steps_are_the_schedules() -> None:
    drawn = unit(weight=0.5, start=0.2, end=0.8, curve="cosine out")
    (shown,) = plotted(drawn, SD)["passes"]
    assert shown["steps"] == [0.5 * factor_at(drawn, i / POINTS) for i in range(POINTS + 1)]
    assert shown["steps"][0] == shown["steps"][-1] == 0
    assert max(shown["steps"]) == pytest.approx(0.5, abs=0.01)


def test_both_passes_are_shown_if_they_differ() -> None:
    assert len(plotted(unit(), SD)["passes"]) == 1
    base, hires = plotted(unit(hires_weight=0.25), SD)["passes"]
    assert (base["layers"][0]["weight"], hires["layers"][0]["weight"]) == (1.0, 0.25)
    base, hires = plotted(unit(**{"pass": "hires"}), SD)["passes"]
    assert (max(base["steps"]), max(hires["steps"])) == (0, 1)
    assert not any(at["weight"] for at in base["layers"])


def test_layers_that_a_model_does_not_have_are_refused() -> None:
    with pytest.raises(Exception, match="SDXL has layers 0 to 10"):
        plotted(unit(layers="15:1"), SDXL)
