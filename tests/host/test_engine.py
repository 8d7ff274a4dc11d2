"""The engine in a real web UI: it equals the oracle however the host splits a batch, and leaves no trace.

Differences are in levels of 255. The host rounds to whole levels, so two orders of summation may differ by 1.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from host.webui import Files, RefusedError, WebUI, reference, unet_sizes

LONG = ", ".join(["blurry, badly drawn, watermark, jpeg artefacts, cropped, worst quality, low quality, text"] * 20)
MANY = " AND ".join(["a red cat", "a blue house :0.7", "a green tree :0.4"])


@pytest.fixture(scope="session")
def checkpoints(webui: WebUI) -> dict[str, list[Path]]:
    """The checkpoints by layout, in the order of `WebUI.checkpoints`."""
    return webui.checkpoints()


@pytest.fixture
def sd(webui: WebUI, checkpoints) -> Path:
    """The smallest SD checkpoint, loaded."""
    return webui.use_smallest()


@pytest.fixture
def compare(webui: WebUI, files: Files, sd: Path) -> Callable[..., None]:
    """Return a function that compares the pictures made with units, with the oracle and with neither.

    `least` is by how much units must change the pictures: enough to show that they took part, and more than the
    comparison with the oracle forgives.
    """

    def compared(*units: dict[str, Any], checkpoint: Path = sd, least: int = 5, **settings: Any) -> None:
        webui.use(checkpoint)
        units = units or ({"model": files.adapter(checkpoint), "images": [reference(1)]},)
        if settings.get("mode") == "img2img":
            webui.settle(**settings)
        plain = webui.generate(**settings)
        before = webui.hooks()  # the host's own hooks: hypertile leaves some
        made = webui.generate(*units, **settings)
        expected = webui.generate(oracle=files.oracle(*units), **settings)
        left = webui.generate(**settings) - plain
        assert made - plain > least, "the unit does nothing"
        assert made - expected <= 1, f"mean difference {made.mean_difference(expected):.5f}"
        assert left == 0
        assert webui.hooks() == before

    return compared


@pytest.mark.parametrize("family", ["base", "plus", "full-face"])
def test_a_unit_of_each_family_equals_the_oracle(compare, files, sd, family: str) -> None:
    compare({"model": files.adapter(sd, family), "images": [reference(1, 120, 90)]})


def test_several_units_with_several_references_equal_the_oracle(compare, files, sd) -> None:
    compare(
        {"model": files.adapter(sd, "base", 1), "images": [reference(1), reference(2)], "weight": 0.7},
        {"model": files.adapter(sd, "plus", 2), "images": [reference(3)], "weight": -0.5, "start": 0.2},
        {"model": files.adapter(sd, "base", 3), "images": [reference(4)], "weight": 0.4, "end": 0.6},
    )


@pytest.mark.parametrize("kind", ["SD", "SDXL"])
def test_a_unit_works_on_every_checkpoint(compare, checkpoints, files, kind: str) -> None:
    if not checkpoints[kind]:
        pytest.skip(f"the web UI has no {kind} checkpoint")
    for checkpoint in checkpoints[kind]:
        compare({"model": files.adapter(checkpoint), "images": [reference(1)]}, checkpoint=checkpoint)


SEPARATE = {"way": "separate"}
"""Each prompt is evaluated separately: a setting in AUTOMATIC1111; Forge does it when memory is low."""

SPLITS = {
    "separate cond and uncond": SEPARATE,
    "long negative": {"negative_prompt": LONG},
    "long negative, separate": {"negative_prompt": LONG, **SEPARATE},
    "long negative, padded": {"negative_prompt": LONG, "settings": {"pad_cond_uncond": True}},
    "long negative, padded the old way": {"negative_prompt": LONG, "settings": {"pad_cond_uncond_v0": True}},
    "long prompt": {"prompt": LONG},
    "prompts joined by AND": {"prompt": MANY},
    "prompts joined by AND, separate": {"prompt": MANY, **SEPARATE},
    "AND, long negative, separate": {"prompt": MANY, "negative_prompt": LONG, **SEPARATE},
    "AND, long negative, batch": {"prompt": MANY, "negative_prompt": LONG, "batch_size": 2},
    "batch of 3, separate": {"batch_size": 3, **SEPARATE},
    "no uncond in early steps": {"settings": {"skip_early_cond": 0.4}, "steps": 6},
    "no uncond in late steps": {"settings": {"s_min_uncond": 4.0}, "steps": 6},
    "no uncond in late steps, all": {"settings": {"s_min_uncond": 4.0, "s_min_uncond_all": True}, "steps": 6},
    "CFG 1": {"cfg_scale": 1},
}


@pytest.mark.parametrize("split", SPLITS)
def test_splitting_the_batch_changes_nothing(compare, split: str) -> None:
    compare(**{key: dict(value) if isinstance(value, dict) else value for key, value in SPLITS[split].items()})


def test_rows_widened_around_attn2_change_nothing(webui: WebUI, files: Files, sd: Path) -> None:
    """Regional prompters do this in Forge, with patches before and after attn2."""
    unit = {"model": files.adapter(sd), "images": [reference(1)]}
    plain, before = webui.generate(), webui.hooks()
    made = webui.generate(unit)
    assert made - plain > 5
    assert webui.generate(way="wide") - plain <= 1
    assert webui.generate(unit, way="wide") - made <= 1
    assert webui.hooks() == before


@pytest.mark.parametrize("method", ["MultiDiffusion", "Mixture of Diffusers"])
def test_it_works_with_a_picture_in_tiles(compare, method: str) -> None:
    """Forge's built-in extension sends whole copies of the batch through the U-Net, one per tile."""
    tiled = {"multidiffusion integrated": {"args": [True, method, 96, 96, 32, 3]}}
    start = {"mode": "img2img", "init_images": [reference(9, 160, 96)], "denoising_strength": 0.8, "steps": 6}
    compare(**start, width=160, height=96, scripts=tiled)


