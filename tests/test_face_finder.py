"""Faces in pictures, found by the real insightface and onnxruntime with generated models."""

import io
import shutil
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from makers import file_of
from PIL import Image

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.faces import face_finder, insightface_models
from lib_ipadapter.faces.face_finder import FaceFinder, choose
from lib_ipadapter.faces.insightface_models import CPU, CUDA, PACKS, Face, FaceModels, align, model_paths
from lib_ipadapter.pictures.image_file import ImageFile

pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed at this end of the versions")

from face_models import draw_faces, find_faces, write_pack
from labels import labels

BUFFALO, ANTELOPE = PACKS["buffalo_l"], PACKS["antelopev2"]

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface's own, of scikit-image


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("insightface") / "models"
    write_pack(folder, BUFFALO)
    return folder


def found_in(picture: Image.Image, models: Path) -> tuple[Face, ...]:
    return find_faces(picture, *model_paths(BUFFALO, [models]))


def finder_in(folder: Path, device: str = "cpu") -> FaceFinder:
    return FaceFinder(lambda: [folder], lambda: torch.device(device))


def file_with(picture: Image.Image, digest: str = "a") -> ImageFile:
    return ImageFile(file_of(picture), digest)


def pixels_of(picture: Image.Image) -> np.ndarray:
    """Return a picture as OpenCV reads it from a file: in BGR order."""
    import cv2

    return cv2.imdecode(np.frombuffer(file_of(picture), np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def theirs(models: Path):
    """insightface's own analysis, as its tutorial and IP-Adapter's authors use it."""
    from insightface.app import FaceAnalysis

    analysis = FaceAnalysis("buffalo_l", str(models.parent), providers=["CPUExecutionProvider"])
    analysis.prepare(ctx_id=-1, det_size=(640, 640))
    return analysis


def test_faces_equal_those_of_insightfaces_own_analysis(models: Path, theirs) -> None:
    picture = draw_faces((180, 200, 120), (450, 330, 230), size=(700, 560))
    ours, expected = found_in(picture, models), theirs.get(pixels_of(picture))
    assert len(ours) == len(expected) == 2
    expected = sorted(expected, key=lambda face: face.bbox[0] - face.bbox[2])
    for face, other in zip(ours, expected, strict=True):
        assert face.box == pytest.approx(other.bbox.tolist(), abs=1e-3)
        assert np.asarray(face.points) == pytest.approx(other.kps, abs=1e-3)
        assert face.score == pytest.approx(float(other.det_score), abs=1e-6)
        ours_vector = np.asarray(face.embedding)
        cosine = ours_vector @ other.embedding / np.linalg.norm(ours_vector) / np.linalg.norm(other.embedding)
        assert cosine == pytest.approx(1, abs=1e-6)
        assert ours_vector == pytest.approx(other.embedding, rel=1e-4, abs=1e-4)


def test_the_embedding_is_computed_from_bgr_as_in_insightface(models: Path, theirs) -> None:
    """A face with red and blue swapped is another face; the one with the file's colours must be found."""
    picture = draw_faces((320, 320, 256))
    swapped = Image.fromarray(np.asarray(picture)[:, :, ::-1])
    expected = theirs.get(pixels_of(picture))[0].embedding
    assert np.asarray(found_in(picture, models)[0].embedding) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert not np.allclose(found_in(swapped, models)[0].embedding, expected, rtol=1e-2)


@pytest.mark.parametrize("size", [112, 224, 256])
def test_the_aligned_crop_is_insightfaces_own(models: Path, size: int) -> None:
    from insightface.utils.face_align import norm_crop

    picture = draw_faces((250, 300, 230), size=(600, 640))
    face = found_in(picture, models)[0]
    expected = norm_crop(pixels_of(picture), np.asarray(face.points, np.float32), size)[:, :, ::-1]
    made = np.asarray(align(picture, face, size))
    assert made.shape == (size, size, 3)
    assert (made == expected).all()


GOLDEN = {
    112: ((0.39982, -0.01488, -58.29315), (0.01488, 0.39982, -55.74905)),
    224: ((0.79964, -0.02976, -116.58631), (0.02976, 0.79964, -111.49809)),
    256: ((0.79964, -0.02976, -100.58631), (0.02976, 0.79964, -111.49809)),
}
"""From five points to a crop: the similarity transform of arcface's template (Umeyama 1991), computed separately."""


@pytest.mark.parametrize("size", GOLDEN)
def test_the_aligned_crop_follows_the_transform(size: int) -> None:
    points = ((250.0, 260.0), (340.0, 255.0), (300.0, 310.0), (262.0, 360.0), (335.0, 356.0))
    face = Face((200, 200, 400, 400), points, 0.9, (0.0,) * 512)
    across, down = np.meshgrid(np.arange(512), np.arange(512))
    levels = np.stack([across / 2, down / 2, np.zeros_like(across)], axis=-1).astype(np.uint8)
    made = np.asarray(align(Image.fromarray(levels), face, size)).astype(float) * 2
    there = np.linalg.inv(np.array([*GOLDEN[size], (0, 0, 1)]))
    for x, y in ((size // 2, size // 2), (size // 3, size // 4), (size // 2, size * 3 // 4)):
        expected = there @ (x, y, 1)
        assert made[y, x, :2] == pytest.approx(expected[:2], abs=2.5)


@pytest.mark.parametrize(
    ("place", "size"),
    [
        ((320, 320, 256), (640, 640)),
        ((300, 320, 560), (640, 640)),
        ((256, 256, 470), (512, 512)),
        ((256, 256, 620), (512, 512)),
        ((400, 300, 60), (640, 480)),
        ((1000, 700, 420), (2000, 1500)),
    ],
    ids=["640", "smaller than 640", "256", "only with a margin", "small", "large picture"],
)
def test_a_face_is_found_at_any_size_and_place(models: Path, place: tuple, size: tuple) -> None:
    (face,) = found_in(draw_faces(place, size=size), models)
    x, y, width = place
    assert face.centre == pytest.approx((x, y), abs=0.03 * width)
    assert face.points[2] == pytest.approx((x, y), abs=0.03 * width)


def test_faces_are_ordered_by_size_not_by_the_detectors_score(models: Path) -> None:
    found = found_in(draw_faces((120, 120, 64), (420, 380, 176)), models)
    assert found[0].area > found[1].area
    assert found[0].score < found[1].score


PLACES = {"largest": 0, "left": 1, "right": 2, "top": 3, "bottom": 1, "all": None}


def face_at(left: float, upper: float, side: float) -> Face:
    return Face((left, upper, left + side, upper + side), ((0.0, 0.0),) * 5, 0.9, (0.0,) * 512)


FOUR = (face_at(200, 200, 100), face_at(10, 400, 90), face_at(500, 210, 80), face_at(300, 5, 70))


@pytest.mark.parametrize("which", PLACES)
def test_a_face_is_chosen_by_its_place(which: str) -> None:
    index = PLACES[which]
    assert list(choose("images[0]", FOUR, which)) == list(FOUR if index is None else [FOUR[index]])


def test_a_face_is_chosen_by_its_index_in_order_of_size() -> None:
    assert [list(choose("images[0]", FOUR, i)) for i in range(4)] == [[face] for face in FOUR]
    with pytest.raises(UnitError, match=r"face is 4, but 4 faces were found in images\[0\]") as refused:
        choose("images[0]", FOUR, 4)
    assert (refused.value.field, refused.value.value) == ("face", 4)


def test_a_picture_without_a_face_is_named_in_the_refusal(models: Path) -> None:
    finder = finder_in(models)
    with pytest.raises(UnitError, match="has no detectable face") as refused:
        finder.required_faces_of("images[1]", file_with(draw_faces()), BUFFALO)
    assert refused.value.field == "images[1]"


class Counted:
    """Counts the loaded models and the pictures that they get."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loaded: list[Any] = []
        self.seen = 0
        self.alive: weakref.WeakSet[FaceModels] = weakref.WeakSet()
        counted = self

        class Counting(FaceModels):
            on_cuda = False

            def __init__(self, detector: Path, recogniser: Path, providers: Any) -> None:
                super().__init__(detector, recogniser)
                counted.loaded.append(providers)
                counted.alive.add(self)

            def find(self, picture: Image.Image) -> tuple[Face, ...]:
                counted.seen += 1
                return super().find(picture)

        monkeypatch.setattr(face_finder, "FaceModels", Counting)
        self.models = Counting


def test_found_faces_are_cached_until_the_models_change(models: Path, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    counted = Counted(monkeypatch)
    finder, file = finder_in(folder), file_with(draw_faces((320, 320, 200)))
    first = finder.required_faces_of("images[0]", file, BUFFALO)
    assert finder.required_faces_of("images[3]", file, BUFFALO) == first
    assert counted.seen == 1
    finder.required_faces_of("images[0]", file_with(draw_faces((300, 300, 200)), "b"), BUFFALO)
    assert counted.seen == 2
    write_pack(folder, BUFFALO, seed=1)
    assert finder.required_faces_of("images[0]", file, BUFFALO) != first
    write_pack(folder, ANTELOPE, seed=2)
    other = finder.required_faces_of("images[0]", file, ANTELOPE)
    assert other[0].embedding != finder.required_faces_of("images[0]", file, BUFFALO)[0].embedding


def test_models_are_loaded_once_for_many_pictures_and_threads(models: Path, monkeypatch) -> None:
    counted, finder = Counted(monkeypatch), finder_in(models)
    files = [file_with(draw_faces((320, 320, 200 - i)), str(i)) for i in range(6)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda file: finder.faces_of("images[0]", file, BUFFALO), files))
    finder.faces_in(draw_faces((300, 300, 200)), BUFFALO)
    assert all(found)
    assert (len(counted.loaded), counted.seen) == (1, 7)


def test_idle_models_leave_memory_and_come_back(models: Path, monkeypatch) -> None:
    monkeypatch.setattr(face_finder, "IDLE_SECONDS", 0.05)
    counted, finder = Counted(monkeypatch), finder_in(models)
    picture = draw_faces((320, 320, 200))
    first = finder.faces_in(picture, BUFFALO)
    for _ in range(100):
        if not counted.alive:
            break
        time.sleep(0.05)
    assert not counted.alive
    assert finder.faces_in(picture, BUFFALO) == first
    assert len(counted.loaded) == 2


def test_no_face_is_cached_too_and_counts_towards_the_limit(models: Path, monkeypatch) -> None:
    monkeypatch.setattr(face_finder, "FACES_LIMIT", 2)
    counted, finder = Counted(monkeypatch), finder_in(models)
    files = [file_with(Image.new("RGB", (64, 64), (i, i, i)), str(i)) for i in range(3)]
    for file in (*files, files[2], files[1]):
        assert finder.faces_of("images[0]", file, BUFFALO) == ()
    assert counted.seen == 3
    finder.faces_of("images[0]", files[0], BUFFALO)
    assert counted.seen == 4, "the oldest has left"


def test_models_run_on_the_encoders_device(models: Path, monkeypatch, caplog) -> None:
    counted = Counted(monkeypatch)
    monkeypatch.setattr(counted.models, "on_cuda", True)
    monkeypatch.setattr(face_finder, "offers_cuda", lambda: True)
    for device, expected in (("cpu", CPU), ("mps", CPU), ("cuda:1", CUDA)):
        finder_in(models, device).faces_in(draw_faces((320, 320, 200)), BUFFALO)
        first = counted.loaded.pop()[0]
        assert (first if isinstance(first, str) else first[0]) == expected
    assert first[1]["device_id"] == 1
    assert caplog.text == ""


@pytest.mark.parametrize("why", ["has no CUDA support", "could not start CUDA", "failed on the GPU"])
def test_without_cuda_the_cpu_is_used_and_logged_once(models: Path, monkeypatch, caplog, why: str) -> None:
    counted, fails = Counted(monkeypatch), why == "failed on the GPU"
    monkeypatch.setattr(face_finder, "offers_cuda", lambda: why != "has no CUDA support")
    monkeypatch.setattr(
        counted.models, "on_cuda", property(lambda self: fails and (not everything or self is everything[0]))
    )
    everything: list[Any] = []
    find = counted.models.find

    def failing(self: Any, picture: Image.Image) -> tuple[Face, ...]:
        everything.append(self)
        if fails and len(everything) == 1:
            raise RuntimeError("out of memory")
        return find(self, picture)

    monkeypatch.setattr(counted.models, "find", failing)
    finder = finder_in(models, "cuda")
    assert finder.warnings == ()
    for i in range(3):
        assert finder.faces_in(draw_faces((320, 320, 200 + i)), BUFFALO)
    (warning,) = finder.warnings
    assert warning.startswith("The face models ran on the CPU: ")
    assert why in warning
    assert len(caplog.records) == 1
    assert "face models run on the CPU" in caplog.text
    assert why in caplog.text


def test_an_error_on_the_cpu_is_not_hidden(models: Path, monkeypatch) -> None:
    counted, finder = Counted(monkeypatch), finder_in(models)

    def failing(_self: Any, _picture: Image.Image) -> tuple[Face, ...]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(counted.models, "find", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        finder.faces_in(draw_faces((320, 320, 200)), BUFFALO)


@pytest.mark.parametrize("pack", PACKS.values(), ids=list(PACKS))
def test_models_are_found_in_any_folder_and_in_a_doubled_one(pack, tmp_path: Path) -> None:
    first, second = tmp_path / "nowhere", tmp_path / "annotator" / "insightface" / "models"
    write_pack(second, pack)
    place = second / pack.name
    assert model_paths(pack, [first, second]) == (place / pack.detector, place / pack.recogniser)
    shutil.move(place, second / "unzipped")
    shutil.move(second / "unzipped", place / pack.name)
    doubled = place / pack.name
    assert model_paths(pack, [first, second]) == (doubled / pack.detector, doubled / pack.recogniser)


@pytest.mark.parametrize("pack", PACKS.values(), ids=list(PACKS))
@pytest.mark.parametrize("name", ["detector", "recogniser"])
def test_one_missing_model_is_named_with_its_folder(pack, name: str, tmp_path: Path) -> None:
    place = write_pack(tmp_path / "second", pack)
    missing = getattr(pack, name)
    (place / missing).unlink()
    with pytest.raises(IPAdapterError) as refused:
        model_paths(pack, [tmp_path / "first", tmp_path / "second"])
    assert f"but {missing} is missing from {place}." in str(refused.value)
    assert f"{pack.name}.zip" in str(refused.value)


def test_a_missing_pack_is_named_with_the_first_folder(tmp_path: Path) -> None:
    with pytest.raises(IPAdapterError) as refused:
        model_paths(BUFFALO, [tmp_path / "first", tmp_path / "second"])
    where = tmp_path / "first" / "buffalo_l"
    sentence = str(refused.value)
    assert f"det_10g.onnx and w600k_r50.onnx are missing from {where}. Put them there" in sentence
    assert "insightface publishes them in buffalo_l.zip" in sentence


DAMAGES = {
    "empty": lambda content: b"",
    "a web page": lambda content: b"<html>not found</html>",
    "cut short": lambda content: content[: len(content) // 2],
    "no protobuf": lambda content: b"\xff" * 100,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["detector", "recogniser"])
def test_a_damaged_model_is_refused_with_a_reason(models: Path, name: str, damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    path = folder / "buffalo_l" / getattr(BUFFALO, name)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(IPAdapterError) as refused:
        found_in(draw_faces((320, 320, 200)), folder)
    assert str(path) in str(refused.value)
    assert "Download it again." in str(refused.value)


def test_a_model_for_another_task_is_refused_with_a_reason(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    place = folder / "buffalo_l"
    shutil.copy(place / BUFFALO.recogniser, place / BUFFALO.detector)
    with pytest.raises(IPAdapterError, match=r"is a model for recognition, but one for detection is expected"):
        found_in(draw_faces((320, 320, 200)), folder)


@pytest.mark.parametrize("package", ["insightface", "onnx", "onnxruntime"])
def test_a_missing_package_is_refused_with_a_reason(models: Path, package: str, monkeypatch) -> None:
    import importlib.machinery

    class Missing(importlib.machinery.PathFinder):
        @classmethod
        def find_spec(cls, name, path=None, target=None):
            if name.split(".")[0] == package:
                return None
            return super().find_spec(name, path, target)

    for name in [name for name in sys.modules if name.split(".")[0] in ("insightface", "onnx", "onnxruntime")]:
        monkeypatch.delitem(sys.modules, name)
    finders = [finder for finder in sys.meta_path if finder is not importlib.machinery.PathFinder]
    monkeypatch.setattr(sys, "meta_path", [*finders, Missing])
    with pytest.raises(IPAdapterError) as refused:
        found_in(draw_faces((320, 320, 200)), models)
    assert f"but {package} cannot be found." in str(refused.value)
    assert insightface_models.INSTALL_SETTING in str(refused.value)
    assert any(label.startswith(insightface_models.INSTALL_SETTING) for label in labels())


def test_the_finder_gets_an_upright_picture_on_a_neutral_background(models: Path) -> None:
    """A finder gets the same picture as the encoders: a photo with an EXIF rotation is turned upright first."""
    finder = finder_in(models)
    kept = io.BytesIO()
    turned = draw_faces((200, 450, 150)).transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[0x0112] = 6  # to be shown turned clockwise by 90 degrees
    turned.save(kept, "PNG", exif=exif)
    (face,) = finder.required_faces_of("images[0]", ImageFile(kept.getvalue(), "turned"), BUFFALO)
    assert face.centre == pytest.approx((200, 450), abs=10)
