"""Settings before any test module is imported, the order of the tests, and shared fixtures."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub as own_hub  # before anything imports huggingface_hub, which must use only this hub
import pytest
from known_skips import pytest_addoption, pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_addoption", "pytest_make_collect_report", "pytest_runtest_makereport"]


def declare_operators_that_torchvision_expects() -> Any:
    """Let torchvision be imported, as open_clip does, where its compiled part cannot be loaded.

    With a CPU torch and a torchvision whose compiled part needs CUDA, as PyPI's does, torchvision continues without
    that part, but then registers two of its operators with torch, which must have been declared. They are never called.
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


if importlib.util.find_spec("torch"):  # tests of the field table also run without it
    import torch

    DECLARED = declare_operators_that_torchvision_expects()
    """Kept, because the operators are removed with the library object."""

    torch.set_num_threads(1)  # for tensors as small as those here, threads cost more than they gain

if importlib.util.find_spec("hypothesis"):
    from hypothesis import settings

    # the same examples for the same commit; `--hypothesis-profile default` tries new ones each time
    settings.register_profile("steady", derandomize=True, database=None)
    settings.load_profile("steady")


LONGEST = ("test_meaning", "test_install", "test_demo_panel", "test_contract", "test_routes", "test_subjects")
"""Files that run first: one worker runs a whole file, and a long file at the end would leave the others idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture
def links(tmp_path: Path) -> None:
    """Skip a test that makes links where this user may not make any, as on Windows without the developer mode."""
    try:
        (tmp_path / "a link").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("this user may not make links")
    (tmp_path / "a link").unlink()


@pytest.fixture(scope="module")
def unet() -> Any:
    """The real ldm U-Net, small."""
    from small_host import CONTEXT
    from unets import ldm_unet

    return ldm_unet(context_dim=CONTEXT)


@pytest.fixture
def host(tmp_path: Path, unet: Any) -> Any:
    """A small host with its own files."""
    from small_host import SmallHost, save_files

    save_files(tmp_path)
    return SmallHost(tmp_path, unet)


@pytest.fixture
def session(host: Any) -> Any:
    from lib_ipadapter.engine.session import Session

    return Session(host)


@pytest.fixture(scope="session")
def _hub() -> Iterator[Any]:
    with own_hub.Hub().running() as running:
        yield running


@pytest.fixture
def hub(_hub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A hub without files, the only one that this process and its children use."""
    constants = pytest.importorskip("huggingface_hub.constants")
    assert constants.ENDPOINT == own_hub.ENDPOINT
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    _hub.clear()
    return _hub
