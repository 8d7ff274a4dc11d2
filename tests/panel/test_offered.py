"""What the panel draws only where it has a meaning, and what it says of things on the server that need a decision."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import NORMAL, changed, choose, drop, given, take_type, tick, unfold
from .served import needs_chromium

pytestmark = needs_chromium

BY_WEIGHT_TYPE = ("Composition weight", "Style boost", "Composition boost")
ASK = "([what, more]) => ipAdapter.panels.txt2img.asking.ask(what, more)"


def drawn(page: Any, *labels: str) -> list[str]:
    return [label for label in labels if page.locator(f"input[type=number][aria-label='{label}']").count()]


def test_a_field_is_drawn_only_with_the_weight_types_it_has_a_meaning_for(page: Any) -> None:
    from lib_ipadapter.unit.unit import FIELDS

    tick(page)
    drop(page, "one.png")
    choose(page)
    unfold(page, "Layers and weight types")
    for weight_type in FIELDS["weight_type"].kind.options:
        take_type(page, weight_type)
        names = [name for name, field in FIELDS.items() if weight_type in field.when.get("weight_type", ())]
        assert drawn(page, *BY_WEIGHT_TYPE) == [FIELDS[name].label for name in names]
    assert drawn(page, "Noise") == []
    unfold(page, "Negative references")
    page.select_option("select[aria-label='Noise type']", "fade")
    assert drawn(page, "Noise") == ["Noise"]


def test_a_field_that_is_not_drawn_is_sent_at_its_default_and_comes_back(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page)
    unfold(page, "Layers and weight types")
    take_type(page, "style transfer precise")
    page.fill("input[type=number][aria-label='Style boost']", "0.5")
    take_type(page, "linear")
    (unit,) = given(page)
    del unit["images"]
    assert changed(unit) == {"model": "ip-adapter_sd15.safetensors", **NORMAL}
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") != ""
    take_type(page, "style transfer precise")
    assert page.input_value("input[type=number][aria-label='Style boost']") == "0.5"


def test_a_preset_of_a_later_version_says_what_is_left_out(page: Any) -> None:
    page.evaluate(ASK, ["damage", {"entries": {"later": {"weight": 0.5, "gaze": "left", "hat": 1}}}])
    tick(page)
    drop(page, "a.png")
    unfold(page, "Presets and copies")
    page.select_option("select[aria-label='My presets']", "later")
    message = page.locator(".ipadapter-message")
    assert "Settings applied, except those of a later version: gaze, hat." in message.inner_text()
    assert given(page)[0]["weight"] == 0.5
    page.evaluate(ASK, ["delete preset", {"name": "later"}])


def test_a_damaged_preset_says_why_and_can_be_deleted(page: Any) -> None:
    page.evaluate(ASK, ["damage", {"entries": {"soft": {"weight": 0.5}, "newer": {"weight": 99}}}])
    tick(page)
    unfold(page, "Presets and copies")
    note = page.locator(".ipadapter-group .ipadapter-note.wrong")
    assert note.count() == 1
    sentence = "The preset newer cannot be used: weight must be a number from -5 to 5, not 99."
    assert sentence in note.inner_text()
    assert "update the extension" in note.inner_text()
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("button[aria-label='Delete preset newer']")
    note.wait_for(state="detached")
    assert page.locator("select[aria-label='My presets'] option[value=soft]").count() == 1
    page.evaluate(ASK, ["delete preset", {"name": "soft"}])


def test_a_folder_of_pictures_becomes_a_subject_and_its_files_stay(page: Any) -> None:
    page.evaluate(ASK, ["put folder", {"name": "Dora"}])
    tick(page)
    unfold(page, "References")
    assert "The folder Dora is not a subject yet. Pictures in it: 1." in page.inner_text(".ipadapter-field.subject")
    page.click("button[aria-label='Convert to subject: Dora']")
    page.wait_for_selector(".ipadapter-message:has-text('Saved as Dora.')")
    assert page.locator("button[aria-label='Convert to subject: Dora']").count() == 0
    page.select_option("select[aria-label=Subject]", "Dora")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("button:text-is('Delete subject')")
    page.wait_for_selector(".ipadapter-message:has-text('Deleted Dora.')")
    assert "files in its folder were kept: 1.png." in page.inner_text(".ipadapter-message")


def test_a_name_of_such_a_folder_adds_its_pictures(page: Any) -> None:
    page.evaluate(ASK, ["put folder", {"name": "Emil"}])
    tick(page)
    drop(page, "one.png")
    unfold(page, "References")
    page.click("button:text-is('Save references as subject…')")
    page.fill("input[aria-label='Subject name']", "Emil")
    hint = page.inner_text(".ipadapter-dialog .ipadapter-end .ipadapter-note")
    assert "A folder named Emil already exists" in hint
    page.click(".ipadapter-dialog button[type=submit]")
    page.wait_for_selector(".ipadapter-message:has-text('Saved as Emil.')")
    pictures = page.evaluate(
        "ipAdapter.panels.txt2img.files.subjects.find(({name}) => name === 'Emil').pictures.length"
    )
    assert pictures == 2
    page.evaluate(ASK, ["delete subject", {"name": "Emil"}])
