"""Units in the form of ControlNet's API: how they are translated, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib_ipadapter.base.errors import UnitError
from lib_ipadapter.unit import controlnet
from lib_ipadapter.unit.controlnet import from_controlnet
from lib_ipadapter.unit.read_args import read_units
from lib_ipadapter.unit.unit import FIELDS

TYPICAL = {
    "enabled": True,
    "module": "ip-adapter-auto",
    "model": "ip-adapter_sd15 [6a3f6166]",
    "weight": 0.7,
    "image": "YQ==",
    "resize_mode": 1,
    "lowvram": False,
    "processor_res": 512,
    "threshold_a": 0.5,
    "threshold_b": -1,
    "guidance_start": 0.1,
    "guidance_end": 0.8,
    "pixel_perfect": True,
    "control_mode": "Balanced",
    "mask": None,
    "hr_option": "Both",
    "save_detected_map": False,
}
"""The example of ControlNet's API wiki, which clients copy."""


def read(**more: Any) -> Any:
    (unit,) = read_units([TYPICAL | more]).values()
    return unit


def test_a_controlnet_unit_is_read_with_one_key_changed() -> None:
    unit = read()
    assert (unit.model, unit.weight, unit.start, unit.end) == ("ip-adapter_sd15 [6a3f6166]", 0.7, 0.1, 0.8)
    assert [picture.image for picture in unit.images] == ["YQ=="]
    assert unit.mask is None
    assert unit.crop == "squash", "as ControlNet, which crops nothing"
    assert read_units([json.dumps(TYPICAL)]) == read_units([TYPICAL])


def test_a_unit_of_this_extension_is_not_changed() -> None:
    for unit in ({"model": "m", "images": ["YQ=="], "mask": "Yg==", "weight": 1}, {}, {"wieght": 1}, {"mask": "x"}):
        assert from_controlnet(unit) == unit


@pytest.mark.parametrize("image", ["YQ==", {"image": "YQ==", "mask": None}, [{"image": "YQ=="}], ["YQ==", None]])
def test_a_picture_is_accepted_in_every_form(image: Any) -> None:
    assert [picture.image for picture in read(image=image).images] == ["YQ=="]


def test_several_pictures_are_averaged_as_in_controlnet() -> None:
    unit = read(image=[{"image": "YQ=="}, {"image": "Yg==", "mask": None}])
    assert [picture.image for picture in unit.images] == ["YQ==", "Yg=="]
    assert unit.combine == "average tokens"


@pytest.mark.parametrize(
    ("more", "field", "expected"),
    [
        ({"effective_region_mask": "Yg=="}, "mask", "Yg=="),
        ({"hr_option": "High res only"}, "passes", "hires"),
        ({"hr_option": "Low res only"}, "passes", "base"),
        ({"crop": "pad"}, "crop", "pad"),
        ({"weight_type": "style transfer"}, "weight_type", "style transfer"),
        ({"module": "CLIP-ViT-H (IPAdapter)"}, "model", "ip-adapter_sd15 [6a3f6166]"),
        ({"module": "ip-adapter_clip_sd15"}, "model", "ip-adapter_sd15 [6a3f6166]"),
        ({"advanced_weighting": [0, 0.5, 1]}, "layers", "0:0, 1:0.5, 2:1"),
        ({"advanced_weighting": [1]}, "weight", 1.0),
    ],
)
def test_a_field_is_translated(more: dict[str, Any], field: str, expected: Any) -> None:
    assert getattr(read(**more), field) == expected


def test_older_field_names_are_accepted() -> None:
    old = {"module": "ip-adapter-auto", "model": "m", "input_image": "YQ==", "guidance": 0.5, "mask_image": None}
    (unit,) = read_units([old]).values()
    assert (unit.end, len(unit.images), unit.enabled) == (0.5, 1, True)


@pytest.mark.parametrize(
    ("more", "field", "says"),
    [
        ({"module": "canny"}, "module", "Send units with other preprocessors to ControlNet"),
        ({"module": 5}, "module", "not 5"),
        ({"module": "none"}, "module", "ip-adapter-auto"),
        ({"model": "None"}, "model", "is required"),
        ({"image": None}, "images", "is required"),
        ({"mask": "Yg=="}, "mask", "effective_region_mask"),
        ({"mask_image": "Yg=="}, "mask_image", "transparent"),
        ({"image": {"image": "YQ==", "mask": "Yg=="}}, "mask", "transparent"),
        ({"image": ["YQ==", "Yg=="]}, "image", "a picture and its mask"),
        ({"image": "/etc/passwd"}, None, ""),
        ({"ipadapter_input": "YQ=="}, "ipadapter_input", "could run code"),
        ({"batch_images": "/etc"}, "batch_images", "folder on the server"),
        ({"loopback": True}, "loopback", "Send the result"),
        ({"hr_option": "Sometimes"}, "hr_option", "Low res only"),
        ({"hr_option": []}, "hr_option", "a list"),
        ({"guidance_end": 2}, "end", "from 0 to 1"),
        ({"advanced_weighting": [1, "2"]}, "advanced_weighting", "list of numbers"),
        ({"advanced_weighting": [1] * 58}, "layers", "from 0 to 56"),
        ({"images": ["Yg=="]}, "images", "means the same as images"),
        ({"guidance": 0.3}, "guidance", "means the same as end"),
        ({"colour": 1}, "colour", "is an unknown field"),
    ],
)
def test_what_cannot_be_translated_is_refused_with_its_remedy(more: dict[str, Any], field: str, says: str) -> None:
    if field is None:  # the text is not a picture; it is decoded later and never opened as a file
        assert read(**more).images[0].image == "/etc/passwd"
        return
    with pytest.raises(UnitError) as refused:
        read_units([{"enabled": False}, TYPICAL | more])
    assert (refused.value.field, refused.value.unit) == (field, 2)
    assert says in str(refused.value)


def test_the_tables_name_fields_that_exist() -> None:
    assert set(controlnet.RENAMED.values()) <= set(FIELDS)
    assert set(controlnet.LIKE_CONTROLNET) <= set(FIELDS)
    assert set(controlnet.PASSES.values()) == set(FIELDS["pass"].kind.options)
    assert set(controlnet.KEPT) <= set(FIELDS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(controlnet.FIELDS | set(FIELDS))), JSON, max_size=6))
@example({"images": None, "advanced_weighting": None})
def test_any_values_give_a_unit_or_a_refusal(values: dict[str, Any]) -> None:
    before = json.dumps(values)
    try:
        read_units([values])
    except UnitError as error:
        json.dumps(error.problem())
    assert json.dumps(values) == before
