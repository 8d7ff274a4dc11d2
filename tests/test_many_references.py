"""A generation for each of many references, with stubs of the web UI's modules."""

import base64
import json
import sys
import tempfile
import types
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from makers import file_of, picture, text_of

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.unit.picture_fields import Picture
from lib_ipadapter.unit.read_args import read_units, with_reference

TEXTS = [text_of(picture(8, 8, seed)) for seed in range(3)]
SCRIPT = SimpleNamespace(args_from=2, args_to=5)


class Uploaded(str):
    """A file as gradio 4 passes it: a path that is a text, with a name."""

    @property
    def name(self) -> str:
        return str(self)


class WebUI:
    """The pictures that the web UI makes, and events that may happen meanwhile."""

    def __init__(self) -> None:
        self.state = SimpleNamespace(interrupted=False, stopping_generation=False, job_count=-1, job="")
        self.jobs: list[Any] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def process_images(self, p: Any) -> Any:
        self.jobs.append(p)
        self.meanwhile()
        n = len(self.jobs)
        return SimpleNamespace(
            images=["grid", n],
            infotexts=["grid", f"text {n}"],
            index_of_first_image=1,
            all_prompts=["p"],
            all_seeds=[5],
        )


@pytest.fixture
def webui(monkeypatch: pytest.MonkeyPatch) -> WebUI:
    webui, modules = WebUI(), types.ModuleType("modules")
    modules.processing = SimpleNamespace(
        process_images=webui.process_images,
        fix_seed=lambda p: setattr(p, "seed", 5 if p.seed == -1 else p.seed),
        Processed=lambda p, images, seed, **more: SimpleNamespace(images=images, seed=seed, **more),
    )
    modules.shared = SimpleNamespace(state=webui.state)
    monkeypatch.setitem(sys.modules, "modules", modules)
    monkeypatch.delitem(sys.modules, "lib_ipadapter.hosts.many_references", raising=False)
    return webui


def series(given: Any, *units: dict[str, Any] | None, weights: Any = "", moved: bool = False) -> tuple[Any, Any]:
    """Return the web UI's record of the requests, and the result."""
    from lib_ipadapter.hosts.many_references import make_series

    slots = [json.dumps(each) if each else "" for each in units]
    p = SimpleNamespace(seed=-1, n_iter=2, script_args=("x", 1, *slots, "y"), extra_generation_params={"a": 1})
    others = [SimpleNamespace(args_to=6 + moved), SimpleNamespace(args_to=None)]
    p.scripts = SimpleNamespace(scripts=[SCRIPT, *others])
    return p, make_series(p, given, weights, SCRIPT)


EMPTY = {"model": "m", "weight": 0.5}
FULL = {"model": "m", "images": [TEXTS[2]]}
SAVED = {"model": "m", "embeds": "anna"}


def test_each_reference_goes_in_turn_to_the_units_without_references(webui) -> None:
    p, made = series(TEXTS[:2], EMPTY, FULL, SAVED)
    assert len(webui.jobs) == 2
    for job, text in zip(webui.jobs, TEXTS, strict=False):
        assert (job.script_args[:2], job.script_args[5:]) == (("x", 1), ("y",))
        units = read_units(job.script_args[2:5])
        assert [[image.image for image in unit.images] for unit in units.values()] == [[text], [TEXTS[2]], []]
        assert units[1].weight == 0.5
        assert job.seed == 5
    assert (made.images, made.infotexts) == ([1, 2], ["text 1", "text 2"])
    assert made.seed == p.seed == 5
    assert webui.state.job_count == 4
    assert webui.state.job == "reference 2 out of 2"
    assert p.extra_generation_params == {"a": 1}