SAMPLERS = ["Euler", "DPM2 a", "Heun", "DPM++ SDE", "DDIM", "UniPC", "LCM", "Restart", "DPM++ 2M", "DPM fast", "PLMS"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_it_works_with_every_sampler(compare, files, sd, sampler: str) -> None:
    """A unit that starts after the first steps, which settle most of a picture, changes little in some checkpoints."""
    unit = {"model": files.adapter(sd), "images": [reference(1)], "weight": 2.0, "start": 0.2, "end": 0.75}
    compare(unit, sampler_name=sampler, steps=6, least=2)


OPTIMISATIONS = ["None", "Doggettx", "V1", "InvokeAI", "sub-quadratic", "sdp", "sdp-no-mem"]


@pytest.mark.parametrize("optimisation", OPTIMISATIONS)
def test_it_works_with_every_attention_optimisation(compare, webui: WebUI, optimisation: str) -> None:
    before = webui.call("/sdapi/v1/options")["cross_attention_optimization"]
    titles = {"None": "None"}
    webui.call("/sdapi/v1/options", {"cross_attention_optimization": titles.get(optimisation, optimisation)})
    try:
        compare()
    finally:
        webui.call("/sdapi/v1/options", {"cross_attention_optimization": before})


@pytest.mark.parametrize(
    "settings",
    [{"token_merging_ratio": 0.5}, {"hypertile_enable_unet": True}, {"upcast_attn": True}],
    ids=lambda settings: next(iter(settings)),
)
def test_it_works_with_other_speed_ups(compare, settings) -> None:
    compare(settings=settings, width=512, height=512, steps=2)


@pytest.mark.parametrize("size", [(264, 200), (520, 136)])
def test_it_works_at_odd_sizes(compare, size) -> None:
    compare(width=size[0], height=size[1])


def test_a_batch_gives_the_same_pictures_as_single_generations(webui: WebUI, files: Files, sd: Path) -> None:
    unit = {"model": files.adapter(sd), "images": [reference(1)]}
    together = webui.generate(unit, batch_size=4)
    alone = [webui.generate(unit, seed=1 + i).pictures[0] for i in range(4)]
    for one, other in zip(together.pictures[-4:], alone, strict=True):
        assert abs(one - other).max() <= 1


def test_it_works_with_several_batches(compare) -> None:
    compare(n_iter=2, batch_size=2)


def test_it_works_with_hires_fix(compare) -> None:
    compare(enable_hr=True, hr_scale=1.5, hr_upscaler="Lanczos", denoising_strength=0.7)


def test_it_works_with_a_hires_prompt_and_a_latent_upscaler(compare) -> None:
    compare(enable_hr=True, hr_scale=2, hr_upscaler="Latent", denoising_strength=0.8, hr_negative_prompt=LONG)


def test_it_works_in_img2img_and_inpainting(webui: WebUI, compare, files, sd) -> None:
    start = {"mode": "img2img", "init_images": [reference(9, 256, 256)], "denoising_strength": 0.8, "steps": 6}
    compare(**start)
    masked = {**start, "mask": reference(10, 256, 256), "inpainting_fill": 1}
    for full in (False, True):
        unit = {"model": files.adapter(sd), "images": [reference(1)], "weight": 2.0}  # visible in half a picture too
        compare(unit, **masked, inpaint_full_res=full)


def test_a_unit_applies_to_the_refiner_too(compare, checkpoints, sd: Path) -> None:
    like = [path for path in checkpoints["SD"] if unet_sizes(path) == unet_sizes(sd)]
    if len(like) < 2:
        pytest.skip("the web UI has only one checkpoint of this size")
    compare(checkpoint=like[0], refiner_checkpoint=like[1].name, refiner_switch_at=0.5, steps=6)


def test_it_works_after_switching_checkpoints(webui: WebUI, files: Files, checkpoints, sd: Path) -> None:
    made = []
    for path in (*checkpoints["SD"][:2], sd):
        webui.use(path)
        made.append(webui.generate({"model": files.adapter(path), "images": [reference(1)]}))
    assert made[-1] - made[0] == 0


def test_cells_of_an_xyz_plot_equal_single_pictures(webui: WebUI, files: Files, sd: Path) -> None:
    unit = {"model": files.adapter(sd), "images": [reference(1)]}
    seeds = [3, 4]
    alone = [webui.generate(unit, seed=seed).pictures[0] for seed in seeds]
    args = webui.plot_args((1, ", ".join(map(str, seeds))))  # the first axis is the seed's
    plot = webui.generate(unit, script_name="x/y/z plot", script_args=args)
    cells = [picture for picture in plot.pictures if picture.shape == alone[0].shape]
    assert [abs(a - b).max() for a, b in zip(cells, alone, strict=True)] == [0, 0]


def test_an_exception_during_sampling_leaves_no_trace(webui: WebUI, files: Files, sd: Path) -> None:
    plain, before = webui.generate(), webui.hooks()
    unit = {"model": files.adapter(sd), "images": [reference(1)]}
    with pytest.raises(RefusedError, match="asked to fail"):
        webui.generate(unit, scripts={"ip-adapter oracle": {"args": ["", 2]}})
    assert webui.hooks() == before
    assert webui.generate() - plain == 0


def test_an_interrupt_leaves_no_trace(webui: WebUI, files: Files, sd: Path) -> None:
    plain, before = webui.generate(), webui.hooks()
    unit = {"model": files.adapter(sd), "images": [reference(1)]}
    made: list[Any] = []
    worker = threading.Thread(target=lambda: made.append(webui.generate(unit, steps=60)))
    worker.start()
    while worker.is_alive() and not webui.call("/sdapi/v1/progress")["state"]["sampling_step"]:
        time.sleep(0.2)
    assert worker.is_alive(), "it ended before it could be interrupted"
    webui.call("/sdapi/v1/interrupt", {})
    worker.join()
    assert made
    assert webui.hooks() == before
    assert webui.generate() - plain == 0


def test_weight_0_and_disabled_units_change_nothing(webui: WebUI, files: Files, sd: Path) -> None:
    plain = webui.generate()
    unit = {"model": files.adapter(sd), "images": [reference(1)]}
    assert webui.generate({**unit, "weight": 0}) - plain == 0
    assert webui.generate({**unit, "enabled": False}) - plain == 0
    assert webui.generate(None, [], "", {"enabled": False}) - plain == 0
