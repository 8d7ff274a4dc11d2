"""The contract of a unit: every field, its default and range, and the refusal of everything else."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.unit import picture_fields
from lib_ipadapter.unit.curves import points
from lib_ipadapter.unit.field_kinds import MAX_TEXT, Face
from lib_ipadapter.unit.picture_fields import MAX_PICTURES, Picture
from lib_ipadapter.unit.read_args import MAX_NESTING, SLOTS, read_unit, read_units
from lib_ipadapter.unit.unit import FIELDS, Unit, schema

LEAST = {"model": "ip-adapter_sd15", "images": ["aGVsbG8="]}
"""The smallest unit that can run."""

DEFAULTS = {
    "enabled": True,
    "model": "",
    "images": [],
    "negative_images": [],
    "composition_images": [],
    "subject": "",
    "embeds": "",
    "weight": 1.0,
    "hires_weight": None,
    "weight_type": "linear",
    "composition_weight": 1.0,
    "style_boost": 1.0,
    "composition_boost": 0.0,
    "layers": "",
    "curve": "",
    "scaling": "V only",
    "combine": "concat",
    "start": 0.0,
    "end": 1.0,
    "mask": None,
    "region": "",
    "crop": "center",
    "tiles": False,
    "enhance": 1,
    "enhance_ratio": 0.5,
    "unfold": False,
    "noise": 0.0,
    "noise_type": "none",
    "face": "largest",
    "structure_weight": 1.0,
    "lora_weight": 1.0,
    "method": "fidelity",
    "id_mix": False,
    "variant": "auto",
    "pass": "both",
    "inner": "all",
    "encoder": "auto",
    "encoder_size": 0,
}
"""The contract's fields with their defaults; the empty `model` and `images` stand for required fields."""

RANGES = {
    "weight": (-5, 5),
    "hires_weight": (-5, 5),
    "composition_weight": (-5, 5),
    "style_boost": (-5, 5),
    "composition_boost": (-5, 5),
    "start": (0, 1),
    "end": (0, 1),
    "enhance_ratio": (0, 1),
    "noise": (0, 1),
    "structure_weight": (-5, 5),
    "lora_weight": (-5, 5),
}

WHOLES = {"enhance": (1, 16), "encoder_size": (0, 896)}

CHOICES = {
    "weight_type": [
        "linear",
        "ease in",
        "ease out",
        "ease in-out",
        "reverse in-out",
        "weak input",
        "weak output",
        "weak middle",
        "strong middle",
        "style transfer",
        "composition",
        "strong style transfer",
        "style and composition",
        "strong style and composition",
        "style transfer precise",
        "composition precise",
    ],
    "scaling": ["V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"],
    "combine": ["concat", "average", "add", "subtract", "norm average", "max", "min", "average tokens"],
    "crop": ["center", "pad", "squash", "top", "bottom", "left", "right"],
    "noise_type": ["none", "fade", "dissolve", "gaussian", "shuffle"],
    "pass": ["both", "base", "hires"],
    "inner": ["all", "picture only", "inner only"],
    "method": ["fidelity", "style", "neutral"],
    "variant": ["auto", "v1", "v2", "unnorm", "InstantID"],
}
PLACES = ["largest", "left", "right", "top", "bottom", "all"]
FLAGS = ["enabled", "tiles", "unfold", "id_mix"]
TEXTS = ["model", "subject", "embeds", "encoder"]
POINTS = ["layers", "curve"]
PICTURES = ["images", "negative_images", "composition_images"]
CURVES = ["linear in", "linear out", "cosine in", "cosine out"]
NULLABLE = ["mask", "hires_weight"]

"""Fields that this version does not support yet; a field leaves this list when it is built."""

OTHERS = {
    "negative_images": "aGVsbG8=",
    "composition_images": "aGVsbG8=",
    "subject": "anna",
    "embeds": "a cat",
    "weight": 0.5,
    "hires_weight": 0.25,
    "weight_type": "ease in",
    "composition_weight": 0.5,
    "style_boost": 2,
    "composition_boost": 1,
    "layers": "6:1",
    "curve": "linear out",
    "scaling": "K+V",
    "combine": "average",
    "start": 0.25,
    "end": 0.75,
    "mask": "aGVsbG8=",
    "region": "left half",
    "crop": "pad",
    "tiles": True,
    "enhance": 2,
    "enhance_ratio": 0.25,
    "unfold": True,
    "noise": 0.5,
    "noise_type": "fade",
    "face": 0,
    "structure_weight": 0,
    "lora_weight": 0,
    "method": "style",
    "id_mix": True,
    "variant": "v1",
    "pass": "hires",
    "inner": "inner only",
    "encoder": "clip",
    "encoder_size": 448,
}
"""A value other than the default for each optional field."""
NEEDS: dict[str, Any] = {"noise": {"noise_type": "fade"}, "embeds": {"images": []}}
"""Other fields that a field of `OTHERS` requires."""


def value_in(unit: Unit, name: str) -> Any:
    """Return a field's value as JSON."""
    value = getattr(unit, FIELDS[name].attribute)
    return [picture.image for picture in value] if isinstance(value, tuple) else value


