"""Opens an adapter file: recognises it, checks its tensors against its projector and its sites, and reads them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..base.errors import IPAdapterError, UnitError
from ..base.files import file_identity, sha256
from ..networks.cross_attention import CrossLayers
from ..networks.layout import Layout, Site
from ..networks.unet_sites import layout_of_count
from .family import Variant
from .lora_layers import lora_shapes, rows
from .recognition import Recognised, identify_variant, recognise
from .shapes import Shape, Shapes
from .tensor_file import read_shapes, read_tensors, refuse_mismatch

Value = TypeVar("Value")

PREFIXES = {
    "image_proj_model.": "image_proj.",
    "adapter_modules.": "ip_adapter.",
    "id_adapter.": "image_proj.",
    "id_adapter_attn_layers.": "ip_adapter.",
    "pulid_encoder.": "image_proj.",
    "pulid_ca.": "ip_adapter.",
    "ip_adapter_proj_model.": "image_proj.",
    "double_blocks.": "ip_adapter.",
}
"""Tensor name prefixes of trainers and other projects -> the prefix in published files."""

LAYER_NAMES = {
    ".id_to_k.weight": ".to_k_ip.weight",
    ".id_to_v.weight": ".to_v_ip.weight",
    **{
        f".processor.ip_adapter_double_stream_{part}_proj.{kind}": f".to_{part}_ip.{kind}"
        for part in "kv"
        for kind in ("weight", "bias")
    },
}
IGNORED = ("unet.",)
"""Prefixes of tensors in a raw training checkpoint that are not part of the adapter."""


@dataclass(frozen=True, eq=False)
class AdapterFile:
    """A recognised adapter file; its tensors are read when needed."""

    path: Path
    recognised: Recognised
    shapes: Shapes
    identity: tuple[object, ...]
    """Identifies the file and its current content."""
    layout_or_none: Layout | None
    """The sites that it has keys and values for; None where it cannot run."""
    reason: str
    """Why it cannot run on any network, as a sentence that starts with the file's name; empty where it can."""
    digest_of: Callable[[Path], str] = sha256
    """Returns a file's SHA-256, in hexadecimal."""

    @property
    def layout(self) -> Layout:
        """The sites that it is for; raises `IPAdapterError` with `reason` where it cannot run."""
        if self.layout_or_none is None:
            raise IPAdapterError(self.reason)
        return self.layout_or_none

    def projector(self) -> nn.Module:
        """Return its projector on the meta device, without weights."""
        return build_projector(self.path, self.recognised, self.shapes)

    @property
    def digest(self) -> str:
        """SHA-256 of the file, in hexadecimal. Computing it takes seconds for a large file."""
        return self.digest_of(self.path)

    def tensors(self) -> dict[str, Tensor]:
        """Return the file's tensors by canonical key, as memory maps in the file's dtypes."""
        return by_canonical_key(read_tensors(self.path))

    @cached_property
    def cross(self) -> Mapping[Any, CrossLayers]:
        """The layers around the attention at each site, where its queries are its own, as memory maps.

        All units with the file share them, so that they are on the device once.
        """
        tensors = cache(self.tensors)

        def at(site: Site) -> CrossLayers | None:
            return self.recognised.family.layers.cross(lambda name: tensors()[f"ip_adapter.{site.key}.{name}"])

        return {site: own for site in self.layout.sites if (own := at(site))}

    def as_variant(self, name: str) -> "AdapterFile":
        """Return the same file as the variant that a unit calls `name`; `auto` keeps the recognised one.

        Raises `UnitError` where its family has no such variant.
        """
        if name == "auto":
            return self
        variants = self.recognised.family.variants
        variant = next((variant for variant in variants if variant.name == name), None)
        if variant is None:
            known = ", ".join(["auto", *(variant.name for variant in variants)])
            why = f"does not fit: {self.path.name} is {self.recognised.family.title}; choose one of {known}."
            raise UnitError("variant", name, why)
        return self._with_variant(variant, "unit")

    def known_as(self, name: str) -> "AdapterFile":
        """Return the same file as the variant `name` of its family, which its hash has shown; "" changes nothing."""
        variant = next((variant for variant in self.recognised.family.variants if variant.name == name), None)
        return self._with_variant(variant, "hash") if variant else self

    def _with_variant(self, variant: Variant, by: str) -> "AdapterFile":
        recognised = replace(self.recognised, variant=variant, variant_by=by)
        return replace(self, recognised=recognised, identity=(*self.identity, variant.name))


