"""Reference check, face preview and likeness report in a real web UI."""

import base64
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from makers import text_of
from PIL import Image, ImageDraw

pytest.importorskip("onnx", reason="face models are made with onnx, which is not installed at this end of the versions")

from face_models import draw_faces, write_pack

from host.webui import NO_INSIGHTFACE, Files, Made, RefusedError, WebUI
from lib_ipadapter.faces.insightface_models import PACKS
from lib_ipadapter.review.likeness_log import LIKENESS

ANNA, BERT = draw_faces((160, 160, 128), size=(320, 320), seed=1), draw_faces((160, 160, 128), size=(320, 320), seed=2)
SMALL: dict[str, Any] = {"width": 128, "height": 128, "steps": 1}
LIKENESS_ON = {"settings": {"ipadapter_likeness": True}}


@pytest.fixture(scope="module")
def checkpoint(webui: WebUI, files: Files) -> Path:
    """The smallest checkpoint of SD's layout, with face models and adapters that fit it."""
    path = webui.use_smallest()
    write_pack(files.folder / "insightface" / "models", PACKS["buffalo_l"])
    files.faceid(path, "faceid", "host-faceid", lora=True)
    files.faceid(path, "faceid-plus", "host-faceid-plusv2", lora=True)
    webui.call("/ipadapter/rescan", {})
    return path


@pytest.fixture(scope="module", autouse=True)
def needs_insightface(webui: WebUI, checkpoint: Path) -> None:
    if not webui.has_insightface():
        pytest.skip(NO_INSIGHTFACE)


@pytest.fixture
def log(webui: WebUI) -> Iterator[Path]:
    """The folder of the reports' files; it is restored afterwards."""
    folder = webui.folder / "log" / "ipadapter-likeness"
    there = set(folder.iterdir()) if folder.is_dir() else None
    yield folder
    for path in set(folder.iterdir()) - (there or set()) if folder.is_dir() else set():
        path.unlink()
    if there is None and folder.is_dir():
        folder.rmdir()


def unit(*images: Image.Image, model: str = "host-faceid", **more: Any) -> dict[str, Any]:
    return {"model": model, "images": [text_of(each) for each in images], **more}


def around(webui: WebUI, face: Image.Image, *units: dict[str, Any], **more: Any) -> Made:
    """Return the picture after the web UI has inpainted a corner, so that the face stays."""
    corner = Image.new("L", face.size, 0)
    ImageDraw.Draw(corner).rectangle((280, 280, 319, 319), fill=255)
    order = {"init_images": [text_of(face)], "mask": text_of(corner), "denoising_strength": 0.3, "mask_blur": 0}
    order |= {"width": face.width, "height": face.height, "steps": 2, "inpainting_fill": 1}
    return webui.generate(*units, mode="img2img", **order, **more)


def test_faces_are_found_and_numbered(webui: WebUI) -> None:
    two = draw_faces((150, 200, 128), (450, 400, 160))
    answer = webui.call("/ipadapter/faces", {"image": text_of(two), "model": "host-faceid-plusv2"})
    assert [face["number"] for face in answer["faces"]] == [0, 1]
    assert answer["faces"][0]["box"][0] > answer["faces"][1]["box"][2]
    with pytest.raises(RefusedError) as refused:
        webui.call("/ipadapter/faces", {"image": "/etc/passwd"})
    assert refused.value.status == 422
    assert refused.value.body["body"]["field"] == "image"


def test_references_are_checked(webui: WebUI) -> None:
    answer = webui.call("/ipadapter/check", {"unit": unit(ANNA, BERT, model="host-faceid-plusv2")})
    assert [reference["faces"] for reference in answer["references"]] == [1, 1]
    assert answer["agreement"][0][1] == answer["agreement"][1][0] < 1
    assert [len(reference["seen"]) for reference in answer["references"]] == [2, 2]
    with pytest.raises(RefusedError) as refused:
        webui.call("/ipadapter/check", {"unit": unit()})
    assert refused.value.body["body"]["field"] == "images"


