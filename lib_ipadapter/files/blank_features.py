"""What image encoders make of the unconditional picture, stored between starts, because it never changes.

The files are a cache: any of them can be deleted, and a damaged one is computed again.
"""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..base.errors import IPAdapterError
from ..base.files import written_whole
from ..weights.clip_vision import EncoderFile, Features
from ..weights.encoders import Encoder, ImageFeatures
from ..weights.tensor_file import read_tensors

log = logging.getLogger(__name__)


class BlankFeatures:
    """Features of the unconditional picture, in one file for each encoder, convention, device and dtype.

    `folder` returns where they are, or None to store none. `digest` returns an encoder file's SHA-256, or "" while it
    is not known; nothing is stored until then.
    """

    def __init__(self, folder: Callable[[], Path | None], digest: Callable[[Path], str]) -> None:
        self._folder = folder
        self._digest = digest

    def find(self, encoder: Encoder, settings: str) -> Features | None:
        """Return what was stored for a CLIP tower and these settings, or None."""
        path = self._path(encoder, settings)
        if path is None or not path.is_file() or not isinstance(encoder, EncoderFile):
            return None
        try:
            found = read_tensors(path)
        except IPAdapterError as error:
            log.info(error.sentence)
            return None
        features = {name: tensor.clone() for name, tensor in found.items()}  # Windows cannot replace a mapped file
        if {name: tuple(tensor.shape) for name, tensor in features.items()} != _shapes(encoder):
            return None
        return Features(**features) if all(map(_usable, features.values())) else None

    def keep(self, encoder: Encoder, settings: str, features: ImageFeatures) -> None:
        """Store a CLIP tower's features; if that fails, it is only logged, because the generation does not need it."""
        path = self._path(encoder, settings)
        if path is None or not isinstance(features, Features):
            return
        try:
            with written_whole(path) as part:
                save_file({"embed": features.embed.contiguous(), "hidden": features.hidden.contiguous()}, part)
        except OSError as error:
            log.warning("IP-Adapter could not store features in %s: %s", path.parent, error)

    def _path(self, encoder: Encoder, settings: str) -> Path | None:
        folder, digest = self._folder(), self._digest(encoder.path)
        if folder is None or not digest:
            return None
        # Rounding depends on the version of torch too.
        inputs = f"{digest} {encoder.image_size} {settings} {torch.__version__}"
        return folder / f"{hashlib.sha256(inputs.encode()).hexdigest()}.safetensors"


def _shapes(encoder: EncoderFile) -> dict[str, tuple[int, ...]]:
    return {"embed": (1, encoder.projection), "hidden": (1, encoder.states, encoder.width)}


def _usable(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float32 and bool(tensor.isfinite().all())
