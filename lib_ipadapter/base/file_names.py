"""Names that users give to saved files: which are valid on every operating system, and which collide."""

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable

from .errors import UnitError, brief

HASH = re.compile(r" \[([0-9a-fA-F]*)\]$")
"""Optional suffix of a name: the first digits of the file's hash."""

MAX_NAME = 60
"""Maximum characters of a name: with four bytes each, they fit the limit of file systems."""
FORBIDDEN = '<>:"/\\|?*[]'
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Reserved device names on Windows, with any extension (Microsoft, "Naming Files, Paths, and Namespaces")."""


def refuse_name(name: str) -> None:
    """Raise `UnitError` for a name that is not a valid file name on every operating system."""
    allowed = f"must be 1 to {MAX_NAME} characters, without {FORBIDDEN} or unprintable characters, "
    allowed += "without a dot or space at either end, and not a name that Windows reserves for devices"
    fits = 1 <= len(name) <= MAX_NAME and name.isprintable() and not set(name) & set(FORBIDDEN)
    if not fits or name.strip(" .") != name or RESERVED.fullmatch(name):
        raise UnitError("name", name, f"{allowed}.")


def read_title(field: str, value: object) -> str:
    """Return a display name, without spaces around it; raises `UnitError` for invalid names."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME or not value.isprintable():
        raise UnitError(field, value, f"must be a text of 1 to {MAX_NAME} characters, not {brief(value)}.")
    return value.strip()


def alike(name: str) -> str:
    """Return a key that is equal for names that some file systems treat as equal: it ignores case and Unicode form."""
    return unicodedata.normalize("NFC", name).casefold()


def refuse_taken(name: str, like: Collection[tuple[str, bool]], overwrite: bool) -> None:
    """Raise `UnitError` for a name that is taken, without `overwrite`, or too similar to another.

    `like` has the existing names with the same `alike` key, each with whether it is exactly `name`.
    """
    if any(same for _, same in like) and not overwrite:
        raise UnitError("name", name, f'"{name}" is taken. Choose another one, or set overwrite to true.')
    if others := [other for other, same in like if not same]:
        raise UnitError("name", name, f'"{name}" is too similar to {others[0]}, which exists. Choose another one.')


def without_hash(wanted: str) -> str:
    """Return a name without the optional hash digits in brackets after it."""
    return HASH.sub("", wanted.strip())


def refuse_changed(field: str, wanted: str, name: str, digest: str) -> None:
    """Raise `UnitError` if the hash digits after a name do not match the current file's digest."""
    digits = HASH.search(wanted)
    if digits and not digest.startswith(digits[1].lower()):
        raise UnitError(
            field,
            wanted,
            f'"{wanted}" has changed since this was written: "{name}" now has the hash {digest[:12]}. '
            "Give the name without the hash to use the current one.",
        )


def close_names(wanted: str, names: Iterable[str]) -> str:
    """Return a question that suggests names similar to `wanted`, or ""."""
    known = {alike(name): name for name in names}
    close = difflib.get_close_matches(alike(wanted), known, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(known[name] for name in close)}?" if close else ""