def refused(args: Any, *, field: str, says: tuple[str, ...] = (), whole: bool = False) -> UnitError:
    """Return the refusal of a unit, or of `whole` args, which an API can return as JSON."""
    with pytest.raises(UnitError) as caught:
        read_units(args) if whole else read_unit(args)
    error = caught.value
    assert error.field == field
    assert error.sentence.startswith(f"{field} ")
    assert error.sentence.endswith(".")
    for words in says:
        assert words in error.sentence
    answerable(error)
    return error


def answerable(error: UnitError) -> None:
    """Check that an error is short and can be written as strict JSON in UTF-8."""
    answer = {"detail": str(error), "field": error.field, "value": error.value}
    text = json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()
    assert len(text) < 2000


# The table


def test_a_unit_has_every_field_of_the_contract_with_its_default() -> None:
    unit = read_unit({"enabled": False})
    assert list(FIELDS) == list(DEFAULTS)
    assert {name: value_in(unit, name) for name in FIELDS} == DEFAULTS | {"enabled": False}
    assert {name: value_in(Unit(), name) for name in FIELDS} == DEFAULTS


def test_defaults_in_json_are_read_as_the_defaults() -> None:
    assert read_unit(DEFAULTS | LEAST) == read_unit(LEAST)


def test_numbers_with_integer_defaults_are_floats() -> None:
    for name in RANGES:
        value = value_in(read_unit({"enabled": False, name: 1}), name)
        assert type(value) is float


def test_only_pass_has_another_attribute_name() -> None:
    assert {name for name, field in FIELDS.items() if field.attribute != name} == {"pass"}
    assert FIELDS["pass"].name == "pass"
    refused({**LEAST, "passes": "both"}, field="passes")


def test_every_field_has_a_label_and_a_help_text() -> None:
    labels = [field.label for field in FIELDS.values()]
    assert all(labels)
    assert len(set(labels)) == len(labels)
    assert all(field.help.endswith(".") for field in FIELDS.values())


def test_a_unit_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        read_unit(LEAST).weight = 2.0  # type: ignore[misc]


# Values of each kind; a disabled unit accepts them all


@pytest.mark.parametrize("name", RANGES)
def test_a_number_has_its_range(name: str) -> None:
    low, high = RANGES[name]
    for value in (low, high, (low + high) / 2, float(low), -0.0):
        assert value_in(read_unit({"enabled": False, name: value}), name) == value
    beyond = [low - 0.01, high + 0.01, math.nextafter(high, 99), -(10**6), 10**30, 10**400, -(10**400)]
    for value in [*beyond, math.inf, -math.inf, math.nan]:
        error = refused({"enabled": False, name: value}, field=name, says=(f"a number from {low} to {high}", ", not "))
        assert not error.sentence.endswith((f"not {low}.", f"not {high}."))
        assert len(error.sentence) < 120


@pytest.mark.parametrize("name", WHOLES)
def test_an_integer_has_its_range_and_no_fraction(name: str) -> None:
    low, high = WHOLES[name]
    for value in (low, high, float(high)):
        read = value_in(read_unit({"enabled": False, name: value}), name)
        assert (type(read), read) == (int, value)
    for value in (low - 1, high + 1, 10**400, math.inf, math.nan, True, None, "1", [1]):
        refused({"enabled": False, name: value}, field=name, says=(f"a number from {low} to {high}", ", not "))
    refused({"enabled": False, name: low + 0.5}, field=name, says=(f"must be a whole number, not {low + 0.5}",))


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", [True, False, None, "1", "", [], [1], {}, "high"])
def test_a_number_is_not_of_another_type(name: str, value: Any) -> None:
    if value is None and name in NULLABLE:
        assert value_in(read_unit({"enabled": False, name: None}), name) is None
    else:
        refused({"enabled": False, name: value}, field=name, says=("must be a number from",))


def test_the_refusal_of_a_number_names_field_value_and_range() -> None:
    error = refused(LEAST | {"weight": 7.25}, field="weight", says=("from -5 to 5", "not 7.25"))
    assert error.value == 7.25
    refused(LEAST | {"weight": True}, field="weight", says=("not true",))
    refused(LEAST | {"weight": None}, field="weight", says=("not null",))
    refused(LEAST | {"weight": "0.5"}, field="weight", says=('not "0.5"',))
    refused(LEAST | {"weight": 5.0000001}, field="weight", says=("not 5.0000001",))


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_has_its_options_and_no_others(name: str) -> None:
    for option in CHOICES[name]:
        assert value_in(read_unit({"enabled": False, name: option}), name) == option
    for value in ("", "nonsense", CHOICES[name][0].upper(), f"{CHOICES[name][0]} ", 0, True, None, [], {}, ["linear"]):
        refused({"enabled": False, name: value}, field=name, says=tuple(CHOICES[name]))


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_true_or_false(name: str) -> None:
    for value in (True, False):
        assert (
            value_in(read_unit({"enabled": False, name: value} if name != "enabled" else LEAST | {name: value}), name)
            is value
        )
    for value in (0, 1, 1.0, "true", "", None, [], {}):
        refused({"enabled": False} | {name: value}, field=name, says=("true or false",))


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_has_a_maximum_length(name: str) -> None:
    for value in ("", "a", "größe 尺寸.safetensors", "a" * MAX_TEXT):
        assert value_in(read_unit({"enabled": False, name: value}), name) == value
    for value in (0, True, None, [], {}, ["a"]):
        refused({"enabled": False, name: value}, field=name, says=("must be text",))
    refused({"enabled": False, name: "a" * (MAX_TEXT + 1)}, field=name, says=(f"at most {MAX_TEXT}", str(MAX_TEXT + 1)))
    refused({"enabled": False, name: "a\ud800"}, field=name, says=("must be text",))


