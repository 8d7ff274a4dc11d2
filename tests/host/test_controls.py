"""A unit's controls in a real web UI, compared with the oracle where it can do the same, and with plain units."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import text_of
from PIL import Image

from host.webui import Files, RefusedError, WebUI, reference
from lib_ipadapter.networks.unet_sites import SD, SDXL
from lib_ipadapter.unit.weight_types import WEIGHT_TYPES


@pytest.fixture(scope="module")
def checkpoints(webui: WebUI) -> dict[str, Path]:
    """The smallest checkpoint of each layout."""
    return {layout: paths[0] for layout, paths in webui.checkpoints().items() if paths}


@pytest.fixture
def model(webui: WebUI, files: Files, checkpoints: dict[str, Path]) -> str:
    webui.use(checkpoints[SD.name])
    return files.adapter(checkpoints[SD.name])


def stripe(first: float, last: float) -> str:
    """Return a mask that is white between two fractions of the width, with a grey edge."""
    mask = Image.new("L", (512, 512), 0)
    mask.paste(255, (round(512 * first), 0, round(512 * last), 512))
    mask.paste(100, (round(512 * first), 0, round(512 * first) + 20, 512))
    return text_of(mask)


@pytest.fixture
def compare(webui: WebUI, files: Files) -> Callable[..., None]:
    """Return a function that compares a unit's picture with the oracle's and with the plain one."""

    def compared(unit: dict[str, Any], oracle: dict[str, Any], **settings: Any) -> None:
        made = webui.generate(unit, **settings)
        expected = webui.generate(oracle=files.oracle(oracle), **settings)
        plain = webui.generate(**settings)
        assert made - plain > 3, "the unit does nothing"
        assert made - expected <= 1, f"mean difference {made.mean_difference(expected):.5f}"

    return compared


OF_LAYER: dict[str, dict[str, dict[int, float]]] = {
    "style transfer": {"SD": dict.fromkeys((0, 1, 2, 3, *range(9, 16)), 1.0), "SDXL": {6: 1.0}},
    "composition": {"SD": {4: 0.25, 5: 1.0}, "SDXL": {3: 1.0}},
    "weak middle": {
        "SD": {layer: 0.2 if layer == 6 else 1.0 for layer in range(16)},
        "SDXL": {layer: 0.2 if layer == 4 else 1.0 for layer in range(11)},
    },
}


@pytest.mark.parametrize("kind", OF_LAYER)
@pytest.mark.parametrize("layout", [SD.name, SDXL.name])
def test_weight_types_equal_the_oracle(webui, files, checkpoints, compare, kind, layout) -> None:
    if layout not in checkpoints:
        pytest.skip(f"the web UI has no {layout} checkpoint")
    webui.use(checkpoints[layout])
    strength = 8.0 if kind == "composition" else 0.5  # the few deep layers change a picture little
    unit = {"model": files.adapter(checkpoints[layout], strength=strength), "images": [reference(1)], "weight": 1.5}
    compare(unit | {"weight_type": kind}, unit | {"of_layer": OF_LAYER[kind][layout]})


def test_each_weight_type_makes_its_own_picture_and_linear_the_default_one(webui: WebUI, model: str) -> None:
    unit = {"model": model, "images": [reference(1)], "composition_weight": 0.7, "style_boost": 0.4}
    unit |= {"composition_boost": 0.5, "weight": 1.5}
    made = {kind: webui.generate(unit | {"weight_type": kind}) for kind in WEIGHT_TYPES}
    assert made["linear"] - webui.generate({"model": model, "images": [reference(1)], "weight": 1.5}) == 0
    for i, one in enumerate(WEIGHT_TYPES):
        for other in WEIGHT_TYPES[:i]:
            assert made[one] - made[other] > 0, (one, other)


def test_layers_and_a_curve_equal_the_oracle(compare, model: str) -> None:
    unit = {"model": model, "images": [reference(1)], "weight": 2.0}
    compare(unit | {"layers": "1:0.5, 6:1, 9:-1"}, unit | {"of_layer": {1: 0.5, 6: 1.0, 9: -1.0}})
    points = ((0.0, 1.0), (0.4, 1.0), (0.8, -0.5))
    curve = ", ".join(f"{at:g}:{value:g}" for at, value in points)
    compare(unit | {"curve": curve}, unit | {"curve": points}, steps=8)


SIZES = [(256, 256), (264, 200), (512, 520), (912, 1144), (520, 1280)]
"""At the last three sizes, masks of other implementations are transposed or fail."""


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_masks_equal_the_oracle(compare, model: str, size: tuple[int, int]) -> None:
    unit = {"model": model, "images": [reference(1)], "weight": 1.5, "mask": stripe(0.3, 0.7)}
    compare(unit, unit, width=size[0], height=size[1], steps=1)


def test_masks_fit_both_passes_of_hires_fix(compare, model: str) -> None:
    unit = {"model": model, "images": [reference(1)], "weight": 1.5, "mask": stripe(0.0, 0.5)}
    compare(unit, unit, enable_hr=True, hr_scale=1.5, hr_upscaler="Lanczos", denoising_strength=0.7)


def test_a_unit_applies_to_the_chosen_passes_of_hires_fix(webui: WebUI, model: str) -> None:
    unit = {"model": model, "images": [reference(1)]}
    settings = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Lanczos", "denoising_strength": 0.7}
    plain, both = webui.generate(**settings), webui.generate(unit, **settings)
    base, hires = (webui.generate(unit | {"pass": name}, **settings) for name in ("base", "hires"))
    for one, other in ((plain, both), (plain, base), (plain, hires), (base, hires), (base, both), (hires, both)):
        assert one - other > 1, "the second pass may leave little of the first"
    assert webui.generate(unit | {"hires_weight": 0}, **settings) - base == 0
    assert webui.generate(unit | {"weight": 0, "hires_weight": 1}, **settings) - hires == 0


def test_inpainting_only_masked_crops_the_region_but_not_the_reference(webui: WebUI, model: str) -> None:
    """The right half is repainted; a region on the left has no effect there, one on the right has its full effect."""
    repainted = Image.new("L", (256, 256), 0)
    repainted.paste(255, (128, 0, 256, 256))
    settings = {
        "mode": "img2img",
        "init_images": [reference(9, 256, 256)],
        "mask": text_of(repainted.convert("RGB")),
        "inpainting_fill": 1,
        "inpaint_full_res": True,
        "inpaint_full_res_padding": 0,
        "denoising_strength": 0.8,
        "steps": 6,
        "mask_blur": 0,
        "width": 128,  # the repainted area's shape, so that nothing around it is sampled
        "height": 256,
    }
    unit = {"model": model, "images": [reference(1)]}
    halves = [Image.new("L", (64, 64), 0) for _ in range(2)]
    halves[0].paste(255, (0, 0, 32, 64))
    halves[1].paste(255, (32, 0, 64, 64))
    webui.settle(**settings)
    plain, everywhere = webui.generate(**settings), webui.generate(unit, **settings)
    left, right = (webui.generate(unit | {"mask": text_of(half)}, **settings) for half in halves)
    assert everywhere - plain > 5
    assert left - plain == 0
    assert right - everywhere == 0


def test_each_picture_of_all_batches_has_its_own_reference(webui: WebUI, model: str) -> None:
    references = [reference(seed) for seed in (1, 2, 3)]
    unit = {"model": model, "images": references, "unfold": True}
    made = webui.generate(unit, batch_size=2, n_iter=2)
    for i, picture in enumerate(made.pictures[-4:]):
        alone = webui.generate({"model": model, "images": [references[i % 3]]}, seed=1 + i)
        assert np.abs(picture - alone.pictures[0]).max() <= 1, i


def test_the_script_makes_a_picture_for_each_reference(webui: WebUI, model: str) -> None:
    references = [reference(seed) for seed in (1, 2, 3)]
    series = {"script_name": "IP-Adapter: a generation for each reference"}
    made = webui.generate({"model": model}, script_args=[references], batch_size=2, **series)
    assert len(made.pictures) == 6
    for i, each in enumerate(references):
        alone = webui.generate({"model": model, "images": [each]}, batch_size=2)
        for picture, expected in zip(made.pictures[2 * i : 2 * i + 2], alone.pictures[-2:], strict=True):
            assert np.abs(picture - expected).max() == 0, i
        assert f"IP-Adapter reference: picture {i + 1}" in made.info["infotexts"][2 * i]
    (weighted,) = webui.generate({"model": model}, script_args=[references[:1], "0.5"], **series).pictures
    alone = webui.generate({"model": model, "images": [{"image": references[0], "weight": 0.5}]})
    assert np.abs(weighted - alone.pictures[0]).max() == 0
    with pytest.raises(RefusedError, match="must be left empty in one unit"):
        webui.generate({"model": model, "images": references[:1]}, script_args=[references], **series)
    with pytest.raises(RefusedError, match="files are not read by path"):
        webui.generate({"model": model}, script_args=[["/etc/passwd"]], **series)


def test_negatives_noise_and_the_black_convention_apply_with_a_negative_prompt_but_not_at_cfg_1(
    webui: WebUI, files: Files, checkpoints: dict[str, Path]
) -> None:
    webui.use(checkpoints[SD.name])
    unit = {"model": files.adapter(checkpoints[SD.name], "plus"), "images": [reference(1)]}
    changes = [
        {"negative_images": [reference(2)]},
        {"noise": 0.5, "noise_type": "shuffle"},
        {"weight_type": "composition precise", "composition_boost": 1.0},
    ]
    plain, alone = webui.generate(unit), webui.generate(unit, cfg_scale=1)
    for change in changes[:2]:
        assert webui.generate(unit | change) - plain > 5
        assert webui.generate(unit | change, cfg_scale=1) - alone <= 1  # the web UI subtracts the negative and adds it
    assert webui.generate(unit | changes[2]) - plain > 5
    black = webui.generate(unit, settings={"ipadapter_unconditional": "black"})
    as_picture = webui.generate(unit | {"negative_images": [text_of(Image.new("RGB", (64, 64)))]})
    assert black - plain > 0
    assert black - as_picture <= 1


def test_everything_together_leaves_no_trace_and_is_in_the_parameters(webui: WebUI, model: str) -> None:
    plain, hooks = webui.generate(), webui.hooks()
    unit = {
        "model": model,
        "images": [{"image": reference(1), "weight": 0.5}, {"image": reference(2), "mask": stripe(0.5, 1)}],
        "negative_images": [reference(3)],
        "composition_images": [reference(4)],
        "weight_type": "style and composition",
        "curve": "0:1, 0.6:0",
        "mask": stripe(0, 0.8),
        "tiles": True,
        "scaling": "K+V",
    }
    made = webui.generate(unit)
    assert made - plain > 0
    text = made.info["infotexts"][0]
    for word in ("Weight type: style and composition", "Scaling: K+V", "Tiles: True", "×0.5", "Region: "):
        assert word in text, text
    assert webui.hooks() == hooks
    assert webui.generate() - plain == 0
