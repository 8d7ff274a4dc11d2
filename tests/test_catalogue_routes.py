"""The routes for published files: listing, downloading, stopping, verifying, and that no request does harm."""

import errno
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_host import CONTEXT, SmallHost, ask, save_files
from test_downloads import archive, names, published, serve
from test_routes import without_null
from unets import ldm_unet

fastapi = pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from fastapi.testclient import TestClient  # noqa: E402
from jsonschema import Draft7Validator  # noqa: E402

from lib_ipadapter.engine.session import Session  # noqa: E402
from lib_ipadapter.files.catalogue import Bundle, Catalogue, PublishedFile  # noqa: E402
from lib_ipadapter.web.routes import add_routes  # noqa: E402
from lib_ipadapter.weights.clip_vision import open_encoder  # noqa: E402

FILES = (
    published("plus.safetensors", b"plus" * 50_000),
    published("xl.safetensors", b"xl" * 50_000, base="SDXL"),
    published("H.safetensors", b"H" * 200_000, folder="encoders", base="", needs=("plus.safetensors",)),
)


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    save_files(tmp_path)
    return SmallHost(tmp_path, ldm_unet(context_dim=CONTEXT))


def with_catalogue(host: SmallHost, *files: PublishedFile) -> Session:
    session = Session(host)
    bundles = (Bundle("Style", "SD1.x", "h", ("plus.safetensors",)), Bundle("Style", "SDXL", "h", ("xl.safetensors",)))
    session.preparation.files.known.catalogue = Catalogue(files, bundles, ())
    return session


