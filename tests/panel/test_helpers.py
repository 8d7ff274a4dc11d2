"""What helps the user in the panel: the summary, presets, copies, the plot, the reference check, subjects."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import (
    changed,
    choose,
    colour_of,
    coloured,
    colours,
    drop,
    drop_colours,
    fill,
    given,
    show_all,
    take_type,
    tick,
    unfold,
    wait_until_idle,
)
from .served import needs_chromium

pytestmark = needs_chromium

PLUS = "ip-adapter-plus_sd15.safetensors"
KEPT = "Presets and copies"


def tab(page: Any, number: int) -> str:
    return page.inner_text(f".ipadapter-tab >> nth={number - 1}").replace("\n", " ")


def settings(page: Any) -> dict[str, Any]:
    """Return the first unit's fields that differ from the defaults, without its pictures."""
    return {name: value for name, value in changed(given(page)[0]).items() if name != "images"}


def test_a_tab_summarises_its_unit(page: Any) -> None:
    tick(page)
    assert tab(page, 1) == "Unit 1"
    drop(page, "one.png", "two.png")
    assert tab(page, 1) == "Unit 1 Plus · 0.8 · 2 refs", "the first that suits"
    page.select_option("select[aria-label=Adapter]", "")
    assert tab(page, 1) == "Unit 1 no adapter · 0.8 · 2 refs"
    choose(page, PLUS)
    fill(page, "Weight", "0.7")
    assert tab(page, 1) == "Unit 1 Plus · 0.7 · 2 refs"
    assert page.locator(".ipadapter-tab.used").count() == 1
    page.click("button[aria-label='Remove reference 2']")
    assert tab(page, 1) == "Unit 1 Plus · 0.7 · 1 ref"
    page.uncheck("text=Enable this unit")
    assert page.locator(".ipadapter-tab.used").count() == 0
    assert "Plus" in tab(page, 1)


def test_adapters_are_grouped_by_family_with_misfits_last(page: Any) -> None:
    tick(page)
    show_all(page)
    groups = page.locator("select[aria-label=Adapter] optgroup")
    names = [group.get_attribute("label") for group in groups.all()]
    assert names == ["Base", "FaceID Plus v2", "FaceID Portrait", "InstantID", "Plus", "Not compatible"]
    assert groups.last.locator("option").count() == 1


def test_a_missing_file_of_an_adapter_is_shown_in_the_unit(page: Any) -> None:
    tick(page)
    show_all(page)
    option = page.locator("option[value='ip-adapter-faceid-portrait_sd15.bin']")
    assert "⚠" in option.inner_text()
    choose(page, "ip-adapter-faceid-portrait_sd15.bin")
    assert page.locator(".ipadapter-right .ipadapter-note.wrong", has_text="insightface").count() == 1


def test_own_presets_are_saved_applied_and_deleted(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, PLUS)
    fill(page, "Weight", "0.35")
    unfold(page, KEPT)
    page.once("dialog", lambda dialog: dialog.accept('soft, "very"'))
    page.click("button:text-is('Save as preset…')")
    page.wait_for_selector('text=Saved as soft, "very".')
    page.click(".ipadapter-tab:has-text('Unit 2')")
    drop(page, "two.png")
    page.select_option("select[aria-label='My presets']", 'soft, "very"')
    second = given(page)[1]
    assert (second["model"], second["weight"], len(second["images"])) == (PLUS, 0.35, 1)
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("button:text-is('Delete preset')")
    page.wait_for_selector("text=Deleted soft")
    assert page.locator("select[aria-label='My presets']").count() == 0


def test_new_units_begin_with_the_settings_chosen_for_them(page: Any) -> None:
    weight = "input[type=number][aria-label=Weight]"
    tick(page)
    drop(page, "one.png")
    choose(page, PLUS)
    fill(page, "Weight", "0.35")
    unfold(page, KEPT)
    page.click("button:text-is('Use for new units')")
    page.wait_for_selector("text=Saved as Default.")
    assert page.is_disabled("button:text-is('Use for new units')")
    page.click(".ipadapter-tab:has-text('Unit 2')")
    show_all(page)
    assert page.input_value(weight) == "0.35"
    page.evaluate("ipAdapter.restore('txt2img', 1, JSON.stringify({model: 'a', end: 0.5}))")
    assert page.input_value(weight) == "1", "what a picture was made with has the API's defaults"
    page.click("button:text-is('Reset')")
    show_all(page)
    assert page.input_value(weight) == "0.35"
    page.fill(weight, "0.7")
    page.click(".ipadapter-tab:has-text('Unit 1')")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("button:text-is('Delete preset')")
    page.wait_for_selector("text=Deleted Default.")
    weights = page.evaluate("ipAdapter.panels.txt2img.state.all.map(({weight}) => weight)")
    assert weights == [0.35, 0.7, 0.8, 0.8, 0.8]


