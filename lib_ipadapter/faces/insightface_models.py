"""Pictures → faces, by insightface and onnxruntime: where each face is, and the vector that tells its likeness.

Nothing else about a person is computed. Both packages are imported here alone, when a face is first looked for; their
models run on the CPU, where a picture takes a fraction of a second, once, and none of the checkpoint's memory.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..base.cache import Cache
from ..base.errors import IPAdapterError, UnitError
from ..base.files import file_identity
from ..pictures.image_file import ImageFile, decode

DETECTION_SIZES = (640, 576, 512, 448, 384, 320, 256)
"""Sides in pixels of the square in which faces are looked for; a face that fills the picture is only found in a small
one (ComfyUI_IPAdapter_plus, `insightfaceLoader`)."""

MARGIN = 0.5
"""White margin on each side, as a fraction of the picture's, with which a close-up is looked at last of all (advice of
IP-Adapter's authors in their repository's issues 145 and 165)."""

RECOGNISED = 112
"""Side in pixels of the aligned face that the recognition model sees."""

FACES_LIMIT = 1000
"""Faces of pictures kept, with a vector of 512 numbers each."""


@dataclass(frozen=True)
class Pack:
    """A set of insightface's models, of which two are needed."""

    name: str
    detector: str
    recogniser: str


PACKS = {
    "buffalo_l": Pack("buffalo_l", "det_10g.onnx", "w600k_r50.onnx"),
    "antelopev2": Pack("antelopev2", "scrfd_10g_bnkps.onnx", "glintr100.onnx"),
}
"""The vectors of one pack mean nothing to an adapter that was trained with the other."""

NEEDED = ("insightface", "onnx", "onnxruntime")
"""Packages that no web UI brings; install.py knows how to add them."""

INSTALL_SETTING = "Install what FaceID adapters need"
"""Label of the setting that lets install.py do so."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """One face in a picture."""

    box: tuple[float, float, float, float]
    """Left, upper, right and lower edge in pixels."""
    points: tuple[Point, ...]
    """Left eye, right eye, nose, left and right corner of the mouth in pixels, as they stand in the picture."""
    score: float
    """How sure the detector is, 0.5..1."""
    embedding: tuple[float, ...]
    """512 numbers of the recognition model, not normalised."""

    @property
    def area(self) -> float:
        left, upper, right, lower = self.box
        return (right - left) * (lower - upper)

    @property
    def centre(self) -> Point:
        left, upper, right, lower = self.box
        return (left + right) / 2, (upper + lower) / 2


CHOSEN: dict[str, Callable[[Sequence[Face]], Sequence[Face]]] = {
    "all": lambda faces: faces,
    "largest": lambda faces: faces[:1],
    "left": lambda faces: [min(faces, key=lambda face: face.centre[0])],
    "right": lambda faces: [max(faces, key=lambda face: face.centre[0])],
    "top": lambda faces: [min(faces, key=lambda face: face.centre[1])],
    "bottom": lambda faces: [max(faces, key=lambda face: face.centre[1])],
}
"""Which of several faces, largest first, a unit means."""


def choose(field: str, faces: Sequence[Face], which: str | int) -> Sequence[Face]:
    """Return the faces that a unit's `face` means: a name in `CHOSEN`, or an index in order of size.

    Raises `UnitError` for an index beyond them.
    """
    if isinstance(which, str):
        return CHOSEN[which](faces)
    if which >= len(faces):
        found = "one face was" if len(faces) == 1 else f"{len(faces)} faces were"
        raise UnitError(
            "face", which, f"is {which}, but {found} found in {field}; they are counted from 0, the largest first."
        )
    return faces[which : which + 1]


class FaceFinder:
    """Finds faces with the models that a user has, and keeps what was found."""

    def __init__(self, folders: Callable[[], Sequence[Path]]) -> None:
        self._folders = folders
        self._found: Cache[tuple[Face, ...]] = Cache(FACES_LIMIT, len)

    def look(self, field: str, file: ImageFile, pack: Pack) -> tuple[Face, ...]:
        """Return the faces in a picture file, the largest first; none where none could be found.

        Raises `IPAdapterError` where a package or a model is missing.
        """
        paths = find_models(pack, self._folders())
        key = (file.digest, *map(file_identity, paths))
        found = self._found.find(key)
        return found if found is not None else self._found.keep(key, find_faces(decode(field, file.content), *paths))

    def find(self, field: str, file: ImageFile, pack: Pack) -> tuple[Face, ...]:
        """Return the faces as `look` does; raises `UnitError` with the field where there is none."""
        found = self.look(field, file, pack)
        if not found:
            raise UnitError(
                field,
                "a picture",
                "shows no face that could be found. Use a picture where the face is larger, sharper or seen from the "
                "front, or an adapter that needs no face, such as Plus Face.",
            )
        return found


def find_models(pack: Pack, folders: Sequence[Path]) -> tuple[Path, Path]:
    """Return the pack's detector and recogniser; raises `IPAdapterError` naming what is missing, and where it belongs.

    The archive of antelopev2 unzips to a folder within a folder of that name, which is taken as it is.
    """
    places = [place for folder in folders for place in (folder / pack.name, folder / pack.name / pack.name)]
    needed = (pack.detector, pack.recogniser)
    for place in places:
        if all((place / name).is_file() for name in needed):
            return place / pack.detector, place / pack.recogniser
    partial = next((place for place in places if any((place / name).is_file() for name in needed)), None)
    place = partial or next(iter(places), Path(pack.name))
    missing = " and ".join(name for name in needed if not (place / name).is_file())
    raise IPAdapterError(
        f"Reading faces needs insightface's face models {pack.name}, but {missing} is missing in {place}. "
        f"Put it there; insightface publishes it in {pack.name}.zip, for non-commercial research only."
    )


class FaceModels:
    """A pack's two models, loaded for as long as somebody has pictures for them."""

    def __init__(self, detector: Path, recogniser: Path) -> None:
        self._detector = _load_model(detector, "detection")
        self._recogniser = _load_model(recogniser, "recognition")

    def find(self, picture: Image.Image) -> tuple[Face, ...]:
        """Return the faces in an RGB picture, the largest first; none where none is found at any size."""
        boxes, points = _detect(self._detector, _blue_first(picture))
        faces = [
            Face(tuple(box[:4].tolist()), fives, float(box[4]), self._embedding(_aligned(picture, fives, RECOGNISED)))
            for box, fives in zip(boxes, (tuple(map(tuple, five.tolist())) for five in points), strict=True)
        ]
        return tuple(sorted(faces, key=lambda face: face.area, reverse=True))

    def _embedding(self, crop: Image.Image) -> tuple[float, ...]:
        """Return the recognition model's 512 numbers for an aligned face."""
        return tuple(self._recogniser.get_feat(_blue_first(crop)).flatten().tolist())


