"""The kinds of IP-Adapter files: how each is told from its keys and shapes, and what it needs.

A file is described by its shapes alone: a mapping from canonical key to shape, as `checkpoint` reads it from a header.
Canonical keys start with `image_proj.` (the projector) or `ip_adapter.` (keys and values of each layer).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

EMBED, HIDDEN, FACE, FACE_AND_HIDDEN, OTHER = "embed", "hidden", "face", "face and hidden", "other"
"""What a projector takes: the CLIP image embedding, the second last hidden states, a face vector, both, or else."""


@dataclass(frozen=True)
class Family:
    """One kind of adapter: how a file of it is told, and what it needs."""

    name: str
    title: str
    """As it stands in a sentence: "This file is …"."""
    matches: Callable[[Shapes], bool]
    tokens: Callable[[Shapes], int]
    """Image tokens of one reference."""
    takes: str
    width: Callable[[Shapes], int]
    """Width of what enters the projector from the image encoder; 0 where no image encoder takes part."""
    runs: bool = False
    """Whether this version can run it."""
    needs: tuple[str, ...] = ()
    """Tensors that tell the projector's sizes, for families that run; the first is its last norm."""


def _has(*names: str) -> Callable[[Shapes], bool]:
    return lambda shapes: all(f"image_proj.{name}" in shapes for name in names)


def _rows_of(name: str) -> Callable[[Shapes], int]:
    """Rows of the last projection over the width of its norm: tokens of a projector that makes them all at once."""
    return lambda shapes: shapes[f"image_proj.{name}.weight"][0] // shapes["image_proj.norm.weight"][0]


def _size(name: str, axis: int) -> Callable[[Shapes], int]:
    return lambda shapes: shapes[f"image_proj.{name}"][axis]


def _fixed(value: int) -> Callable[[Shapes], int]:
    return lambda _: value


def _any_key(prefix: str, suffix: str = "") -> Callable[[Shapes], bool]:
    return lambda shapes: any(key.startswith(prefix) and key.endswith(suffix) for key in shapes)


def _kolors_face(shapes: Shapes) -> bool:
    return _has("perceiver_resampler.proj_in.weight", "norm.weight")(shapes) and _size("norm.weight", 0)(shapes) == 4096


def _raw_face(shapes: Shapes) -> bool:
    return _has("latents", "proj_in.weight")(shapes) and _size("proj_in.weight", 1)(shapes) == 512


def _kolors(shapes: Shapes) -> bool:
    """Kolors' resampler is 2048 wide with 12 heads of 64; SDXL's has as many heads as its width holds."""
    return (
        _has("latents", "layers.0.0.to_q.weight")(shapes)
        and _size("latents", 2)(shapes) == 2048
        and _size("layers.0.0.to_q.weight", 0)(shapes) == 768
    )


def _mlp(width: int) -> Callable[[Shapes], bool]:
    return lambda shapes: (
        _has("proj.0.weight", "proj.2.weight", "norm.weight")(shapes) and _size("proj.0.weight", 1)(shapes) == width
    )


def _portrait(shapes: Shapes) -> bool:
    return _mlp(512)(shapes) and _rows_of("proj.2")(shapes) >= 16


