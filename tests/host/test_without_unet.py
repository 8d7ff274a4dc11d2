"""A checkpoint without a U-Net: units stop the generation with an error, and without units it works as usual.

IP_ADAPTER_HOST_FLUX is a checkpoint of FLUX.1 that the web UI can load; it is linked into its folder for these tests.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.webui import Files, RefusedError, WebUI, reference

FLUX = os.environ.get("IP_ADAPTER_HOST_FLUX")
pytestmark = pytest.mark.skipif(not FLUX, reason="no checkpoint of FLUX.1: set IP_ADAPTER_HOST_FLUX")


@pytest.fixture(scope="module")
def smallest(webui: WebUI, files: Files) -> Path:
    return webui.use_smallest()


@pytest.fixture(scope="module")
def flux(webui: WebUI, smallest: Path) -> Iterator[Path]:
    """The checkpoint, loaded."""
    link = smallest.parent / "host-test-flux.safetensors"
    link.symlink_to(FLUX or "")
    try:
        webui.call("/sdapi/v1/refresh-checkpoints", {})
        webui.use(link)
        yield link
    finally:
        webui.use(smallest)
        link.unlink()
        webui.call("/sdapi/v1/refresh-checkpoints", {})


def test_a_unit_stops_the_generation_and_says_what_to_load(
    webui: WebUI, files: Files, smallest: Path, flux: Path
) -> None:
    plain, before = webui.generate(cfg_scale=1), webui.hooks()
    unit = {"model": files.adapter(smallest), "images": [reference(1)]}
    with pytest.raises(RefusedError, match=r"422.*is for SD1.*the loaded checkpoint is FLUX.*load another checkpoint"):
        webui.generate(unit, cfg_scale=1)
    assert webui.generate(cfg_scale=1) - plain == 0
    assert webui.hooks() == before


def test_the_list_of_adapters_says_so_too(webui: WebUI, files: Files, smallest: Path, flux: Path) -> None:
    name = f"{files.adapter(smallest)}.safetensors"
    webui.generate(cfg_scale=1)  # this loads it
    webui.call("/ipadapter/rescan", {})
    listed = {entry["name"]: entry for entry in webui.call("/ipadapter/models")}
    assert "the loaded checkpoint is FLUX" in listed[name]["reason"]


def test_a_unit_works_again_on_the_next_checkpoint(webui: WebUI, files: Files, smallest: Path, flux: Path) -> None:
    unit = {"model": files.adapter(smallest), "images": [reference(1)]}
    webui.use(smallest)
    try:
        assert webui.generate(unit) - webui.generate(oracle=files.oracle(unit)) <= 1
    finally:
        webui.use(flux)
