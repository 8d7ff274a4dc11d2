"""PuLID from a photograph to its image tokens, with made weights in every file, against the authors' steps."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from makers import adapter_tensors, save, text_of
from PIL import Image
from small_host import CONTEXT, WIDTHS, SmallHost, ask, unit

from lib_ipadapter.engine.session import Session
from lib_ipadapter.faces import face_finder, portraits
from lib_ipadapter.faces.insightface_models import PACKS
from lib_ipadapter.faces.portraits import DETECTOR, PARSER
from lib_ipadapter.files import model_files
from lib_ipadapter.networks.unet_sites import SD
from lib_ipadapter.pictures.preprocess import normalise
from lib_ipadapter.review.face_preview import BY_FACEXLIB, NO_FACE
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.weights.adapter_file import open_adapter
from lib_ipadapter.weights.bases import ENCODERS

pytest.importorskip("facexlib", reason="facexlib is not installed at this end of the versions")
pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed at this end of the versions")

from eva_model import tapped, tower, write_eva
from face_models import draw_faces, write_pack
from portrait_models import (
    authors_portrait,
    helper_of,
    photograph,
    stand_in_for_torchvisions_operators,
    write_portrait_models,
)

ANTELOPE = PACKS["antelopev2"]
EVA_FILE = "EVA02_CLIP_L_336_psz14_s6B.pt"

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.fixture(autouse=True)
def _as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision's operators be there, and a narrow tower count as PuLID's."""
    stand_in_for_torchvisions_operators(monkeypatch)
    monkeypatch.setattr(model_files, "KNOWN_ENCODERS", set(ENCODERS.values()))


@pytest.fixture
def session(tmp_path: Path, unet: Any) -> Session:
    made = adapter_tensors("pulid-v1.1", SD, WIDTHS, CONTEXT, width=128, tokens=12)
    save(made, tmp_path / "pulid.safetensors")
    return Session(SmallHost(tmp_path, unet))


def findings(session: Session) -> list[dict[str, Any]]:
    (entry,) = ask(session, "ready", units=[unit(model="pulid")])["units"]
    return entry["findings"]


def test_what_is_missing_is_named_with_the_files_to_get_until_nothing_is(session: Session, tmp_path: Path) -> None:
    assert [each["repair"]["files"] for each in findings(session)] == [
        [EVA_FILE],
        ["antelopev2.zip"],
        [DETECTOR, PARSER],
    ]
    write_pack(tmp_path / "faces", ANTELOPE)
    write_portrait_models(tmp_path / "facexlib")
    write_eva(tmp_path / "eva.pt")
    session.preparation.files.rescan()
    assert findings(session) == []
    (tmp_path / "facexlib" / PARSER).unlink()
    (finding,) = findings(session)
    assert f"but {PARSER} is missing from {tmp_path / 'facexlib'}" in finding["sentence"]
    assert finding["repair"] == {
        "do": "get",
        "files": [PARSER],
        "title": "Face parser of facexlib",
        "bytes": 53289463,
    }


