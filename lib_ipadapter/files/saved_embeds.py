"""Saved references (embeds): an encoder's features of some pictures, in a named file.

Features are saved rather than image tokens, because they work with every adapter for the same encoder and with every
combine mode. Files are safetensors; files of ComfyUI and diffusers can be read too.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from ..base.boxes import Box
from ..base.errors import IPAdapterError, UnrecognisedError, printable, saved_later
from ..base.files import sha256, written_whole
from ..weights.family import EMBED, HIDDEN
from ..weights.shapes import Shape
from ..weights.tensor_file import is_torch, read_metadata, read_shapes, read_tensors, refuse_unusable
from ..weights.torch_archive import damaged, load_archive, refuse_oversized_view

EXTENSIONS = (".safetensors", ".ipadpt")
"""Extensions of saved references; the second is ComfyUI's, which diffusers' documentation uses too."""

MARK = "ip_adapter_reference"
"""Key of the metadata that marks our files; its value is the layout's version."""
VERSION = "1"

AXES = {EMBED: 2, HIDDEN: 3}
"""Number of axes of each kind of features, for all squares together."""

NEARLY_ONE = 1.001
"""Upper limit for a tile's edge, with a tolerance for rounding."""


@dataclass(frozen=True)
class SavedPicture:
    """One picture of a saved reference."""

    weight: float = 1.0
    places: tuple[Box, ...] = ()
    """The region of each tile; empty if it was encoded as one square."""

    @property
    def squares(self) -> int:
        return len(self.places) or 1


@dataclass(frozen=True, eq=False)
class SavedReference:
    """A file with the features of some pictures; features are read when needed."""

    path: Path
    digest: str
    """SHA-256 of the file, in hexadecimal."""
    pictures: tuple[SavedPicture, ...]
    shapes: Mapping[str, Shape]
    """Shape of each kind of features: (squares, ...)."""
    encoder: str = ""
    """Name of the encoder's file; empty where unknown."""
    fingerprint: str = ""
    """The encoder's fingerprint; empty where unknown, as in imported files."""

    @property
    def name(self) -> str:
        return self.path.stem

    def features(self, takes: str) -> Tensor:
        """Return the features of this kind: (squares, ...), float32; raises `IPAdapterError` for a damaged file."""
        tensors = _tensors(self.path)
        refuse_unusable(self.path, tensors)
        return tensors[takes].float().clone()  # a copy: on Windows, a memory map would prevent overwriting the file


def open_saved(path: Path) -> SavedReference:
    """Return the saved reference at `path` from its header; raises `IPAdapterError` for any other file."""
    if is_torch(path):
        shapes = {takes: tuple(tensor.shape) for takes, tensor in _imported(path).items()}
        (squares, *_), *_ = shapes.values()
        return SavedReference(path, sha256(path), (SavedPicture(),) * squares, shapes)
    digest, metadata, shapes = sha256(path), read_metadata(path), read_shapes(path)
    layout = metadata.get(MARK)
    if layout and layout != VERSION:
        raise saved_later(path.name, f"format {printable(layout, 20)}")
    if not layout:
        raise UnrecognisedError(f"{path.name} is not a saved reference.")
    try:
        pictures = tuple(map(_picture, json.loads(metadata["pictures"])))
        _refuse_shapes(pictures, shapes)
        return SavedReference(path, digest, pictures, shapes, metadata["encoder"], metadata["fingerprint"])
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise damaged(path, error) from error


def _picture(entry: Mapping[str, Any]) -> SavedPicture:
    """Return a picture from its metadata; raises `ValueError`, `TypeError` or `LookupError` for anything else."""
    weight = float(entry["weight"])
    if not math.isfinite(weight) or not weight:
        raise ValueError(f"a weight of {weight}")
    return SavedPicture(weight, tuple(map(_box, entry["places"])))


def _box(edges: Sequence[float]) -> Box:
    left, upper, right, lower = map(float, edges)
    if not (0 <= left < right <= NEARLY_ONE and 0 <= upper < lower <= NEARLY_ONE):
        raise ValueError(f"a tile at {left:g}, {upper:g}, {right:g}, {lower:g}")
    return left, upper, right, lower


def _refuse_shapes(pictures: Sequence[SavedPicture], shapes: Mapping[str, Shape]) -> None:
    """Raise `ValueError` where there is not exactly one entry of features per square."""
    squares = sum(picture.squares for picture in pictures)
    fits = all(len(shape) == AXES.get(takes) and shape[0] == squares for takes, shape in shapes.items())
    if not (squares and shapes and fits):
        raise ValueError(f"it has features of shapes {dict(shapes)} for {squares} squares")


def _tensors(path: Path) -> Mapping[str, Tensor]:
    return _imported(path) if is_torch(path) else read_tensors(path)


def _imported(path: Path) -> dict[str, Tensor]:
    """Return the features in a file of ComfyUI_IPAdapter_plus or diffusers: one kind, for one or more pictures.

    ComfyUI saves one tensor, (pictures, ...). diffusers saves a list with one tensor per adapter, (1 or 2, pictures,
    ...), with the unconditional half first (`prepare_ip_adapter_image_embeds`). That half is ignored and computed here,
    as for any reference.
    """
    content = load_archive(path)
    if isinstance(content, (list, tuple)):
        if len(content) != 1:
            raise IPAdapterError(f"{path.name} has references for {len(content)} adapters; save one file for each.")
        (content,) = content
        content = content[-1] if isinstance(content, Tensor) and content.dim() and len(content) in (1, 2) else None
    if not isinstance(content, Tensor) or content.dim() not in AXES.values() or 0 in content.shape:
        raise UnrecognisedError(f"{path.name} has no image features in the format of ComfyUI or diffusers.")
    refuse_oversized_view(path, "its tensor", content)
    return {takes: content for takes, axes in AXES.items() if axes == content.dim()}


def write_saved(
    path: Path, pictures: Sequence[SavedPicture], features: Mapping[str, Tensor], encoder: str, fingerprint: str
) -> None:
    """Write a saved reference completely or not at all, replacing an existing file; raises `IPAdapterError`."""
    metadata = {
        MARK: VERSION,
        "encoder": encoder,
        "fingerprint": fingerprint,
        "pictures": json.dumps([asdict(picture) for picture in pictures]),
    }
    try:
        with written_whole(path) as part:
            save_file({takes: tensor.contiguous() for takes, tensor in features.items()}, part, metadata)
    except OSError as error:
        raise IPAdapterError(f"{path.name} cannot be written into {path.parent}: {error.strerror or error}.") from error
