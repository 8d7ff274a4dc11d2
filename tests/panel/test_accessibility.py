"""The panel and its dialogs have no violation of WCAG 2, levels A and AA, that axe-core finds."""

import importlib.util
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from check_scripts import installed

from .actions import choose, drop, tick, unfold, wait_until_idle
from .served import PICTURES, needs_chromium, opened

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not shutil.which("npm"), reason="npm was not found, which installs axe-core"),
]

FOLDED = (
    "Steps",
    "Layers and weight types",
    "References",
    "Region",
    "Negative references",
    "Composition references",
    "Presets and copies",
)
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
FACE_ADAPTER = "ip-adapter-faceid-plusv2_sd15.bin"
RUN = """async ([place, levels]) => {
    const {violations} = await axe.run({include: [place]}, {runOnly: levels});
    return violations.flatMap(({id, nodes}) => nodes.map(({html, any, all, none}) =>
        `${id}: ${html.slice(0, 200)} (${[...any, ...all, ...none].map(({message}) => message).join("; ")})`));
}"""


def check_pictures(page: Any) -> None:
    page.click("button:text-is('Check references')")
    page.wait_for_selector("text=take a sharper one")


def draw_region(page: Any) -> None:
    page.click("button:text-is('Draw…')")
    page.wait_for_selector("dialog[open] canvas")


def crop_reference(page: Any) -> None:
    page.click("[aria-label='Part of reference 1 to use']")
    page.wait_for_selector("dialog[open] button:text-is('Face 1')")


def paint_reference(page: Any) -> None:
    crop_reference(page)
    page.click("dialog button:text-is('Paint')")


def name_subject(page: Any) -> None:
    page.click("button:text-is('Save references as subject…')")
    page.wait_for_selector("dialog[open] img")


def get_models(page: Any) -> None:
    page.evaluate("ipAdapter.panels.txt2img.asking.ask('set downloads', {held: true, states: {}})")
    page.click("button:text-is('Get models…')")
    page.click("dialog[open] button[value=use]")
    page.wait_for_selector("dialog[open] .ipadapter-fetching >> nth=1")
    page.check("dialog [aria-label='FaceID Plus v2, likeness, SD 1.5'] input")
    page.click("dialog summary")


def see_downloads(page: Any) -> None:
    page.wait_for_selector(".ipadapter-downloading:not([hidden])")


def ask_what_is_wrong(page: Any) -> None:
    page.click("#txt2img_generate")
    page.fill("#comments textarea", "a picture")
    page.click("#comment")
    page.click(".ipadapter-after summary >> nth=0")
    page.click(".ipadapter-after button:text-is('Burnt')")
    page.wait_for_selector(".ipadapter-repair button")
    page.click(".ipadapter-log summary")


def copy_report(page: Any) -> None:
    page.click("button:text-is('Copy report')")
    page.wait_for_selector(".ipadapter-foot textarea")


def save_recipe(page: Any) -> None:
    page.click("button:text-is('Save as recipe…')")
    page.wait_for_selector("dialog[open] input[type=checkbox]")


def see_news(page: Any) -> None:
    page.evaluate("ipAdapter.panels.txt2img.asking.ask('update', {seen: '0.1.0'})")
    page.evaluate("ipAdapter.panels.txt2img.server.look()")
    page.wait_for_selector(".ipadapter-news")


def read_news(page: Any) -> None:
    page.click("button:text-is('What is new')")
    page.wait_for_selector("dialog[open] li")


PLACES: Mapping[Callable[[Any], None], str] = {
    wait_until_idle: ".ipadapter-panel",
    check_pictures: ".ipadapter-panel",
    draw_region: ".ipadapter-dialog",
    crop_reference: ".ipadapter-dialog",
    paint_reference: ".ipadapter-dialog",
    name_subject: ".ipadapter-dialog",
    get_models: ".ipadapter-dialog",
    see_downloads: ".ipadapter-downloading",
    ask_what_is_wrong: ".ipadapter-after",
    copy_report: ".ipadapter-foot",
    save_recipe: ".ipadapter-dialog",
    see_news: ".ipadapter-news",
    read_news: ".ipadapter-dialog",
}
"""What opens a part of the page, and where that part is."""


def open_all(page: Any) -> None:
    """Let the panel show pictures, a face adapter, a region, and every group of controls."""
    page.set_viewport_size({"width": 1100, "height": 1600})
    page.evaluate("ipAdapter.panels.txt2img.asking.ask('damage', {entries: {newer: {weight: 99}}})")
    page.evaluate("ipAdapter.panels.txt2img.asking.ask('set downloads', {})")
    page.evaluate("ipAdapter.panels.txt2img.asking.ask('put folder', {name: 'Dora'})")
    tick(page)
    drop(page, "one.png", "two.png")
    choose(page, FACE_ADAPTER)
    for group in FOLDED:
        unfold(page, group)
    page.click(".ipadapter-field.mask [title='Left half']")
    page.click("[aria-label='Use reference 2']")
    page.click("[aria-label='Show all recent references']")
    wait_until_idle(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(browser: Any, address: str, theme: str) -> None:
    with opened(browser, f"{address}?__theme={theme}", f"accessibility-{theme}") as page:
        open_all(page)
        page.add_script_tag(path=installed() / "axe-core" / "axe.min.js")
        found: list[str] = []
        for open_it, place in PLACES.items():
            open_it(page)
            found += page.evaluate(RUN, [place, LEVELS])
            if "dialog" in place:
                page.screenshot(path=PICTURES / f"accessibility-{theme}-{open_it.__name__}.png")
                page.click("dialog .ipadapter-end button:not(.primary)")
        page.evaluate("ipAdapter.panels.txt2img.asking.ask('set downloads', {})")
        assert "\n".join(found) == ""
