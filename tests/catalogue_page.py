"""The tables of docs/files.md: what to get first, and every published file with its size, licence and folder.

`python tests/catalogue_page.py` writes them from the catalogue; the text above them is written by hand.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib_ipadapter.files.catalogue import Bundle, Catalogue, PublishedFile

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "files.md"
MARK = "<!-- The rest is written by tests/catalogue_page.py from lib_ipadapter/files/catalogue.json. -->\n"

FOLDERS = {
    "adapters": "models/ipadapter",
    "encoders": "models/clip_vision",
    "loras": "models/Lora",
    "faces": "models/insightface/models",
    "controlnets": "models/ControlNet",
}
"""The folder of each kind of file in a web UI."""

KINDS = (
    ("Adapters for SD 1.5", "adapters", "SD1.x"),
    ("Adapters for SDXL", "adapters", "SDXL"),
    ("Image encoders", "encoders", ""),
    ("Face models", "faces", ""),
    ("ControlNet of InstantID", "controlnets", "SDXL"),
    ("LoRAs of FaceID", "loras", ""),
)
"""Headings, with the folder and the base of the files below each; no base means any."""

NOTES = {
    "encoders": "One encoder serves all adapters that need it. Any CLIP file with the same vision tower will do.",
    "faces": "Unzip an archive to a folder of its name. Only two of its files are used, a detector and a recogniser.",
    "loras": "The published FaceID files contain their LoRA. Only copies without it need one of these.",
}


def size(count: int) -> str:
    """Return bytes as on a download page: decimal, with two or three digits."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def first(catalogue: "Catalogue") -> str:
    """Return the bundles of each base with the size of what they contain."""
    titles = {base: title for title, folder, base in KINDS if folder == "adapters"}
    text = "\n## What to get first\n\nAll files of a line are needed. What several lines share is downloaded once.\n"
    for base, title in titles.items():
        rows = [_row_of_bundle(catalogue, bundle) for bundle in catalogue.bundles if bundle.base == base]
        text += f"\n{title.removeprefix('Adapters for ')}:\n\n" + table(
            ("for", "files", "together", "commercial use"), rows
        )
    return text


def _row_of_bundle(catalogue: "Catalogue", bundle: "Bundle") -> list[str]:
    files = [catalogue.by_name[name] for name in bundle.files]
    names = ", ".join(f"`{file.name}`" for file in files)
    allowed = "yes" if all(file.commercial for file in files) else "no"
    return [f"**{bundle.name}**: {bundle.help}", names, size(sum(file.bytes for file in files)), allowed]


def kind(catalogue: "Catalogue", title: str, folder: str, base: str) -> str:
    """Return the table of one kind of files."""
    files = [file for file in catalogue.files if file.folder == folder and base in ("", file.base)]
    columns: dict[str, Callable[[PublishedFile], str]] = {
        "file": lambda file: f"`{file.name}`",
        "what it is": lambda file: f"{file.title}. {file.help}",
        "size": lambda file: size(file.bytes),
        "needs": lambda file: ", ".join(f"`{name}`" for name in file.needs),
        "published as": lambda file: f"`{file.path}` of {file.repository or 'insightface'}",
    }
    if not any(file.needs for file in files):
        del columns["needs"]
    note = f"{NOTES[folder]}\n\n" if folder in NOTES else ""
    rows = [[cell(file) for cell in columns.values()] for file in files]
    return f"\n## {title}\n\nFolder: `{FOLDERS[folder]}`\n\n{note}" + table(list(columns), rows)


def sources(catalogue: "Catalogue") -> str:
    """Return where the files are published, with the revision that is downloaded and the licence."""
    kept = {file.page: file for file in reversed(catalogue.files)}
    rows = [
        [
            f"`{page.removeprefix('https://')}`",
            f"`{file.revision[:12]}`",
            file.licence,
            "yes" if file.commercial else "no",
        ]
        for page, file in sorted(kept.items())
    ]
    return "\n## Where they are published\n\n" + table(("page", "revision", "licence", "commercial use"), rows)


def page() -> str:
    """Return the page as it should be."""
    from lib_ipadapter.files.catalogue import read_catalogue

    catalogue = read_catalogue()
    text, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return text + mark + first(catalogue) + "".join(kind(catalogue, *each) for each in KINDS) + sources(catalogue)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(page(), encoding="utf-8")
