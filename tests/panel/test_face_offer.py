"""A first picture that a face fills, in a real browser: the unit offers two uses of it, and says nothing otherwise."""

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import drop, given, tick, wait_until_idle
from .page import MODELS
from .served import PICTURES, needs_chromium

pytestmark = needs_chromium

BASE, PLUS, FACE_ID = (
    "ip-adapter_sd15.safetensors",
    "ip-adapter-plus_sd15.safetensors",
    "ip-adapter-faceid-plusv2_sd15.bin",
)
MESSAGE = ".ipadapter-message"
FILLING, WIDE, SMALL = [2, 1, 8, 7], [0, 3, 10, 6], [2, 2, 6, 6]
"""Boxes in a picture of 10 by 10: 36 % of the area, 30 % of the area but low, and 16 % of it and 40 % of the height."""


def ask(page: Any, what: str, **more: Any) -> None:
    page.evaluate("([what, more]) => ipAdapter.panels.txt2img.asking.ask(what, more)", [what, more])


@pytest.fixture
def page(page: Any) -> Iterator[Any]:
    yield page
    ask(page, "show faces", boxes=None)
    ask(page, "have", names=[model["name"] for model in MODELS])


def labels(page: Any) -> list[str]:
    return [each.inner_text() for each in page.locator(f"{MESSAGE} button").all()]


def drop_portrait(page: Any, *boxes: list[int]) -> None:
    ask(page, "show faces", boxes=list(boxes))
    drop(page, "one.png")
    page.wait_for_selector(f"{MESSAGE}:has-text('{PLUS} was chosen automatically.')")
    wait_until_idle(page)


@pytest.mark.parametrize("box", [FILLING, WIDE])
def test_a_face_that_fills_the_picture_can_be_used_for_its_likeness(page: Any, box: list[int]) -> None:
    drop_portrait(page, box)
    page.wait_for_selector(f"{MESSAGE} button:text-is('Likeness')")
    assert labels(page) == ["Likeness", "Whole picture", "Change"]
    page.screenshot(path=PICTURES / "face-offer.png")
    page.click(f"{MESSAGE} button:text-is('Likeness')")
    page.wait_for_selector(f"{MESSAGE}:has-text('The unit uses FaceID Plus v2, likeness, SD 1.5.')")
    assert given(page)[0]["model"] == FACE_ID


def test_or_the_whole_picture(page: Any) -> None:
    drop_portrait(page, FILLING)
    page.click(f"{MESSAGE} button:text-is('Whole picture')")
    page.wait_for_selector(f"{MESSAGE}:has-text('The unit uses {PLUS}.')")
    assert labels(page) == []
    assert given(page)[0]["model"] == PLUS


@pytest.mark.parametrize("boxes", [[], [SMALL], [FILLING, SMALL]], ids=["no face", "a small one", "two"])
def test_nothing_is_offered_for_other_pictures(page: Any, boxes: list[list[int]]) -> None:
    drop_portrait(page, *boxes)
    assert labels(page) == ["Change"]


def test_nothing_is_asked_without_face_models(page: Any) -> None:
    tick(page)
    page.evaluate(
        "() => {const {asking} = ipAdapter.panels.txt2img; const ask = asking.ask.bind(asking);"
        "window.asked = []; asking.ask = (what, more) => {asked.push(what); return ask(what, more);}}"
    )
    drop(page, "one.png")
    wait_until_idle(page)
    assert "faces" not in page.evaluate("asked")
    assert labels(page) == ["Change"]


def test_without_an_adapter_for_it_the_likeness_leads_to_get_models(page: Any) -> None:
    ask(page, "have", names=[PLUS])
    drop_portrait(page, FILLING)
    page.click(f"{MESSAGE} button:text-is('Likeness')")
    page.wait_for_selector("dialog[open] .ipadapter-model[aria-label='FaceID Plus v2, likeness, SD 1.5'] input:checked")
    page.keyboard.press("Escape")
