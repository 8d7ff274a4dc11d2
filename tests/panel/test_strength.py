"""Purpose and strength in the panel: what the slider moves, what stays, and where pasted values put it."""

import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from lib_ipadapter.unit.presets import INTENTS
from lib_ipadapter.unit.strength import ANY_BASE, MARKS, SHIPPED

from .actions import changed, choose, customise, drop, fill, given, strength, tick, wait_until_idle
from .served import needs_chromium

pytestmark = needs_chromium

PLUS, BASE = "ip-adapter-plus_sd15.safetensors", "ip-adapter_sd15.safetensors"
FACE_ID = "ip-adapter-faceid-plusv2_sd15.bin"
ASK = "([what, more]) => ipAdapter.panels.txt2img.asking.ask(what, more)"
SLIDER = "input[aria-label=Strength]"
MOVED = ("weight", "start", "end")


def at(purpose: str, mark: str) -> tuple[float, ...]:
    """Return weight, start and end at a mark."""
    return tuple(SHIPPED[purpose][ANY_BASE][mark].values())


def moved(page: Any) -> tuple[float, ...]:
    """Return the first unit's weight, start and end."""
    unit = given(page)[0]
    return tuple(unit[name] for name in MOVED)


def chip(purpose: str) -> str:
    return f".ipadapter-chip:text-is('{purpose}')"


def begin(page: Any, model: str = PLUS) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, model)


def test_the_slider_moves_weight_start_and_end(page: Any) -> None:
    begin(page)
    assert page.input_value(SLIDER) == "2"
    for place, mark in enumerate(MARKS, 1):
        strength(page, place)
        assert moved(page) == at("Subject", mark)
    strength(page, 0)
    assert moved(page)[0] == 0
    strength(page, 1.5)
    assert moved(page) == (0.6, 0.2, 0.8), "halfway between light and normal"


def test_pulid_acts_in_all_steps(page: Any) -> None:
    begin(page, FACE_ID)
    page.click(chip("Face"))
    assert moved(page) == at("Face", "normal")
    page.evaluate(f"ipAdapter.panels.txt2img.files.modelOf({{model: '{PLUS}'}}).family = 'pulid-v1.1'")
    choose(page, PLUS)
    page.click(chip("Face"))
    assert moved(page) == tuple(SHIPPED["Face"]["PuLID"]["normal"].values())
    strength(page, 4)
    assert moved(page) == tuple(SHIPPED["Face"]["PuLID"]["full"].values())


def test_the_slider_works_by_keys_and_says_its_place(page: Any) -> None:
    begin(page)
    for _ in range(4):
        page.press(SLIDER, "ArrowRight")
    assert moved(page) == at("Subject", "strong")
    assert page.get_attribute(SLIDER, "aria-valuetext") == "strong, weight 0.9, from 10 % to 90 % of the steps"
    page.press(SLIDER, "End")
    assert page.get_attribute(SLIDER, "aria-valuetext") == "full, weight 1, all steps"
    page.press(SLIDER, "Home")
    assert page.get_attribute(SLIDER, "aria-valuetext") == "off"
    page.click(".ipadapter-mark:text-is('light')")
    assert moved(page) == at("Subject", "light")


@pytest.mark.parametrize("purpose", INTENTS)
def test_a_purpose_keeps_the_strength_and_can_be_undone(page: Any, purpose: str) -> None:
    begin(page)
    strength(page, 3)
    before = given(page)
    page.click(chip(purpose))
    assert page.get_attribute(chip(purpose), "aria-pressed") == "true"
    assert page.locator(".ipadapter-chip[aria-pressed=true]").count() == 1
    (unit,) = given(page)
    assert moved(page) == at(purpose, "strong")
    others = {name: value for name, value in changed(unit).items() if name not in (*MOVED, "images", "model")}
    assert others == INTENTS[purpose].values
    page.click(".ipadapter-message button:text-is('Undo')")
    assert given(page) == before


def test_a_purpose_leaves_other_settings_alone(page: Any) -> None:
    begin(page, FACE_ID)
    page.select_option("select[aria-label=Face]", "left")
    page.click(chip("Style"))
    assert given(page)[0]["face"] == "left"


