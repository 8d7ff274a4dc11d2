"""Compared with ControlNet: equal to its IP-Adapter where that is correct, and correct where it is not.

IP_ADAPTER_CONTROLNET is the folder of the extension for AUTOMATIC1111, which is linked into the web UI while these
tests run; Forge has its own built in.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import layer_tensors, projector_tensors, save
from safetensors import safe_open

from host.conftest import FOLDER, OURS, PYTHON, started
from host.test_engine import LONG, MANY
from host.webui import UNET, Files, Made, WebUI, kind_of, reference, smallest_in, unet_sizes
from lib_ipadapter.networks.unet_sites import SD
from lib_ipadapter.weights.projectors import LinearProjector, Resampler
from lib_ipadapter.weights.tensor_file import read_shapes

CONTROLNET = os.environ.get("IP_ADAPTER_CONTROLNET")
BUILT_IN = bool(FOLDER) and kind_of(Path(FOLDER)).forge
REFORGE = BUILT_IN and kind_of(Path(FOLDER)).name == "reForge"
pytestmark = pytest.mark.skipif(
    not (CONTROLNET or BUILT_IN), reason="no ControlNet: set IP_ADAPTER_CONTROLNET to the folder of the extension"
)

WIDTH, LAYERS = 1280, 32
"""ViT-H/14, which ControlNet builds at full size whatever the file holds."""

HINT = (3, 16, 16, 32, 32, 96, 96, 256)
"""Channels between the convolutions that a ControlNet's picture goes through."""


def controlnet_tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Return a random ControlNet: a copy of the U-Net's first half, the hint's layers and the outputs' layers."""
    prefix, copied = "model.diffusion_model.", ("time_embed.", "label_emb.", "input_blocks.", "middle_block.")
    with safe_open(str(checkpoint), "pt") as file:
        names = [name for name in file.keys() if name.startswith(tuple(prefix + part for part in copied))]  # noqa: SIM118
        made = {name.removeprefix(prefix): file.get_tensor(name).float() for name in names}
    torch.manual_seed(9)
    channels = made["input_blocks.0.0.weight"].shape[0]
    for i, (entering, leaving) in enumerate(zip(HINT, (*HINT[1:], channels), strict=True)):
        made[f"input_hint_block.{2 * i}.weight"] = torch.randn(leaving, entering, 3, 3) * (9 * entering) ** -0.5
        made[f"input_hint_block.{2 * i}.bias"] = torch.zeros(leaving)
    blocks = 1 + max(int(name.split(".")[1]) for name in made if name.startswith("input_blocks."))
    leaving = [f"input_blocks.{i}.0.{end}" for i in range(blocks) for end in ("bias", "op.bias", "out_layers.3.bias")]
    widths = [len(made[name]) for name in leaving if name in made]
    for name, width in [*((f"zero_convs.{i}.0", w) for i, w in enumerate(widths)), ("middle_block_out.0", widths[-1])]:
        made[f"{name}.weight"] = torch.randn(width, width, 1, 1) * width**-0.5
        made[f"{name}.bias"] = torch.zeros(width)
    return made


def narrow_controlnet(webui: WebUI, checkpoint: Path) -> None:
    """Have the ControlNet extension, which knows no narrow checkpoints, build ControlNets for this one."""
    shapes = read_shapes(checkpoint)
    label = shapes.get(f"{UNET}label_emb.0.0.weight", (0, 0))
    sizes = {"channels": shapes[f"{UNET}input_blocks.0.0.weight"][0], "adm": label[1]}
    webui.call("/ip-adapter-oracle/narrow-controlnet", sizes)


def asked_for(weight: float) -> float:
    """Return the weight to request of a web UI's own IP-Adapter to get this one.

    reForge multiplies by it twice (sd_forge_ipadapter/lib_ipadapter/IPAdapterPlus.py, `CrossAttentionPatch`).
    """
    return weight**0.5 if REFORGE else weight


