"""Downloads from a hub of our own, through the real huggingface_hub: they resume, and only right bytes are kept."""

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from hub import ENDPOINT, REVISION, Hub, HubFile, cut, stall, status

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.base.file_lock import opened_alone
from lib_ipadapter.files import downloads
from lib_ipadapter.files import hub as hub_module
from lib_ipadapter.files.catalogue import Member, PublishedFile
from lib_ipadapter.files.downloads import StoppedError, download

CONTENT = bytes(range(256)) * 4000
"""About one megabyte."""
PIECE = hub_module.PIECE
ROOT = Path(__file__).resolve().parents[1]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def published(name: str = "a.safetensors", content: bytes = CONTENT, **more: Any) -> PublishedFile:
    facts: dict[str, Any] = {
        "title": "A",
        "help": "For tests.",
        "repository": "owner/repo",
        "revision": REVISION,
        "path": f"models/{name}",
        "url": "",
        "page": f"{ENDPOINT}/owner/repo",
        "bytes": len(content),
        "exact": True,
        "sha256": digest(content),
        "sources": 1,
        "licence": "Apache-2.0",
        "commercial": True,
        "family": "base",
        "variant": "",
        "base": "SD1.x",
        "use": "general",
        "needs": (),
        "encoder": "",
        "instead_of": "",
        "folder": "adapters",
        "subfolder": "",
        "extract": (),
    }
    return PublishedFile(name=name, **{**facts, **more})


def serve(hub: Hub, file: PublishedFile, content: bytes = CONTENT, **more: Any) -> HubFile:
    hub.files[f"{file.repository}/{file.path}"] = served = HubFile(content, **more)
    return served


class Watcher:
    """Records what is reported, does not wait, and stops after a number of bytes."""

    def __init__(self, stop_after: int = 1 << 60) -> None:
        self.stop_after = stop_after
        self.reports: list[tuple[str, int, int]] = []
        self.waited: list[float] = []

    def report(self, state: str, done: int, total: int) -> None:
        self.reports.append((state, done, total))
        if done >= self.stop_after:
            raise StoppedError

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)


def refused(file: PublishedFile, folder: Path, watcher: Watcher | None = None) -> str:
    with pytest.raises(IPAdapterError) as error:
        download(file, folder, watcher or Watcher())
    return error.value.sentence


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# From beginning to end


def test_a_file_is_saved_in_its_place_and_nothing_else_is(hub: Hub, tmp_path: Path) -> None:
    file, watcher = published(), Watcher()
    serve(hub, file)
    download(file, tmp_path / "new" / "folder", watcher)
    assert (tmp_path / "new" / "folder" / file.name).read_bytes() == CONTENT
    assert names(tmp_path) == ["new/folder/a.safetensors"]
    assert watcher.reports[-1] == ("running", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in watcher.reports] == sorted(done for _, done, _ in watcher.reports)
    assert hub.asked[0].path == f"owner/repo/resolve/{REVISION}/models/a.safetensors"


def test_a_file_that_is_already_there_is_not_downloaded_again(hub: Hub, tmp_path: Path) -> None:
    file = published()
    (tmp_path / file.name).write_bytes(CONTENT)
    download(file, tmp_path, Watcher())
    assert not hub.asked


def test_a_users_own_file_with_that_name_is_never_overwritten(hub: Hub, tmp_path: Path) -> None:
    file = published()
    serve(hub, file)
    (tmp_path / file.name).write_bytes(b"mine")
    assert "not the published one. Nothing was changed." in refused(file, tmp_path)
    assert (tmp_path / file.name).read_bytes() == b"mine"
    assert not hub.asked


def test_a_file_that_appears_meanwhile_is_not_overwritten(hub: Hub, tmp_path: Path) -> None:
    file = published()
    serve(hub, file)

    def come() -> None:
        if not (tmp_path / file.name).exists():
            (tmp_path / file.name).write_bytes(b"mine")

    hub.sleep = come
    assert "not the published one" in refused(file, tmp_path)
    assert (tmp_path / file.name).read_bytes() == b"mine"


def test_if_the_size_is_only_rounded_the_server_gives_it(hub: Hub, tmp_path: Path) -> None:
    file, watcher = published(bytes=1_000_000, exact=False), Watcher()
    serve(hub, file)
    download(file, tmp_path, watcher)
    assert watcher.reports[-1][1:] == (len(CONTENT), len(CONTENT))


