"""Reading parameters takes linear time, and parameters of version 0.1.0 are read as that version read them."""

import contextlib
import json
import string
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.base.file_names import close_names, read_title, refuse_name, without_hash
from lib_ipadapter.unit.infotext_entries import MAX_LINE, entries_of, written
from lib_ipadapter.unit.picture_fields import read_weights
from lib_ipadapter.unit.read_args import read_units
from lib_ipadapter.unit.restore import controlnets_unit, restored, restored_units
from lib_ipadapter.unit.unit import FIELDS

RECORDED = json.loads((Path(__file__).parent / "infotext_0_1_0.json").read_text(encoding="utf-8"))
"""Lines that version 0.1.0 wrote, and some broken ones, with the restored units. Hashes that start with 3 were lost."""


def kept(digits: str) -> str | None:
    return None if digits.startswith("3") else f"data:image/png;base64,{digits}"


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["line"][:40])
def test_parameters_of_version_0_1_0_are_restored_as_before(recorded: dict[str, Any]) -> None:
    assert restored(recorded["line"], kept) == recorded["unit"]


LABELS = st.text(string.ascii_letters + " ×-", min_size=1, max_size=10).filter(lambda label: label.strip() == label)
VALUES = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@given(st.lists(st.tuples(LABELS, VALUES), max_size=6))
def test_written_entries_are_read_back(entries: list[tuple[str, str]]) -> None:
    assert list(entries_of(written(entries))) == entries


LONGEST, MOST_SECONDS = 100_000, 0.05


def nothing(_digits: str) -> None:
    """Find no picture."""


def read_ways() -> dict[str, Callable[[str], object]]:
    """Return every function that reads a text that is sent or pasted."""

    def in_field(name: str, text: str) -> object:
        return read_units([{"model": "m", "images": "aGk=", name: text}])

    def in_entry(label: str, text: str) -> object:
        return restored(written([("Adapter", "m"), (label, text)]), nothing)

    ways: dict[str, Callable[[str], object]] = {
        "unit": lambda text: restored_units({"IP-Adapter 1": text}, nothing),
        "ControlNet": lambda text: restored_units({"ControlNet 0": text}, nothing),
        "ControlNet's line": controlnets_unit,
        "old ControlNet": lambda text: controlnets_unit(f"starting/ending: ({text}"),
        "key": lambda text: restored_units({f"IP-Adapter {text}": "Adapter: m", f"ControlNet {text}": "x"}, nothing),
        "raw line": lambda text: restored(text, nothing),
        "value": lambda text: restored(f"Adapter: {text}", nothing),
        "quoted value": lambda text: restored(f'Adapter: "{text}', nothing),
        "args": lambda text: read_units([text]),
        "nested args": lambda text: read_units([[json.dumps(text)]]),
        "number": lambda text: read_units([f'{{"model": "m", "images": "aGk=", "weight": {text}}}']),
        "unknown": lambda text: read_units([{"model": "m", text: 1}]),
        "weights": partial(read_weights, "weights", count=3),
        "preset": partial(read_title, "name"),
        "name": refuse_name,
        "hash": without_hash,
        "close": lambda text: close_names(text[:2000], ["a" * 60, " [" * 30]),
    }
    ways |= {f"field {name}": partial(in_field, name) for name in FIELDS}
    return ways | {f"label {field.label}": partial(in_entry, field.label) for field in FIELDS.values()}


WAYS = read_ways()
PIECES = [
    " ", '"', "\\", '\\"', ": ", ",", ": \"", ': "\\', ", a: ", 'a: "b', 'a: "\\",', "a: b, ", "1", "0:1,", "1:",
    "0.1,", "|", "; feather ", "0,0,1,1|", "[", "]", "{", "}", '{"a":', "[[", " [", " [a", "aaaaaaaaaaaa ", "a×1@",
    "a×", "/pad", "é", "\n", "\t", ".", "nul.", "٣", "starting/ending: (", "starting/ending: (1.", "Module: ", "\ud800",
    "\0", "-", "e9",
]  # fmt: skip


def seconds(read: Callable[[str], object], text: str) -> float:
    """Return the CPU seconds to read or refuse a text; the better of two, because the machine is shared."""
    taken: list[float] = []
    for _ in range(2):
        started = time.thread_time()
        with contextlib.suppress(IPAdapterError):
            read(text)
        taken.append(time.thread_time() - started)
        if taken[-1] < MOST_SECONDS:
            break
    return min(taken)


@pytest.mark.parametrize("way", WAYS)
def test_no_repeated_text_takes_long_to_read(way: str) -> None:
    """Each piece is repeated up to a length that a user may paste."""
    slow = {}
    for piece in PIECES:
        repeated = piece * (LONGEST // len(piece) - 1)
        for text in (repeated, f'"{repeated}"', f"1{repeated}x"):
            if (taken := seconds(WAYS[way], text)) >= MOST_SECONDS:
                slow[text[:20]] = taken
    assert not slow


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(list(WAYS)),
    st.lists(st.sampled_from(PIECES) | st.text(max_size=4), min_size=1, max_size=5),
    st.sampled_from(["", '"', "x", ": "]),
)
def test_no_mixed_text_takes_long_to_read(way: str, pieces: list[str], end: str) -> None:
    repeated = "".join(pieces) or " "
    text = repeated * (LONGEST // len(repeated))
    assert seconds(WAYS[way], text[: LONGEST - len(end)] + end) < MOST_SECONDS


def test_a_line_that_is_too_long_is_not_read() -> None:
    assert list(restored("Adapter: m, " + "x" * MAX_LINE, nothing)) == ["note"]


def test_every_field_at_its_longest_fits_into_an_entry() -> None:
    longest = '"' * 2000
    texts = [(field.label, longest) for field in FIELDS.values() if field.kind.schema().get("maxLength") == 2000]
    hashes = " ".join(["a" * 12 + "×-0.123456789012@" + "b" * 12 + "/center"] * 16)
    pictures = [(field.label, hashes) for field in FIELDS.values() if field.kind.of_pictures]
    assert len(texts) > 5
    assert len(written(texts + pictures)) < MAX_LINE
