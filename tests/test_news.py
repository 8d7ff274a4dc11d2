"""News are shown once after an update, never after a first installation; the changelog says what they are."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from lib_ipadapter.base.version import VERSION
from lib_ipadapter.files import news
from lib_ipadapter.files.news import CHANGELOG, Changes, News, changes_since, releases_in

TEXT = """# Changelog

## [Unreleased]

### Added

- Not yet.

## [1.2.0] - 2027-01-02

### Added

- **Get models**: files at a
  click, see [the page](docs/files.md).
- Another, with `code`.

### Fixed

- A fault.

## [1.1.0] - 2026-12-31

### Removed

- Nothing.

## [0.1.0] - 2026-11-22

The first.
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "version.json"


def test_a_first_installation_has_no_news_and_is_noted(file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert not News(lambda: file, [tmp_path / "presets.json", tmp_path / "empty"]).unread
    assert json.loads(file.read_text()) == {"seen": VERSION}
    (tmp_path / "presets.json").write_text("{}")
    assert not News(lambda: file, [tmp_path / "presets.json"]).unread, "used since"


@pytest.mark.parametrize("trace", ["presets.json", "references/a.png"])
def test_what_0_1_0_left_behind_shows_that_this_is_an_update(file: Path, tmp_path: Path, trace: str) -> None:
    (tmp_path / trace).parent.mkdir(exist_ok=True)
    (tmp_path / trace).write_text("")
    traces = [tmp_path / "presets.json", tmp_path / "references"]
    found = News(lambda: file, traces)
    assert found.unread
    assert not file.exists(), "until they are read"
    assert found.read() == changes_since("0.1.0") != []
    assert not found.unread
    assert found.read() != [], "those of this version, which can be read again"
    assert not News(lambda: file, traces).unread


@pytest.mark.parametrize("content", ["", "[]", '{"seen": 3}', '{"seen": "soon"}', f'{{"seen": "{VERSION}"}}'])
def test_other_contents_are_no_update(file: Path, content: str) -> None:
    file.write_text(content)
    assert not News(lambda: file, [file]).unread


def test_who_goes_back_sees_no_news_and_nothing_is_forgotten(file: Path) -> None:
    file.write_text('{"seen": "99.10.0"}')
    found = News(lambda: file, ())
    assert not found.unread
    assert found.read() != []
    assert file.read_text() == '{"seen": "99.10.0"}'


def test_a_file_that_cannot_be_written_is_only_logged(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(news, "write_whole", refuse)
    assert not News(lambda: file, ()).unread
    assert "cannot write" in caplog.text


def test_nothing_is_noted_where_there_is_no_file() -> None:
    assert not News(lambda: None, ()).unread


def test_changes_are_read_as_plain_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "CHANGELOG.md"
    path.write_text(TEXT)
    monkeypatch.setattr(news, "CHANGELOG", path)
    newest = [
        Changes("Added", ("Get models: files at a click, see the page.", "Another, with code.")),
        Changes("Fixed", ("A fault.",)),
    ]
    older = [Changes("Removed", ("Nothing.",))]
    assert changes_since("0.1.0") == [*newest, *older]
    assert changes_since("1.1.0") == changes_since("1.10") == changes_since("2") == newest
    path.unlink()
    assert changes_since("0.1.0") == []


def test_the_changelog_keeps_its_format_and_begins_with_this_version() -> None:
    text = CHANGELOG.read_text(encoding="utf-8")
    numbers = re.findall(r"^## \[(.+?)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    assert numbers[0] == VERSION
    assert numbers[-1] == "0.1.0"
    assert all(newer > older for newer, older in pairwise([*map(news._numbers, numbers)]))
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for _, changes in releases_in(text):
        assert {each.title for each in changes} <= kinds
        assert all(item for each in changes for item in each.items)