def open_adapter(path: Path, digest_of: Callable[[Path], str] = sha256) -> AdapterFile:
    """Recognise the adapter at `path` from its header; raises `IPAdapterError` with the file's name."""
    identity = file_identity(path)  # before reading, so that a change while reading gives another identity
    shapes = by_canonical_key(read_shapes(path))
    try:
        found = recognise(shapes)
    except IPAdapterError as error:
        raise type(error)(f"{path.name} {error.sentence}") from None
    if found.family.variants:
        variant, by = identify_variant(found.family.variants, path.name)
        found = replace(found, variant=variant, variant_by=by)
    return replace(checked_adapter(path, found, shapes, identity), digest_of=digest_of)


def checked_adapter(path: Path, found: Recognised, shapes: Shapes, identity: tuple[object, ...]) -> AdapterFile:
    """Return the adapter file with these shapes, with the reason where it cannot run."""
    try:
        layout = _checked_layout(path, found, shapes)
    except IPAdapterError as error:
        return AdapterFile(path, found, shapes, identity, None, error.sentence)
    return AdapterFile(path, found, shapes, identity, layout, "")


def _checked_layout(path: Path, found: Recognised, shapes: Shapes) -> Layout:
    """Return the sites that a file is for; raises `IPAdapterError` for missing or misshapen tensors."""
    projector = build_projector(path, found, shapes)
    layout = found.family.layout or layout_of_count(found.layers)
    if found.family.layout and found.layers != len(found.family.layout.sites):
        raise IPAdapterError(
            f"{path.name} has image keys for {found.layers} layers, but {found.family.title} has "
            f"{len(found.family.layout.sites)}. The file is incomplete or made for another model."
        )
    if layout is None:
        raise IPAdapterError(
            f"{path.name} has image keys for {found.layers} layers, but SD1.x and SD2.x have 16 and SDXL has 70. "
            "The file is incomplete or made for another model."
        )
    refuse_mismatch(path, _expected_shapes(found, projector, layout, shapes), shapes)
    return layout


def build_projector(path: Path, found: Recognised, shapes: Shapes) -> nn.Module:
    """Return a file's projector on the meta device; raises `IPAdapterError` for a family that cannot run yet."""
    if found.projector is None:
        raise IPAdapterError(f"{path.name} is {found.title} ({found.base}), which is not supported yet.")
    with torch.device("meta"):
        return found.projector.of_shapes(shapes)


def _expected_shapes(found: Recognised, projector: nn.Module, layout: Layout, shapes: Shapes) -> Shapes:
    expected: dict[str, Shape] = {f"image_proj.{name}": tuple(t.shape) for name, t in projector.state_dict().items()}
    for site in layout.sites:
        width = rows(shapes, f"ip_adapter.{site.key}.{found.family.layers.wide}")
        layers = found.family.layers.shapes(width, found.context_dim)
        expected |= {f"ip_adapter.{site.key}.{name}": shape for name, shape in layers.items()}
    if found.lora and "lora_weight" in found.family.fields:
        expected |= lora_shapes(shapes, found.context_dim, layout, lambda layer: layer.inside, shapes)
    return expected


def by_canonical_key(named: Mapping[str, Value]) -> dict[str, Value]:
    """Return the entries that are part of an adapter by canonical key.

    Some files, such as NoobAI's, have everything twice, under published and under trainers' names: the former count.
    """
    made = dict[str, Value]()
    for key, value in named.items():
        name = canonical(key)
        if name and (name == key or name not in made):
            made[name] = value
    return made


def canonical(key: str) -> str:
    """Return a tensor's name as in published files; empty for tensors that are not part of an adapter."""
    if key.startswith(IGNORED):
        return ""
    prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), "")
    name = PREFIXES.get(prefix, "") + key[len(prefix) :]
    suffix = next((suffix for suffix in LAYER_NAMES if name.endswith(suffix)), None)
    return name if suffix is None else name[: -len(suffix)] + LAYER_NAMES[suffix]
