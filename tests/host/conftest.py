"""A real web UI for the tests in this folder.

IP_ADAPTER_HOST is its folder, IP_ADAPTER_HOST_PYTHON its Python; both must be installed and have a small checkpoint.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.webui import REPOSITORY, SETTINGS, Files, WebUI, kind_of, linked

FOLDER, PYTHON = os.environ.get("IP_ADAPTER_HOST"), os.environ.get("IP_ADAPTER_HOST_PYTHON")
ORACLE = Path(__file__).parent / "oracle"
WITHOUT = (
    "no web UI given: set IP_ADAPTER_HOST to the folder of an installed one and IP_ADAPTER_HOST_PYTHON to its Python"
)


NOT_IN_FORGE = {
    "test_however_the_batch_is_split[long negative, padded": "Forge repeats the shorter prompt and pads none",
    "test_attention_optimisations": "Forge chooses its attention by flags, once for all",
    "test_with_other_speed_ups[hypertile": "Forge has no hypertile",
    "test_with_other_speed_ups[upcast": "Forge chooses its precision by flags",
    "test_right_where_controlnet_is_not": "Forge's own IP-Adapter is right there",
}
ONLY_IN_FORGE = {
    "test_rows_widened_around_attn2": "patches around attn2 are Forge's",
    "test_tiles": "the extension for tiles is Forge's",
    "test_equal_to_forges": "the ControlNet extension is not right in all of these ways",
}
"""Tests by the beginning of their names that make no sense in a web UI, with the reason."""


def reason_against(name: str) -> str | None:
    """Return why a test is left out, or None where it runs."""
    if not (FOLDER and PYTHON):
        return WITHOUT
    reasons = NOT_IN_FORGE if kind_of(Path(FOLDER)).forge else ONLY_IN_FORGE
    return next((reason for begins, reason in reasons.items() if name.startswith(begins)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/host" in item.path.as_posix() and (reason := reason_against(item.name)):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def webui(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    assert FOLDER
    assert PYTHON
    with linked(Path(FOLDER), REPOSITORY, ORACLE), started(files, tmp_path_factory.mktemp("webui")) as server:
        yield server


@contextlib.contextmanager
def started(files: Files, kept: Path) -> Iterator[WebUI]:
    """Run the web UI with settings of its own in the folder `kept`, for as long as the context lasts."""
    settings, layout = kept / "config.json", kept / "ui-config.json"
    values = {
        **SETTINGS,
        "ipadapter_folder": files.folder.as_posix(),
        "ipadapter_kept_folder": (kept / "named").as_posix(),
        "outdir_samples": (kept / "out").as_posix(),
    }
    settings.write_text(json.dumps(values))
    layout.write_text("{}")  # which some extensions read as they are loaded
    flags = f"--ui-settings-file {settings} --ui-config-file {layout} --lora-dir {files.loras} "
    flags += os.environ.get("IP_ADAPTER_HOST_FLAGS", "")
    server = WebUI(Path(FOLDER), PYTHON, flags, kept / "log.txt")
    try:
        yield server
    finally:
        server.stop()
