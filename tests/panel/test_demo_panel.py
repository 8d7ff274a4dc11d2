"""The panel with the small model, in a real browser: a reference gives its colour to the picture."""

import importlib.util
import io
from collections.abc import Iterator
from typing import Any

import pytest

for needed in ("gradio", "playwright", "torch", "ldm", "omegaconf"):
    if not importlib.util.find_spec(needed):
        pytest.skip(f"{needed} is not installed at this end", allow_module_level=True)

from PIL import Image

from demo.figures import ADAPTERS
from demo.panel import REFERENCES, name_of
from demo.world import SIZE, look

from .served import needs_chromium, opened, serve

pytestmark = needs_chromium

WAIT = 180_000
"""Milliseconds; a picture takes a few seconds, and more on a busy machine."""


@pytest.fixture(scope="module")
def demo_address() -> Iterator[str]:
    with serve("demo.panel") as address:
        yield address


def shown(page: Any) -> list[Image.Image]:
    """Return the pictures of the gallery in the model's own size."""
    addresses = [image.get_attribute("src") for image in page.locator("#gallery img").all()]
    files = [io.BytesIO(page.request.get(address).body()) for address in addresses]
    return [Image.open(file).resize((SIZE, SIZE), Image.Resampling.NEAREST) for file in files]


def test_a_reference_gives_its_colour_to_the_picture(browser: Any, demo_address: str) -> None:
    reference = REFERENCES[1]
    with opened(browser, demo_address, "demo-panel") as page:
        page.click(f"img[alt='{name_of(reference)}']")
        page.wait_for_selector(".ipadapter-reference")
        option = f"select[aria-label=Adapter] option[value='{ADAPTERS['base']}']"
        page.wait_for_selector(option, state="attached", timeout=WAIT)  # the click also ticked the panel
        page.wait_for_function("document.querySelector('select[aria-label=Adapter]').value !== ''")
        page.select_option("select[aria-label=Adapter]", ADAPTERS["base"])
        page.click("#generate")
        page.wait_for_selector("#gallery img", timeout=WAIT)
        pictures = shown(page)
        assert "IP-Adapter 1: " in page.input_value("#noted textarea")
    colours = [look(picture).colour for picture in pictures]
    assert colours.count(reference.colour) >= 3, colours


def test_an_error_is_shown_on_the_page(browser: Any, demo_address: str) -> None:
    with opened(browser, demo_address, "demo-panel-error") as page:
        page.check("#ipadapter_txt2img-checkbox input")
        page.click("#generate")
        page.wait_for_selector(".ipadapter-message.wrong:has-text('model is required')", timeout=WAIT)