FAMILIES = (
    Family(
        "xlabs-flux",
        "an XLabs IP-Adapter for FLUX",
        _any_key("double_blocks."),
        _rows_of("proj"),
        EMBED,
        _size("proj.weight", 1),
    ),
    Family(
        "instantx-sd35",
        "an InstantX IP-Adapter for Stable Diffusion 3.5",
        _any_key("ip_adapter.", ".norm_ip.linear.weight"),
        _size("latents", 1),
        OTHER,
        _size("proj_in.weight", 1),
    ),
    Family("pulid-flux", "a PuLID adapter for FLUX", _any_key("pulid_ca."), _fixed(32), FACE_AND_HIDDEN, _fixed(1024)),
    Family(
        "pulid-v1.1",
        "a PuLID v1.1 adapter",
        _has("id_embedding_mapping.0.weight"),
        _fixed(32),
        FACE_AND_HIDDEN,
        _fixed(1024),
    ),
    Family("pulid", "a PuLID v1 adapter", _has("body.0.weight"), _fixed(10), FACE_AND_HIDDEN, _fixed(1024)),
    Family(
        "kolors-faceid-plus",
        "a FaceID Plus adapter for Kolors",
        _kolors_face,
        _rows_of("proj.2"),
        FACE_AND_HIDDEN,
        _size("perceiver_resampler.proj_in.weight", 1),
    ),
    Family(
        "faceid-plus",
        "a FaceID Plus adapter (v1 and v2 look alike)",
        _has("perceiver_resampler.proj_in.weight"),
        _rows_of("proj.2"),
        FACE_AND_HIDDEN,
        _size("perceiver_resampler.proj_in.weight", 1),
    ),
    Family(
        "full-face",
        "a Full Face adapter",
        _has("proj.3.weight"),
        _fixed(257),
        HIDDEN,
        _size("proj.0.weight", 1),
        runs=True,
        needs=("proj.3.weight", "proj.2.weight"),
    ),
    Family(
        "face-resampler",
        "an InstantID or FaceID Portrait unnorm adapter (they look alike)",
        _raw_face,
        _size("latents", 1),
        FACE,
        _fixed(0),
    ),
    Family(
        "kolors-plus", "a Plus adapter for Kolors", _kolors, _size("latents", 1), HIDDEN, _size("proj_in.weight", 1)
    ),
    Family(
        "plus",
        "a Plus adapter (Plus, Plus Face and Composition look alike)",
        _has("latents"),
        _size("latents", 1),
        HIDDEN,
        _size("proj_in.weight", 1),
        runs=True,
        needs=("norm_out.weight", "proj_out.weight", "layers.0.0.to_q.weight"),
    ),
    Family(
        "instantx-flux",
        "an InstantX IP-Adapter for FLUX",
        _mlp(1152),
        _rows_of("proj.2"),
        OTHER,
        _size("proj.0.weight", 1),
    ),
    Family("portrait", "a FaceID Portrait adapter", _portrait, _rows_of("proj.2"), FACE, _fixed(0)),
    Family("faceid", "a FaceID adapter", _mlp(512), _rows_of("proj.2"), FACE, _fixed(0)),
    Family(
        "base",
        "a base adapter",
        _has("proj.weight", "norm.weight"),
        _rows_of("proj"),
        EMBED,
        _size("proj.weight", 1),
        runs=True,
        needs=("norm.weight",),
    ),
)
"""First match wins (the order matters: several families share keys)."""

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

SPECIAL_ENCODERS = {
    "kolors-plus": "ViT-L/14-336",
    "kolors-faceid-plus": "insightface + ViT-L/14-336",
    "pulid": "insightface + EVA02-CLIP-L-14-336",
    "pulid-v1.1": "insightface + EVA02-CLIP-L-14-336",
    "pulid-flux": "insightface + EVA02-CLIP-L-14-336",
    "instantx-flux": "SigLIP-so400m-14-384",
    "instantx-sd35": "SigLIP-so400m-14-384",
}

SPECIAL_BASES = {
    "kolors-plus": "Kolors",
    "kolors-faceid-plus": "Kolors",
    "xlabs-flux": "FLUX",
    "instantx-flux": "FLUX",
    "pulid-flux": "FLUX",
    "instantx-sd35": "SD3.5",
}

BASES = {(768, 16): "SD1.x", (1024, 16): "SD2.x", (2048, 70): "SDXL"}
"""Base model by context width and number of layers."""


def base_name(context_dim: int, layers: int) -> str:
    """Return the base model's name, or what is known of it, for messages."""
    return BASES.get((context_dim, layers)) or f"context width {context_dim}, {layers} layers"


def encoder_name(takes: str, width: int) -> str:
    """Return the name of the image encoder whose `takes` (embed or hidden) is `width` wide."""
    return ENCODERS.get((takes, width)) or f"width {width}"
