"""*Try it* in the panel: one generation with a picture for each of several changes of a unit.

The panel sends the changes in the JSON of the unit, under `KEY`. To an API client that is an unknown field.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import IPAdapterError
from .read_args import given_units

KEY = "try"
MOST = 10
"""Maximum number of changes."""
MAX_TOKEN = 64
"""Maximum characters of a try's name."""

SIDES: Mapping[str, int] = {"SD1.x": 512}
OTHER_SIDE = 768
"""The longer side of the pictures, in pixels, by base model, and for all that are not in the table."""
MOST_STEPS = 12
MULTIPLE = 64
"""Of pixels; every base model takes such sizes."""


@dataclass(frozen=True)
class Try:
    """The units of a generation, and the changes of one of them that are tried."""

    token: str
    """Name that the panel gives it, by which it asks for its pictures."""
    number: int
    """Number of the unit that is changed."""
    units: Mapping[int, dict[str, Any]]
    """All units as they are given, without changes."""
    changes: tuple[Mapping[str, Any], ...]
    """Fields with their values, for each picture."""

    def args(self, index: int) -> list[dict[str, Any] | None]:
        """Return the script's args for the picture with this index."""
        units = {**self.units, self.number: {**self.units[self.number], **self.changes[index]}}
        return [units.get(number) for number in range(1, max(units) + 1)]


def find_try(args: Iterable[Any]) -> Try | None:
    """Return the try in a script's args, or None if there is none that can be read."""
    args = list(args)
    if not any(isinstance(arg, str) and f'"{KEY}":' in arg for arg in args):  # without parsing megabytes of pictures
        return None
    try:
        units = given_units(args)
    except IPAdapterError:  # it is raised again where the units are read
        return None
    number = next((number for number, unit in units.items() if KEY in unit), 0)
    return _read(number, units) if number else None


def _read(number: int, units: Mapping[int, dict[str, Any]]) -> Try | None:
    given = units[number][KEY]
    token, changes = (given.get("token"), given.get("changes")) if isinstance(given, dict) else (None, None)
    if not (isinstance(token, str) and 0 < len(token) <= MAX_TOKEN and isinstance(changes, list)):
        return None
    if not (0 < len(changes) <= MOST and all(isinstance(change, dict) for change in changes)):
        return None
    own = {name: value for name, value in units[number].items() if name != KEY}
    return Try(token, number, {**units, number: own}, tuple(changes))


def small_size(width: int, height: int, base: str) -> tuple[int, int]:
    """Return a size of the same shape that is quick for a base model: in multiples of `MULTIPLE`, never larger."""
    scale = SIDES.get(base, OTHER_SIDE) / max(width, height)
    if scale >= 1:
        return width, height
    fit = [max(1, round(length * scale / MULTIPLE)) * MULTIPLE for length in (width, height)]
    return min(fit[0], width), min(fit[1], height)
