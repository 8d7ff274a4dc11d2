"""Portraits for PuLID's image encoder: a face cropped by facexlib, grey, on white.

facexlib is imported only here, and only its networks are used: nothing here calls its functions that fetch weights.

Source: PuLID, `pipeline_v1_1.py`, `get_id_embedding`; facexlib, `FaceRestoreHelper`.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ..base.errors import IPAdapterError
from ..base.files import file_identity, sha256
from ..weights.tensor_file import read_tensors, refuse_mismatch, refuse_unusable
from ..weights.torch_archive import OLDEST, damaged, load_oldest
from .insightface_models import INSTALL_SETTING, Point

DETECTOR, PARSER = "detection_Resnet50_Final.pth", "parsing_bisenet.pth"

PUBLISHED: Mapping[str, str] = {
    DETECTOR: "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
    PARSER: "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
}
"""SHA-256 of facexlib's own files, which may be in torch's oldest format; no other file in that format is opened."""

LONG_SIDE = 1024
"""Side in pixels to which the authors reduce larger photos (PuLID, `app.py`)."""

THRESHOLD = 0.97
"""Confidence above which facexlib's helper takes a detection for a face."""

CROP = 512
"""Side in pixels of the aligned face."""

TEMPLATE = (
    (192.98138, 239.94708),
    (318.90277, 240.1936),
    (256.63416, 314.01935),
    (201.26117, 371.41043),
    (313.08905, 371.15118),
)
"""Where a face's five points come to lie in the crop, in pixels (FFHQ's template)."""

BORDER = (135, 133, 132)
"""Colour of the crop beyond the photo's edge: blue, green, red."""

LABELS = 19
"""Kinds of parts that the parser distinguishes."""

WHITE_LABELS = (0, 7, 8, 9, 14, 15, 16, 18)
"""Parts that are not the person: background, ears, ear-ring, neck, necklace, clothes and hat."""

PARSER_MEAN, PARSER_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue."""


class Detection(NamedTuple):
    """A face that facexlib found, in pixels of the photo."""

    box: tuple[float, float, float, float]
    """Left, upper, right and lower edge."""
    points: tuple[Point, ...]
    """Left eye, right eye, nose, left and right corner of the mouth."""
    score: float
    crop: Image.Image
    """The aligned face, RGB, `CROP` pixels wide and high."""

    @property
    def centre(self) -> Point:
        left, upper, right, lower = self.box
        return (left + right) / 2, (upper + lower) / 2


def portrait_paths(folders: Sequence[Path]) -> tuple[Path, Path]:
    """Return the files of facexlib's detector and parser, in these folders or in the package's own.

    Raises `IPAdapterError` that names what is missing, and where it belongs.
    """
    detector, parser = (_found(name, folders) for name in PUBLISHED)
    if detector and parser:
        return detector, parser
    missing = missing_models(folders)
    raise IPAdapterError(
        f"PuLID crops faces with facexlib, but {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing "
        f"from {next(iter(portrait_folders(folders)), 'models/facexlib')}. Get models has what is missing."
    )


def missing_models(folders: Sequence[Path]) -> list[str]:
    """Return the names of facexlib's models that are neither in these folders nor in the package's own."""
    return [name for name in PUBLISHED if _found(name, folders) is None]


def portrait_folders(folders: Sequence[Path]) -> list[Path]:
    """Return these folders and the package's own."""
    return [*folders, *_package_folder()]


def _found(name: str, folders: Sequence[Path]) -> Path | None:
    return next((place / name for place in portrait_folders(folders) if (place / name).is_file()), None)


def _package_folder() -> list[Path]:
    """Return the folder in which facexlib itself keeps weights, if it is installed."""
    found = find_spec("facexlib")
    return [Path(place) / "weights" for place in (found.submodule_search_locations or [])] if found else []


def detections(picture: Image.Image, path: Path, device: torch.device) -> list[Detection]:
    """Return the faces that facexlib finds in an RGB photo."""
    with _needing_facexlib():
        import cv2
        from facexlib.detection.retinaface import RetinaFace
    pixels: Any = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
    scale = min(1.0, LONG_SIDE / max(picture.size))
    if scale < 1.0:
        size = int(picture.width * scale), int(picture.height * scale)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LANCZOS4)
    detector: Any = _loaded(path, lambda: RetinaFace("resnet50", device=torch.device("meta")), device)
    detector.device = device  # where it puts what it makes while it runs
    detector.mean_tensor = torch.tensor([104.0, 117.0, 123.0], device=device).view(1, 3, 1, 1)
    with torch.no_grad():
        rows: Any = detector.detect_faces(pixels, THRESHOLD)
    made = list[Detection]()
    for row in rows:
        points = row[5:15].reshape(5, 2)
        matrix = cv2.estimateAffinePartial2D(points, np.asarray(TEMPLATE), method=cv2.LMEDS)[0]
        crop: Any = cv2.warpAffine(pixels, matrix, (CROP, CROP), borderMode=cv2.BORDER_CONSTANT, borderValue=BORDER)
        box = tuple((row[:4] / scale).tolist())
        fives = tuple(map(tuple, (points / scale).tolist()))
        made.append(Detection(box, fives, float(row[4]), Image.fromarray(np.ascontiguousarray(crop[:, :, ::-1]))))
    return made


