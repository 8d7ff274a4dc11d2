"""The editor of a reference in a real browser: its box, its brush, and its view of what the encoder sees."""

import importlib.util
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from lib_ipadapter.pictures.crops import CROPS, cut, resize_for

from .actions import choose, drop, drop_colours, given, picture_of, tick
from .served import needs_chromium

pytestmark = needs_chromium

SHOWN = ".ipadapter-encoder canvas"


def photo(width: int = 600, height: int = 400) -> Image.Image:
    """Return a picture whose levels are its positions."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, 255 - across], axis=-1).round().astype(np.uint8))


def edit(page: Any, number: int = 1) -> None:
    page.click(f"[aria-label='Part of reference {number} to use']")
    page.wait_for_selector("dialog[open] .ipadapter-cropper")


def start(page: Any, image: Image.Image | None = None) -> None:
    """Add a picture and open the editor."""
    tick(page)
    choose(page)
    file = io.BytesIO()
    (image or photo()).save(file, "PNG")
    page.set_input_files(
        ".ipadapter-left .ipadapter-add input[type=file]",
        {"name": "photo.png", "mimeType": "image/png", "buffer": file.getvalue()},
    )
    edit(page)


def drag(page: Any, start_at: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag between two places, as fractions of the picture."""
    stage = page.locator(".ipadapter-cropper").bounding_box()
    (x, y), (to_x, to_y) = (
        (stage["x"] + part[0] * stage["width"], stage["y"] + part[1] * stage["height"]) for part in (start_at, end)
    )
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(to_x, to_y, steps=4)
    page.mouse.up()


def apply(page: Any) -> dict[str, Any]:
    """Press Apply, and return the reference that the script is given."""
    page.click("dialog button:text-is('Apply')")
    page.wait_for_selector("dialog", state="detached")
    return given(page)[0]["images"][0]


def near(box: list[float], *edges: float) -> bool:
    return box == pytest.approx(edges, abs=0.01)


def test_a_box_is_drawn_moved_stretched_and_reset(page: Any) -> None:
    start(page)
    drag(page, (0.2, 0.1), (0.6, 0.5))
    first = apply(page)
    assert near(first["box"], 0.2, 0.1, 0.6, 0.5)
    edit(page)
    drag(page, (0.4, 0.3), (0.5, 0.4))
    drag(page, (0.7, 0.6), (0.9, 0.8))
    second = apply(page)
    assert near(second["box"], 0.3, 0.2, 0.9, 0.8)
    assert second["image"] == first["image"], "the file stays whole"
    edit(page)
    page.click("dialog button:text-is('Reset')")
    assert apply(page) == {"image": first["image"]}


def test_a_box_is_set_by_keys(page: Any) -> None:
    start(page)
    page.click("dialog button:text-is('Square')")
    page.focus(".ipadapter-cut")
    for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowUp", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    assert near(apply(page)["box"], 1 / 6 - 0.02, 0, 5 / 6 - 0.03, 0.99)


def test_a_box_takes_a_shape_and_gives_the_next_picture_its_own(page: Any) -> None:
    start(page)
    page.click("dialog button:text-is('Square')")
    page.click("dialog button:text-is('Use its size')")
    size = [page.input_value(f"#txt2img_{side} input") for side in ("width", "height")]
    assert size == ["624", "624"], "as many pixels as 768 × 512, in steps of 8"
    assert near(apply(page)["box"], 1 / 6, 0, 5 / 6, 1)
    page.fill("#txt2img_width input", "512")
    page.fill("#txt2img_height input", "1024")
    edit(page)
    page.click('dialog button:text-is("Picture\'s shape")')
    left, top, right, bottom = apply(page)["box"]
    assert (right - left) * 600 / ((bottom - top) * 400) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("crop", CROPS)
def test_the_preview_is_what_the_encoder_gets(page: Any, crop: str) -> None:
    image = photo()
    start(page, image)
    drag(page, (0.1, 0.2), (0.7, 0.5))
    page.select_option("dialog [aria-label='Crop of reference 1']", crop)
    page.wait_for_timeout(100)
    shown = picture_of(page.eval_on_selector(SHOWN, "(canvas) => canvas.toDataURL()")).convert("RGB")
    reference = apply(page)
    assert reference["crop"] == crop
    expected = resize_for(cut(image, tuple(reference["box"])), 224, crop)
    differences = abs(np.asarray(shown).astype(int) - np.asarray(expected).astype(int))
    assert np.quantile(differences, 0.98) <= 3
    assert differences.mean() < 1


