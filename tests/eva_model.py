"""timm's own EVA02-CLIP vision tower, random, as the oracle and as a source of files in every published layout."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


class Sizes(NamedTuple):
    width: int
    depth: int
    side: int
    """In pixels."""


NARROW = Sizes(128, 21, 56)
"""Two heads of 64, 4 × 4 patches, and just enough blocks for the last hidden state."""

FULL = Sizes(1024, 24, 336)
"""As published."""


@functools.cache
def tower(seed: int = 0, sizes: Sizes = NARROW) -> torch.nn.Module:
    """Return timm's tower with the settings of `eva02_large_patch14_clip_336`, random; do not change it."""
    from timm.models.eva import Eva

    torch.manual_seed(seed)
    model = Eva(
        patch_size=14,
        qkv_fused=False,
        mlp_ratio=4 * 2 / 3,
        scale_mlp=True,
        swiglu_mlp=True,
        scale_attn_inner=True,
        use_rot_pos_emb=True,
        ref_feat_shape=(16, 16),
        global_pool="token",
        embed_dim=sizes.width,
        depth=sizes.depth,
        num_heads=sizes.width // 64,
        img_size=sizes.side,
        num_classes=768,
    ).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            scale = tensor.shape[-1] ** -0.5 if tensor.dim() > 1 else 0.1
            tensor.copy_(torch.randn(tensor.shape) * scale + (tensor.dim() == 1 and name.endswith("weight")))
    return model


def tapped(model: torch.nn.Module, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the embedding of pictures and the input of blocks 4, 8, 12, 16 and 20."""
    kept: list[Tensor] = []
    hooks = [
        model.blocks[number].register_forward_pre_hook(lambda _module, args: kept.append(args[0]))
        for number in (4, 8, 12, 16, 20)
    ]
    try:
        with torch.no_grad():
            return model(pixels), kept
    finally:
        for hook in hooks:
            hook.remove()


def timm_tensors(seed: int = 0) -> Tensors:
    return dict(tower(seed).state_dict())


def authors_tensors(seed: int = 0, sizes: Sizes = NARROW) -> Tensors:
    """Return the tensors under the names of EVA-CLIP's own file, with the tables that it has in every block."""
    parts = {
        ".attn.norm.": ".attn.inner_attn_ln.",
        ".mlp.fc1_g.": ".mlp.w1.",
        ".mlp.fc1_x.": ".mlp.w2.",
        ".mlp.norm.": ".mlp.ffn_ln.",
        ".mlp.fc2.": ".mlp.w3.",
        ".attn.q_proj.bias": ".attn.q_bias",
        ".attn.v_proj.bias": ".attn.v_bias",
    }
    made = {}
    for name, tensor in tower(seed, sizes).state_dict().items():
        for theirs, ours in parts.items():
            name = name.replace(theirs, ours)
        made[f"visual.{name}"] = tensor
    places = int(math.sqrt(made["visual.pos_embed"].shape[1] - 1)) ** 2
    for holder in ("", *(f"blocks.{i}.attn." for i in range(sizes.depth))):
        for kind in ("cos", "sin"):
            made[f"visual.{holder}rope.freqs_{kind}"] = torch.zeros(places, 64)
    text = {"text.positional_embedding": torch.zeros(7, 16), "logit_scale": torch.tensor(4.6)}
    return made | text


LAYOUTS: dict[str, Callable[[], Tensors]] = {
    "its authors', whole": authors_tensors,
    "its authors', alone": lambda: {name[7:]: t for name, t in authors_tensors().items() if name.startswith("visual.")},
    "open_clip": lambda: {f"visual.trunk.{n}": t for n, t in timm_tensors().items()} | {"logit_scale": torch.ones(())},
    "timm": timm_tensors,
}


def write_eva(path: Path, seed: int = 0, dtype: torch.dtype = torch.float32, sizes: Sizes = NARROW) -> Path:
    """Write a tower in the layout and the container of the published file."""
    torch.save({name: tensor.to(dtype) for name, tensor in authors_tensors(seed, sizes).items()}, path)
    return path
