"""The documentation is correct: its links work, its settings exist and its units are valid."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lib_ipadapter.unit.controlnet import FIELDS as CONTROLNETS
from lib_ipadapter.unit.read_args import read_units
from lib_ipadapter.unit.recipe import read_recipe
from lib_ipadapter.unit.unit import FIELDS
from lib_ipadapter.web.requests import REQUESTS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
TASKS = [DOCS / f"{name}.md" for name in ("person", "style", "two-persons", "product", "layout", "many-references")]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OUTSIDE = ("https://huggingface.co/", "https://github.com/", "https://arxiv.org/")
"""Beginnings of links that leave the repository: to models, other projects and papers."""
MOST, MOST_OF_ALL = 150_000, 1_200_000
"""Bytes of a picture, and of all pictures."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Return the headings' anchors: lower case, hyphens for spaces, no other punctuation."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_an_existing_file_and_heading(page: Path) -> None:
    for link in LINK.findall(text_of(page)):
        name, _, anchor = link.partition("#")
        if "://" in name:
            assert name.startswith(OUTSIDE), name
            continue
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_names_every_page() -> None:
    named = {link.partition("#")[0] for link in LINK.findall(text_of(DOCS / "README.md"))}
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= named


@pytest.mark.parametrize("page", TASKS, ids=lambda page: page.stem)
def test_a_page_for_a_task_has_all_its_parts(page: Path) -> None:
    text = text_of(page)
    for heading in ("When it fails", "With LoRA and ControlNet"):
        assert f"\n## {heading}\n" in text
    assert "| you see | because | do |" in text
    (advice,) = re.findall(r"^## With LoRA and ControlNet\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert "LoRA" in advice
    assert re.search(r"\btrain", advice), "whether something is worth training, or not"
    assert f"](pictures/{page.stem}.png)" in text


JSON = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", JSON.findall(text_of(DOCS / "recipes.md")))
def test_recipes_are_read_without_a_note_and_are_units(example: str) -> None:
    recipe = read_recipe(example)
    assert recipe.notes == ()
    assert recipe.unit
    assert read_units([{**recipe.unit, "model": "any.safetensors", "images": ["a"]}])


def test_coming_from_controlnet_names_fields_that_are_understood() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|$", text_of(DOCS / "coming-from.md"), re.MULTILINE)
    theirs = [name for row, _ in rows for name in re.findall(r"`(\w+)`", row.partition(":")[0])]
    ours = [name for _, row in rows for name in re.findall(r"`(\w+)`", row.partition(",")[0].partition(":")[0])]
    assert len(theirs) > 8
    assert set(theirs) <= CONTROLNETS
    assert set(ours) <= set(FIELDS)


def test_the_table_of_requests_has_exactly_the_routes() -> None:
    named: set[str] = set()
    for cell in re.findall(r"^\| (`(?:GET|POST) [^|]+) \|", text_of(DOCS / "api.md"), re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", cell)
        method, _, path = first.partition(" /ipadapter/")
        folder = path.rpartition("/")[0]
        named |= {f"{method} {path}"} | {f"{method} {folder}{other if folder else other[1:]}" for other in others}
    assert named == {request.route for request in REQUESTS if request.route}


def settings(page: Path) -> list[tuple[str, str, str]]:
    """Return label, field and value of each setting in a page's tables."""
    rows = re.findall(r"^\| ([^|]+) \| `(\w+)` \| ([^|]+) \| [^|]+ \|$", text_of(page), re.MULTILINE)
    return [(label.strip(), name, value.strip()) for label, name, value in rows]


@pytest.mark.parametrize("page", TASKS, ids=lambda page: page.stem)
def test_settings_are_fields_with_their_labels_and_valid_values(page: Path) -> None:
    assert settings(page)
    for label, name, value in settings(page):
        field = FIELDS[name]
        assert field.label == label
        if name != "mask":
            field.kind.read(name, field.kind.parse(value))


@pytest.mark.parametrize("page", TASKS, ids=lambda page: page.stem)
def test_units_for_programs_are_valid(page: Path) -> None:
    examples = JSON.findall(text_of(page))
    assert examples
    for example in examples:
        given: Any = json.loads(example.replace('"..."', '"aGVsbG8="'))
        assert read_units(given if isinstance(given, list) else [given])


def test_pictures_are_small_and_shown() -> None:
    sizes = {path.name: path.stat().st_size for path in (DOCS / "pictures").glob("*.png")}
    assert all(size <= MOST for size in sizes.values()), sizes
    assert sum(sizes.values()) <= MOST_OF_ALL
    shown = {Path(link).name for page in PAGES for link in LINK.findall(text_of(page)) if link.endswith(".png")}
    assert set(sizes) == shown
