"""Presets: what they keep of a unit, that intents are settings of a unit, and that a damaged file is told and kept."""

import json
from pathlib import Path

import pytest

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.unit.presets import INTENTS, MAX_PRESETS, SETTINGS, Presets, settings_of
from lib_ipadapter.unit.unit import FIELDS, read_unit
from lib_ipadapter.weights.families import FAMILIES

UNIT = {
    "enabled": True,
    "model": "plus.bin",
    "images": [{"image": "data:image/png;base64,AAAA"}],
    "mask": "data:image/png;base64,AAAA",
    "embeds": "anna",
    "weight": 0.8,
    "weight_type": "composition",
    "face": 2,
    "pass": "hires",
    "end": 1.0,
}
KEPT = {"model": "plus.bin", "weight": 0.8, "weight_type": "composition", "face": 2, "pass": "hires"}


@pytest.fixture
def presets(tmp_path: Path) -> Presets:
    return Presets(lambda: tmp_path / "data" / "presets.json")


def file_of(presets: Presets) -> Path:
    path = presets._where()
    assert path
    return path


def test_a_preset_is_what_differs_from_the_defaults_without_pictures(presets: Presets) -> None:
    assert presets.all() == {}
    assert presets.save({"name": ' Anna, "soft" 🙂 ', "unit": UNIT}) == 'Anna, "soft" 🙂'
    assert presets.all() == {'Anna, "soft" 🙂': KEPT}
    assert json.loads(file_of(presets).read_text(encoding="utf-8")) == presets.all()


def test_a_name_that_is_taken_is_replaced_only_when_told(presets: Presets) -> None:
    presets.save({"name": "a", "unit": UNIT})
    with pytest.raises(UnitError, match="is taken"):
        presets.save({"name": "a", "unit": {}})
    presets.save({"name": "a", "unit": {}, "overwrite": True})
    assert presets.all() == {"a": {}}
    presets.delete({"name": "a"})
    assert presets.all() == {}
    with pytest.raises(UnitError, match="no preset"):
        presets.delete({"name": "a"})


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"name": "", "unit": {}},
        {"name": "a\n", "unit": {}},
        {"name": "a" * 61, "unit": {}},
        {"name": "a"},
        {"name": "a", "unit": {"weight": 9}},
        {"name": "a", "unit": {}, "path": "/tmp"},
    ],
)
def test_what_cannot_be_kept_is_refused(presets: Presets, asked: dict[str, object]) -> None:
    with pytest.raises(UnitError):
        presets.save(asked)
    assert not file_of(presets).exists()


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}', '{"a": {"weight": "much"}}', "\x00", "[" * 100_000])
def test_a_damaged_file_is_told_and_left_alone(presets: Presets, text: str) -> None:
    file_of(presets).parent.mkdir()
    file_of(presets).write_text(text)
    with pytest.raises(IPAdapterError, match="cannot be read"):
        presets.all()
    with pytest.raises(IPAdapterError, match="cannot be read"):
        presets.save({"name": "a", "unit": {}})
    assert file_of(presets).read_text() == text


def test_settings_of_a_later_version_are_passed_over(presets: Presets) -> None:
    file_of(presets).parent.mkdir()
    file_of(presets).write_text('{"a": {"weight": 0.5, "colour": "red"}}')
    assert presets.all() == {"a": {"weight": 0.5}}


def test_there_is_an_end_to_presets(presets: Presets) -> None:
    file_of(presets).parent.mkdir()
    file_of(presets).write_text(json.dumps({str(number): {} for number in range(MAX_PRESETS)}))
    with pytest.raises(IPAdapterError, match="Delete one"):
        presets.save({"name": "one more", "unit": {}})
    presets.save({"name": "0", "unit": {"weight": 0.5}, "overwrite": True})


def test_intents_are_settings_that_differ_from_the_defaults() -> None:
    families = {family.name for family in FAMILIES if family.projector}
    for name, intent in INTENTS.items():
        read_unit({**intent.values, "enabled": False})
        assert settings_of(intent.values) == intent.values, name
        assert set(intent.families) <= families
    assert len({json.dumps(intent.values, sort_keys=True) for intent in INTENTS.values()}) == len(INTENTS)


def test_what_a_preset_sets_are_fields_without_pictures() -> None:
    assert set(FIELDS) - set(SETTINGS) == {
        *("enabled", "model", "images", "negative_images", "composition_images"),
        *("mask", "region", "embeds", "subject"),
    }
