"""Writing a unit into a picture's parameters, and restoring the same unit from them."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_ipadapter.unit.field_kinds import (
    Choice,
    Face,
    Flag,
    LayerPoints,
    Number,
    OptionalNumber,
    Points,
    Region,
    WeightType,
    Whole,
)
from lib_ipadapter.unit.infotext import Circumstances, describe
from lib_ipadapter.unit.picture_fields import Picture
from lib_ipadapter.unit.restore import restored, restored_units
from lib_ipadapter.unit.unit import FIELDS, Unit

DIGESTS = {
    "images[0]": "a" * 64,
    "images[1]": "b" * 64,
    "images[1].mask": "c" * 64,
    "negative_images[0]": "d" * 64,
    "mask": "e" * 64,
    "embeds": "f" * 64,
}


def nothing(_digits: str) -> None:
    """Find no picture."""


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40).map(str.strip)
VALUES = {
    Flag: lambda kind: st.booleans(),
    Number: lambda kind: st.floats(kind.minimum, kind.maximum).map(lambda x: round(x, 6) + 0.0),
    Whole: lambda kind: st.integers(kind.minimum, kind.maximum),
    OptionalNumber: lambda kind: st.floats(kind.minimum, kind.maximum).map(lambda x: round(x, 6) + 0.0),
    Choice: lambda kind: st.sampled_from(kind.options),
    WeightType: lambda kind: st.sampled_from(kind.options),
    Face: lambda kind: st.sampled_from((*kind.places, 0, 7)),
    LayerPoints: lambda kind: st.sampled_from(("", kind.example)),
    Points: lambda kind: st.sampled_from(("", kind.example, *kind.names)),
    Region: lambda kind: st.sampled_from(("", kind.example, "top left | 0,0,1,1; feather 1", *kind.names)),
}


def settings_of_a_unit() -> st.SearchStrategy[dict]:
    kinds = {
        f.attribute: f.kind for f in FIELDS.values() if f.infotext and not f.kind.of_pictures and not f.kind.by_name
    }
    kinds["model"] = FIELDS["model"].kind
    return st.fixed_dictionaries({}, optional={n: VALUES.get(type(k), lambda _: TEXTS)(k) for n, k in kinds.items()})


@settings(max_examples=300, deadline=None)
@given(settings_of_a_unit())
def test_every_field_is_restored_whatever_its_value(values: dict) -> None:
    unit = Unit(**values)
    back = restored(describe(unit, unit.model, {}), nothing)
    assert "note" not in back
    fields = {field.attribute: name for name, field in FIELDS.items()}
    assert Unit(**{FIELDS[name].attribute: value for name, value in back.items()}) == unit
    changed = {fields[name] for name, value in values.items() if value != FIELDS[fields[name]].default}
    assert set(back) == changed | {"model", "weight"}


@pytest.mark.parametrize("name", ['a, b: "c".safetensors', "naïve 猫 🐈.bin", "new\nline", "back\\slash", '"', ","])
def test_odd_names_are_restored(name: str) -> None:
    text = describe(Unit(model="x", layers="3:0.5, 6:1", weight=-0.5), name, {})
    assert restored(text, nothing) == {"model": name, "weight": -0.5, "layers": "3:0.5, 6:1"}


def test_it_survives_the_web_uis_quoting() -> None:
    """The web UI quotes a value with commas, colons or line ends as JSON (infotext_utils)."""
    unit = Unit(model="m", curve="0:1, 0.4:1, 0.6:0")
    line = f"Steps: 4, IP-Adapter 1: {json.dumps(describe(unit, 'm', {}), ensure_ascii=False)}, Version: v1.10.1"
    theirs = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    found = dict(theirs.findall(line))
    assert restored(json.loads(found["IP-Adapter 1"]), nothing) == {
        "model": "m",
        "weight": 1.0,
        "curve": "0:1, 0.4:1, 0.6:0",
    }


def unit_with_pictures() -> Unit:
    return Unit(
        model="m",
        images=(Picture("one"), Picture("two", 0.5, "mask"), Picture("left out", 0.0)),
        negative_images=(Picture("three", crop="pad", box=(0.25, 0.0, 1.0, 0.00001)), Picture("off", enabled=False)),
        mask="four",
    )


def test_pictures_are_written_as_hashes_with_weight_and_region() -> None:
    assert describe(unit_with_pictures(), "m.bin", DIGESTS) == (
        "Adapter: m.bin, Weight: 1, "
        "References: aaaaaaaaaaaa bbbbbbbbbbbb×0.5@cccccccccccc, "
        "Negative references: dddddddddddd/pad#0.25-0-1-0.00001, Region: eeeeeeeeeeee"
    )


@pytest.mark.parametrize("name", ["anna", "anna [ffff]", "a, folder/anna: 2"])
def test_a_saved_reference_is_written_and_restored_by_name_and_hash(name: str) -> None:
    text = describe(Unit(model="m", embeds=name), "m", DIGESTS)
    assert restored(text, nothing) == {
        "model": "m",
        "weight": 1.0,
        "embeds": name.removesuffix(" [ffff]") + " [ffffffffffff]",
    }


def test_what_cannot_be_restored_is_reported() -> None:
    back = restored(describe(unit_with_pictures(), "m.bin", DIGESTS), nothing)
    assert back.pop("note") == (
        "Not restored, choose again: References aaaaaaaaaaaa bbbbbbbbbbbb cccccccccccc (reference missing); "
        "Negative references dddddddddddd (reference missing); Region eeeeeeeeeeee (reference missing)."
    )
    assert back == {"model": "m.bin", "weight": 1.0}
    odd = restored("Adapter: m, Weight: heavy, Colour: red, References: aaaaaaaaaaaa/round", KEPT.get)
    assert odd == {
        "model": "m",
        "note": "Not restored, choose again: Weight heavy; Colour red; References aaaaaaaaaaaa/round.",
    }


THEIRS = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""The web UI's regular expression for one parameter (modules/infotext_utils.py)."""


