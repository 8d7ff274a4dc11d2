"""Hashes of files: computed once, stored with path, time and size; only callers that need one wait for it."""

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.files import digests as module
from lib_ipadapter.files.digests import Digests

CONTENT = b"some weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "hashes.json"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that have been hashed."""
    hashed: list[Path] = []
    real = module.sha256

    def counting(path: Path) -> str:
        hashed.append(path)
        return real(path)

    monkeypatch.setattr(module, "sha256", counting)
    return hashed


def finished(digests: Digests, path: Path) -> str:
    for thread in threading.enumerate():
        if thread.name == "IP-Adapter digests":
            thread.join(20)
    return digests.known(path)


def test_a_digest_is_computed_once_and_stored_for_the_next_start(file: Path, kept: Path, counted: list[Path]) -> None:
    digests = Digests(lambda: kept)
    assert digests.known(file) == ""
    assert digests.of(file) == digests.of(file) == digests.known(file) == DIGEST
    assert Digests(lambda: kept).known(file) == DIGEST
    assert counted == [file]


def test_without_a_file_digests_are_kept_in_memory(file: Path) -> None:
    digests = Digests(lambda: None)
    assert digests.of(file) == digests.known(file) == DIGEST


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_hashed_again(file: Path, kept: Path, change: str) -> None:
    digests = Digests(lambda: kept)
    digests.of(file)
    if change == "size":
        state = file.stat()
        file.write_bytes(CONTENT + b"!")
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    else:
        os.utime(file, ns=(5, 5))
    assert digests.known(file) == ""
    assert digests.of(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_wanted_digests_are_computed_in_the_background_one_at_a_time(
    tmp_path: Path, kept: Path, counted: list[Path]
) -> None:
    files = [tmp_path / f"{number}.bin" for number in range(5)]
    for number, path in enumerate(files):
        path.write_bytes(bytes([number]))
    digests = Digests(lambda: kept)
    digests.want([*files, *files, tmp_path / "missing.bin"])
    digests.want(files)
    assert all(finished(digests, path) == hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    assert counted == files
    assert not any(digests.is_wanted(path) for path in files)
    (tmp_path / "later.bin").write_bytes(b"x")
    digests.want([tmp_path / "later.bin"])
    assert finished(digests, tmp_path / "later.bin"), "the thread starts again"


def test_a_forgotten_digest_is_computed_again(file: Path, kept: Path, counted: list[Path]) -> None:
    digests = Digests(lambda: kept)
    digests.of(file)
    digests.forget([file, file.with_name("unknown")])
    assert digests.known(file) == Digests(lambda: kept).known(file) == ""
    assert digests.of(file) == DIGEST
    assert counted == [file, file]


def test_wanting_does_not_wait(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(module, "sha256", lambda path: str(go.wait(20)) and DIGEST)
    digests = Digests(lambda: None)
    digests.want([file])
    assert digests.is_wanted(file)
    assert digests.known(file) == ""
    go.set()
    assert finished(digests, file) == DIGEST


def test_a_file_that_changes_while_it_is_hashed_is_not_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changing(path: Path) -> str:
        path.write_bytes(b"longer than it was before")
        return DIGEST

    monkeypatch.setattr(module, "sha256", changing)
    digests = Digests(lambda: None)
    digests.of(file)
    assert digests.known(file) == ""


def test_a_digest_computed_while_writing_a_file_can_be_recorded(file: Path, kept: Path, counted: list[Path]) -> None:
    Digests(lambda: kept).record(file, DIGEST)
    assert Digests(lambda: kept).of(file) == DIGEST
    assert not counted


def test_two_processes_keep_each_others_digests(tmp_path: Path, kept: Path) -> None:
    files = [tmp_path / name for name in ("a", "b")]
    processes = [Digests(lambda: kept) for _ in files]
    for path, digests in zip(files, processes, strict=True):
        path.write_bytes(path.name.encode())
        digests.known(path)
    for path, digests in zip(files, processes, strict=True):
        digests.of(path)
    assert all(Digests(lambda: kept).known(path) for path in files)


def test_the_oldest_digests_are_dropped(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 3)
    digests = Digests(lambda: kept)
    files = [tmp_path / str(number) for number in range(5)]
    for path in files:
        path.write_bytes(b"x")
        digests.of(path)
    assert [bool(Digests(lambda: kept).known(path)) for path in files] == [False, False, True, True, True]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b"null",
        b'{"/a": 1, "/b": [1, 2], "/c": [1, 2, "x"], "/d": [true, 2, "' + b"0" * 64 + b'"]}',
    ],
)
def test_a_damaged_file_is_rewritten(content: bytes, file: Path, kept: Path) -> None:
    kept.parent.mkdir()
    kept.write_bytes(content)
    assert Digests(lambda: kept).of(file) == DIGEST
    assert list(json.loads(kept.read_text(encoding="utf-8"))) == [str(file)]


def test_a_folder_that_cannot_be_written_to_is_not_an_error(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    digests = Digests(lambda: tmp_path / "cache" / "hashes.json")
    assert digests.of(file) == digests.known(file) == DIGEST


def test_an_unreadable_file_is_an_error_only_if_its_digest_is_needed(tmp_path: Path) -> None:
    digests = Digests(lambda: None)
    missing = tmp_path / "missing.bin"
    assert digests.known(missing) == ""
    with pytest.raises(IPAdapterError, match=r"missing\.bin cannot be read"):
        digests.of(missing)
    with pytest.raises(IPAdapterError, match="cannot be read"):
        digests.of(tmp_path)
    digests.want([missing, tmp_path])
    assert finished(digests, missing) == ""
