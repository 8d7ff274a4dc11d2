"""Extracts the files that are needed from an archive whose digest has been checked."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile

from ..base.errors import IPAdapterError
from ..base.files import publish, sha256
from .catalogue import Member


def take_out(archive: Path, wanted: Sequence[Member], folder: Path) -> None:
    """Write members of a zip to a folder, each only if its digest is right. Raises `IPAdapterError` and `OSError`."""
    try:
        with ZipFile(archive) as opened:
            for member in wanted:
                with opened.open(member.path) as source:
                    _write(member, source, folder)
    except (BadZipFile, KeyError) as error:
        raise IPAdapterError(f"{archive.name} cannot be unpacked: {error}. Update this extension.") from error


def _write(member: Member, source: IO[bytes], folder: Path) -> None:
    part = folder / f"{member.name}.part"
    with part.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    if sha256(part) != member.sha256:
        part.unlink()
        raise IPAdapterError(f"{member.name} in the archive is not the published file. Update this extension.")
    publish(part, folder / member.name)
