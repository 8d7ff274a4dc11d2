"""A field's declaration is correct: its options exist, the panel has its group, its conditions can occur."""

from dataclasses import replace

import pytest

from lib_ipadapter.networks.unet_sites import SD
from lib_ipadapter.unit.field import GROUPS
from lib_ipadapter.unit.schedule import layer_weights
from lib_ipadapter.unit.unit import FIELDS, Unit
from lib_ipadapter.unit.weight_types import WEIGHT_TYPES
from lib_ipadapter.weights.families import FAMILIES

DRAWN_SEPARATELY = {"enabled", "model", "images"}


def test_every_field_is_in_a_group_of_the_panel_or_drawn_separately() -> None:
    assert {name for name, field in FIELDS.items() if field.group is None} == DRAWN_SEPARATELY
    assert {field.group for field in FIELDS.values()} - {None} == set(GROUPS)


def test_fields_of_families_are_listed_by_a_family() -> None:
    listed = {name for family in FAMILIES for name in family.fields}
    assert {name for name, field in FIELDS.items() if field.by_family} == listed


@pytest.mark.parametrize("name", ["composition_weight", "style_boost", "composition_boost"])
@pytest.mark.parametrize("weight_type", WEIGHT_TYPES)
def test_a_weight_has_an_effect_with_the_types_that_use_it(name: str, weight_type: str) -> None:
    unit = Unit(weight_type=weight_type)
    matters = layer_weights(replace(unit, **{name: 0.3}), SD) != layer_weights(replace(unit, **{name: 0.6}), SD)
    assert matters == (weight_type in FIELDS[name].when["weight_type"])


def test_a_condition_names_valid_values_of_the_other_field() -> None:
    for field in FIELDS.values():
        for other, values in field.when.items():
            assert set(values) < set(FIELDS[other].kind.axis_values())


def test_a_slider_stays_within_the_range() -> None:
    for field in FIELDS.values():
        facts = field.kind.facts()
        if field.slider:
            assert facts["minimum"] <= field.slider[0] <= field.default <= field.slider[1] <= facts["maximum"]
