"""style.css imports every style sheet, under an address that changes with its content."""

from demo.frame import PANEL, style
from styles import IMPORT, ROOT, SHEET, with_digests


def test_each_sheet_is_imported_once_with_its_digest() -> None:
    """If this fails, run `python tests/styles.py`."""
    text = SHEET.read_text(encoding="utf-8")
    assert sorted(name for name, _ in IMPORT.findall(text)) == sorted(
        f"styles/{path.name}" for path in (ROOT / "styles").glob("*.css")
    )
    assert text == with_digests(text)


def test_the_demo_page_gets_all_styles() -> None:
    whole = style()
    assert "@import" not in whole
    for path in (ROOT / "styles").glob("*.css"):
        assert path.read_text(encoding="utf-8") in whole.replace(PANEL * 2, PANEL)
