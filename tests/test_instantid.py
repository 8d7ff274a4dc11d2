"""InstantID from a picture to the U-Net, compared with its authors' networks, which are IP-Adapter's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from makers import adapter_tensors, save, text_of
from small_host import Processing, SmallHost
from torch import Tensor, nn
from unets import AsLdm, authors_processors, diffusers_sdxl

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.engine.session import Session
from lib_ipadapter.networks.unet_sites import SDXL
from lib_ipadapter.port import COND, UNCOND, Row
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.web.file_lists import list_adapters
from lib_ipadapter.weights.adapter_file import open_adapter

pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed at this end of the versions")
pytest.importorskip("diffusers", reason="diffusers, an oracle, is not installed at this end of the versions")

from face_models import draw_faces, find_faces, write_pack

from lib_ipadapter.faces.insightface_models import PACKS, model_paths

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface's own, of scikit-image

CONTEXT, INNER, TOKENS = 64, 128, 16
ROWS = (Row(COND, 0), Row(COND, 1), Row(UNCOND, 0), Row(UNCOND, 1))
FACE = draw_faces((320, 320, 256))
FACE_TEXT = text_of(FACE)


def close(made: Tensor, expected: Tensor, relative: float = 1e-5) -> bool:
    return (made - expected).abs().max().item() <= relative * expected.abs().max().item()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both packs of face models, whose embeddings differ, and one file under two names."""
    folder = tmp_path_factory.mktemp("instantid")
    write_pack(folder / "faces", PACKS["buffalo_l"], seed=1)
    write_pack(folder / "faces", PACKS["antelopev2"], seed=2)
    tensors = adapter_tensors("face-resampler", SDXL, (64, 128), CONTEXT, tokens=TOKENS)
    save(tensors, folder / "ip-adapter.bin")
    save(tensors, folder / "ip-adapter-faceid-portrait_sdxl_unnorm.bin")
    return folder


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    return AsLdm(diffusers_sdxl(CONTEXT), SDXL)


@pytest.fixture
def host(folder: Path, unet: nn.Module) -> SmallHost:
    return SmallHost(folder, unet)


@pytest.fixture(scope="module")
def given() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    return torch.randn(4, 4, 8, 8), torch.tensor([500] * 4), torch.randn(4, 77, CONTEXT)


def unit(model: str = "ip-adapter", **more: Any) -> dict[str, Any]:
    return {"model": model, "images": [FACE_TEXT], **more}


def sample(host: SmallHost, given, *units: dict[str, Any]) -> Tensor:
    session, host.run = Session(host), None
    session.before_sampling(Processing(), units)
    assert not host.refused, host.refused
    host.run.inject(host.unet)
    try:
        host.run.begin_call(ROWS, 0.0, tuple(given[0].shape[-2:]))
        return host.unet(*given)
    finally:
        host.run.eject()


def face_embeddings(folder: Path, pack: str, image=FACE) -> Tensor:
    """Return the face embeddings, largest face first, as the recognition model returns them."""
    found = find_faces(image, *model_paths(PACKS[pack], [folder / "faces"]))
    return torch.tensor([face.embedding for face in found])


def authors_resampler(folder: Path) -> nn.Module:
    """Return the authors' resampler with the file's weights; for unconditional rows zeros go through it.

    Source: InstantX's InstantID, `pipeline_stable_diffusion_xl_instantid.py`, `_encode_prompt_image_emb`.
    """
    import diffusers.pipelines.controlnet as pipelines
    from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

    pipelines.MultiControlNetModel = MultiControlNetModel  # where the authors' package of 2023 looks for it
    from ip_adapter.resampler import Resampler

    theirs = Resampler(
        dim=INNER, depth=4, dim_head=64, heads=2, num_queries=TOKENS, embedding_dim=512, output_dim=CONTEXT, ff_mult=4
    )
    theirs.load_state_dict(torch.load(folder / "ip-adapter.bin", weights_only=True)["image_proj"])
    return theirs.eval()


@pytest.mark.parametrize("weight", [0.8, 1.0, -0.5])
def test_a_whole_unet_equals_the_authors_starting_from_the_picture(host, folder, unet, given, weight: float) -> None:
    made = sample(host, given, unit(weight=weight))
    embedding = face_embeddings(folder, "antelopev2").reshape([1, -1, 512])
    assert embedding.norm() > 5, "the embedding is to be used as it is, so its length must not be 1 by chance"
    with torch.no_grad():
        tokens = authors_resampler(folder)(torch.cat([embedding, torch.zeros_like(embedding)]))
    layers = {k: t for k, t in open_adapter(folder / "ip-adapter.bin").tensors().items() if k.startswith("ip_adapter.")}
    latents, steps, context = given
    before = dict(unet.unet.attn_processors)
    try:
        authors_processors(unet.unet, TOKENS, layers, weight)
        rows = torch.cat([context, tokens[[0, 0, 1, 1]]], dim=1)
        expected = unet.unet(latents, steps, rows).sample
    finally:
        unet.unet.set_attn_processor(before)
    assert close(made, expected)
    assert not close(made, unet(*given), 1e-2)


def test_its_embeddings_come_from_other_face_models_than_faceids(host, given) -> None:
    """One file read as InstantID and as Portrait unnorm: the networks are the same, the embeddings are not."""
    instantid, unnorm = (sample(host, given, unit(variant=variant)) for variant in ("InstantID", "unnorm"))
    assert not close(instantid, unnorm, 1e-2)
    assert torch.equal(sample(host, given, unit()), instantid)
    assert torch.equal(sample(host, given, unit("ip-adapter-faceid-portrait_sdxl_unnorm")), unnorm)


def test_the_list_of_adapters_names_the_face_models_it_needs(host) -> None:
    listed = list_adapters(Session(host))
    notes = {entry["name"]: entry["note"] for entry in listed}
    assert notes["ip-adapter.bin"] == "InstantID adapter by default, face models antelopev2"
    assert "unnorm adapter by its name, face models buffalo_l" in notes["ip-adapter-faceid-portrait_sdxl_unnorm.bin"]
    with_controlnet = {entry["name"] for entry in listed if entry["controlnet"]}
    assert with_controlnet == {"ip-adapter.bin"}


def test_the_nested_folder_of_the_archive_is_accepted(folder, unet, given, host, tmp_path) -> None:
    write_pack(tmp_path / "faces" / "antelopev2", PACKS["antelopev2"], seed=2)
    (tmp_path / "ip-adapter.bin").symlink_to(folder / "ip-adapter.bin")
    assert torch.equal(sample(SmallHost(tmp_path, unet), given, unit()), sample(host, given, unit()))


@pytest.mark.parametrize("missing", ["scrfd_10g_bnkps.onnx", "glintr100.onnx"])
@pytest.mark.parametrize("place", ["antelopev2", "antelopev2/antelopev2"])
def test_a_missing_model_is_named_with_its_folder(folder, unet, tmp_path, missing: str, place: str) -> None:
    write_pack((tmp_path / "faces" / place).parent, PACKS["antelopev2"], seed=2)
    write_pack(tmp_path / "faces", PACKS["buffalo_l"])  # which do not replace them
    (tmp_path / "faces" / place / missing).unlink()
    (tmp_path / "ip-adapter.bin").symlink_to(folder / "ip-adapter.bin")
    with pytest.raises(IPAdapterError) as refused:
        Session(SmallHost(tmp_path, unet)).preparation.prepare(read_unit(unit()), unet)
    sentence = str(refused.value)
    assert f"face models antelopev2, but {missing} is missing from {tmp_path / 'faces' / place}." in sentence
    assert "antelopev2.zip" in sentence