def find_faces(picture: Image.Image, detector: Path, recogniser: Path) -> tuple[Face, ...]:
    """Return the faces in an RGB picture as `FaceModels` finds them, with models that are loaded for it alone."""
    return FaceModels(detector, recogniser).find(picture)


def align(picture: Image.Image, face: Face, size: int) -> Image.Image:
    """Return an RGB picture's face upright and centred in a square of `size` pixels, a multiple of 112 or of 128.

    Source: insightface, `utils.face_align.norm_crop`; a multiple of 128 has a wider margin at the same scale.
    """
    return _aligned(picture, face.points, size)


def _aligned(picture: Image.Image, points: Sequence[Point], size: int) -> Image.Image:
    with _needing_insightface():
        from insightface.utils.face_align import norm_crop
    crop: Any = norm_crop(np.asarray(picture), np.asarray(points, dtype=np.float32), size)
    return Image.fromarray(crop)


def _blue_first(picture: Image.Image) -> Any:
    """Return a picture's pixels as insightface takes them."""
    return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])


def _load_model(path: Path, task: str) -> Any:
    """Return one of insightface's models; raises `IPAdapterError` where the file is damaged or for another task."""
    with _needing_insightface():
        from google.protobuf.message import DecodeError
        from insightface.model_zoo import get_model
        from onnxruntime.capi import onnxruntime_pybind11_state as errors  # pyright: ignore[reportAttributeAccessIssue]
    try:
        model: Any = get_model(str(path), providers=["CPUExecutionProvider"])
    except (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf, DecodeError) as error:
        raise IPAdapterError(f"{path} is damaged or no face model ({error}). Download it again.") from error
    found = getattr(model, "taskname", "another task")
    if found != task:
        raise IPAdapterError(f"{path} is a model for {found}, where one for {task} is expected. Download it again.")
    return model


def _detect(detector: Any, pixels: Any) -> tuple[Any, Any]:
    """Return boxes with scores (faces, 5) and points (faces, 5, 2) of the first look that finds any."""
    boxes, points = np.empty((0, 5)), np.empty((0, 5, 2))
    for size, shown, (across, down) in _looks(pixels):
        boxes, points = detector.detect(shown, input_size=(size, size))
        if len(boxes):
            return boxes - [across, down, across, down, 0], (points - [across, down]).astype(np.float32)
    return boxes, points


def _looks(pixels: Any) -> Iterator[tuple[int, Any, Point]]:
    """Yield how to look at a picture: side of the detector's square, pixels, and where the picture begins in them."""
    for size in DETECTION_SIZES:
        yield size, pixels, (0, 0)
    height, width = pixels.shape[:2]
    across, down = round(width * MARGIN), round(height * MARGIN)
    padded = np.pad(pixels, ((down, down), (across, across), (0, 0)), constant_values=255)
    for size in DETECTION_SIZES:
        yield size, padded, (across, down)


@contextmanager
def _needing_insightface() -> Generator[None, None, None]:
    """Turn the error of a missing or broken package into a sentence."""
    try:
        yield
    except ImportError as error:
        missing = [package for package in NEEDED if find_spec(package) is None]
        state = f"{' and '.join(missing)} cannot be found" if missing else f"an import fails ({error})"
        raise IPAdapterError(
            f'Reading faces needs insightface and onnxruntime, but {state}. Tick "{INSTALL_SETTING}" in '
            "Settings, IP-Adapter, apply, and start the web UI anew."
        ) from error
