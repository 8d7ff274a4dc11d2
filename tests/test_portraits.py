"""Portraits for PuLID against facexlib's own helper, on a photograph, with made weights."""

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from makers import file_of
from PIL import Image

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.faces import portraits
from lib_ipadapter.faces.face_finder import FaceFinder
from lib_ipadapter.faces.insightface_models import PACKS, Face
from lib_ipadapter.faces.portraits import (
    DETECTOR,
    PARSER,
    PUBLISHED,
    WHITE_LABELS,
    Detection,
    detections,
    grey_on_white,
    nearest,
    portrait_of,
    portrait_paths,
)
from lib_ipadapter.pictures.image_file import ImageFile

pytest.importorskip("facexlib", reason="facexlib is not installed at this end of the versions")
pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed at this end of the versions")

from face_models import draw_faces, write_pack
from portrait_models import (
    authors_portrait,
    helper_of,
    parser,
    photograph,
    stand_in_for_torchvisions_operators,
    write_portrait_models,
)

CPU = torch.device("cpu")
ANTELOPE = PACKS["antelopev2"]

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.fixture(autouse=True)
def _operators(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_torchvisions_operators(monkeypatch)


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every function with which facexlib fetches weights fail."""
    import facexlib.detection
    import facexlib.parsing
    import facexlib.utils.misc

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("facexlib would fetch a file")

    monkeypatch.setattr(facexlib.utils.misc, "download_url_to_file", fail)
    for module in (facexlib.utils.misc, facexlib.detection, facexlib.parsing):
        monkeypatch.setattr(module, "load_file_from_url", fail)
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_portrait_models(tmp_path_factory.mktemp("facexlib"))


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("insightface") / "models"
    write_pack(folder, ANTELOPE)
    return folder


@pytest.fixture
def finder(models: Path, packs: Path) -> FaceFinder:
    return FaceFinder(lambda: [packs], lambda: CPU, lambda: [models])


def middle(picture: Image.Image) -> Face:
    across, down = picture.width / 2, picture.height / 2
    return Face((across - 1, down - 1, across + 1, down + 1), (), 1.0, (0.0,) * 512)


def file_with(picture: Image.Image) -> ImageFile:
    return ImageFile(file_of(picture), "a")


def test_the_portrait_is_the_authors(finder: FaceFinder) -> None:
    picture = photograph()
    helper = helper_of(picture)
    made = finder.portrait("images[0]", picture, middle(picture), 336)
    assert made.shape == (3, 336, 336)
    assert torch.allclose(made, authors_portrait(helper), atol=1e-5)


def test_faces_have_the_boxes_and_points_of_facexlibs_helper(models: Path) -> None:
    picture = photograph()
    helper, found = helper_of(picture), detections(picture, models / DETECTOR, CPU)
    assert len(found) > 1, "the made detector must leave a choice"
    one = nearest(found, (128, 128))
    assert one is not None
    assert one.box == pytest.approx(helper.det_faces[:4].tolist(), abs=1e-2)
    assert np.asarray(one.points) == pytest.approx(helper.all_landmarks_5[0], abs=1e-2)
    assert one.score == pytest.approx(float(helper.det_faces[4]), abs=1e-5)
    assert (np.asarray(one.crop)[:, :, ::-1] == helper.cropped_faces[0]).all()


def test_large_photos_are_reduced_and_found_at_the_same_places(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portraits, "LONG_SIDE", 256)
    large = photograph().resize((512, 512), Image.Resampling.NEAREST)
    monkeypatch.setattr("cv2.INTER_LANCZOS4", 0)  # nearest: so it is reduced to exactly the small one
    small, reduced = (detections(each, models / DETECTOR, CPU) for each in (photograph(), large))
    assert len(small) == len(reduced) > 0
    for one, other in zip(small, reduced, strict=True):
        assert other.box == pytest.approx([2 * edge for edge in one.box])
        assert np.asarray(other.points) == pytest.approx(2 * np.asarray(one.points))
        assert other.score == pytest.approx(one.score)
        assert (np.asarray(other.crop) == np.asarray(one.crop)).all()


def test_white_and_grey_follow_the_labels() -> None:
    """Every label once, as a row of a made label map."""
    levels = torch.rand(3, 19, 4, generator=torch.Generator().manual_seed(0))
    made = grey_on_white(levels, torch.arange(19)[:, None].expand(19, 4))
    for label in range(19):
        red, green, blue = levels[:, label]
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        for channel in made[:, label]:
            assert torch.allclose(channel, torch.ones(4) if label in WHITE_LABELS else grey)
    assert set(WHITE_LABELS) == {0, 16, 18, 7, 8, 9, 14, 15}


def test_the_filter_is_bicubic_without_antialiasing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8))
    monkeypatch.setattr(portraits, "_labels", lambda levels, *_: torch.ones(levels.shape[1:], dtype=torch.long))
    made = portrait_of(noise, tmp_path / "parser", CPU, 336)
    assert made.min() < 0, "it overshoots, and nothing is cut off"
    assert made.max() > 1
    assert torch.equal(made[0], made[1])


def test_the_face_nearest_to_the_persons_is_taken() -> None:
    made = [Detection((x, 0.0, x + 10.0, 10.0), (), 0.99, Image.new("RGB", (1, 1))) for x in (0.0, 50.0, 100.0)]
    assert nearest(made, (58, 5)) is made[1]
    assert nearest([], (0, 0)) is None


def test_a_face_that_insightface_finds_is_the_persons(finder: FaceFinder) -> None:
    picture = draw_faces((320, 320, 200))
    file = file_with(picture)
    assert finder.faces_or_portrait("images[0]", file, ANTELOPE) == finder.faces_of("images[0]", file, ANTELOPE) != ()


def test_where_insightface_finds_none_the_recogniser_sees_facexlibs_crop(finder: FaceFinder, packs: Path) -> None:
    from insightface.model_zoo import get_model

    picture = photograph()
    file = file_with(picture)
    assert finder.faces_of("images[0]", file, ANTELOPE) == ()
    (face,) = finder.faces_or_portrait("images[0]", file, ANTELOPE)
    helper = helper_of(picture)
    recogniser: Any = get_model(str(packs / ANTELOPE.name / ANTELOPE.recogniser), providers=["CPUExecutionProvider"])
    expected = recogniser.get_feat(helper.cropped_faces[0]).flatten()
    assert np.asarray(face.embedding) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert face.box == pytest.approx(helper.det_faces[:4].tolist(), abs=1e-2)
    assert finder.faces_or_portrait("images[0]", file, ANTELOPE) == (face,)


def test_a_photo_in_which_neither_finds_a_face_is_refused(finder: FaceFinder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portraits, "THRESHOLD", 0.9999)
    picture = Image.new("RGB", (64, 64), (90, 110, 100))
    with pytest.raises(UnitError, match="no detectable face") as raised:
        finder.faces_or_portrait("images[2]", file_with(picture), ANTELOPE)
    assert raised.value.field == "images[2]"
    with pytest.raises(UnitError, match="no detectable face"):
        finder.portrait("images[2]", picture, middle(picture), 336)


def test_missing_models_are_named_with_their_place(tmp_path: Path, models: Path) -> None:
    with pytest.raises(IPAdapterError, match=f"{DETECTOR} and {PARSER} are missing from {tmp_path}"):
        portrait_paths([tmp_path])
    (tmp_path / DETECTOR).write_bytes((models / DETECTOR).read_bytes())
    with pytest.raises(IPAdapterError, match=f"but {PARSER} is missing from {tmp_path}"):
        portrait_paths([tmp_path])
    assert portrait_paths([tmp_path, models]) == (tmp_path / DETECTOR, models / PARSER)


def test_models_in_facexlibs_own_folder_are_found(monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    monkeypatch.setattr(portraits, "_package_folder", lambda: [models])
    assert portrait_paths([]) == (models / DETECTOR, models / PARSER)


def test_the_oldest_format_is_opened_only_for_facexlibs_own_files(
    monkeypatch: pytest.MonkeyPatch, models: Path, tmp_path: Path
) -> None:
    """Both are from 2019 and 2020, before torch wrote archives."""
    path = tmp_path / PARSER
    torch.save(parser().state_dict(), path, _use_new_zipfile_serialization=False)
    crop = photograph()
    with pytest.raises(IPAdapterError, match="is not the file that facexlib publishes"):
        portrait_of(crop, path, CPU, 336)
    monkeypatch.setattr(portraits, "PUBLISHED", {**PUBLISHED, PARSER: portraits.sha256(path)})
    assert torch.equal(portrait_of(crop, path, CPU, 336), portrait_of(crop, models / PARSER, CPU, 336))


def test_damaged_models_are_named(tmp_path: Path) -> None:
    tensors = dict(parser().state_dict())
    tensors["conv_out.conv_out.weight"] = torch.zeros(3, 3)
    torch.save(tensors, tmp_path / PARSER)
    with pytest.raises(IPAdapterError, match=r"parsing_bisenet\.pth is incomplete or damaged"):
        portrait_of(photograph(), tmp_path / PARSER, CPU, 336)


def test_both_networks_are_freed(finder: FaceFinder, monkeypatch: pytest.MonkeyPatch) -> None:
    networks, load = [], portraits._loaded

    def remember(*given: Any) -> Any:
        made = load(*given)
        networks.append(weakref.ref(made))
        return made

    monkeypatch.setattr(portraits, "_loaded", remember)
    finder.portrait("images[0]", photograph(), middle(photograph()), 336)
    gc.collect()
    assert [network() for network in networks] == [None, None]
