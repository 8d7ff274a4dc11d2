"""The key points of a face in a real browser: drawn, moved, and sent to ControlNet."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from lib_ipadapter.files.catalogue import read_catalogue

from .actions import COLOURS, choose, coloured, drop_colours, given, picture_of, tick
from .controlnet import KNOWN
from .served import needs_chromium

pytestmark = needs_chromium
INSTANTID = "ip-adapter_instant_id_sdxl.bin"
BLOCK = ".ipadapter-keypoints"
with_controlnet = pytest.mark.skipif(not KNOWN, reason="no web UI with ControlNet has this gradio")


def begin(page: Any, *colours: str) -> None:
    tick(page)
    drop_colours(page, *colours)
    choose(page, INSTANTID)
    page.wait_for_selector(BLOCK)


def press(page: Any, text: str) -> None:
    page.click(f"{BLOCK} button:text-is('{text}')")


def drawn(page: Any, before: str = "") -> Image.Image:
    """Return the picture that is shown, once it has changed."""
    page.wait_for_function(
        "(before) => { const i = document.querySelector('.ipadapter-points img'); return i && i.src !== before; }",
        arg=before,
    )
    return picture_of(page.get_attribute(".ipadapter-points img", "src")).convert("RGB")


def shown(page: Any) -> str:
    return page.get_attribute(".ipadapter-points img", "src")


def square(picture: Image.Image) -> tuple[float, ...]:
    """Return where the square is that the server drew, as fractions of the picture."""
    left, upper, right, lower = picture.getbbox() or (0, 0, 0, 0)
    return left / picture.width, upper / picture.height, right / picture.width, lower / picture.height


def test_key_points_are_offered_for_instantid_only(page: Any) -> None:
    begin(page, "red")
    choose(page, "ip-adapter-faceid-plusv2_sd15.bin")
    page.wait_for_selector(BLOCK, state="detached")


def test_key_points_are_drawn_in_the_size_of_the_next_picture(page: Any) -> None:
    begin(page, "red", "green")
    press(page, "Draw key points")
    first = drawn(page)
    assert first.size == (768, 512)
    assert first.getpixel((384, 256)) == COLOURS["red"]
    page.select_option(f"{BLOCK} select[aria-label=Photo]", "1")
    before = shown(page)
    press(page, "Draw key points")
    assert drawn(page, before).getpixel((384, 256)) == COLOURS["green"]
    assert "place" not in json.dumps(given(page)), "it is no part of the unit"


def test_key_points_can_be_taken_from_another_photo(page: Any) -> None:
    begin(page, "red")
    photo = {"name": "other.png", "mimeType": "image/png", "buffer": coloured("blue")}
    page.set_input_files(f"{BLOCK} input[type=file]", photo)
    page.wait_for_selector(f"{BLOCK} select[aria-label='Face in the other photo']")
    page.select_option(f"{BLOCK} select[aria-label='Face in the other photo']", "right")
    press(page, "Draw key points")
    page.wait_for_selector(".ipadapter-message.wrong:has-text('Shows no face on the right.')")
    page.select_option(f"{BLOCK} select[aria-label='Face in the other photo']", "2")
    press(page, "Draw key points")
    assert drawn(page).getpixel((384, 256)) == COLOURS["blue"]
    assert len(given(page)[0]["images"]) == 1, "it is no reference"


def test_the_face_moves_to_a_drawn_box(page: Any) -> None:
    begin(page, "red")
    press(page, "Draw key points")
    drawn(page)
    before, box = shown(page), page.locator(".ipadapter-points").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in ((0.1, 0.2), (0.3, 0.6))]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1], steps=4)
    page.mouse.up()
    left, upper, right, lower = square(drawn(page, before))
    assert (upper, lower) == pytest.approx((0.2, 0.6), abs=0.02)
    assert (left + right) / 2 == pytest.approx(0.2, abs=0.02)
    numbers = [float(page.input_value(f"{BLOCK} [aria-label='{name} (%)']")) for name in ("X", "Y", "Height")]
    assert numbers == pytest.approx([20, 40, 40], abs=1)
    before = shown(page)
    press(page, "Reset position")
    assert square(drawn(page, before)) == pytest.approx((0.433, 0.4, 0.566, 0.6), abs=0.01), "in the middle"


def test_the_face_can_be_placed_by_numbers(page: Any) -> None:
    begin(page, "red")
    page.fill(f"{BLOCK} [aria-label='Height (%)']", "80")
    page.press(f"{BLOCK} [aria-label='Height (%)']", "Tab")
    _, upper, _, lower = square(drawn(page))
    assert (upper, lower) == pytest.approx((0.1, 0.9), abs=0.01)
    before = shown(page)
    page.fill(f"{BLOCK} [aria-label='Height (%)']", "900")
    page.press(f"{BLOCK} [aria-label='Height (%)']", "Tab")
    page.wait_for_timeout(300)
    assert shown(page) == before, "out of range"


def test_the_picture_can_be_downloaded(page: Any) -> None:
    begin(page, "red")
    with page.expect_download() as download:
        press(page, "Download")
    with Image.open(Path(download.value.path())) as picture:
        assert picture.size == (768, 512)
    assert download.value.suggested_filename == "keypoints.png"


def in_controlnet(page: Any, number: int) -> Image.Image | None:
    """Return the picture that a unit of ControlNet has."""
    url = page.evaluate(
        """async (number) => {
            const image = document.querySelectorAll(".cnet-input-image-group")[number].querySelector("img[src]");
            if (!image) return null;
            await image.decode();
            return image.src;
        }""",
        number,
    )
    return picture_of(url).convert("RGB") if url else None


def unit_of(page: Any, number: int) -> dict[str, Any]:
    """Return how a unit of ControlNet is set, without its picture."""
    return page.evaluate(
        """(number) => {
            const part = (name, of) => document.querySelector(`[id$="ControlNet-${number}_controlnet_${name}"] ${of}`);
            return {
                enabled: document.querySelectorAll(".cnet-unit-enabled input")[number].checked,
                module: part("preprocessor_dropdown", "input").value,
                model: part("model_dropdown", "input").value,
                weight: Number(part("control_weight_slider", "input[type=number]").value),
            };
        }""",
        number,
    )


def said(page: Any, text: str) -> None:
    page.wait_for_selector(f".ipadapter-message:has-text({json.dumps(text)})")


SET = {"enabled": True, "module": "none", "model": "control_instant_id_sdxl [c5c25a50]", "weight": 0.8}


@with_controlnet
def test_one_act_sets_a_unit_of_controlnet_up(page: Any) -> None:
    begin(page, "red", "green")
    assert in_controlnet(page, 0) is None
    before = unit_of(page, 1)
    for number, colour in enumerate(("red", "green")):
        page.select_option(f"{BLOCK} select[aria-label=Photo]", str(number))
        press(page, "Set up ControlNet")
        said(page, "ControlNet Unit 0 is set up")
        picture = in_controlnet(page, 0)
        assert picture
        assert picture.size == (768, 512)
        assert picture.getpixel((384, 256)) == COLOURS[colour], "the unit that has the model is used again"
        assert unit_of(page, 0) == SET, "its model was only in the list that was read anew"
        assert page.locator(".cnet-input-image-group").nth(0).is_visible(), "it is opened"
    assert unit_of(page, 1) == before


@with_controlnet
def test_a_missing_model_can_be_got(page: Any) -> None:
    page.evaluate("document.querySelectorAll('[id$=refresh_models]').forEach((each) => each.remove())")
    begin(page, "red")
    press(page, "Set up ControlNet")
    said(page, "ControlNet Unit 0 has the picture, but ControlNet lacks InstantID's model.")
    assert unit_of(page, 0) == SET | {"model": "None"}
    page.evaluate("ipAdapter.panels.txt2img.getModels.open = (names) => (window.wanted = names)")
    page.click(".ipadapter-message button:text-is('Get models')")
    (wanted,) = page.evaluate("wanted")
    assert read_catalogue().by_name[wanted].folder == "controlnets"


@with_controlnet
def test_controlnet_without_a_free_unit_is_left_alone(page: Any) -> None:
    begin(page, "red")
    page.evaluate(
        "document.querySelectorAll('.cnet-input-image-group .cnet-image').forEach((each) => {"
        "const image = document.createElement('img'); image.src = 'data:,'; each.append(image);})"
    )
    press(page, "Set up ControlNet")
    page.wait_for_selector(".ipadapter-message.wrong:has-text('All ControlNet units already have a picture')")


def test_without_controlnet_the_picture_cannot_be_sent(page: Any) -> None:
    page.evaluate("document.querySelectorAll('[id$=_controlnet]').forEach((each) => each.remove())")
    begin(page, "red")
    assert page.locator(f"{BLOCK} button:text-is('Download')").count() == 1
    assert page.locator(f"{BLOCK} button:text-is('Set up ControlNet')").count() == 0