def vit_h() -> dict[str, torch.Tensor]:
    """Return ViT-H with random weights in the Hugging Face layout."""
    torch.manual_seed(8)
    made = {
        "embeddings.class_embedding": torch.randn(WIDTH),
        "embeddings.patch_embedding.weight": torch.randn(WIDTH, 3, 14, 14) * 0.04,
        "embeddings.position_embedding.weight": torch.randn(257, WIDTH) * 0.5,
    }
    norms = ["pre_layrnorm", "post_layernorm"]
    for layer in range(LAYERS):
        prefix = f"encoder.layers.{layer}"
        norms += [f"{prefix}.layer_norm1", f"{prefix}.layer_norm2"]
        sizes = dict.fromkeys([f"self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj")], (1, 1))
        for name, (rows, columns) in (sizes | {"mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}).items():
            rows, columns = rows * WIDTH, columns * WIDTH
            made[f"{prefix}.{name}.weight"] = torch.randn(rows, columns) * 0.5 * columns**-0.5
            made[f"{prefix}.{name}.bias"] = torch.zeros(rows)
    for norm in norms:
        made |= {f"{norm}.weight": torch.ones(WIDTH), f"{norm}.bias": torch.zeros(WIDTH)}
    made = {f"vision_model.{name}": tensor for name, tensor in made.items()}
    return made | {"visual_projection.weight": torch.randn(1024, WIDTH) * WIDTH**-0.5}


PROJECTORS = {"base": LinearProjector, "plus": Resampler}
SIZES = {"base": (1024, 4, 768), "plus": (WIDTH, 16, 768, 12, 768, 4)}


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    """The smallest SD1 checkpoint that the web UI has."""
    return smallest_in(Path(FOLDER), SD, [768])


@pytest.fixture(scope="module")
def own_files(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Files:
    """Adapters, and ViT-H in a place where both ControlNet and the extension find it.

    All files are written before the web UI starts, because Forge looks only then.
    """
    files = Files(tmp_path_factory.mktemp("controlnet"))
    folder = files.folder
    _, widths, context_dim = unet_sizes(checkpoint)
    for family, projector in PROJECTORS.items():
        tensors = projector_tensors(projector(*SIZES[family])) | layer_tensors(SD, widths, context_dim)
        save(tensors, folder / f"ip-adapter_{family}_sd15.safetensors", torch.float16)
    tower = save(vit_h(), folder / "CLIP-ViT-H-14.safetensors", torch.float16)
    if not BUILT_IN:  # the extension reads a file that the web UI's torch wrote
        (folder / "clip_vision").mkdir()
        code = (
            "import sys, torch; from safetensors.torch import load_file as l; torch.save(l(sys.argv[1]), sys.argv[2])"
        )
        subprocess.run([PYTHON, "-c", code, tower, folder / "clip_vision" / "clip_h.pth"], check=True)
        tower.unlink()
    return files


@pytest.fixture(scope="module")
def webui(own_files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    with beside_controlnet(own_files, tmp_path_factory.mktemp("webui")) as server:
        yield server


@contextlib.contextmanager
def beside_controlnet(files: Files, kept: Path, controlnet: str | Path | None = CONTROLNET) -> Iterator[WebUI]:
    """Run a web UI with ControlNet and its models; extensions load in the order of their names."""
    folder = str(files.folder)
    settings = {"control_net_models_path": folder, "control_net_modules_path": folder}
    extensions = OURS if BUILT_IN else (*OURS, Path(controlnet or ""))
    flags = f"--controlnet-preprocessor-models-dir {folder}" * BUILT_IN
    with started(Path(FOLDER or ""), PYTHON or "", files, kept, *extensions, flags=flags, settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def adapters(webui: WebUI, checkpoint: Path) -> dict[str, str]:
    """Adapters for the checkpoint, by family."""
    webui.use(checkpoint)
    return {family: f"ip-adapter_{family}_sd15" for family in PROJECTORS}


def controlnets(webui: WebUI, model: str, image: str, weight: float) -> dict[str, Any]:
    """Return the API's arguments for ControlNet's IP-Adapter."""
    listed = webui.call("/controlnet/model_list?update=true")["model_list"]
    name = next(each for each in listed if each.startswith(model))
    module = "CLIP-ViT-H (IPAdapter)" if BUILT_IN else "ip-adapter_clip_sd15"
    unit = {"enabled": True, "module": module, "model": name, "image": image, "weight": asked_for(weight)}
    return {"controlnet": {"args": [unit]}}


def theirs(webui: WebUI, model: str, image: str, **more) -> Made:
    """Return the picture that ControlNet's IP-Adapter makes."""
    made = webui.generate(scripts=controlnets(webui, model, image, 0.8), **more)
    made.pictures = made.pictures[: more.get("batch_size", 1)]  # the encoder's input follows them
    return made


def ours(webui: WebUI, model: str, image: str, **more) -> Made:
    return webui.generate({"model": model, "images": [image], "weight": 0.8}, **more)


@pytest.mark.parametrize("family", ["base", "plus"])
def test_it_equals_controlnets_ip_adapter(webui: WebUI, adapters: dict[str, str], family: str) -> None:
    image = reference(5, 224, 224)  # the encoder's size, because ControlNet resizes in another way
    if family == "plus" and not BUILT_IN:  # ControlNet has the published encoder's unconditional features in a file
        webui.call(
            "/ip-adapter-oracle/uncond",
            {"path": str(Path(CONTROLNET, "annotator", "clipvision", "clip_vision_h_uc.data"))},
        )
    convention = {"settings": {"ipadapter_unconditional": "black"}} if BUILT_IN else {}
    plain = webui.generate()
    made, expected = ours(webui, adapters[family], image, **convention), theirs(webui, adapters[family], image)
    assert made - plain > 5
    assert made - expected <= 1
    assert webui.generate() - plain == 0


WAYS = {
    "CFG 1": {"cfg_scale": 1},
    "long negative": {"negative_prompt": LONG},
    "long negative, separate": {"negative_prompt": LONG, "way": "separate"},
    "prompts joined by AND": {"prompt": MANY},
    "batch of 2": {"batch_size": 2},
    "hires fix": {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Lanczos", "denoising_strength": 0.7},
}


@pytest.mark.parametrize("way", WAYS)
def test_it_equals_forges_ip_adapter_however_rows_are_split(webui: WebUI, adapters: dict[str, str], way: str) -> None:
    image, settings = reference(5, 224, 224), WAYS[way]
    made, expected = (make(webui, adapters["base"], image, **settings) for make in (ours, theirs))
    assert made - expected <= 1


def test_it_is_correct_where_controlnet_is_not(webui: WebUI, files: Files, adapters: dict[str, str]) -> None:
    """ControlNet also gives the reference to a long negative prompt, which is evaluated separately; we do not."""
    image, prompts = reference(5, 224, 224), {"negative_prompt": LONG, "cfg_scale": 7}
    made, wrong = ours(webui, adapters["base"], image, **prompts), theirs(webui, adapters["base"], image, **prompts)
    padded = ours(webui, adapters["base"], image, **prompts, settings={"batch_cond_uncond": False})
    assert made - padded <= 1
    assert made.mean_difference(wrong) > 5, f"ControlNet's picture differs by {made.mean_difference(wrong):.1f} levels"


def test_both_add_their_share_in_one_generation(webui: WebUI, adapters: dict[str, str]) -> None:
    """Two units of weight 0.5 equal one of 1, because terms are summed, whichever extension adds them."""
    image = reference(5, 224, 224)
    scripts = controlnets(webui, adapters["base"], image, 0.3)
    both = webui.generate({"model": adapters["base"], "images": [image], "weight": 0.5}, scripts=scripts)
    both.pictures = both.pictures[:1]
    assert webui.logged(f"{adapters['base']} is also active in a ControlNet unit") == 1
    assert both - ours(webui, adapters["base"], image) <= 1
