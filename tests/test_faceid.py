"""FaceID from a picture to the U-Net, compared with the authors' package and diffusers: tokens, LoRA, and both."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from makers import adapter_tensors, lora_tensors, picture, save, text_of
from small_host import STATES, Processing, SmallHost, save_tower
from torch import Tensor, nn
from unets import as_diffusers, authors_processors, ldm_unet

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.engine import prepare as preparation
from lib_ipadapter.engine.session import Session
from lib_ipadapter.engine.tokens import project
from lib_ipadapter.networks.unet_sites import SD, SDXL
from lib_ipadapter.pictures.crops import resize_for
from lib_ipadapter.pictures.preprocess import to_pixels
from lib_ipadapter.port import COND, UNCOND, PassInfo, Row
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.weights.adapter_file import open_adapter
from lib_ipadapter.weights.clip_vision import EncoderFile
from lib_ipadapter.weights.lora_layers import lora_layers
from lib_ipadapter.weights.loras import separate_lora

pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed at this end of the versions")
pytest.importorskip("diffusers", reason="diffusers, an oracle, is not installed at this end of the versions")

from face_models import draw_faces, find_faces, write_pack

from lib_ipadapter.faces.insightface_models import PACKS, align, model_paths

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface's own, of scikit-image

SIZE: dict[str, Any] = {"widths": (32, 64, 128), "context_dim": 768}
ROWS = (Row(COND, 0), Row(COND, 1), Row(UNCOND, 0), Row(UNCOND, 1))
FACE, TWO = draw_faces((320, 320, 256)), draw_faces((150, 200, 128), (450, 400, 128), seed=3)
FACE_TEXT = text_of(FACE)


def close(made: Tensor, expected: Tensor, relative: float = 1e-5) -> bool:
    return (made - expected).abs().max().item() <= relative * expected.abs().max().item()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faceid")
    write_pack(folder / "faces", PACKS["buffalo_l"])
    save_tower(folder / "tower.safetensors")
    lora = lora_tensors(SD, SIZE["widths"], 768)
    faceid = adapter_tensors("faceid", SD, **SIZE)
    save(faceid | lora, folder / "faceid.bin")
    save(faceid, folder / "alone.safetensors")
    save(adapter_tensors("faceid", SD, tokens=16, **SIZE), folder / "portrait.safetensors")
    plus = adapter_tensors("faceid-plus", SD, width=STATES, **SIZE)
    for name in ("faceid-plus", "faceid-plusv2"):
        save(plus | lora, folder / f"{name}.bin")
    save(adapter_tensors("face-resampler", SD, tokens=16, **SIZE), folder / "unnorm.safetensors")
    return folder


@pytest.fixture(scope="module")
def unets() -> tuple[nn.Module, nn.Module]:
    """The same U-Net with SD1.5's layout in ldm's code, which web UIs run, and in diffusers', which oracles run."""
    unet = ldm_unet()
    return unet, as_diffusers(unet)


@pytest.fixture
def host(folder: Path, unets) -> SmallHost:
    return SmallHost(folder, unets[0])


@pytest.fixture(scope="module")
def given() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    return torch.randn(4, 4, 8, 8), torch.tensor([500] * 4), torch.randn(4, 77, 768)


def face_embeddings(folder: Path, image=FACE) -> Tensor:
    """Return the face embeddings, largest face first, as the recognition model returns them."""
    found = find_faces(image, *model_paths(PACKS["buffalo_l"], [folder / "faces"]))
    return torch.tensor([face.embedding for face in found])


def unit(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "images": [FACE_TEXT], **more}


def sample(host: SmallHost, given, *units: dict[str, Any], progress: float = 0.0) -> Tensor:
    session, host.run = Session(host), None
    session.before_sampling(Processing(), units)
    assert not host.refused, host.refused
    if host.run is None:
        return host.unet(*given)
    host.run.inject(host.unet)
    try:
        host.run.begin_call(ROWS, progress, (8, 8))
        return host.unet(*given)
    finally:
        host.run.eject()


