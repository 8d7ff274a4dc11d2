"""The same checkpoint, seed, adapter and settings give equal cross-attention outputs in two web UIs.

IP_ADAPTER_OTHER_HOST and IP_ADAPTER_OTHER_HOST_PYTHON name the second one; both need one checkpoint of the same name.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from host.conftest import OURS, started
from host.webui import Files, WebUI, by_layout, reference
from lib_ipadapter.networks.unet_sites import SD

FOLDER, PYTHON = os.environ.get("IP_ADAPTER_OTHER_HOST"), os.environ.get("IP_ADAPTER_OTHER_HOST_PYTHON")
pytestmark = pytest.mark.skipif(not (FOLDER and PYTHON), reason="no second web UI: set IP_ADAPTER_OTHER_HOST")
ALMOST = 1e-4
"""Relative to the largest value, in float32: web UIs sum in different orders, which carries into the second step."""


@pytest.fixture(scope="module")
def other(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    with started(Path(FOLDER), PYTHON, files, tmp_path_factory.mktemp("other"), *OURS) as server:
        yield server


@pytest.fixture(scope="module")
def checkpoints(webui: WebUI, other: WebUI) -> list[Path]:
    """The path of the smallest SD checkpoint that both have, in each of them; it is loaded."""
    listed = [[Path(model["filename"]) for model in each.call("/sdapi/v1/sd-models")] for each in (webui, other)]
    shared = {path.name for path in listed[0]} & {path.name for path in listed[1]}
    fitting = by_layout(path for path in listed[0] if path.name in shared)[SD.name]
    if not fitting:
        pytest.skip("the two web UIs share no SD checkpoint of one name")
    name = fitting[0].name
    chosen = [next(path for path in paths if path.name == name) for paths in listed]
    for each, path in zip((webui, other), chosen, strict=True):
        each.use(path)
    return chosen


@pytest.mark.parametrize("settings", [{}, {"cfg_scale": 7, "batch_size": 2}], ids=["one picture", "two"])
@pytest.mark.parametrize("family", ["", "base", "plus"])
def test_every_cross_attention_gives_the_same_output(
    webui: WebUI, other: WebUI, files: Files, checkpoints: list[Path], tmp_path: Path, family: str, settings
) -> None:
    units = [{"model": files.adapter(checkpoints[0], family), "images": [reference(1)]}] if family else []
    made = []
    for number, each in enumerate((webui, other)):
        path = tmp_path / f"{number}.pt"
        each.generate(*units, steps=2, scripts={"ip-adapter keeper": {"args": [str(path)]}}, **settings)
        made.append(torch.load(path, weights_only=True))
    assert len(made[0]) == len(made[1]) == 2
    for calls in zip(*made, strict=True):
        assert calls[0].keys() == calls[1].keys()
        assert len(calls[0]) == 16 + 2
        for name in calls[0]:
            ours, theirs = (call[name] for call in calls)
            assert (ours - theirs).abs().max() <= ALMOST * max(1.0, float(theirs.abs().max())), name