def test_a_unit_can_be_copied_and_reset(page: Any) -> None:
    tick(page)
    assert page.locator("[aria-label='Copy from another unit']").count() == 0, "there is none"
    drop_colours(page, "red", "green")
    choose(page, PLUS)
    fill(page, "Weight", "0.6")
    page.click(".ipadapter-tab:has-text('Unit 3')")
    page.select_option("[aria-label='Copy from another unit']", "txt2img 1")
    first, third = given(page)
    assert first == third
    page.fill("[aria-label='Weight of reference 1']", "0.2")
    assert "weight" not in given(page)[0]["images"][0], "a copy, not the same"
    unfold(page, KEPT)
    page.click("button:text-is('Reset')")
    assert len(given(page)) == 1
    page.click(".ipadapter-message button:text-is('Undo')")
    assert len(given(page)) == 2


def bars(page: Any) -> list[float]:
    """Return the heights of the plot's bars."""
    wait_until_idle(page)
    return [float(bar.get_attribute("height")) for bar in page.locator(".ipadapter-plot rect").all()]


def test_the_plots_follow_the_controls(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, PLUS)
    for group in ("Layers and weight types", "Steps"):
        unfold(page, group)
    fill(page, "Weight", "1")
    assert bars(page) == [60.0] * 16
    fill(page, "Weight", "0.5")
    assert bars(page) == [30.0] * 16
    page.click(".ipadapter-chip:text-is('Composition')")
    assert [index for index, high in enumerate(bars(page)) if high > 1] == [4, 5]
    page.fill("[aria-label='Hires weight']", "0.2")
    assert len(bars(page)) == 32, "a plot each pass"
    page.fill("[aria-label=Layers]", "99:1")
    page.wait_for_selector(".ipadapter-plot .wrong")
    assert "from 0 to 56" in page.inner_text(".ipadapter-plot .wrong")


def test_an_adapter_for_flux_shows_its_blocks(page: Any) -> None:
    """And only the weight types that have a meaning for them."""
    tick(page)
    drop(page, "one.png")
    choose(page, PLUS)
    page.evaluate(
        "(name) => { ipAdapter.panels.txt2img.files.models.find((m) => m.name === name).base = 'FLUX'; }", PLUS
    )
    unfold(page, "Layers and weight types")
    fill(page, "Weight", "1")
    assert bars(page) == [60.0] * 19
    assert page.locator(".ipadapter-plot rect.double").count() == 19
    legend = page.locator(".ipadapter-legend span").all_inner_texts()
    assert legend == ["double blocks", "moves away from the reference"]


