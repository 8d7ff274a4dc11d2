"""The weight of a unit at every layer and over the steps, compared with published values."""

from dataclasses import replace

import pytest

from lib_ipadapter.base.errors import UnitError
from lib_ipadapter.networks.unet_sites import SD, SDXL, Layout, sites
from lib_ipadapter.unit.curves import CURVES
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.schedule import LayerWeight, factor_at, layer_weights
from lib_ipadapter.unit.unit import FIELDS, Unit
from lib_ipadapter.unit.weight_types import FACTORS, PARTS

LAYOUTS = {"SD": SD, "SDXL": SDXL}


def weights_of(unit: Unit, layout: Layout) -> dict[int, float]:
    return {layer: at.weight for layer, at in layer_weights(unit, layout).items()}


def test_every_type_and_curve_of_a_unit_is_tested() -> None:
    assert set(FACTORS) | set(PARTS) == set(FIELDS["weight_type"].kind.options)
    assert not set(FACTORS) & set(PARTS)
    assert set(CURVES) == set(FIELDS["curve"].kind.names)


# Types that weaken layers by their position: the factor of every layer, in execution order

BY_PLACE = {
    ("linear", "SD"): [1.0] * 16,
    ("linear", "SDXL"): [1.0] * 11,
    ("ease in", "SD"): [
        *(1.0, 0.940625, 0.88125, 0.821875, 0.7625, 0.703125, 0.64375, 0.584375),
        *(0.525, 0.465625, 0.40625, 0.346875, 0.2875, 0.228125, 0.16875, 0.109375),
    ],
    ("ease in", "SDXL"): [
        *(1.0, 0.91364, 0.82727, 0.74091, 0.65455, 0.56818),
        *(0.48182, 0.39545, 0.30909, 0.22273, 0.13636),
    ],
    ("ease out", "SD"): [
        *(0.05, 0.109375, 0.16875, 0.228125, 0.2875, 0.346875, 0.40625, 0.465625),
        *(0.525, 0.584375, 0.64375, 0.703125, 0.7625, 0.821875, 0.88125, 0.940625),
    ],
    ("ease out", "SDXL"): [
        *(0.05, 0.13636, 0.22273, 0.30909, 0.39545, 0.48182),
        *(0.56818, 0.65455, 0.74091, 0.82727, 0.91364),
    ],
    ("ease in-out", "SD"): [
        *(0.05, 0.16875, 0.2875, 0.40625, 0.525, 0.64375, 0.7625, 0.88125),
        *(1.0, 0.88125, 0.7625, 0.64375, 0.525, 0.40625, 0.2875, 0.16875),
    ],
    ("ease in-out", "SDXL"): [
        *(0.05, 0.22273, 0.39545, 0.56818, 0.74091, 0.91364),
        *(0.91364, 0.74091, 0.56818, 0.39545, 0.22273),
    ],
    ("reverse in-out", "SD"): [
        *(1.0, 0.88125, 0.7625, 0.64375, 0.525, 0.40625, 0.2875, 0.16875),
        *(0.05, 0.16875, 0.2875, 0.40625, 0.525, 0.64375, 0.7625, 0.88125),
    ],
    ("reverse in-out", "SDXL"): [
        *(1.0, 0.82727, 0.65455, 0.48182, 0.30909, 0.13636),
        *(0.13636, 0.30909, 0.48182, 0.65455, 0.82727),
    ],
    ("weak input", "SD"): [0.2] * 6 + [1.0] * 10,
    ("weak input", "SDXL"): [0.2] * 4 + [1.0] * 7,
    ("weak middle", "SD"): [1.0] * 6 + [0.2] + [1.0] * 9,
    ("weak middle", "SDXL"): [1.0] * 4 + [0.2] + [1.0] * 6,
    ("weak output", "SD"): [1.0] * 7 + [0.2] * 9,
    ("weak output", "SDXL"): [1.0] * 5 + [0.2] * 6,
    ("strong middle", "SD"): [0.2] * 6 + [1.0] + [0.2] * 9,
    ("strong middle", "SDXL"): [0.2] * 4 + [1.0] + [0.2] * 6,
}


