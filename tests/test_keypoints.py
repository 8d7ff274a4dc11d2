"""The picture of a face's key points: equal to the authors' to the pixel, at the requested place."""

import base64
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import picture, text_of
from PIL import Image
from small_host import SmallHost, ask

cv2 = pytest.importorskip("cv2", reason="opencv is not installed at this end of the versions")

from lib_ipadapter.base.errors import IPAdapterError, UnitError  # noqa: E402
from lib_ipadapter.faces.insightface_models import PACKS, Face  # noqa: E402
from lib_ipadapter.faces.keypoints import Place, draw_keypoints, fitted, placed  # noqa: E402
from lib_ipadapter.web.keypoints import keypoints  # noqa: E402

FACE = Face((80.0, 40.0, 180.0, 190.0), ((105, 100), (160, 95), (130, 125), (112, 155), (155, 152)), 0.9, (1.0,))


def authors_draw_kps(size: tuple[int, int], kps: Any) -> np.ndarray:
    """The published function, in substance line by line.

    Source: InstantX's InstantID, Apache-2.0, `pipeline_stable_diffusion_xl_instantid.draw_kps`.
    """
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)]
    limbs = np.array([[0, 2], [1, 2], [3, 2], [4, 2]])
    kps = np.array(kps)
    w, h = size
    out = np.zeros([h, w, 3])
    for i in range(len(limbs)):
        index = limbs[i]
        x, y = kps[index][:, 0], kps[index][:, 1]
        length = ((x[0] - x[1]) ** 2 + (y[0] - y[1]) ** 2) ** 0.5
        angle = math.degrees(math.atan2(y[0] - y[1], x[0] - x[1]))
        polygon = cv2.ellipse2Poly((int(np.mean(x)), int(np.mean(y))), (int(length / 2), 4), int(angle), 0, 360, 1)
        out = cv2.fillConvexPoly(out.copy(), polygon, colors[index[0]])
    out = (out * 0.6).astype(np.uint8)
    for i, (x, y) in enumerate(kps):
        out = cv2.circle(out.copy(), (int(x), int(y)), 10, colors[i], -1)
    return out.astype(np.uint8)


@pytest.mark.parametrize("seed", range(40))
def test_equal_to_the_authors_to_the_pixel(seed: int) -> None:
    """Also if points coincide, or lie on the edge or outside."""
    chance = np.random.default_rng(seed)
    size = tuple(int(side) for side in chance.integers(64, 500, 2))
    points = (chance.uniform(-0.2, 1.2, (5, 2)) * size).astype(np.float32)
    if seed % 5 == 0:
        points[1] = points[0]
    made = np.asarray(draw_keypoints([tuple(point) for point in points.tolist()], size[::-1]))
    assert np.array_equal(made, authors_draw_kps(size, points))
    assert made.any()


def centre_and_height(points: Any, face: Face = FACE) -> tuple[float, float, float]:
    """Return centre and height of the face's box for these points, a scaled and moved copy of the face's."""
    (x0, y0), (x1, y1) = points[0], points[4]
    scale = (x1 - x0) / (face.points[4][0] - face.points[0][0])
    assert (y1 - y0) / (face.points[4][1] - face.points[0][1]) == pytest.approx(scale), "the face was distorted"
    left, upper = x0 - face.points[0][0] * scale, y0 - face.points[0][1] * scale
    box = [edge * scale for edge in face.box]
    return left + (box[0] + box[2]) / 2, upper + (box[1] + box[3]) / 2, box[3] - box[1]


@pytest.mark.parametrize("place", [(0.5, 0.5, 0.5), (0.25, 0.4, 0.3), (1.0, 0.0, 1.5)])
def test_a_face_is_drawn_at_the_requested_place(place: tuple[float, float, float]) -> None:
    x, y, height = centre_and_height(placed(FACE, Place(*place), (768, 1024)))
    assert (x / 1024, y / 768, height / 768) == pytest.approx(place)


def test_a_photo_of_the_same_size_keeps_its_points_and_another_is_fitted() -> None:
    assert fitted(FACE, (200, 300), (200, 300)) == list(FACE.points)
    for size in ((600, 400), (600, 1000), (900, 400)):
        scale = min(size[0] / 300, size[1] / 200)
        x, y, height = centre_and_height(fitted(FACE, (200, 300), size[::-1]))
        assert height == pytest.approx(150 * scale)
        # the photo's centre is the picture's
        assert x - size[0] / 2 == pytest.approx((130 - 150) * scale)
        assert y - size[1] / 2 == pytest.approx((115 - 100) * scale)


# Requests


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed here")
    from face_models import write_pack

    folder = tmp_path_factory.mktemp("keypoints")
    write_pack(folder / "faces", PACKS["antelopev2"])
    return folder


@pytest.fixture
def session(folder: Path) -> Any:
    from lib_ipadapter.engine.session import Session

    return Session(SmallHost(folder, None))  # pyright: ignore[reportArgumentType]


