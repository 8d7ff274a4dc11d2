"""The ten tasks of tests/panel in a real web UI, by mouse and by keyboard alone."""

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest
from panel.actions import LISTED, wait_until_idle
from panel.hands import Keys, Mouse
from panel.served import CHROMIUM
from panel.ten_tasks import TASKS, Task

pytest.importorskip("onnx", reason="face models are made with onnx, which is not installed at this end of the versions")

from face_models import draw_faces, write_pack
from makers import adapter_tensors, file_of, save

from host.pages import PANEL, opened
from host.webui import NO_INSIGHTFACE, Files, WebUI
from lib_ipadapter.faces.insightface_models import PACKS
from lib_ipadapter.networks.unet_sites import SDXL

if not (importlib.util.find_spec("playwright") and CHROMIUM):
    pytest.skip("no playwright or no Chromium", allow_module_level=True)

PICTURES = [
    {"name": f"{seed}.png", "mimeType": "image/png", "buffer": file_of(draw_faces((320, 320, 256), seed=seed))}
    for seed in (1, 2)
]


@pytest.fixture(scope="module", autouse=True)
def models(webui: WebUI, files: Files) -> None:
    """Adapters for each purpose, and face models."""
    if not webui.has_insightface():
        pytest.skip(NO_INSIGHTFACE)
    checkpoint = webui.use_smallest()
    write_pack(files.folder / "insightface" / "models", PACKS["buffalo_l"])
    files.faceid(checkpoint, "faceid-plus", "host-faceid-plusv2", lora=True)
    files.adapter(checkpoint, "plus")
    other = adapter_tensors("base", SDXL, (16, 16), 2048)
    save(other, files.folder / "host-other-base.safetensors")
    webui.call("/ipadapter/rescan", {})


@pytest.fixture
def page(webui: WebUI, browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    with opened(browser, webui.url, request.node.name) as page:
        page.click(f"{PANEL} .label-wrap")
        page.wait_for_function(LISTED)
        wait_until_idle(page)
        yield page


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_a_task_is_done_by_mouse(page: Any, task: Task) -> None:
    hands = Mouse(page)
    task(hands, PICTURES)
    assert hands.acts == TASKS[task].mouse


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_a_task_is_done_by_keyboard(page: Any, task: Task) -> None:
    hands = Keys(page)
    task(hands, PICTURES)
    assert hands.acts == TASKS[task].keys
