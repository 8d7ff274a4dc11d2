"""Finds faces and makes portraits: loads each pack of models once, shares it, and caches the faces found."""

import logging
import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor

from ..base.boxes import Box
from ..base.cache import Cache
from ..base.errors import UnitError
from ..base.files import file_identity
from ..pictures.image_file import ImageFile, decode
from .insightface_models import CPU, Face, FaceModels, Pack, cuda_providers, model_paths, offers_cuda
from .portraits import Detection, detections, nearest, portrait_of, portrait_paths

log = logging.getLogger(__name__)

Result = TypeVar("Result")

FACES_LIMIT = 1000
"""Faces in the cache, with an embedding of 512 numbers each; a picture without a face counts as one."""

DETECTIONS_LIMIT = 16
"""Faces found by facexlib in the cache, with a crop of 0.8 MB each; a picture without a face counts as one."""

IDLE_SECONDS = 30.0
"""Time after which an unused pack of models, about 180 MB, is unloaded: longer than the gap between the references of a
unit or the pictures of a batch."""

NO_CUDA = "the installed onnxruntime has no CUDA support; onnxruntime-gpu has"

CHOSEN: dict[str, Callable[[Sequence[Face]], Sequence[Face]]] = {
    "all": lambda faces: faces,
    "largest": lambda faces: faces[:1],
    "left": lambda faces: [min(faces, key=lambda face: face.centre[0])],
    "right": lambda faces: [max(faces, key=lambda face: face.centre[0])],
    "top": lambda faces: [min(faces, key=lambda face: face.centre[1])],
    "bottom": lambda faces: [max(faces, key=lambda face: face.centre[1])],
}
"""The faces that each name in a unit's `face` selects, from faces sorted by size, the largest first."""


def choose(field: str, faces: Sequence[Face], which: str | int) -> Sequence[Face]:
    """Return the faces that a unit's `face` selects: a name in `CHOSEN`, or an index in order of size.

    Raises `UnitError` for an index that no face has.
    """
    if isinstance(which, str):
        return CHOSEN[which](faces)
    if which >= len(faces):
        found = "one face was" if len(faces) == 1 else f"{len(faces)} faces were"
        raise UnitError(
            "face", which, f"is {which}, but {found} found in {field}; they are counted from 0, the largest first."
        )
    return faces[which : which + 1]


def faces_inside(faces: Sequence[Face], box: Box, size: tuple[int, int]) -> Sequence[Face]:
    """Return the faces whose centre is in a box of a picture of `size` pixels, width and height."""
    left, upper, right, lower = (edge * side for edge, side in zip(box, (*size, *size), strict=True))
    return [face for face in faces if left <= face.centre[0] <= right and upper <= face.centre[1] <= lower]


def required_inside(field: str, faces: Sequence[Face]) -> Sequence[Face]:
    """Return the faces in a reference's box; raises `UnitError` where there are none."""
    if not faces:
        raise UnitError(f"{field}.box", "a box", "contains no face. Draw it around a face, or leave it out.")
    return faces