def test_uploaded_files_are_named_in_the_parameters(webui, tmp_path) -> None:
    files = [tmp_path / "a cat.png", tmp_path / "tmp123.jpg"]
    for seed, file in enumerate(files):
        file.write_bytes(file_of(picture(8, 8, seed)))
    with files[1].open("rb") as opened:
        older = tempfile._TemporaryFileWrapper(opened, str(files[1]), delete=False)
        older.orig_name = "a dog.jpg"  # gradio 3 passes a file this way
        series([Uploaded(files[0]), older], EMPTY, None, None)
    assert [job.extra_generation_params["IP-Adapter reference"] for job in webui.jobs] == ["a cat.png", "a dog.jpg"]
    for job, file in zip(webui.jobs, files, strict=True):
        (unit,) = read_units(job.script_args[2:5]).values()
        assert base64.b64decode(unit.images[0].image) == file.read_bytes()


@pytest.mark.parametrize("how", ["interrupted", "stopping_generation"])
def test_interrupting_ends_the_series_and_returns_the_finished_pictures(webui, how: str) -> None:
    webui.meanwhile = lambda: setattr(webui.state, how, len(webui.jobs) == 2)
    _, made = series(TEXTS, EMPTY, None, None)
    assert made.images == [1, 2]


@pytest.mark.parametrize("given", [None, []])
def test_without_pictures_it_is_refused(webui, given: Any) -> None:
    with pytest.raises(IPAdapterError, match="This script needs references"):
        series(given, EMPTY, None, None)


WRONG: list[tuple[Any, str]] = [
    (__file__, "files are not read by path"),
    ("http://127.0.0.1/a.png", "URLs are not fetched"),
    (base64.b64encode(b"text").decode(), "is not a supported picture"),
    ({"path": __file__}, "is an unknown field"),
    (3, "must be a picture as base64 text"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG, ids=lambda each: str(each)[-20:])
def test_an_unreadable_picture_stops_it_before_the_first_generation(webui, wrong: Any, words: str) -> None:
    with pytest.raises(UnitError, match=words) as refused:
        series([TEXTS[0], wrong], EMPTY, None, None)
    assert refused.value.field.split(".")[0] == "picture 2"
    assert not webui.jobs


@pytest.mark.parametrize(
    ("weights", "expected"), [("", [1, 0.5, 1]), (" 0.5 ", [0.5] * 3), ("2, -1,0.25", [2, -1, 0.25])]
)
def test_each_picture_has_its_weight(webui, weights: str, expected: list[float]) -> None:
    series([TEXTS[0], {"image": TEXTS[1], "weight": 0.5, "crop": "pad"}, TEXTS[2]], EMPTY, None, None, weights=weights)
    pictures = [read_units(job.script_args[2:5])[1].images[0] for job in webui.jobs]
    assert [picture.weight for picture in pictures] == expected
    assert [picture.crop for picture in pictures] == [None, "pad", None]


def test_a_program_that_sends_no_weights_does_not_get_another_scripts_values(webui) -> None:
    series([TEXTS[0]], EMPTY, None, None, weights=0.5, moved=True)
    assert read_units(webui.jobs[0].script_args[2:5])[1].images[0].weight == 1


@pytest.mark.parametrize("weights", ["1, 1, 1, 1", "heavy", "1,,1", "9", "nan", "0", "1, 0", 0.5])
def test_invalid_weights_stop_it_before_the_first_generation(webui, weights: Any) -> None:
    with pytest.raises(UnitError):
        series(TEXTS, EMPTY, None, None, weights=weights)
    assert not webui.jobs


@pytest.mark.parametrize("units", [(FULL, SAVED, None), (None, None, None), (EMPTY | {"enabled": False}, None, None)])
def test_it_is_refused_if_every_unit_has_references(webui, units: Any) -> None:
    with pytest.raises(UnitError, match="must be left empty in one unit"):
        series(TEXTS, *units)
    assert not webui.jobs


def test_units_in_every_form_are_given_references() -> None:
    given = Picture("text")
    for args in ([EMPTY], [[EMPTY]], [json.dumps([EMPTY])]):
        assert with_reference(args, given) == [EMPTY | {"images": [given]}]
    assert with_reference([None, "", EMPTY], given) == [None, None, EMPTY | {"images": [given]}]
    assert "images" not in EMPTY