POINTS_READ = {
    "layers": [
        "",
        "6:1",
        "3:0.5, 6:1",
        "6:1, 3:0.5",
        "0:-5,56:5",
        "0:0, 1:0.0, 2:-0.5, 3:.5, 4:5e-1",
        "6.0:1",
        " 3 : 0.5 ,\t6 : 1\n",
        ", ".join(f"{layer}:1" for layer in range(57)),
    ],
    "curve": [
        "",
        *CURVES,
        "  linear in ",
        "0:1",
        "0:1, 0.4:1, 0.6:0",
        "0:-5,1:5",
        "0.25:0.5, 0.250001:1",
    ],
}
POINTS_REFUSED = {
    "layers": ["57:1", "-1:1", "2.5:1", "1e300:1", "linear in"],
    "curve": ["1.01:1", "-0.01:1", "2:1", "0:1, 0.6:0, 0.4:1", "linear", "Linear in", "linear in, linear out"],
}
"""Texts that only one of the fields refuses, or that they refuse for different reasons."""
NO_POINTS = [
    "1",
    "1:",
    ":1",
    ":",
    ",",
    "1:1,",
    ",1:1",
    "1:1,,",
    "1:1:1",
    "1=1",
    "1:1; 0:1",
    "0:1 1:1",
    "0:0,5",
    "one:1",
    "1:one",
    "0:5.01",
    "0:-5.01",
    "0:1, 1:6",
    "0:nan",
    "nan:1",
    "0:inf",
    "inf:1",
    "0:1e999",
    "1:1, 1:1",
    "0:1, -0:1",
    "null",
    "[]",
    "0x1:1",
]
"""Texts that both fields refuse."""


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in POINTS for text in POINTS_READ[name]])
def test_points_are_read_as_written_without_surrounding_space(name: str, text: str) -> None:
    assert value_in(read_unit(LEAST | {name: text}), name) == text.strip()


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in POINTS for text in POINTS_REFUSED[name]])
def test_points_lie_within_their_range(name: str, text: str) -> None:
    within = {"layers": "different whole numbers from 0 to 56", "curve": "rising numbers from 0 to 1"}[name]
    refused({"enabled": False, name: text}, field=name, says=(within, "from -5 to 5", json.dumps(text)))


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("text", NO_POINTS)
def test_text_that_is_not_points_is_refused_with_an_example(name: str, text: str) -> None:
    example = {"layers": "6:1, 3:0.5", "curve": "0:1, 0.4:1, 0.6:0"}[name]
    refused({"enabled": False, name: text}, field=name, says=(f"such as {example}", json.dumps(text)))


def test_the_refusal_of_a_curve_names_the_curves_and_that_of_layers_does_not() -> None:
    refused({"enabled": False, "curve": "cubic"}, field="curve", says=tuple(CURVES))
    assert "one of" not in refused({"enabled": False, "layers": "cubic"}, field="layers").sentence


