"""The page about the files agrees with the catalogue."""

from catalogue_page import FOLDERS, PAGE, page, size

from lib_ipadapter.files.catalogue import read_catalogue


def test_the_page_is_up_to_date() -> None:
    """If this fails, run `python tests/catalogue_page.py`."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_page_lists_every_file_once_and_names_its_folder() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for file in read_catalogue().files:
        assert text.count(f"\n| `{file.name}` | ") == 1
        assert f"`{FOLDERS[file.folder]}`" in text


def test_sizes_are_as_on_download_pages() -> None:
    assert [size(count) for count in (44_642_768, 998_000_000, 2_528_373_448)] == ["45 MB", "998 MB", "2.5 GB"]
