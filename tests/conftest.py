"""What has to be so before any test module is imported."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest


def declare_operators_that_torchvision_expects() -> Any:
    """Let torchvision be imported, as open_clip does, where its compiled part cannot be loaded.

    A CPU torch beside a torchvision whose compiled part needs CUDA, as PyPI's does: torchvision goes on without that
    part, but then describes two of its operators to torch, which must have been declared. None of them is ever called.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None


if importlib.util.find_spec("torch"):  # the field table's tests run without it, too
    import torch

    DECLARED = declare_operators_that_torchvision_expects()
    """Kept, for a library's operators go when it does."""

    torch.set_num_threads(1)  # for tensors as small as those here, threads cost more than they bring

if importlib.util.find_spec("hypothesis"):
    from hypothesis import settings

    # one commit, one answer; `--hypothesis-profile default` looks further each time
    settings.register_profile("steady", derandomize=True, database=None)
    settings.load_profile("steady")


LONGEST = ("test_meaning", "test_install", "test_demo_panel", "test_contract", "test_routes", "test_subjects")
"""Begun with, for a file is one worker's alone: begun last, it would leave the others idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="module")
def unet() -> Any:
    """The real ldm U-Net, small."""
    from small_host import CONTEXT
    from unets import ldm_unet

    return ldm_unet(context_dim=CONTEXT)


@pytest.fixture
def host(tmp_path: Path, unet: Any) -> Any:
    """A small host with files of its own."""
    from small_host import SmallHost, save_files

    save_files(tmp_path)
    return SmallHost(tmp_path, unet)


@pytest.fixture
def session(host: Any) -> Any:
    from lib_ipadapter.engine.session import Session

    return Session(host)
