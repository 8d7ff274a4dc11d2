"""Encoder inputs → projector inputs: image features, face embeddings, or both."""

import itertools
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ..base.cache import Cache
from ..faces.insightface_models import Face, align
from ..files.blank_features import BlankFeatures
from ..files.saved_embeds import SavedReference
from ..pictures.crops import cut, resize_for
from ..pictures.image_file import ImageFile, decode
from ..pictures.noise import add_noise
from ..pictures.preprocess import normalise, to_levels
from ..port import Host
from ..weights.clip_vision import UNCONDITIONAL as UNCONDITIONAL_PIXELS
from ..weights.encoders import Encoder, ImageFeatures
from ..weights.enhance import enhanced, squares_of
from ..weights.family import EMBED, NORMED, RAW, Family
from .token_plan import UNCONDITIONAL, AnyInput, EncoderInput, SavedInput, TokenPlan, TokenSet

log = logging.getLogger(__name__)

FACE_SIZE = 224
"""Size in pixels of the aligned face that the image encoder gets (IP-Adapter's README, FaceID Plus)."""

FACE_EMBEDDING = 512
"""Numbers in a face embedding."""

FACE_EMBEDDINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    NORMED: functional.normalize,
    RAW: lambda embedding: embedding,
}
"""How families prepare a face embedding for their projector."""

Encodable = EncoderInput | TokenSet
"""What an image encoder can encode: an input, or the unconditional picture for `UNCONDITIONAL`."""


class Portraits(Protocol):
    """Cuts faces out for the families that take them in grey on white."""

    def portrait(self, field: str, picture: Image.Image, face: Face, size: int) -> Tensor:
        """Return a face in pixels 0..1: (3, size, size)."""
        ...

    def portrait_identity(self) -> tuple[object, ...]:
        """Identify the models that do it, and their current content."""
        ...


@dataclass(frozen=True)
class EncodingSettings:
    """Settings that features and image tokens depend on; read once per preparation of a unit."""

    device: torch.device
    dtype: torch.dtype
    """Dtype in which encoders run on that device."""
    unconditional: str
    """The picture encoded for unconditional rows without a negative reference: "mean" or "black"."""


def encoding_settings(host: Host, family: Family | None = None) -> EncodingSettings:
    """Return the settings, for a family with its own unconditional picture if it has one."""
    own = family.unconditional if family else ""
    return EncodingSettings(host.compute_device(), host.compute_dtype(), own or host.unconditional())


def _settings_text(settings: EncodingSettings) -> str:
    """Return the settings that the features of the unconditional picture depend on, for a stored file's name."""
    return f"{settings.unconditional} {settings.device.type} {settings.dtype}"


@dataclass(frozen=True)
class Encoded:
    """Features of some inputs."""

    features: Mapping[Encodable, ImageFeatures]
    settings: EncodingSettings
    """The settings that were used: those of the CPU where the device ran out of memory."""


