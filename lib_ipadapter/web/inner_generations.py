"""The request that lets another extension run this one in its inner generations."""

from typing import Any

from ..base.json_objects import read_object
from ..engine.session import Session


def join_inner(session: Session, asked: Any) -> dict[str, Any]:
    """Add this extension to those that ADetailer runs; return the web UI's settings that this has changed.

    Raises `IPAdapterError` if that is not possible or not allowed.
    """
    read_object("The request", asked, ())
    return {"settings": dict(session.host.join_inner())}
