"""What PuLID's encoders would make of a photo: made features, and a finder with one made face in each."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib_ipadapter.faces.insightface_models import Face

STATES, WIDTH = 7, 20
"""Number and width of the hidden states."""


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class MadeFeatures:
    """What EVA returns for a photo: its normalised image embedding and five hidden states."""

    def __init__(self, seed: int) -> None:
        self.parts = (
            nn.functional.normalize(numbers(seed, 1, 768)),
            *(numbers(seed + i, 1, STATES, WIDTH) for i in range(5)),
        )
        self.bytes = 1

    def taken(self, _takes: str) -> tuple[Tensor, ...]:
        return self.parts


class MadeEncoder:
    """An image encoder whose features are made from a number in the picture."""

    path, parameters, identity, name, image_size = Path("eva.pt"), 7, ("made",), "EVA02-CLIP-L-14-336", 28

    def __init__(self) -> None:
        self.encoded = 0

    def width_of(self, _takes: str) -> int:
        return WIDTH

    def encode(self, pictures: Iterable[Tensor], _device: Any, _dtype: Any) -> list[MadeFeatures]:
        made = [MadeFeatures(seed_of(each)) for each in pictures]
        self.encoded += len(made)
        return made


def seed_of(pixels: Tensor) -> int:
    return int(pixels.double().abs().sum().item() * 1000) % 100_000


class MadeFaces:
    """A finder with one made face in each photo."""

    warnings = ()

    def required_faces_of(self, field: str, file: Any, pack: Any) -> tuple[Face, ...]:
        return self.faces_or_portrait(field, file, pack)

    def faces_or_portrait(self, _field: str, file: Any, _pack: Any) -> tuple[Face, ...]:
        embedding = 20 * numbers(int(file.digest[:6], 16), 512)
        return (Face((0.0, 0.0, 9.0, 9.0), ((0.0, 0.0),) * 5, 0.9, tuple(embedding.tolist())),)

    def portrait(self, _field: str, _picture: Any, face: Face, size: int) -> Tensor:
        return torch.full((3, size, size), abs(face.embedding[0]) % 1)

    def portrait_identity(self) -> tuple[object, ...]:
        return ("made",)
