"""A real web UI for the tests in this folder.

IP_ADAPTER_HOST is its folder, IP_ADAPTER_HOST_PYTHON its Python; both must be installed and have a small checkpoint.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.webui import REPOSITORY, SETTINGS, Files, WebUI, linked

FOLDER, PYTHON = os.environ.get("IP_ADAPTER_HOST"), os.environ.get("IP_ADAPTER_HOST_PYTHON")
WITHOUT = (
    "no web UI given: set IP_ADAPTER_HOST to the folder of an installed one and IP_ADAPTER_HOST_PYTHON to its Python"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/host" in item.path.as_posix() and not (FOLDER and PYTHON):
            item.add_marker(pytest.mark.skip(reason=WITHOUT))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def webui(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    assert FOLDER
    assert PYTHON
    folder, kept = Path(FOLDER), tmp_path_factory.mktemp("webui")
    settings = kept / "config.json"
    values = {
        **SETTINGS,
        "ipadapter_folder": files.folder.as_posix(),
        "outdir_samples": (kept / "out").as_posix(),
    }
    settings.write_text(json.dumps(values))
    flags = f"--ui-settings-file {settings} --ui-config-file {kept / 'ui-config.json'} --lora-dir {files.loras} "
    flags += os.environ.get("IP_ADAPTER_HOST_FLAGS", "")
    with linked(folder, REPOSITORY, Path(__file__).parent / "oracle"):
        server = WebUI(folder, PYTHON, flags, kept / "log.txt")
        try:
            yield server
        finally:
            server.stop()
