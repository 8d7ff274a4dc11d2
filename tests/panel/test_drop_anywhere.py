"""Pictures that come in from outside the panel, and what shows there that they are in use, in a real browser."""

import base64
import importlib.util
import io
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import PNG, choose, drop, given, tick, wait_until_idle
from .served import needs_chromium

pytestmark = needs_chromium

PARAMETERS = "a fox\nNegative prompt: rain\nSteps: 13, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64"
PROMPT = "#txt2img_prompt textarea"
THUMBNAILS = ".ipadapter-thumbnails button"

DROP = """([place, files]) => {
    const dataTransfer = new DataTransfer();
    for (const [name, type, content] of files)
        dataTransfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name, {type}));
    const event = new DragEvent("drop", {bubbles: true, composed: true, cancelable: true, dataTransfer});
    document.querySelector(place).dispatchEvent(event);
    return event.defaultPrevented;
}"""

WATCH = """() => {
    window.dropped = [];
    document.addEventListener("drop", (event) => {
        for (const file of event.dataTransfer.files) window.dropped.push(file.name);
    });
}"""
"""Note the files of each drop that reaches the page's own handler, as a web UI's would be."""


def with_parameters(kind: str) -> bytes:
    """Return a picture file with generation parameters, as the web UI writes them."""
    file, picture = io.BytesIO(), Image.new("RGB", (20, 20))
    if kind == "png":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("parameters", PARAMETERS)
        picture.save(file, kind, pnginfo=texts)
    else:
        exif = Image.Exif()
        exif[0x8769] = {0x9286: b"UNICODE\0" + PARAMETERS.encode("utf-16-be")}
        picture.save(file, kind, exif=exif)
    return file.getvalue()


def drop_on(page: Any, place: str, *contents: bytes, kind: str = "png") -> bool:
    """Drop files; return whether the event was taken."""
    files = [[f"{n}.{kind}", f"image/{kind}", base64.b64encode(each).decode()] for n, each in enumerate(contents)]
    return page.evaluate(DROP, [place, files])


def wait_for_cards(page: Any, count: int) -> None:
    page.wait_for_function(f"document.querySelectorAll('.ipadapter-reference').length === {count}")


def test_pictures_dropped_on_the_prompt_become_references(page: Any) -> None:
    page.evaluate(WATCH)
    assert drop_on(page, PROMPT, PNG, PNG)
    wait_for_cards(page, 2)
    assert page.is_checked("#ipadapter_txt2img-checkbox input")
    assert page.evaluate("window.dropped") == []
    wait_until_idle(page)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_picture_with_parameters_asks_what_it_is_for(page: Any, kind: str) -> None:
    page.evaluate(WATCH)
    drop_on(page, PROMPT, with_parameters(kind), kind=kind)
    page.click("dialog[open] button:text-is('Use as reference')")
    wait_for_cards(page, 1)
    drop_on(page, PROMPT, with_parameters(kind), kind=kind)
    page.click("dialog[open] button:text-is('Read parameters')")
    page.wait_for_function("window.dropped.length > 0")
    assert page.evaluate("window.dropped") == [f"0.{kind}"]
    drop_on(page, PROMPT, with_parameters(kind), kind=kind)
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert page.evaluate("window.dropped.length") == 1
    assert page.locator(".ipadapter-reference").count() == 1
    wait_until_idle(page)


def test_other_drops_stay_the_web_uis(page: Any) -> None:
    page.evaluate(WATCH)
    assert not page.evaluate(DROP, [PROMPT, [["a.txt", "text/plain", "YQ=="]]])
    drop_on(page, "#txt2img_width", PNG)
    assert page.evaluate("window.dropped") == ["a.txt", "0.png"]


def height_of_the_page(page: Any) -> float:
    return page.evaluate("document.querySelector('#txt2img_width').getBoundingClientRect().top + scrollY")


def test_thumbnails_below_the_prompt_open_their_units_and_move_nothing(page: Any) -> None:
    tick(page)
    before = height_of_the_page(page)
    drop(page, "one.png", "two.png")
    choose(page)
    page.evaluate("""() => {
        const {state} = ipAdapter.panels.txt2img;
        state.all[2] = structuredClone(state.all[0]);
        ipAdapter.panels.txt2img.draw();
    }""")
    assert page.locator(THUMBNAILS).count() == 4
    assert page.is_visible(THUMBNAILS)
    assert height_of_the_page(page) == before
    last = page.locator(THUMBNAILS).last
    last.focus()
    page.keyboard.press("Enter")
    assert page.get_attribute(".ipadapter-tab >> nth=2", "aria-selected") == "true"
    page.evaluate("ipAdapter.panels.txt2img.set('enabled', false)")
    assert page.locator(THUMBNAILS).count() == 2
    page.uncheck("#ipadapter_txt2img-checkbox input")
    page.wait_for_selector(".ipadapter-thumbnails", state="hidden")
    assert height_of_the_page(page) == before


def test_thumbnails_can_be_switched_off(page: Any) -> None:
    page.evaluate("window.opts = {ipadapter_prompt_strip: false}")
    tick(page)
    drop(page, "one.png")
    assert page.locator(THUMBNAILS).count() == 0


def test_a_full_line_of_tabs_has_no_thumbnails(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.evaluate("document.querySelector('#txt2img_extra_tabs button:last-child').style.width = '330px'")
    tick(page)
    drop(page, "one.png")
    assert not page.is_visible(".ipadapter-thumbnails")


INPUT = """async (url) => {
    document.body.insertAdjacentHTML("beforeend", `
        <div id="mode_img2img"><div id="img2maskimg"><img width="90">
        <canvas key="mask" width="300" height="200"></canvas></div></div>`);
    const image = document.querySelector("#img2maskimg img");
    image.src = url;
    await image.decode();
    Object.assign(ipAdapter.panels.txt2img, {tab: "img2img"});
    ipAdapter.offerInput(ipAdapter.panels.txt2img);
    Object.assign(ipAdapter.panels.txt2img, {tab: "txt2img"});
}"""
"""Put img2img's picture with a mask over it onto the page."""


def test_the_painted_area_of_img2imgs_picture_becomes_a_reference_with_a_box(page: Any) -> None:
    tick(page)
    page.evaluate("""() => {
        ipAdapter.inputOf = () => document.querySelector("#img2maskimg img");
    }""")
    page.evaluate(INPUT, "data:image/png;base64," + base64.b64encode(PNG).decode())
    page.click(".ipadapter-sources button:text-is('Painted area')")
    page.wait_for_selector(".ipadapter-sources :text('Nothing is painted')")
    page.evaluate("document.querySelector('#img2maskimg canvas').getContext('2d').fillRect(30, 50, 120, 100)")
    page.click(".ipadapter-sources button:text-is('Painted area')")
    wait_for_cards(page, 1)
    page.click(".ipadapter-sources button:text-is('Picture')")
    wait_for_cards(page, 2)
    first, second = given(page)[0]["images"]
    assert first["box"] == pytest.approx([0.1, 0.25, 0.5, 0.75], abs=0.1)
    assert "box" not in second
