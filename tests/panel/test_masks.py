"""The region editor's brush in a real browser: the script is given what was painted."""

import importlib.util
import io
from typing import Any

import pytest
from PIL import Image

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import drop, given, picture_of, tick, unfold
from .served import needs_chromium, opened

pytestmark = needs_chromium


def open_editor(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    unfold(page, "Region")
    page.click("button:text-is('Draw…')")
    page.wait_for_selector("dialog[open] canvas")
    page.click("dialog button:text-is('Brush')")


def use(page: Any) -> Image.Image | None:
    """Press Apply, and return the region that the script is given."""
    page.click("dialog button:text-is('Apply')")
    page.wait_for_selector("dialog", state="detached")
    mask = given(page)[0]["mask"]
    return mask and picture_of(mask).convert("L")


def stroke(page: Any, *places: tuple[float, float]) -> None:
    """Draw a line through points, as fractions of the canvas."""
    box = page.locator("dialog canvas").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def at(mask: Image.Image | None, x: float, y: float) -> Any:
    assert mask
    return mask.getpixel((int(x * mask.width), int(y * mask.height)))


def test_a_stroke_is_a_region_with_a_soft_edge(page: Any) -> None:
    open_editor(page)
    stroke(page, (0.1, 0.5), (0.9, 0.5))
    mask = use(page)
    assert mask
    assert mask.size == (768, 512)
    assert (at(mask, 0.5, 0.5), at(mask, 0.1, 0.5)) == (255, 255)
    assert (at(mask, 0.5, 0.1), at(mask, 0.5, 0.9)) == (0, 0)
    assert len([count for count in mask.histogram() if count]) > 10, "an edge of many greys"


def test_without_a_soft_edge_it_is_black_and_white_up_to_antialiasing(page: Any) -> None:
    open_editor(page)
    page.fill("dialog [aria-label='Soft edge']", "0")
    page.fill("dialog [aria-label=Size]", "0.5")
    stroke(page, (0.1, 0.5), (0.9, 0.5))
    mask = use(page)
    assert mask
    grey = sum(mask.histogram()[1:255])
    assert grey < 0.02 * mask.width * mask.height
    assert (at(mask, 0.5, 0.28), at(mask, 0.5, 0.22)) == (255, 0)


def test_the_eraser_removes_and_undo_restores(page: Any) -> None:
    open_editor(page)
    page.click("dialog [title='Left half']")
    page.click("dialog button:text-is('Eraser')")
    stroke(page, (0.2, 0.2), (0.2, 0.8))
    stroke(page, (0.4, 0.2), (0.4, 0.8))
    page.keyboard.press("Control+z")
    mask = use(page)
    assert [at(mask, x, 0.5) for x in (0.05, 0.2, 0.4, 0.7)] == [255, 0, 255, 0]


def test_invert_and_clear_change_the_whole_region(page: Any) -> None:
    open_editor(page)
    page.click("dialog [title='Left third']")
    page.click("dialog button:text-is('Invert')")
    mask = use(page)
    assert [at(mask, x, 0.5) for x in (0.1, 0.5, 0.9)] == [0, 255, 255]
    page.click("button:text-is('Draw…')")
    page.click("dialog button:text-is('Clear')")
    assert use(page) is None, "everywhere is no region"
    assert given(page)[0]["region"] == ""


def test_an_existing_region_can_be_edited(page: Any) -> None:
    open_editor(page)
    page.click("dialog [title='Top half']")
    assert use(page) is None
    page.click("button:text-is('Draw…')")
    page.click("dialog button:text-is('Brush')")
    stroke(page, (0.5, 0.8), (0.6, 0.8))
    mask = use(page)
    assert [at(mask, 0.5, y) for y in (0.2, 0.65, 0.8)] == [255, 0, 255]


def test_a_file_becomes_the_mask_with_its_grey_levels(page: Any) -> None:
    open_editor(page)
    drawn = Image.new("L", (30, 20), 0)
    drawn.paste(128, (0, 0, 15, 20))
    file = io.BytesIO()
    drawn.save(file, "PNG")
    page.set_input_files(
        "dialog input[type=file]", {"name": "m.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    darkens = "(canvas) => canvas.getContext('2d').getImageData(canvas.width - 20, 20, 1, 1).data[0] < 100"
    page.wait_for_function(f"({darkens})(document.querySelector('dialog canvas'))")
    mask = use(page)
    assert abs(at(mask, 0.2, 0.5) - 128) <= 2
    assert at(mask, 0.9, 0.5) <= 2


@pytest.mark.parametrize("way", ["Cancel", "Escape"])
def test_closing_without_use_changes_nothing(page: Any, way: str) -> None:
    open_editor(page)
    stroke(page, (0.1, 0.5), (0.9, 0.5))
    if way == "Escape":
        page.keyboard.press("Escape")
    else:
        page.click("dialog button:text-is('Cancel')")
    page.wait_for_selector("dialog", state="detached")
    assert given(page)[0]["mask"] is None
    assert given(page)[0]["region"] == ""


def test_quick_regions_take_one_click(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    unfold(page, "Region")
    for name in (
        "Left half",
        "Right half",
        "Top half",
        "Bottom half",
        "Left third",
        "Middle third",
        "Right third",
    ):
        page.click(f".ipadapter-field.mask [title='{name}']")
        assert given(page)[0]["region"] == name.lower()


def test_the_mask_can_be_drawn_by_touch(browser: Any, address: str) -> None:
    with opened(browser, address, "finger", viewport={"width": 390, "height": 844}, has_touch=True) as page:
        open_editor(page)
        box = page.locator("dialog canvas").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        mask = use(page)
        assert (at(mask, 0.5, 0.5), at(mask, 0.1, 0.1)) == (255, 0)
