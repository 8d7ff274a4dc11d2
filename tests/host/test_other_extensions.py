"""With the extensions that people use: pictures equal the oracle's with the same extension, and no trace is left.

IP_ADAPTER_OTHER_EXTENSIONS is a folder with extensions, each in a folder with its repository's name. Those found are
linked into the web UI while these tests run; tests for the others are skipped. The web UI's Python must have what
they need. The web UI's built-in extensions are always tested.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import save, text_of
from PIL import Image

from host.conftest import FOLDER, OURS, PYTHON, started
from host.test_engine import LONG
from host.webui import LINK, Files, RefusedError, WebUI, kind_of, reference, unet_sizes

OTHERS = Path(os.environ.get("IP_ADAPTER_OTHER_EXTENSIONS", os.devnull))
pytestmark = pytest.mark.skipif(
    bool(FOLDER) and kind_of(Path(FOLDER)).forge, reason="these extensions were tried beside AUTOMATIC1111's web UI"
)
SIDE = 64
"""Sides of the pictures in pixels, where a case does not say."""

REGIONAL = "sd-webui-regional-prompter"
NEGPIP = "sd-webui-negpip"
TILED = "multidiffusion-upscaler-for-automatic1111"
THRESHOLDING = "sd-dynamic-thresholding"
FREEU = "sd-webui-freeu"
NEUTRAL = "sd-webui-neutral-prompt"
SAG = "sd_webui_SAG"
CUTOFF = "sd-webui-cutoff"
INCANTATIONS = "sd-webui-incantations"
ADETAILER = "adetailer"
ULTIMATE = "ultimate-upscale-for-automatic1111"
FUSION = "prompt-fusion-extension"
CADS = "sd-webui-cads"
KOHYA = "sd-webui-kohya-hiresfix"
COUPLE = "stable-diffusion-webui-two-shot"
DAEMON = "sd-webui-detail-daemon"
RESCALE = "CFG_Rescale_webui"
ANIMATEDIFF = "sd-webui-animatediff"

BUILT_IN = ""

GROUPS = {
    "built in": (BUILT_IN,),
    "one": (REGIONAL, NEGPIP, TILED, THRESHOLDING, FREEU, SAG, CUTOFF),
    "two": (NEUTRAL, INCANTATIONS, ADETAILER, ULTIMATE),
    "three": (FUSION, CADS, KOHYA, COUPLE, DAEMON, RESCALE),
    "four": (ANIMATEDIFF,),
}
"""Extensions that run together; neutral prompt breaks Regional Prompter's latent mode, without this one too."""


@dataclass(frozen=True)
class Case:
    """The request to another extension in the API."""

    folder: str
    scripts: dict[str, list[Any]]
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    own: int = 1
    """Levels by which two orders of summation can differ; more if a picture is rounded between passes."""


def regional(mode: str = "Matrix", calculation: str = "Attention", base: bool = False) -> dict[str, list[Any]]:
    options = ["1,1", "0.2", base, False, False, calculation, [False], "0", "0", "0.4", None, "0", "0", False]
    return {"regional prompter": [True, False, mode, "Columns", "Mask", "Prompt", *options]}


def tiled(method: str) -> dict[str, list[Any]]:
    return {"tiled diffusion": [True, method, True, False, 96, SIDE, 8, 8, 4, 4]}


def regions(method: str, background: bool = True) -> dict[str, list[Any]]:
    """Return arguments that give each half of the picture its own prompt in tiled diffusion."""
    (args,) = tiled(method).values()
    left = [True, 0.0, 0.0, 0.5, 1.0, "a blue house", "", "Background", 0.2, 5]
    right = [True, 0.5, 0.0, 0.5, 1.0, "a green tree", "", "Foreground", 0.2, 6]
    rest = ["None", 2.0, False, 10, 1, 1, 64, False, True, background, False]
    return {"tiled diffusion": [*args, *rest, *left, *right]}


MOTION = "host-test-motion.safetensors"
FRAMES = {"steps": 2, "settings": {"pad_cond_uncond": True}}