class SharedModels:
    """The face models in use: each pack is loaded once, used by one thread at a time, and dropped when idle.

    They run on CUDA if the host wants that and onnxruntime supports it, otherwise on the CPU.
    """

    def __init__(self, device: Callable[[], torch.device]) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._loaded: dict[tuple[object, ...], FaceModels] = {}
        self._timer: threading.Timer | None = None
        self._cpu_because = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why they run on the CPU although the host wants CUDA; empty if they do not."""
        wanted = self._cpu_because and self._device().type == "cuda"
        return (f"The face models ran on the CPU: {self._cpu_because}.",) if wanted else ()

    @property
    def will_fall_back(self) -> str:
        """Why they will run on the CPU although the host wants CUDA; empty if nothing is known to prevent it."""
        if self._device().type != "cuda":
            return ""
        return self._cpu_because or ("" if offers_cuda() else NO_CUDA)

    def find(self, picture: Image.Image, paths: tuple[Path, Path]) -> tuple[Face, ...]:
        """Return the faces in an RGB picture, the largest first."""
        return self._run(paths, lambda models: models.find(picture))

    def embedding(self, crop: Image.Image, paths: tuple[Path, Path]) -> tuple[float, ...]:
        """Return the recognition model's 512 numbers for an aligned RGB face."""
        return self._run(paths, lambda models: models.embedding(crop))

    def _run(self, paths: tuple[Path, Path], use: Callable[[FaceModels], Result]) -> Result:
        key = tuple(map(file_identity, paths))
        with self._lock:
            models = self._loaded.get(key) or self._load(key, paths)
            try:
                return self._used(models, key, paths, use)
            finally:
                self._drop_later()

    def drop(self) -> None:
        """Release all models."""
        with self._lock:
            self._loaded.clear()

    def _used(
        self,
        models: FaceModels,
        key: tuple[object, ...],
        paths: tuple[Path, Path],
        use: Callable[[FaceModels], Result],
    ) -> Result:
        try:
            return use(models)
        except RuntimeError as error:  # base class of onnxruntime's errors, including out of memory
            if not models.on_cuda:
                raise
            self._use_cpu(f"they failed on the GPU ({error})")
            return use(self._load(key, paths))

    def _load(self, key: tuple[object, ...], paths: tuple[Path, Path]) -> FaceModels:
        device = self._device()
        if device.type == "cuda" and not self._cpu_because and not offers_cuda():
            self._use_cpu(NO_CUDA)
        wants_cuda = device.type == "cuda" and not self._cpu_because
        models = FaceModels(*paths, cuda_providers(device.index or 0) if wants_cuda else (CPU,))
        if wants_cuda and not models.on_cuda:
            self._use_cpu("onnxruntime could not start CUDA; its message says why")
        self._loaded[key] = models
        return models

    def _use_cpu(self, why: str) -> None:
        """Use the CPU from now on, and log it once."""
        self._cpu_because = why
        log.warning("IP-Adapter's face models run on the CPU: %s.", why)

    def _drop_later(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = threading.Timer(IDLE_SECONDS, self.drop)
        self._timer.daemon = True
        self._timer.start()


class FaceFinder:
    """Finds faces with the installed models, and caches them by picture; makes portraits of them for PuLID."""

    def __init__(
        self,
        folders: Callable[[], Sequence[Path]],
        device: Callable[[], torch.device],
        portrait_folders: Callable[[], Sequence[Path]] = lambda: (),
    ) -> None:
        """`portrait_folders` returns those to search for facexlib's models."""
        self._folders, self._portrait_folders = folders, portrait_folders
        self._device = device
        self._models = SharedModels(device)
        self._found: Cache[tuple[Face, ...]] = Cache(FACES_LIMIT, lambda faces: max(1, len(faces)))
        self._detected: Cache[list[Detection]] = Cache(DETECTIONS_LIMIT, lambda found: max(1, len(found)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What made finding faces slower than it could be."""
        return self._models.warnings

    @property
    def will_fall_back(self) -> str:
        """Why the next search will be slower than it could be, or ""."""
        return self._models.will_fall_back

    def faces_of(self, field: str, file: ImageFile, pack: Pack) -> tuple[Face, ...]:
        """Return the faces in a picture file, the largest first; empty where none were found.

        Raises `IPAdapterError` where a package or a model is missing.
        """
        paths = model_paths(pack, self._folders())
        key = (file.digest, *map(file_identity, paths))
        found = self._found.find(key)
        if found is None:
            found = self._found.keep(key, self._models.find(decode(field, file.content), paths))
        return found

    def known_faces_of(self, file: ImageFile, pack: Pack) -> tuple[Face, ...] | None:
        """Return the faces found in a picture file before, or None if nobody has looked; raises as `faces_of` does."""
        return self._found.find((file.digest, *map(file_identity, model_paths(pack, self._folders()))))

    def required_faces_of(self, field: str, file: ImageFile, pack: Pack) -> tuple[Face, ...]:
        """Return the faces as `faces_of` does; raises `UnitError` with the field where there are none."""
        found = self.faces_of(field, file, pack)
        if not found:
            raise _faceless(field)
        return found

    def faces_in(self, picture: Image.Image, pack: Pack) -> tuple[Face, ...]:
        """Return the faces in an RGB picture, such as a generated one, without caching. Raises `IPAdapterError`."""
        return self._models.find(picture, model_paths(pack, self._folders()))

    def faces_or_portrait(self, field: str, file: ImageFile, pack: Pack) -> tuple[Face, ...]:
        """Return the faces as `required_faces_of` does; if insightface finds none, the middle one that facexlib finds.

        Its embedding is then made from facexlib's crop, as PuLID's authors do.
        """
        if found := self.faces_of(field, file, pack):
            return found
        paths = model_paths(pack, self._folders())
        key = (file.digest, *map(file_identity, paths), *self.portrait_identity())
        if (kept := self._found.find(key)) is not None:
            return kept
        picture = decode(field, file.content)
        one = self._detection(field, picture, (picture.width / 2, picture.height / 2))
        embedding = self._models.embedding(one.crop, paths)
        return self._found.keep(key, (Face(one.box, one.points, one.score, embedding),))

    def portrait(self, field: str, picture: Image.Image, face: Face, size: int) -> Tensor:
        """Return what PuLID's image encoder sees of a face in an RGB picture, before normalisation: (3, size, size).

        Raises `UnitError` with the field where facexlib finds no face, and `IPAdapterError` where it or its models are
        missing.
        """
        one = self._detection(field, picture, face.centre)
        _, parser = portrait_paths(self._portrait_folders())
        return self._on_device(lambda device: portrait_of(one.crop, parser, device, size))

    def portrait_identity(self) -> tuple[object, ...]:
        """Return what identifies facexlib's two models; raises `IPAdapterError` where they are missing."""
        return tuple(map(file_identity, portrait_paths(self._portrait_folders())))

    def _detection(self, field: str, picture: Image.Image, point: tuple[float, float]) -> Detection:
        """Return the face that facexlib finds nearest to a point."""
        detector, _ = portrait_paths(self._portrait_folders())
        key = (sha256(picture.tobytes()).digest(), picture.size, file_identity(detector))
        found = self._detected.find(key)
        if found is None:
            found = self._on_device(lambda device: detections(picture, detector, device))
            found = self._detected.keep(key, found)
        if (one := nearest(found, point)) is None:
            raise _faceless(field)
        return one

    def _on_device(self, run: Callable[[torch.device], Result]) -> Result:
        """Run on the host's device for face models, or on the CPU if that runs out of memory."""
        try:
            return run(self._device())
        except torch.cuda.OutOfMemoryError:
            log.warning("Not enough device memory for facexlib; it runs on the CPU.")
        return run(torch.device("cpu"))


def _faceless(field: str) -> UnitError:
    return UnitError(
        field,
        "a picture",
        "has no detectable face. Use a picture where the face is larger, sharper or seen from the front, or an "
        "adapter that needs no face detection, such as Plus Face.",
    )
