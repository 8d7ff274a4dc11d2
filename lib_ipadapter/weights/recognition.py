"""Recognise an IP-Adapter file from its keys and shapes, whatever it is called."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..base.errors import IPAdapterError, UnrecognisedError, printable
from .families import (
    BUFFALO,
    FACE,
    FACE_AND_HIDDEN,
    FAMILIES,
    SPECIAL_BASES,
    SPECIAL_ENCODERS,
    Family,
    Variant,
    base_name,
    encoder_name,
)
from .shapes import Shape, Shapes

AXES = {
    "latents": 3,
    "layers.0.0.to_q.weight": 2,
    "norm.weight": 1,
    "norm_out.weight": 1,
    "perceiver_resampler.layers.0.0.to_q.weight": 2,
    "perceiver_resampler.proj_in.weight": 2,
    "perceiver_resampler.proj_out.weight": 2,
    "proj.0.weight": 2,
    "proj.2.weight": 2,
    "proj.3.weight": 1,
    "proj.weight": 2,
    "proj_in.weight": 2,
    "proj_out.weight": 2,
}
"""Number of axes of the tensors whose shapes tell what a projector is."""


@dataclass(frozen=True)
class Recognised:
    """What an adapter file is, as far as keys and shapes tell."""

    family: Family
    base: str
    encoder: str
    width: int
    """Width of the image encoder's output that the projector takes; 0 where no image encoder takes part."""
    tokens: int
    context_dim: int
    layers: int
    """Number of cross-attention layers."""
    parameters: int
    lora: bool
    variant: Variant | None = None
    """Which of its family's variants it is, where there are any."""
    told_by: str = ""
    """What told the variant: `name`, `hash`, `default` where nothing did, or `unit` where a user did."""

    @property
    def kind(self) -> str:
        """The family's name, and the variant's where there is one."""
        return self.family.name + (f" {self.variant.name}" if self.variant else "")

    @property
    def title(self) -> str:
        """As it stands in a sentence: "This file is …"."""
        return self.variant.title if self.variant else self.family.title

    @property
    def facts(self) -> dict[str, str | int | bool]:
        """What is told of a file wherever files are listed."""
        named = ("base", "encoder", "tokens", "context_dim", "layers", "parameters", "lora")
        return {"family": self.family.name, **{name: getattr(self, name) for name in named}}

    @property
    def pack(self) -> str:
        """Name of the face models whose vectors its projector takes, if it takes any."""
        return self.variant.pack if self.variant else BUFFALO

    @property
    def controlnet(self) -> bool:
        """Whether it comes with a ControlNet that sees its image tokens in the place of the text."""
        return self.variant is not None and self.variant.controlnet

    @property
    def runs(self) -> bool:
        """Whether this version can run it."""
        return self.family.runs


def tell_variant(variants: Sequence[Variant], name: str, digest: Callable[[], str]) -> tuple[Variant, str]:
    """Return which variant a file is, and by what it was told: its name or else its SHA-256.

    The name comes first because hashing a file takes seconds; every published file whose name does not tell is known by
    its hash.
    """
    plain = "".join(filter(str.isalnum, name.lower()))
    for variant in variants:
        if any(word in plain for word in variant.words):
            return variant, "name"
    known = digest()
    found = next((variant for variant in variants if known in variant.digests), None)
    return (found, "hash") if found else (variants[0], "default")


def recognise(shapes: Shapes) -> Recognised:
    """Return what the file with these shapes is; raises `UnrecognisedError` for anything but an IP-Adapter."""
    for name, axes in AXES.items():
        if (key := f"image_proj.{name}") in shapes:
            _refuse_axes(key, shapes[key], axes)
    family = next((family for family in FAMILIES if family.matches(shapes)), None)
    if family is None:
        raise UnrecognisedError(f"is no IP-Adapter that this version knows{_hint(shapes)}.")
    try:
        tokens, width = family.tokens(shapes), family.width(shapes)
        sizes = [shapes[f"image_proj.{name}"][0] for name in family.needs]
    except KeyError as error:
        raise IPAdapterError(f"looks like {family.title}, but the tensor {error.args[0]} is missing.") from error
    context_dim, layers = _context(shapes)
    if sizes and sizes[0] != context_dim:
        raise IPAdapterError(
            f"has an image projector for a text context {sizes[0]} wide, but layers for one {context_dim} wide: "
            "it was put together from two adapters."
        )
    return Recognised(
        family,
        SPECIAL_BASES.get(family.name) or base_name(context_dim, layers),
        _encoder_name(family, width),
        width,
        tokens,
        context_dim,
        layers,
        sum(math.prod(shape) for shape in shapes.values()),
        any(key.endswith("_lora.down.weight") for key in shapes),
        family.variants[0] if family.variants else None,
        "default" if family.variants else "",
    )


def _refuse_axes(key: str, shape: Shape, axes: int) -> None:
    if len(shape) != axes or 0 in shape:
        raise IPAdapterError(
            f"has {printable(key)} of shape {tuple(shape)}, where {axes} axes, none empty, are expected."
        )


def _encoder_name(family: Family, width: int) -> str:
    if family.name in SPECIAL_ENCODERS:
        return SPECIAL_ENCODERS[family.name]
    clip = encoder_name(family.takes, width)
    return {FACE: "insightface", FACE_AND_HIDDEN: f"insightface + {clip}"}.get(family.takes, clip)


LAYER_KEYS = (".to_k_ip.weight", ".ip_adapter_double_stream_k_proj.weight", ".to_kv.weight")


def _context(shapes: Shapes) -> tuple[int, int]:
    """Return the width of the text context and the number of layers with image keys."""
    for suffix in LAYER_KEYS:
        layers = {k: shape for k, shape in shapes.items() if k.endswith(suffix) and not k.startswith("image_proj.")}
        for key, shape in layers.items():
            _refuse_axes(key, shape, 2)
        if layers:
            return next(iter(layers.values()))[1], len(layers)
    raise IPAdapterError("has an image projector, but no layer with image keys and values (…to_k_ip.weight).")


def _hint(shapes: Shapes) -> str:
    """Say what else a file is, where its keys tell."""
    if not shapes:
        return ": it holds no tensors"
    kinds = {
        "control_model.": "a ControlNet",
        "input_hint_block.": "a ControlNet",
        "lora_unet_": "a LoRA",
        "model.diffusion_model.": "a checkpoint",
        "vision_model.": "a CLIP vision encoder",
        "visual.": "a CLIP model",
        "ip_adapter.": "an adapter whose image projector is missing",
    }
    kind = next((kind for prefix, kind in kinds.items() if any(key.startswith(prefix) for key in shapes)), None)
    return f"; it looks like {kind}" if kind else f"; its first tensor is {printable(next(iter(shapes)))}"