def nearest(found: Sequence[Detection], point: Point) -> Detection | None:
    """Return the detection whose centre is nearest to a point, or None where there are none."""
    return min(
        found, key=lambda each: (each.centre[0] - point[0]) ** 2 + (each.centre[1] - point[1]) ** 2, default=None
    )


def portrait_of(crop: Image.Image, path: Path, device: torch.device, size: int) -> Tensor:
    """Return an aligned RGB face in grey on white: (3, size, size), 0 to 1, where the filter does not overshoot.

    The filter has no antialiasing, as in the version of torchvision that the authors pin, 0.15.
    """
    levels = torch.from_numpy(np.asarray(crop).copy()).permute(2, 0, 1).float() / 255.0
    grey = grey_on_white(levels, _labels(levels, path, device))
    return functional.interpolate(grey[None], (size, size), mode="bicubic", align_corners=False)[0]


def grey_on_white(levels: Tensor, labels: Tensor) -> Tensor:
    """Return pixels (3, h, w) in grey, and white where a label (h, w) is not of the person."""
    grey = (levels * torch.tensor(GREY).view(3, 1, 1)).sum(0, keepdim=True).expand(3, -1, -1)
    return torch.where(torch.isin(labels, torch.tensor(WHITE_LABELS)), torch.ones_like(grey), grey)


def _labels(levels: Tensor, path: Path, device: torch.device) -> Tensor:
    """Return the parser's label of every pixel: (h, w), on the CPU."""
    with _needing_facexlib():
        from facexlib.parsing.bisenet import BiSeNet
    parser = _loaded(path, lambda: BiSeNet(num_class=LABELS), device)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (PARSER_MEAN, PARSER_STD))
    with torch.no_grad():
        scores: Tensor = parser(((levels - mean) / std)[None].to(device))[0]
    return scores.argmax(1)[0].cpu()


def _loaded(path: Path, build: Any, device: torch.device) -> nn.Module:
    """Return one of facexlib's networks with the weights of a file."""
    tensors = {name.removeprefix("module."): tensor for name, tensor in _read(path).items()}
    with torch.device("meta"):
        network: nn.Module = build()
    expected = {name: tuple(own.shape) for name, own in network.state_dict().items()}
    refuse_mismatch(path, expected, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    refuse_unusable(path, {name: t for name, t in tensors.items() if not name.endswith("num_batches_tracked")})
    network.load_state_dict(tensors, assign=True)
    return network.to(device).eval()


def _read(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors; a file in torch's oldest format is opened only if it is facexlib's own."""
    try:
        with path.open("rb") as file:
            oldest = file.read(len(OLDEST)) == OLDEST
    except OSError as error:
        raise damaged(path, error) from error
    if not oldest:
        return read_tensors(path)
    if _digest(path, file_identity(path)) not in PUBLISHED.values():
        raise IPAdapterError(
            f"{path.name} is not the file that facexlib publishes, and its format cannot be read safely, so it was not "
            "opened. Get it again."
        )
    return load_oldest(path)


@lru_cache(maxsize=8)
def _digest(path: Path, _identity: tuple[object, ...]) -> str:
    return sha256(path)


def refuse_missing_package() -> None:
    """Raise `IPAdapterError` if facexlib is not installed; does not import it."""
    if find_spec("facexlib") is None:
        raise IPAdapterError(_without_facexlib("it cannot be found"))


def _without_facexlib(state: str) -> str:
    return (
        f'PuLID crops faces with facexlib, but {state}. Tick "{INSTALL_SETTING}" in Settings, IP-Adapter, apply, and '
        "restart the web UI."
    )


@contextmanager
def _needing_facexlib() -> Generator[None, None, None]:
    """Turn the import error of a missing or broken package into an `IPAdapterError`."""
    try:
        yield
    except ImportError as error:
        refuse_missing_package()
        raise IPAdapterError(_without_facexlib(f"an import fails ({error})")) from error
