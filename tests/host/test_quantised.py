"""Checkpoints with 8-bit weights: units change the outputs of such layers and leave the weights untouched."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import save
from safetensors.torch import load_file

from host.conftest import FOLDER, OURS, PYTHON, started
from host.webui import UNET, Files, Made, WebUI, kind_of, reference

F16, F32, Q8_0 = 1, 0, 8
"""GGUF's numbers of tensor types."""

NAME = "host-test-8-bits"
REST = Path(FOLDER or "", "models", "VAE", f"{NAME}.safetensors")
"""Everything but the U-Net, because a GGUF file holds only that."""


@dataclass(frozen=True)
class Way:
    """The flags and settings with which a web UI keeps weights in an 8-bit type."""

    flags: str = ""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    rounded: float = 0.0
    """Share of the units' effect by which two orders of summation can differ on average, if that is over a level."""


FORGES = {f"float8 {kind}": Way(settings={"forge_unet_storage_dtype": f"float8-{kind}"}) for kind in ("e4m3fn", "e5m2")}
GGUF = Way(settings={"sd_model_checkpoint": f"{NAME}.gguf", "forge_additional_modules": [str(REST)]})
"""Forge cannot read such a U-Net, without this extension too: sizes that it takes from numpy become fractions."""
BY_FLAGS = {f"float8 {kind}": Way(f"--unet-in-fp8-{kind}") for kind in ("e4m3fn", "e5m2")}
WAYS = {
    "AUTOMATIC1111": {"float8 e4m3fn": Way(settings={"fp8_storage": "Enable"}, rounded=0.15)},  # computes in bfloat16
    "Forge": FORGES,
    "Forge Neo": FORGES | {"GGUF": GGUF},
    "reForge": BY_FLAGS,
    "Forge Classic": BY_FLAGS,
}
HERE = WAYS[kind_of(Path(FOLDER)).name] if FOLDER else {}


def content(tensor: torch.Tensor) -> tuple[int, bytes]:
    """Return a tensor's kind and bytes as they stand in a GGUF file: rows of weights in blocks of 32, with a scale."""
    if tensor.ndim != 2 or tensor.shape[1] % 32:
        kind = F32 if tensor.ndim == 1 else F16
        return kind, tensor.to(torch.float32 if kind == F32 else torch.float16).contiguous().numpy().tobytes()
    blocks = tensor.float().reshape(-1, 32)
    scale = (blocks.abs().amax(1, keepdim=True) / 127).half()
    whole = (blocks / scale.float().clamp(min=1e-8)).round().clamp(-127, 127).to(torch.int8)
    return Q8_0, torch.cat([scale.view(torch.uint8), whole.view(torch.uint8)], 1).numpy().tobytes()


def write_gguf(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors as a GGUF file without metadata (ggml-org/ggml, docs/gguf.md)."""
    heads, contents, offset = [], [], 0
    for name, tensor in tensors.items():
        kind, written = content(tensor)
        sizes = struct.pack(f"<I{tensor.ndim}Q", tensor.ndim, *reversed(tensor.shape))
        heads.append(struct.pack("<Q", len(name)) + name.encode() + sizes + struct.pack("<IQ", kind, offset))
        contents.append(written + bytes(-len(written) % 32))
        offset += len(contents[-1])
    head = b"GGUF" + struct.pack("<IQQ", 3, len(heads), 0) + b"".join(heads)
    path.write_bytes(head + bytes(-len(head) % 32) + b"".join(contents))


@pytest.fixture(scope="module")
def checkpoint(webui: WebUI) -> Path:
    return webui.use_smallest()


@pytest.fixture(scope="module")
def exact(webui: WebUI, checkpoint: Path) -> Made:
    """The picture made with the checkpoint's own weights."""
    return webui.generate()


@pytest.fixture(scope="module")
def in_two_files(checkpoint: Path) -> Iterator[None]:
    """The checkpoint's U-Net as a GGUF file, and the rest in a place where the web UI finds it."""
    tensors, gguf = load_file(checkpoint), checkpoint.parent / f"{NAME}.gguf"
    write_gguf(gguf, {name[len(UNET) :]: each for name, each in tensors.items() if name.startswith(UNET)})
    save({name: each for name, each in tensors.items() if not name.startswith(UNET)}, REST)
    yield
    gguf.unlink()
    REST.unlink()


@pytest.mark.parametrize("name", HERE)
def test_units_work_on_8_bit_weights(
    request: pytest.FixtureRequest, files: Files, checkpoint: Path, exact: Made, name: str, tmp_path: Path
) -> None:
    assert FOLDER
    assert PYTHON
    way = HERE[name]
    if way is GGUF:
        request.getfixturevalue(in_two_files.__name__)
    settings = {"sd_model_checkpoint": checkpoint.name, **way.settings}
    units = [
        {"model": files.adapter(checkpoint), "images": [reference(1)]},
        {"model": files.adapter(checkpoint, "plus"), "images": [reference(2)], "weight": 0.5},
    ]
    with started(Path(FOLDER), PYTHON, files, tmp_path, *OURS, flags=way.flags, settings=settings) as webui:
        plain, before = webui.generate(), webui.hooks()
        assert plain - exact > 0, "the weights are not in 8 bits"
        made = webui.generate(*units)
        expected = webui.generate(oracle=files.oracle(*units))
        assert made - plain > 5, "the units do nothing"
        share = made.mean_difference(expected) / made.mean_difference(plain)
        assert made - expected <= 1 or share < way.rounded, f"they differ by {share:.3f} of what the units do"
        assert webui.generate() - plain == 0
        assert webui.hooks() == before
