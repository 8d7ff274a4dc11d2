"""From no files to a picture: files come from a hub of our own, and resume after the web UI was killed."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import Hub, HubFile
from small_catalogue import narrow

from host.conftest import FOLDER, ORACLE, PYTHON, started
from host.webui import REPOSITORY, Files, WebUI, reference, smallest_in
from lib_ipadapter.networks.unet_sites import SD

ADAPTER, ENCODER = "ip-adapter_sd15.safetensors", "CLIP-ViT-H-14.safetensors"
PARTS = ("lib_ipadapter", "scripts", "javascript", "localizations", "preload.py", "install.py", "style.css")
"""The parts of the extension that the web UI needs."""


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return smallest_in(Path(FOLDER or ""), SD)


@pytest.fixture
def extension(tmp_path: Path, checkpoint: Path, hub: Hub) -> Path:
    """A copy of the extension, with a catalogue of small files that fit the checkpoint and that the hub has."""
    copy = tmp_path / "ip-adapter-downloads"
    copy.mkdir()
    for part in PARTS:
        source = REPOSITORY / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / part)
    (there := tmp_path / "there").mkdir()
    made = Files(there)
    files = {
        ADAPTER: there / f"{made.adapter(checkpoint)}.safetensors",
        ENCODER: there / "host-test-encoder.safetensors",
    }
    catalogue = narrow(files)
    (copy / "lib_ipadapter" / "files" / "catalogue.json").write_text(json.dumps(catalogue))
    for entry in catalogue["files"]:
        source = catalogue["sources"][entry["source"]]
        key = f"{source['repository']}/{entry['path']}"
        hub.files[key] = HubFile(files[entry["name"]].read_bytes(), revision=source["revision"])
    return copy


@pytest.fixture
def empty(tmp_path: Path) -> Files:
    """Folders without any file."""
    (folder := tmp_path / "empty").mkdir()
    files = Files(folder)
    (folder / "host-test-encoder.safetensors").unlink()
    return files


def downloads(webui: WebUI) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in webui.call("/ipadapter/downloads")["files"]}


def until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_requested_files_survive_a_kill_and_make_a_picture(
    hub: Hub, extension: Path, empty: Files, checkpoint: Path, tmp_path: Path
) -> None:
    (kept := tmp_path / "kept").mkdir()
    asked = {"files": [ADAPTER, ENCODER]}

    def starting() -> Any:
        of_hub = {"HF_HUB_OFFLINE": "0"}
        return started(Path(FOLDER or ""), PYTHON or "", empty, kept, extension, ORACLE, variables=of_hub)

    hub.piece, hub.sleep = 1 << 14, lambda: time.sleep(0.1)
    with starting() as webui:
        found = webui.call("/ipadapter/catalogue?base=SD1.x")
        assert {each["name"]: each["state"] for each in found["files"]} == {ADAPTER: "missing", ENCODER: "missing"}
        webui.call("/ipadapter/downloads", asked)
        until(lambda: downloads(webui)[ADAPTER]["done"])
        assert [each["state"] for each in downloads(webui).values()] == ["running", "waiting"]
        webui.process.kill()
    (part,) = empty.folder.glob("*.part")
    assert not list(empty.folder.glob("*.safetensors"))
    size, hub.sleep = part.stat().st_size, lambda: None
    with starting() as webui:
        assert downloads(webui) == {}
        webui.call("/ipadapter/downloads", asked)
        until(lambda: [each["state"] for each in downloads(webui).values()] == ["done", "done"])
        assert hub.ranges() == ["", f"bytes={size}-", ""]
        assert sorted(each.name for each in empty.folder.iterdir() if each.is_file()) == sorted([ADAPTER, ENCODER])
        found = webui.call("/ipadapter/catalogue?base=SD1.x")
        assert {each["state"] for each in found["files"]} == {"there"}
        webui.use(checkpoint)
        plain = webui.generate()
        assert webui.generate({"model": ADAPTER, "images": [reference()]}) - plain > 0
