"""Names that people give to what they save: which of them can be a file's name on every system, and which are alike."""

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable

from .errors import UnitError, brief

HASH = re.compile(r" \[([0-9a-fA-F]*)\]$")
"""What may follow a file's name: the first digits of its hash."""

MAX_NAME = 60
"""Characters of a name: with four bytes each, as much as a file name may have."""
FORBIDDEN = '<>:"/\\|?*[]'
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Names of devices on Windows, whatever comes after a dot (Microsoft, "Naming Files, Paths, and Namespaces")."""


def refuse_name(name: str) -> None:
    """Raise `UnitError` for a name that could not be a file's name on every system."""
    allowed = f"must be 1 to {MAX_NAME} characters, none of them {FORBIDDEN} or unprintable, "
    allowed += "with no dot or space at either end, and no name that Windows keeps for devices"
    fits = 1 <= len(name) <= MAX_NAME and name.isprintable() and not set(name) & set(FORBIDDEN)
    if not fits or name.strip(" .") != name or RESERVED.fullmatch(name):
        raise UnitError("name", name, f"{allowed}.")


def read_title(field: str, value: object) -> str:
    """Return a name that is shown and is not a file's, without spaces around it; raises `UnitError` for others."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME or not value.isprintable():
        raise UnitError(field, value, f"must be a text of 1 to {MAX_NAME} characters, not {brief(value)}.")
    return value.strip()


def alike(name: str) -> str:
    """Return what two names have in common that some systems take for one: case, and how accents are written."""
    return unicodedata.normalize("NFC", name).casefold()


def refuse_taken(name: str, like: Collection[tuple[str, bool]], overwrite: bool) -> None:
    """Raise `UnitError` for a name that is taken and may not be overwritten, or that is too much like another.

    `like` are the names of all that is `alike`, each with whether it is this very one.
    """
    if any(same for _, same in like) and not overwrite:
        raise UnitError("name", name, f'"{name}" is taken. Choose another one, or set overwrite to true.')
    if others := [other for other, same in like if not same]:
        raise UnitError("name", name, f'"{name}" is too much like {others[0]}, which is there. Choose another one.')


def without_hash(wanted: str) -> str:
    """Return a name without the digits of a hash in brackets that may follow it."""
    return HASH.sub("", wanted.strip())


def refuse_changed(field: str, wanted: str, name: str, digest: str) -> None:
    """Raise `UnitError` where the digits of a hash that follow a name are not those of what has the name now."""
    digits = HASH.search(wanted)
    if digits and not digest.startswith(digits[1].lower()):
        raise UnitError(
            field,
            wanted,
            f'"{wanted}" was another one when this was written down: "{name}" now has the hash '
            f"{digest[:12]}. Give the name without the hash to use it as it is.",
        )


def close_names(wanted: str, names: Iterable[str]) -> str:
    """Return a question that names those like `wanted`, or nothing."""
    known = {alike(name): name for name in names}
    close = difflib.get_close_matches(alike(wanted), known, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(known[name] for name in close)}?" if close else ""
