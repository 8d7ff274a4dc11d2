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
"""This extension, and the reference implementation that the tests compare it with."""
NO_WEB_UI = (
    "no web UI given: set IP_ADAPTER_HOST to the folder of an installed one and IP_ADAPTER_HOST_PYTHON to its Python"
)


BY_FLAGS = {
    "test_it_works_with_every_attention_optimisation": "attention is chosen by command-line flags, at start",
    "test_it_works_with_other_speed_ups[upcast": "precision is chosen by command-line flags",
    "test_it_works_with_other_speed_ups[hypertile": "it has no hypertile setting",
    "test_it_is_correct_where_controlnet_is_not": "its own IP-Adapter is correct there",
}
UNPADDED = {
    "test_splitting_the_batch_changes_nothing[long negative, padded": "the shorter prompt is repeated, none is padded"
}
NO_PARAMETERS = {
    "test_the_report_is_not_part_of_the_pasted_parameters": "its API fails on every request with parameters (infotext)"
}
NOT_IN = {
    "AUTOMATIC1111": {
        "test_rows_widened_around_attn2": "only Forge patches around attn2",
        "test_it_works_with_a_picture_in_tiles": "only Forge has the tiling extension",
        "test_it_equals_forges": "the ControlNet extension is wrong in some of these cases",
    },
    "Forge": BY_FLAGS | UNPADDED | NO_PARAMETERS,
    "Forge Neo": BY_FLAGS
    | UNPADDED
    | NO_PARAMETERS
    | dict.fromkeys(
        ("test_it_equals_controlnets", "test_it_equals_forges", "test_both_add_their_share"),
        "its own IP-Adapter fails with the transformers that it pins",
    ),
    "reForge": BY_FLAGS
    | {
        "test_splitting_the_batch_changes_nothing[no uncond in early steps": "it has no setting for early steps",
        "test_the_controlnet_alone_is_given_the_face_too": "the ControlNet of its own pair is given the text",
    },
    "Forge Classic": BY_FLAGS
    | UNPADDED
    | {
        "test_splitting_the_batch_changes_nothing[no uncond in late steps, all": "it skips late steps in one way only",
        "test_it_works_with_a_picture_in_tiles": "there is no tiling extension",
    },
}
"""Tests that do not apply to a web UI, by the start of their names, with the reason."""


def reason_against(name: str) -> str | None:
    """Return why a test is skipped, or None if it runs."""
    if not (FOLDER and PYTHON):
        return NO_WEB_UI
    reasons = NOT_IN[kind_of(Path(FOLDER)).name]
    return next((reason for begins, reason in reasons.items() if name.startswith(begins)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/host" in item.path.as_posix() and (reason := reason_against(item.name)):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from panel.served import started_browser  # playwright is not installed everywhere

    with started_browser() as browser:
        yield browser


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
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[WebUI]:
    """Run the web UI in a folder with these files and extensions; it writes into the folder `kept`.

    All other installed extensions are disabled, including other copies of this one.
    """
    kept_settings, layout = kept / "config.json", kept / "ui-config.json"
    values = {
        **SETTINGS,
        **kind_of(folder).settings,
        "ipadapter_units": 5,
        "ipadapter_folder": files.folder.as_posix(),
        "ipadapter_kept_folder": (kept / "named").as_posix(),  # see `WebUI.kept`
        "outdir_samples": (kept / "out").as_posix(),
        "disabled_extensions": installed_beside(folder, *extensions),
        **settings,
    }
    kept_settings.write_text(json.dumps(values))
    layout.write_text("{}")  # some extensions read it while loading
    flags += f" --ui-settings-file {kept_settings} --ui-config-file {layout} --lora-dir {files.loras} "
    flags += os.environ.get("IP_ADAPTER_HOST_FLAGS", "")
    with linked(folder, *extensions):
        server = WebUI(folder, python, flags, kept / "log.txt", variables)
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
