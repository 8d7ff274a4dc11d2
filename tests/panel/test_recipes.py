"""Recipes are downloaded and taken, in a real browser."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import changed, choose, contrasts, drop, fill, given, tick, unfold, wait_until_idle
from .served import PICTURES, needs_chromium, opened

pytestmark = needs_chromium

PLUS = "ip-adapter-plus_sd15.safetensors"
DROP = """([place, text]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([text], "a.ipadapter.json", {type: "application/json"}));
    const options = {bubbles: true, cancelable: true, dataTransfer};
    const target = document.querySelector(place);
    const over = !target.dispatchEvent(new DragEvent("dragover", options));
    target.dispatchEvent(new DragEvent("drop", options));
    return over;
}"""


def begun(page: Any) -> None:
    tick(page)
    drop(page, "a.png")
    choose(page, PLUS)
    fill(page, "Weight", "0.6")
    unfold(page, "Presets and copies")
    wait_until_idle(page)


def save(page: Any, name: str, pictures: bool = False) -> tuple[str, str]:
    """Save the unit as a recipe; return the file's name and text."""
    page.click("button:text-is('Save as recipe…')")
    page.fill("[aria-label='Name of the recipe']", name)
    if pictures:
        page.check("dialog input[type=checkbox]")
    with page.expect_download() as caught:
        page.click("dialog button[value=use]")
    return caught.value.suggested_filename, Path(caught.value.path()).read_text(encoding="utf-8")


def take(page: Any, text: str) -> None:
    page.set_input_files(
        "[aria-label='Take a recipe…']",
        {"name": "a.ipadapter.json", "mimeType": "application/json", "buffer": text.encode()},
    )
    page.wait_for_selector(".ipadapter-message:has-text('recipe')")


def test_settings_are_saved_and_taken_while_pictures_stay(page: Any) -> None:
    begun(page)
    name, text = save(page, "soft")
    assert name == "soft.ipadapter.json"
    assert json.loads(text)["unit"] == {"weight": 0.6, "start": 0.2, "end": 0.8}
    fill(page, "Weight", "1.5")
    take(page, text)
    assert "Recipe taken." in page.inner_text(".ipadapter-message")
    (unit,) = given(page)
    assert (unit["weight"], unit["model"], len(unit["images"])) == (0.6, PLUS, 1)
    page.click(".ipadapter-message button:text-is('Undo')")
    assert given(page)[0]["weight"] == 1.5


def test_a_recipe_with_pictures_fills_an_empty_unit_by_dropping(page: Any) -> None:
    begun(page)
    _, text = save(page, "soft", pictures=True)
    assert len(json.loads(text)["unit"]["images"]) == 1
    page.click(".ipadapter-tab >> nth=1")
    page.wait_for_selector("text=Drop a picture to begin.")
    assert page.evaluate(DROP, [".ipadapter-references", text]), "the browser would open the file"
    page.wait_for_selector(".ipadapter-message:has-text('Recipe taken.')")
    first, second = given(page)
    assert changed(first) == changed(second)


def test_what_does_not_fit_is_said(page: Any) -> None:
    begun(page)
    recipe = {"recipe": 2, "extension": "9.9", "unit": {"weight": 0.3, "sharpness": 1}, "adapter": {"file": "x.bin"}}
    take(page, json.dumps(recipe))
    message = page.inner_text(".ipadapter-message")
    assert "does not know sharpness" in message
    assert "x.bin is not here" in message
    take(page, '{"unit": 3}')
    assert "This is not a recipe." in page.inner_text(".ipadapter-message.wrong")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1500])
def test_it_can_be_read(browser: Any, address: str, theme: str, width: int) -> None:
    size = {"width": width, "height": 1000}
    with opened(browser, f"{address}?__theme={theme}", f"recipes-{theme}-{width}", viewport=size) as page:
        begun(page)
        page.locator(".ipadapter-folds").screenshot(path=PICTURES / f"recipes-{theme}-{width}-near.png")
        page.click("button:text-is('Save as recipe…')")
        page.fill("[aria-label='Name of the recipe']", "soft")
        assert min(contrasts(page, "dialog :is(h3, span, label, button)")) > 4.5
        page.screenshot(path=PICTURES / f"recipes-{theme}-{width}-dialog.png")
        page.keyboard.press("Escape")
