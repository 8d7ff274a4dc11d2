"""Names of the tensors of EVA02-CLIP's vision tower: those of its authors' file, and timm's, which open_clip uses."""

import re
from collections.abc import Mapping
from typing import TypeVar

BLOCK = re.compile(r"blocks\.(\d+)\.")

MARK = "blocks.0.attn.inner_attn_ln.weight"
"""A tensor that only these towers have, by the authors' name."""

TIMM_NAMES = {
    "attn.norm": "attn.inner_attn_ln",
    "mlp.fc1_g": "mlp.w1",
    "mlp.fc1_x": "mlp.w2",
    "mlp.norm": "mlp.ffn_ln",
    "mlp.fc2": "mlp.w3",
    "attn.q_proj.bias": "attn.q_bias",
    "attn.v_proj.bias": "attn.v_bias",
}
"""timm's parts of a block's tensor names -> the authors' (timm, `models/eva.py`, `checkpoint_filter_fn`)."""

PREFIXES = ("module.visual.", "visual.trunk.", "visual.", "trunk.", "")
"""What the tower's names start with in a file with the text tower too, in open_clip's, and in one without."""

ROTARY = re.compile(r"(.*\.)?rope\.")
"""Tables of the rotary positions, which are computed here."""

Value = TypeVar("Value")


def eva_part(named: Mapping[str, Value]) -> dict[str, Value]:
    """Return the entries of a file's EVA02-CLIP vision tower by the authors' names; empty for any other file."""
    prefix = next((prefix for prefix in PREFIXES if f"{prefix}patch_embed.proj.weight" in named), None)
    if prefix is None:
        return {}
    own = {
        _authors_name(name[len(prefix) :]): value
        for name, value in named.items()
        if name.startswith(prefix) and not ROTARY.match(name)
    }
    return own if MARK in own else {}


def _authors_name(name: str) -> str:
    block = BLOCK.match(name)
    if not block:
        return name
    rest = name[block.end() :]
    part = next((part for part in TIMM_NAMES if rest == part or rest.startswith(f"{part}.")), "")
    return block[0] + TIMM_NAMES.get(part, "") + rest[len(part) :]