def test_a_part_is_painted_out_and_restored(page: Any) -> None:
    tick(page)
    choose(page)
    drop_colours(page, "red")
    whole = given(page)[0]["images"][0]["image"]
    edit(page)
    page.click("dialog button:text-is('Paint')")
    page.click("dialog [title='Left half']")
    page.wait_for_timeout(100)
    shown = picture_of(page.eval_on_selector(SHOWN, "(canvas) => canvas.toDataURL()")).convert("RGB")
    assert (shown.getpixel((20, 100)), shown.getpixel((200, 100))) == ((255, 0, 0), (123, 117, 104))
    part = apply(page)
    assert set(part) == {"image"}
    picture = picture_of(part["image"])
    assert (picture.mode, picture.size) == ("RGBA", (60, 40))
    assert (picture.getpixel((5, 20)), picture.getpixel((55, 20))[3]) == ((255, 0, 0, 255), 0)
    edit(page)
    page.click("dialog button:text-is('Square')")
    boxed = apply(page)
    assert boxed["image"] == part["image"], "a box does not write the file anew"
    edit(page)
    page.click("dialog button:text-is('Paint')")
    page.click("dialog button:text-is('Fill')")
    assert apply(page)["image"] == whole


def test_a_small_picture_fills_the_stage(page: Any) -> None:
    start(page, photo(64, 48))
    stage = page.locator(".ipadapter-cropper").bounding_box()
    assert stage["width"] > 400
    assert "64 × 48 pixels" in page.inner_text(".ipadapter-encoder")


@pytest.mark.parametrize("way", ["Cancel", "Escape"])
def test_closing_without_apply_changes_nothing(page: Any, way: str) -> None:
    start(page)
    drag(page, (0.2, 0.1), (0.6, 0.5))
    if way == "Escape":
        page.keyboard.press("Escape")
    else:
        page.click("dialog button:text-is('Cancel')")
    page.wait_for_selector("dialog", state="detached")
    assert set(given(page)[0]["images"][0]) == {"image"}


def test_a_face_in_the_picture_becomes_the_box(page: Any) -> None:
    start(page)
    page.click("dialog button:text-is('Face 1')")
    assert near(apply(page)["box"], 0, 0.048, 0.64, 0.688), (
        "a square around more than the face, 1 to 5 and 2 to 6 of 10"
    )


def test_for_adapters_of_faces_the_view_is_the_face_in_the_box(page: Any) -> None:
    """The largest one, as the server cuts it out; the picture itself where the box has none."""
    tick(page)
    choose(page, "ip-adapter-faceid-plusv2_sd15.bin")
    drop(page, "one.png")
    edit(page)
    shows(page, (255, 0, 0))
    drag(page, (0.55, 0.1), (0.95, 0.6))
    shows(page, (0, 0, 255))
    drag(page, (0.02, 0.8), (0.3, 0.98))
    page.wait_for_function(f"{MIDDLE} !== '0,0,255'")


MIDDLE = """[...document.querySelector(".ipadapter-encoder canvas").getContext("2d").getImageData(112, 112, 1, 1).data]
    .slice(0, 3).join()"""


def shows(page: Any, colour: tuple[int, int, int]) -> None:
    """Wait until the encoder's view has this colour in the middle."""
    page.wait_for_function(f"{MIDDLE} === '{','.join(map(str, colour))}'", timeout=10000)


TRAIN = """() => {
    const {files} = ipAdapter.panels.txt2img;
    for (const model of files.models) if (model.family === "plus") model.uses = ["face"];
}"""


def test_for_adapters_of_faces_the_face_is_offered(page: Any) -> None:
    tick(page)
    page.evaluate(TRAIN)
    choose(page, "ip-adapter-plus_sd15.safetensors")
    drop(page, "one.png", "two.png")
    page.click(".ipadapter-reference >> nth=1 >> button:text-is('Crop to the face')")
    first, second = given(page)[0]["images"]
    assert "box" not in first
    assert len(second["box"]) == 4
    page.click(".ipadapter-message button:text-is('Undo')")
    assert "box" not in given(page)[0]["images"][1]