@pytest.mark.parametrize("name", POINTS)
def test_points_have_a_maximum_length(name: str) -> None:
    for value in (0, 1.5, True, None, [], {}, ["0:1"], {"0": 1}, "0:1\ud800"):
        refused({"enabled": False, name: value}, field=name, says=("must be text",))
    padded = "0:1" + " " * (MAX_TEXT - 3)
    assert value_in(read_unit({"enabled": False, name: padded}), name) == "0:1"
    refused({"enabled": False, name: f"{padded} "}, field=name, says=(f"at most {MAX_TEXT}", str(MAX_TEXT + 1)))
    refused({"enabled": False, name: "0:1," * (MAX_TEXT // 4)}, field=name, says=(f"a text of {MAX_TEXT} characters",))


def test_layers_can_be_in_any_order_and_the_points_of_a_curve_must_rise() -> None:
    """The contract's own example of layers does not rise."""
    assert read_unit(LEAST | {"layers": "6:1, 3:0.5"}).layers == "6:1, 3:0.5"
    refused(LEAST | {"layers": "6:1, 3:0.5, 6:2"}, field="layers", says=("different whole numbers",))
    refused(LEAST | {"curve": "0.6:1, 0.3:0.5"}, field="curve", says=("rising numbers",))
    refused(LEAST | {"curve": "0.3:1, 0.6:0, 0.6:1"}, field="curve", says=("rising numbers",))
    assert "rising" not in refused(LEAST | {"layers": "6"}, field="layers").sentence


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", ()),
        (" ", ()),
        ("6:1", ((6, 1),)),
        (" 3 : 0.5 , 6:-1 ", ((3, 0.5), (6, -1))),
        ("0:1,.5:0,1:2e-1", ((0, 1), (0.5, 0), (1, 0.2))),
    ],
)
def test_points_are_split_into_pairs(text: str, pairs: tuple) -> None:
    assert points(text) == pairs


def test_a_face_is_a_place_or_an_index() -> None:
    for value in [*PLACES, 0, 1, 99]:
        assert read_unit({"enabled": False, "face": value}).face == value
    whole = read_unit({"enabled": False, "face": 2.0}).face
    assert (whole, type(whole)) == (2, int)
    for value in (-1, 100, 0.5, math.nan, math.inf, 10**400, True, False, None, "", "2", "Left", [], {}, ["left"]):
        refused({"enabled": False, "face": value}, field="face", says=(*PLACES, "from 0 to 99", "; not "))


def test_the_places_of_faces_are_those_of_the_contract() -> None:
    assert list(Face().places) == PLACES


def test_a_mask_is_a_picture_or_null() -> None:
    assert read_unit({"enabled": False, "mask": None}).mask is None
    assert read_unit({"enabled": False, "mask": "aGVsbG8="}).mask == "aGVsbG8="
    for value in (0, True, [], ["aGVsbG8="], {}, {"image": "aGVsbG8="}, "grün"):
        refused({"enabled": False, "mask": value}, field="mask", says=("base64",))


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_one_text_one_object_or_a_list_of_these(name: str) -> None:
    one, other = Picture("aGVsbG8="), Picture("d29ybGQ=", 0.5, "bWFzaw==")
    spelt = {"image": other.image, "weight": 0.5, "mask": other.mask}
    for value, expected in (
        ([], ()),
        (one.image, (one,)),
        ([one.image], (one,)),
        (spelt, (other,)),
        ({"image": one.image}, (one,)),
        ({"image": one.image, "mask": None, "weight": 1, "crop": None}, (one,)),
        ({"image": one.image, "crop": "pad"}, (Picture(one.image, crop="pad"),)),
        ({"image": one.image, "box": None, "enabled": True}, (one,)),
        ({"image": one.image, "box": [0, 0, 1, 1.0]}, (one,)),
        ({"image": one.image, "box": [0.1, 0, 0.123456789, 1]}, (Picture(one.image, box=(0.1, 0, 0.12346, 1)),)),
        ({"image": one.image, "enabled": False}, (Picture(one.image, enabled=False),)),
        ([one.image, spelt, one.image], (one, other, one)),
        ((one.image,), (one,)),
    ):
        assert getattr(read_unit({"enabled": False, name: value}), name) == expected


@pytest.mark.parametrize("name", PICTURES)
def test_the_refusal_of_a_picture_names_it_by_its_number(name: str) -> None:
    for value, field, says in (
        (5, "[0]", "must be a picture as base64 text, not 5"),
        (None, "[0]", "not null"),
        (["aGVsbG8=", None], "[1]", "not null"),
        ([["aGVsbG8="]], "[0]", "not a list"),
        (["aGVsbG8=", {}], "[1].image", "is required"),
        ([{"image": 5}], "[0].image", "base64"),
        ([{"image": "aGVsbG8=", "weight": 6}], "[0].weight", "from -5 to 5"),
        ([{"image": "aGVsbG8=", "weight": None}], "[0].weight", "from -5 to 5"),
        ([{"image": "aGVsbG8=", "mask": 1}], "[0].mask", "base64"),
        ([{"image": "aGVsbG8=", "url": "x"}], "[0].url", "known fields are image, weight, mask, crop"),
        ([{"image": "aGVsbG8=", "crop": "round"}], "[0].crop", "must be one of center, pad"),
        ([{"image": "aGVsbG8=", "enabled": "no"}], "[0].enabled", "must be true or false"),
        *(
            ([{"image": "aGVsbG8=", "box": box}], "[0].box", "as fractions from 0 to 1")
            for box in (
                0.5,
                "left half",
                [],
                [0, 0, 1],
                [0, 0, 1, 1, 1],
                [0.5, 0, 0.5, 1],
                [0.5, 0, 0.500001, 1],
                [0, 0.6, 1, 0.2],
                [-0.1, 0, 1, 1],
                [0, 0, 1, 1.1],
                [0, 0, 1, float("nan")],
                [0, 0, 1, None],
                [False, 0, 1, True],
            )
        ),
        ("größe.png", "[0]", "files are not read by path"),
        ("\ud800", "[0]", "base64"),
    ):
        refused({"enabled": False, name: value}, field=f"{name}{field}", says=(says,))


def test_a_reference_that_is_off_is_as_if_it_was_not_there() -> None:
    off = {"image": "aGVsbG8=", "enabled": False}
    refused(LEAST | {"images": [off, off]}, field="images", says=("all switched off: switch one on",))
    assert read_unit(LEAST | {"images": [off], "subject": "anna"}).pictures_on("images") == {}
    assert read_unit(LEAST | {"images": [off], "embeds": "anna"}), "no picture is used beside the saved reference"
    assert list(read_unit(LEAST | {"images": [off, "aGVsbG8="]}).pictures_on("images")) == ["images[1]"]
    masked = off | {"mask": "bWFzaw=="}
    for name in PICTURES:
        assert read_unit(LEAST | {"images": ["aGVsbG8="], name: ["aGVsbG8=", masked, off], "combine": "average"})
    refused(LEAST | {"images": [off, {"image": "aGVsbG8=", "weight": 0}]}, field="images", says=("weight 0",))


def test_the_number_of_pictures_is_limited() -> None:
    assert len(read_unit(LEAST | {"images": ["aGVsbG8="] * MAX_PICTURES}).images) == MAX_PICTURES
    refused(
        LEAST | {"images": ["aGVsbG8="] * (MAX_PICTURES + 1)},
        field="images",
        says=(f"at most {MAX_PICTURES} pictures",),
    )


def test_the_length_of_a_picture_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_fields, "MAX_PICTURE_TEXT", 100)
    assert read_unit(LEAST | {"images": "a" * 100})
    error = refused(LEAST | {"images": "a" * 101}, field="images[0]", says=("at most 100", "not 101", "smaller"))
    assert len(str(error.value)) <= 110
    refused(LEAST | {"mask": "a" * 101}, field="mask")


