"""The likeness report: what it says about generated pictures, and that it leaves no trace if it is off."""

import copy
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from makers import adapter_tensors, lora_tensors, picture, save, text_of
from PIL import Image, ImageDraw, ImageFilter
from small_host import SmallHost, save_tower

from lib_ipadapter.engine.generation_units import UNITS
from lib_ipadapter.engine.session import Session
from lib_ipadapter.networks.unet_sites import SD
from lib_ipadapter.port import GeneratedPicture, ReportSettings
from lib_ipadapter.review.likeness_log import COLUMNS, LIKENESS, rows_of
from lib_ipadapter.review.likeness_report import RUN, TITLE, LikenessReport
from lib_ipadapter.unit.infotext import without_units
from lib_ipadapter.unit.restore import restored_units
from lib_ipadapter.web.panel_requests import panel_answer

pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed at this end of the versions")

from face_models import draw_faces, find_faces, write_pack

from lib_ipadapter.faces.insightface_models import PACKS, model_paths
from lib_ipadapter.review.likeness import cosines

SIZE: dict[str, Any] = {"widths": (32, 64, 128), "context_dim": 24}
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface's own, of scikit-image

ANNA, BERT = draw_faces((320, 320, 256), seed=1), draw_faces((320, 320, 256), seed=2)


class P:
    """The minimum of a web UI's record of a generation."""

    def __init__(self) -> None:
        self.extra_generation_params: dict[str, Any] = {f"IP-Adapter {number}": "Adapter: a" for number in (1, 2)}

    @property
    def results(self) -> dict[str, Any]:
        return {key: value for key, value in self.extra_generation_params.items() if key.endswith("likeness")}


