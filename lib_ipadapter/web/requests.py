"""The table of all requests, from which the routes and the panel's requests are derived.

It names the functions that answer, so that a web UI starts without importing them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..base.version import VERSION

if TYPE_CHECKING:
    from ..engine.session import Session
    from ..review.likeness_report import LikenessReport

SAVED, DELETED, IMPORTED = "Saved as {name}.", "Deleted {name}.", "Imported as {name}."
"""Messages after a successful request. The browser translates them, then fills in the name."""


@dataclass(frozen=True)
class Server:
    """What requests need to be answered."""

    session: "Session"
    report: "LikenessReport | None" = None
    """None in a host that does not report on generated pictures."""


Answer = Callable[[Server, Any], Any]
"""(server, body of a request) -> JSON values; raises `IPAdapterError` for requests that fail."""


@dataclass(frozen=True)
class Function:
    """An answer that calls a function of the library, whose module is imported at the first request."""

    path: str
    """Folder, module and name, separated by dots."""
    arguments: Callable[[Server, Any], Sequence[Any]]
    """What it is called with."""

    def __call__(self, server: Server, asked: Any) -> Any:
        return self.imported()(*self.arguments(server, asked))

    def imported(self) -> Callable[..., Any]:
        module, name = self.path.rsplit(".", 1)
        return getattr(import_module(f"..{module}", __package__), name)


def of_session(path: str) -> Function:
    return Function(path, lambda server, asked: (server.session, asked))


def listing(path: str) -> Function:
    return Function(path, lambda server, _: (server.session,))


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
    then: Answer | None = None
    """The lists that it changes, which the panel gets instead of the answer."""


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
UNITS = (
    "An object: `units`, as in the script's args, and, if known, `cfg_scale`, `steps` (a list: those of each pass) and "
    "`inner`, whether ADetailer is switched on; any text can stand in for a picture"
)
BASE = "Base model, such as SD1.x; only files and bundles that work with it are listed"
FILES = "An object: `files`, a list of names in the catalogue"
POINTS = "An object: `image`, `width`, `height`, and optionally `face` and `place` [x, y, height]"

REQUESTS: Sequence[Request] = (
    Request(lambda *_: {"version": VERSION}, "GET version", summary="Version of the extension"),
    Request(Function("unit.unit.schema", lambda *_: ()), "GET schema", summary="JSON Schema of a unit"),
    Request(
        listing("web.file_lists.list_adapters"),
        route="GET models",
        summary="Adapter files, those that fit the loaded checkpoint first",
    ),
    Request(listing("web.file_lists.list_encoders"), "GET encoders", summary="Image encoder files"),
    Request(listing("web.file_lists.list_saved"), "GET embeds", summary="Saved references"),
    Request(listing("web.panel_lists.panel_lists"), panel="list"),
    Request(
        of_session("web.panel_lists.rescan"),
        "POST rescan",
        "rescan",
        "Search for files again",
        then=listing("web.panel_lists.panel_lists"),
    ),
    Request(
        of_session("web.file_lists.save_reference"),
        route="POST embeds",
        panel="save",
        summary="Save the references of a unit under a name",
        body=SAVING,
        done=SAVED,
        then=listing("web.panel_lists.saved_references"),
    ),
    Request(of_session("web.panel_lists.plot"), panel="plot"),
    Request(of_session("web.panel_lists.read_news"), panel="read news"),
    Request(
        of_session("web.panel_lists.save_preset"),
        panel="save preset",
        done=SAVED,
        then=listing("web.panel_lists.presets"),
    ),
    Request(
        of_session("web.panel_lists.delete_preset"),
        panel="delete preset",
        done=DELETED,
        then=listing("web.panel_lists.presets"),
    ),
    Request(listing("web.subject_routes.list_subjects"), "GET subjects", "subjects", "Subjects, with thumbnails"),
    Request(
        of_session("web.subject_routes.read_subject"),
        route="POST subjects/read",
        panel="read subject",
        summary="A subject with its whole pictures",
        body=NAMED,
    ),
    Request(
        of_session("web.subject_routes.save_subject"),
        route="POST subjects",
        panel="save subject",
        summary="Save pictures as a subject",
        body=PICTURES,
        done=SAVED,
        then=listing("web.subject_routes.list_subjects"),
    ),
    Request(
        of_session("web.subject_routes.delete_subject"),
        route="POST subjects/delete",
        panel="delete subject",
        summary="Delete a subject",
        body=NAMED,
        done=DELETED,
        then=listing("web.subject_routes.list_subjects"),
    ),
    Request(
        of_session("web.subject_routes.export_subject"),
        route="POST subjects/export",
        panel="export subject",
        summary="A subject as a zip",
        body=NAMED,
    ),
    Request(
        of_session("web.subject_routes.import_subject"),
        route="POST subjects/import",
        panel="import subject",
        summary="Save the subject from a zip",
        body=ZIPPED,
        done=IMPORTED,
        then=listing("web.subject_routes.list_subjects"),
    ),
    Request(
        of_session("review.face_preview.faces"),
        route="POST faces",
        panel="faces",
        summary="Find the faces in a picture, numbered as in a unit's `face`",
        body=PICTURE,
    ),
    Request(
        of_session("review.reference_check.check"),
        route="POST check",
        panel="check",
        summary="Measure a unit's pictures, show what the models see of them, and give advice",
        body=UNIT,
    ),
    Request(
        of_session("review.readiness.ready"),
        route="POST ready",
        panel="ready",
        summary="Whether units would run and, if not, why and what repairs it",
        body=UNITS,
    ),
    Request(of_session("review.readiness.see"), panel="see"),
    Request(of_session("web.repair_answers.repairs"), panel="repairs"),
    Request(of_session("web.report.report"), panel="report"),
    Request(of_session("web.recipes.save_recipe"), panel="save recipe"),
    Request(of_session("web.recipes.take_recipe"), panel="take recipe"),
    Request(
        of_session("web.inner_generations.join_inner"),
        route="POST inner",
        panel="join inner",
        summary="Change ADetailer's settings so that it runs this extension in its own generations",
        body="An empty object",
    ),
    Request(
        of_session("web.keypoints.keypoints"),
        route="POST keypoints",
        panel="keypoints",
        summary="Draw a face's key points, for InstantID's ControlNet",
        body=POINTS,
    ),
    Request(
        of_session("web.catalogue_routes.list_catalogue"),
        route="GET catalogue",
        panel="catalogue",
        summary="Published files, whether they are installed, and whether they can be downloaded here",
        base=BASE,
    ),
    Request(
        listing("web.catalogue_routes.list_downloads"), "GET downloads", "downloads", "The progress of each download"
    ),
    Request(
        of_session("web.catalogue_routes.start_downloads"),
        route="POST downloads",
        panel="get files",
        summary="Download published files",
        body=FILES,
    ),
    Request(
        of_session("web.catalogue_routes.stop_downloads"),
        route="POST downloads/stop",
        panel="stop files",
        summary="Stop downloads; the bytes downloaded so far are kept",
        body=f"{FILES}; without it, all are stopped",
    ),
    Request(
        of_session("web.catalogue_routes.verify_files"),
        route="POST verify",
        panel="verify",
        summary="Start comparing installed files with the published ones; the catalogue shows the results",
        body=f"{FILES}; without it, all are compared",
    ),
    Request(Function("web.panel_lists.likeness", lambda server, _: (server.report,)), panel="likeness"),
    Request(of_session("web.panel_lists.tried"), panel="tried"),
)
"""All requests, in the order of the API documentation."""

PANEL: Mapping[str, Request] = {request.panel: request for request in REQUESTS if request.panel}