# The whole unit


def test_an_unknown_field_is_refused_with_the_known_ones() -> None:
    error = refused(LEAST | {"wieght": 0.5}, field="wieght", says=tuple(FIELDS))
    assert error.value == 0.5
    refused({"enabled": False, "": 1}, field="")


def test_any_unknown_field_is_refused_without_harm() -> None:
    for key in ("x" * 10_000, "\ud800", "\0", "größe", "__class__", "kind"):
        with pytest.raises(UnitError) as caught:
            read_unit(LEAST | {key: {"deep": [[[]]]}})
        answerable(caught.value)


def test_an_enabled_unit_needs_a_model_and_a_reference() -> None:
    refused({"images": LEAST["images"]}, field="model", says=("is required",))
    refused(LEAST | {"model": ""}, field="model", says=("is required",))
    refused({"model": "a"}, field="images", says=("is required",))
    refused(LEAST | {"images": []}, field="images", says=("is required",))


def test_start_must_not_be_after_end() -> None:
    assert read_unit(LEAST | {"start": 0.5, "end": 0.5}).start == 0.5
    refused(LEAST | {"start": 0.6, "end": 0.5}, field="start", says=("must not be after end", "0.5"))
    refused(LEAST | {"start": 0.6, "end": 0}, field="start")


def test_every_optional_field_has_another_value_in_these_tests() -> None:
    assert [*OTHERS] == [name for name in DEFAULTS if name not in ("enabled", "model", "images")]
    assert all(OTHERS[name] != DEFAULTS[name] for name in OTHERS)


@pytest.mark.parametrize("name", [*OTHERS])
def test_each_field_is_read(name: str) -> None:
    assert read_unit(LEAST | {name: DEFAULTS[name]}) == read_unit(LEAST)
    expected = [OTHERS[name]] if name in PICTURES else OTHERS[name]
    assert value_in(read_unit(LEAST | {name: OTHERS[name]} | NEEDS.get(name, {})), name) == expected


@pytest.mark.parametrize("name", ["images", "composition_images"])
def test_references_have_their_own_weights_and_masks(name: str) -> None:
    pictures = ["aGVsbG8=", {"image": "d29ybGQ=", "weight": -0.5, "mask": "bWFzaw=="}]
    assert getattr(read_unit(LEAST | {name: pictures}), name) == (
        Picture("aGVsbG8="),
        Picture("d29ybGQ=", -0.5, "bWFzaw=="),
    )


# Settings that contradict each other

IDLE, MASKED = {"image": "d29ybGQ=", "weight": 0}, {"image": "d29ybGQ=", "mask": "bWFzaw=="}
TWO = ["aGVsbG8=", "d29ybGQ="]
MERGING = [combine for combine in CHOICES["combine"] if combine != "concat"]


@pytest.mark.parametrize("name", PICTURES)
def test_the_weights_of_pictures_must_not_all_be_0(name: str) -> None:
    error = refused(LEAST | {name: [IDLE, IDLE]}, field=name, says=("all have weight 0", "give one of them a weight"))
    assert error.value == "2 pictures"
    refused(LEAST | {name: IDLE}, field=name)
    assert len(getattr(read_unit(LEAST | {name: [IDLE, "aGVsbG8="]}), name)) == 2


def test_noise_needs_a_kind() -> None:
    for given_type in ({}, {"noise_type": "none"}):
        error = refused(LEAST | {"noise": 0.01} | given_type, field="noise", says=("a noise_type other than none",))
        assert error.value == 0.01
    assert read_unit(LEAST | {"noise": 0.01, "noise_type": "shuffle"}).noise == 0.01
    assert read_unit(LEAST | {"noise_type": "shuffle"}).noise == 0


@pytest.mark.parametrize("combine", MERGING)
def test_tiles_contradict_merging(combine: str) -> None:
    tiled = LEAST | {"tiles": True, "combine": combine}
    error = refused(tiled | {"images": TWO}, field="tiles", says=("set combine to concat",))
    assert error.value is True
    assert read_unit(tiled | {"images": TWO, "combine": "concat"}).tiles
    for one in (TWO[0], [TWO[0], IDLE]):  # a single one needs no merging
        assert read_unit(tiled | {"images": one}).tiles


def test_tiles_contradict_one_each() -> None:
    for combine in CHOICES["combine"]:
        given_unit = LEAST | {"images": TWO, "tiles": True, "unfold": True, "combine": combine}
        error = refused(given_unit, field="tiles", says=("unfold", "Turn one of them off"))
        assert error.value is True


@pytest.mark.parametrize("combine", MERGING)
@pytest.mark.parametrize("name", ["images", "composition_images"])
def test_masks_of_references_contradict_merging(name: str, combine: str) -> None:
    merging = LEAST | {"images": TWO, "combine": combine}
    pictures = ["aGVsbG8=", MASKED]
    error = refused(merging | {name: pictures}, field=f"{name}[1].mask", says=("set combine to concat",))
    assert error.value == "a picture"
    assert read_unit(merging | {name: pictures, "combine": "concat"})
    assert read_unit(merging | {"mask": "bWFzaw=="}).combine == combine  # the unit's mask
    assert read_unit(LEAST | {"images": [IDLE, MASKED], "combine": combine})  # nothing is merged


