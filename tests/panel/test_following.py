"""Units follow the checkpoint in a real browser, and adapters have plain names."""

import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import choose, drop, given, show_all, tick, wait_until_idle
from .served import needs_chromium

pytestmark = needs_chromium

BASE, PLUS = "ip-adapter_sd15.safetensors", "ip-adapter-plus_sd15.safetensors"
FACE_ID, FACE_ID_TITLE = "ip-adapter-faceid-plusv2_sd15.bin", "FaceID Plus v2, likeness, SD 1.5"
SDXL, INSTANT_ID = "ip-adapter_sdxl.safetensors", "ip-adapter_instant_id_sdxl.bin"
MESSAGE = ".ipadapter-message"


def load(page: Any, base: str) -> None:
    """Load a checkpoint made from a base, as the web UI tells the panel."""
    page.evaluate("(base) => ipAdapter.panels.txt2img.asking.ask('load', {base})", base)
    page.evaluate("ipAdapter.panels.txt2img.server.look()")
    wait_until_idle(page)


@pytest.fixture
def page(page: Any) -> Iterator[Any]:
    yield page
    page.evaluate("ipAdapter.panels.txt2img.asking.ask('load', {base: 'SD1.x'})")


@pytest.mark.parametrize(("before", "after"), [(BASE, SDXL), (FACE_ID, INSTANT_ID)], ids=["general", "likeness"])
def test_a_unit_follows_the_checkpoint_to_the_same_use(page: Any, before: str, after: str) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, before)
    load(page, "SDXL")
    assert page.inner_text(MESSAGE).startswith(f"The checkpoint is now SDXL, so the unit uses {after}.")
    assert given(page)[0]["model"] == after
    page.click(f"{MESSAGE} button:text-is('Undo')")
    assert given(page)[0]["model"] == before
    load(page, "SDXL")
    assert given(page)[0]["model"] == before, "it follows only when the base changes"


def test_a_unit_gets_its_adapter_back_with_its_base(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, BASE)
    load(page, "SDXL")
    load(page, "SD1.x")
    assert given(page)[0]["model"] == BASE, "Plus would be the first choice"


def test_an_adapter_that_still_fits_stays(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, BASE)
    load(page, "SD2.x")
    assert given(page)[0]["model"] == BASE, "there is none for SD2.x"
    assert page.inner_text(MESSAGE) == ""


def test_a_pasted_unit_is_only_warned_about(page: Any) -> None:
    tick(page)
    line = f"Adapter: {PLUS}, References: aaaaaaaaaaaa"
    page.fill("#pasted textarea", json.dumps({"IP-Adapter 1": line}))
    page.click("#paste")
    page.wait_for_selector(".ipadapter-left .ipadapter-reference")
    load(page, "SDXL")
    page.wait_for_selector(".ipadapter-tab [aria-label='will stop Generate']")
    assert given(page)[0]["model"] == PLUS
    assert page.inner_text(MESSAGE) == ""


def test_published_adapters_have_plain_names_next_to_their_file_names(page: Any) -> None:
    tick(page)
    show_all(page)
    option = page.locator(f"select[aria-label=Adapter] option[value='{FACE_ID}']")
    assert option.text_content() == FACE_ID_TITLE
    assert option.get_attribute("title") == f"{FACE_ID}: FaceID Plus v2"
    choose(page, FACE_ID)
    assert page.inner_text(".ipadapter-adapter > .ipadapter-note") == f"{FACE_ID}: FaceID Plus v2"
    assert page.locator(f"select[aria-label=Adapter] option[value='{PLUS}']").text_content() == PLUS
