"""What differs between operating systems: stand-ins refuse what Windows refuses, wherever the tests run."""

import ast
import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lib_ipadapter.base import file_lock, files
from lib_ipadapter.base.file_lock import opened_alone
from lib_ipadapter.base.file_names import alike, refuse_name
from lib_ipadapter.base.files import delete, publish, write_whole

LIBRARY = Path(files.__file__).resolve().parents[1]


class Held:
    """Files that other programs hold open for some attempts, which Windows then neither replaces nor deletes."""

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts

    def wrap(self, act: Any) -> Any:
        def attempt(*args: Any, **more: Any) -> Any:
            if self.attempts:
                self.attempts -= 1
                raise PermissionError(errno.EACCES, "The process cannot access the file")
            return act(*args, **more)

        return attempt


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that lets the next attempts to replace or delete a file fail, as on Windows."""

    def hold(attempts: int) -> Held:
        held = Held(attempts)
        monkeypatch.setattr(files, "WAITS", (0.0, 0.0, 0.0))
        for name in ("replace", "unlink", "rename"):
            monkeypatch.setattr(Path, name, held.wrap(getattr(Path, name)))
        return held

    return hold


def test_a_file_that_is_open_for_a_moment_is_replaced_afterwards(tmp_path: Path, hold: Any) -> None:
    path = tmp_path / "presets.json"
    write_whole(path, b"one")
    hold(3)
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_stays_open_is_left_as_it_is(tmp_path: Path, hold: Any) -> None:
    path = tmp_path / "presets.json"
    write_whole(path, b"one")
    hold(4)  # then the temporary file can be deleted
    with pytest.raises(PermissionError):
        write_whole(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_other_errors_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WAITS", (60.0,))
    delete(tmp_path / "none")
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path, b"")


def test_a_finished_download_has_its_name_even_if_the_old_one_is_held(tmp_path: Path, hold: Any) -> None:
    part, target = tmp_path / "a.part", tmp_path / "a"
    part.write_bytes(b"whole")
    hold(9)
    assert publish(part, target)
    assert target.read_bytes() == b"whole"


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Locks of a C library as on Windows: of one byte at the position, until the file is closed."""
    held: dict[tuple[int, int], int] = {}
    positions: list[int] = []

    def locking(descriptor: int, _mode: int, _bytes: int) -> None:
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        positions.append(position)
        key = os.fstat(descriptor).st_ino, position
        if held.get(key, descriptor) != descriptor and _is_open(held[key], key[0]):
            raise PermissionError(errno.EACCES, "Permission denied")
        held[key] = descriptor

    monkeypatch.setattr(file_lock, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    return positions


def _is_open(descriptor: int, inode: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino == inode
    except OSError:
        return False


def test_a_part_is_open_only_once_by_the_locks_of_windows(tmp_path: Path, locks: list[int]) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"begun")
    with opened_alone(part) as one:
        assert one
        one.seek(0)
        assert one.read() == b"begun"
        with opened_alone(part) as other:
            assert other is None
        one.write(b" and gone on")
    assert part.read_bytes() == b"begun and gone on"
    with opened_alone(part) as again:
        assert again
    assert {position & 0xFFFF_FFFF for position in locks} == {0xFFFF_FFFE}, "where no content is, in 32 bits too"


def test_an_empty_part_is_deleted_once_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, opened = tmp_path / "part", []
    unlink = Path.unlink

    def of_closed_files(path: Path, missing_ok: bool = False) -> None:
        if not opened[0].closed:
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", of_closed_files)
    with opened_alone(part) as file:
        opened.append(file)
    assert not part.exists()


@pytest.mark.parametrize("name", ["con", "NUL.txt", "a:b", "a.", " a", "a?", "com1", "x/y", "x\\y"])
def test_names_that_windows_cannot_have_are_refused_everywhere(name: str) -> None:
    with pytest.raises(files.IPAdapterError):
        refuse_name(name)


def test_names_that_windows_or_macos_take_for_the_same_are_alike() -> None:
    assert alike("Ann\u00e9") == alike("ANNE\u0301")


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]


def is_text(call: ast.Call) -> bool:
    """Return whether a call opens a file as text, whose encoding is otherwise that of the system."""
    name, mode = call.func.attr, call.args[0] if call.args else None  # type: ignore[attr-defined]
    if name == "open":
        return isinstance(mode, ast.Constant) and mode.value in ("r", "w", "a", "x")
    return name in ("read_text", "write_text")


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: path.stem)
def test_texts_have_a_stated_encoding(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [call for call in calls(tree) if is_text(call)]
    assert all(any(keyword.arg == "encoding" for keyword in call.keywords) for call in texts)


def test_texts_of_the_entry_points_have_one_too() -> None:
    for name in ("install.py", "preload.py", "scripts/ip_adapter.py"):
        test_texts_have_a_stated_encoding(LIBRARY.parent / name)
