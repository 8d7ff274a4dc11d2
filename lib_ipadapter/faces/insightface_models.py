"""Faces in a picture, found with insightface and onnxruntime: each face's position and embedding.

Nothing else about a person is computed. Both packages are imported only here, when faces are first needed.
"""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..base.errors import IPAdapterError

log = logging.getLogger(__name__)

DETECTION_SIZES = (640, 576, 512, 448, 384, 320, 256)
"""Detector input sizes in pixels, tried in this order; a face that fills the picture is found only at a small size
(ComfyUI_IPAdapter_plus, `insightfaceLoader`)."""

MARGIN = 0.5
"""White margin on each side, as a fraction of the picture, added where no size finds a face, as in close-ups
(advice of IP-Adapter's authors in issues 145 and 165 of their repository)."""

RECOGNISED = 112
"""Size in pixels of the aligned face that the recognition model sees."""


@dataclass(frozen=True)
class Pack:
    """A model pack of insightface, of which two models are used."""

    name: str
    detector: str
    recogniser: str


PACKS = {
    "buffalo_l": Pack("buffalo_l", "det_10g.onnx", "w600k_r50.onnx"),
    "antelopev2": Pack("antelopev2", "scrfd_10g_bnkps.onnx", "glintr100.onnx"),
}
"""An adapter needs the embeddings of the pack that it was trained with."""

NEEDED = ("insightface", "onnx", "onnxruntime")
"""Packages that most web UIs lack; install.py can install them."""

INSTALL_SETTING = "Install packages for FaceID adapters"
"""Label of the setting that allows install.py to do so."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """One face in a picture."""

    box: tuple[float, float, float, float]
    """Left, upper, right and lower edge in pixels."""
    points: tuple[Point, ...]
    """Left eye, right eye, nose, left and right corner of the mouth, in pixels; left is the picture's left."""
    score: float
    """Confidence of the detector, 0.5 to 1."""
    embedding: tuple[float, ...]
    """The recognition model's 512 numbers, not normalised."""

    @property
    def area(self) -> float:
        left, upper, right, lower = self.box
        return (right - left) * (lower - upper)

    @property
    def centre(self) -> Point:
        left, upper, right, lower = self.box
        return (left + right) / 2, (upper + lower) / 2


def model_paths(pack: Pack, folders: Sequence[Path]) -> tuple[Path, Path]:
    """Return the files of a pack's detector and recogniser; raises `IPAdapterError` naming what is missing and where.

    The archive of antelopev2 unzips to a folder inside a folder of the same name; both layouts work.
    """
    places = [place for folder in folders for place in (folder / pack.name, folder / pack.name / pack.name)]
    needed = (pack.detector, pack.recogniser)
    for place in places:
        if all((place / name).is_file() for name in needed):
            return place / pack.detector, place / pack.recogniser
    partial = next((place for place in places if any((place / name).is_file() for name in needed)), None)
    place = partial or next(iter(places), Path(pack.name))
    missing = [name for name in needed if not (place / name).is_file()]
    lack = (
        f"{missing[0]} is missing from {place}. Put it there; insightface publishes it"
        if len(missing) == 1
        else f"{' and '.join(missing)} are missing from {place}. Put them there; insightface publishes them"
    )
    raise IPAdapterError(
        f"Reading faces needs insightface's face models {pack.name}, but {lack} in {pack.name}.zip for non-commercial "
        "research only."
    )


CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

Provider = str | tuple[str, dict[str, Any]]
"""One of onnxruntime's execution providers, with its options."""