def test_a_purpose_chooses_an_adapter_if_the_user_has_not(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    page.click(chip("Face"))
    assert given(page)[0]["model"] == FACE_ID
    page.click(chip("Subject"))
    assert given(page)[0]["model"] == PLUS
    choose(page, BASE)
    page.click(chip("Face"))
    assert given(page)[0]["model"] == BASE


def test_the_strength_follows_the_adapters_use(page: Any) -> None:
    begin(page)
    strength(page, 1)
    choose(page, FACE_ID)
    assert page.get_attribute(chip("Face"), "aria-pressed") == "true"
    assert moved(page) == at("Face", "light")


def test_custom_values_stay_where_they_are_put(page: Any) -> None:
    begin(page)
    fill(page, "End", "0.55")
    assert page.locator(SLIDER).count() == 0
    page.click(chip("Style"))
    choose(page, FACE_ID)
    assert moved(page) == (0.8, 0.2, 0.55)
    fill(page, "End", "0.8")
    assert page.locator(SLIDER).count() == 0, "also with values that the slider has"
    fill(page, "End", "0.7")
    page.click("button:text-is('Custom')")
    assert page.input_value(SLIDER) == "2", "the place of the nearest weight"
    assert moved(page) == at("Style", "normal")


def test_nothing_moves_when_custom_fields_take_the_sliders_place(page: Any) -> None:
    begin(page)
    below = "document.querySelector('.ipadapter-adapter').getBoundingClientRect().y"
    before = page.evaluate(below)
    customise(page)
    assert page.evaluate(below) == before


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("Weight: 0.8, Start: 0.2, End: 0.8", "2"),
        ("Weight: 0.8, Start: 0.2", "2"),
        ("Weight: 0.9, Start: 0.1, End: 0.9", "3"),
        ("Weight: 0.5, End: 0.5, Weight type: composition, Crop: squash", "1"),
        ("Weight: 0.8", None),
        ("Weight: -1", None),
    ],
    ids=["subject", "face", "strong", "composition", "none", "negative"],
)
def test_pasted_values_on_the_table_put_the_slider_there(page: Any, line: str, place: str | None) -> None:
    tick(page)
    page.fill("#pasted textarea", json.dumps({"IP-Adapter 1": f"Adapter: {PLUS}, {line}, References: aaaaaaaaaaaa"}))
    page.click("#paste")
    page.wait_for_selector(".ipadapter-reference")
    wait_until_idle(page)
    assert page.locator(SLIDER).count() == (0 if place is None else 1)
    if place is not None:
        assert page.input_value(SLIDER) == place
    before = moved(page)
    choose(page, FACE_ID)
    assert moved(page) == before, "pasted values stay"


@pytest.fixture
def own_table(page: Any) -> Iterator[None]:
    table = {"Subject": {"SD1.x": {"normal": {"weight": 0.66}}, "SDXL": {"normal": {"weight": 0.77}}}}
    page.evaluate(ASK, ["put strengths", {"table": table}])
    yield
    page.evaluate(ASK, ["load", {"base": "SD1.x"}])
    page.evaluate(ASK, ["put strengths", {"table": {}}])


def test_the_users_own_table_applies_by_base(page: Any, own_table: None) -> None:
    tick(page)
    drop(page, "one.png")
    assert moved(page) == (0.66, 0.2, 0.8)
    page.evaluate(ASK, ["load", {"base": "SDXL"}])
    page.evaluate("ipAdapter.panels.txt2img.server.look()")
    wait_until_idle(page)
    assert moved(page) == (0.77, 0.2, 0.8), "the unit has moved to an adapter for SDXL"


def test_an_empty_unit_shows_a_place_for_pictures_and_one_line(page: Any) -> None:
    tick(page)
    panel = page.locator(".ipadapter-body")
    assert page.inner_text(".ipadapter-add") == "Drop, paste or choose pictures"
    assert page.locator(".ipadapter-note:visible").all_inner_texts() == ["Drop a picture to begin."]
    assert panel.locator(":is(select, input:not([type=file]), details, svg):visible").count() == 0
    drop(page, "one.png")
    assert page.locator(".ipadapter-chip").count() == len(INTENTS)
    page.click("button[aria-label='Remove reference 1']")
    assert page.locator(".ipadapter-chip").count() == 0


def test_purposes_whose_weight_types_have_no_meaning_are_not_offered(page: Any) -> None:
    """FLUX has no layers for style or composition."""
    tick(page)
    drop(page, "one.png")
    page.evaluate(ASK, ["load", {"base": "FLUX"}])
    page.evaluate("ipAdapter.panels.txt2img.server.look()")
    choose(page, "")
    page.wait_for_selector(".ipadapter-chip:text-is('Style')", state="detached", timeout=20_000)
    assert page.locator(".ipadapter-chip").all_inner_texts() == ["Subject", "Face"]
    assert page.locator("[aria-label='Purpose of reference 1'] option").all_inner_texts()[-2:] == ["Subject", "Face"]
    page.evaluate(ASK, ["load", {"base": "SD1.x"}])
    page.evaluate("ipAdapter.panels.txt2img.server.look()")
    page.wait_for_selector(".ipadapter-chip:text-is('Style')", timeout=20_000)
