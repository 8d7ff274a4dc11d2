"""InstantID in the panel, in a web UI with the ControlNet extension or its own, and a real browser."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from makers import file_of

pytest.importorskip("onnx", reason="face models are made with onnx, which is not installed at this end of the versions")
pytest.importorskip("insightface", reason="insightface, an oracle, is not installed at this end of the versions")

from panel.actions import picture_of
from panel.served import CHROMIUM

from host import test_instantid
from host.pages import opened
from host.test_controlnet import BUILT_IN, CONTROLNET
from host.test_instantid import ADAPTER, CONTROL, FACE
from host.webui import WebUI

if not (importlib.util.find_spec("playwright") and CHROMIUM):
    pytest.skip("no playwright or no Chromium", allow_module_level=True)

pytestmark = pytest.mark.skipif(
    not (CONTROLNET or BUILT_IN), reason="no ControlNet: set IP_ADAPTER_CONTROLNET to the folder of the extension"
)
checkpoint, folder = test_instantid.checkpoint, test_instantid.folder


@pytest.fixture(scope="module")
def webui(folder: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    with test_instantid.beside(folder, checkpoint, tmp_path_factory, "a") as server:
        yield server


@pytest.fixture
def page(webui: WebUI, browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    with opened(browser, webui.url, request.node.name) as page:
        yield page


def set_up(page: Any, tab: str) -> Any:
    """Choose a face and InstantID in a tab, set ControlNet up with one click, and return its unit's picture."""
    panel = f"#ipadapter_{tab}"
    for name in ("width", "height"):
        page.fill(f"#{tab}_{name} input[type=number]", "128")
    page.click(f"{panel} .label-wrap")
    page.wait_for_function(f"ipAdapter.panels.{tab}.files.isListed")
    face = {"name": "face.png", "mimeType": "image/png", "buffer": file_of(FACE)}
    page.set_input_files(f"{panel} .ipadapter-references input[type=file] >> nth=0", face)
    page.wait_for_selector(f"{panel} .ipadapter-reference")
    page.select_option(f"{panel} select[aria-label=Adapter]", f"{ADAPTER}.safetensors")
    page.click(f"{panel} button:text-is('Set up ControlNet')")
    page.wait_for_selector(f"{panel} .ipadapter-message:has-text('is set up')", timeout=60000)
    (name,) = re.findall(r"ControlNet Unit \d", page.inner_text(f"{panel} .ipadapter-message"))
    units = page.inner_text(f"#{tab}_controlnet")
    assert units[units.index("ControlNet Unit") :].startswith(name), "the first unit, as the page calls it"
    shown = page.wait_for_selector(f"#{tab}_controlnet .cnet-input-image-group img[src^=data]")
    unit = f"#{tab}_controlnet_ControlNet-0_controlnet_"
    assert page.is_checked(f"#{tab}_controlnet .cnet-unit-enabled input >> nth=0")
    assert page.input_value(f"{unit}model_dropdown input").startswith(CONTROL)
    assert page.input_value(f"{unit}preprocessor_dropdown input").lower() == "none"
    assert page.input_value(f"{unit}control_weight_slider input[type=number]") == "0.8"
    return picture_of(shown.get_attribute("src"))


@pytest.mark.parametrize("tab", ["txt2img", "img2img"])
def test_one_click_sets_controlnet_up(page: Any, webui: WebUI, tab: str) -> None:
    page.click(f"#tabs > .tab-nav button:text-is('{tab}')")
    sent = set_up(page, tab)
    assert sent.size == (128, 128)
    drawn = picture_of(page.get_attribute(f"#ipadapter_{tab} .ipadapter-points img", "src"))
    assert sent.convert("RGB").tobytes() == drawn.convert("RGB").tobytes()


def test_a_picture_is_made_with_both_and_its_likeness_is_shown_in_a_table(page: Any, webui: WebUI) -> None:
    set_up(page, "txt2img")
    page.fill("#txt2img_steps input[type=number]", "2")
    webui.call("/sdapi/v1/options", {"ipadapter_likeness": True})
    page.click("#txt2img_generate")
    try:
        page.wait_for_selector("#html_log_txt2img .ipadapter-likeness tbody tr", timeout=180000)
    finally:
        webui.call("/sdapi/v1/options", {"ipadapter_likeness": False})
    text = page.inner_text("#html_log_txt2img")
    assert "not identity verification" in text
    assert "Picture 1, unit 1" not in text
    assert f"Model: {CONTROL}" in page.inner_text("#html_info_txt2img")
