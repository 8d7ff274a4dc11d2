"""The page about the files says what the catalogue says."""

from catalogue_page import FOLDERS, PAGE, page, size

from lib_ipadapter.files.catalogue import read_catalogue


def test_the_page_is_current() -> None:
    """If this fails, run `python tests/catalogue_page.py`."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_page_has_every_file_once_in_a_table_of_its_kind() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for file in read_catalogue().files:
        assert text.count(f"\n| `{file.name}` | ") == 1
        assert f"`{FOLDERS[file.folder]}`" in text


def test_sizes_are_as_on_download_pages() -> None:
    assert [size(count) for count in (44_642_768, 998_000_000, 2_528_373_448)] == ["45 MB", "998 MB", "2.5 GB"]
