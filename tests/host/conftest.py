"""A real web UI for the tests in this folder.

IP_ADAPTER_HOST is its folder, IP_ADAPTER_HOST_PYTHON its Python; both must be installed and have a small checkpoint.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from host.webui import REPOSITORY, SETTINGS, Files, WebUI, installed_beside, kind_of, linked

FOLDER, PYTHON = os.environ.get("IP_ADAPTER_HOST"), os.environ.get("IP_ADAPTER_HOST_PYTHON")
ORACLE = Path(__file__).parent / "oracle"
OURS = (REPOSITORY, ORACLE)
"""This extension, and the one that the tests compare it with."""
NO_WEB_UI = (
    "no web UI given: set IP_ADAPTER_HOST to the folder of an installed one and IP_ADAPTER_HOST_PYTHON to its Python"
)


BY_FLAGS = {
    "test_attention_optimisations": "attention is chosen by flags, once for all",
    "test_with_other_speed_ups[upcast": "precision is chosen by flags",
    "test_with_other_speed_ups[hypertile": "there is no setting for hypertile",
    "test_right_where_controlnet_is_not": "its own IP-Adapter is right there",
}
UNPADDED = {"test_however_the_batch_is_split[long negative, padded": "the shorter prompt is repeated, none is padded"}
NOT_IN = {
    "AUTOMATIC1111": {
        "test_rows_widened_around_attn2": "patches around attn2 are Forge's",
        "test_tiles": "the extension for tiles is Forge's",
        "test_equal_to_forges": "the ControlNet extension is not right in all of these ways",
    },
    "Forge": BY_FLAGS | UNPADDED,
    "Forge Neo": BY_FLAGS | UNPADDED,
    "reForge": BY_FLAGS
    | {
        "test_however_the_batch_is_split[no uncond in early steps": "there is no setting for early steps",
        "test_alone_the_controlnet_sees_the_face_too": "the ControlNet of its own pair sees the text",
    },
    "Forge Classic": BY_FLAGS
    | UNPADDED
    | {
        "test_however_the_batch_is_split[no uncond in late steps, all": "there is one way of skipping late steps",
        "test_tiles": "there is no extension for tiles",
    },
}
"""Tests that do not apply to a web UI, by the beginning of their names, with the reason."""


def reason_against(name: str) -> str | None:
    """Return why a test is left out, or None where it runs."""
    if not (FOLDER and PYTHON):
        return NO_WEB_UI
    reasons = NOT_IN[kind_of(Path(FOLDER)).name]
    return next((reason for begins, reason in reasons.items() if name.startswith(begins)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/host" in item.path.as_posix() and (reason := reason_against(item.name)):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("models"))


@contextlib.contextmanager
def started(
    folder: Path,
    python: str,
    files: Files,
    kept: Path,
    *extensions: Path,
    flags: str = "",
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[WebUI]:
    """Run the web UI in a folder with these files and extensions; what it writes goes into the folder `kept`.

    Extensions that are installed there are switched off, other copies of this one too, unless they are among these.
    """
    kept_settings, layout = kept / "config.json", kept / "ui-config.json"
    values = {
        **SETTINGS,
        **kind_of(folder).settings,
        "ipadapter_units": 5,
        "ipadapter_folder": files.folder.as_posix(),
        "ipadapter_kept_folder": (kept / "named").as_posix(),  # as `WebUI.kept` says
        "outdir_samples": (kept / "out").as_posix(),
        "disabled_extensions": installed_beside(folder, *extensions),
        **settings,
    }
    kept_settings.write_text(json.dumps(values))
    layout.write_text("{}")  # which some extensions read as they are loaded
    flags += f" --ui-settings-file {kept_settings} --ui-config-file {layout} --lora-dir {files.loras} "
    flags += os.environ.get("IP_ADAPTER_HOST_FLAGS", "")
    with linked(folder, *extensions):
        server = WebUI(folder, python, flags, kept / "log.txt")
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def webui(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    assert FOLDER
    assert PYTHON
    with started(Path(FOLDER), PYTHON, files, tmp_path_factory.mktemp("webui"), *OURS) as server:
        yield server
