"""The strip of references in a real browser: order, regions, crops, and dropped or pasted pictures."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import PNG, choose, colours, drop, drop_colours, given, picture_of, tick, unfold
from .served import needs_chromium

pytestmark = needs_chromium

CARD = ".ipadapter-left .ipadapter-reference"


def ready(page: Any, *names: str) -> None:
    tick(page)
    choose(page)
    drop_colours(page, *(names or ("red", "green", "blue")))


def test_references_are_reordered_by_keys(page: Any) -> None:
    ready(page)
    page.focus(f"{CARD} >> nth=0")
    page.keyboard.press("Alt+ArrowRight")
    assert colours(page) == ["green", "red", "blue"]
    page.focus(f"{CARD} >> nth=1")
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("Alt+ArrowRight")  # the last one cannot move further
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Reference 3"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Delete")
    assert colours(page) == ["green", "red"]


def test_references_are_reordered_by_buttons(page: Any) -> None:
    ready(page)
    page.click("[aria-label='Move Reference 3 left']")
    assert colours(page) == ["red", "blue", "green"]
    assert page.is_disabled("[aria-label='Move Reference 1 left']")


def test_references_are_reordered_by_dragging(page: Any) -> None:
    ready(page)
    ends = {"x": page.eval_on_selector(CARD, "(card) => card.offsetWidth") - 4, "y": 30}  # it may be redrawn just now
    page.drag_and_drop(f"{CARD} >> nth=0", f"{CARD} >> nth=2", target_position=ends)
    assert colours(page) == ["green", "blue", "red"]
    page.drag_and_drop(f"{CARD} >> nth=2", f"{CARD} >> nth=0", target_position={"x": 4, "y": 30})
    assert colours(page) == ["red", "green", "blue"]


def test_a_moved_reference_keeps_its_weight(page: Any) -> None:
    ready(page)
    page.fill("[aria-label='Weight of reference 1']", "0.4")
    page.click("[aria-label='Move Reference 1 right']")
    assert [image.get("weight", 1) for image in given(page)[0]["images"]] == [1, 0.4, 1]


def test_a_reference_can_be_dragged_to_the_negatives(page: Any) -> None:
    page.set_viewport_size({"width": 1100, "height": 1500})  # dragging does not scroll
    ready(page)
    unfold(page, "Negative references")
    page.drag_and_drop(f"{CARD} >> nth=1", "[aria-label='Negative reference pictures'] .ipadapter-add")
    assert colours(page) == ["red", "blue"]
    assert colours(page, "negative_images") == ["green"]


def test_a_reference_can_be_dragged_to_another_unit(page: Any) -> None:
    ready(page)
    page.hover(f"{CARD} >> nth=0")
    page.mouse.down()
    page.hover(".ipadapter-tab:has-text('Unit 2')")
    page.hover(".ipadapter-tab:has-text('Unit 2')")
    page.wait_for_selector(".ipadapter-tab[aria-selected=true]:has-text('Unit 2')")
    page.hover(".ipadapter-left .ipadapter-add")
    page.hover(".ipadapter-left .ipadapter-add")
    page.mouse.up()
    page.wait_for_selector(CARD)
    first, second = given(page)
    assert (len(first["images"]), len(second["images"])) == (2, 1)


def dispatch(page: Any, kind: str, selector: str, fill: str) -> None:
    page.evaluate(
        f"""([kind, selector, png]) => {{
            const data = new DataTransfer();
            {fill}
            const made = kind === "paste"
                ? new ClipboardEvent(kind, {{clipboardData: data, bubbles: true, cancelable: true}})
                : new DragEvent(kind, {{dataTransfer: data, bubbles: true, cancelable: true}});
            document.querySelector(selector).dispatchEvent(made);
        }}""",
        [kind, selector, list(PNG)],
    )


FILES = 'for (const n of "ab") data.items.add(new File([new Uint8Array(png)], n + ".png", {type: "image/png"}));'
ADDRESS = 'data.setData("text/uri-list", "data:image/png;base64," + btoa(String.fromCharCode(...png)));'


@pytest.mark.parametrize(
    ("kind", "fill", "count"), [("paste", FILES, 2), ("drop", FILES, 2), ("drop", ADDRESS, 1)], ids=str
)
def test_pictures_can_be_dropped_and_pasted(page: Any, kind: str, fill: str, count: int) -> None:
    tick(page)
    dispatch(page, kind, ".ipadapter-left .ipadapter-references", fill)
    page.wait_for_selector(f"{CARD} >> nth={count - 1}")
    assert page.locator(CARD).count() == count


def test_a_picture_pasted_anywhere_in_the_panel_becomes_a_reference(page: Any) -> None:
    tick(page)
    dispatch(page, "paste", ".ipadapter-body", FILES)
    page.wait_for_selector(f"{CARD} >> nth=1")


def test_a_unit_has_a_maximum_number_of_pictures(page: Any) -> None:
    tick(page)
    drop(page, *(f"{n}.png" for n in range(15)))
    page.set_input_files(
        ".ipadapter-left .ipadapter-add input[type=file]",
        [{"name": f"{n}.png", "mimeType": "image/png", "buffer": PNG} for n in range(3)],
    )
    page.wait_for_function("document.querySelector('.ipadapter-message').textContent.includes('16')")
    assert page.locator(CARD).count() == 16


def test_a_reference_can_have_its_own_region(page: Any) -> None:
    ready(page, "red", "green")
    page.click("[aria-label='Region of reference 2']")
    page.click("dialog [title='Right half']")
    page.click("dialog button:text-is('Apply')")
    page.wait_for_selector(".ipadapter-region")
    first, second = given(page)[0]["images"]
    mask = picture_of(second["mask"]).convert("L")
    assert mask.size == (768, 512)  # the shape of the next picture
    assert (mask.getpixel((10, 256)), mask.getpixel((760, 256))) == (0, 255)
    assert "mask" not in first
    page.click("[aria-label='Region of reference 2']")
    page.click("dialog button:text-is('Clear')")
    page.click("dialog button:text-is('Apply')")
    page.wait_for_selector(".ipadapter-region", state="detached")
    assert "mask" not in given(page)[0]["images"][1]


def test_a_reference_can_be_cropped_and_restored(page: Any) -> None:
    ready(page, "red")
    whole = given(page)[0]["images"][0]["image"]
    page.click("[aria-label='Part of reference 1 to use']")
    page.click("dialog [title='Left half']")
    page.click("dialog button:text-is('Apply')")
    page.wait_for_selector("dialog", state="detached")
    part = given(page)[0]["images"][0]["image"]
    assert part.startswith("data:image/png;")
    picture = picture_of(part)
    assert (picture.mode, picture.size) == ("RGBA", (60, 40))
    assert (picture.getpixel((5, 20)), picture.getpixel((55, 20))[3]) == ((255, 0, 0, 255), 0)
    page.click("[aria-label='Part of reference 1 to use']")
    page.click("dialog button:text-is('Clear')")
    page.click("dialog button:text-is('Apply')")
    page.wait_for_selector("dialog", state="detached")
    assert given(page)[0]["images"][0]["image"] == whole