def authors(unet: nn.Module, folder: Path, name: str, tokens: int) -> Any:
    """Return the authors' FaceID adapter on a diffusers U-Net, with its file loaded as their code does."""
    import diffusers.pipelines.controlnet as pipelines
    from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

    pipelines.MultiControlNetModel = MultiControlNetModel  # where the authors' package of 2023 looks for it
    from ip_adapter.ip_adapter_faceid import IPAdapterFaceID

    theirs = IPAdapterFaceID.__new__(IPAdapterFaceID)
    theirs.device, theirs.num_tokens, theirs.lora_rank = "cpu", tokens, 8
    theirs.ip_ckpt = str(folder / name)
    theirs.pipe = SimpleNamespace(unet=unet)
    theirs.set_ip_adapter()
    theirs.image_proj_model = theirs.init_proj().float()  # their code makes all in half precision
    nn.ModuleList(unet.attn_processors.values()).float()
    theirs.load_ip_adapter()
    return theirs


@pytest.mark.parametrize(("weight", "lora"), [(1.0, 1.0), (1.0, 0.0), (0.6, 0.7), (-0.5, -1.0)])
def test_a_whole_unet_equals_the_authors_starting_from_the_picture(unets, folder, host, given, weight, lora) -> None:
    made = sample(host, given, unit("faceid", weight=weight, lora_weight=lora))
    latents, steps, context = given
    before = dict(unets[1].attn_processors)
    try:
        theirs = authors(unets[1], folder, "faceid.bin", 4)
        theirs.set_scale(weight)
        for processor in unets[1].attn_processors.values():
            processor.lora_scale = lora
        embedding = nn.functional.normalize(face_embeddings(folder))
        tokens = [theirs.image_proj_model(each) for each in (embedding, torch.zeros_like(embedding))]
        rows = torch.cat([context, torch.cat([tokens[0], tokens[0], tokens[1], tokens[1]])], dim=1)
        expected = unets[1](latents, steps, rows).sample
    finally:
        unets[1].set_attn_processor(before)
    assert close(made, expected)
    assert not close(made, host.unet(*given), 1e-2)
    if lora:
        assert not close(made, sample(host, given, unit("faceid", weight=weight, lora_weight=0)), 1e-3)


def test_portrait_with_five_photos_equals_the_authors(unets, folder, host, given) -> None:
    """Five times sixteen tokens in one softmax, for unconditional rows too."""
    photos = [draw_faces((320, 320, 256), seed=seed) for seed in range(5)]
    made = sample(host, given, unit("portrait", images=[text_of(each) for each in photos], weight=0.8))
    adapter = open_adapter(folder / "portrait.safetensors")
    each = nn.functional.normalize(torch.cat([face_embeddings(folder, photo) for photo in photos]))
    cond, uncond = (project(adapter, adapter.tensors(), part).flatten(0, 1) for part in (each, torch.zeros_like(each)))
    latents, steps, context = given
    layers = {key: tensor for key, tensor in adapter.tensors().items() if key.startswith("ip_adapter.")}
    before = dict(unets[1].attn_processors)
    try:
        authors_processors(unets[1], len(cond), layers, 0.8)
        rows = torch.cat([context, torch.stack([cond, cond, uncond, uncond])], dim=1)
        expected = unets[1](latents, steps, rows).sample
    finally:
        unets[1].set_attn_processor(before)
    assert len(cond) == 80
    assert close(made, expected)


def tokens_of(host: SmallHost, model: str, **more: Any) -> list[Tensor]:
    """Return the image tokens from which a unit's keys are made: the unconditional set, then one per face."""
    seen: list[Tensor] = []
    keys_and_values = preparation.keys_and_values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "keys_and_values", lambda *a: seen.append(a[2]) or keys_and_values(*a))
        Session(host).preparation.prepare(read_unit(unit(model, **more)), host.unet)
    return list(seen[0][:, None])


def proj_of(folder: Path, name: str) -> dict[str, Tensor]:
    tensors = open_adapter(folder / name).tensors()
    return {key.removeprefix("image_proj."): t for key, t in tensors.items() if key.startswith("image_proj.")}


def test_faceids_tokens_equal_the_authors(host, folder) -> None:
    from ip_adapter.ip_adapter_faceid import MLPProjModel

    for name, count in (("faceid.bin", 4), ("portrait.safetensors", 16)):
        theirs = MLPProjModel(768, 512, count)
        theirs.load_state_dict(proj_of(folder, name))
        embedding = nn.functional.normalize(face_embeddings(folder))
        nothing, made = tokens_of(host, name)
        assert close(made, theirs(embedding))
        assert close(nothing, theirs(torch.zeros(1, 512)))


