"""Two web UIs on the loopback address share a batch: the pictures equal those that one makes alone.

IP_ADAPTER_OTHER_EXTENSIONS is a folder with `stable-diffusion-webui-distributed` in it, which asks other web UIs for a
part of each batch.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host.conftest import FOLDER, ORACLE, OURS, PYTHON, started
from host.test_other_extensions import OTHERS
from host.webui import Files, Made, RefusedError, WebUI, kind_of, reference

DISTRIBUTED = OTHERS / "stable-diffusion-webui-distributed"
pytestmark = [
    pytest.mark.skipif(
        bool(FOLDER) and kind_of(Path(FOLDER)).forge, reason="this extension was tried in AUTOMATIC1111's web UI"
    ),
    pytest.mark.skipif(
        not DISTRIBUTED.is_dir(), reason=f"set IP_ADAPTER_OTHER_EXTENSIONS to a folder with {DISTRIBUTED.name} in it"
    ),
]
SMALL = {"width": 64, "height": 64, "steps": 3}


def world(worker: WebUI, file: Path) -> Path:
    """Write the configuration of a web UI and its worker, both with a speed, so that neither is benchmarked first."""
    fast = {"avg_ipm": 60, "address": "127.0.0.1"}
    workers = [{"master": {**fast, "master": True}}, {"second": {**fast, "port": worker.port}}]
    measure = {"steps": 1, "width": 64, "height": 64}
    file.write_text(
        json.dumps({"workers": workers, "benchmark_payload": measure, "complement_production": False}), encoding="utf-8"
    )
    return file


@pytest.fixture(scope="module", params=["with the extension", "without the extension"])
def webui(
    request: pytest.FixtureRequest, files: Files, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[WebUI, WebUI]]:
    """The web UI that gets the request, and its worker."""
    assert FOLDER
    assert PYTHON
    of_second = (ORACLE,) if request.param.startswith("without") else OURS
    kept = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    with started(Path(FOLDER), PYTHON, files, kept[1], *of_second) as second:
        flags = f"--distributed-config {world(second, kept[0] / 'world.json')}"
        with started(Path(FOLDER), PYTHON, files, kept[0], *OURS, DISTRIBUTED, flags=flags) as first:
            yield first, second


@pytest.fixture
def unit(webui: tuple[WebUI, WebUI], files: Files) -> dict[str, Any]:
    first, second = webui
    checkpoint = first.use_smallest()
    second.use(checkpoint)
    images = [{"image": reference(1), "weight": 0.9}, reference(2)]
    return {"model": files.adapter(checkpoint), "images": images, "mask": reference(3), "weight": 1.5}


def has_us(webui: WebUI) -> bool:
    return "ip-adapter" in webui.call("/sdapi/v1/scripts")["txt2img"]


def pictures(made: Made, count: int = 4) -> np.ndarray:
    """Return a batch's pictures without the grid, which comes first."""
    return np.stack(made.pictures[-count:])


def test_two_web_uis_make_the_same_pictures_as_one(webui: tuple[WebUI, WebUI], unit: dict[str, Any]) -> None:
    first, second = webui
    if not has_us(second):
        pytest.skip("about two that both have the extension")
    shared = first.generate(unit, batch_size=4, **SMALL)
    assert second.logged("Total progress"), "the second made nothing of it"
    one = second.generate(unit, batch_size=4, **SMALL)
    assert abs(pictures(shared) - pictures(one)).max() <= 1
    assert abs(pictures(one) - pictures(second.generate(batch_size=4, **SMALL))).max() > 5


def test_a_worker_without_the_extension_is_named(webui: tuple[WebUI, WebUI], unit: dict[str, Any]) -> None:
    first, second = webui
    if has_us(second):
        pytest.skip("about one that has the extension, and one that has not")
    plain = first.generate(batch_size=4, **SMALL)
    with pytest.raises(RefusedError, match=r"422.*lack this extension: second"):
        first.generate(unit, batch_size=4, **SMALL)
    assert abs(pictures(first.generate(batch_size=4, **SMALL)) - pictures(plain)).max() <= 1


def test_a_reference_for_each_picture_is_refused(webui: tuple[WebUI, WebUI], unit: dict[str, Any]) -> None:
    first, second = webui
    if not has_us(second):
        pytest.skip("about two that both have the extension")
    with pytest.raises(RefusedError, match=r"422.*Switch off unfold or the extension Distributed"):
        first.generate({**unit, "unfold": True}, batch_size=4, **SMALL)