def test_masks_and_tiles_contradict_merged_composition_references() -> None:
    """They are merged like the references, even if there is only one reference."""
    merging = LEAST | {"composition_images": TWO, "combine": "average"}
    assert read_unit(merging).combine == "average"
    masked = merging | {"composition_images": ["aGVsbG8=", MASKED]}
    refused(masked, field="composition_images[1].mask", says=("set combine to concat",))
    refused(merging | {"tiles": True}, field="tiles", says=("set combine to concat",))
    single = {"images": TWO, "composition_images": MASKED, "combine": "average"}
    assert read_unit(LEAST | single).composition_images[0].mask == "bWFzaw=="


@pytest.mark.parametrize("name", ["images", "composition_images"])
def test_masks_of_references_contradict_one_each(name: str) -> None:
    given_unit = LEAST | {"images": TWO, "unfold": True, name: ["aGVsbG8=", MASKED]}
    for combine in CHOICES["combine"]:
        refused(given_unit | {"combine": combine}, field=f"{name}[1].mask", says=("unfold", "its own picture"))
    assert read_unit(given_unit | {"unfold": False})
    assert read_unit(LEAST | {"unfold": True, "mask": "bWFzaw=="}).unfold


def test_one_each_merges_nothing() -> None:
    for combine in CHOICES["combine"]:
        assert read_unit(LEAST | {"unfold": True, "images": TWO, "combine": combine}).unfold


def test_a_negative_reference_has_no_mask() -> None:
    error = refused(
        LEAST | {"negative_images": ["aGVsbG8=", MASKED]},
        field="negative_images[1].mask",
        says=("has no effect", "the whole picture"),
    )
    assert error.value == "a picture"
    assert read_unit(LEAST | {"negative_images": [{"image": "aGVsbG8=", "weight": 0.5}]})


def test_a_disabled_unit_needs_no_field_but_must_be_valid() -> None:
    contradicting = {"images": [IDLE], "negative_images": [MASKED], "noise": 1, "tiles": True, "unfold": True}
    for others in ({}, {"start": 1, "end": 0}, OTHERS, contradicting):
        assert not read_unit({"enabled": False} | others).enabled
    refused({"enabled": False, "weight": 9}, field="weight")
    refused({"enabled": False, "unknown": 9}, field="unknown")
    refused({"enabled": False, "layers": "99:1"}, field="layers")


# Args


def test_args_are_units_texts_lists_or_nothing() -> None:
    unit = read_unit(LEAST)
    text = json.dumps(LEAST)
    for args, expected in (
        ([LEAST], 1),
        (LEAST, 1),
        ((LEAST, LEAST), 2),
        ([[LEAST, LEAST], LEAST], 3),
        ([[[LEAST], [LEAST]], [], [[]]], 2),
        ([text], 1),
        ([text, LEAST, text], 3),
        ([json.dumps([LEAST, LEAST])], 2),
        ([json.dumps([[LEAST], LEAST])], 2),
        ([f"\n {text} \n"], 1),
        (text, 1),
        ([], 0),
        ((), 0),
        (None, 0),
        ([None], 0),
        ([""], 0),
        (["", None, [], " \n", "null", "[]", [""], "[null]", [[None]]], 0),
    ):
        assert read_units(args) == dict.fromkeys(range(1, expected + 1), unit), args


def test_empty_args_count_so_that_numbers_match_the_panels_tabs() -> None:
    assert list(read_units(["", LEAST, None, json.dumps(LEAST), [], LEAST])) == [2, 4, 5]
    assert list(read_units([[LEAST, LEAST], "", LEAST])) == [1, 2, 4]


def test_a_list_in_one_arg_may_hold_more_units_than_there_are_slots() -> None:
    assert SLOTS == 10
    assert len(read_units([[LEAST] * 25, *[None] * 9])) == 25


def test_disabled_units_are_dropped_but_counted() -> None:
    off, second = {"enabled": False}, LEAST | {"weight": 0.5}
    found = read_units([off, LEAST, [off, second], json.dumps(off)])
    assert {number: unit.weight for number, unit in found.items()} == {2: 1.0, 4: 0.5}
    assert read_units([off, off]) == {}


def test_errors_carry_the_number_of_their_unit() -> None:
    for args, number in (
        ([{}], 1),
        ([LEAST, {"enabled": False}, LEAST | {"weight": 9}], 3),
        ([[LEAST, LEAST], json.dumps([LEAST, LEAST | {"weight": 9}])], 4),
        ([None, "", LEAST | {"weight": 9}], 3),
    ):
        with pytest.raises(UnitError) as caught:
            read_units(args)
        assert caught.value.unit == number
        assert str(caught.value).startswith(f"IP-Adapter unit {number}: ")


@pytest.mark.parametrize(
    "args", [[5], [True], [0], [False], [1.5], ["5"], ["true"], ['"text"'], [[LEAST, 5]], "5"], ids=str
)
def test_args_that_are_not_units_are_refused(args: Any) -> None:
    refused(args, field="args", says=("must hold unit objects",), whole=True)


