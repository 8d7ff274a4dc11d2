"""The tests' double of this web UI makes the same calls as the web UI, in order and with the same arguments."""

import json
from pathlib import Path
from typing import Any

import pytest
from contract import DOUBLES, Processing
from small_host import CONTEXT
from unets import ldm_unet

from host.webui import WebUI, reference

RECORDER = Path(__file__).parent / "oracle" / "scripts" / "recorder.py"
ON = "record"

WAYS: dict[str, dict[str, Any]] = {
    "two batches of two": {"n_iter": 2, "batch_size": 2},
    "hires fix": {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Lanczos", "denoising_strength": 1.0},
    "prompts joined by AND": {"prompt": "a red cat AND a blue house", "batch_size": 2},
    "each prompt separate": {"way": "separate", "batch_size": 2},
    "CFG 1": {"cfg_scale": 1},
    "img2img": {"mode": "img2img", "init_images": [reference(9)], "denoising_strength": 1.0},
}


@pytest.fixture(scope="module", autouse=True)
def checkpoint(webui: WebUI) -> Path:
    """One with the double's layout; the web UI may have begun with any."""
    return webui.use_smallest()


@pytest.mark.parametrize("way", WAYS)
def test_the_double_makes_the_same_calls_as_the_web_ui(webui: WebUI, tmp_path: Path, way: str) -> None:
    settings = WAYS[way]
    webui.call("/ip-adapter-recorder/calls")
    webui.generate(steps=2, scripts={"ip-adapter recorder": {"args": [ON]}}, **settings)
    real = webui.call("/ip-adapter-recorder/calls")
    known = {name: value for name, value in settings.items() if name in Processing.__dataclass_fields__}
    p = Processing(**known, separate=settings.get("way") == "separate", args={"IP-Adapter recorder": [ON]})
    with DOUBLES[webui.kind.name](ldm_unet(context_dim=CONTEXT), tmp_path).at_work(RECORDER) as double:
        double.generate(p)
        called = json.loads(json.dumps(double.entries[0].kept["calls"]))
    assert [each["name"] for each in called] == [each["name"] for each in real]
    assert called == real
