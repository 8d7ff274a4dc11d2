"""The axes of the X/Y/Z plot: one per field, their values, and that no cell leaks into another."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.unit.read_args import read_units
from lib_ipadapter.unit.unit import FIELDS
from lib_ipadapter.web.xyz import Files, Plot, add_axes, in_cell

UNIT = {"model": "base", "images": ["YQ==", {"image": "Yg==", "weight": 0.5}, "Yw=="]}
ARGS = [json.dumps(UNIT), "", UNIT | {"noise_type": "gaussian"}, ""]


@dataclass
class AxisOption:
    """The web UI's class, with its order of arguments (scripts/xyz_grid.py)."""

    label: str
    type: type
    apply: Callable[[Any, Any, Any], None]
    format_value: Any = "with the axis's label"
    confirm: Any = None
    cost: float = 0.0
    choices: Any = None


class RefusedError(Exception):
    pass


def checked(name: str) -> None:
    if name != "base":
        raise UnitError("model", name, "was not found.")


@pytest.fixture
def plot() -> Plot:
    grid = SimpleNamespace(
        AxisOption=AxisOption,
        axis_options=[AxisOption("Nothing", str, lambda *_: None), AxisOption("Seed", int, lambda *_: None)],
    )
    return Plot(grid, {"model": Files(lambda: ["base", "plus"], checked)}, lambda p: p.args, RefusedError)


@pytest.fixture
def axes(plot: Plot) -> dict[str, AxisOption]:
    add_axes(plot, 1)
    return {option.label: option for option in plot.grid.axis_options}


def values(text: str, axis: AxisOption) -> list[Any]:
    """Return the values that the plot reads from a text."""
    return [axis.type(text)]


def test_every_field_has_an_axis_for_at_least_three_units(plot: Plot) -> None:
    add_axes(plot, 1)
    labels = [option.label for option in plot.grid.axis_options]
    plain = [field.label for name, field in FIELDS.items() if name != "mask"]
    assert labels[:2] == ["Nothing", "Seed"]
    assert labels[2:] == [f"[IP-Adapter {unit}] {label}" for unit in (1, 2, 3) for label in plain]
    add_axes(plot, 5)
    assert sum("Weight type" in option.label for option in plot.grid.axis_options) == 5


def test_registering_again_replaces_the_axes_without_duplicates(plot: Plot) -> None:
    add_axes(plot, 3)
    first = list(plot.grid.axis_options)
    listed = plot.grid.axis_options
    add_axes(plot, 3)
    assert plot.grid.axis_options is listed, "the plot's own list, which its other code holds"
    assert [option.label for option in listed] == [option.label for option in first]
    assert not any(a is b for a, b in zip(listed[2:], first[2:], strict=True))


def test_choices_are_listed_and_numbers_are_parsed(axes: dict[str, AxisOption]) -> None:
    of = {label.removeprefix("[IP-Adapter 2] "): axis for label, axis in axes.items() if "[IP-Adapter 2]" in label}
    assert of["Adapter"].choices() == ["base", "plus"]
    assert of["Adapter"].format_value(None, None, "folder/base.safetensors") == "base.safetensors"
    assert of["Weight"].format_value == "with the axis's label"
    assert of["Weight type"].choices() == list(FIELDS["weight_type"].kind.options)
    assert of["Combine"].choices()[0] == "concat"
    assert of["Pass"].choices() == ["both", "base", "hires"]
    assert of["Enabled"].choices() == ["True", "False"]
    assert of["Curve"].choices is of["References"].choices is of["Weight"].choices is None
    for name in ("Weight", "Hires weight", "Start", "Noise"):
        assert of[name].type is float, "else the plot does not take ranges such as 0-1 [5]"