class FeatureMaker:
    """Encodes inputs, and caches their features for later generations."""

    def __init__(self, host: Host, blank: BlankFeatures) -> None:
        self.host = host
        self._blank = blank
        self.seconds = 0.0
        """Spent in encoders since the start."""
        self.too_large: set[tuple[object, ...]] = set()
        """Encoders for which the device had too little memory."""
        self._kept: Cache[ImageFeatures] = Cache(host.cache_limits().features, lambda kept: kept.bytes)

    def encode(
        self,
        encoder: Encoder,
        wanted: Collection[Encodable],
        files: Mapping[str, ImageFile],
        settings: EncodingSettings,
        portraits: Portraits | None = None,
    ) -> Encoded:
        """Return the features of inputs from a plan's files, encoding only those that are not cached.

        `portraits` cuts the faces out, for families that need it. If the device runs out of memory, the CPU encodes in
        float32.
        """
        try:
            return Encoded(self._encode(encoder, wanted, files, settings, portraits), settings)
        except torch.cuda.OutOfMemoryError:
            log.warning("Not enough device memory for %s; encoding on the CPU.", encoder.path.name)
            self.too_large.add(encoder.identity)
        on_cpu = replace(settings, device=torch.device("cpu"), dtype=torch.float32)
        return Encoded(self._encode(encoder, wanted, files, on_cpu, portraits), on_cpu)

    def missing(
        self, encoder: Encoder, wanted: Collection[Encodable], settings: EncodingSettings, portraits: Portraits | None
    ) -> list[Encodable]:
        """Return the inputs whose features are not cached; the arguments are those of `encode`."""
        keys = _keys(encoder, wanted, settings, portraits)
        return [each for each, key in keys.items() if not self._kept.find(key)]

    def _encode(
        self,
        encoder: Encoder,
        wanted: Collection[Encodable],
        files: Mapping[str, ImageFile],
        settings: EncodingSettings,
        portraits: Portraits | None,
    ) -> dict[Encodable, ImageFeatures]:
        keys = _keys(encoder, wanted, settings, portraits)
        features = {each: found for each, key in keys.items() if (found := self._kept.find(key))}
        if UNCONDITIONAL in wanted and UNCONDITIONAL not in features:
            stored = self._blank.find(encoder, _settings_text(settings))
            features |= {UNCONDITIONAL: self._kept.keep(keys[UNCONDITIONAL], stored)} if stored else {}
        fields = {file.digest: (field, file) for field, file in files.items()}
        new = {each: _pixels(each, fields, encoder, settings, portraits) for each in wanted if each not in features}
        encoded = iter(self._run(encoder, [square for squares in new.values() for square in squares], settings))
        for each, squares in new.items():
            whole, *parts = itertools.islice(encoded, len(squares))
            mixed = enhanced(whole, parts, *each.enhance) if isinstance(each, EncoderInput) and each.enhance else whole
            features[each] = self._kept.keep(keys[each], mixed)
        if UNCONDITIONAL in new:
            self._blank.keep(encoder, _settings_text(settings), features[UNCONDITIONAL])
        return features

    def _run(self, encoder: Encoder, pixels: Sequence[Tensor], settings: EncodingSettings) -> Sequence[Any]:
        if not pixels:
            return []
        started = time.perf_counter()
        try:
            self.host.free_memory(encoder.parameters * settings.dtype.itemsize)
            return encoder.encode(self._with_progress(pixels), settings.device, settings.dtype)
        finally:
            self.seconds += time.perf_counter() - started

    def _with_progress(self, pixels: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield pictures one by one, and report the progress to the host."""
        for done, each in enumerate(pixels):
            self.host.report_progress("encoding", done, len(pixels))
            yield each
        self.host.report_progress("encoding", len(pixels), len(pixels))


Taken = Mapping[AnyInput | TokenSet, tuple[Tensor, ...]]
"""The image features of each input that a family takes, each (1, ...)."""


def _keys(
    encoder: Encoder, wanted: Collection[Encodable], settings: EncodingSettings, portraits: Portraits | None
) -> dict[Encodable, tuple[object, ...]]:
    """Return the cache key of each input's features."""
    cut_by = portraits.portrait_identity() if portraits else ()
    return {each: (each, encoder.identity, settings, *cut_by) for each in wanted}


def taken_features(
    family: Family, encoded: Mapping[Encodable, ImageFeatures], plan: TokenPlan, saved: SavedReference | None
) -> Taken:
    """Return the features that a family takes for each of a plan's inputs, encoded or saved."""
    taken: dict[AnyInput | TokenSet, tuple[Tensor, ...]] = {
        each: found.taken(family.takes) for each, found in encoded.items()
    }
    if saved:
        known = saved.features(family.takes).split(1)
        taken |= {each: (known[each.index],) for each in plan.inputs if isinstance(each, SavedInput)}
    if zeros_for_nothing(family) and taken and plan.unconditional == UNCONDITIONAL:
        taken[UNCONDITIONAL] = tuple(map(torch.zeros_like, next(iter(taken.values()))))
    return taken


def zeros_for_nothing(family: Family) -> bool:
    """Return whether unconditional rows see zeros as image features, rather than those of an encoded blank picture."""
    return (family.takes == EMBED and not family.unconditional) or family.portrait


def projector_inputs(family: Family, token_set: TokenSet, taken: Taken) -> tuple[Tensor, ...]:
    """Return the projector's arguments for a token set, each (inputs, ...).

    `UNCONDITIONAL` counts as one input. `taken` has the image features; it is empty for families without an encoder.
    """
    parts: list[Sequence[Tensor]] = []
    inputs = token_set.inputs or (UNCONDITIONAL,)
    if family.face_embedding:
        parts.append([FACE_EMBEDDINGS[family.face_embedding](_face_embedding(each)) for each in inputs])
    if taken:
        parts += zip(*(taken[each] for each in inputs), strict=True)
    return tuple(torch.cat(list(part)) for part in parts)


def _face_embedding(one: object) -> Tensor:
    """Return the embedding of an input's face, or zeros where it has none: (1, 512)."""
    face = one.face if isinstance(one, EncoderInput) else None
    return torch.tensor([face.embedding]) if face else torch.zeros(1, FACE_EMBEDDING)


def views(
    field: str, file: ImageFile, size: int, given: EncoderInput, portraits: Portraits | None = None
) -> list[Tensor]:
    """Return the encoder's views of an input in pixels 0..1: the whole, then its squares, if any.

    Each is (3, size, size). Noise is seeded by the picture, so it is the same every time.
    """
    picture = decode(field, file.content)
    if given.face and portraits:
        return [portraits.portrait(field, picture, given.face, size)]
    if given.face:
        picture = align(picture, given.face, FACE_SIZE)
    if given.box:
        picture = cut(picture, given.box)
    if given.tile:
        picture = cut(picture, given.tile.source)
    pixels = [to_levels(resize_for(picture, size, given.crop))]
    if given.noise:
        pixels = [add_noise(*given.noise, pixels[0], seed=int(given.digest[:15], 16))]
    if given.enhance:
        count, _ = given.enhance
        pixels += squares_of(to_levels(resize_for(picture, count * size, given.crop)), count)
    return pixels


def _pixels(
    given: Encodable,
    fields: Mapping[str, tuple[str, ImageFile]],
    encoder: Encoder,
    settings: EncodingSettings,
    portraits: Portraits | None,
) -> list[Tensor]:
    """Return the normalised pixels of an input and its squares, or of the unconditional picture."""
    if isinstance(given, TokenSet):
        return [UNCONDITIONAL_PIXELS[settings.unconditional](encoder)]
    return [normalise(each) for each in views(*fields[given.digest], encoder.image_size, given, portraits)]
