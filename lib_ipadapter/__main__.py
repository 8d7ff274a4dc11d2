"""The command line: `python -m lib_ipadapter inspect FILE...`, `verify [FOLDER...]` and `get NAME... --to FOLDER`."""

import argparse
import errno
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .base.errors import IPAdapterError
from .base.files import sha256
from .files.catalogue import read_catalogue
from .files.digests import Digests
from .files.get_command import get, list_files
from .files.known_files import DIFFERENT, PUBLISHED, UNKNOWN, FileCheck, KnownFiles
from .files.verify import checks_of
from .weights.adapter_file import open_adapter

MODELS = Path(__file__).parents[3] / "models"
"""The web UI's models folder, if this is installed as an extension."""

WORDS = {PUBLISHED: "correct", DIFFERENT: "different", UNKNOWN: "unknown"}
"""What `verify` prints for the state of a file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 1 if it fails, or if a file is not a readable adapter or not the published one."""
    parser = argparse.ArgumentParser(prog="python -m lib_ipadapter")
    commands = parser.add_subparsers(required=True)
    inspect = commands.add_parser("inspect", help="describe adapter files")
    inspect.add_argument("files", nargs="+", type=Path, metavar="FILE")
    inspect.add_argument("--json", action="store_true", help="print a JSON list, one object per file")
    inspect.set_defaults(run=_inspect)
    verify = commands.add_parser("verify", help="check whether files are the published ones")
    verify.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="default: the web UI's models folder")
    verify.add_argument("--all", action="store_true", help="also list files that are not in the catalogue")
    verify.set_defaults(run=_verify)
    getting = commands.add_parser("get", help="download published files")
    getting.add_argument("names", nargs="*", metavar="NAME", help="as shown by --list")
    getting.add_argument(
        "--to", type=Path, metavar="FOLDER", help="where to save them; packs of face models get subfolders"
    )
    getting.add_argument("--needs", action="store_true", help="also download the files that they need")
    getting.add_argument("--list", action="store_true", help="list all published files, with sizes and licences")
    getting.set_defaults(run=_get)
    options = parser.parse_args(arguments)
    if options.run is _get and not options.list and not (options.names and options.to):
        getting.error("use --list, or give names and --to")
    return options.run(options)


def _inspect(options: argparse.Namespace) -> int:
    found = [describe(path) for path in options.files]
    _print(json.dumps(found, indent=2) if options.json else "\n\n".join(map(_as_text, found)))
    return int(any("error" in each for each in found))


def _verify(options: argparse.Namespace) -> int:
    """Print a line for each file that has a published name or content; returns 1 if any is different."""
    folders = options.folders or [MODELS]
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        _print(f"There is no folder {' or '.join(missing)}. Give the folders that contain your models.")
        return 1
    counts = Counter[str]()
    for path, check in checks_of(folders, KnownFiles(read_catalogue, Digests(lambda: None))):
        counts[check.state] += 1
        if check.state != UNKNOWN or options.all:
            _print(f"{WORDS[check.state]:9}  {path}  {_remark(check)}".rstrip())
    _print(", ".join(f"{counts[state]} {word}" for state, word in WORDS.items()))
    return int(bool(counts[DIFFERENT]))


def _get(options: argparse.Namespace) -> int:
    """Download published files; returns 1 if any is missing at the end."""
    catalogue = read_catalogue()
    if options.list:
        list_files(catalogue, _print)
        return 0
    try:
        files = catalogue.named(options.names, options.needs)
        return int(not get(files, options.to, _print, sys.stdout))
    except IPAdapterError as error:
        _print(f"{error.sentence} Use --list to see all names.")
    except KeyboardInterrupt:
        _print("Stopped. What has been downloaded is kept; run the same command again to resume.")
    return 1


def _remark(check: FileCheck) -> str:
    return f"({check.published.title})" if check.published else check.sentence


def describe(path: Path) -> dict[str, Any]:
    """Return the properties of an adapter file, or its name and the `error` for any other file."""
    try:
        adapter = open_adapter(path)
        digest = sha256(path)
    except IPAdapterError as error:
        return {"file": str(path), "error": error.sentence}
    published = read_catalogue().by_sha256.get(digest)
    found = adapter.known_as(published.variant if published else "").recognised
    return {
        "file": str(path),
        **found.facts,
        **({"variant": found.variant.name, "variant_by": found.variant_by} if found.variant else {}),
        "sha256": digest,
    }


def _as_text(found: dict[str, Any]) -> str:
    return "\n".join(f"{name:12} {value}" for name, value in found.items())


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def is_of_closed_pipe(error: OSError, system: str = os.name) -> bool:
    """Return whether an error is that of a reader that has seen enough, such as head."""
    return error.errno == errno.EPIPE or (system == "nt" and error.errno == errno.EINVAL)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore  # file names that the console cannot encode
    try:
        sys.exit(main())
    except OSError as closed:
        if not is_of_closed_pipe(closed):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes when it ends
        sys.exit(1)
