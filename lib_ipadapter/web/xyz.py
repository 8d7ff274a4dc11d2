"""Axes of the web UI's X/Y/Z plot: one for each field of a unit whose values can be written as text.

Each cell is a copy of the processing object. An axis records the changed values on it, and `in_cell` applies them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..base.errors import IPAdapterError
from ..unit.read_args import given_units, numbered
from ..unit.unit import FIELDS

LEAST_UNITS = 3
"""Minimum number of units with axes, because API clients may use more units than the panel shows."""

CELL = "ip_adapter_cell"
"""Attribute of the processing object with the cell's changes: (unit, field) -> value. The mapping is replaced, never
modified, because the plot makes shallow copies."""
CELL_ARGS = "ip_adapter_cell_args"
"""Attribute of the processing object with the args of its cell."""


class Files(NamedTuple):
    """The files that a field can name."""

    names: Callable[[], list[str]]
    check: Callable[[str], object]
    """Raises `UnitError` for a name without a file."""


class Plot(NamedTuple):
    """The web UI's plot, and what the axes need."""

    grid: Any
    """The plot's module."""
    files: Mapping[str, Files]
    """Files by the field that names them."""
    args_of: Callable[[Any], Iterable[Any]]
    """Returns the script's args in a processing object."""
    refusal: Callable[[IPAdapterError], Exception]
    """Returns the exception that stops the plot before its first cell, because a failing cell is only left blank."""


def prefix(unit: int) -> str:
    """Return the prefix of a unit's axis labels."""
    return f"[IP-Adapter {unit}] "


def add_axes(plot: Plot, units: int) -> None:
    """Add the axes of units 1 to `units`, at least `LEAST_UNITS`, to the plot, replacing earlier ones."""
    made = [
        _axis(plot, unit, name)
        for unit in range(1, max(units, LEAST_UNITS) + 1)
        for name, field in FIELDS.items()
        if field.axis
    ]
    others = [option for option in plot.grid.axis_options if not option.label.startswith("[IP-Adapter ")]
    plot.grid.axis_options[:] = others + made


def _axis(plot: Plot, unit: int, name: str) -> Any:
    field, files = FIELDS[name], plot.files.get(name)
    listed = field.kind.axis_values()

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
        prefix(unit) + field.label,
        field.kind.axis_type,
        apply,
        confirm=confirm,
        cost=field.plot_cost,
        choices=files.names if files else (lambda: list(listed)) if listed else None,
        **({"format_value": _file_name} if files else {}),
    )


def _file_name(_p: Any, _axis: Any, value: str) -> str:
    """Return the label of a cell with a file; the web UIs have such functions, but in different places."""
    return Path(value).name


class CellArgs(NamedTuple):
    """A script's args in a plot cell, computed once for all hooks of its generation."""

    args: tuple[Any, ...]
    changes: Mapping[tuple[int, str], Any]
    in_cell: list[dict[str, Any] | None]


def in_cell(p: Any, args: Iterable[Any]) -> Iterator[Any]:
    """Yield a script's args with the changes of a plot cell, if `p` is one.

    Lazy, so that errors are raised where the args are read.
    """
    changes: Mapping[tuple[int, str], Any] = getattr(p, CELL, {})
    if not changes:
        yield from args
        return
    args = tuple(args)
    kept: CellArgs | None = getattr(p, CELL_ARGS, None)
    if kept is None or kept.changes is not changes or kept.args != args:
        kept = CellArgs(args, changes, _changed_args(args, changes))
        setattr(p, CELL_ARGS, kept)
    yield from kept.in_cell


def _changed_args(args: Iterable[Any], changes: Mapping[tuple[int, str], Any]) -> list[dict[str, Any] | None]:
    units = given_units(args)
    for (unit, name), value in changes.items():
        units = _changed(units, unit, name, value)
    return [units.get(number) for number in range(1, max(units) + 1)]


def _changed(units: Mapping[int, dict[str, Any]], unit: int, name: str, value: Any) -> dict[int, dict[str, Any]]:
    """Return the units with a value changed in one of them; raises `IPAdapterError` for an invalid value."""
    if unit not in units:
        label = prefix(unit) + FIELDS[name].label
        raise IPAdapterError(
            f"the X/Y/Z plot's axis {label} has no unit to change. Give unit {unit} an adapter and a reference, "
            "or choose another unit's axis."
        )
    given, kind = units[unit], FIELDS[name].kind
    with numbered(unit):
        return {**units, unit: {**given, name: kind.in_cell(name, value, given.get(name))}}
