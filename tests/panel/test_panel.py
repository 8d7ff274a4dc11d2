"""The panel in a real browser: the user's actions, and the units that the script is given then."""

import base64
import importlib.util
import json
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.unit import FIELDS

from .actions import (
    LISTED,
    NORMAL,
    PNG,
    changed,
    choose,
    drop,
    fill,
    given,
    show_all,
    take_type,
    tick,
    unfold,
    wait_until_idle,
)
from .served import needs_chromium, opened

pytestmark = needs_chromium


def test_the_script_is_given_nothing_until_the_panel_is_ticked(page: Any) -> None:
    assert given(page) == []
    tick(page)
    assert len(given(page)) == 1
    page.uncheck("#ipadapter_txt2img-checkbox input")
    assert given(page) == []


def test_pictures_adapter_and_sliders_reach_the_script(page: Any) -> None:
    tick(page)
    drop(page, "one.png", "two.png")
    choose(page)
    fill(page, "Weight", "0.8")
    fill(page, "End", "0.5")
    unfold(page, "References")
    page.select_option("select[aria-label=Crop]", "pad")
    (unit,) = given(page)
    assert [base64.b64decode(image["image"].split(",")[1]) for image in unit.pop("images")] == [PNG, PNG]
    assert changed(unit) == {
        "model": "ip-adapter_sd15.safetensors",
        "weight": 0.8,
        "start": 0.2,
        "end": 0.5,
        "crop": "pad",
    }
    assert page.input_value("input[type=range][aria-label=Weight]") == "0.8"


