"""Each missing file of a kind of adapter is refused with its own reason, and several references of one person, up to
ten with weights, give the same tokens as the authors' package."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import adapter_tensors, lora_tensors, save, text_of
from small_host import CONTEXT, FEATURES, STATES, WIDTHS, SmallHost, photo, save_tower
from torch import nn

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.engine.session import Session
from lib_ipadapter.networks.unet_sites import SD
from lib_ipadapter.unit.read_args import read_unit

pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed at this end of the versions")

from face_models import draw_faces, find_faces, write_pack

from lib_ipadapter.faces.insightface_models import PACKS, model_paths

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface's own, of scikit-image

SIZE: dict[str, Any] = {"widths": WIDTHS, "context_dim": CONTEXT}
TOWER, BUFFALO, ANTELOPE = "tower.safetensors", "faces/buffalo_l", "faces/antelopev2"
BOTH = (f"{BUFFALO}/det_10g.onnx", f"{BUFFALO}/w600k_r50.onnx")
KINDS = {
    "base": ("base", 4, FEATURES, (TOWER,)),
    "plus": ("plus", 8, STATES, (TOWER,)),
    "full-face": ("full-face", 5, STATES, (TOWER,)),
    "faceid": ("faceid", 4, STATES, BOTH),
    "faceid-plus": ("faceid-plus", 4, STATES, (TOWER, *BOTH)),
    "faceid-plusv2": ("faceid-plus", 4, STATES, (TOWER, *BOTH)),
    "portrait": ("faceid", 16, STATES, BOTH),
    "unnorm": ("face-resampler", 16, STATES, BOTH),
    "instantid": (
        "face-resampler",
        16,
        STATES,
        (f"{ANTELOPE}/antelopev2/scrfd_10g_bnkps.onnx", f"{ANTELOPE}/antelopev2/glintr100.onnx"),
    ),
}
"""Every kind that runs, by its file name: family, tokens, the features it uses, and the files it needs."""

FACE = text_of(draw_faces((320, 320, 256)))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    save_tower(folder / TOWER)
    write_pack(folder / "faces", PACKS["buffalo_l"], seed=1)
    write_pack(folder / ANTELOPE, PACKS["antelopev2"], seed=2)  # as its archive unpacks
    for name, (family, tokens, width, _) in KINDS.items():
        save(adapter_tensors(family, SD, tokens=tokens, width=width, **SIZE), folder / f"{name}.bin")
    save(adapter_tensors("faceid", SD, **SIZE) | lora_tensors(SD, WIDTHS, CONTEXT), folder / "faceid-lora.bin")
    return folder


def folder_without(files: Path, place: Path, missing: str) -> Path:
    """Return a folder like `files` without one file."""
    for path in files.rglob("*"):
        name = path.relative_to(files)
        if path.is_file() and name.as_posix() != missing:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).symlink_to(path)
    return place


def prepare(folder: Path, unet: nn.Module, model: str, **more: Any) -> Any:
    images = [photo()] if model in ("base", "plus", "full-face") else [FACE]
    given = {"model": model, "images": images, **more}
    return Session(SmallHost(folder, unet)).preparation.prepare(read_unit(given), unet)


@pytest.mark.parametrize("kind", KINDS)
def test_with_all_its_files_each_kind_runs(files, unet, kind: str) -> None:
    prepared = prepare(files, unet, kind)
    assert prepared.keys_values.tokens == KINDS[kind][1]


@pytest.mark.parametrize(("kind", "missing"), [(kind, file) for kind in KINDS for file in KINDS[kind][3]])
def test_a_missing_file_is_named_with_its_folder_and_what_to_do(files, unet, tmp_path, kind: str, missing: str) -> None:
    folder = folder_without(files, tmp_path, missing)
    with pytest.raises(IPAdapterError) as refused:
        prepare(folder, unet, kind)
    sentence = str(refused.value)
    if missing == TOWER:
        assert f"{kind}.bin needs the image encoder" in sentence
        assert f"no file with it was found. Put one (.safetensors, .bin or .pth) into {folder}" in sentence
    else:
        model, pack = Path(missing).name, missing.split("/")[1]
        assert (
            f"needs insightface's face models {pack}, but {model} is missing from {(folder / missing).parent}."
            in sentence
        )
        assert f"insightface publishes it in {pack}.zip for non-commercial research only" in sentence


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_adapter_is_named(files, unet, tmp_path, kind: str) -> None:
    folder = folder_without(files, tmp_path, f"{kind}.bin")
    with pytest.raises(IPAdapterError, match=rf"{kind}"):
        prepare(folder, unet, f"{kind}.bin")


def test_a_missing_lora_is_refused_if_requested_and_otherwise_a_warning(files, unet, caplog) -> None:
    for kind in ("faceid", "faceid-plus", "faceid-plusv2"):
        with pytest.raises(
            IPAdapterError, match=rf"lora_weight has no effect: {kind}.bin contains no LoRA, and {kind}_lora"
        ):
            prepare(files, unet, kind, lora_weight=0.7)
        with caplog.at_level(logging.WARNING):
            assert prepare(files, unet, kind).lora is None
        assert f"{kind}_lora.safetensors was not found next to it: the likeness will be weak." in caplog.text
        assert prepare(files, unet, kind, lora_weight=0).lora is None
    assert prepare(files, unet, "faceid-lora", lora_weight=0.7).lora


def test_face_models_that_fall_back_to_the_cpu_are_named_where_they_were_used(files, unet, monkeypatch) -> None:
    monkeypatch.setattr(SmallHost, "face_device", lambda _: torch.device("cuda"))  # the tests' onnxruntime has no CUDA
    preparation = Session(SmallHost(files, unet)).preparation
    unit = read_unit({"model": "portrait", "images": [FACE]})
    (warning,) = preparation.prepare(unit, unet).warnings
    assert warning.startswith("The face models ran on the CPU: the installed onnxruntime has no CUDA support")
    assert preparation.prepare(unit, unet).warnings == ()
    monkeypatch.setattr(SmallHost, "face_device", lambda _: torch.device("cpu"))
    assert Session(SmallHost(files, unet)).preparation.prepare(unit, unet).warnings == ()


# Several references of one person


PHOTOS = [draw_faces((320, 320, 256), seed=seed) for seed in range(10)]


def face_embeddings(files: Path, pack: str, count: int) -> torch.Tensor:
    paths = model_paths(PACKS[pack], [files / "faces"])
    return torch.tensor([find_faces(each, *paths)[0].embedding for each in PHOTOS[:count]])


def image_tokens(files: Path, unet: nn.Module, model: str, images: list[Any], **more: Any) -> torch.Tensor:
    """Return the image tokens of a unit: (sets, tokens, context dim), the unconditional ones first."""
    given = {"model": model, "images": images, **more}
    prepared = Session(SmallHost(files, unet)).preparation.prepare(read_unit(given), unet)
    return prepared.keys_values.image_tokens


def weights_of(files: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(files / f"{name}.bin", weights_only=True)["image_proj"]


def authors_projector(files: Path, name: str) -> nn.Module:
    pytest.importorskip("diffusers", reason="diffusers, an oracle, is not installed at this end of the versions")
    import diffusers.pipelines.controlnet as pipelines
    from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

    pipelines.MultiControlNetModel = MultiControlNetModel  # where the authors' package of 2023 looks for it
    from ip_adapter.ip_adapter_faceid import MLPProjModel
    from ip_adapter.resampler import Resampler

    theirs = (
        Resampler(128, 4, 64, 2, 16, 512, CONTEXT, 4)
        if name == "instantid"
        else MLPProjModel(CONTEXT, 512, KINDS[name][1])
    )
    theirs.load_state_dict(weights_of(files, name))
    return theirs.eval()


@pytest.mark.parametrize(("kind", "count"), [("faceid", 10), ("portrait", 5), ("instantid", 10)])
def test_several_photos_of_a_person_equal_the_authors_concatenated_tokens(files, unet, kind: str, count: int) -> None:
    """Portrait's authors use five photos: five times sixteen tokens in one softmax."""
    made = image_tokens(files, unet, kind, [text_of(each) for each in PHOTOS[:count]])
    theirs = authors_projector(files, kind)
    with torch.no_grad():
        if kind == "instantid":
            expected = theirs(face_embeddings(files, ["antelopev2", "antelopev2"][0], count)[:, None])
        else:
            expected = theirs(nn.functional.normalize(face_embeddings(files, "buffalo_l", count)))
    assert made.shape == (1 + count, KINDS[kind][1], CONTEXT)
    assert torch.allclose(made[1:], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["faceid", "portrait", "instantid"])
