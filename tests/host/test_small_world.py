"""The small model in a real web UI, as a user sees it who tries the extension without downloading anything."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("torch")

from PIL import Image

from demo import figures
from demo.figures import ADAPTERS, as_text, half
from demo.files import TOWER
from demo.world import Scene, draw, look

from .small_world import small_world
from .webui import Made, WebUI

RED, BLUE, GREEN = Scene("cross", "red", "black"), Scene("square", "blue", "white"), Scene("circle", "green", "grey")


@pytest.fixture(scope="module")
def world(webui: WebUI) -> Iterator[WebUI]:
    if webui.kind.forge:
        pytest.skip("web UIs of the Forge family recognise full-size checkpoints only")
    with small_world(webui) as world:
        yield world


def unit(*references: Image.Image, **more: Any) -> dict[str, Any]:
    """Return a unit that names the model's own image encoder; the random one of these tests has the same shape."""
    return figures.unit(*references, encoder=TOWER, **more)


def made(webui: WebUI, *units: dict[str, Any], **more: Any) -> Made:
    asked = {
        "prompt": "a circle",
        "negative_prompt": "",
        "width": 64,
        "height": 64,
        "steps": 20,
        "batch_size": 4,
        "sampler_name": "DDIM",
        "cfg_scale": 7,
    }
    return webui.generate(*units, **(asked | more))


def colours(pictures: Made, window: str = "all") -> list[str]:
    return [look(Image.fromarray(levels.astype("uint8")), window).colour for levels in pictures.pictures]


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("reference", [RED, BLUE], ids=["red", "blue"])
def test_the_reference_gives_its_colour(world: WebUI, adapter: str, reference: Scene) -> None:
    pictures = made(world, unit(draw(reference), adapter=adapter))
    assert colours(pictures).count(reference.colour) >= 3, colours(pictures)


def test_without_a_unit_the_model_chooses_the_colours(world: WebUI) -> None:
    assert len(set(colours(made(world)))) > 1


def test_each_half_has_the_colour_of_its_reference(world: WebUI) -> None:
    halves = [(RED, "left"), (BLUE, "right")]
    pictures = made(world, *(unit(draw(scene), mask=half(side)) for scene, side in halves))
    for scene, side in halves:
        assert colours(pictures, side).count(scene.colour) >= 3, colours(pictures, side)


def test_img2img_takes_the_references_colour(world: WebUI) -> None:
    begun = as_text(draw(GREEN))
    more = {"mode": "img2img", "init_images": [begun], "denoising_strength": 0.9}
    plain, steered = made(world, **more), made(world, unit(draw(RED)), **more)
    assert colours(steered).count(RED.colour) >= 3, colours(steered)
    assert colours(plain).count(RED.colour) <= 1, colours(plain)
