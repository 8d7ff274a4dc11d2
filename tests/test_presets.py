"""Presets: what they keep of a unit, that intents are valid settings, and that damaged files are not touched."""

import json
from pathlib import Path

import pytest

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.unit.presets import INTENTS, MAX_BYTES, MAX_PRESETS, PURPOSE_FIELDS, SETTINGS, Presets, settings_of
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.unit import FIELDS

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


def opened(presets: Presets) -> dict[str, dict[str, object]]:
    """Return the presets of a file in which none is damaged."""
    kept, damaged = presets.all()
    assert not damaged
    return kept


def file_of(presets: Presets) -> Path:
    path = presets._where()
    assert path
    return path


def test_a_preset_keeps_what_differs_from_the_defaults_without_pictures(presets: Presets) -> None:
    assert opened(presets) == {}
    assert presets.save({"name": ' Anna, "soft" 🙂 ', "unit": UNIT}) == 'Anna, "soft" 🙂'
    assert opened(presets) == {'Anna, "soft" 🙂': KEPT}
    assert json.loads(file_of(presets).read_text(encoding="utf-8")) == opened(presets)


def test_an_existing_name_is_replaced_only_on_request(presets: Presets) -> None:
    presets.save({"name": "a", "unit": UNIT})
    with pytest.raises(UnitError, match="is taken"):
        presets.save({"name": "a", "unit": {}})
    presets.save({"name": "a", "unit": {}, "overwrite": True})
    assert opened(presets) == {"a": {}}
    presets.delete({"name": "a"})
    assert opened(presets) == {}
    with pytest.raises(UnitError, match="not the name of a preset"):
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
def test_what_cannot_be_saved_is_refused(presets: Presets, asked: dict[str, object]) -> None:
    with pytest.raises(UnitError):
        presets.save(asked)
    assert not file_of(presets).exists()


@pytest.mark.parametrize("text", ["", "[1]", "\x00", "[" * 100_000, "{" + " " * MAX_BYTES + "}"])
def test_a_damaged_file_is_reported_and_not_changed(presets: Presets, text: str) -> None:
    file_of(presets).parent.mkdir()
    file_of(presets).write_text(text)
    with pytest.raises(IPAdapterError, match="cannot be read"):
        presets.all()
    with pytest.raises(IPAdapterError, match="cannot be read"):
        presets.save({"name": "a", "unit": {}})
    assert file_of(presets).read_text() == text


NEWER = {"weight_type": "of a newer version", "colour": {"red": [1, 2]}}


@pytest.mark.parametrize("entry", [NEWER, 1, None, [], "text", {"weight": "much"}, {"layers": "1" * 3000}])
def test_a_damaged_preset_is_marked_and_the_others_still_work(presets: Presets, entry: object) -> None:
    file_of(presets).parent.mkdir()
    file_of(presets).write_text(json.dumps({"newer": entry, "soft": {"weight": 0.5, "unknown": 1}}))
    kept, damaged = presets.all()
    assert kept == {"soft": {"weight": 0.5}}
    assert list(damaged) == ["newer"]
    assert damaged["newer"].endswith(".")
    presets.save({"name": "own", "unit": {"weight": 0.25}})
    stored = json.loads(file_of(presets).read_text())
    assert stored == {"newer": entry, "soft": {"weight": 0.5, "unknown": 1}, "own": {"weight": 0.25}}
    with pytest.raises(UnitError, match="is taken"):
        presets.save({"name": "newer", "unit": {}})
    presets.delete({"name": "newer"})
    assert set(opened(presets)) == {"soft", "own"}


def test_presets_never_grow_beyond_the_size_that_is_read(presets: Presets) -> None:
    long = {"model": "尺" * 2000, "encoder": "尺" * 2000}
    file_of(presets).parent.mkdir()
    file_of(presets).write_text(json.dumps({str(i): long for i in range(85)}, ensure_ascii=False), encoding="utf-8")
    before = file_of(presets).read_bytes()
    assert MAX_BYTES - 30_000 < len(before) < MAX_BYTES
    presets.save({"name": "one more", "unit": long})
    while file_of(presets).stat().st_size + 12_100 < MAX_BYTES:
        presets.save({"name": f"more {len(opened(presets))}", "unit": long})
    with pytest.raises(IPAdapterError, match="more than 1048576 bytes"):
        presets.save({"name": "t" * 60, "unit": {**long, "curve": "linear in"}})
    assert 85 < len(opened(presets)) < 90


def test_fields_of_a_later_version_are_skipped(presets: Presets) -> None:
    file_of(presets).parent.mkdir()
    file_of(presets).write_text('{"a": {"weight": 0.5, "colour": "red"}}')
    assert opened(presets) == {"a": {"weight": 0.5}}


def test_the_number_of_presets_is_limited(presets: Presets) -> None:
    file_of(presets).parent.mkdir()
    file_of(presets).write_text(json.dumps({str(number): {} for number in range(MAX_PRESETS)}))
    with pytest.raises(IPAdapterError, match="Delete one"):
        presets.save({"name": "one more", "unit": {}})
    presets.save({"name": "0", "unit": {"weight": 0.5}, "overwrite": True})


def test_intents_are_settings_that_differ_from_the_defaults() -> None:
    for name, intent in INTENTS.items():
        read_unit({**intent.values, "enabled": False})
        assert settings_of(intent.values) == intent.values, name
        assert set(intent.values) <= set(PURPOSE_FIELDS), name
    distinct = {json.dumps([intent.values, intent.uses], sort_keys=True) for intent in INTENTS.values()}
    assert len(distinct) == len(INTENTS)


def test_a_preset_sets_fields_without_pictures() -> None:
    assert set(FIELDS) - set(SETTINGS) == {
        *("enabled", "model", "images", "negative_images", "composition_images"),
        *("mask", "region", "embeds", "subject"),
    }
