"""The units of a generation, read once and stored on its processing object."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..unit.read_args import read_units
from ..unit.unit import Unit

UNITS = "ip_adapter_units"
"""Attribute of the processing object that holds its units."""


class UnitsRead(NamedTuple):
    """The units of a generation and the args that they were read from."""

    args: list[Any]
    units: Mapping[int, Unit]


def units_of(p: Any, args: Iterable[Any]) -> Mapping[int, Unit]:
    """Return the enabled units of a generation by number, reading the args only once per `p`.

    Raises `UnitError` with the unit's number for an invalid unit.
    """
    args = list(args)
    kept: UnitsRead | None = vars(p).get(UNITS)
    if kept is None or kept.args != args:
        kept = UnitsRead(args, read_units(args))
        setattr(p, UNITS, kept)
    return kept.units