def animated(window: int) -> dict[str, list[Any]]:
    """Return arguments for eight frames with this context window."""
    asked = {"model": MOTION, "enable": True, "video_length": 8, "batch_size": window, "format": ["PNG"]}
    return {"animatediff": [asked]}


def motion_tensors(width: int) -> dict[str, torch.Tensor]:
    """Return a random motion module of the second version, for a U-Net of this width."""
    torch.manual_seed(11)
    levels = (1, 2, 4, 4)
    down = {f"down_blocks.{level}.motion_modules.{i}": times for level, times in enumerate(levels) for i in range(2)}
    up = {f"up_blocks.{level}.motion_modules.{i}": times for level, times in enumerate(levels[::-1]) for i in range(3)}
    made = {}
    for module, times in (down | up | {"mid_block.motion_modules.0": 4}).items():
        channels, start = times * width, f"{module}.temporal_transformer"
        block = f"{start}.transformer_blocks.0"
        norms, layers = [f"{start}.norm", f"{block}.ff_norm"], [(f"{start}.proj_in", 1, 1), (f"{start}.proj_out", 1, 1)]
        layers += [(f"{block}.ff.net.0.proj", 8, 1), (f"{block}.ff.net.2", 1, 4)]
        for i in range(2):
            norms.append(f"{block}.norms.{i}")
            attention = f"{block}.attention_blocks.{i}"
            layers.append((f"{attention}.to_out.0", 1, 1))
            made[f"{attention}.pos_encoder.pe"] = torch.randn(1, 32, channels) * 0.5
            for part in "qkv":
                made[f"{attention}.to_{part}.weight"] = torch.randn(channels, channels) * channels**-0.5
        for norm in norms:
            made |= {f"{norm}.weight": torch.ones(channels), f"{norm}.bias": torch.zeros(channels)}
        for layer, rows, columns in layers:
            sizes = rows * channels, columns * channels
            made |= {
                f"{layer}.weight": torch.randn(sizes) * 0.5 * sizes[1] ** -0.5,
                f"{layer}.bias": torch.zeros(sizes[0]),
            }
    return made


DEMOFUSION = [
    True,
    "DemoFusion",
    True,
    8,
    4,
    4,
    2,
    False,
    10,
    1,
    1,
    64,
    False,
    False,
    3,
    1,
    1,
    True,
    0.85,
    0.5,
    4,
    False,
]


PAG = [False, 11.0, 0, 150, False, 1.0, 0.8, 3.0, 0.0, 0, 150, 4, True, 3.0, 0, 150]
TWO = "a red cat BREAK a blue house"
LESS = "a red cat, (blue:-1.3)"
WIDE = {"width": 96, "steps": 2}
CHANGE: dict[str, Any] = {"mode": "img2img", "init_images": [reference(9, SIDE, SIDE)], "denoising_strength": 0.6}


def selected(title: str, *args: Any) -> dict[str, Any]:
    """Return arguments that run a selectable script on a picture."""
    return {**CHANGE, "script_name": title, "script_args": list(args)}


ULTIMATE_ARGS = ["", SIDE, 0, 8, 16, 32, 0.35, 16, 0, True, 0, False, 4, 0, 2, 2048, 2048, 1]

