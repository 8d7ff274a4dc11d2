"""The weight of a unit over the steps of a pass."""

from .units import Unit


def weight_at(unit: Unit, progress: float) -> float:
    """Return the unit's weight after the fraction `progress` (0..1) of a pass's steps; 0 means absent.

    `start` is inside the window and `end` is not, save that end = 1 keeps the last call on.
    """
    inside = unit.start <= progress and (progress < unit.end or unit.end >= 1.0)
    return unit.weight if inside else 0.0