class Reporter:
    """A host that shows reports."""

    def __init__(self, folder: Path) -> None:
        self.wanted = ReportSettings(True, "none", folder / "log")
        self.now = GeneratedPicture(0, 0, 1, 7)
        self.comments: list[str] = []

    def report_settings(self, p: Any) -> ReportSettings:
        return self.wanted

    def generated_picture(self, p: Any) -> GeneratedPicture:
        return self.now

    def comment(self, p: Any, text: str) -> None:
        self.comments.append(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("likeness")
    for pack, seed in (("buffalo_l", 0), ("antelopev2", 1)):
        write_pack(folder / "faces", PACKS[pack], seed)
    save_tower(folder / "tower.safetensors")
    faceid = adapter_tensors("faceid", SD, **SIZE)
    save(faceid | lora_tensors(SD, SIZE["widths"], 24), folder / "faceid.bin")
    save(adapter_tensors("face-resampler", SD, tokens=16, **SIZE), folder / "instantid.safetensors")
    save(adapter_tensors("base", SD, width=40, **SIZE), folder / "base.safetensors")
    return folder


@pytest.fixture(scope="module")
def session(folder: Path) -> Session:
    return Session(SmallHost(folder, torch.nn.Module()))


@pytest.fixture
def report(session: Session, tmp_path: Path) -> LikenessReport:
    return LikenessReport(Reporter(tmp_path), session.preparation)


def unit(*images: Any, model: str = "faceid", **more: Any) -> dict[str, Any]:
    return {"model": model, "images": [text_of(each) for each in images], **more}


FIRST = GeneratedPicture(0, 0, 1, 7)
"""The only picture of its batch."""


def compare(
    report: LikenessReport,
    p: P,
    made: Image.Image,
    *units: dict[str, Any],
    at: GeneratedPicture = FIRST,
) -> None:
    report.host.now = at
    report.after_picture(p, made, iter(units))  # a plot's cell is read this way


def own(folder: Path, first: Image.Image, second: Image.Image, pack: str = "buffalo_l") -> list[list[float]]:
    """Return insightface's cosines between the faces of two pictures, the largest first."""
    from insightface.model_zoo.arcface_onnx import ArcFaceONNX

    one, other = (find_faces(each, *model_paths(PACKS[pack], [folder / "faces"])) for each in (first, second))
    return [
        [float(ArcFaceONNX.compute_sim(None, np.array(a.embedding), np.array(b.embedding))) for b in other] for a in one
    ]


def side_by_side(*pictures: Image.Image) -> Image.Image:
    whole = Image.new("RGB", (640 * len(pictures), 640))
    for i, each in enumerate(pictures):
        whole.paste(each, (640 * i, 0))
    return whole


def half(side: int) -> str:
    """Return a mask that is white in one half: 0 is the left, 1 the right."""
    mask = Image.new("L", (64, 64), 0)
    ImageDraw.Draw(mask).rectangle((32 * side, 0, 32 * side + 31, 63), fill=255)
    return text_of(mask)


def test_the_likeness_equals_insightfaces_cosine(report: LikenessReport, folder: Path) -> None:
    blurred = ANNA.filter(ImageFilter.GaussianBlur(2))
    for made in (ANNA, blurred, BERT):
        p = P()
        compare(report, p, made, unit(ANNA))
        (expected,) = own(folder, made, ANNA)[0]
        assert p.results == {"IP-Adapter 1 likeness": [f"{expected:.2f}"]}
    assert p.results != {"IP-Adapter 1 likeness": ["1.00"]}


def test_each_family_is_compared_by_its_own_face_models(report: LikenessReport, folder: Path) -> None:
    p = P()
    compare(report, p, BERT, unit(ANNA), unit(ANNA, model="instantid"))
    expected = [f"{own(folder, BERT, ANNA, pack)[0][0]:.2f}" for pack in ("buffalo_l", "antelopev2")]
    assert [p.extra_generation_params[f"IP-Adapter {n} likeness"] for n in (1, 2)] == [[each] for each in expected]
    assert expected[0] != expected[1]


def test_faces_are_reported_by_size_and_with_their_best_reference(report: LikenessReport, folder: Path) -> None:
    made = draw_faces((150, 200, 128), (450, 400, 176), seed=3)
    p = P()
    compare(report, p, made, unit(ANNA, BERT))
    best = [max(row) for row in np.hstack([own(folder, made, each) for each in (ANNA, BERT)]).tolist()]
    assert p.results == {"IP-Adapter 1 likeness": [" ".join(f"{each:.2f}" for each in best)]}


@pytest.mark.parametrize("how", ["masks", "reference masks", "region"])
def test_a_face_is_compared_with_the_references_of_its_region(report: LikenessReport, folder: Path, how) -> None:
    made = side_by_side(ANNA, BERT)
    found = find_faces(made, *model_paths(PACKS["buffalo_l"], [folder / "faces"]))
    assert len(found) == 2
    order = ["left", "right"] if found[0].centre[0] < found[1].centre[0] else ["right", "left"]
    ways = {
        "masks": [unit(BERT, mask=half(1)), unit(ANNA, mask=half(0))],
        "reference masks": [
            unit() | {"images": [{"image": text_of(BERT), "mask": half(1)}, {"image": text_of(ANNA), "mask": half(0)}]}
        ],
        "region": [unit(ANNA, BERT, region="left to right")],
    }
    report.host.wanted = ReportSettings(True, "JSON", report.host.wanted.folder)
    p = P()
    compare(report, p, made, *ways[how])
    rows = rows_of(p.__dict__[RUN].found)
    assert len(rows) == 2
    assert all(row[LIKENESS] > 0.97 for row in rows), "each stands in its own place"
    compared = {(order[row["face"]], row["unit"], row["reference"]) for row in rows}
    assert (
        compared
        == {
            "masks": {("right", 1, 1), ("left", 2, 1)},
            "reference masks": {("right", 1, 1), ("left", 1, 2)},
            "region": {("left", 1, 1), ("right", 1, 2)},
        }[how]
    )


def test_with_a_reference_for_each_picture_each_is_compared_with_its_own(report: LikenessReport, folder: Path) -> None:
    p = P()
    for i in range(4):
        compare(report, p, ANNA, unit(ANNA, BERT, unfold=True), at=GeneratedPicture(i, i, 4, 7 + i))
    other = f"{own(folder, ANNA, BERT)[0][0]:.2f}"
    assert p.extra_generation_params["IP-Adapter 1 likeness"] == ["1.00", other, "1.00", other]


def test_a_picture_without_a_face_is_reported(report: LikenessReport) -> None:
    p = P()
    compare(report, p, picture(200, 200), unit(ANNA))
    assert p.results == {"IP-Adapter 1 likeness": ["no face"]}
    assert report.host.comments[1].startswith("Picture 1, unit 1: no face. Low: ")
    compare(report, p, side_by_side(ANNA, picture(640, 640)), unit(ANNA, mask=half(1)))
    assert p.results == {"IP-Adapter 1 likeness": ["no face in its region"]}


def test_the_next_batch_starts_a_new_list(report: LikenessReport) -> None:
    """The web UI looks up a list by the position in the batch."""
    p = P()
    compare(report, p, ANNA, unit(ANNA), at=GeneratedPicture(0, 0, 2, 7))
    assert p.extra_generation_params["IP-Adapter 1 likeness"] == ["1.00", None]
    compare(report, p, picture(), unit(ANNA), at=GeneratedPicture(1, 1, 2, 8))
    assert p.extra_generation_params["IP-Adapter 1 likeness"] == ["1.00", "no face"]
    compare(report, p, ANNA, unit(ANNA), at=GeneratedPicture(2, 0, 2, 9))
    assert p.extra_generation_params["IP-Adapter 1 likeness"] == ["1.00", None]


def test_comments_say_plainly_that_nobody_is_identified(report: LikenessReport) -> None:
    p = P()
    for i in range(2):
        compare(report, p, ANNA, unit(ANNA), at=GeneratedPicture(i, i, 2, 7))
    assert report.host.comments == [TITLE, "Picture 1, unit 1: 1.00", "Picture 2, unit 1: 1.00"]
    assert "not identity verification" in TITLE
    assert "no identity verification" in LIKENESS


def test_the_latest_run_is_available_as_data(report: LikenessReport, folder: Path) -> None:
    assert report.latest()["rows"] == []
    p, two = P(), draw_faces((150, 200, 128), (450, 400, 176), seed=3)
    compare(report, p, two, unit(ANNA, BERT), unit(ANNA, mask=half(1)), at=GeneratedPicture(0, 0, 2, 70))
    compare(report, p, picture(64, 64), unit(ANNA, weight=0.3), at=GeneratedPicture(1, 1, 2, 71))
    report.after_generation(p)
    latest = json.loads(json.dumps(report.latest()))
    assert (latest["title"], latest["low"]) == (TITLE, 0.28)
    assert [TITLE, *latest["lines"]] == report.host.comments
    both = np.hstack([own(folder, two, each) for each in (ANNA, BERT)])
    expected = [
        {"face": i, "reference": int(row.argmax()) + 1, "cosine": pytest.approx(row.max(), abs=1e-4)}
        for i, row in enumerate(both)
    ]
    first, second, third = latest["rows"]
    remedies = first.pop("remedies")
    assert bool(remedies) == (both.max() < 0.28)
    named = {"adapter": "faceid.bin"}
    assert first == {"picture": 1, "seed": 70, "unit": 1, "found": "faces", "faces": expected, **named}
    centres = [face.centre[0] for face in find_faces(two, *model_paths(PACKS["buffalo_l"], [folder / "faces"]))]
    assert [(second["unit"], face["face"]) for face in second["faces"]] == [(2, centres.index(max(centres)))]
    third.pop("remedies")
    assert third == {"picture": 2, "seed": 71, "unit": 1, "found": "no face", "faces": [], **named}
    compare(report, P(), ANNA, unit(ANNA))
    assert [row["seed"] for row in report.latest()["rows"]] == [7], "the next generation begins a new report"


def test_the_panel_can_request_the_latest_run(session: Session, report: LikenessReport) -> None:
    compare(report, P(), ANNA, unit(ANNA))
    answer = json.loads(panel_answer(session, json.dumps({"do": "likeness", "id": 3}), report))
    assert answer == {**report.latest(), "id": 3}
    assert len(answer["rows"]) == 1


def test_models_stay_loaded_over_the_pictures_of_a_run(report: LikenessReport, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib_ipadapter.faces import face_finder

    report._preparation.faces._models.drop()
    loaded: list[Path] = []

    class Counted(face_finder.FaceModels):
        def __init__(self, detector: Path, *more: Any) -> None:
            super().__init__(detector, *more)
            loaded.append(detector)

    monkeypatch.setattr(face_finder, "FaceModels", Counted)
    p = P()
    for i in range(3):
        compare(report, p, ANNA, unit(ANNA), unit(BERT, model="instantid"), at=GeneratedPicture(i, i, 3, 7))
    assert len(loaded) == 2, "one pair for each pack"


LOWS: dict[str, tuple[dict[str, Any], str]] = {
    "weight": ({"weight": 0.3}, "Its weight is 0.3."),
    "LoRA": ({"lora_weight": 0}, "Its LoRA is off (lora_weight 0)."),
    "end": ({"end": 0.5}, "It ends at 0.5 of the steps."),
    "nothing": ({}, "Try another reference, or a prompt with a more realistic style."),
}


def test_units_are_read_once_for_all_pictures_of_a_generation(report: LikenessReport, monkeypatch) -> None:
    """Their references are megabytes of text."""
    texts: list[str] = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda text, **more: (texts.append(text), loads(text, **more))[1])
    p, args = P(), [json.dumps(unit(ANNA))]
    for number in range(3):
        report.host.now = GeneratedPicture(number, number, 3, 7)
        report.after_picture(p, ANNA, args)
    assert len(texts) == 1
    assert report.host.comments


@pytest.mark.parametrize("why", LOWS)
def test_a_low_likeness_comes_with_possible_causes(report: LikenessReport, why: str) -> None:
    more, words = LOWS[why]
    compare(report, P(), picture(100, 100), unit(ANNA, **more))
    assert report.host.comments[1] == f"Picture 1, unit 1: no face. Low: {words}"
    report.host.comments.clear()
    compare(report, P(), ANNA, unit(ANNA, **more))
    assert report.host.comments[1] == "Picture 1, unit 1: 1.00"


def test_a_small_reference_is_a_possible_cause(report: LikenessReport) -> None:
    small = draw_faces((100, 100, 64), size=(200, 200))
    compare(report, P(), picture(100, 100), unit(small))
    assert "pixels wide: use a closer picture." in report.host.comments[1]


@pytest.mark.parametrize("kind", ["CSV", "JSON"])
def test_a_run_writes_one_file_with_a_row_per_face_and_no_embedding(
    report: LikenessReport, folder: Path, kind: str
) -> None:
    log = report.host.wanted.folder
    report.host.wanted = ReportSettings(True, kind, log)
    p, two = P(), draw_faces((150, 200, 128), (450, 400, 176), seed=3)
    for i, made in enumerate((two, picture(64, 64))):
        compare(report, p, made, unit(ANNA), at=GeneratedPicture(i, i, 2, 70 + i))
    assert not log.exists(), "before the run has ended"
    report.after_generation(p)
    assert RUN not in p.__dict__
    (path,) = log.iterdir()
    assert path.name.endswith(f" 70.{kind.lower()}")
    text = path.read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines())) if kind == "CSV" else json.loads(text)["faces"]
    assert [str(row["picture"]) for row in rows] == ["1", "1", "2"]
    assert [str(row["seed"]) for row in rows] == ["70", "70", "71"]
    assert all(set(row) == set(COLUMNS) for row in rows)
    assert [float(row[LIKENESS]) for row in rows[:2]] == pytest.approx(
        [each[0] for each in own(folder, two, ANNA)], abs=1e-4
    )
    assert not rows[2][LIKENESS]
    assert all(not isinstance(value, (list, dict)) for row in rows for value in row.values())
    assert len(text) < 1500, "an embedding has 512 numbers"