CASES = {
    "Regional Prompter, columns": Case(REGIONAL, regional(), {"prompt": TWO}),
    "Regional Prompter, as many in the negative": Case(
        REGIONAL, regional(), {"prompt": TWO, "negative_prompt": "blurry BREAK ugly"}
    ),
    "Regional Prompter, base, batch": Case(
        REGIONAL, regional(base=True), {"prompt": f"sunny BREAK {TWO}", "batch_size": 2}
    ),
    "Regional Prompter, latent, batch": Case(
        REGIONAL, regional(calculation="Latent"), {"prompt": TWO, "batch_size": 2}
    ),
    "Regional Prompter, by words": Case(
        REGIONAL, regional("Prompt"), {"prompt": "a red cat and a house BREAK blue house"}
    ),
    "NegPiP": Case(NEGPIP, {"negpip": [True]}, {"prompt": LESS}),
    "NegPiP, long negative": Case(NEGPIP, {"negpip": [True]}, {"prompt": LESS, "negative_prompt": LONG}),
    "NegPiP, Regional Prompter": Case(NEGPIP, {"negpip": [True], **regional()}, {"prompt": f"{LESS} BREAK a house"}),
    "MultiDiffusion": Case(TILED, tiled("MultiDiffusion"), WIDE),
    "MultiDiffusion, DDIM": Case(TILED, tiled("MultiDiffusion"), {**WIDE, "sampler_name": "DDIM"}),
    "Mixture of Diffusers, long negative": Case(
        TILED, tiled("Mixture of Diffusers"), {**WIDE, "negative_prompt": LONG}
    ),
    "Tiled Diffusion, regions": Case(TILED, regions("MultiDiffusion"), WIDE),
    "Tiled Diffusion, regions of Mixture": Case(TILED, regions("Mixture of Diffusers"), WIDE),
    "Tiled Diffusion, regions alone": Case(TILED, regions("MultiDiffusion", background=False), WIDE),
    "Dynamic Thresholding": Case(THRESHOLDING, {"dynamic thresholding (cfg scale fix)": [True, 3.0]}, {"cfg_scale": 9}),
    "FreeU": Case(FREEU, {"freeu": [True]}),
    "Cutoff": Case(CUTOFF, {"cutoff": [True, "red, blue", 0.5, True]}, {"prompt": "a red cat, a blue house"}),
    "Self-attention guidance": Case(SAG, {"self attention guidance": [True, 0.75, 0.3]}, {"width": 128, "height": 128}),
    "Neutral Prompt": Case(NEUTRAL, {"neutral prompt": [0.3]}, {"prompt": "a red cat AND_PERP a blue house :0.8"}),
    "Perturbed-attention guidance": Case(INCANTATIONS, {"incantations": PAG}),
    "Ultimate SD Upscale": Case(ULTIMATE, {}, selected("ultimate sd upscale", *ULTIMATE_ARGS), own=2),
    "Prompt Fusion": Case(FUSION, {}, {"prompt": "a [red:green:blue:0,2,3] cat"}),
    "Prompt Fusion, in both, batch": Case(
        FUSION,
        {},
        {"prompt": "a [red:green:blue:0,2,3:bezier] cat", "negative_prompt": "[blurry:ugly:0,2]", "batch_size": 2},
    ),
    "CADS": Case(CADS, {"cads": [True, 0.6, 0.9, 0.25, 1.0, True, False]}),
    "CADS, long negative": Case(CADS, {"cads": [True, 0.6, 0.9, 0.25, 1.0, True, False]}, {"negative_prompt": LONG}),
    "Kohya's hires fix": Case(
        KOHYA,
        {"kohya hires.fix": [True, False, 3, 4, 0.4, 0.5, "bicubic", 0.5, 2.0, True, False]},
        {"width": 128, "height": 128, "steps": 4},
    ),
    "Latent Couple": Case(
        COUPLE,
        {"latent couple extension": [True, "1:1,1:2,1:2", "0:0,0:0,0:1", "0.2,0.8,0.8", 20]},
        {"prompt": "a garden AND a red cat AND a blue house", "batch_size": 2},
    ),
    "Detail Daemon": Case(DAEMON, {"detail daemon": [True, True, False, "both", 0.0, 1.0, 0.5, 0.5, 1, 0, 0, 0, True]}),
    "AnimateDiff, all frames at once": Case(ANIMATEDIFF, animated(8), FRAMES),
    "AnimateDiff, in windows": Case(ANIMATEDIFF, animated(4), FRAMES),
    "CFG Rescale": Case(RESCALE, {"cfg rescale extension": [0.7, False, 1.0, False]}, {"cfg_scale": 7}),
    "Soft inpainting": Case(
        BUILT_IN,
        {"soft inpainting": [True, 1, 0.5, 4, 0, 0.5, 2]},
        {**CHANGE, "mask": reference(10, SIDE, SIDE), "inpainting_fill": 1},
    ),
    "Loopback": Case(BUILT_IN, {}, selected("loopback", 2, 0.6, "Linear", "None"), own=3),
    "SD Upscale": Case(BUILT_IN, {}, selected("sd upscale", "", 16, "None", 1.0)),
}


