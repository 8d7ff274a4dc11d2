"""Converts a CLIP vision tower's tensors from Hugging Face's or open_clip's layout to open_clip's modules."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from .shapes import Shape, Shapes
from .tensor_file import refuse_mismatch

HF_NAMES = (
    (r"vision_model\.embeddings\.class_embedding", "class_embedding"),
    (r"vision_model\.embeddings\.patch_embedding\.weight", "conv1.weight"),
    (r"vision_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"vision_model\.pre_layrnorm\.(weight|bias)", r"ln_pre.\1"),
    (r"vision_model\.encoder\.layers\.(\d+)\.layer_norm([12])\.(weight|bias)", r"transformer.resblocks.\1.ln_\2.\3"),
    (
        r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.[qkv]_proj\.(weight|bias)",
        r"transformer.resblocks.\1.attn.in_proj_\2",
    ),
    (
        r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.out_proj\.(weight|bias)",
        r"transformer.resblocks.\1.attn.out_proj.\2",
    ),
    (r"vision_model\.encoder\.layers\.(\d+)\.mlp\.fc1\.(weight|bias)", r"transformer.resblocks.\1.mlp.c_fc.\2"),
    (r"vision_model\.encoder\.layers\.(\d+)\.mlp\.fc2\.(weight|bias)", r"transformer.resblocks.\1.mlp.c_proj.\2"),
    (r"vision_model\.post_layernorm\.(weight|bias)", r"ln_post.\1"),
    (r"visual_projection\.weight", "proj"),
)
"""Hugging Face's tensor names -> open_clip's. open_clip concatenates q, k and v in one tensor and transposes the
projection (transformers, `CLIPVisionModelWithProjection`; open_clip, `VisionTransformer`)."""

HF_TEXT = re.compile(r"text_model\.|text_projection|logit_scale|.*position_ids$")
"""Tensors of a full CLIP model that do not belong to its vision tower."""

HF_PROJECTION = "visual_projection.weight"
HF_PART = re.compile(r"(.*\.self_attn\.)[qkv](_proj\.\w+)")

Value = TypeVar("Value")


def named_shapes(shapes: Shapes) -> dict[str, Shape]:
    """Return the shapes of a vision tower by open_clip's names, for files in either layout."""
    own = vision_part(shapes)
    return {_open_clip_name(key): shape[::-1] if key == HF_PROJECTION else shape for key, shape in own.items()}


def named_tensors(path: Path, width: int, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a vision tower by open_clip's names, for files in either layout."""
    named: dict[str, Tensor] = {}
    for key, tensor in own.items():
        name = _open_clip_name(key)
        if not HF_PART.match(key):
            named[name] = tensor.T if key == HF_PROJECTION else tensor
        elif name not in named:
            named[name] = _concatenated_qkv(path, width, key, own)
    return named


def _concatenated_qkv(path: Path, width: int, key: str, own: Mapping[str, Tensor]) -> Tensor:
    """Return q, k and v concatenated; `key` names one of them."""
    keys = [HF_PART.sub(rf"\g<1>{part}\2", key) for part in "qkv"]
    shape = (width,) if key.endswith(".bias") else (width, width)
    refuse_mismatch(path, dict.fromkeys(keys, shape), {k: tuple(own[k].shape) for k in keys if k in own})
    return torch.cat([own[k] for k in keys])


def _open_clip_name(key: str) -> str:
    for pattern, name in HF_NAMES:
        if match := re.fullmatch(pattern, key):
            return match.expand(name)
    return key


def vision_part(named: Mapping[str, Value]) -> dict[str, Value]:
    """Return the entries of a file's vision tower. An open_clip file with only the tower may have no prefix."""
    if any(name.startswith("vision_model.") for name in named):
        return {name: value for name, value in named.items() if not HF_TEXT.match(name)}
    prefix = "visual." if any(name.startswith("visual.") for name in named) else ""
    return {name[len(prefix) :]: value for name, value in named.items() if name.startswith(prefix)}
