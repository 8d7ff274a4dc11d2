"""Random files in the real layouts, small or full-size, for the tests and the benchmarks."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from lib_ipadapter.networks.unet_sites import SD, Layout, sites
from lib_ipadapter.weights.projectors import (
    FacePlusProjector,
    FaceProjector,
    FaceResampler,
    FullFaceProjector,
    LinearProjector,
    Resampler,
)
from lib_ipadapter.weights.pulid import IDEncoder, IDFormer

SD15_WIDTHS = (320, 640, 1280)
LEVEL = {
    "SD": {"input": {1: 0, 2: 0, 4: 1, 5: 1, 7: 2, 8: 2}, "middle": {0: 2}},
    "SDXL": {"input": {4: 0, 5: 0, 7: 1, 8: 1}, "middle": {0: 1}},
}


def site_widths(layout: Layout, widths: Sequence[int]) -> dict[int, int]:
    """Return the width of each site by its index, for a U-Net whose levels with attention have these widths."""
    made = {}
    for site in sites(layout):
        if site.block == "output":
            deepest = len(widths) - 1
            first = 3 if layout.name == "SD" else 0
            level = deepest - (site.number - first) // 3
        else:
            level = LEVEL[layout.name][site.block][site.number]
        made[site.index] = widths[level]
    return made


def layer_tensors(layout: Layout, widths: Sequence[int], context_dim: int, seed: int = 0) -> dict[str, Tensor]:
    """Return random keys and values of every site; all sites differ, so that a swap is noticed."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for index, width in site_widths(layout, widths).items():
        for name in ("to_k_ip", "to_v_ip"):
            tensor = (
                torch.randn(width, context_dim, generator=generator) * (1.0 + 0.1 * (index % 7)) * context_dim**-0.5
            )
            made[f"ip_adapter.{2 * index + 1}.{name}.weight"] = tensor
    return made


def projector_tensors(projector: torch.nn.Module, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1000 + seed)
    made = {}
    for name, tensor in projector.state_dict().items():
        scale = tensor.shape[-1] ** -0.5 if tensor.dim() > 1 else 0.1
        made[f"image_proj.{name}"] = torch.randn(tensor.shape, generator=generator) * scale
        if tensor.dim() == 1 and name.endswith("weight"):
            made[f"image_proj.{name}"] += 1.0
    return made


PROJECTOR_MAKERS = {
    "base": lambda width, context_dim, tokens: LinearProjector(width, tokens, context_dim),
    "plus": lambda width, context_dim, tokens: Resampler(width, tokens, 128, 2, context_dim, 4),
    "full-face": lambda width, context_dim, tokens: FullFaceProjector(width, context_dim),
    "faceid": lambda width, context_dim, tokens: FaceProjector(512, tokens, context_dim),
    "faceid-plus": lambda width, context_dim, tokens: FacePlusProjector(512, tokens, context_dim, width, 2, 4),
    "face-resampler": lambda width, context_dim, tokens: FaceResampler(512, tokens, 128, 2, context_dim, 4),
    "pulid": lambda width, context_dim, tokens: IDEncoder(1280, 24, 5, width, context_dim),
    "pulid-v1.1": lambda width, context_dim, tokens: IDFormer(1280, 5, tokens, 64, 1, width, context_dim, 10),
}


def lora_tensors(
    layout: Layout, widths: Sequence[int], context_dim: int, rank: int = 8, seed: int = 0
) -> dict[str, Tensor]:
    """Return a random LoRA under the keys of the adapters' own files."""
    generator = torch.Generator().manual_seed(2000 + seed)
    made = {}
    for index, width in site_widths(layout, widths).items():
        for number, context in ((2 * index, width), (2 * index + 1, context_dim)):
            for part, entering in (("q", width), ("k", context), ("v", context), ("out", width)):
                key = f"ip_adapter.{number}.to_{part}_lora"
                made[f"{key}.down.weight"] = torch.randn(rank, entering, generator=generator) * entering**-0.5
                made[f"{key}.up.weight"] = torch.randn(width, rank, generator=generator) * rank**-0.5
    return made


def adapter_tensors(
    family: str = "base",
    layout: Layout = SD,
    widths: Sequence[int] = SD15_WIDTHS,
    context_dim: int = 768,
    width: int = 64,
    tokens: int = 4,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Return a random adapter under the published keys, for features `width` wide."""
    projector = PROJECTOR_MAKERS[family](width, context_dim, tokens)
    return projector_tensors(projector, seed) | layer_tensors(layout, widths, context_dim, seed)


def nested(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return flat tensors in the nested form of the authors' .bin files."""
    made: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        group, name = key.split(".", 1)
        made.setdefault(group, {})[name] = tensor
    return made


def save(tensors: Mapping[str, Tensor], path: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Save flat as .safetensors, with any other extension in torch's nested form."""
    tensors = {key: tensor.to(dtype).contiguous() for key, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(tensors, str(path))
    else:
        torch.save(nested(tensors), path)
    return path


def picture(width: int = 96, height: int = 96, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """Return a picture with smooth colours and some noise, different for every seed."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0]
    levels = ((smooth + 0.05 * torch.randn(3, height, width, generator=generator)).clamp(0, 1) * 255).byte()
    return Image.fromarray(levels.permute(1, 2, 0).numpy()).convert(mode)


def file_of(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    kept = io.BytesIO()
    image.save(kept, form, **options)
    return kept.getvalue()


def text_of(image: Image.Image) -> str:
    """Return a picture as a unit has it: base64 of a PNG."""
    return base64.b64encode(file_of(image)).decode()
