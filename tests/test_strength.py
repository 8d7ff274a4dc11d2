"""The table of the panel's strength slider, and the user's own file over it."""

import json
from pathlib import Path
from typing import Any

import pytest

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.unit.presets import INTENTS
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.strength import ANY_BASE, MARKS, MAX_BYTES, ROWS, SHIPPED, strengths
from lib_ipadapter.weights.families import FAMILIES

BASES = ("SD1.x", "SDXL")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ipadapter-strengths.json"


def test_every_purpose_has_settings_at_every_mark() -> None:
    assert set(SHIPPED) == set(INTENTS)
    for bases in SHIPPED.values():
        for marks in bases.values():
            assert tuple(marks) == MARKS
            for values in marks.values():
                unit = read_unit({**values, "enabled": False})
                assert unit.start < unit.end


@pytest.mark.parametrize(("purpose", "row"), [(purpose, row) for purpose, rows in SHIPPED.items() for row in rows])
def test_each_mark_is_stronger_than_the_one_before(purpose: str, row: str) -> None:
    marks = [SHIPPED[purpose][row][mark] for mark in MARKS]
    weights, lengths = ([f(each) for each in marks] for f in (lambda m: m["weight"], lambda m: m["end"] - m["start"]))
    assert weights == sorted(set(weights))
    assert lengths == sorted(lengths)


def test_krita_ai_diffusions_values_are_light_normal_and_full() -> None:
    """Its purposes reference, face, style and composition, as (strength, start, end)."""
    krita = {
        "Subject": ((0.4, 0.2, 0.8), (0.8, 0.2, 0.8), (1.0, 0.0, 1.0)),
        "Face": ((0.5, 0.4, 0.9), (0.8, 0.2, 1.0), (1.2, 0.2, 1.0)),
        "Style": ((0.4, 0.2, 0.8), (0.8, 0.2, 1.0), (1.2, 0.0, 1.0)),
        "Composition": ((0.5, 0.0, 0.5), (0.8, 0.0, 0.8), (1.0, 0.0, 0.8)),
    }
    for purpose, expected in krita.items():
        marks = SHIPPED[purpose][ANY_BASE]
        assert tuple(tuple(marks[mark].values()) for mark in ("light", "normal", "full")) == expected
        _, normal, strong, full = (marks[mark] for mark in MARKS)
        assert {name: pytest.approx((normal[name] + full[name]) / 2) for name in strong} == strong


def test_without_a_file_the_shipped_values_apply(file: Path) -> None:
    assert strengths(None, BASES) is SHIPPED
    assert strengths(file, BASES) is SHIPPED


def test_a_file_replaces_any_part(file: Path) -> None:
    given = {"Style": {"SDXL": {"normal": {"weight": 0.6}}}, "Face": {ANY_BASE: {"full": {"weight": 2, "end": 0.9}}}}
    file.write_text(json.dumps(given))
    table = strengths(file, BASES)
    assert table["Style"]["SDXL"]["normal"] == {"weight": 0.6, "start": 0.2, "end": 1.0}
    assert table["Style"]["SDXL"]["full"] == SHIPPED["Style"][ANY_BASE]["full"]
    assert table["Style"][ANY_BASE] == SHIPPED["Style"][ANY_BASE]
    assert table["Face"][ANY_BASE]["full"] == {"weight": 2.0, "start": 0.2, "end": 0.9}
    assert table["Subject"] == SHIPPED["Subject"]
    assert SHIPPED["Face"][ANY_BASE]["full"]["weight"] == 1.2


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ([], "the file must be an object"),
        ({"Colour": {}}, "Colour is an unknown field; known fields are Subject, Face"),
        ({"Style": {"SD9": {}}}, "Style.SD9 is an unknown field; known fields are all, PuLID, SD1.x, SDXL"),
        ({"Style": {"all": {"much": {}}}}, "Style.all.much is an unknown field; known fields are light, normal"),
        ({"Style": {"all": {"full": {"weight": 9}}}}, "Style.all.full.weight must be a number from -5 to 5, not 9."),
        ({"Style": {"all": {"full": {"weight": True}}}}, "Style.all.full.weight must be a number"),
        ({"Style": {"all": {"full": {"end": 0}}}}, "Style.all.full.start must be before the end, 0."),
        ({"Style": {"all": {"full": 1}}}, "Style.all.full must be an object, not 1."),
    ],
)
def test_an_unusable_file_is_reported_with_the_place(file: Path, given: Any, what: str) -> None:
    file.write_text(json.dumps(given))
    with pytest.raises(IPAdapterError) as raised:
        strengths(file, BASES)
    assert what in str(raised.value)
    assert str(file) in str(raised.value)
    assert str(raised.value).endswith("Repair the file, or move it away.")


@pytest.mark.parametrize("text", ["", "\x00", "[" * 100_000, "{" + " " * MAX_BYTES + "}", '{"Style": NaN}'])
def test_a_damaged_file_is_reported(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(IPAdapterError, match="cannot be used"):
        strengths(file, BASES)


def test_the_table_in_the_docs_is_the_shipped_one() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "controls.md").read_text(encoding="utf-8")
    for purpose, row, marks in ((purpose, *each) for purpose, rows in SHIPPED.items() for each in rows.items()):
        cells = [f"{each['weight']:g}, from {each['start']:g} to {each['end']:g}" for each in marks.values()]
        assert f"| {' | '.join([purpose + f', {row}' * (row != ANY_BASE), *cells])} |" in page


def test_each_row_of_a_kind_of_adapter_is_one_of_running_families() -> None:
    assert set(ROWS) <= {family.name for family in FAMILIES if family.projector}
    assert set(ROWS.values()) == {row for rows in SHIPPED.values() for row in rows} - {ANY_BASE}
