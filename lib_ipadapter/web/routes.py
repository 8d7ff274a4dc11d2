"""The routes: a table, and how each is answered."""

from collections.abc import Callable, Sequence
from typing import Any

from ..base.errors import IPAdapterError
from ..base.version import VERSION
from ..engine.session import Session
from ..review.face_preview import faces
from ..review.reference_check import check
from ..unit.unit import schema
from .file_lists import list_adapters, list_encoders, list_saved, save_reference
from .keypoints import keypoints
from .response_models import (
    Adapter,
    Checked,
    Counts,
    Deleted,
    Encoder,
    Faces,
    Keypoints,
    Saved,
    Subject,
    Subjects,
    Version,
    Zip,
)
from .subject_routes import (
    delete_subject,
    export_subject,
    import_subject,
    list_subjects,
    read_subject,
    save_subject,
)


def rescan(session: Session) -> dict[str, int]:
    """Look for files again; return how many there are."""
    session.preparation.files.rescan()
    return {"models": len(list_adapters(session)), "encoders": len(list_encoders(session))}


TOLD: tuple[tuple[str, str, Callable[[Session], Any], Any, str], ...] = (
    ("GET", "version", lambda _: {"version": VERSION}, Version, "The extension's version"),
    ("GET", "models", list_adapters, list[Adapter], "Adapter files, those that can run first"),
    ("GET", "encoders", list_encoders, list[Encoder], "Image encoder files"),
    ("GET", "embeds", list_saved, list[Saved], "Saved references"),
    ("GET", "subjects", list_subjects, Subjects, "Subjects, with thumbnails"),
    ("GET", "schema", lambda _: schema(), dict[str, Any], "JSON Schema of a unit, to check one before it is sent"),
    ("POST", "rescan", rescan, Counts, "Look for files again"),
)
"""Routes that are sent nothing: method, name, what answers, the answer's model, and a summary."""

NAMED = "An object: `name`"
SAVING = "An object: `name`, `unit`, and `overwrite`, whether to replace one of that name"
PICTURES = (
    "An object: `name`, `pictures` (each with `image`, `weight`, `crop`, `note`), `notes`, `overwrite`, and `adopt`, "
    "whether to add the pictures that are in a folder of that name"
)
ZIPPED = "An object: `zip` in base64, `name` for another name, `overwrite`, `adopt`"
PICTURE = "An object: `image`, and `model`, the adapter whose face models look, if any"
UNIT = "An object: `unit`, whose pictures are checked"
POINTS = "An object: `image`, `width`, `height`, and if wanted `face` and `place` [x, y, height]"

ASKED: tuple[tuple[str, Callable[[Session, Any], Any], str, Any, str], ...] = (
    ("embeds", save_reference, SAVING, Saved, "Save the references of a unit under a name, unless it is taken"),
    ("subjects", save_subject, PICTURES, Subject, "Save pictures as a subject, unless the name is taken"),
    ("subjects/read", read_subject, NAMED, Subject, "A subject with its whole pictures"),
    ("subjects/delete", delete_subject, NAMED, Deleted, "Remove a subject"),
    ("subjects/export", export_subject, NAMED, Zip, "A subject as a zip"),
    ("subjects/import", import_subject, ZIPPED, Subject, "Save the subject in a zip, unless its name is taken"),
    ("faces", faces, PICTURE, Faces, "Find the faces in a picture, numbered as a unit's face means them"),
    ("check", check, UNIT, Checked, "Measure a unit's pictures, show what will be seen of them, and advise"),
    ("keypoints", keypoints, POINTS, Keypoints, "Draw a face's points, for InstantID's ControlNet"),
)
"""Routes that are sent a body: name, what answers, what the body is, the answer's model, and a summary."""


def add_routes(app: Any, session: Session, guards: Sequence[Any]) -> None:
    """Add the routes to a FastAPI app; `guards` are the dependencies that ask for the web UI's own log-in."""

    def add(method: str, name: str, answer: Callable[..., Any], model: Any, summary: str) -> None:
        app.add_api_route(
            f"/ipadapter/{name}",
            answer,
            methods=[method],
            dependencies=guards,
            tags=["IP-Adapter"],
            operation_id=f"{method.lower()}_ipadapter_{name.replace('/', '_')}",
            summary=summary,
            response_model=model,
            response_model_exclude_unset=True,
        )

    for method, name, function, model, summary in TOLD:
        add(method, name, _telling(session, function), model, summary)
    for name, function, body, model, summary in ASKED:
        add("POST", name, _answering(session, function, body), model, summary)


def _telling(session: Session, function: Callable[[Session], Any]) -> Callable[[], Any]:
    return lambda: function(session)


def _answering(session: Session, function: Callable[[Session, Any], Any], body: str) -> Callable[[Any], Any]:
    from fastapi import Body

    # any body comes through: FastAPI itself fails over one that is neither JSON nor text, where a dict is wanted
    def answer(asked: Any = Body(description=body)) -> Any:  # noqa: B008
        try:
            return function(session, asked)
        except IPAdapterError as error:
            raise session.host.http_error(error) from error

    return answer