def through_the_web_ui(line: str) -> str:
    """Return a unit's entry after the web UI wrote it into a picture's parameters and read it back."""
    quoted = json.dumps(line, ensure_ascii=False) if set(line) & set(",:\n") else line
    parameters = f"a cat\nSteps: 4, IP-Adapter 1: {quoted}, Version: v1.10.1"
    *_, last = parameters.split("\n")
    found = dict(THEIRS.findall(last))["IP-Adapter 1"]
    return json.loads(found) if found.startswith('"') else found


@settings(max_examples=200, deadline=None)
@given(settings_of_a_unit())
def test_every_field_is_restored_from_the_web_uis_parameters(values: dict) -> None:
    unit = Unit(**values)
    line = describe(unit, unit.model, {})
    assert through_the_web_ui(line) == line


KEPT = {digest[:12]: f"data:{digest[0]}" for digest in DIGESTS.values()}


def test_kept_pictures_are_restored_with_weight_and_region() -> None:
    line = describe(unit_with_pictures(), "m.bin", DIGESTS)
    assert restored(through_the_web_ui(line), KEPT.get) == {
        "model": "m.bin",
        "weight": 1.0,
        "images": [{"image": "data:a"}, {"image": "data:b", "weight": 0.5, "mask": "data:c"}],
        "negative_images": [{"image": "data:d", "crop": "pad", "box": [0.25, 0.0, 1.0, 0.00001]}],
        "mask": "data:e",
    }


@pytest.mark.parametrize("box", ["0-0-1", "0-0-1-2", "0.5-0-0.5-1", "a", "0-0-1-1-1", "...-0-1-1"])
def test_an_invalid_box_is_reported(box: str) -> None:
    assert "References" in restored(f"Adapter: m, References: aaaaaaaaaaaa#{box}", KEPT.get)["note"]


def test_a_fields_pictures_are_restored_all_or_none() -> None:
    kept = {digits: url for digits, url in KEPT.items() if digits[0] != "c"}
    back = restored(describe(unit_with_pictures(), "m.bin", DIGESTS), kept.get)
    assert back["note"] == "Not restored, choose again: References cccccccccccc (reference missing)."
    assert "images" not in back
    assert back["mask"] == "data:e"


@given(st.floats(-5, 5).filter(lambda weight: weight != 0), st.booleans())
def test_any_weight_of_a_picture_is_restored(weight: float, masked: bool) -> None:
    unit = Unit(model="m", images=(Picture("x", weight, "mask" if masked else None),))
    digests = {"images[0]": "a" * 64, "images[0].mask": "c" * 64}
    (picture,) = restored(describe(unit, "m", digests), KEPT.get)["images"]
    assert picture.get("weight", 1.0) == pytest.approx(weight, rel=1e-11)
    assert ("mask" in picture) == masked


CONTROLNETS = (
    "Module: ip-adapter_clip_sd15, Model: ip-adapter_sd15 [6a3f6166], Weight: 0.7, Resize Mode: Crop and Resize, "
    "Processor Res: 512, Threshold A: 0.5, Threshold B: 0.5, Guidance Start: 0.1, Guidance End: 0.9, "
    "Pixel Perfect: True, Control Mode: Balanced, Hr Option: High res only"
)
OLD_CONTROLNETS = (
    "preprocessor: ip-adapter_clip_sd15, model: ip-adapter_sd15 [6a3f6166], weight: 0.7, starting/ending: (0.1, 0.9), "
    "resize mode: Crop and Resize, pixel perfect: True, control mode: Balanced, preprocessor params: (512, -1, -1)"
)


