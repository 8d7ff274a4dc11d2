"""Axes of the web UI's X/Y/Z plot: one for each field of a unit that can be said in a word or a number.

Each cell is a copy of the generation's record. An axis notes on it what differs there; `in_cell` changes the units so.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..base.errors import IPAdapterError, UnitError, brief
from ..unit.fields import Choice, Face, Flag, Mask, Number, OptionalNumber, Pictures
from ..unit.unit import FIELDS, given_units, numbered

LEAST_UNITS = 3
"""Units that have axes however few the panel shows, for programs send as many as they like."""

COSTS = {"encoder": 0.5, "model": 0.4}
"""What is slow to change, from 0 to 1: the plot changes it as rarely as it can. A checkpoint is 1."""

CELL = "ip_adapter_cell"
"""Attribute of a record that holds what differs in its cell: (unit, field) -> value. Replaced and never changed, for
the plot copies records shallowly."""


class Files(NamedTuple):
    """The files that a field may name."""

    names: Callable[[], list[str]]
    check: Callable[[str], object]
    """Raises `UnitError` for a name that stands for no file."""


class Plot(NamedTuple):
    """The web UI's plot, and what its axes need besides."""

    grid: Any
    """The plot's module."""
    files: Mapping[str, Files]
    """By the field that names them."""
    args_of: Callable[[Any], Iterable[Any]]
    """Returns the script's args in a generation's record."""
    refusal: Callable[[IPAdapterError], Exception]
    """Returns what, made of an error, stops the plot before its first cell: a cell that fails is only left blank."""


def prefix(unit: int) -> str:
    """Return how the labels of a unit's axes begin."""
    return f"[IP-Adapter {unit}] "


def add_axes(plot: Plot, units: int) -> None:
    """Add the axes of units 1 to `units`, at least `LEAST_UNITS`, to the plot, in the place of older ones."""
    made = [
        _axis(plot, unit, name)
        for unit in range(1, max(units, LEAST_UNITS) + 1)
        for name, field in FIELDS.items()
        if not isinstance(field.metadata["kind"], Mask)
    ]
    others = [option for option in plot.grid.axis_options if not option.label.startswith("[IP-Adapter ")]
    plot.grid.axis_options[:] = others + made


def _axis(plot: Plot, unit: int, name: str) -> Any:
    kind, files = FIELDS[name].metadata["kind"], plot.files.get(name)

    def apply(p: Any, value: Any, _values: Any) -> None:
        setattr(p, CELL, {**getattr(p, CELL, {}), (unit, name): value})

    def confirm(p: Any, values: Iterable[Any]) -> None:
        try:
            units = given_units(plot.args_of(p))
            for value in values:
                _changed(units, unit, name, value)
                if files:
                    files.check(value)
        except IPAdapterError as error:
            raise plot.refusal(error) from error

    return plot.grid.AxisOption(
        prefix(unit) + FIELDS[name].metadata["label"],
        float if isinstance(kind, (Number, OptionalNumber)) else str,
        apply,
        confirm=confirm,
        cost=COSTS.get(name, 0.0),
        choices=files.names if files else _choices_of(kind),
        **({"format_value": _file_name} if files else {}),
    )


def _file_name(_p: Any, _axis: Any, value: str) -> str:
    """Return what stands beside the cells with a file; where the web UI has its own for that differs among them."""
    return Path(value).name


def _choices_of(kind: Any) -> Callable[[], list[str]] | None:
    """Return what lists a kind's values, or None where they are written by hand."""
    if isinstance(kind, Choice):
        return lambda: list(kind.options)
    if isinstance(kind, Face):
        return lambda: list(kind.places)
    return (lambda: ["True", "False"]) if isinstance(kind, Flag) else None


def in_cell(p: Any, args: Iterable[Any]) -> Iterator[Any]:
    """Yield a script's args as they are in the cell of a plot that `p` is, or as they are where it is none.

    Lazily, so that what cannot be is refused where the args are read.
    """
    changes: Mapping[tuple[int, str], Any] = getattr(p, CELL, {})
    if not changes:
        yield from args
        return
    units = given_units(args)
    for (unit, name), value in changes.items():
        units = _changed(units, unit, name, value)
    yield from (units.get(number) for number in range(1, max(units) + 1))


def _changed(units: Mapping[int, dict[str, Any]], unit: int, name: str, value: Any) -> dict[int, dict[str, Any]]:
    """Return units of which one has another value; raises `IPAdapterError` where it cannot have it."""
    if unit not in units:
        label = prefix(unit) + FIELDS[name].metadata["label"]
        raise IPAdapterError(
            f"the plot's axis {label} has no unit to change. Give unit {unit} an adapter and a reference, "
            "or choose another unit's axis."
        )
    with numbered(unit):
        return {**units, unit: {**units[unit], name: _value(units[unit], name, value)}}


def _value(given: Mapping[str, Any], name: str, value: Any) -> Any:
    """Return a plot's value as the field takes it, in the unit that is given."""
    kind = FIELDS[name].metadata["kind"]
    if isinstance(kind, Pictures):
        return _picked(name, value.strip(), given.get(name, []))
    # ranges are summed up in floats, so 0.6 comes as 0.6000000000000001
    return kind.read(name, kind.parse(value.strip()) if isinstance(value, str) else round(value, 8))


def _picked(name: str, value: str, pictures: Any) -> list[Any]:
    """Return some of a unit's pictures: `2` the second, `1+3` these two, `all` or `none` of them."""
    pictures = pictures if isinstance(pictures, list) else [pictures]
    numbers = {"all": [str(i + 1) for i in range(len(pictures))], "none": []}.get(value, value.split("+"))
    places = [int(number) for number in numbers if re.fullmatch(r"\s*[0-9]{1,3}\s*", number)]
    if len(places) < len(numbers) or not all(1 <= place <= len(pictures) for place in places):
        allowed = f"must be all, none, or numbers of the unit's pictures from 1 to {len(pictures)}, as in 1 or 1+2"
        raise UnitError(name, value, f"{allowed}; not {brief(value)}.")
    return [pictures[place - 1] for place in places]
