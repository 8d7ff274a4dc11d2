"""Copy report, in a real browser."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import choose, contrasts, drop, fill, tick
from .served import PICTURES, needs_chromium, opened

pytestmark = needs_chromium

FOOT = ".ipadapter-foot"
SPY = "void (navigator.clipboard.writeText = async (text) => { window.copied = text; })"


def test_the_report_is_copied_and_shown(page: Any) -> None:
    tick(page)
    drop(page, "a.png")
    choose(page)
    fill(page, "Weight", "99")
    page.press("input[aria-label=Weight][type=number]", "Tab")  # shows the error, which moves what is below
    page.evaluate(SPY)
    page.click(f"{FOOT} button:text-is('Copy report')")
    page.wait_for_selector(f"{FOOT} textarea")
    assert page.evaluate("copied") == page.input_value(f"{FOOT} textarea")
    assert "1 units" in page.evaluate("copied")
    assert "Weight must be a number from -5 to 5." in page.evaluate("copied"), "the last error"
    page.click(f"{FOOT} button:text-is('Close')")
    assert page.locator(f"{FOOT} textarea").count() == 0


def test_an_unticked_empty_panel_has_one_too(page: Any) -> None:
    page.evaluate("void (navigator.clipboard.writeText = async () => { throw new Error('forbidden'); })")
    page.click(f"{FOOT} button:text-is('Copy report')")
    page.wait_for_selector("[aria-label='Text to copy']")
    assert "0 units" in page.input_value("[aria-label='Text to copy']")
    assert page.evaluate("getSelection().toString() || document.activeElement.value").startswith("IP-Adapter report")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1500])
def test_it_can_be_read(browser: Any, address: str, theme: str, width: int) -> None:
    size = {"width": width, "height": 1000}
    with opened(browser, f"{address}?__theme={theme}", f"report-{theme}-{width}", viewport=size) as page:
        page.evaluate(SPY)
        page.click(f"{FOOT} button:text-is('Copy report')")
        page.wait_for_selector(f"{FOOT} textarea")
        assert min(contrasts(page, f"{FOOT} :is(button, span, textarea)")) > 4.5
        assert page.evaluate(f"document.querySelector('{FOOT}').scrollWidth <= innerWidth")
        page.locator(".ipadapter-panel").first.screenshot(path=PICTURES / f"report-{theme}-{width}-near.png")
