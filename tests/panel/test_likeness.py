"""The likeness report's table below the gallery, in a real browser, made from the server's answer."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import contrasts, tick
from .page import TITLE
from .served import needs_chromium, opened

pytestmark = needs_chromium


TABLE = "#html_log_txt2img table"
LINES = ("before <b>", TITLE, "Picture of something else: 1", "")


def comment(page: Any, *lines: str) -> None:
    page.fill("#comments textarea", "\n".join(lines))
    page.click("#comment")


def rows(page: Any) -> list[list[str]]:
    return page.evaluate(
        f"[...document.querySelectorAll('{TABLE} tr')].map((r) => [...r.cells].map((c) => c.innerText))"
    )


def test_the_table_replaces_the_reports_title_and_other_lines_stay(page: Any) -> None:
    tick(page)
    comment(page, *LINES)
    page.wait_for_selector(TABLE)
    assert rows(page) == [
        ["Picture", "Unit", "Likeness", "Suggestions"],
        ["1", "1", "0.62, 0.31", ""],
        ["1", "2", "no face", "Its weight is 0.3. It ends at 0.5 of the steps."],
        ["2", "1", "no face in its region", "Try another reference, or a prompt."],
    ]
    assert "not identity verification" in page.inner_text(f"{TABLE} caption")
    shown = page.inner_text("#html_log_txt2img")
    assert "before <b>" in shown
    assert "Picture of something else: 1" in shown
    assert TITLE not in shown
    assert page.locator(f"{TABLE} tr.low").count() == 2


def test_the_next_generation_has_its_own_table(page: Any) -> None:
    tick(page)
    for before in ("first", "second"):
        comment(page, before, TITLE)
        page.wait_for_selector(f"#html_log_txt2img:has-text('{before}') table")
        assert page.locator(TABLE).count() == 1
    comment(page, "nothing of this")
    page.wait_for_selector(TABLE, state="detached")
    assert page.inner_text("#html_log_txt2img").strip() == "nothing of this"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_table_has_enough_contrast_in_both_themes(browser: Any, address: str, theme: str) -> None:
    with opened(browser, f"{address}?__theme={theme}", f"likeness-{theme}") as page:
        tick(page)
        comment(page, *LINES)
        page.wait_for_selector(TABLE)
        assert min(contrasts(page, f"{TABLE} :is(caption, th, td)")) > 4.5, "the contrast that WCAG 2 asks for"