@pytest.mark.parametrize(("line", "more"), [(CONTROLNETS, {"pass": "hires"}), (OLD_CONTROLNETS, {})])
def test_controlnets_parameters_are_offered_as_a_unit(line: str, more: dict) -> None:
    parameters = {"Steps": "4", "ControlNet 0": "Module: canny, Model: control_canny, Weight: 1", "ControlNet 1": line}
    (unit,) = restored_units(parameters, nothing).values()
    assert unit.pop("note") == "Restored from ControlNet's infotext, which has no pictures: add the references again."
    model = {"model": "ip-adapter_sd15 [6a3f6166]", "weight": 0.7, "crop": "squash"}
    assert unit == model | {"start": 0.1, "end": 0.9} | more


def test_controlnets_units_come_after_this_extensions_units() -> None:
    parameters = {"ControlNet 0": CONTROLNETS, "IP-Adapter 2": "Adapter: m, Weight: 1"}
    found = restored_units(parameters, nothing)
    assert {number: unit["model"] for number, unit in found.items()} == {2: "m", 3: "ip-adapter_sd15 [6a3f6166]"}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Module: ip-adapter-auto, Weight: heavy",
        "Weight: 1, Model: ip-adapter_sd15",
        "Module: ip-adapter-auto, Weight: 9",
    ],
)
def test_other_controlnet_units_are_left_to_controlnet(line: str) -> None:
    assert restored_units({"ControlNet 0": line}, nothing) == {}


@given(st.text(max_size=200) | st.text('": \\x,a', max_size=30))
def test_an_empty_entry_is_an_error(text: str) -> None:
    assert isinstance(restored(text, nothing), dict)
    assert isinstance(restored_units({"IP-Adapter 1": text, "ControlNet 0": text}, nothing), dict)


# What the result depends on in addition to the unit

CIRCUMSTANCES = Circumstances("0123456789abcdef" * 4, "clip, h.safetensors", "black", "0.2.0")
LINE = (
    "Adapter: m.bin [0123456789], Weight: 1, References: aaaaaaaaaaaa, "
    'Encoder used: "clip, h.safetensors", Unconditional: black, Version: 0.2.0'
)


def unit_with_one() -> Unit:
    return Unit(model="m", images=(Picture("one"),))


def test_what_changes_the_picture_is_written_if_known() -> None:
    assert describe(unit_with_one(), "m.bin", DIGESTS, CIRCUMSTANCES) == LINE
    usual = describe(unit_with_one(), "m.bin", DIGESTS, Circumstances(unconditional="mean"))
    assert usual == describe(unit_with_one(), "m.bin", DIGESTS) == "Adapter: m.bin, Weight: 1, References: aaaaaaaaaaaa"


def test_circumstances_are_compared_and_are_not_fields() -> None:
    asked: dict[str, str] = {}

    def difference(label: str, value: str) -> str:
        asked[label] = value
        return f"{label} differs." if label == "Unconditional" else ""

    assert restored(LINE, KEPT.get, difference) == {
        "model": "m.bin",
        "weight": 1.0,
        "images": [{"image": "data:a"}],
        "note": "Unconditional differs.",
    }
    assert asked == {
        "Adapter": "m.bin [0123456789]",
        "Encoder used": "clip, h.safetensors",
        "Unconditional": "black",
        "Version": "0.2.0",
    }


def test_the_default_unconditional_is_compared_if_the_line_is_new_enough() -> None:
    def asked_of(line: str) -> dict[str, str]:
        asked: dict[str, str] = {}
        restored(line, nothing, lambda label, value: asked.update({label: value}) or "")
        return asked

    assert asked_of("Adapter: m, Weight: 1") == {"Adapter": "m"}
    assert asked_of("Adapter: m, Weight: 1, Version: 0.2.0") == {"Adapter": "m", "Unconditional": "mean"}


def test_a_picture_is_looked_up_once_per_paste() -> None:
    looked: list[str] = []

    def find(digits: str) -> str:
        looked.append(digits)
        return "data:"

    line = "Adapter: m, References: aaaaaaaaaaaa aaaaaaaaaaaa, Region: aaaaaaaaaaaa"
    assert len(restored_units({"IP-Adapter 1": line, "IP-Adapter 2": line}, find)) == 2
    assert looked == ["aaaaaaaaaaaa"]
