"""A catalogue of small files, in the format of catalogue.json, for tests that download or check files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib_ipadapter.files.catalogue import CATALOGUE, Catalogue, read_catalogue

REPOSITORY = "tests/small"
SOURCE = {
    "repository": REPOSITORY,
    "revision": "0" * 40,
    "page": f"https://huggingface.co/{REPOSITORY}",
    "downloads": "",
    "licence": "CC0-1.0",
    "commercial": True,
}
FILE: Mapping[str, Any] = {
    "help": "A file for the tests.",
    "source": "small",
    "exact": True,
    "sources": 1,
    "family": "",
    "variant": "",
    "base": "",
    "use": "",
    "encoder": "",
    "needs": [],
    "instead_of": "",
    "folder": "adapters",
    "subfolder": "",
    "extract": [],
}


def described(path: Path) -> dict[str, Any]:
    """Return the size and the hash of a file, as in a catalogue."""
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def entry(path: Path, **more: Any) -> dict[str, Any]:
    """Return the entry of a file that is published under its own name in the repository's top folder."""
    name = {"name": path.name, "title": path.stem, "path": path.name}
    return {**FILE, **name, **described(path), **more}


def small(
    files: list[dict[str, Any]],
    bundles: list[dict[str, Any]] | None = None,
    lookalikes: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return a catalogue with these entries, as in its file."""
    others = {"bundles": bundles or [], "lookalikes": lookalikes or [], "not_offered": []}
    return {"sources": {"small": SOURCE}, "files": files, **others}


def narrow(names: Mapping[str, Path]) -> dict[str, Any]:
    """Return the real catalogue with the sizes and hashes of other files, given by their names in it.

    Files without a replacement are left out, along with the bundles that contain them. Archive members stay the same.
    """
    whole = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    files = [
        {**each, **described(names[each["name"]]), "exact": True} for each in whole["files"] if each["name"] in names
    ]
    bundles = [each for each in whole["bundles"] if set(each["files"]) <= set(names)]
    return {**whole, "files": files, "bundles": bundles}


def write(catalogue: dict[str, Any], path: Path) -> Catalogue:
    """Write a catalogue to a new file and read it."""
    path.write_text(json.dumps(catalogue), encoding="utf-8")
    return read_catalogue(path)
