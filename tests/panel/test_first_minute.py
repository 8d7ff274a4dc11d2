"""A new user's first minute in a real browser: a picture is enough, and what is missing is shown in its place."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import choose, contrasts, drop, given, tick, unfold, wait_until_idle
from .page import MODELS, PNG
from .served import needs_chromium, opened

pytestmark = needs_chromium

BASE, PLUS = "ip-adapter_sd15.safetensors", "ip-adapter-plus_sd15.safetensors"
TICK = "#ipadapter_txt2img-checkbox input"
NOTE = ".ipadapter-adapter > .ipadapter-note.wrong"


@contextmanager
def only(page: Any, *names: str) -> Iterator[None]:
    """Make the server list these adapters only."""
    ask = "(names) => ipAdapter.panels.txt2img.asking.ask('have', {names})"
    page.evaluate(ask, list(names))
    yield
    page.evaluate(ask, [model["name"] for model in MODELS])


PASTE = """async (png) => {
    const data = new DataTransfer();
    data.items.add(new File([await (await fetch(png)).blob()], "a.png", {type: "image/png"}));
    const event = new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
    document.querySelector(".ipadapter-body").dispatchEvent(event);
}"""


@pytest.mark.parametrize("way", ["chosen", "pasted", "sent"])
def test_a_picture_is_enough_to_start(page: Any, way: str) -> None:
    if way == "chosen":
        drop(page, "one.png")
    elif way == "pasted":
        page.evaluate(PASTE, PNG)
    else:
        page.evaluate("(url) => ipAdapter.send('txt2img', url)", PNG)
    page.wait_for_selector(f".ipadapter-message:has-text('{PLUS} was chosen automatically.') button:text-is('Change')")
    assert page.is_checked(TICK)
    (unit,) = given(page)
    assert (unit["model"], len(unit["images"])) == (PLUS, 1)


LISTS_COME = """async (png) => {
    const panel = ipAdapter.panels.txt2img;
    const added = panel.intake.add("images", [await ipAdapter.fileAt(png)]);
    panel.files.take({presets: {Default: {weight: 0.3}}});
    panel.state.renew();
    await added;
}"""
"""The server's answer to an earlier request comes while a picture is being read."""


def test_a_picture_that_is_read_while_the_lists_come_is_not_lost(page: Any) -> None:
    page.evaluate(LISTS_COME, PNG)
    (unit,) = given(page)
    assert (unit["weight"], len(unit["images"])) == (0.3, 1)


def test_a_chosen_adapter_is_not_replaced(page: Any) -> None:
    tick(page)
    choose(page, BASE)
    drop(page, "one.png")
    assert given(page)[0]["model"] == BASE
    assert page.inner_text(".ipadapter-message") == ""


def test_an_automatic_choice_can_be_changed_and_is_not_repeated(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    page.click(".ipadapter-message button:text-is('Change')")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Adapter"
    page.keyboard.press("Escape")
    page.select_option("select[aria-label=Adapter]", "")
    assert page.inner_text(".ipadapter-message") == ""
    assert given(page)[0]["model"] == ""
    assert page.inner_text(NOTE) == "Choose an adapter to use the references."
    drop(page, "two.png")
    assert given(page)[0]["model"] == ""


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((), "No adapter for SD1.x was found. Get one here, or put one in models/ipadapter and press ↻."),
        (
            ("ip-adapter_sdxl.safetensors",),
            "No adapter for SD1.x was found. Get one here, or put one in models/ipadapter and press ↻.",
        ),
        (("ip-adapter-faceid-portrait_sd15.bin",), "needs insightface, which is not installed."),
    ],
    ids=["none", "for another checkpoint", "something is missing"],
)
def test_the_panel_says_what_to_do_if_no_adapter_can_run(page: Any, names: tuple[str, ...], text: str) -> None:
    with only(page, *names):
        drop(page, "one.png")
        page.wait_for_selector(NOTE)
        wait_until_idle(page)
        assert page.inner_text(NOTE) == text
        assert page.input_value("select[aria-label=Adapter]") == ""


@pytest.mark.parametrize("way", ["#refuse", "#raise"], ids=["as the web UI", "as gradio"])
def test_the_reason_for_a_refused_generation_is_shown_in_its_unit(page: Any, way: str) -> None:
    tick(page)
    page.fill("#comments textarea", "Refusal: IP-Adapter unit 2: model is required: the file name of an adapter.")
    page.click(way)
    page.wait_for_selector(".ipadapter-tab[aria-selected=true]:has-text('Unit 2')")
    assert page.inner_text(".ipadapter-message.wrong") == "model is required: the file name of an adapter."
    page.fill("#comments textarea", "RuntimeError: of somebody else")
    page.click(".ipadapter-tab:has-text('Unit 1')")
    page.click(way)
    page.wait_for_selector("text=of somebody else")
    assert page.inner_text(".ipadapter-message") == ""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_has_enough_contrast(browser: Any, address: str, theme: str) -> None:
    with opened(browser, f"{address}?__theme={theme}", f"first-minute-{theme}") as page:
        tick(page)
        drop(page, "one.png", "two.png")
        unfold(page, "References")
        wait_until_idle(page)
        words = ".ipadapter-note, .ipadapter-message, .ipadapter-add, .ipadapter-tab small, figcaption, small"
        assert min(contrasts(page, f".ipadapter-panel :is({words})")) > 4.5, "the contrast that WCAG 2 asks for"


def test_the_whole_weight_is_visible(page: Any) -> None:
    tick(page)
    drop(page, "one.png", "two.png")
    weight = page.locator("[aria-label='Weight of reference 1']")
    weight.fill("0.75")
    needed, there = weight.evaluate("(field) => [field.scrollWidth, field.clientWidth]")
    assert needed <= there
    assert there >= 44, "four characters and the browser's arrows"
