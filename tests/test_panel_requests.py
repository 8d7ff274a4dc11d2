"""The panel's requests through gradio, and their answers."""

import json
from inspect import signature
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_host import CONTEXT, SmallHost, ask, photo, save_files
from unets import ldm_unet

from lib_ipadapter.engine.session import Session
from lib_ipadapter.web.panel_requests import message, panel_answer
from lib_ipadapter.web.requests import DELETED, PANEL, REQUESTS, Function, Server
from lib_ipadapter.web.response_models import MODELS


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("models")
    save_files(folder)
    return Session(SmallHost(folder, ldm_unet(context_dim=CONTEXT)))


def test_the_answer_has_the_number_of_the_request(session: Session) -> None:
    for number in (1, 2):
        assert json.loads(panel_answer(session, json.dumps({"do": "list", "id": number})))["id"] == number


def test_a_request_that_fails_is_answered_with_a_reason(session: Session) -> None:
    assert "name must be text" in ask(session, "save")["message"]
    assert "expected one of list" in ask(session, "dance")["message"]


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", "9" * 5000, "[" * 100_000, '{"do": ["list"]}', "{}"])
def test_an_invalid_request_is_answered_with_a_reason(session: Session, text: str) -> None:
    assert "IP-Adapter: " in json.loads(panel_answer(session, text))["message"]


def test_a_plot_is_for_the_requested_base(session: Session) -> None:
    assert len(ask(session, "plot", unit={"weight": 0.5}, base="SDXL")["blocks"]) == 11
    assert len(ask(session, "plot", unit={"weight": 0.5}, base="")["blocks"]) == 16
    assert "weight must be" in ask(session, "plot", unit={"weight": 9})["message"]


def test_presets_come_with_the_lists_and_are_saved_and_deleted_by_request(session: Session) -> None:
    assert ask(session, "list")["presets"] == {}
    assert ask(session, "save preset", name="soft", unit={"weight": 0.4})["presets"] == {"soft": {"weight": 0.4}}
    assert ask(session, "list")["presets"] == {"soft": {"weight": 0.4}}
    assert ask(session, "delete preset", name="soft") == {
        "presets": {},
        "damaged_presets": {},
        "partial_presets": {},
        **message(DELETED, "soft"),
    }
    path = session.host.folders().presets
    assert path
    path.write_text("damaged")
    answer = ask(session, "list")
    path.unlink()
    assert "cannot be read" in answer["message"]
    assert answer["models"]


def test_damaged_presets_come_with_their_fault(session: Session) -> None:
    ask(session, "save preset", name="soft", unit={"weight": 0.4})
    path = session.host.folders().presets
    assert path
    path.write_text(json.dumps({"newer": {"weight": 99}}))
    answer = ask(session, "list")
    path.unlink()
    assert answer["damaged_presets"] == {"newer": "weight must be a number from -5 to 5, not 99."}
    assert "message" not in answer, "the panel says it where the presets are"


def test_what_a_deleted_subject_leaves_comes_with_the_lists(session: Session) -> None:
    ask(session, "save subject", name="anna", pictures=[photo(1)])
    (folder,) = (each / "anna" for each in session.host.folders().subjects if (each / "anna").exists())
    (folder / "notes.txt").write_text("mine")
    answer = ask(session, "delete subject", name="anna")
    assert (answer["kept"], answer["subjects"], answer["message"]) == (["notes.txt"], [], DELETED)
    ask(session, "save subject", name="anna", pictures=[photo(1)], adopt=True)
    (folder / "notes.txt").unlink()
    assert "kept" not in ask(session, "delete subject", name="anna")


def test_a_request_has_one_row() -> None:
    for each in ("route", "panel"):
        named = [getattr(request, each) for request in REQUESTS if getattr(request, each)]
        assert len(set(named)) == len(named)
    assert all(request.summary for request in REQUESTS if request.route)
    assert [request.route for request in REQUESTS if request.route] == list(MODELS)
    assert all(request.route or request.panel for request in REQUESTS)


def test_every_function_that_the_table_names_is_there_and_takes_what_it_is_given(session: Session) -> None:
    answers = [each for request in REQUESTS for each in (request.answer, request.then)]
    functions = [each for each in answers if isinstance(each, Function)]
    assert len(functions) > len(REQUESTS)
    for each in functions:
        signature(each.imported()).bind(*each.arguments(Server(session), {}))


def test_nothing_is_reported_if_no_picture_is_used(session: Session) -> None:
    assert ask(session, "likeness")["rows"] == []


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=9), some, max_size=3),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(do=st.sampled_from(list(PANEL)), asked=st.dictionaries(st.sampled_from(["name", "unit", "x"]), anything))
def test_no_request_of_the_panel_is_an_error_of_the_server(session: Session, do: str, asked: dict[str, Any]) -> None:
    json.loads(panel_answer(session, json.dumps({**asked, "do": do})))


def test_a_change_of_subjects_returns_the_list_and_a_message(session: Session) -> None:
    assert ask(session, "subjects") == {"subjects": [], "adoptable": []}
    saved = ask(session, "save subject", name="anna", pictures=[photo()])
    assert (saved["message"], saved["values"]) == ("Saved as {name}.", {"name": "anna"})
    assert [each["name"] for each in saved["subjects"]] == ["anna"]
    zipped = ask(session, "export subject", name="anna")["zip"]
    assert "is taken" in ask(session, "import subject", zip=zipped)["message"]
    both = ask(session, "import subject", zip=zipped, name="b")
    assert (both["message"], both["values"]) == ("Imported as {name}.", {"name": "b"})
    assert [each["name"] for each in both["subjects"]] == ["anna", "b"]
    assert ask(session, "read subject", name="b")["pictures"][0]["image"].startswith("data:image/png;base64,")
    for name in ("anna", "b"):
        last = ask(session, "delete subject", name=name)
    assert last == {"subjects": [], "adoptable": [], **message(DELETED, "b")}
