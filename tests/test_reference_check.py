"""Reference check and face preview: advice, pictures, and that they still work if a model is missing."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from makers import adapter_tensors, file_of, picture, save, text_of
from PIL import Image, ImageEnhance, ImageFilter
from safetensors.torch import load_file
from small_host import STATES, SmallHost, ask, save_tower

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.engine.features import encoding_settings
from lib_ipadapter.engine.session import Session
from lib_ipadapter.networks.unet_sites import SD
from lib_ipadapter.pictures.crops import CROPS
from lib_ipadapter.pictures.preprocess import normalise, to_levels
from lib_ipadapter.review.face_preview import faces
from lib_ipadapter.review.likeness import LOW, cosines
from lib_ipadapter.review.reference_check import check
from lib_ipadapter.review.thresholds import THRESHOLDS, advice_on
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.web.subject_routes import save_subject
from lib_ipadapter.weights.clip_vision import open_encoder
from lib_ipadapter.weights.enhance import enhanced

SIZE: dict[str, Any] = {"widths": (32, 64, 128), "context_dim": 24}
SIDE = 224

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface's own, of scikit-image


def write_files(folder: Path) -> None:
    """Write adapters, and a tower with the input size of the real ones."""
    tower = save_tower(folder / "tower.safetensors")
    tensors = load_file(tower)
    positions = torch.randn((SIDE // 14) ** 2 + 1, STATES, generator=torch.Generator().manual_seed(1))
    save({**tensors, "visual.positional_embedding": positions}, tower)
    save(adapter_tensors("plus", SD, width=STATES, tokens=8, **SIZE), folder / "plus.safetensors")
    save(adapter_tensors("base", SD, width=1024, **SIZE), folder / "without-encoder.safetensors")
    save(adapter_tensors("faceid", SD, **SIZE), folder / "faceid.safetensors")
    save(adapter_tensors("faceid-plus", SD, width=STATES, **SIZE), folder / "faceid-plusv2.safetensors")


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session without face models."""
    folder = tmp_path_factory.mktemp("blind")
    write_files(folder)
    return Session(SmallHost(folder, torch.nn.Module()))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session with face models."""
    pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed here")
    from face_models import write_pack

    from lib_ipadapter.faces.insightface_models import PACKS

    folder = tmp_path_factory.mktemp("seeing")
    write_files(folder)
    write_pack(folder / "faces", PACKS["buffalo_l"])
    return Session(SmallHost(folder, torch.nn.Module()))


def checked(session: Session, *images: str, model: str = "plus", **more: Any) -> dict[str, Any]:
    return check(session, {"unit": {"model": model, "images": list(images), **more}})


def shown(url: str) -> Image.Image:
    """Return the picture of a data URL."""
    header, content = url.split(",")
    assert header == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def drawn(*places: tuple[float, float, float], **more: Any) -> Image.Image:
    from face_models import draw_faces

    return draw_faces(*places, **more)


# What the encoder will see


UNITS: dict[str, dict[str, Any]] = {
    "center": {},
    "pad": {"crop": "pad"},
    "squash": {"crop": "squash"},
    "tiles": {"tiles": True},
    "enhanced": {"enhance": 2},
}


@pytest.mark.parametrize("how", UNITS)
def test_the_shown_picture_has_the_features_that_a_generation_uses(blind: Session, how: str) -> None:
    given = {"model": "plus", "images": [text_of(picture(500, 340, 4))], **UNITS[how]}
    preparation, unit = blind.preparation, read_unit(given)
    adapter = preparation.files.adapter("plus")
    encoder = preparation.files.encoder_for(adapter, "auto")
    assert encoder
    plan = preparation._plan(unit, adapter, None, ())
    kept = preparation._features.encode(encoder, plan.inputs, plan.files, encoding_settings(blind.host)).features
    seen = [shown(url) for url in check(blind, {"unit": given})["references"][0]["seen"]]
    made = encoder.encode([normalise(to_levels(each)) for each in seen], torch.device("cpu"), torch.float32)
    if unit.enhance > 1:
        made = [enhanced(made[0], made[1:], unit.enhance, unit.enhance_ratio)]
    assert len(made) == len(plan.inputs) == (2 if how == "tiles" else 1)
    for given, each in zip(plan.inputs, made, strict=True):
        assert torch.equal(kept[given].hidden, each.hidden)


def test_only_the_first_of_many_squares_are_shown(blind: Session) -> None:
    (reference,) = checked(blind, text_of(picture(300, 300, 4)), enhance=8)["references"]
    assert len(reference["seen"]) == 20


def test_a_face_adapter_shows_its_models_inputs(seeing: Session) -> None:
    from insightface.utils.face_align import norm_crop

    from lib_ipadapter.faces.insightface_models import PACKS

    two = drawn((150, 200, 128), (450, 400, 160), seed=3)
    adapters = {"faceid": (112,), "faceid-plusv2": (112, SIDE)}
    for model, sides in adapters.items():
        (reference,) = checked(seeing, text_of(two), model=model, face="left")["references"]
        file = seeing.preparation.pictures.reference("image", text_of(two))
        small = seeing.preparation.faces.faces_of("image", file, PACKS["buffalo_l"])[1]
        expected = [norm_crop(np.asarray(two), np.asarray(small.points, np.float32), side) for side in sides]
        assert [np.asarray(shown(url)).tolist() for url in reference["seen"]] == [each.tolist() for each in expected]


def test_the_embedding_comes_from_the_crop_that_is_shown(seeing: Session) -> None:
    import onnxruntime

    from lib_ipadapter.faces.insightface_models import PACKS, model_paths

    one = text_of(drawn((320, 320, 256)))
    (reference,) = checked(seeing, one, model="faceid")["references"]
    levels = np.asarray(shown(reference["seen"][0]), np.float32)
    _, recogniser = model_paths(PACKS["buffalo_l"], seeing.host.folders().faces)
    model = onnxruntime.InferenceSession(str(recogniser), providers=["CPUExecutionProvider"])
    embedding = model.run(None, {"face": ((levels - 127.5) / 127.5).transpose(2, 0, 1)[None]})[0][0]
    file = seeing.preparation.pictures.reference("image", one)
    (face,) = seeing.preparation.faces.faces_of("image", file, PACKS["buffalo_l"])
    assert np.asarray(face.embedding) == pytest.approx(embedding, rel=1e-4, abs=1e-4)


# Measures and advice


def test_advice_is_given_only_beyond_each_threshold() -> None:
    for row in THRESHOLDS:
        assert row.reason
        for value, beyond in ((row.least, row.least - 0.001), (row.most, row.most + 0.001)):
            if not np.isfinite(value):
                continue
            assert advice_on({row.measure: value}) == []
            (sentence,) = advice_on({row.measure: beyond})
            assert sentence.endswith(".")
            assert "-" not in sentence, "signs are not for people"


def measured(session: Session, image: Image.Image, name: str, form: str = "PNG", **options: Any) -> float:
    content = base64.b64encode(file_of(image, form, **options)).decode()
    return checked(session, content)["references"][0][name]


def fine(seed: int = 2) -> Image.Image:
    """Return a large picture with much detail."""
    made = picture(448, 448, seed)
    for i in range(8):
        part = picture(90, 90, seed + i + 1).resize((112, 112), Image.Resampling.NEAREST)
        made.paste(part, (i % 4 * 112, i // 4 * 200))
    return made


def test_each_fault_moves_its_measure_beyond_the_threshold(blind: Session) -> None:
    whole = fine()
    sharp = [measured(blind, whole.filter(ImageFilter.GaussianBlur(r)), "sharpness") for r in (0, 1, 2, 4, 8)]
    sharp_when_small = [measured(blind, whole.resize((n, n)), "sharpness") for n in (224, 160, 100, 60, 30)]
    contrasts = [measured(blind, ImageEnhance.Contrast(whole).enhance(c), "contrast") for c in (1, 0.6, 0.3, 0.1)]
    for falling in (sharp, sharp_when_small, contrasts):
        assert falling == sorted(set(falling), reverse=True)
    small = whole.resize((300, 300))
    qualities = [measured(blind, small, "compression", "JPEG", quality=quality) for quality in range(10, 91, 10)]
    assert qualities == list(range(10, 91, 10))
    pressed = [
        Image.open(io.BytesIO(file_of(small, "JPEG", quality=quality))).convert("RGB") for quality in (80, 50, 30, 10)
    ]
    blocks = [measured(blind, each, "blockiness") for each in pressed]
    assert blocks == sorted(set(blocks))


FAULTS: dict[str, tuple[Any, str]] = {
    "blurred": (lambda p: p.filter(ImageFilter.GaussianBlur(9)), "blurry at the size that the model sees"),
    "flat": (lambda p: ImageEnhance.Contrast(p).enhance(0.2), "low contrast"),
    "small": (lambda p: p.resize((100, 100)), "upscaled 2.2 times"),
    "wide": (lambda p: p.resize((800, 300)), "cuts off 62% of it: set Crop to pad"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_gives_advice_and_a_good_picture_gives_none(blind: Session, fault: str) -> None:
    make, words = FAULTS[fault]
    assert checked(blind, text_of(fine()))["references"][0]["advice"] == []
    advice = checked(blind, text_of(make(fine())))["references"][0]["advice"]
    assert any(words in sentence for sentence in advice), advice


def test_compression_counts_only_if_its_blocks_are_still_visible(blind: Session) -> None:
    for side, known in ((300, True), (600, False)):
        image = base64.b64encode(file_of(fine().resize((side, side)), "JPEG", quality=15)).decode()
        (reference,) = checked(blind, image)["references"]
        assert ("compression" in reference) == known
        assert any("JPEG of quality 15" in sentence for sentence in reference["advice"]) == known


@pytest.mark.parametrize("crop", [crop for crop in CROPS if crop not in ("pad", "squash")])
@pytest.mark.parametrize("size", [(400, 300), (300, 500), (320, 320)])
def test_the_lost_share_is_what_the_crop_cuts_off(blind: Session, crop: str, size: tuple[int, int]) -> None:
    """A picture whose levels are its positions shows which of them the crop has kept."""
    across, down = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    places = Image.fromarray(np.stack([across, down, across * 0], axis=-1).round().astype(np.uint8))
    (reference,) = checked(blind, text_of(places), crop=crop)["references"]
    kept = np.asarray(shown(reference["seen"][0])).astype(float)
    extents = [np.ptp(kept[..., axis]) / 255 for axis in (0, 1)]
    assert reference["lost"] == pytest.approx(1 - extents[0] * extents[1], abs=0.03)


def test_squashing_and_padding_lose_nothing_but_squashing_is_reported(blind: Session) -> None:
    wide = text_of(fine().resize((900, 300)))
    for crop, words in (
        ("pad", ()),
        ("squash", ("It is squashed by 67%: set Crop to pad, or crop the picture yourself.",)),
    ):
        (reference,) = checked(blind, wide, crop=crop)["references"]
        assert "lost" not in reference
        assert tuple(reference["advice"]) == words


def test_the_answer_has_an_entry_for_every_picture(blind: Session) -> None:
    images = [{"image": text_of(picture(300 + i, 300, i)), "weight": i / 2} for i in range(3)]
    references = check(blind, {"unit": {"model": "plus", "images": images}})["references"]
    assert [each["width"] for each in references] == [300, 301, 302]


def test_the_box_of_a_picture_is_what_is_seen_and_measured(blind: Session) -> None:
    wide = fine().resize((900, 300))
    boxed, whole, cut = check(
        blind,
        {
            "unit": {
                "model": "plus",
                "images": [
                    {"image": text_of(wide), "box": [1 / 3, 0, 2 / 3, 1]},
                    {"image": text_of(wide), "enabled": False},
                    text_of(wide.crop((300, 0, 600, 300))),
                ],
            }
        },
    )["references"]
    assert boxed["seen"] == cut["seen"]
    assert whole["lost"] > 0.5
    assert [each["lost"] for each in (boxed, cut)] == [0, 0]
    assert (boxed["width"], whole["width"]) == (900, 900)


def test_a_pictures_own_crop_is_used(blind: Session) -> None:
    wide = text_of(fine().resize((900, 300)))
    images = [wide, {"image": wide, "crop": "pad"}, {"image": wide, "crop": "squash"}]
    first, padded, squashed = check(blind, {"unit": {"model": "plus", "images": images}})["references"]
    assert "lost" in first
    assert "lost" not in padded
    assert any("squashed" in sentence for sentence in squashed["advice"])


def test_a_subjects_pictures_come_after_the_units_own(blind: Session) -> None:
    pictures = [picture(310 + i, 300, i) for i in range(2)]
    save_subject(blind, {"name": "anna", "pictures": [{"image": text_of(each)} for each in pictures]})
    unit = {"model": "plus", "images": [text_of(picture(300, 300, 9))], "subject": "anna"}
    assert [each["width"] for each in check(blind, {"unit": unit})["references"]] == [300, 310, 311]
    assert len(check(blind, {"unit": {"model": "plus", "subject": "anna"}})["references"]) == 2


# Faces


def test_a_small_face_is_reported_with_its_width(seeing: Session) -> None:
    (reference,) = checked(seeing, text_of(drawn((320, 240, 64), size=(640, 480))), model="faceid")["references"]
    assert reference["faces"] == 1
    assert reference["face_width"] == pytest.approx(64, abs=4)
    assert any(sentence.endswith("pixels wide: use a closer picture.") for sentence in reference["advice"])
    (close,) = checked(seeing, text_of(drawn((320, 320, 256))), model="faceid")["references"]
    assert not any("closer" in sentence for sentence in close["advice"])


def test_no_face_and_many_faces_are_reported_without_a_refusal(seeing: Session) -> None:
    none, two = text_of(drawn()), text_of(drawn((150, 200, 128), (450, 400, 160)))
    answer = checked(seeing, none, two, model="faceid")
    first, second = answer["references"]
    assert (first["faces"], second["faces"]) == (0, 2)
    assert first["advice"][0].startswith("No face was found")
    assert first["seen"] == []
    assert second["advice"][0].startswith("2 faces were found, and the largest is used")
    assert "agreement" not in answer
    (left,) = checked(seeing, two, model="faceid", face="left")["references"]
    assert not any("faces were found" in sentence for sentence in left["advice"])
    (beyond,) = checked(seeing, two, model="faceid", face=7)["references"]
    assert beyond["advice"][0] == (
        "face is 7, but 2 faces were found in images[0]; they are counted from 0, the largest first."
    )


def test_agreement_equals_insightfaces_similarity(seeing: Session) -> None:
    from insightface.model_zoo.arcface_onnx import ArcFaceONNX

    from lib_ipadapter.faces.insightface_models import PACKS

    images = [text_of(drawn((320, 320, 256), seed=seed)) for seed in (0, 1, 2)]
    answer = checked(seeing, *images, model="faceid")
    embeddings = [
        np.asarray(
            seeing.preparation.faces.faces_of("", seeing.preparation.pictures.reference("", image), PACKS["buffalo_l"])[
                0
            ].embedding
        )
        for image in images
    ]
    expected = [[ArcFaceONNX.compute_sim(None, a, b) for b in embeddings] for a in embeddings]
    assert np.asarray(answer["agreement"]) == pytest.approx(np.asarray(expected), abs=1e-3)
    assert np.diag(answer["agreement"]) == pytest.approx(1, abs=1e-3)


def test_a_reference_unlike_the_others_is_named(seeing: Session) -> None:
    from lib_ipadapter.faces.insightface_models import Face
    from lib_ipadapter.review.reference_check import _disagreements

    def face(*embedding: float) -> Face:
        return Face((0, 0, 9, 9), ((0.0, 0.0),) * 5, 0.9, embedding)

    of_one, other = [face(1, 0.1, 0), face(1, 0, 0.2), face(2, 0.1, 0.1)], face(0, 1, 0)
    assert list(_disagreements(cosines(of_one, of_one))) == []
    (sentence,) = _disagreements(cosines([*of_one, other], [*of_one, other]))
    assert sentence.startswith("Reference 4 does not match the others, ")
    assert "not identity verification" in sentence
    assert 0 < LOW < 1


def test_faces_have_the_numbers_that_a_unit_uses(seeing: Session) -> None:
    three = text_of(drawn((120, 120, 64), (420, 380, 176), (520, 100, 128), seed=5))
    found = faces(seeing, {"image": three})["faces"]
    assert [face["number"] for face in found] == [0, 1, 2]
    assert [face["width"] for face in found] == sorted((face["width"] for face in found), reverse=True)
    for face in found:
        (reference,) = checked(seeing, three, model="faceid", face=face["number"])["references"]
        assert reference["seen"] == [face["crop"]]
        left, upper, right, lower = face["box"]
        nose = face["points"][2]
        assert left < nose[0] < right
        assert upper < nose[1] < lower
        assert face["width"] == pytest.approx(right - left, abs=0.2)


def test_faces_are_shown_as_the_named_adapter_sees_them(seeing: Session) -> None:
    image = text_of(drawn((320, 320, 256)))
    for model, side in ((None, 112), ("plus", 112), ("faceid", 112), ("faceid-plusv2", SIDE)):
        asked = {"image": image} | ({"model": model} if model else {})
        (face,) = faces(seeing, asked)["faces"]
        assert shown(face["crop"]).size == (side, side)


def test_a_picture_without_faces_gives_advice(seeing: Session) -> None:
    answer = faces(seeing, {"image": text_of(drawn(size=(300, 200)))})
    assert (answer["width"], answer["height"], answer["faces"]) == (300, 200, [])
    assert answer["advice"][0].startswith("No face was found")


def test_the_other_model_pack_is_used_if_it_alone_is_installed(seeing: Session, tmp_path: Path) -> None:
    from face_models import write_pack

    from lib_ipadapter.faces.insightface_models import PACKS

    write_files(tmp_path)
    write_pack(tmp_path / "faces", PACKS["antelopev2"])
    session = Session(SmallHost(tmp_path, torch.nn.Module()))
    image = text_of(drawn((320, 320, 256)))
    assert len(faces(session, {"image": image})["faces"]) == 1
    with pytest.raises(IPAdapterError, match="det_10g"):
        faces(session, {"image": image, "model": "faceid"})


# Something is missing


def test_without_face_models_the_rest_is_measured_and_the_missing_file_is_named_once(blind: Session) -> None:
    images = [text_of(picture(400, 300, seed)) for seed in (1, 2)]
    answer = checked(blind, *images, model="faceid")
    (sentence,) = answer["advice"]
    assert "buffalo_l" in sentence
    for reference in answer["references"]:
        assert "faces" not in reference
        assert "lost" not in reference, "the crop of whole pictures has no meaning for faces"
        assert reference["seen"] == []
        assert 0 < reference["sharpness"] <= 1
        assert 0 < reference["contrast"] <= 0.5
        assert not any("face" in words for words in reference["advice"])


def test_without_insightface_the_rest_is_measured(seeing: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] == "insightface"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "insightface", None)
    seeing.preparation.faces._models.drop()  # those that are loaded would still run
    image = text_of(picture(400, 300, 77))
    answer = checked(seeing, image, model="faceid")
    assert "needs insightface and onnxruntime" in answer["advice"][0]
    assert answer["references"][0]["sharpness"] > 0
    with pytest.raises(IPAdapterError, match="needs insightface"):
        faces(seeing, {"image": image})


def test_without_an_encoder_the_default_square_is_measured(blind: Session) -> None:
    answer = checked(blind, text_of(picture(400, 300, 1)), model="without-encoder")
    assert "needs the image encoder ViT-H/14, but no file with it was found" in answer["advice"][0]
    assert shown(answer["references"][0]["seen"][0]).size == (224, 224)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no unit": ({}, "unit"),
    "no model": ({"unit": {"images": ["AAAA"]}}, "model"),
    "no picture": ({"unit": {"model": "plus"}}, "images"),
    "a saved reference": ({"unit": {"model": "plus", "embeds": "anna"}}, "images"),
    "a broken picture": ({"unit": {"model": "plus", "images": [text_of(picture()), "AAAA"]}}, "images[1]"),
    "tiles of faces": ({"unit": {"model": "faceid", "images": [text_of(picture())], "tiles": True}}, "tiles"),
    "more than a unit": ({"unit": {}, "more": 1}, "more"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_checked_is_refused_with_its_field(blind: Session, case: str) -> None:
    asked, field = REFUSED[case]
    with pytest.raises(UnitError) as refused:
        check(blind, asked)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("asked", "field"),
    [({}, "image"), ({"image": 3}, "image"), ({"image": "AAAA"}, "image"), ({"image": "", "model": 3}, "model")],
)
def test_a_request_without_a_picture_is_refused_with_its_field(
    blind: Session, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(UnitError) as refused:
        faces(blind, asked)
    assert refused.value.field == field


def test_the_panels_request_gives_the_same_answer(blind: Session) -> None:
    unit = {"model": "plus", "images": [text_of(picture(300, 300, 1))]}
    assert ask(blind, "check", unit=unit) == json.loads(json.dumps(check(blind, {"unit": unit})))
    assert "is required" in ask(blind, "faces")["message"]


def test_the_test_tower_has_the_input_size_of_real_ones(blind: Session) -> None:
    assert open_encoder(blind.host.folder / "tower.safetensors").image_size == SIDE
