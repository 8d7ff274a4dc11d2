"""InstantID as one unit here and one ControlNet unit, compared with ControlNet's own pair of units.

IP_ADAPTER_CONTROLNET is the folder of the extension for AUTOMATIC1111; Forge has its own built in.
"""

import base64
import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import layer_tensors, projector_tensors, save, text_of

pytest.importorskip("onnx", reason="face models are made with onnx, which is not installed at this end of the versions")
pytest.importorskip("insightface", reason="insightface, an oracle, is not installed at this end of the versions")

from face_models import draw_faces, find_faces, write_pack

from host.conftest import FOLDER
from host.test_controlnet import (
    BUILT_IN,
    CONTROLNET,
    REFORGE,
    asked_for,
    beside_controlnet,
    controlnet_tensors,
    narrow_controlnet,
)
from host.test_engine import LONG
from host.webui import NO_INSIGHTFACE, Files, Made, RefusedError, WebUI, reference, smallest_in, unet_sizes
from lib_ipadapter.faces.insightface_models import PACKS, model_paths
from lib_ipadapter.networks.unet_sites import SDXL
from lib_ipadapter.weights.projectors import FaceResampler

pytestmark = [
    pytest.mark.skipif(
        not (CONTROLNET or BUILT_IN), reason="no ControlNet: set IP_ADAPTER_CONTROLNET to the folder of the extension"
    ),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # insightface's use of scikit-image
]

