"""The table of adapter families. A new family is one row here and, where its network is new, one class.

Files are recognised by keys and shapes: a mapping from canonical key to shape, as `adapter_file` reads it from a
header. Canonical keys start with `image_proj.` (the projector) or `ip_adapter.` (keys and values of each layer).
"""

from collections.abc import Callable

from ..networks.flux_sites import INSTANTX, PULID, XLABS
from .bases import EVA, SIGLIP
from .family import (
    ANTELOPE,
    BUFFALO,
    EMBED,
    FACE,
    FACE_AND_HIDDEN,
    FLUX,
    HIDDEN,
    NORMED,
    OTHER,
    RAW,
    SD35,
    Family,
    Variant,
)
from .projectors import (
    FacePlusProjector,
    FacePlusV2Projector,
    FaceProjector,
    FaceResampler,
    FullFaceProjector,
    LinearProjector,
    Resampler,
)
from .pulid import SCALES, IDEncoder, IDFormer
from .shapes import Shapes
from .site_layers import NORMED_HEADS, WITH_BIASES, WITH_QUERIES

FACE_PLUS_VARIANTS = (
    Variant("v2", "a FaceID Plus v2 adapter", ("plusv2",), settings=("structure_weight",)),
    Variant("v1", "a FaceID Plus v1 adapter", ("faceidplus",), projector=FacePlusProjector),
)
"""v2 adds the tokens from the CLIP image to those from the face embedding; v1, which is rare, replaces them."""

FACE_RESAMPLER_VARIANTS = (
    Variant("InstantID", "an InstantID adapter", ("instantid",), controlnet=True),
    Variant("unnorm", "a FaceID Portrait unnorm adapter", ("unnorm",), pack=BUFFALO),
)
"""Their face embeddings come from different models. InstantID's file is published as `ip-adapter.bin`.

Source: InstantX's InstantID, `pipeline_stable_diffusion_xl_instantid.py`; its networks are IP-Adapter's own."""

VIT_L_336 = "ViT-L/14-336"

LINEAR = {"proj.weight": 2, "norm.weight": 1}
MLP = {"proj.0.weight": 2, "proj.2.weight": 2, "norm.weight": 1}
RESAMPLER = {
    "latents": 3,
    "proj_in.weight": 2,
    "proj_out.weight": 2,
    "norm_out.weight": 1,
    "layers.0.0.to_q.weight": 2,
}
FACE_PLUS = MLP | {
    "perceiver_resampler.proj_in.weight": 2,
    "perceiver_resampler.proj_out.weight": 2,
    "perceiver_resampler.layers.0.0.to_q.weight": 2,
}
ID_ENCODER = {"body.0.weight": 2, "body.6.weight": 2, "mapping_0.0.weight": 2, "mapping_0.6.bias": 1}
ID_FORMER = {
    "latents": 3,
    "proj_out": 2,
    "layers.0.0.to_q.weight": 2,
    "id_embedding_mapping.0.weight": 2,
    "id_embedding_mapping.6.weight": 2,
    "mapping_0.0.weight": 2,
}


def _projector(*names: str) -> tuple[str, ...]:
    return tuple(f"image_proj.{name}" for name in names)


def _size(name: str, axis: int) -> Callable[[Shapes], int]:
    return lambda shapes: shapes[name][axis]


def _has_size(name: str, axis: int, size: int) -> Callable[[Shapes], bool]:
    return lambda shapes: shapes[name][axis] == size


def _fixed(value: int) -> Callable[[Shapes], int]:
    return lambda _: value


def _rows_over_norm(name: str) -> Callable[[Shapes], int]:
    """Number of tokens of a projector with one final linear layer: its rows divided by the width of the norm."""
    return lambda shapes: shapes[name][0] // shapes["norm.weight"][0]


def _identity_and_scales(shapes: Shapes) -> int:
    """PuLID v1 has tokens of the identity, and one of each hidden state."""
    return shapes["body.6.weight"][0] // shapes["mapping_0.6.bias"][0] + SCALES


def _kolors(shapes: Shapes) -> bool:
    """Kolors' resampler is 2048 wide with 12 heads of 64; SDXL's heads fill its whole width."""
    return shapes["latents"][2] == 2048 and shapes["layers.0.0.to_q.weight"][0] == 768


def _style_components(shapes: Shapes) -> bool:
    """No CLIP encoder with an image embedding 768 wide was used for adapters for SDXL."""
    return shapes["proj.weight"][1] == 768 and shapes["norm.weight"][0] == 2048


