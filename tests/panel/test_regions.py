"""The region editor in a real browser: boxes of all units over the last picture."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import choose, drop, given, picture_of, tick, unfold
from .served import needs_chromium

pytestmark = needs_chromium

UNITS = """([second, third]) => {
    const {state} = ipAdapter.panels.txt2img;
    const other = (region) => ({...structuredClone(state.all[0]), region});
    Object.assign(state.all, {1: other(second), 2: other(third)});
    ipAdapter.panels.txt2img.draw();
}"""
"""Give the units after the first the same settings, with these regions."""

RESULT = """async ([width, height]) => {
    const gallery = document.createElement("div");
    const canvas = Object.assign(document.createElement("canvas"), {width, height});
    canvas.getContext("2d").fillStyle = "rgb(0, 200, 0)";
    canvas.getContext("2d").fillRect(0, 0, width, height);
    const image = new Image();
    image.src = canvas.toDataURL();
    gallery.id = "txt2img_gallery";
    gallery.append(image);
    document.body.append(gallery);
    await image.decode();
}"""
"""Put a green result into the gallery."""

PIXEL = """([x, y]) => {
    const canvas = document.querySelector("dialog canvas");
    const place = [Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1];
    return [...canvas.getContext("2d").getImageData(...place).data].slice(0, 3);
}"""


def ready(page: Any, second: str = "", third: str = "") -> None:
    tick(page)
    drop(page, "one.png")
    choose(page)
    if second or third:
        page.evaluate(UNITS, [second, third])
    unfold(page, "Region")


def edit(page: Any) -> None:
    page.click("button:text-is('Draw…')")
    page.wait_for_selector("dialog[open] canvas")


def apply(page: Any) -> list[str]:
    """Apply the editor, and return the region of each unit that the script is given."""
    page.click("dialog button:text-is('Apply')")
    page.wait_for_selector("dialog", state="detached")
    units = given(page)
    assert all(unit["mask"] is None for unit in units)
    return [unit["region"] for unit in units]


def drag(page: Any, first: tuple[float, float], last: tuple[float, float]) -> None:
    box = page.locator("dialog canvas").bounding_box()
    (x, y), (to_x, to_y) = ((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (first, last))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(to_x, to_y, steps=4)
    page.mouse.up()


def is_pressed(page: Any, text: str) -> bool:
    return page.get_attribute(f"dialog button:has-text('{text}')", "aria-pressed") == "true"


def test_a_drawn_box_is_the_units_region_in_words(page: Any) -> None:
    ready(page)
    edit(page)
    drag(page, (0.1, 0.2), (0.45, 0.9))
    (region,) = apply(page)
    assert [float(edge) for edge in region.split(",")] == pytest.approx([0.1, 0.2, 0.45, 0.9], abs=0.01)


def test_an_edge_is_dragged_and_stays_at_halves(page: Any) -> None:
    ready(page)
    page.fill("[aria-label=Place]", "left third; feather 0.1")
    edit(page)
    drag(page, (1 / 3, 0.5), (0.497, 0.5))
    assert apply(page) == ["left half; feather 0.1"]


def test_a_box_is_moved_within_the_picture(page: Any) -> None:
    ready(page)
    page.fill("[aria-label=Place]", "left half")
    edit(page)
    drag(page, (0.2, 0.3), (0.9, 0.3))
    assert apply(page) == ["right half"]


def test_all_units_are_edited_in_one_picture(page: Any) -> None:
    ready(page, "right half", "bottom half")
    edit(page)
    assert page.locator("dialog .ipadapter-unit").count() == 3
    drag(page, (0.25, 0.1), (0.25, 0.1))  # no unit has a region there
    assert is_pressed(page, "1Base")
    drag(page, (0.75, 0.3), (0.75, 0.3))
    assert is_pressed(page, "2Base")
    drag(page, (0.5, 0.3), (0.66, 0.3))
    page.click("dialog .ipadapter-unit:has-text('1Base')")
    page.click("dialog [title='Left half']")
    assert apply(page) == ["left half", "right third", "bottom half"]


def test_one_of_several_boxes_is_dragged(page: Any) -> None:
    ready(page)
    page.fill("[aria-label=Place]", "left half | right half")
    edit(page)
    drag(page, (0.995, 0.5), (0.795, 0.5))
    assert apply(page) == ["left half | 0.5, 0, 0.8, 1"]


def test_parts_for_each_reference_become_boxes_once_one_is_dragged(page: Any) -> None:
    ready(page)
    drop(page, "two.png")
    page.fill("[aria-label=Place]", "left to right")
    edit(page)
    assert apply(page) == ["left to right"]
    edit(page)
    drag(page, (0.03, 0.004), (0.03, 0.404))
    (region,) = apply(page)
    first, second = region.split(" | ")
    assert [float(edge) for edge in first.split(",")] == pytest.approx([0, 0.4, 0.5, 1], abs=0.01)
    assert second == "right half"


def test_a_text_that_cannot_be_read_stays(page: Any) -> None:
    ready(page)
    page.fill("[aria-label=Place]", "somewhere")
    edit(page)
    assert page.locator("dialog button:text-is('Box')").count() == 0
    assert apply(page) == ["somewhere"]


def test_it_works_by_keyboard(page: Any) -> None:
    ready(page)
    edit(page)
    page.focus("dialog [title='Left half']")
    page.keyboard.press("Enter")
    page.focus("dialog canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert page.input_value("dialog [aria-label='Left (%)']") == "1"
    assert page.input_value("dialog [aria-label='Bottom (%)']") == "99"
    page.fill("dialog [aria-label='Right (%)']", "80")
    page.keyboard.press("Tab")
    page.fill("dialog [aria-label='Top (%)']", "300")  # no place in the picture
    page.keyboard.press("Tab")
    assert page.input_value("dialog [aria-label='Top (%)']") == "0"
    page.focus("dialog canvas")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Control+z")
    assert apply(page) == ["0.01, 0, 0.8, 0.99"]


def test_a_box_becomes_a_shape_under_the_brush_and_undo_brings_it_back(page: Any) -> None:
    ready(page)
    page.fill("[aria-label=Place]", "left half")
    edit(page)
    page.click("dialog button:text-is('Brush')")
    drag(page, (0.8, 0.4), (0.8, 0.6))
    page.click("dialog button:text-is('Apply')")
    page.wait_for_selector("dialog", state="detached")
    (unit,) = given(page)
    mask = picture_of(unit["mask"]).convert("L")
    assert unit["region"] == ""
    assert [mask.getpixel((int(x * mask.width), mask.height // 2)) for x in (0.2, 0.65, 0.8)] == [255, 0, 255]
    edit(page)
    page.click("dialog [title='Right half']")
    page.click("dialog button:text-is('Undo')")
    page.click("dialog button:text-is('Cancel')")
    page.wait_for_selector("dialog", state="detached")
    assert given(page)[0]["mask"] == unit["mask"]


@pytest.mark.parametrize("size", [(300, 200), (200, 200)])
def test_the_last_result_is_behind_the_regions(page: Any, size: tuple[int, int]) -> None:
    ready(page)
    page.evaluate(RESULT, list(size))
    edit(page)
    assert page.evaluate(PIXEL, [0.5, 0.5]) == [0, 200, 0]
    page.click("dialog [title='Left half']")
    lit, dark = (page.evaluate(PIXEL, [x, 0.25]) for x in (0.1, 0.9))
    assert dark[1] < 100 < lit[1]
    page.click("dialog button:text-is('No picture')")
    assert page.evaluate(PIXEL, [0.9, 0.25])[0] > 90


def test_the_preview_in_the_unit_opens_the_editor(page: Any) -> None:
    ready(page)
    page.click(".ipadapter-field.mask [title='Right half']")
    page.click("button[aria-label='Edit regions']")
    page.wait_for_selector("dialog[open] canvas")
    page.keyboard.press("Escape")
    page.click("button[aria-label='Remove region']")
    assert given(page)[0]["region"] == ""