@pytest.mark.parametrize("text", ["{", "linear", "{'model': 1}", "[", '{"model": }', "\ud800", "\0", "NaNa"], ids=ascii)
def test_texts_that_are_not_json_are_refused(text: str) -> None:
    refused([text], field="args", says=("as JSON",), whole=True)


def test_nan_and_infinity_are_refused() -> None:
    for text in ("NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400):
        given = json.dumps(LEAST)[:-1] + f', "weight": {text}}}'
        refused([given], field="weight", says=("from -5 to 5",), whole=True)
    for digits in (5_000, 100_000):  # beyond Python's limit for digits of a number
        with pytest.raises(UnitError) as caught:
            read_units([json.dumps(LEAST)[:-1] + f', "weight": {"1" * digits}}}'])
        answerable(caught.value)


def nested(depth: int, inside: Any = None) -> Any:
    for _ in range(depth):
        inside = [inside]
    return inside


def test_lists_are_flattened_to_a_limited_depth() -> None:
    assert len(read_units(nested(MAX_NESTING, LEAST))) == 1
    refused(nested(MAX_NESTING + 1, LEAST), field="args", says=("at most 4 deep",), whole=True)


@pytest.mark.parametrize("depth", [50, 900, 5_000, 100_000])
@pytest.mark.parametrize("opening", ["[", '{"images":', '[{"model":'])
def test_deep_json_is_refused(depth: int, opening: str) -> None:
    closing = "".join({"[": "]", "{": "}"}[letter] for letter in reversed(opening) if letter in "[{")
    for text in (opening * depth + "1" + closing * depth, opening * depth):
        with pytest.raises(UnitError) as caught:
            read_units([text])
        answerable(caught.value)


@pytest.mark.parametrize("depth", [50, 900, 5_000, 20_000])
def test_deep_values_are_refused(depth: int) -> None:
    deep = nested(depth)
    objects: Any = 1
    for _ in range(depth):
        objects = {"image": objects}
    for value in (deep, objects):
        for args in ([value], *([LEAST | {name: value}] for name in [*FIELDS, "unknown"])):
            with pytest.raises(UnitError) as caught:
                read_units(args)
            answerable(caught.value)


def test_large_json_is_refused_with_a_short_error() -> None:
    for value in ("a" * 10**6, ["a"] * 10**5, {str(i): i for i in range(10**5)}):
        for large in (LEAST | {"weight": value}, LEAST | {"images": [{"image": "a", "weight": value}]}, value):
            for args in ([large], [json.dumps(large)]):
                with pytest.raises(UnitError) as caught:
                    read_units(args)
                answerable(caught.value)


# Any JSON

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-6, 6)
    | st.integers(10**300, 10**320)
    | st.floats()
    | st.text(max_size=20)
    | st.text(st.characters(codec=None, categories=["Cs", "Lu"]), max_size=3)
    | st.sampled_from([*PLACES, *(option for options in CHOICES.values() for option in options), "aGVsbG8=", "[]"])
    | st.sampled_from([*CURVES, "3:0.5, 6:1", "0:1, 0.4:0", "1:1"])
)
KEYS = st.sampled_from([*FIELDS, "image", "weight", "mask"]) | st.text(max_size=5)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(KEYS, inside, max_size=4),
    max_leaves=15,
)
QUICKLY = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def read_or_refused(args: Any) -> None:
    try:
        found = read_units(args)
    except UnitError as error:
        answerable(error)
        return
    for unit in found.values():
        assert unit.enabled
        assert unit.model
        assert unit.images
        assert -5 <= unit.weight <= 5
        assert unit.hires_weight is None or -5 <= unit.hires_weight <= 5
        assert 0 <= unit.start <= unit.end <= 1
        assert all(0 <= at <= 56 for at, _ in points(unit.layers))


@QUICKLY
@given(ANY_JSON)
def test_any_json_is_read_or_refused(args: Any) -> None:
    read_or_refused(args)
    read_or_refused([args])
    read_or_refused([json.dumps(args)])


@QUICKLY
@given(st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3), max_size=6))
@example({"note": "\ud800"})
@example({"note": "\U0001f600" * 2000})
def test_any_object_is_read_or_refused(given_unit: dict[str, Any]) -> None:
    read_or_refused([LEAST | given_unit])


@QUICKLY
@given(st.sampled_from(list(FIELDS)), ANY_JSON)
def test_any_value_of_any_field_is_read_or_refused(name: str, value: Any) -> None:
    read_or_refused([LEAST | {name: value}])
    read_or_refused([{"enabled": False, name: value}])


@QUICKLY
@given(st.text() | st.text('[]{}",:0123456789.eE+-truefalsn \\u', max_size=30))
def test_any_json_text_is_read_or_refused(text: str) -> None:
    read_or_refused([text])
    read_or_refused(text)


# The schema


def validator() -> Draft7Validator:
    return Draft7Validator(schema())


def test_the_schema_is_valid_and_is_json() -> None:
    Draft7Validator.check_schema(schema())
    assert json.loads(json.dumps(schema(), allow_nan=False)) == schema()


def test_the_schema_has_every_field_with_its_default() -> None:
    properties = schema()["properties"]
    assert {name: described["default"] for name, described in properties.items()} == DEFAULTS
    assert all(described["title"] and described["description"] for described in properties.values())