def test_responses_without_a_length_are_read_to_the_end(hub: Hub, tmp_path: Path) -> None:
    file = published()
    serve(hub, file, lengths=False)
    download(file, tmp_path, Watcher())
    assert (tmp_path / file.name).read_bytes() == CONTENT


def test_a_renamed_repository_is_followed(hub: Hub, tmp_path: Path) -> None:
    file = published()
    hub.moved["owner/repo/models/a.safetensors"] = "new/name"
    serve(hub, replace(file, repository="new/name"))
    download(file, tmp_path, Watcher())
    assert (tmp_path / file.name).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["../a.bin", "/tmp/a.bin", "a/b.bin", "..", "", "a\\b.bin", "C:a.bin", "nul", "a\0"])
def test_no_name_can_escape_the_folder(hub: Hub, tmp_path: Path, name: str) -> None:
    zipped = Member(name, 1, digest(b"x"))
    for wrong in (
        replace(published(), name=name),
        *([replace(published(), subfolder=name)] if name else []),
        *([] if "/" in name else [replace(published(), extract=(zipped,))]),  # members are saved without their folders
    ):
        with pytest.raises(IPAdapterError, match="name"):
            download(wrong, tmp_path / "models", Watcher())
    assert not hub.asked
    assert not names(tmp_path)


# Interruptions


def test_a_broken_connection_is_resumed_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    file, watcher = published(), Watcher()
    serve(hub, file, faults=[cut(4 * PIECE), cut(PIECE), cut(0), status(503, Retry_After="7"), status(429), cut(PIECE)])
    download(file, tmp_path, watcher)
    assert (tmp_path / file.name).read_bytes() == CONTENT
    starts = [0, 4, 5, 5, 5, 5, 6]
    assert hub.ranges() == [f"bytes={start * PIECE}-" if start else "" for start in starts]
    assert watcher.waited == [1, 1, 2, 7, 8, 1]
    marks = {asked.headers.get("If-Range") for asked in hub.asked if "Range" in asked.headers}
    assert marks == {f'"{hashlib.md5(CONTENT).hexdigest()}"'}


def test_a_stalled_download_times_out_and_resumes(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "TIMEOUT", (1, 0.3))
    file, watcher, over = published(), Watcher(), threading.Event()
    serve(hub, file, faults=[stall(300_000, over)])
    download(file, tmp_path, watcher)
    over.set()
    assert (tmp_path / file.name).read_bytes() == CONTENT
    assert hub.ranges()[1].startswith("bytes=")


def test_it_gives_up_with_an_error_and_keeps_what_was_downloaded(hub: Hub, tmp_path: Path) -> None:
    file, watcher = published(), Watcher()
    served = serve(hub, file, faults=[cut(4 * PIECE), *[status(500)] * 20])
    sentence = refused(file, tmp_path, watcher)
    assert "HTTP 500" in sentence
    assert "is kept" in sentence
    assert watcher.waited == sorted(watcher.waited)
    assert 30 < sum(watcher.waited) < 90
    assert names(tmp_path) == ["a.safetensors.part"]
    served.faults.clear()
    download(file, tmp_path, Watcher())
    assert hub.ranges()[-1] == f"bytes={4 * PIECE}-"
    assert names(tmp_path) == ["a.safetensors"]


def test_it_fails_at_once_if_a_server_asks_for_a_long_wait(hub: Hub, tmp_path: Path) -> None:
    file, watcher = published(), Watcher()
    serve(hub, file, faults=[status(429, Retry_After="3600")])
    assert "HTTP 429 and asked to wait 3600 seconds" in refused(file, tmp_path, watcher)
    assert not watcher.waited


def test_a_hub_that_cannot_be_reached_is_an_error_with_its_address(hub: Hub, tmp_path: Path) -> None:
    file = published(url="http://127.0.0.1:1/a.safetensors", repository="")
    assert "127.0.0.1:1" in refused(file, tmp_path)
    assert not names(tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (requests.exceptions.SSLError, "the certificate of "),
        (requests.exceptions.ProxyError, "the proxy for "),
        (requests.exceptions.ConnectTimeout, "did not respond in time"),
        (requests.exceptions.ConnectionError, "the connection to "),
    ],
)
def test_the_error_says_plainly_what_failed(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error, said
) -> None:
    def fail(_self: object, request: requests.PreparedRequest, **_: object) -> None:
        raise error("<objects>", request=request)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", fail)
    sentence = refused(published(), tmp_path)
    assert said in sentence
    assert ENDPOINT.removeprefix("http://") in sentence
    assert "<objects>" not in sentence


