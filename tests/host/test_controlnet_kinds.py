"""With ControlNet units of other kinds: the picture equals the oracle's with the same units, and no trace is left.

IP_ADAPTER_CONTROLNET is the folder of the extension for AUTOMATIC1111; the Forge family has one built in.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import save

from host.conftest import FOLDER
from host.test_controlnet import BUILT_IN, CONTROLNET, beside_controlnet, controlnet_tensors, narrow_controlnet
from host.test_engine import LONG
from host.webui import Files, Made, WebUI, reference, smallest_in, unet_sizes
from lib_ipadapter.networks.unet_sites import SD

pytestmark = pytest.mark.skipif(
    not (CONTROLNET or BUILT_IN), reason="no ControlNet: set IP_ADAPTER_CONTROLNET to the folder of the extension"
)

CONTROL, LLLITE = "control_of_some_kind_sd15", "lllite_sd15"
SMALL = {"width": 64, "height": 64, "steps": 3}

LAYERS = (("input_blocks_1", "attn1_to_q"), ("input_blocks_1", "attn2_to_q"), ("output_blocks_11", "attn2_to_q"))
"""Linear layers that the LLLite file changes, all at the width of the first level."""


def lllite_tensors(width: int, between: int = 32) -> dict[str, torch.Tensor]:
    """Return a random LLLite for some layers: the hint's layers, and those that change each layer's input."""
    torch.manual_seed(10)
    sizes = {
        "conditioning1.0": (between // 2, 3, 4, 4),
        "conditioning1.2": (between, between // 2, 2, 2),
        "down.0": (between, width),
        "mid.0": (between, 2 * between),
        "up.0": (width, between),
    }
    made = {}
    for block, layer in LAYERS:
        name = f"lllite_unet_{block}_1_transformer_blocks_0_{layer}"
        for part, size in sizes.items():
            made[f"{name}.{part}.weight"] = torch.randn(size) * 2 * prod(size[1:]) ** -0.5
            made[f"{name}.{part}.bias"] = torch.zeros(size[0])
    return made


@pytest.fixture(scope="module")
def made_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("controlnet"))


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    """The smallest SD1 checkpoint that the web UI has."""
    return smallest_in(Path(FOLDER or ""), SD, [768])


@pytest.fixture(scope="module")
def webui(made_files: Files, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    width = unet_sizes(checkpoint)[1][0]
    save(controlnet_tensors(checkpoint), made_files.folder / f"{CONTROL}.safetensors", torch.float16)
    save(lllite_tensors(width), made_files.folder / f"{LLLITE}.safetensors")
    with beside_controlnet(made_files, tmp_path_factory.mktemp("webui")) as server:
        server.use(checkpoint)
        if not BUILT_IN:  # takes a ControlNet's widths from its file
            narrow_controlnet(server, checkpoint)
        yield server


NONE, MASK = ("None", "mask_image") if BUILT_IN else ("none", "mask")
UNITS = {
    "a picture that needs no preprocessor": {"module": NONE, "model": CONTROL},
    "canny": {"module": "canny", "model": CONTROL, "processor_res": 64},
    "in the prompt's rows only": {"module": NONE, "model": CONTROL, "control_mode": "ControlNet is more important"},
    "LLLite": {"module": NONE, "model": LLLITE},
    "reference only": {
        "module": "reference_only",
        "threshold_a": 0.5,
        "weight": 1.4,
    },  # otherwise Forge skips narrow blocks
    "inpaint only": {"module": "inpaint_only", "model": CONTROL, MASK: reference(4, 64, 64)},
}
PASSES = {"once": {}, "separate": {"negative_prompt": LONG}, "batch": {"batch_size": 2}}


def generate(webui: WebUI, units: list[dict[str, Any]], *own: dict[str, Any], **more: Any) -> Made:
    made = webui.generate(*own, scripts={"controlnet": {"args": units}} if units else {}, **SMALL, **more)
    made.pictures = made.pictures[: more.get("batch_size", 1)]  # the ControlNet's input follows them
    return made


@pytest.mark.parametrize("way", PASSES)
@pytest.mark.parametrize("kind", UNITS)
def test_the_picture_equals_the_oracles_with_the_same_extension(
    webui: WebUI, made_files: Files, checkpoint: Path, kind: str, way: str
) -> None:
    names = webui.call("/controlnet/model_list?update=true")["model_list"]
    theirs = {"enabled": True, "image": reference(5, 64, 64), "weight": 0.7, **UNITS[kind]}
    if "model" in theirs:
        theirs["model"] = next(name for name in names if name.startswith(theirs["model"]))
    unit, more = {"model": made_files.adapter(checkpoint), "images": [reference(1)]}, PASSES[way]
    generate(webui, [theirs], **more)
    plain, alone = generate(webui, [], **more), generate(webui, [theirs], **more)
    left = webui.hooks()  # ControlNet leaves forwards on modules that had none
    both = generate(webui, [theirs], unit, **more)
    assert alone - plain > 1, "the ControlNet does nothing"
    assert both - alone > 5, "the unit does nothing"
    assert both - generate(webui, [theirs], oracle=made_files.oracle(unit), **more) <= 1
    assert generate(webui, [theirs], **more) - alone == 0
    assert generate(webui, [], **more) - plain == 0
    assert webui.hooks() == left
