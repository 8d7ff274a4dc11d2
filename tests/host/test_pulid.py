"""PuLID in a real web UI with made features of a photo, against the plain implementation of its attention."""

from pathlib import Path

import pytest

from host.webui import Files, RefusedError, WebUI, reference
from lib_ipadapter.networks.unet_sites import SDXL

FAMILIES = ("pulid", "pulid-v1.1")
METHODS = ("fidelity", "style", "neutral")
SMALL = {"width": 128, "height": 128}


@pytest.fixture(scope="module")
def checkpoint(webui: WebUI, files: Files) -> Path:
    """The smallest SDXL checkpoint, with PuLID adapters that fit it."""
    path = webui.use_smallest(SDXL)
    for family in FAMILIES:
        files.pulid(path, family)
    webui.call("/ip-adapter-oracle/pulid", {"path": str(files.pulid_features())})
    webui.call("/ipadapter/rescan", {})
    return path


def unit(family: str, **more: object) -> dict[str, object]:
    return {"model": f"host-{family}", "images": [reference()], "weight": 0.8, **more}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_method_equals_the_plain_implementation(webui: WebUI, files: Files, checkpoint, family, method) -> None:
    plain, before = webui.generate(**SMALL), webui.hooks()
    made = webui.generate(unit(family, method=method), **SMALL)
    theirs = webui.generate(oracle=files.pulid_oracle(f"host-{family}", method, 0.8), **SMALL)
    assert made - plain > 3
    assert made - theirs <= 1, f"mean difference {made.mean_difference(theirs):.5f}"
    assert webui.generate(**SMALL) - plain == 0
    assert webui.hooks() == before


def test_the_methods_differ_and_the_split_of_the_batch_does_not_matter(webui: WebUI, checkpoint) -> None:
    fidelity, style, neutral = (webui.generate(unit("pulid", method=each), **SMALL) for each in METHODS)
    assert min(fidelity - style, style - neutral, neutral - fidelity) > 1
    assert webui.generate(unit("pulid"), way="separate", **SMALL) - fidelity <= 1
    assert webui.generate(unit("pulid"), **SMALL).info["infotexts"][0].count("PuLID method") == 0
    assert "PuLID method: style" in style.info["infotexts"][0]


def test_a_field_of_another_family_is_refused(webui: WebUI, checkpoint) -> None:
    with pytest.raises(RefusedError, match=r"422.*id_mix.*has no effect"):
        webui.generate(unit("pulid-v1.1", id_mix=True), **SMALL)
