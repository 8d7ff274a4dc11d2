"""The panel in a real browser: what a person does to it, and what the script is given then."""

import base64
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

import gradio
from playwright.sync_api import sync_playwright

TESTS = Path(__file__).resolve().parents[1]
PICTURES = TESTS.parent / "build" / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium was found; CHROMIUM may name one")

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = os.environ | {"PYTHONPATH": paths, "GRADIO_ANALYTICS_ENABLED": "False", "no_proxy": "127.0.0.1"}
    server = subprocess.Popen([sys.executable, "-m", "panel.page", str(port)], env=environment, cwd=TESTS)
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(address, timeout=2).close()
                break
            except OSError:
                assert server.poll() is None, "the page's server ended"
                time.sleep(0.25)
        yield address
    finally:
        server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector(".ipadapter-tab")
    yield page
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"gradio-{gradio.__version__}-{request.node.name}.png", full_page=True)
    page.close()
    assert errors == []


def tick(page: Any) -> None:
    page.check("#ipadapter_txt2img-checkbox input")
    page.wait_for_selector("select[aria-label=Adapter] option[value='ip-adapter_sd15.safetensors']", state="attached")


def choose(page: Any, name: str = "ip-adapter_sd15.safetensors") -> None:
    page.select_option("select[aria-label=Adapter]", name)


def drop(page: Any, *names: str) -> None:
    before = page.locator(".ipadapter-reference").count()
    page.set_input_files(
        ".ipadapter-references input[type=file]",
        [{"name": name, "mimeType": "image/png", "buffer": PNG} for name in names],
    )
    page.wait_for_function(f"document.querySelectorAll('.ipadapter-reference').length === {before + len(names)}")


def given(page: Any) -> list[dict[str, Any]]:
    """Press Generate and return the units that the script is given."""
    page.evaluate("document.querySelector('#given textarea').value = ''")
    page.click("#generate")
    page.wait_for_function("document.querySelector('#given textarea').value !== ''")
    texts = json.loads(page.input_value("#given textarea"))
    assert len(texts) == 10
    return [json.loads(text) for text in texts if text]


def test_nothing_is_given_until_the_panel_is_ticked(page: Any) -> None:
    drop(page, "one.png")
    assert given(page) == []
    tick(page)
    assert len(given(page)) == 1
    page.uncheck("#ipadapter_txt2img-checkbox input")
    assert given(page) == []


def test_two_pictures_an_adapter_and_the_sliders(page: Any) -> None:
    tick(page)
    drop(page, "one.png", "two.png")
    choose(page)
    page.fill("input[type=number][aria-label=Weight]", "0.8")
    page.fill("input[type=number][aria-label=End]", "0.5")
    page.select_option("select[aria-label=Crop]", "pad")
    (unit,) = given(page)
    assert [base64.b64decode(image["image"].split(",")[1]) for image in unit.pop("images")] == [PNG, PNG]
    assert unit == {
        "enabled": True,
        "model": "ip-adapter_sd15.safetensors",
        "weight": 0.8,
        "start": 0,
        "end": 0.5,
        "crop": "pad",
    }
    assert page.input_value("input[type=range][aria-label=Weight]") == "0.8"


def test_a_number_out_of_range_is_not_taken(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    page.fill("input[type=number][aria-label=Weight]", "99")
    page.press("input[type=number][aria-label=Weight]", "Tab")
    assert page.input_value("input[type=number][aria-label=Weight]") == "1"
    assert given(page)[0]["weight"] == 1


def test_a_picture_can_be_removed(page: Any) -> None:
    tick(page)
    drop(page, "one.png", "two.png")
    page.click("button[aria-label='Remove reference 1']")
    assert len(given(page)[0]["images"]) == 1


def test_a_file_that_is_no_picture_is_said_to_be_none(page: Any) -> None:
    tick(page)
    page.set_input_files(
        ".ipadapter-references input[type=file]", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    page.wait_for_function("document.querySelector('.ipadapter-message').textContent.includes('a.png')")
    assert page.locator(".ipadapter-reference").count() == 0


def test_a_large_picture_is_made_smaller_before_it_is_sent(page: Any) -> None:
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


def test_units_are_edited_apart(page: Any) -> None:
    tick(page)
    for number, weight in ((1, "0.5"), (3, "-1"), (5, "2")):
        page.click(f".ipadapter-tab:has-text('Unit {number}')")
        drop(page, f"{number}.png")
        choose(page)
        page.fill("input[type=number][aria-label=Weight]", weight)
    page.click(".ipadapter-tab:has-text('Unit 1')")
    assert page.input_value("input[type=number][aria-label=Weight]") == "0.5"
    assert [unit["weight"] for unit in given(page)] == [0.5, -1, 2]
    page.click(".ipadapter-tab:has-text('Unit 3')")
    page.uncheck("text=Enable this unit")
    assert [unit["weight"] for unit in given(page)] == [0.5, 2]


def test_adapters_that_do_not_fit_cannot_be_chosen_and_say_why(page: Any) -> None:
    tick(page)
    option = page.locator("option[value='ip-adapter_sdxl.safetensors']")
    assert option.is_disabled()
    assert "for SDXL" in option.text_content()


def test_refresh_looks_again(page: Any) -> None:
    tick(page)
    page.evaluate("document.querySelector('select[aria-label=Adapter]').dataset.old = 'yes'")
    page.click("button[aria-label=Refresh]")
    page.wait_for_function("!document.querySelector('select[aria-label=Adapter]').dataset.old")


def test_the_panel_alone_is_enough_for_an_empty_unit_to_be_sent(page: Any) -> None:
    """The server then says what is missing, rather than making a picture without an image prompt."""
    tick(page)
    (unit,) = given(page)
    assert unit["model"] == ""
    assert unit["images"] == []


def test_it_works_by_keyboard_alone(page: Any) -> None:
    page.focus("#ipadapter_txt2img-checkbox input")
    page.keyboard.press("Space")
    page.wait_for_selector("option[value='ip-adapter_sd15.safetensors']", state="attached")
    page.focus(".ipadapter-tab:has-text('Unit 1')")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".ipadapter-tab[aria-selected=true]:has-text('Unit 2')")
    page.focus("select[aria-label=Adapter]")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('select[aria-label=Adapter]').value !== ''")
    (unit,) = given(page)
    assert unit["model"].endswith(".safetensors")