def test_every_type_by_position_has_a_row_for_each_layout() -> None:
    assert set(BY_PLACE) == {(name, layout) for name in FACTORS for layout in LAYOUTS}


@pytest.mark.parametrize(("name", "layout"), BY_PLACE)
@pytest.mark.parametrize("weight", [1.0, 0.5, -3.0])
def test_a_type_by_position_gives_every_layer_its_share_of_the_weight(name: str, layout: str, weight: float) -> None:
    made = layer_weights(Unit(weight=weight, weight_type=name), LAYOUTS[layout])
    assert [*made] == [*range(len(BY_PLACE[name, layout]))]
    expected = [weight * factor for factor in BY_PLACE[name, layout]]
    assert [at.weight for at in made.values()] == pytest.approx(expected, abs=2e-5)
    assert not any(at.inverted for at in made.values())


@pytest.mark.parametrize(
    ("name", "layout", "middle"),
    [
        ("linear", "SD", 1.0),
        ("linear", "SDXL", 1.0),
        ("ease in", "SD", 0.64375),
        ("ease in", "SDXL", 0.65455),
        ("ease out", "SD", 0.40625),
        ("ease out", "SDXL", 0.39545),
        ("weak middle", "SD", 0.2),
        ("weak middle", "SDXL", 0.2),
        ("strong middle", "SD", 1.0),
        ("strong middle", "SDXL", 1.0),
        ("weak input", "SDXL", 1.0),
        ("weak output", "SDXL", 1.0),
    ],
)
def test_the_sites_of_the_middle_block_get_its_weight(name: str, layout: str, middle: float) -> None:
    """They come last in a file and in the middle when a U-Net runs, and are easily forgotten."""
    made = layer_weights(Unit(weight_type=name), LAYOUTS[layout])
    in_middle = [site for site in sites(LAYOUTS[layout]) if site.block == "middle"]
    assert len(in_middle) == {"SD": 1, "SDXL": 10}[layout]
    assert {site.layer for site in in_middle} == {{"SD": 6, "SDXL": 4}[layout]}
    assert [made[site.layer].weight for site in in_middle] == pytest.approx([middle] * len(in_middle), abs=2e-5)


# Types that choose layers by their content

W, C, STYLE_BOOST, COMPOSITION_BOOST = 0.8, -0.4, 3.0, 0.5
SET = Unit(weight=W, composition_weight=C, style_boost=STYLE_BOOST, composition_boost=COMPOSITION_BOOST)
"""All weights differ, so that a swap is noticed."""

