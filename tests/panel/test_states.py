"""The panel's states in both themes, from a phone's width to a wide screen: nothing is cut off or too small to hit."""

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import choose, coloured, contrasts, customise, drop_colours, tick, unfold, wait_until_idle
from .served import PICTURES, needs_chromium, opened

pytestmark = needs_chromium

WIDTHS = (390, 1024, 1500, 2560)
PART = "dialog[open], .ipadapter-panel"

TOO_WIDE = """(part) => [...document.querySelectorAll(part)]
    .flatMap((root) => [root, ...root.querySelectorAll("*")])
    .filter((each) => each.checkVisibility() && each.clientWidth && each.scrollWidth > each.clientWidth + 1)
    .filter((each) => getComputedStyle(each).overflowX === "visible" && !each.matches("select, .ipadapter-cut"))
    .map((each) => `${each.outerHTML.slice(0, 120)}: ${each.scrollWidth} in ${each.clientWidth}`)"""
"""Parts wider than their place, but for menus, boxes that scroll or end in …, and the crop box's handles."""

TOO_SMALL = """(part) => [...document.querySelectorAll(part)]
    .flatMap((root) => [...root.querySelectorAll("button, select, summary, input, textarea, a.ipadapter-ask")])
    .filter((each) => each.checkVisibility() && getComputedStyle(each).opacity > 0)
    .map((each) => [each, (each.closest("label") ?? each).getBoundingClientRect()])
    .filter(([, {width, height}]) => width && Math.min(width, height) < 31.5)
    .map(([each, {width, height}]) => `${each.outerHTML.slice(0, 120)}: ${width} x ${height}`)"""
"""Controls, with their labels, that are less than 32 pixels wide or high."""


def nothing(page: Any) -> None:
    wait_until_idle(page)


def one_reference(page: Any) -> None:
    drop_colours(page, "red")


def many_references(page: Any) -> None:
    drop_colours(page, *["red", "green", "blue"] * 5)
    customise(page)
    for group in ("Steps", "Layers and weight types", "References", "Region"):
        unfold(page, group)


def faces(page: Any) -> None:
    drop_colours(page, "red", "green")
    choose(page, "ip-adapter-faceid-plusv2_sd15.bin")


def a_missing_file(page: Any) -> None:
    drop_colours(page, "blue")
    choose(page, "ip-adapter-faceid-portrait_sd15.bin")
    page.wait_for_selector("button:has-text('Get ViT-H')")


def the_region_editor(page: Any) -> None:
    drop_colours(page, "green")
    unfold(page, "Region")
    page.click(".ipadapter-field.mask [title='Left half']")
    page.click("button:text-is('Draw…')")
    page.wait_for_selector("dialog[open] canvas")


def crop(page: Any) -> None:
    wide = {"name": "wide.png", "mimeType": "image/png", "buffer": coloured("green", 640, 360)}
    page.set_input_files(".ipadapter-left .ipadapter-add input[type=file]", [wide])
    page.click("[aria-label='Part of reference 1 to use']")
    page.wait_for_selector("dialog[open] button:text-is('Face 1')")


def an_update(page: Any) -> None:
    page.evaluate("ipAdapter.panels.txt2img.asking.ask('update', {seen: '0.1.0'})")
    page.evaluate("ipAdapter.panels.txt2img.server.look()")
    page.wait_for_selector(".ipadapter-news")


def what_is_new(page: Any) -> None:
    page.click(".ipadapter-version >> nth=0")
    page.wait_for_selector("dialog[open] li")


@pytest.mark.parametrize(
    "state",
    [
        *(nothing, one_reference, many_references, faces, a_missing_file, the_region_editor, crop),
        *(an_update, what_is_new),
    ],
)
def test_everything_fits_and_can_be_hit(browser: Any, address: str, state: Callable[[Any], None]) -> None:
    with opened(browser, address, f"state-{state.__name__}", viewport={"width": 1024, "height": 900}) as page:
        tick(page)
        state(page)
        wait_until_idle(page)
        found: list[str] = []
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            for theme in ("light", "dark"):
                page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
                name = f"state-{state.__name__}-{theme}-{width}.png"
                page.screenshot(path=PICTURES / name, full_page=not page.locator("dialog[open]").count())
            found += [f"{width} px: {each}" for each in page.evaluate(TOO_WIDE, PART) + page.evaluate(TOO_SMALL, PART)]
            found += [f"{width} px: scrolls sideways"] * page.evaluate(
                "document.documentElement.scrollWidth > innerWidth"
            )
        assert not found, "\n".join(found)


REDNESS = """() => {
    const {color} = getComputedStyle(document.querySelector(".ipadapter-panel .wrong"));
    const [red, green, blue] = color.match(/[\\d.]+/g);
    return red / Math.max(green, blue);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_stops_is_red_and_readable(browser: Any, address: str, theme: str) -> None:
    with opened(browser, f"{address}?__theme={theme}", f"state-stops-{theme}") as page:
        tick(page)
        a_missing_file(page)
        assert page.evaluate(REDNESS) > 1.5, "gradio 4's colour for errors is nearly white in the dark theme"
        assert min(contrasts(page, ".ipadapter-panel .wrong")) > 4.5