def test_portrait_unnorm_gets_the_embedding_without_normalisation(host, folder) -> None:
    from ip_adapter.resampler import Resampler

    theirs = Resampler(128, 4, 64, 2, 16, 512, 768, 4)
    theirs.load_state_dict(proj_of(folder, "unnorm.safetensors"))
    nothing, made = tokens_of(host, "unnorm")
    assert face_embeddings(folder).norm() > 5
    assert close(made, theirs(face_embeddings(folder)[None]))
    assert close(nothing, theirs(torch.zeros(1, 1, 512)))


@pytest.mark.parametrize(("name", "shortcut", "weight"), [("faceid-plus", False, 1), ("faceid-plusv2", True, 0.6)])
def test_faceid_plus_tokens_equal_diffusers(host, folder, name, shortcut, weight, monkeypatch) -> None:
    """Its encoder gets the aligned face in the picture's colours, and zeros for unconditional rows."""
    from diffusers.loaders.unet import UNet2DConditionLoadersMixin

    encoded: list[tuple[Tensor, Any]] = []
    encode = EncoderFile.encode

    def seen(encoder: Any, pixels: Iterable[Tensor], *more: Any) -> Any:
        given = list(pixels)
        made = encode(encoder, given, *more)
        encoded.extend(zip(given, made, strict=True))
        return made

    monkeypatch.setattr(EncoderFile, "encode", seen)
    nothing, made = tokens_of(host, name, **({"structure_weight": weight} if shortcut else {}))
    (empty, of_empty), (pixels, of_face) = encoded
    found = find_faces(FACE, *model_paths(PACKS["buffalo_l"], [folder / "faces"]))[0]
    assert not empty.any()
    assert torch.equal(pixels, to_pixels(resize_for(align(FACE, found, 224), pixels.shape[-1], "center")))
    convert = UNet2DConditionLoadersMixin()._convert_ip_adapter_image_proj_to_diffusers
    theirs: Any = convert(proj_of(folder, f"{name}.bin"), low_cpu_mem_usage=False)
    theirs.shortcut, theirs.shortcut_scale = shortcut, weight
    for tokens, embedding, states in (
        (made, nn.functional.normalize(face_embeddings(folder)), of_face.hidden),
        (nothing, torch.zeros(1, 512), of_empty.hidden),
    ):
        theirs.clip_embeds = states[None]
        assert close(tokens, theirs(embedding[None])[0])


def test_one_or_all_faces_of_a_picture_are_used(host, folder) -> None:
    both = nn.functional.normalize(face_embeddings(folder, TWO))
    adapter = open_adapter(folder / "portrait.safetensors")
    expected = project(adapter, adapter.tensors(), both)
    found = find_faces(TWO, *model_paths(PACKS["buffalo_l"], [folder / "faces"]))
    left = min((0, 1), key=lambda i: found[i].centre[0])
    for face, chosen in (("all", [0, 1]), ("left", [left]), ("right", [1 - left]), (1, [1])):
        made = tokens_of(host, "portrait", images=[text_of(TWO)], face=face)[1:]
        assert len(made) == len(chosen)
        assert all(close(tokens[0], expected[i]) for tokens, i in zip(made, chosen, strict=True))


def test_only_faces_in_the_box_are_used(host, folder) -> None:
    found = find_faces(TWO, *model_paths(PACKS["buffalo_l"], [folder / "faces"]))
    for face in found:
        edges = [edge / side for edge, side in zip(face.box, (*TWO.size, *TWO.size), strict=True)]
        box = [min(max(edge, 0), 1) for edge in edges]
        made = tokens_of(host, "portrait", images=[{"image": text_of(TWO), "box": box}], face="all")[1:]
        expected = tokens_of(host, "portrait", images=[text_of(TWO)], face=found.index(face))[1:]
        assert len(made) == 1
        assert torch.equal(made[0], expected[0])
    with pytest.raises(UnitError, match=r"images\[0\]\.box contains no face"):
        tokens_of(host, "portrait", images=[{"image": text_of(TWO), "box": [0, 0, 0.02, 0.02]}])


