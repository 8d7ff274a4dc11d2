"""PuLID from a photograph to a picture in a real web UI, with made weights at full size, against the authors' steps."""

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from makers import text_of

pytest.importorskip("facexlib", reason="facexlib is not installed at this end of the versions")
pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed at this end of the versions")
pytest.importorskip("onnx", reason="face models are made with onnx, which is not installed at this end of the versions")
pytest.importorskip("timm", reason="timm, an oracle, is not installed at this end of the versions")

from eva_model import FULL, tapped, tower, write_eva
from face_models import write_pack
from panel.actions import picture_of
from portrait_models import (
    authors_portrait,
    helper_of,
    photograph,
    stand_in_for_torchvisions_operators,
    write_portrait_models,
)

from host.conftest import FOLDER, OURS, PYTHON, started
from host.webui import NO_INSIGHTFACE, Files, WebUI, smallest_in
from lib_ipadapter.faces.insightface_models import PACKS
from lib_ipadapter.networks.unet_sites import SDXL
from lib_ipadapter.pictures.preprocess import normalise

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]

EVA_FILE = "EVA02_CLIP_L_336_psz14_s6B.pt"
ANTELOPE = PACKS["antelopev2"]
FAMILIES = ("pulid", "pulid-v1.1")
SMALL = {"width": 128, "height": 128}


@pytest.fixture(scope="module", autouse=True)
def _operators() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        stand_in_for_torchvisions_operators(monkeypatch)
        yield


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return smallest_in(Path(FOLDER or ""), SDXL)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Files:
    """Everything that PuLID needs, as wide as the published files."""
    files = Files(tmp_path_factory.mktemp("pulid"))
    write_eva(files.folder / EVA_FILE, dtype=torch.float16, sizes=FULL)
    write_pack(files.folder / "insightface" / "models", ANTELOPE)
    write_portrait_models(files.folder / "facexlib")
    for family in FAMILIES:
        files.pulid(checkpoint, family, width=FULL.width)
    return files


@pytest.fixture(scope="module")
def webui(own: Files, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    assert FOLDER
    assert PYTHON
    place = Path(FOLDER, "models", "facexlib")
    with (
        where_the_web_ui_looks(place, own.folder / "facexlib"),
        started(Path(FOLDER), PYTHON, own, tmp_path_factory.mktemp("webui"), *OURS) as server,
    ):
        if not server.has_insightface():
            pytest.skip(NO_INSIGHTFACE)
        server.use(checkpoint)
        yield server


@contextlib.contextmanager
def where_the_web_ui_looks(place: Path, source: Path) -> Iterator[None]:
    """Link facexlib's models where they belong for the duration of the context."""
    if place.exists():
        pytest.skip(f"the web UI has its own {place}")
    place.symlink_to(source)
    try:
        yield
    finally:
        place.unlink()


@pytest.fixture(scope="module")
def seen(own: Files) -> dict[str, Any]:
    """What the authors' steps make of the photograph, in which insightface finds no face; kept for the oracle."""
    from insightface.model_zoo import get_model

    helper = helper_of(photograph())
    recogniser: Any = get_model(
        str(own.folder / "insightface" / "models" / ANTELOPE.name / ANTELOPE.recogniser),
        providers=["CPUExecutionProvider"],
    )
    face = torch.from_numpy(recogniser.get_feat(helper.cropped_faces[0]))[0]
    rounded = copy.deepcopy(tower(0, FULL)).half().float()  # as in the file
    embed, hidden = tapped(rounded, normalise(authors_portrait(helper))[None])
    made = {"face": face, "embed": embed / embed.norm(2, 1, True), "hidden": hidden}
    torch.save(made, own.folder / "pulid.pth")
    return made


def unit(family: str, **more: Any) -> dict[str, Any]:
    return {"model": f"host-{family}", "images": [text_of(photograph())], "weight": 0.8, **more}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_photographs_picture_equals_the_plain_implementation(webui: WebUI, own: Files, seen, family) -> None:
    plain, before = webui.generate(**SMALL), webui.hooks()
    made = webui.generate(unit(family), **SMALL)
    theirs = webui.generate(oracle=own.pulid_oracle(f"host-{family}", "fidelity", 0.8), **SMALL)
    assert made - plain > 3
    assert made - theirs <= 1, f"mean difference {made.mean_difference(theirs):.5f}"
    assert webui.generate(unit(family), **SMALL) - made == 0, "what is kept makes the same picture"
    assert webui.generate(**SMALL) - plain == 0
    assert webui.hooks() == before


def test_the_reference_check_shows_the_portrait_and_names_the_fallback(webui: WebUI, seen) -> None:
    (reference,) = webui.call("/ipadapter/check", {"unit": unit("pulid-v1.1")})["references"]
    assert any("facexlib" in line for line in reference["advice"]), reference["advice"]
    portrait = np.asarray(picture_of(reference["seen"][0]), np.int16)
    expected = (authors_portrait(helper_of(photograph())).clamp(0, 1) * 255).permute(1, 2, 0).numpy()
    assert len(reference["seen"]) == 1
    others = (np.abs(portrait - expected) > 1).mean()
    assert others < 0.03, "with another torch or OpenCV, the edges between the parser's labels move by a pixel"
