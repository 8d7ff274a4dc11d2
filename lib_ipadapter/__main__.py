"""`python -m lib_ipadapter inspect FILE... [--json]`: describe adapter files from their headers."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .base.errors import IPAdapterError
from .base.files import sha256
from .weights.adapter_file import open_adapter


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 1 if any file is not a readable adapter."""
    parser = argparse.ArgumentParser(prog="python -m lib_ipadapter")
    inspect = parser.add_subparsers(required=True).add_parser("inspect", help="describe adapter files")
    inspect.add_argument("files", nargs="+", type=Path, metavar="FILE")
    inspect.add_argument("--json", action="store_true", help="print a JSON list, one object per file")
    options = parser.parse_args(arguments)
    found = [describe(path) for path in options.files]
    print(json.dumps(found, indent=2) if options.json else "\n\n".join(map(_as_text, found)))  # noqa: T201
    return int(any("error" in each for each in found))


def describe(path: Path) -> dict[str, Any]:
    """Return the properties of an adapter file, or its name and the `error` for any other file."""
    try:
        found = open_adapter(path).recognised
        digest = sha256(path)
    except IPAdapterError as error:
        return {"file": str(path), "error": error.sentence}
    return {
        "file": str(path),
        **found.facts,
        **({"variant": found.variant.name, "variant_by": found.variant_by} if found.variant else {}),
        "sha256": digest,
    }


def _as_text(found: dict[str, Any]) -> str:
    return "\n".join(f"{name:12} {value}" for name, value in found.items())


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore  # file names that the console cannot encode
    sys.exit(main())
