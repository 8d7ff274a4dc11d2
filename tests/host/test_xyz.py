"""The X/Y/Z plot of a real web UI, through its API: each cell equals the unit's picture made alone."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host.webui import Files, Made, RefusedError, WebUI, reference


@pytest.fixture(scope="module")
def model(webui: WebUI, files: Files) -> str:
    checkpoint = webui.use_smallest()
    return files.adapter(checkpoint)


def axes(webui: WebUI) -> list[str]:
    """Return the labels of the plot's axes; a program sends an axis by its index among them."""
    info = next(info for info in webui.call("/sdapi/v1/script-info") if info["name"] == "x/y/z plot")
    return next(arg["choices"] for arg in info["args"] if arg["label"] == "X type")


def plot(webui: WebUI, x: tuple[str, str], y: tuple[str, str], *units: dict[str, Any]) -> Made:
    """Return the cells of a plot row by row, without its grid."""
    labels = axes(webui)
    args = webui.plot_args(*((labels.index(label), values) for label, values in (x, y)))
    return webui.generate(*units, script_name="x/y/z plot", script_args=args, width=128, height=128, steps=2)


def alone(webui: WebUI, *units: dict[str, Any]) -> Made:
    return webui.generate(*units, width=128, height=128, steps=2)


def test_each_cell_equals_the_units_picture_made_alone_and_has_its_parameters(webui: WebUI, model: str) -> None:
    unit = {"model": model, "images": [reference(1), reference(2)], "weight": 0.1}
    weights, kinds = (0.4, 0.8, 1.2), ("linear", "style transfer")
    axis = ("[IP-Adapter 2] Weight", "0.4-1.2 [3]"), ("[IP-Adapter 2] Weight type", ", ".join(kinds))
    made = plot(webui, *axis, None, unit)
    cells = made.pictures[1:]
    assert len(cells) == 6
    for cell, infotext, (kind, weight) in zip(
        cells, made.info["infotexts"][1:], [(kind, weight) for kind in kinds for weight in weights], strict=True
    ):
        expected = alone(webui, None, unit | {"weight": weight, "weight_type": kind})
        assert np.array_equal(cell, expected.pictures[0]), (kind, weight)
        entry = re.search(r'IP-Adapter 2: ("[^"]*")', infotext)
        assert entry
        assert entry.group(1) in expected.info["infotexts"][0]
        assert f"Weight: {weight:g}," in entry.group(1)
    assert "X Type: [IP-Adapter 2] Weight" in made.info["infotexts"][0].replace('"', "")


def test_an_axis_disables_a_unit_and_chooses_its_references(webui: WebUI, model: str) -> None:
    unit = {"model": model, "images": [reference(1), reference(2)]}
    alone(webui)
    before = webui.hooks()
    made = plot(webui, ("[IP-Adapter 1] Enabled", "True, False"), ("[IP-Adapter 1] References", "2, all"), unit)
    second, plain, both, again = made.pictures[1:]
    assert np.array_equal(second, alone(webui, unit | {"images": [reference(2)]}).pictures[0])
    assert np.array_equal(both, alone(webui, unit).pictures[0])
    assert np.array_equal(plain, alone(webui).pictures[0])
    assert np.array_equal(again, plain)
    assert ["IP-Adapter 1: " in text for text in made.info["infotexts"][1:]] == [True, False, True, False]
    assert webui.hooks() == before


def test_adapters_can_be_an_axis(webui: WebUI, files: Files, model: str) -> None:
    other = f"{model.rsplit('-', 1)[0]}-1"
    loaded = webui.call("/sdapi/v1/options")["sd_model_checkpoint"].split(" [")[0]  # Forge gives no hash there
    paths = [Path(each["filename"]) for each in webui.call("/sdapi/v1/sd-models")]
    checkpoint = next(path for path in paths if path.name == loaded)
    assert files.adapter(checkpoint, seed=1) == other
    unit = {"model": model, "images": [reference(1)]}
    made = plot(webui, ("[IP-Adapter 1] Adapter", f"{model}, {other}.safetensors"), ("Nothing", ""), unit)
    for cell, name in zip(made.pictures[1:], (model, other), strict=True):
        assert np.array_equal(cell, alone(webui, unit | {"model": name}).pictures[0])


@pytest.mark.parametrize(
    ("label", "values", "reason"),
    [
        ("[IP-Adapter 1] Weight", "0.5, 9", "weight must be a number from -5 to 5, not 9"),
        ("[IP-Adapter 3] Weight", "0.5", "has no unit to change"),
        ("[IP-Adapter 1] Adapter", "lost", "was not found"),
    ],
)
def test_an_impossible_value_stops_the_plot_with_a_reason(webui: WebUI, model: str, label, values, reason) -> None:
    with pytest.raises(RefusedError) as refused:
        plot(webui, (label, values), ("Nothing", ""), {"model": model, "images": [reference(1)]})
    assert refused.value.status == 422
    assert reason in refused.value.body["detail"]