def cuda_providers(device_index: int) -> list[Provider]:
    """Return the providers that run models on a CUDA device, or on the CPU where onnxruntime cannot use it.

    Pictures come in many sizes, so cuDNN does not benchmark algorithms for each, and memory grows only as needed.
    """
    options = {
        "device_id": device_index,
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    return [(CUDA, options), CPU]


def offers_cuda() -> bool:
    """Return whether onnxruntime was built for CUDA."""
    with _needing_insightface():
        import onnxruntime
    providers: list[str] = onnxruntime.get_available_providers()  # pyright: ignore[reportAttributeAccessIssue]
    return CUDA in providers


class FaceModels:
    """The two loaded models of a pack."""

    def __init__(self, detector: Path, recogniser: Path, providers: Sequence[Provider] = (CPU,)) -> None:
        self._detector = _load_model(detector, "detection", providers)
        self._recogniser = _load_model(recogniser, "recognition", providers)

    @property
    def on_cuda(self) -> bool:
        return all(CUDA in model.session.get_providers() for model in (self._detector, self._recogniser))

    def find(self, picture: Image.Image) -> tuple[Face, ...]:
        """Return the faces in an RGB picture, the largest first; empty where no size finds one."""
        boxes, points = _detect(self._detector, _bgr(picture))
        faces = [
            Face(tuple(box[:4].tolist()), fives, float(box[4]), self.embedding(_aligned(picture, fives, RECOGNISED)))
            for box, fives in zip(boxes, (tuple(map(tuple, five.tolist())) for five in points), strict=True)
        ]
        return tuple(sorted(faces, key=lambda face: face.area, reverse=True))

    def embedding(self, crop: Image.Image) -> tuple[float, ...]:
        """Return the recognition model's 512 numbers for an aligned RGB face; another size than its own is resized."""
        return tuple(self._recogniser.get_feat(_bgr(crop)).flatten().tolist())


def align(picture: Image.Image, face: Face, size: int) -> Image.Image:
    """Return an RGB picture's face aligned and cropped to a square of `size` pixels, a multiple of 112 or 128.

    Source: insightface, `utils.face_align.norm_crop`; a multiple of 128 has a wider margin at the same scale.
    """
    return _aligned(picture, face.points, size)


def _aligned(picture: Image.Image, points: Sequence[Point], size: int) -> Image.Image:
    with _needing_insightface():
        from insightface.utils.face_align import norm_crop
    crop: Any = norm_crop(np.asarray(picture), np.asarray(points, dtype=np.float32), size)
    return Image.fromarray(crop)


def _bgr(picture: Image.Image) -> Any:
    """Return a picture's pixels in BGR order, as insightface expects."""
    return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])


def _load_model(path: Path, task: str, providers: Sequence[Provider]) -> Any:
    """Return an insightface model; raises `IPAdapterError` where the file is damaged or for another task."""
    with _needing_insightface():
        from google.protobuf.message import DecodeError
        from insightface.model_zoo import get_model
        from onnxruntime.capi import onnxruntime_pybind11_state as errors  # pyright: ignore[reportAttributeAccessIssue]
    try:
        model: Any = get_model(str(path), providers=list(providers))
    except (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf, DecodeError) as error:
        raise IPAdapterError(f"{path} is damaged or not a face model ({error}). Download it again.") from error
    found = getattr(model, "taskname", "another task")
    if found != task:
        raise IPAdapterError(f"{path} is a model for {found}, but one for {task} is expected. Download it again.")
    return model


def _detect(detector: Any, pixels: Any) -> tuple[Any, Any]:
    """Return boxes with scores (faces, 5) and points (faces, 5, 2) from the first view with a face."""
    boxes, points = np.empty((0, 5)), np.empty((0, 5, 2))
    for size, shown, (across, down) in _views(pixels):
        boxes, points = detector.detect(shown, input_size=(size, size))
        if len(boxes):
            return boxes - [across, down, across, down, 0], (points - [across, down]).astype(np.float32)
    return boxes, points


def _views(pixels: Any) -> Iterator[tuple[int, Any, Point]]:
    """Yield views of a picture for the detector: its input size, pixels, and the offset of the picture in them."""
    for size in DETECTION_SIZES:
        yield size, pixels, (0, 0)
    height, width = pixels.shape[:2]
    across, down = round(width * MARGIN), round(height * MARGIN)
    padded = np.pad(pixels, ((down, down), (across, across), (0, 0)), constant_values=255)
    for size in DETECTION_SIZES:
        yield size, padded, (across, down)


def refuse_missing_packages() -> None:
    """Raise `IPAdapterError` if a package that reads faces is not installed; imports none of them."""
    if missing := [package for package in NEEDED if find_spec(package) is None]:
        raise IPAdapterError(_unreadable_faces(f"{' and '.join(missing)} cannot be found"))


def _unreadable_faces(state: str) -> str:
    return (
        f'Reading faces needs insightface and onnxruntime, but {state}. Tick "{INSTALL_SETTING}" in '
        "Settings, IP-Adapter, apply, and restart the web UI."
    )


@contextmanager
def _needing_insightface() -> Generator[None, None, None]:
    """Turn the import error of a missing or broken package into an `IPAdapterError`."""
    try:
        yield
    except ImportError as error:
        refuse_missing_packages()
        raise IPAdapterError(_unreadable_faces(f"an import fails ({error})")) from error
