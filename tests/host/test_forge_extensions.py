"""With extensions built into the Forge family, and forge-couple: pictures equal the oracle's with the same extension.

IP_ADAPTER_OTHER_EXTENSIONS is a folder with extensions, each in a folder with its repository's name, as for
`test_other_extensions`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from host.conftest import FOLDER, OURS, PYTHON, started
from host.test_engine import LONG
from host.test_other_extensions import OTHERS
from host.webui import Files, Made, WebUI, kind_of, reference

pytestmark = pytest.mark.skipif(
    bool(FOLDER) and not kind_of(Path(FOLDER)).forge, reason="these work in web UIs of the Forge family only"
)
SIDE = 64
"""Sides of the pictures in pixels, where a case does not say."""
COUPLE = "sd-forge-couple"
TWO = {"prompt": "a red cat\na blue house"}
HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Lanczos", "denoising_strength": 0.7}
WIDE = {"width": 128, "height": 128}


@dataclass(frozen=True)
class Case:
    """The request to another extension, whose first argument enables it."""

    title: str
    """The start of its title."""
    args: dict[str, Any] = field(default_factory=dict[str, Any])
    """The values of its controls, by the start of their labels."""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    changes: int = 4
    """The least number of levels by which it changes the picture."""


CASES = {
    "FreeU": Case("freeu", {"B1": 1.1, "B2": 1.1, "S1": 0.9, "S2": 0.9}, WIDE),
    "self-attention guidance": Case("selfattentionguidance", {"Scale": 2.0}, WIDE),
    "perturbed-attention guidance": Case("perturbedattentionguidance", {"Scale": 100}, changes=1),
    "perturbed-attention guidance, separate": Case(
        "perturbedattentionguidance", {"Scale": 100}, {"way": "separate", "batch_size": 2}, changes=0
    ),
    "Kohya's hires fix": Case("kohya hrfix", {"End Percent": 1.0}, WIDE),
    "Dynamic Thresholding": Case("dynamicthresholding", {"Mimic Scale": 2.0}, {"cfg_scale": 9}),
    "latent modifier": Case("latentmodifier", {"Sharpness Multiplier": 5.0, "Rescale Cfg Phi": 0.5}),
    "style align": Case("stylealign", {}, {"batch_size": 2}),
    "never out of memory": Case("never oom", changes=0),
    "two regions of the prompt": Case("forge couple", {"Global Effect": "None"}, TWO),
    "three, a background, a long negative": Case(
        "forge couple",
        {"Global Effect": "First Line", "Global Effect Weight": 0.5},
        {"prompt": "a garden\na red cat\na blue house", "negative_prompt": LONG},
    ),
    "two regions, one above the other, a batch": Case(
        "forge couple", {"Tile Direction": "Vertical", "Global Effect": "None"}, {**TWO, "batch_size": 2}
    ),
    "two regions, separate": Case("forge couple", {"Global Effect": "None"}, {**TWO, "way": "separate"}),
    "two regions, hires fix": Case("forge couple", {"Global Effect": "None", "Compatibility": False}, {**TWO, **HIRES}),
}


@pytest.fixture(scope="module")
def webui(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    assert FOLDER
    assert PYTHON
    couple = [OTHERS / COUPLE] * (OTHERS / COUPLE).is_dir()
    with started(Path(FOLDER), PYTHON, files, tmp_path_factory.mktemp("webui"), *OURS, *couple) as server:
        yield server


def scripts(webui: WebUI, case: Case) -> dict[str, Any]:
    """Return the API's arguments for another extension, or skip if it is not there."""
    infos = webui.call("/sdapi/v1/script-info")
    info = next((info for info in infos if info["name"].startswith(case.title)), None)
    if info is None:
        pytest.skip(f"there is no {case.title} in this web UI")
    args = [arg["value"] for arg in info["args"]]
    for label, value in case.args.items():
        args[next(i for i, arg in enumerate(info["args"]) if arg["label"].startswith(label))] = value
    return {info["name"]: {"args": [True, *args[1:]]}}


@pytest.mark.parametrize("name", CASES)
def test_the_picture_equals_the_oracles_with_the_same_extension(webui: WebUI, files: Files, name: str) -> None:
    case, checkpoint = CASES[name], webui.use_smallest()
    other = scripts(webui, case)
    unit = {"model": files.adapter(checkpoint), "images": [reference(1)]}

    def generate(*units: dict[str, Any], on: bool = True, **more: Any) -> Made:
        sizes = {"width": SIDE, "height": SIDE, "steps": 3}
        return webui.generate(*units, scripts=other if on else {}, **sizes | case.settings | more)

    generate()
    alone, plain, before = generate(), generate(on=False), webui.hooks()
    both = generate(unit)
    if alone - plain < case.changes:
        pytest.skip(f"{case.title} does nothing to so small a picture here")
    assert both - alone > 5, "the unit does nothing"
    assert both - generate(oracle=files.oracle(unit)) <= 1
    assert generate() - alone == 0
    assert generate(on=False) - plain == 0
    assert webui.hooks() == before
