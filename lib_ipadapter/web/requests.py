"""The table of all requests, from which the routes and the panel's requests are derived."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import IPAdapterError
from ..base.version import VERSION
from ..engine.session import Session
from ..networks.unet_sites import SD, SDXL
from ..review.face_preview import faces
from ..review.likeness_report import LikenessReport, report_as_json
from ..review.readiness import ready
from ..review.reference_check import check
from ..unit.read_args import read_own_unit
from ..unit.schedule_plot import plotted
from ..unit.unit import schema
from .adapter_uses import suited
from .catalogue_routes import list_catalogue, list_downloads, start_downloads, stop_downloads, verify_files
from .file_lists import list_adapters, list_encoders, list_saved, loaded_base, save_reference
from .keypoints import keypoints
from .subject_routes import (
    delete_subject,
    export_subject,
    import_subject,
    list_subjects,
    read_subject,
    save_subject,
)

SAVED, DELETED, IMPORTED = "Saved as {name}.", "Deleted {name}.", "Imported as {name}."
"""Messages after a successful request. The browser translates them, then fills in the name."""


@dataclass(frozen=True)
class Server:
    """What requests need to be answered."""

    session: Session
    report: LikenessReport | None = None
    """None in a host that does not report on generated pictures."""


Answer = Callable[[Server, Any], Any]
"""(server, body of a request) -> JSON values; raises `IPAdapterError` for requests that fail."""


@dataclass(frozen=True)
class Request:
    """One kind of request, by route, by the panel, or by both."""

    answer: Answer
    route: str = ""
    """Method and path below `/ipadapter/`; empty for requests of the panel only."""
    panel: str = ""
    """Name in the panel; empty for routes only."""
    summary: str = ""
    """Summary of the route in the API documentation."""
    body: str = ""
    """Description of the route's body; empty if it has none."""
    base: str = ""
    """Description of the route's parameter `base`; empty if it has none."""
    done: str = ""
    """Message of the panel after success."""
    then: Callable[[Session], Mapping[str, Any]] | None = None
    """The lists that it changes, which the panel gets instead of the answer."""


def of_session(function: Callable[[Session, Any], Any]) -> Answer:
    return lambda server, asked: function(server.session, asked)


def listing(function: Callable[[Session], Any]) -> Answer:
    return lambda server, _: function(server.session)


def rescan(session: Session, _asked: Any) -> dict[str, int]:
    """Search for files again; return how many were found."""
    session.preparation.files.rescan()
    return {"models": len(list_adapters(session)), "encoders": len(list_encoders(session))}


