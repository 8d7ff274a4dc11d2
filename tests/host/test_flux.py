"""FLUX.1 in a real Forge or Forge Neo: a narrow checkpoint with random weights, and each kind of adapter for it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxes import xlabs_tensors
from makers import save
from pulid_flux import pulid_flux_tensors

from host.flux_files import flux_checkpoint
from host.webui import FEATURES, STATES, Files, RefusedError, WebUI, reference
from lib_ipadapter.networks.unet_sites import SDXL

ADAPTERS = {
    "xlabs": lambda: xlabs_tensors(FEATURES, tokens=4, context_dim=32),
    "xlabs-v2": lambda: xlabs_tensors(FEATURES, tokens=16, context_dim=32, seed=5),
    "pulid-flux": lambda: pulid_flux_tensors(STATES),
}
SMALL: dict[str, Any] = {"width": 64, "height": 96, "steps": 3, "scheduler": "Simple"}
TRUE_CFG = {"cfg_scale": 3.5}
WAYS: dict[str, dict[str, Any]] = {
    "CFG 1": {"cfg_scale": 1},
    "true CFG": TRUE_CFG,
    "batch of two": {"cfg_scale": 1, "batch_size": 2},
    "true CFG, batch of two": TRUE_CFG | {"batch_size": 2},
}


@pytest.fixture(scope="module")
def flux(webui: WebUI, files: Files) -> Iterator[Path]:
    """The loaded checkpoint, with adapters for it."""
    path = webui.folder / "models" / "Stable-diffusion" / "host-test-flux.safetensors"
    flux_checkpoint(webui.folder, path)
    try:
        for name, tensors in ADAPTERS.items():
            save(tensors(), files.folder / f"host-{name}.safetensors")
        webui.call("/ip-adapter-oracle/pulid", {"path": str(files.pulid_features())})
        webui.call("/ipadapter/rescan", {})
        webui.call("/sdapi/v1/refresh-checkpoints", {})
        webui.use(path)
        yield path
    finally:
        path.unlink(missing_ok=True)


def unit(kind: str = "xlabs", **more: Any) -> dict[str, Any]:
    return {"model": f"host-{kind}", "images": [reference()], **more}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_acts_and_leaves_no_trace(webui: WebUI, flux: Path, kind: str, way: str) -> None:
    asked = SMALL | WAYS[way]
    plain, before = webui.generate(**asked), webui.hooks()
    made = webui.generate(unit(kind), **asked)
    assert made - plain > 3
    assert f"Adapter: host-{kind}.safetensors" in made.info["infotexts"][0]
    assert webui.generate(unit(kind, weight=0), **asked) - plain == 0
    assert webui.generate(**asked) - plain == 0
    assert webui.hooks() == before


CHANGES: dict[str, dict[str, Any]] = {
    "another weight": {"weight": 0.3},
    "a late start": {"start": 0.5},
    "an early end": {"end": 0.4},
    "a curve": {"curve": "0:1, 1:0"},
    "one layer": {"layers": "2:1"},
    "a region": {"region": "left half"},
    "two references": {"images": [reference(), reference(2)]},
    "a negative reference": {"negative_images": [reference(3)]},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["xlabs", "pulid-flux"])
def test_a_field_changes_the_picture(webui: WebUI, flux: Path, kind: str, change: str) -> None:
    asked = SMALL | TRUE_CFG
    usual, made = (webui.generate(unit(kind, **more), **asked) for more in ({}, CHANGES[change]))
    assert made - usual > 1
    assert made - webui.generate(**asked) > 1


def test_units_of_several_kinds_act_in_one_pass(webui: WebUI, flux: Path) -> None:
    asked = SMALL | TRUE_CFG
    units = [unit(), unit("pulid-flux", weight=0.5)]
    both = webui.generate(*units, **asked)
    assert all(both - webui.generate(one, **asked) > 1 for one in units)


def test_an_interrupt_leaves_no_trace(webui: WebUI, flux: Path) -> None:
    plain, before = webui.generate(**SMALL), webui.hooks()
    long = threading.Thread(target=webui.generate, args=[unit()], kwargs=SMALL | {"steps": 100})
    long.start()
    while not webui.call("/sdapi/v1/progress?skip_current_image=true")["state"]["sampling_step"]:
        time.sleep(0.1)
    webui.call("/sdapi/v1/interrupt", {})
    long.join()
    assert webui.hooks() == before
    assert webui.generate(**SMALL) - plain == 0


def test_units_are_refused_as_checkpoints_change(webui: WebUI, files: Files, flux: Path) -> None:
    """Last, because it loads other checkpoints."""
    made = webui.generate(unit(), **SMALL)
    try:
        name = files.adapter(webui.use_smallest(SDXL))
        webui.call("/ipadapter/rescan", {})
        with pytest.raises(RefusedError, match=r"is for FLUX, but the loaded checkpoint is SDXL"):
            webui.generate(unit(), **SMALL)
    finally:
        webui.use(flux)
    with pytest.raises(RefusedError, match=r"is for SDXL, but the loaded checkpoint is FLUX"):
        webui.generate({"model": name, "images": [reference()]}, **SMALL)
    assert webui.generate(unit(), **SMALL) - made == 0
