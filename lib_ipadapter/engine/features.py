"""Shots → what a projector takes of them: an image encoder's features, a face's vector, or both."""

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from ..base.cache import Cache
from ..faces.insightface_models import align
from ..files.saved_embeds import SavedReference
from ..pictures.image_file import ImageFile, decode
from ..pictures.noise import add_noise
from ..pictures.preprocess import normalise, resize_for, to_levels
from ..pictures.tiles import cut
from ..port import Host
from ..weights.clip_vision import UNCONDITIONAL, EncoderFile, Features, encode
from ..weights.enhance import enhanced, squares_of
from ..weights.families import NORMED, RAW, Family
from .token_plan import UNCONDITIONAL_INPUT, AnyInput, EncoderInput, TokenPlan

log = logging.getLogger(__name__)

FACE_SIZE = 224
"""Side in pixels of the aligned face that an encoder sees (README of IP-Adapter's authors, FaceID Plus)."""

VECTOR = 512
"""Numbers in a face's vector."""

Parts = tuple[Tensor, ...]
"""All that a projector takes of one shot, each (1, ...)."""

VECTORS: Mapping[str, Callable[[Tensor], Tensor]] = {NORMED: functional.normalize, RAW: lambda vector: vector}


class FeatureMaker:
    """Encodes shots, and keeps what generations share of it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.seconds = 0.0
        """Spent in encoders since the start."""
        self._kept: Cache[Features] = Cache(host.cache_limits().features, lambda kept: kept.bytes)

    @property
    def precision(self) -> tuple[torch.device, torch.dtype]:
        return self.host.compute_device(), self.host.compute_dtype()

    def parts(
        self, family: Family, encoder: EncoderFile | None, plan: TokenPlan, saved: SavedReference | None
    ) -> dict[AnyInput, Parts]:
        """Return what the family's projector takes of a plan's shots, and of the empty one for unconditional rows.

        Features of shots of `saved` come from its file.
        """
        seen = self.encode(encoder, plan) if encoder else {}
        known = saved.features(family.takes).split(1) if saved else ()

        def of(shot: AnyInput) -> Parts:
            if not isinstance(shot, EncoderInput):
                return (known[shot.index],)
            face = (VECTORS[family.face_embedding](_vector(shot)),) if family.face_embedding else ()
            return (*face, seen[shot].of(family.takes)) if encoder else face

        return {shot: of(shot) for shot in (UNCONDITIONAL_INPUT, *plan.shots)}

    def encode(self, encoder: EncoderFile, plan: TokenPlan) -> dict[EncoderInput, Features]:
        """Return the features of a plan's shots and of the empty picture; only what is new is encoded."""
        convention = self.host.unconditional()
        files = {file.digest: (field, file) for field, file in plan.files.items()}
        pixels = {UNCONDITIONAL_INPUT: lambda: [UNCONDITIONAL[convention](encoder)]}
        for shot in plan.shots:
            if isinstance(shot, EncoderInput):
                pixels[shot] = partial(_pixels, *files[shot.digest], encoder, shot)
        keys = {shot: (shot, convention, encoder.identity, *self.precision) for shot in pixels}
        features = {shot: found for shot, key in keys.items() if (found := self._kept.find(key))}
        new = {shot: made() for shot, made in pixels.items() if shot not in features}
        encoded = iter(self._run(encoder, [square for squares in new.values() for square in squares]))
        for shot, squares in new.items():
            whole, *parts = itertools.islice(encoded, len(squares))
            mixed = enhanced(whole, parts, *shot.enhance) if shot.enhance else whole
            features[shot] = self._kept.keep(keys[shot], mixed)
        empty = features[UNCONDITIONAL_INPUT]
        # an empty picture has hidden states, but no image embedding: for that, unconditional rows see zeros
        return features | {UNCONDITIONAL_INPUT: replace(empty, embed=torch.zeros_like(empty.embed))}

    def _run(self, encoder: EncoderFile, pixels: Sequence[Tensor]) -> list[Features]:
        if not pixels:
            return []
        started = time.perf_counter()
        try:
            return self._on_device(encoder, pixels)
        finally:
            self.seconds += time.perf_counter() - started

    def _on_device(self, encoder: EncoderFile, pixels: Sequence[Tensor]) -> list[Features]:
        """Encode on the host's device, or on the CPU where that is too full."""
        self.host.free_memory(encoder.parameters * self.host.compute_dtype().itemsize)
        try:
            return encode(encoder, self._told(pixels), *self.precision)
        except torch.cuda.OutOfMemoryError:
            log.warning("%s did not fit on the device beside the checkpoint; encoding on the CPU.", encoder.path.name)
            return encode(encoder, self._told(pixels), torch.device("cpu"), torch.float32)

    def _told(self, pixels: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield pictures one by one, and tell the host how many are done."""
        for done, each in enumerate(pixels):
            self.host.report_progress("encoding", done, len(pixels))
            yield each
        self.host.report_progress("encoding", len(pixels), len(pixels))


def _vector(shot: EncoderInput) -> Tensor:
    """Return the vector of a shot's face, or zeros where it has none: (1, 512)."""
    return torch.tensor([shot.face.embedding]) if shot.face else torch.zeros(1, VECTOR)


def views(field: str, reference: ImageFile, size: int, shot: EncoderInput) -> list[Tensor]:
    """Return the levels 0..1 of what an encoder sees of a shot: the whole, then its squares, if it has any.

    Each is (3, size, size). Noise is seeded by the picture, so that it is the same every time.
    """
    picture = decode(field, reference.content)
    if shot.face:
        picture = align(picture, shot.face, FACE_SIZE)
    if shot.tile:
        picture = cut(picture, shot.tile.source)
    levels = [to_levels(resize_for(picture, size, shot.crop))]
    if shot.noise:
        levels = [add_noise(*shot.noise, levels[0], seed=int(shot.digest[:15], 16))]
    if shot.enhance:
        count, _ = shot.enhance
        levels += squares_of(to_levels(resize_for(picture, count * size, shot.crop)), count)
    return levels


def _pixels(field: str, reference: ImageFile, encoder: EncoderFile, shot: EncoderInput) -> list[Tensor]:
    """Return a shot's pixels, normalised, and those of its squares."""
    return [normalise(each) for each in views(field, reference, encoder.image_size, shot)]