def test_stopping_keeps_what_was_downloaded(hub: Hub, tmp_path: Path) -> None:
    file = published()
    serve(hub, file)
    with pytest.raises(StoppedError):
        download(file, tmp_path, Watcher(stop_after=200_000))
    (part,) = names(tmp_path)
    size = (tmp_path / part).stat().st_size
    assert 200_000 <= size < len(CONTENT)
    download(file, tmp_path, Watcher())
    assert hub.ranges() == ["", f"bytes={size}-"]


@pytest.mark.parametrize(
    ("left", "ranges"),
    [
        (CONTENT, []),  # interrupted between the last byte and the renaming
        (CONTENT[:1000], ["bytes=1000-"]),
        (b"x" * 1000, ["bytes=1000-", ""]),  # damaged: starts over
        (b"x" * len(CONTENT), [""]),
        (CONTENT + b"x", [""]),
    ],
)
def test_the_remains_of_an_earlier_attempt_are_used_if_they_are_right(hub: Hub, tmp_path: Path, left, ranges) -> None:
    file = published()
    serve(hub, file)
    (tmp_path / f"{file.name}.part").write_bytes(left)
    download(file, tmp_path, Watcher())
    assert (tmp_path / file.name).read_bytes() == CONTENT
    assert hub.ranges() == ranges
    assert names(tmp_path) == [file.name]


@pytest.mark.parametrize(("left", "ranges"), [(CONTENT, []), (b"x" * len(CONTENT), [f"bytes={len(CONTENT)}-", ""])])
def test_a_complete_part_of_unknown_size_is_checked(hub: Hub, tmp_path: Path, left: bytes, ranges: list[str]) -> None:
    file = published(bytes=1_000_000, exact=False)
    serve(hub, file)
    (tmp_path / f"{file.name}.part").write_bytes(left)
    download(file, tmp_path, Watcher())
    assert (tmp_path / file.name).read_bytes() == CONTENT
    assert hub.ranges() == ranges


def test_if_the_server_refuses_a_range_the_download_starts_over(hub: Hub, tmp_path: Path) -> None:
    file = published(bytes=1_000_000, exact=False)
    serve(hub, file)
    (tmp_path / f"{file.name}.part").write_bytes(CONTENT + b"more")
    download(file, tmp_path, Watcher())
    assert hub.ranges() == [f"bytes={len(CONTENT) + 4}-", ""]
    assert (tmp_path / file.name).read_bytes() == CONTENT


def test_a_server_without_ranges_sends_the_whole_file_again(hub: Hub, tmp_path: Path) -> None:
    file = published()
    serve(hub, file, ranges=False, faults=[cut(300_000)])
    download(file, tmp_path, Watcher())
    assert (tmp_path / file.name).read_bytes() == CONTENT


CHILD = """
import json, sys, time
from pathlib import Path
from lib_ipadapter.files.catalogue import PublishedFile
from lib_ipadapter.files.downloads import download

class Watcher:
    def report(self, state, done, total):
        print(state, done, flush=True)

    def wait(self, seconds):
        time.sleep(seconds)

download(PublishedFile(**json.loads(sys.argv[1])), Path(sys.argv[2]), Watcher())
"""


