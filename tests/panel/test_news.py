"""What is new after an update, and the version, in a real browser."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from lib_ipadapter.base.version import VERSION

from .actions import contrasts, tick
from .served import PICTURES, needs_chromium, opened

pytestmark = needs_chromium

LINE = "#ipadapter_txt2img .ipadapter-news"
DIALOG = "#ipadapter_txt2img dialog[open]"


def update(page: Any) -> None:
    """Do on the server what an update does, and list the files again."""
    page.evaluate("ipAdapter.panels.txt2img.asking.ask('update', {seen: '0.1.0'})")
    page.evaluate("ipAdapter.panels.txt2img.server.look()")
    page.wait_for_selector(LINE)


def test_a_new_installation_has_no_news_but_a_version(page: Any) -> None:
    tick(page)
    assert not page.is_visible(LINE)
    assert page.inner_text("#ipadapter_txt2img .ipadapter-version") == f"Version {VERSION}"


def test_what_is_new_is_shown_once(browser: Any, address: str, page: Any) -> None:
    tick(page)
    update(page)
    assert page.inner_text(f"{LINE} span") == f"IP-Adapter was updated to version {VERSION}."
    page.click(f"{LINE} button:text-is('What is new')")
    page.wait_for_selector(f"{DIALOG} li")
    assert {"Added", "Changed", "Fixed"} <= {*page.locator(f"{DIALOG} h4").all_inner_texts()}
    page.locator(DIALOG).screenshot(path=PICTURES / "what-is-new.png")
    page.click(f"{DIALOG} button:text-is('Close')")
    page.wait_for_selector(DIALOG, state="detached")
    assert not page.is_visible(LINE)
    with opened(browser, address, "no-news-again") as later:
        tick(later)
        assert not later.is_visible(LINE)


def test_news_that_were_closed_can_be_read_at_the_version(page: Any) -> None:
    tick(page)
    update(page)
    page.click(f"{LINE} [aria-label=Close]")
    page.wait_for_selector(LINE, state="hidden")
    page.press("#ipadapter_txt2img .ipadapter-version", "Enter")
    page.wait_for_selector(f"{DIALOG} li")
    page.keyboard.press("Escape")
    page.wait_for_selector(DIALOG, state="detached")
    page.wait_for_function("document.activeElement.className.includes('ipadapter-version')")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1500])
def test_they_can_be_read(browser: Any, address: str, theme: str, width: int) -> None:
    size = {"width": width, "height": 1000}
    with opened(browser, f"{address}?__theme={theme}", f"news-{theme}-{width}", viewport=size) as page:
        tick(page)
        update(page)
        for each in (f"{LINE} button", "#ipadapter_txt2img .ipadapter-version"):
            assert min(box.bounding_box()["height"] for box in page.locator(each).all()) >= 32
        page.locator("#ipadapter_txt2img .ipadapter-panel").screenshot(path=PICTURES / f"news-{theme}-{width}-near.png")
        assert min(contrasts(page, f"{LINE} :is(span, button), #ipadapter_txt2img .ipadapter-version")) > 4.5
        page.click(f"{LINE} button:text-is('What is new')")
        page.wait_for_selector(f"{DIALOG} li")
        assert min(contrasts(page, f"{DIALOG} :is(h3, h4, li, button)")) > 4.5
        assert page.evaluate("document.querySelector('dialog[open]').scrollWidth <= innerWidth")
        page.screenshot(path=PICTURES / f"news-{theme}-{width}-dialog.png")
