"""What the panel asks of the server, by one text, one button and one answer.

The web UI offers the routes only to those who start it with its API, so the panel has a way of its own to the same.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..base.errors import IPAdapterError, brief
from ..engine.session import Session
from ..networks.unet_sites import SD, SDXL
from ..review.face_preview import faces
from ..review.reference_check import check
from ..unit.schedule_plot import plotted
from ..unit.unit import read_own_unit
from .file_lists import list_adapters, list_saved, save_reference
from .keypoints import keypoints
from .subject_routes import (
    delete_subject,
    export_subject,
    import_subject,
    list_subjects,
    read_subject,
    save_subject,
)

PanelFunction = Callable[[Session, dict[str, Any]], dict[str, Any]]

SAVED, DELETED, IMPORTED = DONE = ("Saved as {name}.", "Deleted {name}.", "Imported as {name}.")
"""What is done, in words that the browser translates before it fills in the name."""


def word(done: str, name: str) -> dict[str, Any]:
    """Return a word for the person as part of an answer."""
    return {"message": done, "values": {"name": name}}


def panel_list(session: Session, _asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files that a panel lets a person choose from."""
    files = {"models": list_adapters(session), "saved": list_saved(session), "asks": list(PANEL)}
    try:
        return {**files, "presets": session.presets.all()}
    except IPAdapterError as error:
        return {**files, "presets": {}, "message": str(error)}


def panel_rescan(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return these files after a new look at the folders."""
    session.preparation.files.rescan()
    return panel_list(session, asked)


def panel_save(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Save a unit's references; return all that are saved, and a word for the person."""
    name = save_reference(session, asked)["name"]
    return {"saved": list_saved(session), **word(SAVED, name)}


def panel_plot(_session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a unit's weights at each layer and over the steps, for a `base` model named as in the list of adapters."""
    unit = read_own_unit(asked.get("unit"), "", enabled=False)
    return plotted(unit, SDXL if asked.get("base") == "SDXL" else SD)


def panel_save_preset(session: Session, asked: dict[str, Any]) -> dict[str, Any]:
    """Keep a unit's settings as a preset; return all presets, and a word for the person."""
    name = session.presets.save(asked)
    return {"presets": session.presets.all(), **word(SAVED, name)}


def panel_delete_preset(session: Session, asked: dict[str, Any]) -> dict[str, Any]:
    """Forget a preset; return those that are left, and a word for the person."""
    name = session.presets.delete(asked)
    return {"presets": session.presets.all(), **word(DELETED, name)}


def panel_subjects(change: Callable[[Session, Any], dict[str, Any]], done: str) -> PanelFunction:
    """Return what changes a subject and then tells of all subjects, with a word for the person."""

    def changed(session: Session, asked: dict[str, Any]) -> dict[str, Any]:
        name = change(session, asked)["name"]
        return {**list_subjects(session), **word(done, name)}

    return changed


PANEL: Mapping[str, PanelFunction] = {
    "list": panel_list,
    "rescan": panel_rescan,
    "save": panel_save,
    "plot": panel_plot,
    "save preset": panel_save_preset,
    "delete preset": panel_delete_preset,
    "subjects": list_subjects,
    "read subject": read_subject,
    "save subject": panel_subjects(save_subject, SAVED),
    "delete subject": panel_subjects(delete_subject, DELETED),
    "export subject": export_subject,
    "import subject": panel_subjects(import_subject, IMPORTED),
    "faces": faces,
    "check": check,
    "keypoints": keypoints,
}
"""What the panel can ask for. Each function takes the object that the browser sent, without `do` and `id`."""


def panel_answer(session: Session, text: str) -> str:
    """Return the answer to what a panel asks, both as JSON: `do` names what is asked for, and `id` comes back.

    What cannot be done is answered with a sentence, in `message`.
    """
    number = None
    try:
        asked = _object_in(text)
        do, number = asked.pop("do", None), asked.pop("id", None)
        if not isinstance(do, str) or do not in PANEL:
            raise IPAdapterError(f"Nothing is known as {brief(do)}; known are {', '.join(PANEL)}. Reload the page.")
        answer = PANEL[do](session, asked)
    except IPAdapterError as error:
        answer = {"message": str(error)}
    return json.dumps({**answer, "id": number})


def _object_in(text: str) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise IPAdapterError(f"What is asked must be a JSON object, not {brief(text)}.")
    return asked