BY_CONTENT = {
    ("style transfer", "SD"): [0.8] * 4 + [0] * 5 + [0.8] * 7,
    ("style transfer", "SDXL"): [0, 0, 0, 0, 0, 0, 0.8, 0, 0, 0, 0],
    ("composition", "SD"): [0] * 4 + [0.2, 0.8] + [0] * 10,
    ("composition", "SDXL"): [0, 0, 0, 0.8, 0, 0, 0, 0, 0, 0, 0],
    ("strong style transfer", "SD"): [0.8] * 4 + [0, 0] + [0.8] * 10,
    ("strong style transfer", "SDXL"): [0.8, 0.8, 0.8, 0, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8],
    ("style and composition", "SD"): [0.8] * 4 + [-0.1, -0.4] + [0] * 3 + [0.8] * 7,
    ("style and composition", "SDXL"): [0, 0, 0, -0.4, 0, 0, 0.8, 0, 0, 0, 0],
    ("strong style and composition", "SD"): [0.8] * 4 + [-0.4, -0.4] + [0.8] * 10,
    ("strong style and composition", "SDXL"): [0.8, 0.8, 0.8, -0.4, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8],
    ("style transfer precise", "SD"): [0.8] * 4 + [0.75, 3.0] + [0] * 3 + [0.8] * 7,
    ("style transfer precise", "SDXL"): [0, 0, 0, 3.0, 0, 0, 0.8, 0, 0, 0, 0],
    ("composition precise", "SD"): [0.5] * 4 + [0.2, 0.8] + [0.05] * 3 + [0.5] * 7,
    ("composition precise", "SDXL"): [0.05, 0.05, 0.05, 0.8, 0.05, 0.05, 0.5, 0.05, 0.05, 0.05, 0.05],
}
"""With these weights; 0 stands for a layer that is absent."""
INVERTED = {
    ("style transfer precise", "SDXL"): {3},
    ("style transfer precise", "SD"): {4, 5},
    ("composition precise", "SDXL"): {0, 1, 2, 4, 5, 6, 7, 8, 9, 10},
    ("composition precise", "SD"): {0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
}
COMPOSITION = {"SD": {4, 5}, "SDXL": {3}}


def test_every_type_by_content_has_a_row_for_each_layout() -> None:
    assert set(BY_CONTENT) == {(name, layout) for name in PARTS for layout in LAYOUTS}


@pytest.mark.parametrize(("name", "layout"), BY_CONTENT)
def test_a_type_by_content_gives_weights_to_its_layers_only(name: str, layout: str) -> None:
    made = weights_of(replace(SET, weight_type=name), LAYOUTS[layout])
    assert made == pytest.approx({layer: weight for layer, weight in enumerate(BY_CONTENT[name, layout]) if weight})


@pytest.mark.parametrize(("name", "layout"), BY_CONTENT)
def test_precise_types_invert_the_layers_that_they_suppress(name: str, layout: str) -> None:
    made = layer_weights(replace(SET, weight_type=name), LAYOUTS[layout])
    assert {layer for layer, at in made.items() if at.inverted} == INVERTED.get((name, layout), set())


@pytest.mark.parametrize(("name", "layout"), [*BY_PLACE, *BY_CONTENT])
def test_composition_layers_are_marked_for_every_type(name: str, layout: str) -> None:
    made = layer_weights(replace(SET, weight_type=name), LAYOUTS[layout])
    assert {layer for layer, at in made.items() if at.composition} == COMPOSITION[layout] & set(made)


def test_with_default_boosts_style_precise_inverts_layers_and_composition_precise_equals_composition() -> None:
    style = layer_weights(Unit(weight=0.8, weight_type="style transfer precise"), SDXL)
    assert style == {3: LayerWeight(1.0, inverted=True, composition=True), 6: LayerWeight(0.8)}
    for layout in (SD, SDXL):
        precise, plain = (
            layer_weights(Unit(weight=0.8, weight_type=name), layout) for name in ("composition precise", "composition")
        )
        assert precise == plain


# Weight 0


@pytest.mark.parametrize(("name", "layout"), [*BY_PLACE, *BY_CONTENT])
def test_a_unit_without_any_weight_has_no_layer(name: str, layout: str) -> None:
    idle = Unit(weight=0.0, composition_weight=0.0, style_boost=0.0, composition_boost=-0.0, weight_type=name)
    assert layer_weights(idle, LAYOUTS[layout]) == {}


@pytest.mark.parametrize(
    ("zero", "name", "absent"),
    [
        ("weight", "style and composition", {0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}),
        ("composition_weight", "style and composition", {4, 5, 6, 7, 8}),
        ("composition_weight", "strong style and composition", {4, 5}),
        ("style_boost", "style transfer precise", {4, 5, 6, 7, 8}),
        ("composition_boost", "composition precise", {0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}),
        ("weight", "composition precise", {4, 5}),
    ],
)
def test_layers_of_weight_0_are_absent(zero: str, name: str, absent: set[int]) -> None:
    made = layer_weights(replace(SET, weight_type=name, **{zero: 0.0}), SD)
    assert set(range(16)) - set(made) == absent


# Weights layer by layer


@pytest.mark.parametrize("name", ["linear", "ease in", "composition", "strong style and composition"])
def test_layers_replace_the_type_and_are_multiplied_by_the_weight(name: str) -> None:
    unit = replace(SET, weight=2.0, weight_type=name, layers="6:-1.25, 0:1, 10:5, 3:0.5")
    for layout in (SD, SDXL):
        made = layer_weights(unit, layout)
        assert {layer: at.weight for layer, at in made.items()} == {0: 2.0, 3: 1.0, 6: -2.5, 10: 10.0}
        assert not any(at.inverted for at in made.values())
        assert {layer for layer, at in made.items() if at.composition} == ({3} if layout is SDXL else set())


def test_layers_of_weight_0_are_absent_from_a_text_too() -> None:
    assert weights_of(Unit(layers="3:0, 6:1"), SDXL) == {6: 1.0}
    assert weights_of(Unit(layers="3:0, 6:-0.0"), SDXL) == {}
    assert weights_of(Unit(weight=0.0, layers="3:1, 6:1"), SDXL) == {}


@pytest.mark.parametrize(("name", "layout"), INVERTED)
def test_layers_of_a_precise_type_are_inverted_where_the_type_inverts(name: str, layout: str) -> None:
    count = {"SD": 16, "SDXL": 11}[layout]
    text = ", ".join(f"{layer}:0.5" for layer in range(count))
    made = layer_weights(Unit(weight_type=name, layers=text), LAYOUTS[layout])
    assert {layer: at.weight for layer, at in made.items()} == dict.fromkeys(range(count), 0.5)
    assert {layer for layer, at in made.items() if at.inverted} == INVERTED[name, layout]
    assert {layer for layer, at in made.items() if at.composition} == COMPOSITION[layout]


def test_a_layer_that_the_layout_does_not_have_is_refused_by_name() -> None:
    assert weights_of(Unit(layers="15:1"), SD) == {15: 1.0}
    assert weights_of(Unit(layers="10:1"), SDXL) == {10: 1.0}
    for layer in range(11, 16):
        with pytest.raises(UnitError) as caught:
            layer_weights(Unit(layers=f"{layer}:0, 3:1"), SDXL)
        error = caught.value
        assert (error.field, error.value) == ("layers", f"{layer}:0, 3:1")
        assert error.sentence == f"layers names layer {layer}, but SDXL has layers 0 to 10."
    with pytest.raises(UnitError, match="layers names layer 16, but SD has layers 0 to 15"):
        layer_weights(Unit(layers="16:1"), SD)


# From start to end


def steps_at_work(unit: Unit, steps: int) -> list[int]:
    return [step for step in range(steps) if factor_at(unit, step / steps)]


@pytest.mark.parametrize(
    ("start", "end", "steps", "working"),
    [
        (0.0, 1.0, 4, [0, 1, 2, 3]),
        (0.0, 0.5, 4, [0, 1]),
        (0.5, 1.0, 4, [2, 3]),
        (0.25, 0.75, 4, [1, 2]),
        (0.25, 0.75, 20, [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        (0.0, 0.01, 20, [0]),
        (0.01, 1.0, 20, [*range(1, 20)]),
        (0.3, 0.6, 3, [1]),
        (0.5, 0.5, 4, []),
        (0.0, 0.0, 4, []),
        (0.0, 1.0, 1, [0]),
    ],
)
def test_a_unit_applies_from_start_until_before_end(start: float, end: float, steps: int, working: list[int]) -> None:
    assert steps_at_work(Unit(start=start, end=end), steps) == working


@pytest.mark.parametrize("cut", [0.25, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("steps", [4, 10, 20, 30, 33])
def test_of_two_consecutive_units_exactly_one_applies(cut: float, steps: int) -> None:
    first, second = steps_at_work(Unit(end=cut), steps), steps_at_work(Unit(start=cut), steps)
    assert first + second == [*range(steps)]


def test_start_is_inside_and_end_is_not() -> None:
    unit = Unit(start=0.25, end=0.75)
    assert [factor_at(unit, at) for at in (0.0, 0.2499, 0.25, 0.5, 0.7499, 0.75, 1.0)] == [0, 0, 1, 1, 1, 0, 0]


def test_end_1_includes_the_last_call() -> None:
    assert factor_at(Unit(), 1.0) == 1.0
    assert factor_at(Unit(start=0.5), 1.0) == 1.0
    assert factor_at(Unit(end=0.999), 1.0) == 0.0


# Curves

OVER_THE_WINDOW = [0.0, 0.25, 0.5, 0.75, 1.0]
CURVED = {
    "": [1.0, 1.0, 1.0, 1.0, 1.0],
    "linear in": [0.0, 0.25, 0.5, 0.75, 1.0],
    "linear out": [1.0, 0.75, 0.5, 0.25, 0.0],
    "cosine in": [0.0, 0.146447, 0.5, 0.853553, 1.0],
    "cosine out": [1.0, 0.853553, 0.5, 0.146447, 0.0],
    "0:1, 1:0": [1.0, 0.75, 0.5, 0.25, 0.0],
    "0:1, 0.5:0": [1.0, 0.5, 0.0, 0.0, 0.0],
    "0.25:2, 0.75:-1": [2.0, 2.0, 0.5, -1.0, -1.0],
    "0:1, 0.25:0.5, 0.5:5, 1:-5": [1.0, 0.5, 5.0, 0.0, -5.0],
    "0.5:3": [3.0, 3.0, 3.0, 3.0, 3.0],
    "0:-5": [-5.0, -5.0, -5.0, -5.0, -5.0],
    "0.499:0, 0.501:1": [0.0, 0.0, 0.5, 1.0, 1.0],
}


@pytest.mark.parametrize("curve", CURVED)
@pytest.mark.parametrize("start", [0.0, 0.2, 0.5])
def test_a_curve_spans_the_window_from_start_to_end(curve: str, start: float) -> None:
    unit = Unit(start=start, curve=curve)
    made = [factor_at(unit, start + at * (1.0 - start)) for at in OVER_THE_WINDOW]
    assert made == pytest.approx(CURVED[curve], abs=1e-6)


@pytest.mark.parametrize("curve", CURVED)
def test_a_curve_ends_with_its_window(curve: str) -> None:
    unit = Unit(start=0.2, end=0.6, curve=curve)
    made = [factor_at(unit, progress) for progress in (0.0, 0.19, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)]
    assert made == pytest.approx([0, 0, *CURVED[curve][:4], 0, 0, 0], abs=1e-6)


@pytest.mark.parametrize("curve", ["0:1", "1:1", "0.3:1", "0:1, 1:1", "0:1, 0.3:1, 0.6:1"])
@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (0.2, 0.7), (0.5, 0.5), (1.0, 1.0)])
def test_a_curve_that_stays_at_1_is_no_curve(curve: str, start: float, end: float) -> None:
    plain, curved = Unit(start=start, end=end), Unit(start=start, end=end, curve=curve)
    for step in range(101):
        assert factor_at(curved, step / 100) == factor_at(plain, step / 100)


@pytest.mark.parametrize(("first", "second"), [("linear in", "linear out"), ("cosine in", "cosine out")])
def test_curves_in_and_out_add_up_to_1(first: str, second: str) -> None:
    for at in (0.0, 0.1, 0.37, 0.5, 0.9, 1.0):
        assert factor_at(Unit(curve=first), at) + factor_at(Unit(curve=second), at) == pytest.approx(1.0)


def test_a_units_curve_is_the_one_in_its_text() -> None:
    given = {"model": "a", "images": "aGVsbG8=", "start": 0.5, "curve": " 0:1 , 0.5:0 "}
    unit = read_unit(given)
    assert [factor_at(unit, at) for at in (0.4, 0.5, 0.625, 0.75, 0.9)] == [0.0, 1.0, 0.5, 0.0, 0.0]
