"""With Deforum, which samples its frames without other extensions' scripts: this one changes none of them.

IP_ADAPTER_OTHER_EXTENSIONS is a folder with `sd-webui-deforum` in it, which needs ControlNet's extension,
IP_ADAPTER_CONTROLNET.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from host.conftest import FOLDER, ORACLE, OURS, PYTHON, started
from host.test_controlnet import CONTROLNET
from host.test_other_extensions import OTHERS
from host.webui import Files, WebUI, kind_of, reference

DEFORUM = OTHERS / "sd-webui-deforum"
pytestmark = [
    pytest.mark.skipif(
        bool(FOLDER) and kind_of(Path(FOLDER)).forge, reason="this extension was tried in AUTOMATIC1111's web UI"
    ),
    pytest.mark.skipif(
        not (DEFORUM.is_dir() and CONTROLNET),
        reason=f"set IP_ADAPTER_OTHER_EXTENSIONS to a folder with {DEFORUM.name} in it, and IP_ADAPTER_CONTROLNET",
    ),
]
ASKED = {
    "W": 64,
    "H": 64,
    "steps": 3,
    "seed": 1,
    "seed_behavior": "fixed",
    "sampler": "Euler",
    "animation_mode": "2D",
    "max_frames": 2,
    "prompts": {"0": "a red cat"},
    "skip_video_creation": True,
    "diffusion_cadence": 1,
    "strength_schedule": "0: (0.6)",
}


@contextlib.contextmanager
def controlnet_by_its_name() -> Iterator[None]:
    """Link ControlNet's extension under the only name by which Deforum finds it."""
    link = Path(FOLDER or "", "extensions", "sd-webui-controlnet")
    if link.exists():
        yield
        return
    link.symlink_to(CONTROLNET or "")
    try:
        yield
    finally:
        link.unlink()


@contextlib.contextmanager
def beside_deforum(files: Files, kept: Path, *extensions: Path) -> Iterator[WebUI]:
    """Run the web UI with Deforum, ControlNet and these extensions."""
    assert FOLDER
    assert PYTHON
    kept.mkdir()
    settings = {"outdir_img2img_samples": str(kept / "img2img")}
    beside = (*extensions, DEFORUM, Path(CONTROLNET or ""))
    web_ui = started(Path(FOLDER), PYTHON, files, kept, *beside, flags="--deforum-api", settings=settings)
    with controlnet_by_its_name(), web_ui as server:
        server.use_smallest()
        yield server


def frames(webui: WebUI) -> np.ndarray:
    defaults = json.loads((DEFORUM / "scripts" / "default_settings.txt").read_text(encoding="utf-8"))
    webui.call("/deforum_api/batches", {"deforum_settings": {**defaults, **ASKED}})
    status = "ACCEPTED"
    while status == "ACCEPTED":
        time.sleep(1)
        job = list(webui.call("/deforum_api/jobs").values())[-1]
        status = job["status"]
    assert status == "SUCCEEDED", job["message"]
    made = sorted(Path(job["outdir"]).glob("*.png"))
    return np.stack([np.asarray(Image.open(path).convert("RGB")).astype(int) for path in made])


def test_its_frames_are_the_same_with_and_without_this_extension(files: Files, tmp_path: Path) -> None:
    with beside_deforum(files, tmp_path / "with", *OURS) as webui:
        unit = {"model": files.adapter(webui.use_smallest()), "images": [reference(1)]}
        plain, made = webui.generate(), webui.generate(unit)
        beside = frames(webui)
        assert webui.generate(unit) - made == 0
        assert webui.generate() - plain == 0
    with beside_deforum(files, tmp_path / "without", ORACLE) as webui:
        alone = frames(webui)
    assert len(alone) == 2
    assert abs(beside - alone).max() == 0