def test_a_real_photograph_is_measured(webui: WebUI, files: Files, checkpoint: Path) -> None:
    photo = webui.folder / "test" / "test_files" / "two-faces.jpg"
    if not photo.exists():
        pytest.skip("this web UI comes without the photograph")
    image = base64.b64encode(photo.read_bytes()).decode()
    adapter = files.adapter(checkpoint, "plus")
    webui.call("/ipadapter/rescan", {})
    reference, blind = (
        webui.call("/ipadapter/check", {"unit": {"model": model, "images": [image]}})["references"][0]
        for model in (adapter, "host-faceid")
    )
    with Image.open(photo) as opened:
        assert (reference["width"], reference["height"]) == opened.size
    assert reference["sharpness"] > 0.4
    assert 0.1 < reference["contrast"] < 0.4
    assert reference["lost"] == pytest.approx(1 - 200 / 256, abs=0.01)
    assert blind["compression"] == 93, "seen at 224 pixels, for the made face models find no face in it"
    assert blind["faces"] == 0


def test_the_likeness_of_a_kept_face_is_reported(webui: WebUI, log: Path) -> None:
    made = around(webui, ANNA, unit(ANNA), **LIKENESS_ON)
    assert "IP-Adapter 1 likeness: 1.00" in made.info["infotexts"][0]
    other = around(webui, BERT, unit(ANNA), unit(BERT, model="host-faceid-plusv2"), **LIKENESS_ON)
    assert "IP-Adapter 2 likeness: 1.00" in other.info["infotexts"][0]
    assert "IP-Adapter 1 likeness: 1.00" not in other.info["infotexts"][0]
    assert not log.exists()


def test_each_picture_of_several_batches_has_its_own_report(webui: WebUI) -> None:
    made = webui.generate(unit(ANNA), batch_size=2, n_iter=2, **SMALL, **LIKENESS_ON)
    texts = made.info["infotexts"][-4:]
    assert all("IP-Adapter 1 likeness: no face" in text for text in texts)


@pytest.mark.parametrize("kind", ["CSV", "JSON"])
def test_a_run_writes_a_file_if_the_setting_asks_for_it(webui: WebUI, log: Path, kind: str) -> None:
    settings = {"ipadapter_likeness": True, "ipadapter_likeness_log": kind}
    made = around(webui, ANNA, unit(ANNA), settings=settings)
    (path,) = log.iterdir()
    text = path.read_text(encoding="utf-8")
    (row,) = list(csv.DictReader(text.splitlines())) if kind == "CSV" else json.loads(text)["faces"]
    assert int(row["seed"]) == made.info["seed"]
    assert float(row[LIKENESS]) > 0.99
    assert row["adapter"] == "host-faceid.bin"


def test_without_the_setting_nothing_is_reported(webui: WebUI, log: Path) -> None:
    webui.generate(**SMALL)
    before = webui.hooks()
    plain, reported = (webui.generate(unit(ANNA), **SMALL, **settings) for settings in ({}, LIKENESS_ON))
    assert "likeness" not in str(plain.info)
    assert "likeness" in str(reported.info)
    assert reported - plain == 0, "the report changed the picture"
    assert "likeness" not in str(webui.generate(unit(ANNA), **SMALL).info)
    assert "likeness" not in str(webui.generate(**SMALL, **LIKENESS_ON).info)
    assert not log.exists()
    assert webui.hooks() == before


def test_the_report_is_not_part_of_the_pasted_parameters(webui: WebUI) -> None:
    made = webui.generate(unit(ANNA), **SMALL, **LIKENESS_ON)
    again = webui.generate(unit(ANNA), infotext=made.info["infotexts"][0], **SMALL)
    assert "likeness" in made.info["infotexts"][0]
    assert "likeness" not in str(again.info)