def child(file: PublishedFile, folder: Path) -> subprocess.Popen[str]:
    """Start a process that downloads a file and prints its reports."""
    command = [sys.executable, "-c", CHILD, json.dumps(asdict(file)), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")
def test_the_next_process_resumes_what_a_killed_one_left(hub: Hub, tmp_path: Path) -> None:
    file = published()
    serve(hub, file)
    hub.sleep = lambda: time.sleep(0.05)
    killed = child(file, tmp_path)
    assert killed.stdout
    for line in killed.stdout:
        if int(line.split()[1]) > 300_000:
            break
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    (part,) = names(tmp_path)
    size = (tmp_path / part).stat().st_size
    assert part == f"{file.name}.part"
    assert size > 300_000
    hub.sleep = lambda: None
    download(file, tmp_path, Watcher())
    assert hub.ranges() == ["", f"bytes={size}-"]
    assert (tmp_path / file.name).read_bytes() == CONTENT
    assert names(tmp_path) == [file.name]


def test_two_processes_download_the_same_file_only_once(hub: Hub, tmp_path: Path) -> None:
    file = published()
    serve(hub, file)
    hub.sleep = lambda: time.sleep(0.05)
    children = [child(file, tmp_path), child(file, tmp_path)]
    outputs = [each.communicate(timeout=60)[0] for each in children]
    assert [each.returncode for each in children] == [0, 0]
    assert sum("running" in output for output in outputs) == 1
    assert hub.ranges() == [""]
    assert names(tmp_path) == [file.name]
    assert (tmp_path / file.name).read_bytes() == CONTENT


def test_a_part_can_be_open_only_once_and_is_deleted_if_empty(tmp_path: Path) -> None:
    part = tmp_path / "part"
    with opened_alone(part) as one:
        assert one
        with opened_alone(part) as other:
            assert other is None
    assert not part.exists()
    with opened_alone(part) as one:
        assert one
        one.write(b"x")
    assert part.read_bytes() == b"x"


def test_a_part_that_another_web_ui_left_behind_is_deleted_once_the_file_is_there(hub: Hub, tmp_path: Path) -> None:
    """On Windows it could not delete the part while this one had it open."""
    file = published()
    (tmp_path / file.name).write_bytes(CONTENT)
    (tmp_path / f"{file.name}.part").write_bytes(CONTENT)
    download(file, tmp_path, Watcher())
    assert names(tmp_path) == [file.name]
    assert hub.ranges() == []


# Wrong bytes


def test_wrong_bytes_never_become_a_model(hub: Hub, tmp_path: Path) -> None:
    file = published()
    wrong = CONTENT[:-1] + b"x"
    serve(hub, file, wrong, etag=file.sha256)
    sentence = refused(file, tmp_path)
    assert digest(wrong)[:12] in sentence
    assert "It was deleted." in sentence
    assert not names(tmp_path)


def test_different_content_on_the_hub_is_noticed_before_downloading(hub: Hub, tmp_path: Path) -> None:
    file = published()
    serve(hub, file, CONTENT[:-1] + b"x")
    assert "Nothing was downloaded." in refused(file, tmp_path)
    assert [asked.server for asked in hub.asked] == ["hub"]
    assert not names(tmp_path)


@pytest.mark.parametrize("content", [b"<html>please log in</html>", CONTENT + b"x", CONTENT[:-1], b""])
def test_a_file_of_a_different_size_is_refused(hub: Hub, tmp_path: Path, content: bytes) -> None:
    file = published()
    serve(hub, file, content, etag=file.sha256)
    assert f"it has {len(content)} bytes, not {len(CONTENT)}" in refused(file, tmp_path)
    assert not names(tmp_path)


def test_endless_content_is_cut_off(hub: Hub, tmp_path: Path) -> None:
    file = published()
    serve(hub, file, CONTENT * 20, etag=file.sha256, lengths=False)
    watcher = Watcher()
    assert "It was deleted." in refused(file, tmp_path, watcher)
    assert max(done for _, done, _ in watcher.reports) < len(CONTENT) * 1.2
    assert not names(tmp_path)


# Permission


def tokens(hub: Hub) -> list[tuple[str, str]]:
    return [(asked.server, asked.headers.get("Authorization", "")) for asked in hub.asked]


def test_the_token_is_sent_only_to_the_hub_and_only_if_it_is_required(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    file, gated = published(), published("gated.bin")
    serve(hub, file)
    serve(hub, gated, token="hf_secret")
    download(file, tmp_path, Watcher())
    assert tokens(hub) == [("hub", ""), ("cdn", "")]
    hub.asked.clear()
    download(gated, tmp_path, Watcher())
    assert tokens(hub) == [("hub", ""), ("hub", "Bearer hf_secret"), ("cdn", "")]
    assert names(tmp_path) == ["a.safetensors", "gated.bin"]


def test_the_token_is_not_sent_elsewhere_and_a_netrc_is_not_read(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    file = published()
    serve(hub, file, faults=[status(403)])
    elsewhere = replace(file, url=f"{hub.cdn}/owner/repo/{file.path}", repository="")
    assert "(HTTP 403)" in refused(elsewhere, tmp_path / "models")
    download(file, tmp_path / "models", Watcher())
    download(replace(elsewhere, name="b.bin"), tmp_path / "models", Watcher())
    assert {token for _, token in tokens(hub)} == {""}


@pytest.mark.parametrize("token", ["", "hf_wrong"])
def test_a_gated_file_says_what_to_do(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    file = published()
    serve(hub, file, token="hf_secret")
    sentence = refused(file, tmp_path)
    assert f"(HTTP {403 if token else 401})" in sentence
    assert f"{ENDPOINT}/owner/repo" in sentence
    assert "HF_TOKEN" in sentence
    assert not names(tmp_path)


def test_a_file_that_no_longer_exists_is_an_error(hub: Hub, tmp_path: Path) -> None:
    assert "is no longer at" in refused(published(), tmp_path)
    assert not names(tmp_path)


def test_nothing_is_downloaded_if_the_user_has_turned_the_hub_off(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(published(), tmp_path)
    assert not hub.asked


# The disk


def test_a_file_that_does_not_fit_on_the_disk_is_not_started(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    file = published()
    serve(hub, file)
    assert "needs 1.0 MB more" in refused(file, tmp_path)
    assert not names(tmp_path)


def test_if_the_disk_fills_up_what_was_downloaded_is_kept(
    hub: Hub, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = shutil.disk_usage("/")
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: roomy._replace(free=1 << 40))
    file = published()
    serve(hub, file)
    full = small_disk / "full"
    full.write_bytes(bytes(600_000))
    assert "is full. What has been downloaded is kept." in refused(file, small_disk)
    assert names(small_disk) == ["a.safetensors.part", "full"]
    full.unlink()
    download(file, small_disk, Watcher())
    assert (small_disk / file.name).read_bytes() == CONTENT
    assert int(hub.ranges()[1].removeprefix("bytes=").rstrip("-")) > 300_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of 1.5 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can make a small disk, on Linux")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_written_to_is_an_error(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be written" in refused(published(), tmp_path / "file")


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_works_too(hub: Hub, tmp_path: Path, monkeypatch, code: int) -> None:
    def no_links(*_: Any) -> None:
        raise OSError(code, "no links")

    monkeypatch.setattr(os, "link", no_links)
    file = published()
    serve(hub, file)
    download(file, tmp_path, Watcher())
    assert names(tmp_path) == [file.name]


# Archives


def archive(hub: Hub, **content: bytes) -> PublishedFile:
    """Return a pack with members that are needed and one that is not."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        for name, member in {**content, "unneeded": b"u" * 1000}.items():
            opened.writestr(f"pack/{name}.onnx", member)
    members = tuple(Member(f"pack/{name}.onnx", len(member), digest(member)) for name, member in content.items())
    whole = made.getvalue()
    url = f"{hub.cdn}/pack.zip"
    file = published("pack.zip", whole, repository="", url=url, folder="faces", subfolder="pack", extract=members)
    hub.files["pack.zip"] = HubFile(whole)
    return file


def test_only_the_members_that_are_needed_are_extracted(hub: Hub, tmp_path: Path) -> None:
    file = archive(hub, one=b"1" * 5000, two=b"2" * 7000)
    download(file, tmp_path, Watcher())
    assert names(tmp_path) == ["pack/one.onnx", "pack/two.onnx"]
    assert (tmp_path / "pack" / "two.onnx").read_bytes() == b"2" * 7000
    hub.asked.clear()
    download(file, tmp_path, Watcher())
    assert not hub.asked
    (tmp_path / "pack" / "one.onnx").unlink()
    download(file, tmp_path, Watcher())
    assert names(tmp_path) == ["pack/one.onnx", "pack/two.onnx"]


def test_a_users_own_file_is_not_replaced_by_a_member(hub: Hub, tmp_path: Path) -> None:
    file = archive(hub, one=b"1" * 5000, two=b"2" * 7000)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "one.onnx").write_bytes(b"mine")
    assert "a file called one.onnx that is not the published one" in refused(file, tmp_path)
    assert names(tmp_path) == ["pack/one.onnx"]


def test_a_member_that_is_not_the_published_one_is_not_extracted(hub: Hub, tmp_path: Path) -> None:
    file = archive(hub, one=b"1" * 5000)
    wrong = replace(file, extract=(Member("pack/one.onnx", 5000, "0" * 64),))
    assert "not the published file" in refused(wrong, tmp_path)
    missing = replace(file, extract=(Member("pack/none.onnx", 5000, "0" * 64),))
    assert "cannot be unpacked" in refused(missing, tmp_path)
    assert names(tmp_path) == ["pack/pack.zip.part"]
