"""Names of base models and image encoders, by what a file or a loaded network shows of them."""

from collections.abc import Collection

from .family import EMBED, FACE_AND_HIDDEN, HIDDEN

BASES = {(768, 16): "SD1.x", (1024, 16): "SD2.x", (2048, 70): "SDXL"}
"""Base model of a U-Net by context width and number of cross-attention layers."""

NETWORK_PARTS = {
    "distilled_guidance_layer": "Chroma",
    "double_stream_modulation_img": "FLUX.2",
    "double_blocks": "FLUX",
    "joint_blocks": "SD3.5",
    "txt_norm": "Qwen-Image",
    "cap_embedder": "Lumina",
    "time_projection": "Wan",
}
"""Base model that is no U-Net, by a part of its network that those above it in this table lack (Forge Neo,
backend/nn)."""

ENCODERS = {
    (EMBED, 1024): "ViT-H/14",
    (EMBED, 1280): "ViT-bigG/14",
    (EMBED, 768): "ViT-L/14",
    (HIDDEN, 1280): "ViT-H/14",
    (HIDDEN, 1664): "ViT-bigG/14",
    (HIDDEN, 1024): "ViT-L/14",
    (FACE_AND_HIDDEN, 1280): "ViT-H/14",
}
"""Image encoder by what a projector takes from it and how wide that is."""


def base_name(context_dim: int, layers: int) -> str:
    """Return the name of a U-Net's base model, or its sizes where it is not known."""
    return BASES.get((context_dim, layers)) or f"context width {context_dim}, {layers} layers"


def network_without_unet(parts: Collection[str]) -> str:
    """Return the base model of a network that is no U-Net by the names of its parts, or "" where that is unknown."""
    return next((base for part, base in NETWORK_PARTS.items() if part in parts), "")


def encoder_name(takes: str, width: int) -> str:
    """Return the name of the image encoder whose `takes` (embed or hidden) is `width` wide, or that width."""
    return ENCODERS.get((takes, width)) or f"width {width}"