def test_a_number_out_of_range_is_not_accepted(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    fill(page, "Weight", "99")
    assert page.inner_text(".ipadapter-message.wrong") == "Weight must be a number from -5 to 5.", "while it is typed"
    page.press("input[type=number][aria-label=Weight]", "Tab")
    assert page.inner_text(".ipadapter-message.wrong") == "Weight must be a number from -5 to 5."
    assert page.input_value("input[type=number][aria-label=Weight]") == "0.8"
    assert given(page)[0]["weight"] == 0.8
    fill(page, "Weight", "0.9")
    assert page.inner_text(".ipadapter-message") == ""


def test_a_picture_can_be_removed(page: Any) -> None:
    tick(page)
    drop(page, "one.png", "two.png")
    page.click("button[aria-label='Remove reference 1']")
    assert len(given(page)[0]["images"]) == 1


def test_a_file_that_is_no_picture_is_named(page: Any) -> None:
    tick(page)
    page.set_input_files(
        ".ipadapter-left input[type=file]", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    page.wait_for_function("document.querySelector('.ipadapter-message').textContent.includes('a.png')")
    assert page.locator(".ipadapter-reference").count() == 0


def test_a_large_picture_is_scaled_down_before_it_is_sent(page: Any) -> None:
    tick(page)
    page.evaluate(
        """async () => {
            const canvas = document.createElement("canvas");
            canvas.width = 3000; canvas.height = 2000;
            const context = canvas.getContext("2d"), pixels = context.createImageData(3000, 2000);
            for (let i = 0; i < pixels.data.length; i++) pixels.data[i] = (i * 2654435761) >>> 24;
            context.putImageData(pixels, 0, 0);
            const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
            const files = new DataTransfer();
            files.items.add(new File([blob], "large.png", {type: "image/png"}));
            document.querySelector(".ipadapter-references").dispatchEvent(new DragEvent("drop", {dataTransfer: files}));
        }"""
    )
    page.wait_for_selector(".ipadapter-reference", timeout=20000)
    size = page.evaluate(
        "async () => { const i = document.querySelector('.ipadapter-reference img'); await i.decode(); "
        "return [i.naturalWidth, i.naturalHeight]; }"
    )
    assert size == [1536, 1024]


def test_an_answer_neither_collapses_a_fold_nor_swallows_a_click(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    assert page.evaluate(
        """() => {
            document.querySelector("details:has(.ipadapter-field.mask) > summary").click();
            ipAdapter.panels.txt2img.draw(); // before the browser reports that something was unfolded
            return document.querySelector("details:has(.ipadapter-field.mask)").open;
        }"""
    )
    page.locator(".ipadapter-field.mask [title='Left half']").scroll_into_view_if_needed()
    button = page.locator(".ipadapter-field.mask [title='Left half']").bounding_box()
    page.mouse.move(button["x"] + 5, button["y"] + 5)
    page.mouse.down()
    page.evaluate("() => { ipAdapter.panels.txt2img.server.look(); }")
    wait_until_idle(page)  # the answer has come, and must wait
    page.mouse.up()
    assert given(page)[0]["region"] == "left half"


def test_units_are_edited_separately(page: Any) -> None:
    tick(page)
    for number, weight in ((1, "0.5"), (3, "-1"), (5, "2")):
        page.click(f".ipadapter-tab:has-text('Unit {number}')")
        drop(page, f"{number}.png")
        choose(page)
        fill(page, "Weight", weight)
    page.click(".ipadapter-tab:has-text('Unit 1')")
    assert page.input_value("input[type=number][aria-label=Weight]") == "0.5"
    assert [unit["weight"] for unit in given(page)] == [0.5, -1, 2]
    page.click(".ipadapter-tab:has-text('Unit 3')")
    page.uncheck("text=Enable this unit")
    assert [unit["weight"] for unit in given(page)] == [0.5, 2]


def test_adapters_that_do_not_fit_are_disabled_with_the_reason(page: Any) -> None:
    tick(page)
    show_all(page)
    option = page.locator("option[value='ip-adapter_sdxl.safetensors']")
    assert option.is_disabled()
    assert "for SDXL" in option.text_content()


def test_refresh_lists_the_files_again(page: Any) -> None:
    tick(page)
    show_all(page)
    page.evaluate("document.querySelector('select[aria-label=Adapter]').dataset.old = 'yes'")
    page.click("button[aria-label=Refresh]")
    page.wait_for_function("!document.querySelector('select[aria-label=Adapter]').dataset.old")


def test_a_ticked_panel_sends_an_empty_unit(page: Any) -> None:
    """The server then reports what is missing instead of making a picture without an image prompt."""
    tick(page)
    (unit,) = given(page)
    assert unit["model"] == ""
    assert unit["images"] == []


def test_it_works_by_keyboard_alone(page: Any) -> None:
    page.focus("#ipadapter_txt2img-checkbox input")
    page.keyboard.press("Space")
    page.wait_for_function(LISTED)
    page.focus(".ipadapter-tab:has-text('Unit 1')")
    for key, number in (("ArrowRight", 2), ("End", 5), ("ArrowRight", 5), ("Home", 1), ("ArrowRight", 2)):
        page.keyboard.press(key)
        page.wait_for_selector(f".ipadapter-tab[aria-selected=true]:has-text('Unit {number}'):focus")
    wait_until_idle(page)
    page.press("button:text-is('Use a subject or saved reference…')", "Enter")
    page.focus("select[aria-label=Adapter]")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('select[aria-label=Adapter]').value !== ''")
    (unit,) = given(page)
    assert unit["model"].endswith(".safetensors")


def test_every_control_reaches_the_script(page: Any) -> None:
    tick(page)
    drop(page, "one.png", "two.png")
    choose(page)
    page.fill("[aria-label='Weight of reference 2']", "0.5")
    unfold(page, "Layers and weight types")
    take_type(page, "style and composition")
    page.fill("input[type=number][aria-label='Composition weight']", "0.6")
    page.fill("[aria-label=Layers]", "3:0.5, 6:1")
    page.select_option("select[aria-label=Scaling]", "K+V")
    unfold(page, "Steps")
    page.fill("[aria-label=Curve]", "0:1, 0.6:0")
    page.select_option("select[aria-label=Pass]", "hires")
    page.fill("[aria-label='Hires weight']", "0.4")
    unfold(page, "References")
    page.select_option("select[aria-label='Saved reference']", "anna.safetensors")
    page.select_option("select[aria-label=Combine]", "average")
    page.check("[aria-label='One each']")
    page.check("[aria-label=Tiles]")
    page.fill("input[type=number][aria-label=Enhance]", "3")
    page.fill("input[type=number][aria-label='Enhance ratio']", "0.25")
    unfold(page, "Region")
    page.set_input_files("input[aria-label=Region]", {"name": "m.png", "mimeType": "image/png", "buffer": PNG})
    page.wait_for_selector("button[aria-label='Edit regions']")
    unfold(page, "Negative references")
    page.set_input_files(
        "input[aria-label='Negative reference pictures']", {"name": "n.png", "mimeType": "image/png", "buffer": PNG}
    )
    page.wait_for_selector("img[alt='Negative reference 1']")
    page.select_option("select[aria-label='Noise type']", "fade")
    page.fill("input[type=number][aria-label=Noise]", "0.3")
    unfold(page, "Composition references")
    page.set_input_files(
        "input[aria-label='Composition reference pictures']", {"name": "c.png", "mimeType": "image/png", "buffer": PNG}
    )
    page.wait_for_selector("img[alt='Composition reference 1']")
    (unit,) = given(page)
    pictures = {name: unit.pop(name) for name in ("images", "negative_images", "composition_images", "mask")}
    assert [picture.get("weight", 1) for picture in pictures["images"]] == [1, 0.5]
    assert len(pictures["negative_images"]) == len(pictures["composition_images"]) == 1
    assert pictures["mask"].startswith("data:image/png;base64,")
    assert changed(unit) == {
        "model": "ip-adapter_sd15.safetensors",
        **NORMAL,
        "weight_type": "style and composition",
        "composition_weight": 0.6,
        "layers": "3:0.5, 6:1",
        "curve": "0:1, 0.6:0",
        "scaling": "K+V",
        "pass": "hires",
        "hires_weight": 0.4,
        "embeds": "anna.safetensors",
        "combine": "average",
        "unfold": True,
        "tiles": True,
        "enhance": 3,
        "enhance_ratio": 0.25,
        "noise_type": "fade",
        "noise": 0.3,
    }


@pytest.mark.parametrize("name", ["style", "composition"])
def test_the_boosts_of_precise_weight_types_reach_the_script(page: Any, name: str) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page)
    unfold(page, "Layers and weight types")
    weight_type = {"style": "style transfer precise", "composition": "composition precise"}[name]
    take_type(page, weight_type)
    page.fill(f"input[type=number][aria-label='{name.capitalize()} boost']", "-1")
    unit = given(page)[0]
    assert (unit["weight_type"], unit[f"{name}_boost"]) == (weight_type, -1)


def test_the_focus_stays_where_it_is_when_the_panel_is_drawn_again(page: Any) -> None:
    tick(page)
    page.focus(".ipadapter-add input[type=file]")  # the group of references around it has the same name
    page.evaluate("ipAdapter.panels.txt2img.draw()")
    assert page.evaluate("document.activeElement.type") == "file"
    drop(page, "one.png")
    for control in ("summary:text-is('Region')", "button:text-is('Custom')"):
        page.focus(control)
        page.evaluate("ipAdapter.panels.txt2img.draw()")
        assert page.evaluate("(element) => element === document.activeElement", page.query_selector(control))


def test_an_adapter_is_chosen_by_typing_its_name(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, "")
    wait_until_idle(page)
    page.focus("select[aria-label=Adapter]")
    page.keyboard.type("ip-adapter-plus_sd15")  # the first letters choose another one
    page.wait_for_selector(".ipadapter-note:text-is('Plus')")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Adapter"
    assert given(page)[0]["model"] == "ip-adapter-plus_sd15.safetensors"


def test_the_panel_has_a_control_for_every_field() -> None:
    from lib_ipadapter.web.panel import spec

    shown = {control["name"] for control in spec(1)["controls"]}
    assert shown == set(FIELDS) - {"enabled", "model", "images"}


@pytest.mark.parametrize("width", [390, 1024, 1600])
def test_no_controls_overlap(browser: Any, address: str, width: int) -> None:
    with opened(browser, address, f"width-{width}", viewport={"width": width, "height": 700}) as page:
        tick(page)
        drop(page, *(f"{n}.png" for n in range(5)))
        choose(page)
        unfold(page, "References")
        unfold(page, "Layers and weight types")
        around = "div:not(.ipadapter-panel, .ipadapter-panel *) { overflow: visible !important; }"  # as in the web UI
        page.add_style_tag(content=around)
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        left, right = page.evaluate(
            """() => ["left", "right"]
                .map((side) => document.querySelector(`.ipadapter-${side}`).getBoundingClientRect())
                .map(({left, right, top, bottom}) => ({left, right, top, bottom}))"""
        )  # both at once, because an answer may come between
        assert left["right"] <= right["left"] or left["bottom"] <= right["top"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_panel_adds_few_components_to_the_page() -> None:
    import gradio as gr

    from demo.frame import framed_panel

    with gr.Blocks(analytics_enabled=False) as blocks:
        framed_panel(blocks, 5, lambda text: text, lambda digits: None)
    assert len(blocks.blocks) <= 30, "60 for both tabs"


def test_an_untouched_unit_is_sent_at_normal_strength(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page)
    (sent,) = given(page)
    unit = read_unit(sent)
    assert unit == read_unit({"model": sent["model"], "images": sent["images"], **NORMAL})


def test_references_can_be_saved_and_chosen_by_name(page: Any) -> None:
    tick(page)
    drop(page, "one.png", "two.png")
    choose(page)
    unfold(page, "References")
    page.once("dialog", lambda dialog: dialog.accept("berta"))
    page.click("button:text-is('Save references as…')")
    page.wait_for_selector("text=Saved 2 as berta.safetensors, overwriting: false, no embeds.")
    page.click("button[aria-label='Remove reference 2']")
    page.click("button[aria-label='Remove reference 1']")
    page.select_option("select[aria-label='Saved reference']", "berta.safetensors")
    (unit,) = given(page)
    assert (unit["images"], unit["embeds"]) == ([], "berta.safetensors")


def test_a_saved_reference_is_replaced_after_confirmation(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    unfold(page, "References")
    page.wait_for_selector("select[aria-label='Saved reference'] option[value='anna.safetensors']", state="attached")
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        """Enter a name; decline to replace the file the first time and accept the second time."""
        asked.append(dialog.message)
        if dialog.type == "prompt":
            dialog.accept("Anna" if len(asked) == 1 else "anna")
        else:
            dialog.accept() if len(asked) == 4 else dialog.dismiss()

    page.on("dialog", answer)
    page.click("button:text-is('Save references as…')")
    assert asked[1:] == ["Replace the saved reference Anna?"]
    page.click("button:text-is('Save references as…')")
    page.wait_for_selector("text=Saved 1 as anna.safetensors, overwriting: true")


def test_a_region_can_be_removed(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    unfold(page, "Region")
    page.set_input_files("input[aria-label=Region]", {"name": "m.png", "mimeType": "image/png", "buffer": PNG})
    page.wait_for_selector("button[aria-label='Edit regions']")
    assert page.locator(".ipadapter-group.used").count() == 1
    page.click("button[aria-label='Remove region']")
    assert given(page)[0]["mask"] is None
    assert page.locator(".ipadapter-group.used").count() == 0


def test_pasted_parameters_restore_units_and_tick_the_panel(page: Any) -> None:
    line = 'Adapter: ip-adapter-plus_sd15.safetensors, Weight: 0.7, Layers: "3:0.5, 6:1", References: 0123456789ab'
    page.fill("#pasted textarea", json.dumps({"Steps": "4", "IP-Adapter 2": line}))
    page.click("#paste")
    page.wait_for_selector(".ipadapter-tab[aria-selected=true]:has-text('Unit 2')")
    page.wait_for_function("document.querySelector('.ipadapter-message').textContent.includes('0123456789ab')")
    assert page.is_checked("#ipadapter_txt2img-checkbox input")
    assert page.input_value("input[type=number][aria-label=Weight]") == "0.7"
    page.wait_for_selector("select[aria-label=Adapter] option[value='ip-adapter_sd15.safetensors']", state="attached")
    drop(page, "again.png")
    (unit,) = given(page)
    assert unit.pop("images")
    assert changed(unit) == {"model": "ip-adapter-plus_sd15.safetensors", "weight": 0.7, "layers": "3:0.5, 6:1"}


def test_pasted_parameters_restore_kept_references(page: Any) -> None:
    line = (
        "Adapter: ip-adapter_sd15.safetensors, Weight: 0.7, "
        "References: aaaaaaaaaaaa×0.5 bbbbbbbbbbbb@aaaaaaaaaaaa, Region: bbbbbbbbbbbb"
    )
    page.fill("#pasted textarea", json.dumps({"Steps": "4", "IP-Adapter 1": line}))
    page.click("#paste")
    page.wait_for_selector(".ipadapter-left .ipadapter-reference >> nth=1")
    assert page.inner_text(".ipadapter-message") == ""
    assert page.input_value("[aria-label='Weight of reference 1']") == "0.5"
    (unit,) = given(page)
    png = "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert unit.pop("images") == [{"image": png, "weight": 0.5}, {"image": png, "mask": png}]
    assert unit.pop("mask") == png
    assert read_unit({**unit, "images": [png]}).weight == 0.7


def test_pasted_controlnet_parameters_are_offered_as_a_unit(page: Any) -> None:
    line = "Module: ip-adapter-auto, Model: ip-adapter_sd15, Weight: 0.6, Guidance Start: 0, Guidance End: 0.8"
    page.fill("#pasted textarea", json.dumps({"Steps": "4", "ControlNet 0": line}))
    page.click("#paste")
    page.wait_for_selector(".ipadapter-message:has-text('Restored from ControlNet')")
    assert page.is_checked("#ipadapter_txt2img-checkbox input")
    assert page.input_value("input[type=number][aria-label=Weight]") == "0.6"
    assert page.input_value("[aria-label=Crop]") == "squash"


def test_pasted_parameters_without_units_untick_the_panel(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    page.fill("#pasted textarea", json.dumps({"Steps": "4"}))
    page.click("#paste")
    page.wait_for_function("!document.querySelector('#ipadapter_txt2img-checkbox input').checked")
    assert given(page) == []


FACE_NORMAL = {"weight": 0.8, "start": 0.2}
FACE_PLUS, PORTRAIT = "ip-adapter-faceid-plusv2_sd15.bin", "ip-adapter-faceid-portrait_sd15.bin"


def test_face_fields_are_shown_for_face_adapters(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    assert page.locator("summary:text-is('Face')").count() == 0
    choose(page, FACE_PLUS)
    group = page.locator("details", has=page.locator("summary:text-is('Face')"))
    assert "a person's consent" in group.inner_text()
    assert "non-commercial research only" in group.inner_text()
    page.select_option("select[aria-label=Face]", "left")
    page.fill("input[type=number][aria-label='Face structure']", "0.6")
    page.fill("input[type=number][aria-label='LoRA weight']", "0.8")
    page.select_option("select[aria-label=Variant]", "v1")
    (unit,) = given(page)
    fields = {"face": "left", "structure_weight": 0.6, "lora_weight": 0.8, "variant": "v1"}
    assert {name: unit[name] for name in fields} == fields
    page.select_option("select[aria-label=Face]", "2")
    assert given(page)[0]["face"] == 2


def test_fields_that_do_not_apply_to_an_adapter_are_neither_shown_nor_sent(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, FACE_PLUS)
    page.select_option("select[aria-label=Face]", "right")
    page.fill("input[type=number][aria-label='LoRA weight']", "0.5")
    choose(page, PORTRAIT)
    assert page.locator("input[aria-label='LoRA weight']").count() == 0
    (unit,) = given(page)
    unit.pop("images")
    assert changed(unit) == {"model": PORTRAIT, "face": "right", **FACE_NORMAL}
    choose(page)
    (unit,) = given(page)
    unit.pop("images")
    assert changed(unit) == {"model": "ip-adapter_sd15.safetensors", **NORMAL}
    choose(page, FACE_PLUS)
    assert page.input_value("input[type=number][aria-label='LoRA weight']") == "0.5"
