"""Names of base models and image encoders, by the sizes in a file or a loaded network."""

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
"""Base model without a U-Net, by the name of a module that the rows above lack (Forge Neo, backend/nn)."""

EVA = "EVA02-CLIP-L-14-336"
"""PuLID's image encoder, which no CLIP tower of the same width can replace."""

SIGLIP = "SigLIP-so400m-14-384"
"""The image encoder of most adapters for networks without a U-Net."""

ENCODERS = {
    (EMBED, 1024): "ViT-H/14",
    (EMBED, 1280): "ViT-bigG/14",
    (EMBED, 768): "ViT-L/14",
    (HIDDEN, 1280): "ViT-H/14",
    (HIDDEN, 1664): "ViT-bigG/14",
    (HIDDEN, 1024): "ViT-L/14",
    (FACE_AND_HIDDEN, 1280): "ViT-H/14",
}
"""Image encoder, by the kind and width of the features that a projector takes from it."""


def base_name(context_dim: int, layers: int) -> str:
    """Return the name of a U-Net's base model, or its sizes where the model is unknown."""
    return BASES.get((context_dim, layers)) or f"context width {context_dim}, {layers} layers"


def network_without_unet(parts: Collection[str]) -> str:
    """Return the base model of a network without a U-Net, by the names of its modules, or "" where unknown."""
    return next((base for part, base in NETWORK_PARTS.items() if part in parts), "")


def encoder_name(takes: str, width: int) -> str:
    """Return the name of the image encoder whose features `takes` (embed or hidden) are `width` wide, or the width."""
    return ENCODERS.get((takes, width)) or f"width {width}"