@pytest.mark.parametrize(
    ("label", "text", "field", "expected"),
    [
        ("Weight", "0.30000000000000004", "weight", 0.3),
        ("Hires weight", "-1", "hires_weight", -1.0),
        ("Weight type", "ease in", "weight_type", "ease in"),
        ("Layers", "6:1, 3:0.5", "layers", "6:1, 3:0.5"),
        ("Curve", "cosine in", "curve", "cosine in"),
        ("Place", "left half; feather 0.1", "region", "left half; feather 0.1"),
        ("Tiles", "True", "tiles", True),
        ("Tiles", "false", "tiles", False),
        ("Pass", "hires", "passes", "hires"),
        ("Adapter", "base", "model", "base"),
    ],
)
def test_a_value_reaches_only_its_unit(axes, label: str, text: str, field: str, expected: Any) -> None:
    p, axis = SimpleNamespace(args=ARGS), axes[f"[IP-Adapter 3] {label}"]
    axis.confirm(p, values(text, axis))
    axis.apply(p, values(text, axis)[0], [])
    plain, found = read_units(ARGS), read_units(list(in_cell(p, ARGS)))
    assert getattr(found[3], field) == expected
    assert found[1] == plain[1]
    assert list(found) == [1, 3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", ["YQ=="]), ("2+3", ["Yg==", "Yw=="]), ("3 + 1", ["Yw==", "YQ=="]), ("all", ["YQ==", "Yg==", "Yw=="])],
)
def test_references_are_chosen_by_number(axes, text: str, expected: list[str]) -> None:
    p = SimpleNamespace(args=ARGS)
    axes["[IP-Adapter 1] References"].apply(p, text, [])
    (picked, *_) = read_units(list(in_cell(p, ARGS))).values()
    assert [picture.image for picture in picked.images] == expected


def test_none_is_a_value_for_negative_references(axes) -> None:
    p = SimpleNamespace()
    axes["[IP-Adapter 1] Negative references"].apply(p, "none", [])
    assert read_units(list(in_cell(p, [UNIT | {"negative_images": ["YQ=="]}])))[1].negative_images == ()


@pytest.mark.parametrize(
    ("label", "value", "says"),
    [
        ("[IP-Adapter 1] Weight", 9.0, "unit 1: weight must be a number from -5 to 5, not 9.0"),
        ("[IP-Adapter 3] Weight type", "steep", "unit 3: weight_type must be one of"),
        ("[IP-Adapter 1] Layers", "57:1", "must be pairs such as"),
        ("[IP-Adapter 1] Adapter", "lost", "was not found"),
        ("[IP-Adapter 1] Enabled", "perhaps", "must be true or false"),
        ("[IP-Adapter 1] References", "4", "numbers of the unit's pictures from 1 to 3"),
        ("[IP-Adapter 1] References", "0", 'not "0"'),
        ("[IP-Adapter 1] References", "one", 'not "one"'),
        ("[IP-Adapter 1] References", "9" * 5000, "a text of 5000 characters"),
        ("[IP-Adapter 2] Weight", 0.5, r"\[IP-Adapter 2\] Weight has no unit to change"),
    ],
)
def test_an_impossible_value_is_refused_before_the_first_cell(axes, label: str, value: Any, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        axes[label].confirm(SimpleNamespace(args=ARGS), [value])
    p = SimpleNamespace()
    axes[label].apply(p, value, [])
    if label != "[IP-Adapter 1] Adapter":  # the session refuses this one
        with pytest.raises(IPAdapterError, match=says):
            read_units(list(in_cell(p, ARGS)))


def test_cells_share_nothing_and_the_args_are_not_changed(axes) -> None:
    p, args = SimpleNamespace(args=ARGS), copy.deepcopy(ARGS)
    seen = []
    for weight in (0.2, 0.8):
        cell = copy.copy(p)  # the plot copies it this way
        axes["[IP-Adapter 1] Weight"].apply(cell, weight, [])
        if weight == 0.2:
            axes["[IP-Adapter 1] Crop"].apply(cell, "pad", [])
        unit = read_units(list(in_cell(cell, ARGS)))[1]
        seen.append((unit.weight, unit.crop))
    assert seen == [(0.2, "pad"), (0.8, "center")]
    assert read_units(list(in_cell(p, ARGS))) == read_units(args)
    assert args == ARGS


def test_a_unit_can_be_disabled_in_a_cell(axes) -> None:
    p = SimpleNamespace()
    axes["[IP-Adapter 1] Enabled"].apply(p, "False", [])
    assert list(read_units(list(in_cell(p, ARGS)))) == [3]


def test_the_texts_of_units_are_parsed_once_for_all_hooks_of_a_cell(axes, monkeypatch) -> None:
    """Their pictures are megabytes of text."""
    texts: list[str] = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda text, **more: (texts.append(text), loads(text, **more))[1])
    p = SimpleNamespace()
    axes["[IP-Adapter 1] Weight"].apply(p, 0.2, [])
    first, second = list(in_cell(p, ARGS)), list(in_cell(p, ARGS))
    assert first == second
    assert len(texts) == 1
    axes["[IP-Adapter 1] Weight"].apply(p, 0.8, [])
    assert next(in_cell(p, ARGS))["weight"] == 0.8, "another cell has its own"
    other = [json.dumps(UNIT | {"crop": "pad"}), ""]
    assert next(in_cell(p, other))["crop"] == "pad", "and so have other args"