def test_what_moves_away_is_red(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    unfold(page, "Layers and weight types")
    fill(page, "Weight", "-1")
    wait_until_idle(page)
    assert page.locator(".ipadapter-plot rect.away").count() == 16
    take_type(page, "style transfer precise")
    wait_until_idle(page)
    fill_of = "(bar) => getComputedStyle(bar).fill"
    away, legend = page.locator(".ipadapter-plot rect.away"), ".ipadapter-legend i.away"
    assert away.count() == 13, "the style layers by the weight, the composition layers by the boost"
    assert away.first.evaluate(fill_of) == page.eval_on_selector(
        legend, "(one) => getComputedStyle(one).backgroundColor"
    )


def test_concurrent_requests_get_their_own_answers(page: Any) -> None:
    tick(page)
    answers = page.evaluate(
        """() => Promise.all([
            ipAdapter.panels.txt2img.asking.ask("subjects"),
            ipAdapter.panels.txt2img.asking.ask("fail"),
            ipAdapter.panels.txt2img.asking.ask("list"),
        ])"""
    )
    assert [sorted(answer) for answer in answers] == [
        ["adoptable", "subjects"],
        ["message"],
        [
            "asks",
            "base",
            "damaged_presets",
            "finds_faces",
            "models",
            "news",
            "partial_presets",
            "presets",
            "saved",
            "strengths",
            "suited",
            "titles",
        ],
    ]
    assert "console" in answers[1]["message"]


def test_the_encoder_input_and_advice_are_shown_below_each_reference(page: Any) -> None:
    tick(page)
    drop(page, "one.png", "two.png")
    choose(page, PLUS)
    page.click("button:text-is('Check references')")
    page.wait_for_selector(".ipadapter-reference .ipadapter-note >> nth=1")
    assert page.locator(".ipadapter-reference .ipadapter-seen img").count() == 2
    assert "take a sharper one" in page.inner_text(".ipadapter-reference .ipadapter-note >> nth=0")
    assert "All is one." in page.inner_text(".ipadapter-left")
    assert set(given(page)[0]["images"][0]) == {"image"}
    unfold(page, "References")
    page.select_option("select[aria-label=Crop]", "pad")
    assert page.locator(".ipadapter-seen").count() == 0, "what was seen is not what will be seen"
    assert "All is one." not in page.inner_text(".ipadapter-left")
    page.select_option("select[aria-label=Crop]", "center")
    set_crop(page, "top")
    assert page.locator(".ipadapter-reference .ipadapter-seen img").count() == 1


def test_long_work_shows_its_progress_like_the_web_ui_and_can_be_stopped(page: Any) -> None:
    asked: list[Any] = []

    def progress(route: Any) -> None:
        asked.append(route.request.post_data_json["id_task"])
        route.fulfill(json={"active": True, "textinfo": f"IP-Adapter: checking the pictures, {len(asked)} of 9"})

    page.route("**/internal/progress", progress)
    page.evaluate(
        """() => {
            const made = Object.assign(document.createElement("button"), {id: "txt2img_interrupt"});
            const button = document.querySelector("#txt2img_interrupt") || document.body.appendChild(made);
            button.addEventListener("click", () => (button.dataset.stopped = "yes"));
        }"""
    )
    tick(page)
    choose(page, PLUS)
    drop(page, "a.png")
    unfold(page, "References")
    page.click("button:text-is('Save references as subject…')")
    page.fill("dialog [aria-label='Subject name']", "slow")
    page.click("dialog button:text-is('Save')")
    stop = page.locator(".ipadapter-message:has-text('checking the pictures, 1 of 9') button:text-is('Stop')")
    stop.evaluate("(button) => button.click()")  # a pointer may be late, because each answer draws a new button
    assert page.get_attribute("#txt2img_interrupt", "data-stopped") == "yes"
    page.wait_for_selector("text=checking the pictures, 2 of 9")
    page.wait_for_selector(".ipadapter-message:has-text('Saved as slow.')")
    assert len(set(asked)) == 1
    assert asked[0].startswith("task(ipadapter-")
    page.wait_for_timeout(700)  # longer than the interval between progress requests
    assert "Saved as slow." in page.inner_text(".ipadapter-message")


def test_faces_are_numbered_and_chosen_by_a_click(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, "ip-adapter-faceid-plusv2_sd15.bin")
    page.click("button:text-is('Check references')")
    page.wait_for_selector(".ipadapter-faces rect >> nth=1")
    picture, face = (
        page.eval_on_selector(at, "(one) => one.getBoundingClientRect().toJSON()")
        for at in (".ipadapter-reference > img", ".ipadapter-faces rect")
    )
    side = min(picture["width"], picture["height"])  # a square picture inside
    left, top = picture["x"] + (picture["width"] - side) / 2, picture["y"] + (picture["height"] - side) / 2
    assert face["x"] == pytest.approx(left + side * 0.1, abs=2)
    assert face["y"] == pytest.approx(top + side * 0.2, abs=2)
    page.click("[aria-label='Use face 1']")
    assert given(page)[0]["face"] == 1
    assert page.input_value("select[aria-label=Face]") == "1"
    choose(page)
    assert page.locator(".ipadapter-faces").count() == 0


def set_crop(page: Any, crop: str) -> None:
    """Choose how the second reference becomes square."""
    page.click("[aria-label='Part of reference 2 to use']")
    page.select_option("dialog [aria-label='Crop of reference 2']", crop)
    page.click("dialog button:text-is('Apply')")
    page.wait_for_selector("dialog", state="detached")


def test_references_of_one_unit_have_their_own_crops(page: Any) -> None:
    tick(page)
    drop(page, "one.png", "two.png")
    choose(page)
    set_crop(page, "pad")
    assert [image.get("crop") for image in given(page)[0]["images"]] == [None, "pad"]
    set_crop(page, "")
    assert "crop" not in given(page)[0]["images"][1]


TEXTS = """() => {
    window.getTranslation = (text) => "«" + text + "»";
    const panel = ipAdapter.panels.txt2img;
    panel.draw();
    panel.plot.asked = ""; // as if it had not been drawn
    panel.plot.refresh();
    for (const fold of panel.root.querySelectorAll("details")) fold.open = true;
}"""
READ = """() => {
    const root = document.querySelector(".ipadapter-panel[data-spec]"), found = [];
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) found.push(walk.currentNode.textContent);
    for (const one of root.querySelectorAll("[title], [aria-label], [placeholder], [alt], [label]"))
        for (const name of ["title", "aria-label", "placeholder", "alt", "label"]) found.push(one.getAttribute(name));
    return found.filter((text) => text && text.trim());
}"""
NOT_TRANSLATED = re.compile(
    r"[\d\W_]*|\S+\.(safetensors|bin)(: .*)?|⚠ .*|anna.*|Berta|Clara|slow|(FaceID )?Plus.*|Base|Portrait|.*Portrait"
    r"|base.*|InstantID"
    r"|txt2img .*|.* is for SDXL.*|needs insightface.*|[\d:., ;]*feather [\d.]+"
    r"|linear (in|out)|cosine (in|out)|(left|right|top|bottom|middle).*"
)
"""Names, numbers, signs, the server's messages that contain a name, and words that a field accepts literally."""


def untranslated(page: Any) -> set[str]:
    return {text for text in page.evaluate(READ) if "«" not in text and not NOT_TRANSLATED.fullmatch(text.strip())}


def test_every_text_of_the_panel_can_be_translated(page: Any) -> None:
    tick(page)
    drop(page, "one.png", "two.png")
    choose(page, "ip-adapter-faceid-plusv2_sd15.bin")
    page.click("button:text-is('Check references')")
    page.wait_for_selector(".ipadapter-faces")
    page.evaluate(TEXTS)
    wait_until_idle(page)
    assert untranslated(page) == set()
    page.click(".ipadapter-field.mask button:text-is('«Draw…»')")
    page.wait_for_selector("dialog[open]")
    assert untranslated(page) == set()
    page.click("dialog button:text-is('«Cancel»')")
    page.click("button:text-is('«Save references as subject…»')")
    page.wait_for_selector("dialog[open]")
    assert untranslated(page) == set()


def test_words_that_a_field_accepts_are_suggested(page: Any) -> None:
    tick(page)
    unfold(page, "Region")
    drawn = page.evaluate("[...document.querySelector('[aria-label=Place]').list.options].map((one) => one.value)")
    assert "left half" in drawn
    assert "left to right" in drawn


def test_subjects_are_chosen_created_exported_and_imported(page: Any, tmp_path: Path) -> None:
    tick(page)
    choose(page, PLUS)
    unfold(page, "References")
    page.wait_for_selector("select[aria-label=Subject] option[value=Berta]", state="attached")
    page.select_option("select[aria-label=Subject]", "Berta")
    assert (given(page)[0]["subject"], tab(page, 1)) == ("Berta", "Unit 1 Plus · 0.8 · Berta")
    assert page.locator(".ipadapter-field.subject img").count() == 1
    with page.expect_download() as download:
        page.click("button:text-is('Export as zip')")
    assert download.value.suggested_filename == "Berta.zip"
    assert download.value.url.startswith("blob:"), "browsers limit the length of a data: address"
    download.value.save_as(tmp_path / "berta.zip")
    assert (tmp_path / "berta.zip").read_bytes() == b"a zip"
    page.set_input_files("[aria-label='Import zip']", tmp_path / "berta.zip")
    page.wait_for_selector("text=Imported as Clara.")
    page.click("button:text-is('Load its pictures')")
    page.wait_for_selector(".ipadapter-left .ipadapter-reference")
    unit = given(page)[0]
    assert (unit["subject"], [set(image) for image in unit["images"]]) == ("", [{"image", "weight"}])
    page.click("button:text-is('Save references as subject…')")
    page.fill("dialog [aria-label='Subject name']", "Dora")
    page.click("dialog button:text-is('Save')")
    page.wait_for_selector("text=Saved as Dora.")
    page.select_option("select[aria-label=Subject]", "Dora")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("button:text-is('Delete subject')")
    page.wait_for_selector("text=Deleted Dora.")
    assert given(page)[0]["subject"] == ""


def subject(page: Any, name: str) -> dict[str, Any]:
    """Return a subject as the server has it."""
    ask = "(name) => ipAdapter.panels.txt2img.asking.ask('read subject', {name})"
    return page.evaluate(ask, name)


def test_references_become_a_subject_that_replaces_them(page: Any) -> None:
    tick(page)
    choose(page, PLUS)
    drop_colours(page, "red", "green")
    set_crop(page, "pad")
    unfold(page, "References")
    page.click("button:text-is('Save references as subject…')")
    page.click("dialog button:text-is('Save')")
    assert page.locator("dialog[open]").count() == 1, "it needs a name"
    page.fill("dialog [aria-label='Subject name']", "Emil")
    page.fill("dialog [aria-label='Subject notes']", "a fox, two views")
    page.fill("dialog [aria-label='Note for picture 1']", "from the left")
    page.fill("dialog [aria-label='Weight of picture 1']", "0.5")
    page.click("dialog button:text-is('Save')")
    page.click(".ipadapter-message:has-text('Saved as Emil.') button:text-is('Use the subject instead')")
    unit = given(page)[0]
    assert (unit["subject"], unit["images"]) == ("Emil", [])
    kept = subject(page, "Emil")
    assert kept["notes"] == "a fox, two views"
    red, green = kept["pictures"]
    assert (red["note"], red["weight"]) == ("from the left", 0.5)
    assert (green["crop"], colour_of(red), colour_of(green)) == ("pad", "red", "green")
    page.click(".ipadapter-message button:text-is('Undo')")
    assert (given(page)[0]["subject"], colours(page)) == ("", ["red", "green"])


def test_a_subject_can_be_edited(page: Any) -> None:
    tick(page)
    choose(page, PLUS)
    drop_colours(page, "red", "green", "blue")
    unfold(page, "References")
    page.click("button:text-is('Save references as subject…')")
    page.fill("dialog [aria-label='Subject name']", "Frida")
    page.click("dialog button:text-is('Save')")
    page.wait_for_selector("text=Saved as Frida.")
    page.select_option("select[aria-label=Subject]", "Frida")
    page.click("button:text-is('Edit…')")
    page.fill("dialog [aria-label='Subject notes']", "only two")
    page.click("dialog [aria-label='Remove picture 2']")
    page.select_option("dialog [aria-label='Crop of picture 2']", "top")
    page.fill("dialog [aria-label='Note for picture 2']", "the sky")
    page.set_input_files(
        "dialog [aria-label='Add pictures']", {"name": "m.png", "mimeType": "image/png", "buffer": coloured("green")}
    )
    page.wait_for_selector("dialog img >> nth=2")
    page.click("dialog button:text-is('Replace')")
    page.wait_for_selector("dialog", state="detached")
    page.wait_for_selector(".ipadapter-field.subject >> text=only two")
    kept = subject(page, "Frida")["pictures"]
    assert [colour_of(picture) for picture in kept] == ["red", "blue", "green"]
    assert (kept[1]["crop"], kept[1]["note"]) == ("top", "the sky")
    assert given(page)[0]["subject"] == "Frida"


def test_a_subject_that_cannot_be_saved_keeps_what_was_typed(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    unfold(page, "References")
    page.click("button:text-is('Save references as subject…')")
    page.fill("dialog [aria-label='Subject name']", "a/b")
    page.fill("dialog [aria-label='Subject notes']", "much work")
    page.click("dialog button:text-is('Save')")
    page.wait_for_selector("dialog >> text=name has a slash.")
    assert page.input_value("dialog [aria-label='Subject notes']") == "much work"
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")


def test_messages_of_the_server_can_be_translated(page: Any) -> None:
    page.evaluate("window.getTranslation = (text) => ({'Saved as {name}.': 'Als {name} gespeichert.'})[text]")
    tick(page)
    unfold(page, KEPT)
    page.once("dialog", lambda dialog: dialog.accept("weich {name}"))
    page.click("button:text-is('Save as preset…')")
    page.wait_for_selector("text=Als weich {name} gespeichert.")
