"""After a generation in a real web UI: what is wrong with it, the report, and recipes."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from makers import file_of, picture
from panel.actions import IDLE, LISTED
from panel.served import CHROMIUM

from host.pages import PANEL, opened
from host.webui import Files, WebUI, use_adapter

if not (importlib.util.find_spec("playwright") and CHROMIUM):
    pytest.skip("no playwright or no Chromium", allow_module_level=True)

AFTER = "#txt2img_results .ipadapter-after"


@pytest.fixture(scope="module")
def page(webui: WebUI, files: Files, browser: Any) -> Iterator[Any]:
    """A page on which one picture was generated with one unit."""
    model = use_adapter(webui, files)
    with opened(browser, webui.url, "after", width=1500, height=1200) as page:
        begin(page, f"{model}.safetensors")
        yield page


def begin(page: Any, model: str) -> None:
    page.click(f"{PANEL} :is(.label-wrap, .label-wrap [role=button]) >> nth=0")
    page.wait_for_function(LISTED)
    content = file_of(picture(120, 90, 1))
    page.set_input_files(
        f"{PANEL} .ipadapter-left input[type=file]", [{"name": "1.png", "mimeType": "image/png", "buffer": content}]
    )
    page.select_option(f"{PANEL} select[aria-label=Adapter]", model)
    page.wait_for_function(IDLE)
    generate(page, 4)


def generate(page: Any, steps: int) -> None:
    for name, value in (("width", 128), ("height", 128), ("steps", steps)):
        page.fill(f"#txt2img_{name} input[type=number]", str(value))
    page.click("#txt2img_generate")
    page.wait_for_function("ipAdapter.panels.txt2img.generations.running === null")
    page.wait_for_selector(f"{AFTER}:visible")


def answer(page: Any, text: str) -> list[str]:
    if page.get_attribute(f"{AFTER} > details", "open") is None:
        page.click(f"{AFTER} summary >> nth=0")
    page.click(f"{AFTER} button:text-is('{text}')")
    page.wait_for_function("ipAdapter.panels.txt2img.repairs.offered !== null")
    return page.locator(f"{AFTER} .ipadapter-repair button").all_inner_texts()


def test_a_repair_changes_the_unit_and_the_log_says_so(page: Any) -> None:
    assert answer(page, "Too strong") == ["Strength: light", "End 0.6"]
    page.click(f"{AFTER} button:text-is('End 0.6')")
    generate(page, 4)
    assert page.evaluate("ipAdapter.panels.txt2img.repairs.log.runs.slice(-1)[0].changes") == ["Unit 1: End 0.8 → 0.6"]


def test_the_web_uis_own_field_is_changed_and_put_back(page: Any) -> None:
    field = "#txt2img_cfg_scale input[type=number]"
    before = page.input_value(field)
    assert answer(page, "Burnt")[-1] == "CFG scale 5"
    page.click(f"{AFTER} button:text-is('CFG scale 5')")
    assert page.input_value(field) == "5"
    page.click(f"{AFTER} button:text-is('Undo')")
    assert page.input_value(field) == before


def test_one_step_is_named_as_the_reason_why_nothing_changed(page: Any) -> None:
    generate(page, 1)
    assert answer(page, "Nothing changed") == ["Start 0"]


def test_the_report_names_the_web_ui_and_no_file(page: Any) -> None:
    page.evaluate("void (navigator.clipboard.writeText = async (text) => { window.copied = text; })")
    page.click(f"{PANEL} button:text-is('Copy report')")
    page.wait_for_selector(f"{PANEL} .ipadapter-foot textarea")
    copied = page.evaluate("copied")
    assert "web UI: " in copied
    assert "unit 1: " in copied
    assert "host-" not in copied, "the adapter's name"
    page.click(f"{PANEL} .ipadapter-foot button:text-is('Close')")


def test_a_recipe_is_downloaded_and_taken(page: Any) -> None:
    page.click(f"{PANEL} summary:text-is('Presets and copies')")
    page.click(f"{PANEL} button:text-is('Save as recipe…')")
    page.fill("[aria-label='Name of the recipe']", "soft")
    with page.expect_download() as caught:
        page.click("dialog button[value=use]")
    text = Path(caught.value.path()).read_bytes()
    assert json.loads(text)["adapter"]["sha256"]
    file = {"name": caught.value.suggested_filename, "mimeType": "application/json", "buffer": text}
    page.set_input_files(f"{PANEL} [aria-label='Take a recipe…']", file)
    page.wait_for_selector(f"{PANEL} .ipadapter-message:has-text('Recipe taken.')")
