"""References are kept by their hash, within a limit, and found only while they are unchanged."""

import base64
import os
from pathlib import Path

import pytest
from makers import file_of, picture, text_of

from lib_ipadapter.files.reference_store import ReferenceStore
from lib_ipadapter.pictures.image_file import ImageFile, read_image_file
from lib_ipadapter.port import ReferenceStoreConfig


def reference(seed: int) -> ImageFile:
    return read_image_file("images[0]", text_of(picture(20, 20, seed)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_kept_reference_is_found_by_its_first_digits(folder: Path) -> None:
    store, kept = ReferenceStore(lambda: ReferenceStoreConfig(folder, 1 << 20)), reference(1)
    assert store.find(kept.digest[:12]) is None
    store.keep(kept)
    store.keep(kept)
    assert names(folder) == {f"{kept.digest}.png"}
    for digits in (kept.digest[:12], kept.digest):
        url = store.find(digits)
        assert url == f"data:image/png;base64,{base64.b64encode(kept.content).decode()}"
        assert read_image_file("images[0]", url) == kept
    assert store.find(reference(2).digest[:12]) is None


@pytest.mark.parametrize("digits", ["", "*", "../../etc/passwd", "abc", "0" * 11, "G" * 12, "0" * 65, "?" * 12])
def test_only_hashes_are_looked_up(folder: Path, digits: str) -> None:
    store = ReferenceStore(lambda: ReferenceStoreConfig(folder, 1 << 20))
    store.keep(reference(1))
    assert store.find(digits) is None


def test_the_least_recently_used_file_is_deleted_first(folder: Path) -> None:
    first, second, third = (reference(seed) for seed in (1, 2, 3))
    store = ReferenceStore(
        lambda: ReferenceStoreConfig(folder, 2 * max(len(each.content) for each in (first, second, third)))
    )
    for age, kept in ((300, first), (200, second)):
        store.keep(kept)
        path = folder / f"{kept.digest}.png"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    store.keep(first)  # used again
    store.keep(third)
    assert store.find(first.digest)
    assert store.find(third.digest)
    assert store.find(second.digest) is None


def test_a_limit_of_0_keeps_nothing_and_empties_the_folder(folder: Path) -> None:
    limit = 1 << 20
    store = ReferenceStore(lambda: ReferenceStoreConfig(folder, limit))
    store.keep(reference(1))
    (folder / "note.txt").write_text("mine")
    (folder / "0123.png").write_text("mine too")
    limit = 0
    store.keep(reference(2))
    assert names(folder) == {"note.txt", "0123.png"}, "other files are left alone"


def test_a_picture_larger_than_the_limit_evicts_nothing(folder: Path) -> None:
    small, large = reference(1), ImageFile(b"BM" + bytes(5000), "f" * 64)
    store = ReferenceStore(lambda: ReferenceStoreConfig(folder, len(small.content) + 100))
    store.keep(small)
    store.keep(large)
    assert names(folder) == {f"{small.digest}.png"}


def test_a_file_that_was_changed_is_not_restored(folder: Path) -> None:
    store, kept = ReferenceStore(lambda: ReferenceStoreConfig(folder, 1 << 20)), reference(1)
    store.keep(kept)
    (folder / f"{kept.digest}.png").write_bytes(file_of(picture(20, 20, 9)))
    assert store.find(kept.digest) is None


def test_a_folder_that_cannot_be_written_is_logged_and_does_no_harm(tmp_path: Path, caplog) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    ReferenceStore(lambda: ReferenceStoreConfig(tmp_path / "kept", 1 << 20)).keep(reference(1))
    assert "could not store a reference" in caplog.text


def test_without_a_store_nothing_is_kept_or_found() -> None:
    store = ReferenceStore(lambda: None)
    store.keep(reference(1))
    assert store.find(reference(1).digest) is None


@pytest.mark.parametrize(("start", "name"), [(b"\xff\xd8\xff", "jpg"), (b"GIF89a", "gif"), (b"?", "picture")])
def test_file_extensions_follow_the_content(folder: Path, start: bytes, name: str) -> None:
    kept = ImageFile(start, "a" * 64)
    ReferenceStore(lambda: ReferenceStoreConfig(folder, 1 << 20)).keep(kept)
    assert names(folder) == {f"{kept.digest}.{name}"}