def plot(_session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a unit's weights at each layer and over the steps, for a `base` model named as in the list of adapters."""
    unit = read_own_unit(asked.get("unit"), "", enabled=False)
    return plotted(unit, SDXL if asked.get("base") == "SDXL" else SD)


def panel_lists(session: Session) -> dict[str, Any]:
    """Return the files and presets that a panel offers, and the requests that it can make."""
    models, catalogue = list_adapters(session), session.preparation.files.known.catalogue
    lists: dict[str, Any] = {
        "models": models,
        "titles": {
            model["name"]: catalogue.by_name[model["published"]].title for model in models if model.get("published")
        },
        "suited": suited(models, catalogue),
        "base": loaded_base(session),
        "saved": list_saved(session),
        "asks": list(PANEL),
    }
    try:
        return {**lists, **presets(session)}
    except IPAdapterError as error:
        return {**lists, "presets": {}, "damaged_presets": {}, "message": str(error)}


def saved_references(session: Session) -> dict[str, Any]:
    return {"saved": list_saved(session)}


def presets(session: Session) -> dict[str, Any]:
    """Return the user's presets, and the error of each damaged one."""
    kept, damaged = session.presets.all()
    return {"presets": kept, "damaged_presets": damaged}


def save_preset(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Save a unit's settings as a preset."""
    return {"name": session.presets.save(asked)}


def delete_preset(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Delete a preset."""
    return {"name": session.presets.delete(asked)}


def likeness(server: Server, _asked: Any) -> dict[str, Any]:
    """Return the likeness report of the latest generation."""
    return server.report.latest() if server.report else report_as_json([])


NAMED = "An object: `name`"
SAVING = "An object: `name`, `unit`, and `overwrite`, whether to replace an existing one"
PICTURES = (
    "An object: `name`, `pictures` (each with `image`, `weight`, `crop`, `box`, `note`), `notes`, `overwrite`, and "
    "`adopt`, whether to add the pictures that are in a folder of that name"
)
ZIPPED = "An object: `zip` in base64, `name` for another name, `overwrite`, `adopt`"
PICTURE = (
    "An object: `image`, and optionally `model`, the adapter whose face models are used, and `box`, the part to look at"
)
UNIT = "An object: `unit`, whose pictures are checked"
UNITS = "An object: `units`, as in the script's args, and `cfg_scale`, if known; any text can stand in for a picture"
BASE = "Base model, such as SD1.x; only files and bundles that work with it are listed"
FILES = "An object: `files`, a list of names in the catalogue"
POINTS = "An object: `image`, `width`, `height`, and optionally `face` and `place` [x, y, height]"

REQUESTS: Sequence[Request] = (
    Request(lambda *_: {"version": VERSION}, "GET version", summary="Version of the extension"),
    Request(lambda *_: schema(), "GET schema", summary="JSON Schema of a unit"),
    Request(
        listing(list_adapters),
        route="GET models",
        summary="Adapter files, those that fit the loaded checkpoint first",
    ),
    Request(listing(list_encoders), "GET encoders", summary="Image encoder files"),
    Request(listing(list_saved), "GET embeds", summary="Saved references"),
    Request(listing(panel_lists), panel="list"),
    Request(of_session(rescan), "POST rescan", "rescan", "Search for files again", then=panel_lists),
    Request(
        of_session(save_reference),
        route="POST embeds",
        panel="save",
        summary="Save the references of a unit under a name",
        body=SAVING,
        done=SAVED,
        then=saved_references,
    ),
    Request(of_session(plot), panel="plot"),
    Request(of_session(save_preset), panel="save preset", done=SAVED, then=presets),
    Request(of_session(delete_preset), panel="delete preset", done=DELETED, then=presets),
    Request(listing(list_subjects), "GET subjects", "subjects", "Subjects, with thumbnails"),
    Request(
        of_session(read_subject),
        route="POST subjects/read",
        panel="read subject",
        summary="A subject with its whole pictures",
        body=NAMED,
    ),
    Request(
        of_session(save_subject),
        route="POST subjects",
        panel="save subject",
        summary="Save pictures as a subject",
        body=PICTURES,
        done=SAVED,
        then=list_subjects,
    ),
    Request(
        of_session(delete_subject),
        route="POST subjects/delete",
        panel="delete subject",
        summary="Delete a subject",
        body=NAMED,
        done=DELETED,
        then=list_subjects,
    ),
    Request(
        of_session(export_subject),
        route="POST subjects/export",
        panel="export subject",
        summary="A subject as a zip",
        body=NAMED,
    ),
    Request(
        of_session(import_subject),
        route="POST subjects/import",
        panel="import subject",
        summary="Save the subject from a zip",
        body=ZIPPED,
        done=IMPORTED,
        then=list_subjects,
    ),
    Request(
        of_session(faces),
        route="POST faces",
        panel="faces",
        summary="Find the faces in a picture, numbered as in a unit's `face`",
        body=PICTURE,
    ),
    Request(
        of_session(check),
        route="POST check",
        panel="check",
        summary="Measure a unit's pictures, show what the models see of them, and give advice",
        body=UNIT,
    ),
    Request(
        of_session(ready),
        route="POST ready",
        panel="ready",
        summary="Whether units would run and, if not, why and what repairs it",
        body=UNITS,
    ),
    Request(
        of_session(keypoints),
        route="POST keypoints",
        panel="keypoints",
        summary="Draw a face's key points, for InstantID's ControlNet",
        body=POINTS,
    ),
    Request(
        of_session(list_catalogue),
        route="GET catalogue",
        panel="catalogue",
        summary="Published files, whether they are installed, and whether they can be downloaded here",
        base=BASE,
    ),
    Request(listing(list_downloads), "GET downloads", "downloads", "The progress of each download"),
    Request(
        of_session(start_downloads),
        route="POST downloads",
        panel="get files",
        summary="Download published files",
        body=FILES,
    ),
    Request(
        of_session(stop_downloads),
        route="POST downloads/stop",
        panel="stop files",
        summary="Stop downloads; the bytes downloaded so far are kept",
        body=f"{FILES}; without it, all are stopped",
    ),
    Request(
        of_session(verify_files),
        route="POST verify",
        panel="verify",
        summary="Start comparing installed files with the published ones; the catalogue shows the results",
        body=f"{FILES}; without it, all are compared",
    ),
    Request(likeness, panel="likeness"),
)
"""All requests, in the order of the API documentation."""

PANEL: Mapping[str, Request] = {request.panel: request for request in REQUESTS if request.panel}