def test_the_defaults_of_the_schema_fit_the_schema() -> None:
    for name, described in schema()["properties"].items():
        assert Draft7Validator(described).is_valid(DEFAULTS[name])


GOOD = [
    LEAST,
    DEFAULTS | LEAST,
    LEAST | {"images": "aGVsbG8="},
    LEAST | {"images": {"image": "aGVsbG8="}},
    LEAST | {"images": [{"image": "aGVsbG8=", "weight": 1.0, "mask": None}, "aGVsbG8="]},
    LEAST | {"images": ["aGVsbG8="] * MAX_PICTURES},
    LEAST | {"weight": -5, "start": 0, "end": 1},
    LEAST | {"weight": 5.0, "start": 0.25, "end": 0.75},
    LEAST | {"model": "a" * MAX_TEXT},
    *(LEAST | {"crop": crop} for crop in CHOICES["crop"]),
    {"model": "a", "embeds": "a cat"},
    LEAST | {"embeds": ""},
    {"enabled": False},
    {"enabled": False} | OTHERS,
    {"enabled": False, "images": []},
    {"enabled": False, "face": 2.0},
    {"enabled": False, "start": 1, "end": 0},
    {"enabled": False, "negative_images": [{"image": "aGVsbG8=", "weight": -5, "mask": "aGVsbG8="}]},
    *({"enabled": False, name: option} for name, options in CHOICES.items() for option in options),
    *({"enabled": False, name: end} for name, ends in (RANGES | WHOLES).items() for end in ends),
    *(LEAST | {name: None} for name in NULLABLE),
    *(LEAST | {name: text} for name in POINTS for text in POINTS_READ[name]),
    *(LEAST | {name: OTHERS[name]} | NEEDS.get(name, {}) for name in OTHERS),
]
BAD = [
    {},
    {"model": "a"},
    {"enabled": True},
    {"images": "aGVsbG8="},
    LEAST | {"model": ""},
    LEAST | {"images": []},
    LEAST | {"images": [], "embeds": ""},
    LEAST | {"embeds": "a cat"},
    LEAST | {"images": None},
    LEAST | {"images": [["aGVsbG8="]]},
    LEAST | {"images": [{}]},
    LEAST | {"images": [{"image": "aGVsbG8=", "name": "a"}]},
    LEAST | {"images": [{"image": "aGVsbG8=", "weight": 6}]},
    LEAST | {"images": ["aGVsbG8="] * (MAX_PICTURES + 1)},
    LEAST | {"unknown": 1},
    LEAST | {"passes": "both"},
    LEAST | {"model": "a" * (MAX_TEXT + 1)},
    *(LEAST | {name: None} for name in FIELDS if name not in NULLABLE),
    *(LEAST | {name: {}} for name in FIELDS),
    *(LEAST | {name: True} for name in FIELDS if name not in FLAGS),
    *(LEAST | {name: "nonsense"} for name in [*RANGES, *WHOLES, *CHOICES, *FLAGS, "face"]),
    *(LEAST | {name: low - 0.5} for name, (low, _) in (RANGES | WHOLES).items()),
    *(LEAST | {name: high + 0.5} for name, (_, high) in (RANGES | WHOLES).items()),
    *({"enabled": False, "face": face} for face in (-1, 100, 0.5, True, "2")),
]


@pytest.mark.parametrize("given_unit", GOOD, ids=lambda given: repr(given)[:60])
def test_the_schema_accepts_what_is_read(given_unit: dict[str, Any]) -> None:
    read_unit(given_unit)
    validator().validate(given_unit)


@pytest.mark.parametrize("given_unit", BAD, ids=lambda given: repr(given)[:60])
def test_the_schema_refuses_what_is_refused(given_unit: dict[str, Any]) -> None:
    with pytest.raises(UnitError):
        read_unit(given_unit)
    assert not validator().is_valid(given_unit)


@QUICKLY
@given(st.sampled_from(POINTS), st.text("0123456789.:,-+e ", max_size=12) | st.sampled_from(NO_POINTS + CURVES))
def test_points_that_are_read_fit_the_schema(name: str, text: str) -> None:
    """Not the other way round: a schema cannot express that points rise."""
    try:
        read_unit({"enabled": False, name: text})
    except UnitError:
        return
    validator().validate({"enabled": False, name: text})


@QUICKLY
@given(
    st.fixed_dictionaries(
        {"enabled": st.just(False)},
        optional={name: SCALARS for name in FIELDS if name not in ("enabled", "region", *POINTS)},
    )
)
def test_schema_and_reader_agree_on_each_field_of_a_disabled_unit(given_unit: dict[str, Any]) -> None:
    """Without numbers that JSON does not have, and texts that a schema cannot describe, such as points and regions."""
    text = json.dumps(given_unit)
    if "NaN" in text or "Infinity" in text or "\\u" in text:
        return
    try:
        read_unit(given_unit)
    except IPAdapterError:
        assert not validator().is_valid(given_unit)
    else:
        validator().validate(given_unit)


def test_incomplete_restored_parameters_are_refused_with_the_missing_part() -> None:
    """A program that generates from a picture's parameters gets the same unit as the panel, with the note."""
    with pytest.raises(UnitError, match=r"References abc123 \(reference missing\)"):
        read_unit({"model": "m", "note": "Not restored, choose again: References abc123 (reference missing)."})
