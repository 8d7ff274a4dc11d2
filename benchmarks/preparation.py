"""Time to prepare a unit's keys and values, cold and warm, with full-size random files, and the memory it takes."""

import base64
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from makers import file_of, layer_tensors, picture, projector_tensors, save
from torch import nn

from lib_ipadapter.engine.prepare import Preparation
from lib_ipadapter.engine.session import SamplingRun
from lib_ipadapter.networks.unet_sites import SDXL, sites
from lib_ipadapter.port import COND, UNCOND, Folders, PassInfo, Row
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.weights.clip_vision import open_encoder
from lib_ipadapter.weights.projectors import Resampler

WIDTH, LAYERS, PROJECTION = 1280, 32, 1024
"""ViT-H/14"""

FILE_BYTES = 2_120_000_000
"""Size of the temporary adapter and encoder files, in half precision."""

NEEDED_BYTES = 4_500_000_000
"""Peak memory, while the encoder runs in full precision: its weights, its file and the adapter's file."""


def vit_h() -> dict[str, torch.Tensor]:
    """Return a ViT-H/14 vision tower with random weights in half precision, in open_clip's layout."""
    made = {
        "class_embedding": torch.randn(WIDTH),
        "positional_embedding": torch.randn(257, WIDTH),
        "conv1.weight": torch.randn(WIDTH, 3, 14, 14) * 0.04,
        "proj": torch.randn(WIDTH, PROJECTION) * WIDTH**-0.5,
    }
    norms = ["ln_pre", "ln_post"]
    for block in range(LAYERS):
        prefix = f"transformer.resblocks.{block}"
        norms += [f"{prefix}.ln_1", f"{prefix}.ln_2"]
        for name, rows, columns in (
            ("attn.in_proj_", 3 * WIDTH, WIDTH),
            ("attn.out_proj.", WIDTH, WIDTH),
            ("mlp.c_fc.", 4 * WIDTH, WIDTH),
            ("mlp.c_proj.", WIDTH, 4 * WIDTH),
        ):
            made[f"{prefix}.{name}weight"] = (torch.randn(rows, columns) * 0.3 * columns**-0.5).half()
            made[f"{prefix}.{name}bias"] = torch.zeros(rows)
    for norm in norms:
        made |= {f"{norm}.weight": torch.ones(WIDTH), f"{norm}.bias": torch.zeros(WIDTH)}
    return {f"visual.{name}": tensor for name, tensor in made.items()}


def sdxl_plus() -> dict[str, torch.Tensor]:
    """Return SDXL Plus for ViT-H with random weights."""
    projector = Resampler(1280, 16, 1280, 20, 2048, 4)
    return projector_tensors(projector) | layer_tensors(SDXL, (640, 1280), 2048)


def sdxl_sites() -> nn.Module:
    """Return a U-Net's worth of cross-attentions with SDXL's widths, without weights."""
    root = nn.Module()
    for site in sites(SDXL):
        parent = root
        for name in site.path.split("."):
            if name not in parent._modules:
                parent.add_module(name, nn.Module())
            parent = parent._modules[name]
        wide = {1: 640, 2: 1280}[site.level]
        with torch.device("meta"):
            parent.to_q, parent.to_k = nn.Linear(wide, wide, bias=False), nn.Linear(2048, wide, bias=False)
            parent.to_out = nn.ModuleList([nn.Linear(wide, wide)])
        parent.heads = wide // 64
    return root


def measure() -> dict[str, Any]:
    """Return seconds and bytes for SDXL Plus with ViT-H on this CPU."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = save(sdxl_plus(), folder / "ip-adapter-plus_sdxl_vit-h.safetensors", torch.float16)
        save(vit_h(), folder / "vit-h.safetensors", torch.float16)
        host: Any = SimpleNamespace(
            folders=lambda: Folders((folder,), (folder,)),
            compute_device=lambda: torch.device("cpu"),
            compute_dtype=lambda: torch.float32,
            face_device=lambda: torch.device("cpu"),
            free_memory=lambda needed: None,
            unconditional=lambda: "mean",
        )
        photo = base64.b64encode(file_of(picture(1600, 1200), "JPEG", quality=95)).decode()
        unit = read_unit({"model": "ip-adapter-plus_sdxl_vit-h", "images": [photo], "crop": "center"})
        other = read_unit({"model": "ip-adapter-plus_sdxl_vit-h", "images": [photo], "crop": "pad"})
        preparation, unet = Preparation(host), sdxl_sites()
        opened = timed(lambda: open_encoder(folder / "vit-h.safetensors"))
        cold, warm = timed(lambda: preparation.prepare(unit, unet)), timed(lambda: preparation.prepare(unit, unet))
        again = timed(lambda: preparation.prepare(other, unet))
        run = SamplingRun([preparation.prepare(unit, unet)], PassInfo())
        run.inject(unet)
        run.begin_call((Row(COND, 0), Row(UNCOND, 0)), 0.0, (128, 128))
        for site in sites(SDXL):
            attention = unet.get_submodule(site.path)
            query = torch.empty(2, (128 >> site.level) ** 2, 0, dtype=torch.float16)
            run._bank(site, attention.heads, query, (128, 128))
        return {
            "open the encoder's header": opened,
            "cold: ViT-H encodes, keys and values of 70 sites": cold,
            "another crop: ViT-H encodes again": again,
            "warm: the same unit again": warm,
            "bytes on the device while sampling": run.bytes,
            "bytes of the adapter's file": file.stat().st_size,
        }


def timed(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