def test_several_pictures_of_a_person_are_concatenated_or_averaged(host, folder) -> None:
    images = [text_of(draw_faces((320, 320, 256), seed=seed)) for seed in (1, 2, 3)]
    each = torch.cat([face_embeddings(folder, draw_faces((320, 320, 256), seed=seed)) for seed in (1, 2, 3)])
    adapter = open_adapter(folder / "faceid.bin")
    joined = tokens_of(host, "faceid", images=images)[1:]
    assert len(joined) == 3
    (averaged,) = tokens_of(host, "faceid", images=images, combine="average")[1:]
    mean = nn.functional.normalize(each).mean(dim=0, keepdim=True)
    assert close(averaged, project(adapter, adapter.tensors(), mean))


REFUSED = {
    "no face": (unit("faceid", images=[text_of(picture(200, 200))]), "images[0] has no detectable face"),
    "no such face": (unit("faceid", face=3), "face is 3, but one face was found in images[0]"),
    "tiles": (unit("faceid", tiles=True), "tiles has no effect with faceid.bin, a FaceID adapter"),
    "noise": (unit("faceid", noise=0.5, noise_type="fade"), "noise has no effect"),
    "structure without v2": (unit("faceid-plus", structure_weight=0.5), "structure_weight has no effect"),
    "a LoRA for portraits": (unit("portrait", lora_weight=0.5), "lora_weight has no effect"),
    "a variant it cannot be": (unit("faceid", variant="v2"), "variant does not fit: faceid.bin is a FaceID adapter"),
    "an encoder": (unit("faceid", encoder="tower"), "encoder is not used by faceid.bin"),
    "a LoRA that is missing": (unit("alone", lora_weight=0.5), "alone_lora.safetensors was not found next to it"),
    "all and each": (unit("faceid", face="all", unfold=True), "face cannot be combined with unfold"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_run_is_refused_with_a_reason(host, case: str) -> None:
    given, words = REFUSED[case]
    with pytest.raises(IPAdapterError) as refused:
        Session(host).preparation.prepare(read_unit(given), host.unet)
    assert words in str(refused.value)


def test_missing_face_models_are_refused_with_a_reason(host, folder, tmp_path) -> None:
    host.folder = tmp_path
    save(adapter_tensors("faceid", SD, **SIZE), tmp_path / "faceid.safetensors")
    with pytest.raises(IPAdapterError, match=r"needs insightface's face models buffalo_l, but det_10g.onnx and"):
        Session(host).preparation.prepare(read_unit(unit("faceid")), host.unet)


def separate(tensors: Mapping[str, Tensor], alpha: float | None = None, layout=SD) -> dict[str, Tensor]:
    """Return a LoRA with the names of the separately published files."""
    made: dict[str, Tensor] = {}
    for layer in lora_layers(layout):
        for inside, outside in zip(layer.inside, layer.separate, strict=True):
            made[outside] = tensors[inside]
        if alpha is not None:
            made[layer.alpha] = torch.tensor(alpha)
    return made


@pytest.mark.parametrize("where", ["beside", "loras/faces"])
@pytest.mark.parametrize("alpha", [None, 8.0, 4.0])
def test_a_lora_in_its_own_file_equals_the_one_inside(host, folder, given, where, alpha, tmp_path) -> None:
    lora = lora_tensors(SD, SIZE["widths"], 768)
    expected = sample(host, given, unit("faceid", lora_weight=(alpha or 8) / 8))
    save(adapter_tensors("faceid", SD, **SIZE), tmp_path / "alone.safetensors")
    write_pack(tmp_path / "faces", PACKS["buffalo_l"])
    host.folder = tmp_path
    without = sample(host, given, unit("alone"))
    save(separate(lora, alpha), tmp_path / ("" if where == "beside" else where) / "ALONE_lora.safetensors")
    made = sample(host, given, unit("alone"))
    assert close(made, expected)
    assert not close(made, without, 1e-2)


def test_the_published_names_of_a_lora_match_its_layers() -> None:
    from published import SD_ATTENTIONS, SD_WIDTHS, SDXL_ATTENTIONS, SDXL_WIDTHS, built_in_lora, separate_lora

    for layout, attentions, widths, dim in (
        (SD, SD_ATTENTIONS, SD_WIDTHS, 768),
        (SDXL, SDXL_ATTENTIONS, SDXL_WIDTHS, 2048),
    ):
        inside, outside = built_in_lora(widths, dim), separate_lora(attentions, dim, alpha=True)
        of_layers = {name for layer in lora_layers(layout) for name in layer.inside}
        assert of_layers == set(inside)
        assert {name for layer in lora_layers(layout) for name in (*layer.separate, layer.alpha)} == set(outside)
        for layer in lora_layers(layout):
            assert [inside[name] for name in layer.inside] == [outside[name] for name in layer.separate]


def test_a_lora_that_does_not_fit_is_refused_with_a_reason(folder, tmp_path) -> None:
    adapter = open_adapter(folder / "faceid.bin")
    tensors = separate(lora_tensors(SD, SIZE["widths"], 768))
    first = lora_layers(SD)[0].separate[1]
    cases = {
        "is missing": {key: tensor for key, tensor in tensors.items() if key != first},
        "is not expected": tensors | {"lora_te_text_model": torch.zeros(2)},
        "has shape (31, 8)": tensors | {first: torch.zeros(31, 8)},
    }
    for words, given in cases.items():
        path = save(given, tmp_path / "faceid_lora.safetensors")
        with pytest.raises(IPAdapterError) as refused:
            separate_lora(path, adapter, SD)
        assert words in str(refused.value)


@pytest.fixture
def plain(host, given) -> Tensor:
    return host.unet(*given)


def test_a_lora_in_the_prompt_is_left_to_the_web_ui(host, given) -> None:
    on, off = (sample(host, given, unit("faceid", lora_weight=weight)) for weight in (1, 0))
    host.facts = PassInfo(loras=frozenset(["faceid_lora", "other"]))
    assert torch.equal(sample(host, given, unit("faceid")), off)
    host.facts = PassInfo(loras=frozenset(["faceid", "faceid_lora2"]))
    assert torch.equal(sample(host, given, unit("faceid")), on)


def test_a_lora_of_several_units_is_applied_once_at_its_largest_weight(host, given) -> None:
    twins = [unit("faceid", weight=0.5, lora_weight=weight) for weight in (0.3, 0.8)]
    alike = [unit("faceid", weight=0.5, lora_weight=weight) for weight in (0.8, 0.0)]
    assert torch.equal(sample(host, given, *twins), sample(host, given, *alike))


def test_a_lora_adds_nothing_where_its_unit_adds_nothing(host, given, plain) -> None:
    assert torch.equal(sample(host, given, unit("faceid", end=0.5), progress=0.6), plain)
    assert torch.equal(sample(host, given, unit("faceid", weight=0)), plain)
    assert torch.equal(sample(host, given, unit("faceid", **{"pass": "hires"})), plain)
    assert not close(sample(host, given, unit("faceid", start=0.5), progress=0.6), plain, 1e-2)


def hooks(unet: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in unet.modules())


def test_five_hundred_generations_leave_the_unet_as_it_was(host, given) -> None:
    before = {name: tensor.clone() for name, tensor in host.unet.state_dict().items()}
    session = Session(host)
    for i in range(500):
        host.run = None
        session.before_sampling(Processing(), [unit("faceid", lora_weight=i % 3 - 1)])
        host.run.inject(host.unet)
        host.run.begin_call(ROWS, 0.0, (8, 8))
        if i % 100 < 2:
            host.unet(*given)
        host.run.eject()
    assert hooks(host.unet) == 0
    after = host.unet.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert not host.refused


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_lora_hook_follows_the_dtype_of_its_layers_output(dtype: torch.dtype) -> None:
    """Under autocast, and with 8-bit weights, a layer's input has another dtype than its output."""
    from lib_ipadapter.networks.lora_hooks import LoraHooks

    class Casting(nn.Linear):
        def forward(self, entering: Tensor) -> Tensor:
            return super().forward(entering.float()).to(dtype)

    net = nn.ModuleDict({"layer": Casting(6, 5)})
    down, up = torch.randn(3, 6).half(), torch.randn(5, 3).half()
    side = LoraHooks(net, [{"layer": (down, up), "absent": (down, up)}])
    entering = torch.randn(2, 7, 6)
    plain = net["layer"](entering)
    side.inject()
    assert torch.equal(net["layer"](entering), plain)
    side.strengths = [0.5]
    made = net["layer"](entering)
    assert made.dtype == dtype
    expected = plain.double() + 0.5 * entering.double() @ down.double().T @ up.double().T
    assert close(made.double(), expected, 2e-2 if dtype != torch.float64 else 1e-6)
    side.eject()
    assert torch.equal(net["layer"](entering), plain)