@pytest.fixture
def session(host: SmallHost, hub: Hub) -> Session:
    for file in FILES:
        content = {"p": b"plus", "x": b"xl", "H": b"H"}[file.name[0]]
        serve(hub, file, content * (file.bytes // len(content)))
    return with_catalogue(host, *FILES)


def client_of(session: Session) -> TestClient:
    app = fastapi.FastAPI()
    add_routes(app, lambda: session, [])
    return TestClient(app)


@pytest.fixture
def client(session: Session) -> TestClient:
    return client_of(session)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def downloads(client: TestClient) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in client.get("/ipadapter/downloads").json()["files"]}


def states(client: TestClient, **asked: str) -> dict[str, str]:
    found = client.get("/ipadapter/catalogue", params=asked).json()
    return {each["name"]: each["state"] for each in found["files"]}


def get(client: TestClient, *wanted: str) -> dict[str, dict[str, Any]]:
    """Download files, and return the downloads once they are over."""
    answer = client.post("/ipadapter/downloads", json={"files": list(wanted)})
    assert answer.status_code == 200, answer.text
    until(lambda: not {each["state"] for each in downloads(client).values()} & {"waiting", "running", "checking"})
    return downloads(client)


def test_the_catalogue_describes_the_files_and_their_state(client: TestClient, host: SmallHost) -> None:
    found = client.get("/ipadapter/catalogue").json()
    assert found["downloads"] == {"allowed": True, "reason": ""}
    assert [each["name"] for each in found["bundles"]] == ["Style", "Style"]
    assert {each["state"] for each in found["files"]} == {"missing"}
    plus, _, encoder = found["files"]
    assert plus["title"] == FILES[0].title
    assert plus["page"].startswith("http")
    assert plus["folder"] == host.folder.as_posix()
    assert encoder["needs"] == ["plus.safetensors"]
    assert found["free"][plus["folder"]] > 0


def test_the_catalogue_for_a_base_includes_files_for_any_base(client: TestClient) -> None:
    assert list(states(client, base="SD1.x")) == ["plus.safetensors", "H.safetensors"]
    assert list(states(client, base="SDXL")) == ["xl.safetensors", "H.safetensors"]
    assert list(states(client, base="none")) == ["H.safetensors"]
    found = client.get("/ipadapter/catalogue", params={"base": "SDXL"}).json()
    assert [each["files"] for each in found["bundles"]] == [["xl.safetensors"]]


def test_folders_in_the_web_uis_folder_are_shown_relative_to_it(
    client: TestClient, host: SmallHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(host.folder.parent)
    found = client.get("/ipadapter/catalogue").json()
    assert found["files"][0]["folder"] == host.folder.name


def test_files_arrive_in_the_order_requested_and_are_listed_at_once(client: TestClient, session: Session) -> None:
    found = get(client, "xl.safetensors", "plus.safetensors")
    assert list(found) == ["xl.safetensors", "plus.safetensors"]
    assert {each["state"] for each in found.values()} == {"done"}
    assert found["xl.safetensors"]["done"] == found["xl.safetensors"]["bytes"] == FILES[1].bytes
    assert states(client) == {
        "plus.safetensors": "there",  # known by its hash, without reading the file again
        "xl.safetensors": "there",
        "H.safetensors": "missing",
    }
    (plus, *_) = client.get("/ipadapter/catalogue").json()["files"]
    assert Path(plus["there_as"]).name == "plus.safetensors"


def test_a_failed_download_has_its_error(client: TestClient, hub: Hub) -> None:
    hub.files.clear()
    found = get(client, "plus.safetensors")["plus.safetensors"]
    assert found["state"] == "failed"
    assert "no longer at" in found["error"]


def test_stopping_keeps_what_was_downloaded(client: TestClient, host: SmallHost, hub: Hub) -> None:
    hub.piece, hub.sleep = 1 << 13, lambda: time.sleep(0.05)
    client.post("/ipadapter/downloads", json={"files": ["plus.safetensors", "xl.safetensors"]})
    until(lambda: downloads(client)["plus.safetensors"]["done"])
    one = client.post("/ipadapter/downloads/stop", json={"files": ["xl.safetensors"]}).json()["files"]
    assert [each["state"] for each in one][1] == "stopped"
    every = client.post("/ipadapter/downloads/stop", json={}).json()["files"]
    assert {each["state"] for each in every} == {"stopped"}
    until(lambda: not [each for each in names(host.folder) if each == "xl.safetensors"])
    hub.sleep = lambda: None
    found = get(client, "plus.safetensors")
    assert found["plus.safetensors"]["state"] == "done"
    assert hub.ranges()[-1].startswith("bytes=")


def test_existing_files_are_hashed_once_and_again_by_verify(client: TestClient, host: SmallHost) -> None:
    plus = host.folder / "plus.safetensors"
    plus.write_bytes(b"plus" * 50_000)
    (host.folder / "xl.safetensors").write_bytes(b"yl" * 50_000)
    assert states(client)["plus.safetensors"] == "unchecked"
    until(lambda: "unchecked" not in states(client).values())
    assert states(client) == {"plus.safetensors": "there", "xl.safetensors": "different", "H.safetensors": "missing"}
    time_of = plus.stat()
    plus.write_bytes(b"mine" * 50_000)
    os.utime(plus, ns=(time_of.st_atime_ns, time_of.st_mtime_ns))
    assert client.post("/ipadapter/verify", json={"files": []}).status_code == 200
    assert states(client)["plus.safetensors"] == "there", "damage does not show in the size or the time"
    assert client.post("/ipadapter/verify", json={}).status_code == 200
    until(lambda: "unchecked" not in states(client).values())
    assert states(client)["plus.safetensors"] == "different"


def test_a_pack_is_extracted_to_the_folder_for_face_models(host: SmallHost, hub: Hub) -> None:
    pack = replace(archive(hub, det_10g=b"1" * 5000, w600k_r50=b"2" * 7000), subfolder="buffalo_l")
    client = client_of(with_catalogue(host, pack))
    assert get(client, "pack.zip")["pack.zip"]["state"] == "done"
    assert states(client) == {"pack.zip": "there"}
    assert names(host.folder / "faces") == ["buffalo_l/det_10g.onnx", "buffalo_l/w600k_r50.onnx"]


@pytest.fixture
def elsewhere(host: SmallHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A published file that the user has under another name, in a folder where it cannot be used."""
    folder = tmp_path.parent / f"{tmp_path.name}-models"
    folders = replace(host.folders(), models=(folder,))
    monkeypatch.setattr(host, "folders", lambda: folders)
    (folder / "Lora").mkdir(parents=True)
    path = folder / "Lora" / "my own name.safetensors"
    path.write_bytes(b"xl" * 50_000)
    (folder / "Lora" / "as long.safetensors").write_bytes(b"lx" * 50_000)
    return path


def test_a_file_that_is_elsewhere_is_used_without_a_download(elsewhere: Path, client, host, hub: Hub) -> None:
    states(client)
    until(lambda: states(client)["xl.safetensors"] == "elsewhere")
    entries = {each["name"]: each for each in client.get("/ipadapter/catalogue").json()["files"]}
    assert entries["xl.safetensors"]["there_as"] == elsewhere.as_posix()
    assert get(client, "xl.safetensors")["xl.safetensors"]["state"] == "done"
    assert states(client)["xl.safetensors"] == "there"
    place = host.folder / "xl.safetensors"
    assert place.samefile(elsewhere)
    assert not hub.asked
    elsewhere.unlink()
    assert place.read_bytes() == b"xl" * 50_000, "a hard link stays"


def test_on_another_disk_it_is_a_symbolic_link(elsewhere: Path, client, host, monkeypatch) -> None:
    monkeypatch.setattr(os, "link", not_here)
    states(client)
    until(lambda: states(client)["xl.safetensors"] == "elsewhere")
    get(client, "xl.safetensors")
    assert (host.folder / "xl.safetensors").resolve() == elsewhere.resolve()


def test_if_no_link_can_be_made_the_error_says_where_the_file_is(elsewhere: Path, client, host, monkeypatch) -> None:
    monkeypatch.setattr(os, "link", not_here)
    monkeypatch.setattr(os, "symlink", not_here)
    states(client)
    until(lambda: states(client)["xl.safetensors"] == "elsewhere")
    failed = get(client, "xl.safetensors")["xl.safetensors"]
    assert failed["state"] == "failed"
    assert str(elsewhere) in failed["error"]
    assert "Copy or move it there." in failed["error"]
    assert not (host.folder / "xl.safetensors").exists()


def not_here(*_args: object) -> None:
    raise OSError(errno.EXDEV, "another disk")


def test_if_downloads_are_off_requests_are_forbidden_with_the_reason(
    client: TestClient, host: SmallHost, hub: Hub
) -> None:
    host.no_downloads = "Downloads are off."
    answer = client.post("/ipadapter/downloads", json={"files": ["plus.safetensors"]})
    assert answer.status_code == 403
    assert "Downloads are off." in answer.text
    assert client.get("/ipadapter/catalogue").json()["downloads"] == {"allowed": False, "reason": "Downloads are off."}
    assert client.post("/ipadapter/downloads/stop", json={}).json() == {"files": []}
    assert not hub.asked


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "must be a list"),
        ({"files": []}, "must be a list"),
        ({"files": "plus.safetensors"}, "must be a list"),
        ({"files": ["plus.safetensor"]}, "Did you mean plus.safetensors"),
        ({"files": ["../plus.safetensors"]}, "not a published file"),
        ({"files": [["plus.safetensors"]]}, "not a published file"),
        ({"files": [None]}, "not a published file"),
        ({"names": []}, "unknown field"),
        ([], "must be an object"),
    ],
)
def test_a_request_for_anything_else_is_refused(client: TestClient, hub: Hub, body: Any, said: str) -> None:
    answer = client.post("/ipadapter/downloads", json=body)
    assert answer.status_code == 422
    assert said in answer.text
    assert not hub.asked


def test_a_page_of_another_site_cannot_start_a_download(client: TestClient, hub: Hub) -> None:
    """Without asking this server first, a browser lets such a page send only forms and plain text."""
    body = json.dumps({"files": ["plus.safetensors"]})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = client.post("/ipadapter/downloads", content=body, headers={"content-type": kind})
        assert 400 <= answer.status_code < 500, kind
    assert downloads(client) == {}


def test_the_panel_gets_the_same_responses(session: Session, client: TestClient, host: SmallHost) -> None:
    by_route = client.get("/ipadapter/catalogue?base=SDXL").json()
    assert {**ask(session, "catalogue", base="SDXL"), "free": 0} == {
        **by_route,
        "free": 0,
    }  # free space changes meanwhile
    assert ask(session, "downloads") == {"files": []}
    assert ask(session, "stop files", files=[]) == {"files": []}
    assert len(ask(session, "verify")["files"]) == len(FILES)
    assert "not a published file" in ask(session, "get files", files=["x"])["message"]
    host.no_downloads = "Downloads are off."
    assert "Downloads are off." in ask(session, "get files", files=["plus.safetensors"])["message"]


def test_responses_match_their_description(client: TestClient) -> None:
    get(client, "plus.safetensors")
    described = client.get("/openapi.json").json()
    for method, name in (
        ("get", "catalogue"),
        ("get", "downloads"),
        ("post", "downloads"),
        ("post", "downloads/stop"),
        ("post", "verify"),
    ):
        body = {"files": ["plus.safetensors"]} if method == "post" else None
        answer = client.request(method, f"/ipadapter/{name}", json=body)
        assert answer.status_code == 200
        operation = described["paths"][f"/ipadapter/{name}"][method]
        of = operation["responses"]["200"]["content"]["application/json"]["schema"]
        Draft7Validator({**of, "components": described["components"]}).validate(without_null(answer.json()))
        for each in answer.json()["files"]:
            model = "Published" if "help" in each else "Download"
            assert set(each) == set(described["components"]["schemas"][model]["properties"])


def test_a_thousand_random_requests_do_no_harm(session: Session, client: TestClient, host: SmallHost) -> None:
    """None causes a server error, starts a download or writes a file."""
    host.no_downloads = ""
    before = names(host.folder.parent)
    wanted = st.sampled_from(["../plus.safetensors", "/etc/passwd", "plus", "", "H.safetensors/..", "nul", "\0"])
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9) | wanted,
        lambda some: (
            st.lists(some, max_size=3)
            | st.dictionaries(st.sampled_from(["files", "base", "x"]) | st.text(max_size=5), some, max_size=3)
        ),
    )
    bodies = st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode())
    bodies |= st.lists(values, max_size=3).map(lambda files: json.dumps({"files": files}).encode())
    paths = ["catalogue", "downloads", "downloads/stop", "verify", "downloads/", "downloads/..", "downloads/%2e%2e"]
    sent = 0

    @settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]) | st.just("POST"),
        st.sampled_from(paths),
        st.dictionaries(st.sampled_from(["base", "files"]), st.text(max_size=9), max_size=2),
        bodies,
    )
    def send(method: str, path: str, query: dict[str, str], body: bytes) -> None:
        nonlocal sent
        sent += 1
        query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
        assert client.request(method, f"/ipadapter/{path}", params=query, content=body).status_code < 500

    send()
    assert sent >= 1000
    assert names(host.folder.parent) == before
    assert session.downloads.progress() == []


def test_an_unfinished_download_is_listed_with_its_size(client: TestClient, host: SmallHost) -> None:
    """After a restart the queue is empty, but the bytes are still there."""
    (host.folder / "plus.safetensors.part").write_bytes(b"plus" * 10)
    found = {each["name"]: each["part"] for each in client.get("/ipadapter/catalogue").json()["files"]}
    assert found == {"plus.safetensors": 40, "xl.safetensors": 0, "H.safetensors": 0}
    assert downloads(client) == {}
    get(client, "plus.safetensors")
    assert {each["part"] for each in client.get("/ipadapter/catalogue").json()["files"]} == {0}


def test_an_installed_encoder_counts_in_place_of_the_one_that_it_can_replace(host: SmallHost) -> None:
    tower = host.folder / "tower.safetensors"
    encoder = {"folder": "encoders", "base": "", "encoder": open_encoder(tower).name}
    whole = published("whole.safetensors", b"whole", **encoder)
    half = published("half.safetensors", tower.read_bytes(), instead_of="whole.safetensors", **encoder)
    session = with_catalogue(host, whole, half)
    session.preparation.files.digests.record(tower, half.sha256)
    assert states(client_of(session)) == {"whole.safetensors": "there", "half.safetensors": "there"}