def test_files_of_the_same_second_do_not_replace_each_other(
    report: LikenessReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr(time, "strftime", lambda _: "now")
    report.host.wanted = ReportSettings(True, "CSV", report.host.wanted.folder)
    for _ in range(3):
        p = P()
        compare(report, p, ANNA, unit(ANNA))
        report.after_generation(p)
    assert sorted(path.name for path in report.host.wanted.folder.iterdir()) == [
        "now 7 1.csv",
        "now 7 2.csv",
        "now 7.csv",
    ]


def test_a_folder_that_cannot_be_written_is_logged(report: LikenessReport, tmp_path: Path, caplog) -> None:
    (tmp_path / "file").write_text("")
    report.host.wanted = ReportSettings(True, "CSV", tmp_path / "file" / "log")
    p = P()
    compare(report, p, ANNA, unit(ANNA))
    report.after_generation(p)
    assert "could not write the likeness" in caplog.text


def test_a_copy_of_a_record_has_its_own_run(report: LikenessReport) -> None:
    """Cells of a plot are copies, and ADetailer ends a copy while the generation continues."""
    report.host.wanted = ReportSettings(True, "CSV", report.host.wanted.folder)
    p = P()
    compare(report, p, ANNA, unit(ANNA), at=GeneratedPicture(0, 0, 2, 7))
    report.after_generation(copy.copy(p))
    assert not report.host.wanted.folder.exists()
    cell = copy.copy(p)
    cell.extra_generation_params = dict(cell.extra_generation_params)
    compare(report, cell, ANNA, unit(ANNA), at=GeneratedPicture(1, 1, 2, 8))
    assert len(cell.__dict__[RUN].found) == 1
    compare(report, p, ANNA, unit(ANNA), at=GeneratedPicture(1, 1, 2, 8))
    report.after_generation(p)
    (path,) = report.host.wanted.folder.iterdir()
    assert len(path.read_text().splitlines()) == 3


OFF: dict[str, tuple[bool, Any]] = {
    "the setting is off": (False, unit(ANNA)),
    "the family sees pictures": (True, unit(ANNA, model="base")),
    "the unit is off": (True, unit(ANNA, enabled=False)),
    "the unit was left out": (True, [None, None, unit(ANNA)]),
}
"""The last could not run, and the setting lets the generation go on without it."""


@pytest.mark.parametrize("why", OFF)
def test_it_leaves_no_trace_if_there_is_nothing_to_report(
    report: LikenessReport, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib_ipadapter.faces import face_finder

    wanted, given = OFF[why]
    monkeypatch.setattr(face_finder, "FaceModels", None)  # nothing may be loaded
    report.host.wanted = ReportSettings(wanted, "CSV", report.host.wanted.folder)
    p = P()
    compare(report, p, ANNA, given)
    report.after_generation(p)
    vars(p).pop(UNITS, None)  # the generation has read them before
    assert vars(p) == vars(P())
    assert report.host.comments == []
    assert not report.host.wanted.folder.exists()


def test_a_picture_is_kept_if_its_likeness_cannot_be_reported(report: LikenessReport, caplog) -> None:
    compare(report, P(), ANNA, unit(picture()))
    assert "The likeness report was skipped." in caplog.text
    assert "has no detectable face" in caplog.text


def test_the_parameters_are_not_a_unit_and_are_replaced_by_the_next_generation() -> None:
    parameters = {"IP-Adapter 1 likeness": "0.62", "IP-Adapter 1": "Adapter: a", "Size": "1x1"}
    assert set(restored_units(parameters, lambda _: None)) == {1}
    assert without_units(parameters) == {"Size": "1x1"}


def test_cosines_do_not_depend_on_the_norm_of_embeddings(folder: Path) -> None:
    from lib_ipadapter.faces.insightface_models import Face

    def face(*embedding: float) -> Face:
        return Face((0, 0, 9, 9), ((0.0, 0.0),) * 5, 0.9, embedding)

    made = cosines([face(3, 0, 0), face(0, 2, 0)], [face(1, 1, 0)])
    assert made.tolist() == [[pytest.approx(0.5**0.5)], [pytest.approx(0.5**0.5)]]