def _portrait(shapes: Shapes) -> bool:
    return shapes["proj.0.weight"][1] == 512 and _rows_over_norm("proj.2.weight")(shapes) >= 16


FAMILIES = (
    Family(
        "xlabs-flux",
        "an XLabs IP-Adapter for FLUX",
        marks=("ip_adapter.0.to_k_ip.bias",),
        tensors=LINEAR,
        tokens=_rows_over_norm("proj.weight"),
        takes=EMBED,
        width=_size("proj.weight", 1),
        network=FLUX,
        layout=XLABS,
        layers=WITH_BIASES,
        output="norm.weight",
        projector=LinearProjector,
        unconditional="black",
    ),
    Family(
        "instantx-sd35",
        "an InstantX IP-Adapter for Stable Diffusion 3.5",
        marks=("ip_adapter.*.norm_ip.linear.weight",),
        tensors={"latents": 3, "proj_in.weight": 2},
        tokens=_size("latents", 1),
        takes=OTHER,
        width=_size("proj_in.weight", 1),
        encoder=SIGLIP,
        network=SD35,
    ),
    Family(
        "pulid-flux",
        "a PuLID adapter for FLUX",
        marks=("ip_adapter.0.to_kv.weight",),
        tensors=ID_FORMER,
        tokens=_size("latents", 1),
        takes=FACE_AND_HIDDEN,
        width=_size("mapping_0.0.weight", 1),
        encoder=EVA,
        network=FLUX,
        layout=PULID,
        layer_keys=("to_kv",),
        layers=WITH_QUERIES,
        output="proj_out",
        projector=IDFormer,
        fields=("face",),
        face_embedding=RAW,
        pack=ANTELOPE,
        portrait=True,
        together=True,
    ),
    Family(
        "pulid-v1.1",
        "a PuLID v1.1 adapter",
        marks=_projector("id_embedding_mapping.0.weight"),
        tensors=ID_FORMER,
        tokens=_size("latents", 1),
        takes=FACE_AND_HIDDEN,
        width=_size("mapping_0.0.weight", 1),
        encoder=EVA,
        output="proj_out",
        projector=IDFormer,
        fields=("face", "method"),
        face_embedding=RAW,
        pack=ANTELOPE,
        portrait=True,
        together=True,
    ),
    Family(
        "pulid",
        "a PuLID v1 adapter",
        marks=_projector("body.0.weight"),
        tensors=ID_ENCODER,
        tokens=_identity_and_scales,
        takes=FACE_AND_HIDDEN,
        width=_size("mapping_0.0.weight", 1),
        encoder=EVA,
        output="mapping_0.6.bias",
        projector=IDEncoder,
        fields=("face", "method", "id_mix"),
        face_embedding=RAW,
        pack=ANTELOPE,
        portrait=True,
        kept_of_others=5,
    ),
    Family(
        "art",
        "an IP-Adapter-Art adapter",
        marks=("encoder_hid_proj.image_projection_layers.*", "*.processor.to_k_ip.0.weight"),
        tensors={},
        tokens=_fixed(4),
        takes=OTHER,
        width=_fixed(768),
        encoder="CSD ViT-L/14",
        layer_keys=("to_k_ip.0", "to_v_ip.0"),
    ),
    Family(
        "csgo",
        "a CSGO adapter",
        marks=("content_image_proj.*", "style_image_proj.*"),
        tensors={},
        tokens=_fixed(32),
        takes=HIDDEN,
        width=_fixed(1280),
    ),
    Family(
        "instruct",
        "an IP-Adapter-Instruct adapter",
        marks=_projector("latents", "proj_prompt_input*"),
        tensors={"latents": 3, "proj_in.weight": 2},
        tokens=_size("latents", 1),
        takes=HIDDEN,
        width=_size("proj_in.weight", 1),
    ),
    Family(
        "kolors-faceid-plus",
        "a FaceID Plus adapter for Kolors",
        marks=_projector("perceiver_resampler.proj_in.weight", "norm.weight"),
        fits=_has_size("norm.weight", 0, 4096),
        tensors={"perceiver_resampler.proj_in.weight": 2, "norm.weight": 1, "proj.2.weight": 2},
        tokens=_rows_over_norm("proj.2.weight"),
        takes=FACE_AND_HIDDEN,
        width=_size("perceiver_resampler.proj_in.weight", 1),
        encoder=VIT_L_336,
        base="Kolors",
    ),
    Family(
        "faceid-plus",
        "a FaceID Plus adapter (v1 and v2 look alike)",
        marks=_projector("perceiver_resampler.proj_in.weight"),
        tensors=FACE_PLUS,
        tokens=_rows_over_norm("proj.2.weight"),
        takes=FACE_AND_HIDDEN,
        width=_size("perceiver_resampler.proj_in.weight", 1),
        output="norm.weight",
        projector=FacePlusV2Projector,
        variants=FACE_PLUS_VARIANTS,
        fields=("variant", "face", "structure_weight", "lora_weight"),
        face_embedding=NORMED,
    ),
    Family(
        "full-face",
        "a Full Face adapter",
        marks=_projector("proj.3.weight"),
        tensors={"proj.0.weight": 2, "proj.2.weight": 2, "proj.3.weight": 1},
        tokens=_fixed(257),
        takes=HIDDEN,
        width=_size("proj.0.weight", 1),
        output="proj.3.weight",
        projector=FullFaceProjector,
    ),
    Family(
        "face-resampler",
        "an InstantID or FaceID Portrait unnorm adapter (they look alike)",
        marks=_projector("latents", "proj_in.weight"),
        fits=_has_size("proj_in.weight", 1, 512),
        tensors=RESAMPLER,
        tokens=_size("latents", 1),
        takes=FACE,
        output="norm_out.weight",
        projector=FaceResampler,
        variants=FACE_RESAMPLER_VARIANTS,
        fields=("variant", "face"),
        face_embedding=RAW,
        pack=ANTELOPE,
    ),
    Family(
        "kolors-plus",
        "a Plus adapter for Kolors",
        marks=_projector("latents", "layers.0.0.to_q.weight"),
        fits=_kolors,
        tensors={"latents": 3, "layers.0.0.to_q.weight": 2, "proj_in.weight": 2},
        tokens=_size("latents", 1),
        takes=HIDDEN,
        width=_size("proj_in.weight", 1),
        encoder=VIT_L_336,
        base="Kolors",
    ),
    Family(
        "plus",
        "a Plus adapter (Plus, Plus Face and Composition look alike)",
        marks=_projector("latents"),
        tensors=RESAMPLER,
        tokens=_size("latents", 1),
        takes=HIDDEN,
        width=_size("proj_in.weight", 1),
        output="norm_out.weight",
        projector=Resampler,
    ),
    Family(
        "instantx-flux",
        "an InstantX IP-Adapter for FLUX",
        marks=(*_projector("proj.0.weight", "proj.2.weight", "norm.weight"), "ip_adapter.0.to_k_ip.weight"),
        tensors=MLP,
        tokens=_rows_over_norm("proj.2.weight"),
        takes=EMBED,
        width=_size("proj.0.weight", 1),
        encoder=SIGLIP,
        network=FLUX,
        layout=INSTANTX,
        layers=NORMED_HEADS,
        output="norm.weight",
        projector=FaceProjector,
    ),
    Family(
        "portrait",
        "a FaceID Portrait adapter",
        marks=_projector("proj.0.weight", "proj.2.weight", "norm.weight"),
        fits=_portrait,
        tensors=MLP,
        tokens=_rows_over_norm("proj.2.weight"),
        takes=FACE,
        output="norm.weight",
        projector=FaceProjector,
        fields=("face",),
        face_embedding=NORMED,
    ),
    Family(
        "faceid",
        "a FaceID adapter",
        marks=_projector("proj.0.weight", "proj.2.weight", "norm.weight"),
        fits=_has_size("proj.0.weight", 1, 512),
        tensors=MLP,
        tokens=_rows_over_norm("proj.2.weight"),
        takes=FACE,
        output="norm.weight",
        projector=FaceProjector,
        fields=("face", "lora_weight"),
        face_embedding=NORMED,
    ),
    Family(
        "style-components",
        "a Style Components adapter",
        marks=_projector("proj.weight", "norm.weight"),
        fits=_style_components,
        tensors=LINEAR,
        tokens=_rows_over_norm("proj.weight"),
        takes=OTHER,
        width=_size("proj.weight", 1),
        encoder="Style Components' own",
    ),
    Family(
        "base",
        "a base adapter",
        marks=_projector("proj.weight", "norm.weight"),
        tensors=LINEAR,
        tokens=_rows_over_norm("proj.weight"),
        takes=EMBED,
        width=_size("proj.weight", 1),
        output="norm.weight",
        projector=LinearProjector,
    ),
)
"""The first row that matches wins. The order matters, because several families share keys."""

FAMILY_FIELDS = tuple(dict.fromkeys(field for family in FAMILIES for field in family.fields))
"""Fields of a unit that only some families use."""


def adapters_for(base: str) -> list[Family]:
    """Return the families that are made for this base model only."""
    return [family for family in FAMILIES if base in (family.base, family.network)]
