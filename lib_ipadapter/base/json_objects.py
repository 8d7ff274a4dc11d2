"""Reads JSON objects of requests, allowing only known keys."""

from collections.abc import Sequence
from typing import Any

from .errors import IPAdapterError, UnitError, brief


def read_object(what: str, given: Any, known: Sequence[str]) -> dict[str, Any]:
    """Return an object that has only known keys; raises `IPAdapterError` otherwise. `what` names it in the message."""
    if not isinstance(given, dict):
        expected = f"an object with {' and '.join(known)}" if known else "an empty object"
        raise IPAdapterError(f"{what} must be {expected}, not {brief(given)}.")
    refuse_unknown("", given, known)
    return given


def refuse_unknown(field: str, given: dict[str, Any], known: Sequence[str]) -> None:
    """Raise a `UnitError` for the first key of `given` that is not in `known`."""
    unknown = next((key for key in given if key not in known), None)
    if unknown is not None:
        name = f"{field}.{unknown}" if field else str(unknown)
        fields = f"known fields are {', '.join(known)}" if known else "there are no fields"
        raise UnitError(name, given[unknown], f"is an unknown field; {fields}.")
