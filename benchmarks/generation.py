"""What a generation costs outside sampling: `python benchmarks/generation.py`. Needs 1.5 GB of memory."""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import conftest  # noqa: F401 must run before torchvision is imported
import torch
from makers import layer_tensors, projector_tensors, save, text_of
from PIL import Image
from published import PUBLISHED, sparse
from small_host import CONTEXT, Processing, SmallHost, photo, save_files, unit
from unets import ldm_unet

from lib_ipadapter.engine.generation_units import units_of
from lib_ipadapter.engine.session import Session
from lib_ipadapter.engine.tokens import project
from lib_ipadapter.networks.unet_sites import SDXL
from lib_ipadapter.unit.infotext import Circumstances, describe
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.restore import restored_units
from lib_ipadapter.weights.adapter_file import open_adapter
from lib_ipadapter.weights.projectors import Resampler

PICTURES = 4
"""Pictures of noise that make 28 MB of text together."""
LARGE = "ip-adapter-faceid-plusv2_sdxl"
"""A published adapter of 1.5 GB with its LoRA."""


def milliseconds(work: Callable[[], object], times: int = 1) -> float:
    """Return the least of several times."""

    def once() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return 1000 * min(once() for _ in range(times))


def noise(side: int) -> str:
    return text_of(Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)))


def read_large_unit() -> dict[str, float]:
    """Read a unit with large pictures, as each of the script's methods does for one generation."""
    text = json.dumps(unit(images=[noise(1320) for _ in range(PICTURES)]))
    p = SimpleNamespace()
    size = f"{len(text) / 1e6:.0f} MB"
    return {
        f"reading a unit of {size}": milliseconds(lambda: units_of(p, [text])),
        f"asking for the units of {size} again": milliseconds(lambda: units_of(p, [text]), 10),
    }


def prepare_again() -> dict[str, float]:
    """Begin a generation with three units that have not changed."""
    with tempfile.TemporaryDirectory() as name:
        save_files(Path(name))
        host = SmallHost(Path(name), ldm_unet(context_dim=CONTEXT))
        session = Session(host)
        units = [unit(), unit(model="plus"), unit(images=[photo(2)])]

        def begin() -> None:
            p = Processing()
            session.before_generation(p, units)
            session.before_sampling(p, units)

        begin()
        return {"preparing three units that have not changed": milliseconds(begin, 20)}


def paste() -> dict[str, float]:
    """Restore ten units with all kinds of fields from a picture's parameters."""
    given = unit(weight=0.7, start=0.1, curve="0:1, 0.5:0.5, 1:0", region="0, 0, 0.5, 1; feather 0.1", layers="3:0.5")
    known = Circumstances("0123456789ab", "ViT-H-14.safetensors", "mean", "1.0.0")
    line = describe(read_unit(given), "ip-adapter-plus_sd15.safetensors", {"images[0]": "0" * 64}, known)
    parameters = {f"IP-Adapter {number}": line for number in range(1, 11)}
    return {
        "restoring ten units from a picture's parameters": milliseconds(lambda: restored_units(parameters, find), 20)
    }


def find(_digest: str) -> Any:
    """Find none of the references."""
    return None


def project_many() -> dict[str, float]:
    """Project 16 references of SDXL Plus at once, and one by one."""
    with tempfile.TemporaryDirectory() as name:
        made = projector_tensors(Resampler(1280, 16, 1280, 20, 2048, 4)) | layer_tensors(SDXL, (64, 128), 2048)
        adapter = open_adapter(save(made, Path(name, "plus.safetensors")))
        tensors, features = adapter.tensors(), torch.randn(16, 257, 1280)
        return {
            "projecting 16 references in one call": milliseconds(lambda: project(adapter, tensors, features), 3),
            "projecting them one by one": milliseconds(
                lambda: [project(adapter, tensors, each[None]) for each in features], 3
            ),
        }


def open_large() -> dict[str, float]:
    """Recognise a large file from its header."""
    with tempfile.TemporaryDirectory() as name:
        path = sparse(Path(name, f"{LARGE}.safetensors"), PUBLISHED[LARGE].shapes)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        took = milliseconds(lambda: open_adapter(path), 3)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
        return {f"recognising a file of {path.stat().st_size / 1e9:.1f} GB, {grown:.0f} MB of memory": took}


def main() -> None:
    torch.set_num_threads(2)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; least of several times")
    for measure in (open_large, read_large_unit, prepare_again, paste, project_many):
        for what, took in measure().items():
            print(f"{what:64} {took:9.1f} ms")


if __name__ == "__main__":
    main()
