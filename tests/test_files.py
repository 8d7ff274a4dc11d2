"""A file is written completely or not at all."""

from pathlib import Path

import pytest

from lib_ipadapter.base.files import write_whole, written_whole


def test_a_file_and_its_folders_are_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.json"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_stays_if_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def fail() -> None:
        with written_whole(path) as part:
            part.write_bytes(b"half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path], "nothing half-written stays"


@pytest.mark.usefixtures("links")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    kept, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    write_whole(kept, b"before")
    link.symlink_to(kept)
    write_whole(link, b"after")
    assert link.is_symlink()
    assert kept.read_bytes() == b"after"
