"""Recipes: what is in the file, and what is said of one that does not fit."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from makers import picture, text_of
from small_host import CONTEXT, SmallHost, ask, save_files
from unets import ldm_unet

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.engine.session import Session
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.recipe import read_recipe

IMAGE = text_of(picture(40, 30, 1))
UNIT: dict[str, Any] = {
    "enabled": True,
    "model": "plus.bin",
    "images": [{"image": IMAGE, "weight": 0.5, "box": [0, 0, 0.5, 1]}],
    "subject": "",
    "weight": 0.75,
    "start": 0.1,
    "weight_type": "style transfer",
    "region": "left half",
}


@pytest.fixture
def session(tmp_path: Path) -> Session:
    save_files(tmp_path)
    return Session(SmallHost(tmp_path, ldm_unet(context_dim=CONTEXT)))


def saved(session: Session, unit: dict[str, Any] = UNIT, pictures: bool = False) -> dict[str, Any]:
    answer = ask(session, "save recipe", name="soft light", unit=unit, pictures=pictures)
    assert answer["file"] == "soft light.ipadapter.json"
    return json.loads(answer["text"])


def taken(session: Session, recipe: Any) -> dict[str, Any]:
    return ask(session, "take recipe", text=recipe if isinstance(recipe, str) else json.dumps(recipe))


def test_a_recipe_has_the_settings_that_differ_and_the_adapters_name_and_hash(session: Session) -> None:
    recipe = saved(session)
    assert recipe["unit"] == {name: UNIT[name] for name in ("weight", "weight_type", "start", "region")}
    assert recipe["adapter"]["file"] == "plus.bin"
    assert len(recipe["adapter"]["sha256"]) == 64
    assert recipe["name"] == "soft light"
    assert IMAGE not in json.dumps(recipe)


def test_pictures_and_names_of_subjects_are_in_it_only_if_wanted(session: Session) -> None:
    unit = {**UNIT, "subject": "anna", "mask": IMAGE}
    assert not {"images", "mask", "subject"} & set(saved(session, unit)["unit"])
    own = saved(session, unit, pictures=True)["unit"]
    assert (own["images"], own["mask"], own["subject"]) == (UNIT["images"], IMAGE, "anna")


def test_what_was_saved_is_taken(session: Session) -> None:
    answer = taken(session, saved(session, pictures=True))
    assert answer["note"] == ""
    assert read_unit(answer["unit"]) == read_unit(UNIT)


def test_the_adapter_is_found_by_its_content_under_another_name(session: Session) -> None:
    recipe, folder = saved(session), session.host.folders().adapters[0]
    (folder / "plus.bin").rename(folder / "mine.bin")
    session.preparation.files.rescan()
    answer = taken(session, recipe)
    assert answer["unit"]["model"] == "mine.bin"
    assert answer["note"] == "Its adapter plus.bin is called mine.bin here."


def test_another_file_of_the_same_name_is_taken_and_said(session: Session) -> None:
    recipe = saved(session)
    recipe["adapter"]["sha256"] = "0" * 64
    answer = taken(session, recipe)
    assert answer["unit"]["model"] == "plus.bin"
    assert "has another content here" in answer["note"]


def test_an_adapter_that_is_not_here_is_said(session: Session) -> None:
    recipe = saved(session)
    recipe["adapter"] = {"file": "else.safetensors", "sha256": "0" * 64, "title": "FaceID adapter"}
    answer = taken(session, recipe)
    assert answer["unit"]["model"] == ""
    assert answer["unit"]["weight"] == 0.75
    assert answer["note"] == "Its adapter else.safetensors (FaceID adapter) is not here. Get it, or choose another one."


def test_a_later_version_is_said_and_the_rest_is_taken(session: Session) -> None:
    recipe = saved(session) | {"recipe": 2, "extension": "9.9"}
    recipe["unit"] |= {"sharpness": 3, "weight": 99}
    answer = taken(session, recipe)
    assert "A later version of IP-Adapter wrote it (9.9)." in answer["note"]
    assert "This version does not know sharpness; the rest was taken." in answer["note"]
    assert "weight must be a number from -5 to 5, not 99." in answer["note"]
    assert "weight" not in answer["unit"]
    assert answer["unit"]["start"] == 0.1


def test_a_subject_that_is_not_here_is_said(session: Session) -> None:
    answer = taken(session, saved(session, {**UNIT, "subject": "anna"}, pictures=True))
    assert "anna" in answer["note"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "no json", "[" * 100_000, '{"recipe": 1}', '{"unit": {}}'])
def test_anything_else_is_refused_with_a_reason(session: Session, text: str) -> None:
    assert "This is not a recipe." in taken(session, text)["message"]


def test_a_recipe_without_an_adapter_has_none(session: Session) -> None:
    assert taken(session, saved(session, {**UNIT, "model": ""}))["unit"]["model"] == ""


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=9), some, max_size=3),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recipe=anything, unit=st.dictionaries(st.sampled_from([*UNIT, "face", "mask", "x"]), anything), adapter=anything)
def test_no_file_is_an_error_of_the_server(recipe: Any, unit: Any, adapter: Any) -> None:
    for given_recipe in (recipe, {"recipe": recipe, "unit": unit, "adapter": adapter}):
        try:
            read = read_recipe(json.dumps(given_recipe))
        except IPAdapterError:
            continue
        read_unit({**read.unit, "enabled": False})
