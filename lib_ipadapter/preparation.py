"""From a unit as the user set it to the image keys and values of every site, computing only what is new."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from .adapter import context_dim, find_attentions, widths
from .cache import Cache
from .checkpoint import AdapterFile
from .crops import resize_for, to_pixels
from .encoders import EncoderFile, Features, encode, zero_pixels
from .errors import IPAdapterError
from .families import EMBED, base_name
from .hosts.host import Host
from .library import Library
from .reference import Reference, decode, read_reference
from .tokens import KeysValues, keys_and_values, project, refuse_unsound, usable_tensors
from .unet_map import Site, sites
from .units import Unit

log = logging.getLogger(__name__)

REFERENCES_LIMIT = 64 << 20
"""Bytes of picture files kept, so that an unchanged picture is decoded from base64 once."""
FEATURES_LIMIT = 256 << 20
"""Bytes of features kept: about two hundred pictures of ViT-H."""
KEYS_VALUES_LIMIT = 256 << 20
"""Bytes of image keys and values kept: about ten units of SDXL Plus."""


@dataclass(frozen=True)
class Prepared:
    """A unit whose files were read and whose references were encoded."""

    unit: Unit
    adapter: AdapterFile
    digests: tuple[str, ...]
    """SHA-256 of each reference's file."""
    keys_values: KeysValues


class Preparation:
    """Prepares units, and keeps what generations share: files, references, features, and keys and values."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.library = Library(host.folders)
        self._references: Cache[Reference] = Cache(REFERENCES_LIMIT, lambda kept: len(kept.content))
        self._features: Cache[Features] = Cache(FEATURES_LIMIT, lambda kept: kept.bytes)
        self._keys_values: Cache[KeysValues] = Cache(KEYS_VALUES_LIMIT, lambda kept: kept.bytes)

    def prepare(self, unit: Unit, unet: nn.Module) -> Prepared:
        """Return the unit ready for `unet`; raises `IPAdapterError` with a sentence where it cannot run."""
        adapter = self.library.adapter(unit.model)
        if reason := reason_against(adapter, find_attentions(unet)):
            raise IPAdapterError(reason)
        encoder = self.library.encoder_for(adapter, unit.encoder)
        references = {f"images[{i}]": self._reference(f"images[{i}]", p.image) for i, p in enumerate(unit.images)}
        digests = tuple(reference.digest for reference in references.values())
        key = (adapter.identity, encoder.identity, *self._precision, unit.crop, digests)
        kept = self._keys_values.find(key) or self._keys_values.keep(
            key, self._compute(adapter, encoder, unit.crop, references)
        )
        return Prepared(unit, adapter, digests, kept)

    def _reference(self, field: str, text: str) -> Reference:
        return self._references.find(text) or self._references.keep(text, read_reference(field, text))

    @property
    def _precision(self) -> tuple[torch.device, torch.dtype]:
        return self.host.compute_device(), self.host.compute_dtype()

    def _compute(
        self, adapter: AdapterFile, encoder: EncoderFile, crop: str, references: Mapping[str, Reference]
    ) -> KeysValues:
        layout = refuse_unsound(adapter)
        tensors = usable_tensors(adapter)
        takes = adapter.recognised.family.takes
        nothing, *features = (each.of(takes) for each in self._encode(encoder, crop, references))
        cond = torch.cat(features)
        uncond = torch.zeros_like(cond[:1]) if takes == EMBED else nothing
        tokens = project(adapter, tensors, cond, uncond)
        return keys_and_values(tensors, layout, tokens, self.host.compute_device())

    def _encode(self, encoder: EncoderFile, crop: str, references: Mapping[str, Reference]) -> list[Features]:
        """Return the features of the unconditional picture, then of each reference; only what is new is encoded."""
        pictures = {("zeros", ""): lambda: zero_pixels(encoder)}
        for field, reference in references.items():
            pictures[reference.digest, crop] = partial(_pixels, field, reference, encoder, crop)
        keys = {picture: (picture, encoder.identity, *self._precision) for picture in pictures}
        found = {picture: self._features.find(key) for picture, key in keys.items()}
        new = [picture for picture, features in found.items() if features is None]
        for picture, features in zip(new, self._run(encoder, [pictures[p]() for p in new]), strict=True):
            found[picture] = self._features.keep(keys[picture], features)
        order = [("zeros", ""), *((reference.digest, crop) for reference in references.values())]
        return [features for picture in order if (features := found[picture])]

    def _run(self, encoder: EncoderFile, pixels: Sequence[Tensor]) -> list[Features]:
        """Encode on the host's device, or on the CPU where that is too full."""
        if not pixels:
            return []
        self.host.make_room()
        try:
            return encode(encoder, pixels, *self._precision)
        except torch.cuda.OutOfMemoryError:
            log.warning("%s did not fit on the device beside the checkpoint; encoding on the CPU.", encoder.path.name)
            return encode(encoder, pixels, torch.device("cpu"), torch.float32)


def reason_against(adapter: AdapterFile, attentions: Mapping[Site, nn.Module]) -> str | None:
    """Return why an adapter cannot run on a U-Net with these cross-attentions, or None where it can.

    A U-Net may lack some of its layout's sites, as pruned ones do; those that it has must fit in width.
    """
    try:
        layout = refuse_unsound(adapter)
    except IPAdapterError as error:
        return error.sentence
    found = adapter.recognised
    if not attentions:
        return f"{adapter.path.name} is for {found.base}; the loaded checkpoint has no U-Net that it could act on."
    own = widths(attentions)
    theirs = {site: adapter.shapes[f"ip_adapter.{site.key}.to_k_ip.weight"][0] for site in sites(layout)}
    if own.items() <= theirs.items() and context_dim(attentions) == found.context_dim:
        return None
    loaded = base_name(context_dim(attentions), len(attentions))
    return (
        f"{adapter.path.name} is for {found.base}, but the loaded checkpoint is {loaded}. "
        "Choose an adapter made for that, or load another checkpoint."
    )


def _pixels(field: str, reference: Reference, encoder: EncoderFile, crop: str) -> Tensor:
    return to_pixels(resize_for(decode(field, reference.content), encoder.image_size, crop))
