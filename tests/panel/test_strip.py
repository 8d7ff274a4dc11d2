"""The strip of references in a real browser: order, regions, crops, and dropped or pasted pictures."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import PNG, choose, colour_of, colours, drop, drop_colours, given, picture_of, tick, unfold
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
    page.drag_and_drop(f"{CARD} >> nth=0 >> img", f"{CARD} >> nth=2", target_position=ends)
    assert colours(page) == ["green", "blue", "red"]
    page.drag_and_drop(f"{CARD} >> nth=2 >> img", f"{CARD} >> nth=0", target_position={"x": 4, "y": 30})
    assert colours(page) == ["red", "green", "blue"]


def test_a_moved_reference_keeps_its_weight(page: Any) -> None:
    ready(page)
    page.fill("[aria-label='Weight of reference 1']", "0.4")
    page.click("[aria-label='Move Reference 1 right']")
    assert [image.get("weight", 1) for image in given(page)[0]["images"]] == [1, 0.4, 1]


def test_a_reference_can_be_dragged_to_the_negatives(page: Any) -> None:
    page.set_viewport_size({"width": 1100, "height": 2000})  # dragging does not scroll
    ready(page)
    unfold(page, "Negative references")
    page.drag_and_drop(f"{CARD} >> nth=1 >> img", "[aria-label='Negative reference pictures'] .ipadapter-add")
    assert colours(page) == ["red", "blue"]
    assert colours(page, "negative_images") == ["green"]


def test_a_reference_can_be_dragged_to_another_unit(page: Any) -> None:
    ready(page)
    page.hover(f"{CARD} >> nth=0 >> img")
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


def test_a_reference_is_switched_off_and_on_by_its_eye(page: Any) -> None:
    ready(page, "red", "green")
    eye = page.locator("[aria-label='Use reference 1']")
    eye.click()
    assert eye.get_attribute("aria-pressed") == "false"
    assert [image.get("enabled", True) for image in given(page)[0]["images"]] == [False, True]
    page.click("[aria-label='Use reference 2']")
    assert given(page) == [], "a unit whose references are all off is not used"
    assert "all references are off" in page.inner_text(".ipadapter-tab >> nth=0")
    page.focus("[aria-label='Use reference 1']")
    page.keyboard.press("Space")
    assert [image.get("enabled", True) for image in given(page)[0]["images"]] == [True, False]


@pytest.mark.parametrize("way", ["button", "keys"])
def test_a_removal_can_be_undone(page: Any, way: str) -> None:
    ready(page)
    page.fill("[aria-label='Weight of reference 2']", "0.4")
    page.click("[aria-label='Remove reference 2']")
    assert colours(page) == ["red", "blue"]
    if way == "button":
        page.click(".ipadapter-message button:text-is('Undo')")
    else:
        page.focus(f"{CARD} >> nth=0")
        page.keyboard.press("Control+z")
    assert colours(page) == ["red", "green", "blue"]
    assert given(page)[0]["images"][1]["weight"] == 0.4


def test_the_weight_is_a_slider_and_a_number(page: Any) -> None:
    ready(page, "red", "green")
    page.fill(f"{CARD} >> nth=1 >> input[type=range]", "0.75")
    assert page.input_value("[aria-label='Weight of reference 2']") == "0.75"
    page.fill("[aria-label='Weight of reference 1']", "1.5")
    assert page.input_value(f"{CARD} >> nth=0 >> input[type=range]") == "1.5"
    assert [image["weight"] for image in given(page)[0]["images"]] == [1.5, 0.75]


def test_a_reference_of_another_purpose_moves_to_a_unit_for_it(page: Any) -> None:
    ready(page)
    page.select_option("[aria-label='Purpose of reference 2']", "Style")
    first, second = given(page)
    assert [colour_of(image) for image in first["images"]] == ["red", "blue"]
    assert [colour_of(image) for image in second["images"]] == ["green"]
    assert (first["weight_type"], second["weight_type"]) == ("linear", "style transfer")
    assert second["model"] == "ip-adapter-plus_sd15.safetensors"
    page.select_option("[aria-label='Purpose of reference 2']", "Style")
    assert [colour_of(image) for image in given(page)[1]["images"]] == ["green", "blue"]
    page.click(".ipadapter-message button:text-is('Undo')")
    assert colours(page) == ["red", "blue"]
    page.select_option("[aria-label='Purpose of reference 1']", "Composition")
    page.click(".ipadapter-message button:text-is('Open unit 3')")
    assert page.input_value("[aria-label='Purpose of reference 1']") == "Composition"


def test_the_undo_of_a_move_empties_the_unit_that_was_made(page: Any) -> None:
    ready(page, "red", "green")
    page.select_option("[aria-label='Purpose of reference 1']", "Style")
    page.click(".ipadapter-message button:text-is('Undo')")
    (unit,) = given(page)
    assert [colour_of(image) for image in unit["images"]] == ["red", "green"]


def test_the_purpose_of_a_single_reference_is_that_of_its_unit(page: Any) -> None:
    ready(page, "red")
    page.select_option("[aria-label='Purpose of reference 1']", "Style")
    (unit,) = given(page)
    assert unit["weight_type"] == "style transfer"
    page.click(".ipadapter-message button:text-is('Undo')")
    assert given(page)[0]["weight_type"] == "linear"


RECENT = ".ipadapter-recall"


def test_references_used_last_are_kept_in_the_browser(page: Any) -> None:
    ready(page, "red", "green")
    page.wait_for_selector(f"{RECENT} >> nth=1")
    before = given(page)[0]["images"][0]
    page.reload()
    page.wait_for_selector(f"{RECENT} >> nth=1")
    tick(page)
    page.focus(f"{RECENT} >> nth=0")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Add red.png"
    page.keyboard.press("Enter")
    page.wait_for_selector(CARD)
    choose(page)
    assert given(page)[0]["images"] == [before], "the same file"
    page.wait_for_selector(f"{RECENT} >> nth=0 >> xpath=self::*[@aria-label='Add red.png']")
    page.click("[aria-label='Show all recent references']")
    page.click("[title='Forget all recent references']")
    page.wait_for_selector(".ipadapter-recent", state="hidden")
    page.reload()
    page.wait_for_selector(".ipadapter-tab")
    page.wait_for_function("ipAdapter.recent.database")
    assert page.locator(RECENT).count() == 0
