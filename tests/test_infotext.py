"""What a picture's parameters say of a unit, and that the way back gives the unit again."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_ipadapter.fields import Choice, Face, Flag, Mask, Number, OptionalNumber, Pictures, Points, Saved, Whole
from lib_ipadapter.infotext import describe, restored
from lib_ipadapter.units import FIELDS, Unit

DIGESTS = {
    "images[0]": "a" * 64,
    "images[1]": "b" * 64,
    "images[1].mask": "c" * 64,
    "negative_images[0]": "d" * 64,
    "mask": "e" * 64,
    "embeds": "f" * 64,
}
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40).map(str.strip)
VALUES = {
    Flag: lambda kind: st.booleans(),
    Number: lambda kind: st.floats(kind.minimum, kind.maximum).map(lambda x: round(x, 6) + 0.0),
    Whole: lambda kind: st.integers(kind.minimum, kind.maximum),
    OptionalNumber: lambda kind: st.floats(kind.minimum, kind.maximum).map(lambda x: round(x, 6) + 0.0),
    Choice: lambda kind: st.sampled_from(kind.options),
    Face: lambda kind: st.sampled_from((*kind.places, 0, 7)),
    Points: lambda kind: st.sampled_from(("", kind.example, *kind.names)),
}


def settings_of_a_unit() -> st.SearchStrategy[dict]:
    kinds = {
        f.name: f.metadata["kind"]
        for f in FIELDS.values()
        if not isinstance(f.metadata["kind"], (Pictures, Mask, Saved))
    }
    kinds.pop("enabled")
    return st.fixed_dictionaries({}, optional={n: VALUES.get(type(k), lambda _: TEXTS)(k) for n, k in kinds.items()})


@settings(max_examples=300, deadline=None)
@given(settings_of_a_unit())
def test_every_setting_comes_back_whatever_it_holds(values: dict) -> None:
    unit = Unit(**values)
    back = restored(describe(unit, unit.model, {}))
    assert "note" not in back
    fields = {field.name: name for name, field in FIELDS.items()}
    assert Unit(**{FIELDS[name].name: value for name, value in back.items()}) == unit
    changed = {fields[name] for name, value in values.items() if value != FIELDS[fields[name]].default}
    assert set(back) == changed | {"model", "weight"}


@pytest.mark.parametrize("name", ['a, b: "c".safetensors', "naïve 猫 🐈.bin", "new\nline", "back\\slash", '"', ","])
def test_odd_names_come_back(name: str) -> None:
    text = describe(Unit(model="x", layers="3:0.5, 6:1", weight=-0.5), name, {})
    assert restored(text) == {"model": name, "weight": -0.5, "layers": "3:0.5, 6:1"}


def test_it_passes_through_the_web_uis_own_quotes() -> None:
    """The web UI quotes a value with commas, colons or line ends as JSON, and reads it back so (infotext_utils)."""
    unit = Unit(model="m", curve="0:1, 0.4:1, 0.6:0")
    line = f"Steps: 4, IP-Adapter 1: {json.dumps(describe(unit, 'm', {}), ensure_ascii=False)}, Version: v1.10.1"
    theirs = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    found = dict(theirs.findall(line))
    assert restored(json.loads(found["IP-Adapter 1"])) == {"model": "m", "weight": 1.0, "curve": "0:1, 0.4:1, 0.6:0"}


def unit_with_pictures() -> Unit:
    from lib_ipadapter.fields import Picture

    return Unit(
        model="m",
        images=(Picture("one"), Picture("two", 0.5, "mask"), Picture("left out", 0.0)),
        negative_images=(Picture("three"),),
        mask="four",
    )


def test_pictures_are_their_hashes_with_weight_and_region() -> None:
    assert describe(unit_with_pictures(), "m.bin", DIGESTS) == (
        "Adapter: m.bin, Weight: 1, "
        "References: aaaaaaaaaaaa bbbbbbbbbbbb×0.5@cccccccccccc, "
        "Negative references: dddddddddddd, Region: eeeeeeeeeeee"
    )


@pytest.mark.parametrize("name", ["anna", "anna [ffff]", "a, folder/anna: 2"])
def test_a_saved_reference_is_its_name_and_hash_and_comes_back_with_both(name: str) -> None:
    text = describe(Unit(model="m", embeds=name), "m", DIGESTS)
    assert restored(text) == {"model": "m", "weight": 1.0, "embeds": name.removesuffix(" [ffff]") + " [ffffffffffff]"}


def test_what_cannot_come_back_is_said() -> None:
    back = restored(describe(unit_with_pictures(), "m.bin", DIGESTS))
    assert back.pop("note") == (
        "Not restored, choose again: References aaaaaaaaaaaa bbbbbbbbbbbb×0.5@cccccccccccc; "
        "Negative references dddddddddddd; Region eeeeeeeeeeee."
    )
    assert back == {"model": "m.bin", "weight": 1.0}
    odd = restored("Adapter: m, Weight: heavy, Colour: red")
    assert odd == {"model": "m", "note": "Not restored, choose again: Weight heavy; Colour red."}


@given(st.text(max_size=200) | st.text('": \\x,a', max_size=30))
def test_no_text_at_all_is_an_error(text: str) -> None:
    assert isinstance(restored(text), dict)
