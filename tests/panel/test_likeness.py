"""The table of likenesses below the gallery, in a real browser, from the lines that the server tells."""

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .served import needs_chromium, opened

pytestmark = needs_chromium


def texts() -> dict[str, str]:
    """Return texts of the room that tells the lines, which needs torch to be imported."""
    room = Path(__file__).resolve().parents[2] / "lib_ipadapter" / "review" / "likeness_report.py"
    found: dict[str, str] = {}
    for node in ast.parse(room.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Constant, ast.Tuple)):
            names, value = ast.unparse(node.targets[0]).strip("()"), ast.literal_eval(node.value)
            found |= dict(zip(names.split(", "), value if isinstance(value, tuple) else [value], strict=True))
    return found


TITLE, NO_FACE, ELSEWHERE = (texts()[name] for name in ("TITLE", "NO_FACE", "ELSEWHERE"))
TABLE = "#html_log_txt2img table"
LINES = (
    "before <b>",
    TITLE,
    "Picture 1, unit 1: 0.62 0.31",
    f"Picture 1, unit 2: {NO_FACE}. Low: Its weight is 0.3. It ends at 0.5 of the steps.",
    f"Picture 2, unit 1: {ELSEWHERE}. Low: Another reference may help, or a prompt.",
    "Picture of something else: 1",
    "",
)


def comment(page: Any, *lines: str) -> None:
    page.fill("#comments textarea", "\n".join(lines))
    page.click("#comment")


def rows(page: Any) -> list[list[str]]:
    return page.evaluate(
        f"[...document.querySelectorAll('{TABLE} tr')].map((r) => [...r.cells].map((c) => c.innerText))"
    )


def test_lines_become_rows_and_others_stay(page: Any) -> None:
    comment(page, *LINES)
    page.wait_for_selector(TABLE)
    assert rows(page) == [
        ["Picture", "Unit", "Likeness", "What may help"],
        ["1", "1", "0.62, 0.31", ""],
        ["1", "2", "no face", "Its weight is 0.3. It ends at 0.5 of the steps."],
        ["2", "1", "no face in its region", "Another reference may help, or a prompt."],
    ]
    assert "no identity verification" in page.inner_text(f"{TABLE} caption")
    told = page.inner_text("#html_log_txt2img")
    assert "before <b>" in told
    assert "Picture of something else: 1" in told
    assert TITLE not in told
    assert "Picture 1, unit 1" not in told
    assert page.locator(f"{TABLE} tr.low").count() == 2


def test_the_next_run_has_a_table_of_its_own(page: Any) -> None:
    for likeness in ("0.62", "0.33"):
        comment(page, TITLE, f"Picture 1, unit 1: {likeness}")
        page.wait_for_selector(f"{TABLE} td:text-is('{likeness}')")
        assert page.locator(TABLE).count() == 1
    comment(page, "nothing of this")
    page.wait_for_selector(TABLE, state="detached")
    assert page.inner_text("#html_log_txt2img").strip() == "nothing of this"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_can_be_read_in_either_theme(browser: Any, address: str, theme: str) -> None:
    with opened(browser, f"{address}?__theme={theme}", f"likeness-{theme}") as page:
        comment(page, *LINES)
        page.wait_for_selector(TABLE)
        contrasts = page.evaluate(
            """(table) => {
                const level = (colour) => {
                    const [red, green, blue] = colour.match(/[\\d.]+/g).map((part) => Number(part) / 255);
                    return 0.2126 * red ** 2.2 + 0.7152 * green ** 2.2 + 0.0722 * blue ** 2.2;
                };
                const behind = (part) => {
                    for (; part; part = part.parentElement) {
                        const {backgroundColor} = getComputedStyle(part);
                        if (!/, 0\\)$/.test(backgroundColor)) return backgroundColor;
                    }
                    return "rgb(255, 255, 255)";
                };
                return [...document.querySelectorAll(`${table} :is(caption, th, td)`)].map((part) => {
                    const pair = [level(getComputedStyle(part).color), level(behind(part))];
                    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
                });
            }""",
            TABLE,
        )
        assert min(contrasts) > 4.5, "the contrast that WCAG 2 asks for"