def test_image_tokens_of_a_photograph_are_those_of_the_authors_steps(
    session: Session, tmp_path: Path, unet: Any
) -> None:
    """In this photograph insightface finds no face, so the recogniser sees facexlib's crop."""
    from insightface.model_zoo import get_model

    packs = write_pack(tmp_path / "faces", ANTELOPE)
    write_portrait_models(tmp_path / "facexlib")
    write_eva(tmp_path / "eva.pt")
    picture = photograph()
    made = session.preparation.prepare(read_unit(unit(model="pulid", images=[text_of(picture)])), unet)

    helper = helper_of(picture)
    embed, hidden = tapped(tower(), normalise(authors_portrait(helper, 56))[None])
    recogniser: Any = get_model(str(packs / ANTELOPE.recogniser), providers=["CPUExecutionProvider"])
    face = torch.from_numpy(recogniser.get_feat(helper.cropped_faces[0]))
    parts = (face, embed / embed.norm(2, 1, True), *hidden)
    adapter = open_adapter(tmp_path / "pulid.safetensors")
    projector = adapter.projector()
    own = {name[11:]: each for name, each in adapter.tensors().items() if name.startswith("image_proj.")}
    projector.load_state_dict(own, assign=True)
    with torch.no_grad():
        one = projector(*(part[:, None] for part in parts[:2]), *hidden)
        nobody = projector(*(torch.zeros_like(part[:, None]) for part in parts[:2]), *map(torch.zeros_like, hidden))
    (group,) = made.plan.groups
    for expected, sets in ((one, group.sets), (nobody, (made.plan.unconditional,))):
        tokens = made.keys_values.tokens_of(sets)
        assert tokens.shape == expected.shape == (1, 12, CONTEXT)
        assert (tokens - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert made.encoder is not None
    assert made.encoder.path.name == "eva.pt"


@pytest.fixture
def seeing(session: Session, tmp_path: Path) -> Session:
    """The session with every file that PuLID needs."""
    write_pack(tmp_path / "faces", ANTELOPE)
    write_portrait_models(tmp_path / "facexlib")
    write_eva(tmp_path / "eva.pt")
    session.preparation.files.rescan()
    return session


def levels(url: str) -> np.ndarray[Any, Any]:
    """Return the levels of a picture in a data URL."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))), np.float32)


def portrait(size: int) -> np.ndarray[Any, Any]:
    """Return the levels of the authors' portrait of the photograph."""
    made = authors_portrait(helper_of(photograph()), size)
    assert made.max() > 1, "the filter must overshoot"
    return (made.clamp(0, 1) * 255).permute(1, 2, 0).numpy()


def test_the_reference_check_shows_the_portrait_and_says_that_facexlib_found_the_face(seeing: Session) -> None:
    checked = ask(seeing, "check", unit=unit(model="pulid", images=[text_of(photograph())]))
    (reference,) = checked["references"]
    assert checked["advice"] == []
    assert reference["faces"] == 1
    assert BY_FACEXLIB in reference["advice"]
    (seen,) = reference["seen"]
    assert np.abs(levels(seen) - portrait(56)).max() <= 1


def test_a_face_that_insightface_finds_is_shown_as_both_networks_see_it(seeing: Session) -> None:
    given = photograph()
    given.paste(draw_faces((64, 64, 100), size=(128, 128)), (64, 64))
    (reference,) = ask(seeing, "check", unit=unit(model="pulid", images=[text_of(given)]))["references"]
    assert BY_FACEXLIB not in reference["advice"]
    assert [levels(each).shape[0] for each in reference["seen"]] == [112, 56]


def test_the_face_preview_shows_the_portrait_of_the_face_that_facexlib_found(seeing: Session) -> None:
    found = ask(seeing, "faces", image=text_of(photograph()), model="pulid")
    (face,) = found["faces"]
    assert found["advice"][0] == BY_FACEXLIB
    assert face["box"] == pytest.approx(helper_of(photograph()).det_faces[:4].tolist(), abs=0.1)
    assert np.abs(levels(face["crop"]) - portrait(336)).max() <= 1
    assert ask(seeing, "faces", image=text_of(photograph()))["faces"] == [], "other adapters have no fallback"


def test_without_facexlibs_models_the_check_names_them_and_the_preview_goes_on(seeing: Session, tmp_path: Path) -> None:
    (tmp_path / "facexlib" / PARSER).unlink()
    given = text_of(draw_faces((320, 320, 256)))
    checked = ask(seeing, "check", unit=unit(model="pulid", images=[given]))
    (missing,) = checked["advice"]
    assert f"but {PARSER} is missing" in missing
    assert [levels(each).shape[0] for each in checked["references"][0]["seen"]] == [112]
    (face,) = ask(seeing, "faces", image=given, model="pulid")["faces"]
    assert levels(face["crop"]).shape[0] == 224


def test_a_photo_without_any_face_is_reported_and_not_refused(seeing: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portraits, "THRESHOLD", 0.9999)
    nobody = text_of(Image.new("RGB", (64, 64), (90, 110, 100)))
    (reference,) = ask(seeing, "check", unit=unit(model="pulid", images=[nobody]))["references"]
    assert (reference["faces"], NO_FACE in reference["advice"]) == (0, True)
    assert ask(seeing, "faces", image=nobody, model="pulid")["advice"] == [NO_FACE]


def test_facexlib_looks_at_a_photo_once(seeing: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, look = [], face_finder.detections

    def counted(*given: Any) -> Any:
        looked.append(given)
        return look(*given)

    monkeypatch.setattr(face_finder, "detections", counted)
    for do in ("check", "faces", "check"):
        given = {"unit": unit(model="pulid", images=[text_of(photograph())])}
        ask(seeing, do, **(given if do == "check" else {"image": text_of(photograph()), "model": "pulid"}))
    assert len(looked) == 1