@pytest.fixture(scope="module", params=GROUPS)
def webui(request: pytest.FixtureRequest, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    """A web UI with the extensions of a group that were found."""
    named = GROUPS[request.param]
    there = [OTHERS / name for name in named if name and (OTHERS / name).is_dir()]
    if not there and named != (BUILT_IN,):
        pytest.skip("no other extensions: set IP_ADAPTER_OTHER_EXTENSIONS to a folder with their folders")
    kept = tmp_path_factory.mktemp("webui")
    settings = {"animatediff_model_path": str(kept)}
    with started(Path(FOLDER), PYTHON, files, kept, *OURS, *there, settings=settings) as server:
        if ANIMATEDIFF in named:
            width = unet_sizes(server.use_smallest())[1][0]
            save(motion_tensors(width), kept / MOTION, torch.float16)
            server.call("/ip-adapter-oracle/narrow-animatediff", {"channels": width})
        yield server


@pytest.fixture
def sd(webui: WebUI) -> Path:
    return webui.use_smallest()


def asked(webui: WebUI, case: Case) -> Callable[..., Any]:
    """Return a function that generates with another extension on; skip if this web UI does not have it."""
    extensions = webui.folder / "extensions"
    others = [name for names in GROUPS.values() for name in names if (extensions / LINK.format(name)).exists()]
    if case.folder not in (others or [BUILT_IN]):
        pytest.skip(f"{case.folder or 'tried without other extensions'}: not in this web UI")
    scripts = {name: {"args": args} for name, args in case.scripts.items()}

    def generate(*units: dict[str, Any], on: bool = True, **more: Any) -> Any:
        settings = {"width": SIDE, "height": SIDE, "steps": 3, **case.settings, **more}
        if not on:
            settings = {name: value for name, value in settings.items() if not name.startswith("script_")}
        return webui.generate(*units, scripts=scripts if on else {}, **settings)

    return generate


@pytest.mark.parametrize("name", CASES)
def test_the_picture_equals_the_oracles_with_the_same_extension(
    webui: WebUI, files: Files, sd: Path, name: str
) -> None:
    case = CASES[name]
    generate = asked(webui, case)
    unit = {"model": files.adapter(sd), "images": [reference(1)]}

    def settled(*units: dict[str, Any], **more: Any) -> Any:
        """Generate after a plain picture: the web UI's autoencoder adds noise from where the last seed left off."""
        generate(on=False)
        return generate(*units, **more)

    alone, plain = settled(), settled(on=False)
    before = webui.hooks()  # some extensions leave their own hooks
    both = settled(unit)
    assert both - alone > 5, "the unit does nothing"
    assert both - settled(oracle=files.oracle(unit)) <= case.own
    assert settled() - alone == 0, "the other extension's picture without units is as before"
    assert settled(on=False) - plain == 0
    assert webui.hooks() == before


def test_a_region_of_a_picture_in_tiles_is_refused(webui: WebUI, files: Files, sd: Path) -> None:
    generate = asked(webui, CASES["MultiDiffusion"])
    unit = {"model": files.adapter(sd), "images": [reference(1)], "mask": reference(2)}
    with pytest.raises(RefusedError, match=r"422.*whole latent image, 8 x 12"):
        generate(unit)


def test_demofusion_is_refused(webui: WebUI, files: Files, sd: Path) -> None:
    """It does its own sampling and notifies no script."""
    generate = asked(webui, Case(TILED, {"demofusion": DEMOFUSION}, {"width": 128, "height": 128, "steps": 2}))
    plain = generate(on=False)
    with pytest.raises(RefusedError, match=r"422.*something does its own sampling, as DemoFusion"):
        generate({"model": files.adapter(sd), "images": [reference(1)]})
    assert generate(on=False) - plain == 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Regional Prompter, latent, batch", "another extension has changed their order"),
        ("AnimateDiff, in windows", "rows, or whole copies of them, in the U-Net"),
    ],
)
def test_a_reference_for_each_picture_is_refused_where_pictures_are_unknown(
    webui: WebUI, files: Files, sd: Path, name: str, why: str
) -> None:
    generate = asked(webui, CASES[name])
    unit = {"model": files.adapter(sd), "images": [reference(1), reference(2)], "unfold": True}
    with pytest.raises(RefusedError, match=f"422.*{why}"):
        generate(unit)