ADAPTER, CONTROL, OTHER = "ip-adapter_instant_id_sdxl", "control_instant_id_sdxl", "control_of_another_kind_sdxl"
FACE = draw_faces((320, 320, 256))
SMALL = {"width": 128, "height": 128, "steps": 2}


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    """The smallest SDXL checkpoint that the web UI has."""
    return smallest_in(Path(FOLDER or ""), SDXL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    """A folder with face models, the adapter at full size but with few layers, and one ControlNet under two names."""
    folder = tmp_path_factory.mktemp("instantid")
    write_pack(folder / "insightface" / "models", PACKS["antelopev2"], seed=2)
    _, widths, context_dim = unet_sizes(checkpoint)
    tensors = projector_tensors(FaceResampler(512, 16, 1280, 20, context_dim, 4))
    save(tensors | layer_tensors(SDXL, widths, context_dim), folder / f"{ADAPTER}.safetensors", torch.float16)
    control = save(controlnet_tensors(checkpoint), folder / f"{CONTROL}.safetensors", torch.float16)
    (folder / f"{OTHER}.safetensors").symlink_to(control)
    return folder


@pytest.fixture(scope="module", params=["built in"] if BUILT_IN else ["ControlNet first", "ControlNet last"])
def webui(request, folder: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    named = {"ControlNet last": "zz"}.get(request.param, "a")
    with beside(folder, checkpoint, tmp_path_factory, named) as server:
        yield server


@contextlib.contextmanager
def beside(folder: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[WebUI]:
    """Run a web UI with the extension under a name, or with its own ControlNet, and with these files."""
    named = tmp_path_factory.mktemp("named") / name
    named.symlink_to(CONTROLNET or folder)
    own_models = where_forge_looks(folder) if BUILT_IN else contextlib.nullcontext()
    with own_models, beside_controlnet(Files(folder), tmp_path_factory.mktemp("webui"), named) as server:
        if not server.has_insightface():
            pytest.skip(NO_INSIGHTFACE)
        server.use(checkpoint)
        if not BUILT_IN:  # takes a ControlNet's widths from its file
            narrow_controlnet(server, checkpoint)
        yield server


@contextlib.contextmanager
def where_forge_looks(folder: Path) -> Iterator[None]:
    """Put the face models where Forge's InstantID looks for them, with the three that it requires but does not use."""
    pack = folder / "insightface" / "models" / "antelopev2"
    for name in ("1k3d68.onnx", "2d106det.onnx", "genderage.onnx"):
        (pack / name).symlink_to(pack / "glintr100.onnx")
    link = Path(FOLDER or "", "models", "insightface")
    if link.is_dir():  # the web UI's own face models
        link = link / "models" / "antelopev2"
        if link.exists():
            pytest.skip("the web UI has its own antelopev2, and the adapter here is for made face models")
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(pack)
    else:
        link.symlink_to(folder / "insightface")
    try:
        yield
    finally:
        link.unlink()


def listed(webui: WebUI, model: str) -> str:
    names = webui.call("/controlnet/model_list?update=true")["model_list"]
    return next(each for each in names if each.startswith(model))


def control(webui: WebUI, model: str = CONTROL) -> dict[str, Any]:
    """Return a ControlNet unit whose ControlNet gets the face's key points."""
    asked = {"image": text_of(FACE), "width": 128, "height": 128}
    points = webui.call("/ipadapter/keypoints", asked)["image"]
    module = "None" if BUILT_IN else "none"
    return {"enabled": True, "module": module, "model": listed(webui, model), "image": points, "weight": 0.7}


def pair(webui: WebUI, folder: Path) -> list[dict[str, Any]]:
    """Return ControlNet's own two units; in the extension the first one's preprocessor makes the face embedding."""
    unit: dict[str, Any] = {"enabled": True, "model": listed(webui, ADAPTER), "weight": asked_for(0.8)}
    if BUILT_IN:
        return [unit | {"module": "InsightFace (InstantID)", "image": text_of(FACE)}, control(webui)]
    (face,) = find_faces(FACE, *model_paths(PACKS["antelopev2"], [folder / "insightface" / "models"]))
    kept = io.BytesIO()
    torch.save(torch.tensor([face.embedding]), kept)
    vector = base64.b64encode(kept.getvalue()).decode()
    return [unit | {"module": "instant_id_face_embedding", "ipadapter_input": vector}, control(webui)]


def generate(webui: WebUI, units: list[dict[str, Any]], *own: dict[str, Any], **more: Any) -> Made:
    made = webui.generate(*own, scripts={"controlnet": {"args": units}} if units else {}, **SMALL, **more)
    made.pictures = made.pictures[: more.get("batch_size", 1)]  # the ControlNet's input follows them
    return made


def unit(**more: Any) -> dict[str, Any]:
    return {"model": ADAPTER, "images": [text_of(FACE)], "weight": 0.8, **more}


def test_one_unit_with_one_controlnet_unit_equals_controlnets_own_pair(webui: WebUI, folder: Path) -> None:
    plain = generate(webui, [])
    alone = generate(webui, [], unit())
    theirs = generate(webui, pair(webui, folder))
    left = webui.hooks()  # ControlNet leaves forwards on modules that had none
    ours = generate(webui, [control(webui)], unit())
    of_text = generate(webui, [control(webui, OTHER)], unit())
    assert ours - alone > 3, "the ControlNet does nothing"
    same = of_text if REFORGE else ours  # reForge's ControlNet gets the text, for lack of its own file's name
    assert same - theirs <= 1, f"mean difference {same.mean_difference(theirs):.5f}"
    assert ours - of_text > 3, "the ControlNet sees the text"
    assert generate(webui, pair(webui, folder)) - theirs == 0, "ControlNet's own pair is as before"
    assert generate(webui, []) - plain == 0
    assert webui.hooks() == left


def test_the_controlnet_alone_is_given_the_face_too(webui: WebUI, folder: Path) -> None:
    units = pair(webui, folder)
    units[0]["weight"] = 0.0
    assert generate(webui, [control(webui)], unit(weight=0)) - generate(webui, units) <= 1


HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Lanczos", "denoising_strength": 0.7}


@pytest.mark.parametrize("more", [{}, HIRES, {"batch_size": 2}], ids=["plain", "hires fix", "batch"])
def test_batched_and_separate_rows_give_the_same_picture(webui: WebUI, more: dict[str, Any]) -> None:
    """The ControlNet extension's marks do not distinguish rows in hires passes, but the denoiser does."""
    for negative in ("blurry", LONG):
        made, separate = (
            generate(webui, [control(webui)], unit(), negative_prompt=negative, way=way, **more)
            for way in ("", "separate")
        )
        assert made - separate <= 1, f"mean difference {made.mean_difference(separate):.5f}"


def test_a_unit_that_cannot_run_stops_the_generation(webui: WebUI, files: Files) -> None:
    with pytest.raises(RefusedError, match="has no detectable face"):
        generate(webui, [control(webui)], unit(images=[reference()]))
