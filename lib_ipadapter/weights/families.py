"""The kinds of IP-Adapter files: how each is told from its keys and shapes, and what it needs.

A file is described by its shapes alone: a mapping from canonical key to shape, as `checkpoint` reads it from a header.
Canonical keys start with `image_proj.` (the projector) or `ip_adapter.` (keys and values of each layer).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from .shapes import Shapes

EMBED, HIDDEN, FACE, FACE_AND_HIDDEN, OTHER = "embed", "hidden", "face", "face and hidden", "other"
"""What a projector takes: the CLIP image embedding, the second last hidden states, a face vector, both, or else."""


NORMED, RAW = "normed", "raw"
"""How a projector takes a face's vector: divided by its length, or as the recognition model gives it."""

BUFFALO, ANTELOPE = "buffalo_l", "antelopev2"
"""Names of insightface's sets of models, whose vectors differ."""


@dataclass(frozen=True)
class Variant:
    """One of several kinds of files that have the same keys and shapes, but are run differently."""

    name: str
    title: str
    words: tuple[str, ...]
    """What the names of such files hold, of which letters and digits alone are compared."""
    digests: tuple[str, ...]
    """SHA-256 of the published files."""
    settings: tuple[str, ...] = ()
    """Fields of a unit that its projector takes."""
    pack: str = BUFFALO
    """Name of the face models whose vectors it was trained with."""
    controlnet: bool = False
    """Whether it comes with a ControlNet that sees its image tokens in the place of the text."""


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
    variants: tuple[Variant, ...] = ()
    """What a file may be in particular; the first is what it is taken for where nothing tells."""
    fields: tuple[str, ...] = ()
    """Fields of a unit that have a meaning for some families only, this one among them."""
    face_embedding: str = ""
    """How a face's vector enters the projector, where one does."""


FACE_FIELDS = ("face", "structure_weight", "lora_weight", "variant")
"""Fields of a unit that have a meaning for some families only."""

FACE_PLUS_VARIANTS = (
    Variant(
        "v2",
        "a FaceID Plus v2 adapter",
        ("plusv2",),
        (
            "26d0d86a1d60d6cc811d3b8862178b461e1eeb651e6fe2b72ba17aa95411e313",  # SD1.5
            "c6945d82b543700cc3ccbb98d363b837e9c596281607857c74b713a876daf5fb",  # SDXL
        ),
        settings=("structure_weight",),
    ),
    Variant(
        "v1",
        "a FaceID Plus v1 adapter",
        ("faceidplus",),
        ("252fb53e0d018489d9e7f9b9e2001a52ff700e491894011ada7cfb471e0fadf2",),
    ),
)
"""v2 adds what it sees of the face to what the vector says; v1 replaces this by it, and is rarely used any more."""

FACE_RESAMPLER_VARIANTS = (
    Variant(
        "InstantID",
        "an InstantID adapter",
        ("instantid",),
        ("02b3618e36d803784166660520098089a81388e61a93ef8002aa79a5b1c546e1",),
        pack=ANTELOPE,
        controlnet=True,
    ),
    Variant(
        "unnorm",
        "a FaceID Portrait unnorm adapter",
        ("unnorm",),
        ("220bb86e205393a3d0411631cb473caddbf35fd371be2905ca9008818170db55",),
    ),
)
"""Their vectors come from different models. InstantID's file is published under a name that tells nothing.

Source: InstantX's InstantID, `pipeline_stable_diffusion_xl_instantid.py`; its networks are IP-Adapter's own."""


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
        runs=True,
        needs=(
            "norm.weight",
            "proj.0.weight",
            "perceiver_resampler.proj_out.weight",
            "perceiver_resampler.layers.0.0.to_q.weight",
        ),
        variants=FACE_PLUS_VARIANTS,
        fields=("variant", "face", "structure_weight", "lora_weight"),
        face_embedding=NORMED,
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
        runs=True,
        needs=("norm_out.weight", "proj_out.weight", "layers.0.0.to_q.weight"),
        variants=FACE_RESAMPLER_VARIANTS,
        fields=("variant", "face"),
        face_embedding=RAW,
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
    Family(
        "portrait",
        "a FaceID Portrait adapter",
        _portrait,
        _rows_of("proj.2"),
        FACE,
        _fixed(0),
        runs=True,
        needs=("norm.weight",),
        fields=("face",),
        face_embedding=NORMED,
    ),
    Family(
        "faceid",
        "a FaceID adapter",
        _mlp(512),
        _rows_of("proj.2"),
        FACE,
        _fixed(0),
        runs=True,
        needs=("norm.weight",),
        fields=("face", "lora_weight"),
        face_embedding=NORMED,
    ),
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

NETWORKS = {
    "distilled_guidance_layer": "Chroma",
    "double_stream_modulation_img": "FLUX.2",
    "double_blocks": "FLUX",
    "joint_blocks": "SD3.5",
    "txt_norm": "Qwen-Image",
    "cap_embedder": "Lumina",
    "time_projection": "Wan",
}
"""Base model that is no U-Net, by a part of its network that those before lack (Forge Neo, backend/nn)."""

BASES = {(768, 16): "SD1.x", (1024, 16): "SD2.x", (2048, 70): "SDXL"}
"""Base model by context width and number of layers."""


def base_name(context_dim: int, layers: int) -> str:
    """Return the base model's name, or what is known of it, for messages."""
    return BASES.get((context_dim, layers)) or f"context width {context_dim}, {layers} layers"


def network_without_unet(parts: Collection[str]) -> str:
    """Return the base model of a network that is no U-Net by the names of its parts, or "" where that is unknown."""
    return next((base for part, base in NETWORKS.items() if part in parts), "")


def adapters_for(base: str) -> list[str]:
    """Return what the kinds of adapters that were made for one of `SPECIAL_BASES` are called in sentences."""
    return [family.title for family in FAMILIES if SPECIAL_BASES.get(family.name) == base]


def encoder_name(takes: str, width: int) -> str:
    """Return the name of the image encoder whose `takes` (embed or hidden) is `width` wide."""
    return ENCODERS.get((takes, width)) or f"width {width}"


def clip_name(encoder: str) -> str:
    """Return the image encoder among what an adapter needs, which may be face models besides."""
    return encoder.rsplit(" + ", 1)[-1]