def test_a_replaced_unet_is_refused(webui: WebUI, files: Files, sd: Path) -> None:
    """TensorRT's is like this: it calls none of the U-Net's cross-attentions."""
    generate = asked(webui, Case(BUILT_IN, {}))
    plain = generate()
    webui.call("/sdapi/v1/options", {"sd_unet": "IP-Adapter oracle"})
    try:
        replaced = generate()
        with pytest.raises(RefusedError, match=r"422.*units do not work with the U-Net IP-Adapter oracle"):
            generate({"model": files.adapter(sd), "images": [reference(1)]})
        assert generate() - replaced == 0
    finally:
        webui.call("/sdapi/v1/options", {"sd_unet": "None"})
    assert replaced - plain > 5
    assert generate() - plain == 0


def test_it_works_on_a_compiled_unet(webui: WebUI, files: Files, sd: Path) -> None:
    generate = asked(webui, Case(BUILT_IN, {}))
    unit = {"model": files.adapter(sd), "images": [reference(1)]}
    plain, made, before = generate(), generate(unit), webui.hooks()
    webui.call("/ip-adapter-oracle/compiled", {"on": True})
    try:
        assert generate() - plain <= 1
        assert generate(unit) - made <= 1
        assert generate() - plain <= 1
    finally:
        webui.call("/ip-adapter-oracle/compiled", {"on": False})
    assert generate() - plain == 0
    assert webui.hooks() == before


def test_a_script_that_samples_by_itself_is_refused(webui: WebUI, files: Files, sd: Path) -> None:
    args = ["", True, True, "a cat", "", True, 4, True, 1.0, 0.0, False]
    generate = asked(webui, Case(BUILT_IN, {}, selected("img2img alternative test", *args)))
    with pytest.raises(RefusedError, match=r"422.*does its own sampling"):
        generate({"model": files.adapter(sd), "images": [reference(1)]})


def a_face() -> str:
    """Return a photograph of a face that ADetailer's mediapipe finds even after the small autoencoder blurs it."""
    data = pytest.importorskip("skimage.data")
    return text_of(Image.fromarray(data.astronaut()[:256, 96:352]))


def test_with_adetailer_a_unit_applies_to_the_picture_to_faces_or_to_both(webui: WebUI, files: Files, sd: Path) -> None:
    faces = {
        "ad_model": "mediapipe_face_short",
        "ad_confidence": 0.1,
        "ad_denoising_strength": 0.8,
        "ad_use_inpaint_width_height": True,
        "ad_inpaint_width": 128,
        "ad_inpaint_height": 128,
    }
    photo = {"mode": "img2img", "init_images": [a_face()], "denoising_strength": 0.05, "width": 256, "height": 256}
    generate = asked(webui, Case(ADETAILER, {"adetailer": [True, False, faces]}, photo))
    unit = {"model": files.adapter(sd), "images": [reference(1)], "weight": 2.0}
    names = webui.call("/sdapi/v1/options")["ad_script_names"]
    generate(on=False)
    plain, alone = generate(on=False), generate()
    if alone - plain <= 5:
        pytest.skip(f"ADetailer finds no face in what {sd.stem}'s autoencoder leaves of one")
    left_out = generate(unit)
    with pytest.raises(RefusedError, match="add ip_adapter to the names of scripts"):
        generate({**unit, "inner": "inner only"})
    webui.call("/sdapi/v1/options", {"ad_script_names": f"{names},ip_adapter,ip_adapter_oracle"})
    try:
        both, inner = generate(unit), generate({**unit, "inner": "inner only"})
        assert generate({**unit, "inner": "picture only"}) - left_out == 0
        assert both - generate(oracle=files.oracle(unit)) <= 2, "rounded once between the picture and its face"
        assert both - left_out > 5
        assert inner - alone > 5
        corner = abs(inner.pictures[0] - plain.pictures[0])[:20, :20]
        assert corner.max() == 0, "the picture around the face is the plain one"
    finally:
        webui.call("/sdapi/v1/options", {"ad_script_names": names})
    assert generate(on=False) - plain == 0
