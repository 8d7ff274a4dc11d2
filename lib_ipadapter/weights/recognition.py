"""Recognises an IP-Adapter file from its keys and shapes, regardless of its name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..base.errors import IPAdapterError, UnrecognisedError, printable
from .bases import base_name, encoder_name
from .families import FAMILIES
from .family import FACE, FACE_AND_HIDDEN, UNET, Family, ProjectorClass, Variant
from .shapes import Shape, Shapes


@dataclass(frozen=True)
class Recognised:
    """What is known about an adapter file from its keys and shapes."""

    family: Family
    base: str
    image_encoder: str
    """Name of the image encoder that it needs; empty if it needs none."""
    width: int
    """Width of the image encoder's features; 0 if it needs none."""
    tokens: int
    context_dim: int
    layers: int
    """Number of cross-attention layers."""
    parameters: int
    lora: bool
    variant: Variant | None = None
    """Which variant of its family it is, if the family has variants."""
    variant_by: str = ""
    """How the variant was determined: `name`, `hash`, `default` if assumed, or `unit` if the user chose it."""

    @property
    def encoder(self) -> str:
        """Encoders that references need: insightface, an image encoder, or both."""
        face = "insightface" if self.family.takes in (FACE, FACE_AND_HIDDEN) else ""
        return " + ".join(filter(None, (face, self.image_encoder)))

    @property
    def title(self) -> str:
        """Its name with an article, for sentences: "This file is …"."""
        return self.variant.title if self.variant else self.family.title

    @property
    def facts(self) -> dict[str, str | int | bool]:
        """Properties of the file for lists and the command line."""
        named = ("base", "encoder", "tokens", "context_dim", "layers", "parameters", "lora")
        return {"family": self.family.name, **{name: getattr(self, name) for name in named}}

    @property
    def projector(self) -> ProjectorClass | None:
        """Its projector's class; None if not supported yet."""
        return (self.variant and self.variant.projector) or self.family.projector

    @property
    def pack(self) -> str:
        """Name of the face model pack whose embeddings its projector takes, if it takes any."""
        return (self.variant and self.variant.pack) or self.family.pack

    @property
    def controlnet(self) -> bool:
        """Whether it comes with a ControlNet that takes its image tokens in place of text."""
        return self.variant is not None and self.variant.controlnet

    @property
    def runs(self) -> bool:
        """Whether this version supports it."""
        return self.projector is not None


def identify_variant(variants: Sequence[Variant], name: str) -> tuple[Variant, str]:
    """Return a file's variant as its name shows it, or the first one, and how it was determined.

    Published files are known by their hash besides, whatever they are called (`files/known_files.py`).
    """
    plain = "".join(filter(str.isalnum, name.lower()))
    for variant in variants:
        if any(word in plain for word in variant.words):
            return variant, "name"
    return variants[0], "default"


def recognise(shapes: Shapes) -> Recognised:
    """Return what a file with these shapes is; raises `UnrecognisedError` for anything but an IP-Adapter."""
    family, sizes = _family_and_sizes(shapes)
    missing = next((name for name in family.tensors if name not in sizes), None)
    if missing:
        raise IPAdapterError(f"looks like {family.title}, but the tensor image_proj.{missing} is missing.")
    context_dim, layers = _context(family, shapes)
    if family.output and sizes[family.output][-1] != context_dim:
        raise IPAdapterError(
            f"has an image projector for text context width {sizes[family.output][-1]}, but layers for width "
            f"{context_dim}: it was merged from two different adapters."
        )
    width = family.width(sizes)
    return Recognised(
        family,
        _base(family, context_dim, layers),
        _image_encoder(family, width),
        width,
        family.tokens(sizes),
        context_dim,
        layers,
        sum(math.prod(shape) for shape in shapes.values()),
        any(key.endswith("_lora.down.weight") for key in shapes),
        family.variants[0] if family.variants else None,
        "default" if family.variants else "",
    )


def _family_and_sizes(shapes: Shapes) -> tuple[Family, Shapes]:
    """Return a file's family, and the shapes of the family's `tensors`."""
    for family in FAMILIES:
        if not all(_has(shapes, mark) for mark in family.marks):
            continue
        sizes = {name: shapes[key] for name in family.tensors if (key := f"image_proj.{name}") in shapes}
        for name, shape in sizes.items():
            _refuse_axes(f"image_proj.{name}", shape, family.tensors[name])
        if family.fits(sizes):
            return family, sizes
    raise UnrecognisedError(f"is not an IP-Adapter that this version knows{_hint(shapes)}.")


def _has(shapes: Shapes, mark: str) -> bool:
    return any(fnmatchcase(key, mark) for key in shapes) if "*" in mark else mark in shapes


def _refuse_axes(key: str, shape: Shape, axes: int) -> None:
    if len(shape) != axes or 0 in shape:
        raise IPAdapterError(
            f"has {printable(key)} of shape {tuple(shape)}, but {axes} axes, none of them empty, are expected."
        )


def _base(family: Family, context_dim: int, layers: int) -> str:
    by_network = base_name(context_dim, layers) if family.network == UNET else family.network
    return family.base or by_network


def _image_encoder(family: Family, width: int) -> str:
    return "" if family.takes == FACE else family.encoder or encoder_name(family.takes, width)


def _context(family: Family, shapes: Shapes) -> tuple[int, int]:
    """Return the width of the text context and the number of layers with image keys."""
    key = f"{family.layer_keys[0]}.weight"
    layers = [name for name in shapes if name.endswith(f".{key}") and not name.startswith("image_proj.")]
    for name in layers:
        _refuse_axes(name, shapes[name], 2)
    if not layers:
        incomplete = f"has an image projector, but no layer with image keys and values (…{key})."
        raise IPAdapterError(_without_layers(shapes) or incomplete)
    return shapes[layers[0]][1], len(layers)


def _without_layers(shapes: Shapes) -> str:
    """Return what an image projector that has no layers with keys and values is, or "" for an incomplete adapter."""
    entering, leaving = (shapes.get(f"image_proj.{name}.weight", (0, 0)) for name in ("proj_in", "proj_out"))
    if entering[-1] == 512 and leaving[0] == 4096:
        return "is the image projector of InfiniteYou, a ControlNet for FLUX, which is not supported yet."
    return ""


def _hint(shapes: Shapes) -> str:
    """Return what a file seems to be instead, as the end of a sentence."""
    if not shapes:
        return ": it has no tensors"
    kinds = {
        "control_model.": "a ControlNet",
        "input_hint_block.": "a ControlNet",
        "lora_unet_": "a LoRA",
        "model.diffusion_model.": "a checkpoint",
        "vision_model.": "a CLIP vision encoder",
        "visual.": "a CLIP model",
        "ip_adapter.": "an adapter whose image projector is missing",
        "redux_up.": "FLUX.1 Redux, which is not supported yet",
    }
    kind = next((kind for prefix, kind in kinds.items() if any(key.startswith(prefix) for key in shapes)), None)
    return f"; it looks like {kind}" if kind else f"; its first tensor is {printable(next(iter(shapes)))}"