def test_ten_photos_of_a_person_are_averaged_by_their_weights(files, unet, kind: str) -> None:
    weights = [0.1 * (i + 1) for i in range(10)]
    images = [{"image": text_of(each), "weight": weight} for each, weight in zip(PHOTOS, weights, strict=True)]
    _, made = image_tokens(files, unet, kind, images, combine="average")
    seen = face_embeddings(files, "antelopev2", 10) if kind == "instantid" else face_embeddings(files, "buffalo_l", 10)
    seen = seen if kind == "instantid" else nn.functional.normalize(seen)
    mean = (seen * torch.tensor(weights)[:, None]).sum(dim=0, keepdim=True) / sum(weights)
    theirs = authors_projector(files, kind)
    with torch.no_grad():
        expected = theirs(mean[:, None] if kind == "instantid" else mean)[0]
    assert torch.allclose(made, expected, atol=1e-5)


def test_a_photos_weight_scales_its_share_of_concatenated_tokens(files, unet) -> None:
    images = [{"image": text_of(each), "weight": weight} for each, weight in zip(PHOTOS[:3], (1, 0.25, 0), strict=True)]
    given = {"model": "portrait", "images": images}
    prepared = Session(SmallHost(files, unet)).preparation.prepare(read_unit(given), unet)
    (group,) = prepared.plan.groups
    assert group.weights == (1, 0.25), "a photo without weight is left out"
    assert len(group.sets) == 2