def faces_at(*places: tuple[float, float, float]) -> Image.Image:
    from face_models import draw_faces

    return draw_faces(*places)


TWO = ((150, 200, 128), (450, 400, 160))


def opened(answer: dict[str, Any]) -> np.ndarray:
    header, content = answer["image"].split(",")
    assert header == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))


def test_the_points_come_from_the_chosen_face_of_a_photo(session, folder) -> None:
    from face_models import find_faces

    from lib_ipadapter.faces.insightface_models import model_paths

    photo = faces_at(*TWO)
    found = find_faces(photo, *model_paths(PACKS["antelopev2"], [folder / "faces"]))
    for which, face in ((None, found[0]), ("left", found[1]), (1, found[1]), ("right", found[0])):
        asked = {"image": text_of(photo), "width": 640, "height": 640} | ({} if which is None else {"face": which})
        answer = keypoints(session, asked)
        assert answer["faces"] == 2
        expected = authors_draw_kps((640, 640), np.asarray(face.points, np.float32))
        assert np.array_equal(opened(answer), expected)


def test_a_place_moves_the_points(session) -> None:
    asked = {"image": text_of(faces_at((320, 320, 256))), "width": 400, "height": 600}
    made = opened(keypoints(session, asked | {"place": [0.25, 0.75, 0.2]}))
    assert made.shape == (600, 400, 3)
    rows, columns = made.any(axis=2).nonzero()
    assert 60 < columns.min() < columns.max() < 140
    assert 390 < rows.min() < rows.max() < 510


WRONG: dict[str, tuple[Any, str]] = {
    "no object": ([], "must be an object"),
    "no picture": ({"width": 64, "height": 64}, "image is empty"),
    "a path": ({"image": "/etc/passwd", "width": 64, "height": 64}, "files are not read by path"),
    "no width": ({"image": "", "height": 64}, "width must be a number from 64 to 4096"),
    "a huge picture": ({"image": "", "width": 64, "height": 99999}, "height must be a number from 64 to 4096"),
    "all faces": ({"image": "", "width": 64, "height": 64, "face": "all"}, "face must be one of largest, left"),
    "half a place": ({"image": "", "width": 64, "height": 64, "place": [0.5, 0.5]}, "place must be three numbers"),
    "outside": ({"image": "", "width": 64, "height": 64, "place": [2, 0.5, 0.5]}, "place[0] must be a number"),
    "too small": ({"image": "", "width": 64, "height": 64, "place": [0, 0, 0]}, "place[2] must be a number from 0.02"),
    "unknown": ({"size": 3}, "size is an unknown field"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_drawn_is_refused_with_a_reason(session, case: str) -> None:
    asked, words = WRONG[case]
    with pytest.raises(UnitError) as refused:
        keypoints(session, asked)
    assert words in str(refused.value)


def test_a_photo_without_a_face_is_refused_with_a_reason(session) -> None:
    asked = {"image": text_of(picture(200, 200)), "width": 640, "height": 640}
    with pytest.raises(UnitError, match="image has no detectable face"):
        keypoints(session, asked)
    with pytest.raises(UnitError, match="face is 3, but 2 faces were found in image"):
        keypoints(session, asked | {"image": text_of(faces_at(*TWO)), "face": 3})


def test_missing_models_are_refused_with_a_reason(tmp_path) -> None:
    from lib_ipadapter.engine.session import Session

    session = Session(SmallHost(tmp_path, None))  # pyright: ignore[reportArgumentType]
    asked = {"image": text_of(picture()), "width": 640, "height": 640}
    with pytest.raises(IPAdapterError, match=r"antelopev2, but scrfd_10g_bnkps.onnx and glintr100.onnx are missing"):
        keypoints(session, asked)


def test_a_program_uses_the_route(session) -> None:
    fastapi = pytest.importorskip("fastapi")
    testing = pytest.importorskip("fastapi.testclient")
    from lib_ipadapter.web.routes import add_routes

    app = fastapi.FastAPI()
    add_routes(app, lambda: session, [])
    client = testing.TestClient(app)
    asked = {"image": text_of(faces_at(*TWO)), "width": 640, "height": 640, "face": "left"}
    answer = client.post("/ipadapter/keypoints", json=asked)
    assert answer.status_code == 200
    assert answer.json() == keypoints(session, asked)
    assert client.post("/ipadapter/keypoints", json=asked | {"face": "all"}).status_code == 422


def test_the_panels_request_gives_the_same_answer(session) -> None:
    asked = {"image": text_of(faces_at(*TWO)), "width": 640, "height": 640, "face": "left"}
    answer = ask(session, "keypoints", **asked)
    assert {name: answer[name] for name in ("image", "faces")} == keypoints(session, asked)
    assert "place must be three numbers" in ask(session, "keypoints", **asked, place=[1])["message"]
