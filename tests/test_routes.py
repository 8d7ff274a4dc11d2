"""The routes, their descriptions, the documentation's examples, and that no request does harm."""

import base64
import contextlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from examples import MODEL, run_example
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from makers import file_of, picture, text_of
from small_host import CONTEXT, Processing, SmallHost, photo, save_files
from unets import ldm_unet

fastapi = pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from fastapi.testclient import TestClient  # noqa: E402
from jsonschema import Draft7Validator  # noqa: E402

from lib_ipadapter.base.errors import IPAdapterError, UnitError  # noqa: E402
from lib_ipadapter.engine.session import Session  # noqa: E402
from lib_ipadapter.review.face_preview import faces  # noqa: E402
from lib_ipadapter.review.reference_check import check  # noqa: E402
from lib_ipadapter.unit.read_args import read_units  # noqa: E402
from lib_ipadapter.unit.unit import FIELDS, schema  # noqa: E402
from lib_ipadapter.web.routes import add_routes  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_files(folder)
    (folder / "damaged.safetensors").write_bytes(b"<html>")
    return folder


@pytest.fixture(scope="module")
def session(folder: Path) -> Session:
    return Session(SmallHost(folder, ldm_unet(context_dim=CONTEXT)))


@pytest.fixture(scope="module")
def app(session: Session) -> Any:
    app = fastapi.FastAPI()
    add_routes(app, lambda: session, [])
    return app


@pytest.fixture(scope="module")
def client(app: Any) -> TestClient:
    return TestClient(app)


# Routes

SUBJECTS = ("subjects", *(f"subjects/{name}" for name in ("read", "delete", "export", "import")))
PUBLISHED = ("downloads", "downloads/stop", "verify")
"""Routes that download or hash published files; they have their own tests."""
NAMES = (
    "version",
    "models",
    "encoders",
    "schema",
    "rescan",
    "embeds",
    "faces",
    "check",
    "ready",
    "inner",
    "keypoints",
    *SUBJECTS,
    "catalogue",
    *PUBLISHED,
)
REFUSE = tuple(
    f"POST /ipadapter/{name}"
    for name in ("embeds", "faces", "check", "ready", "inner", "keypoints", *SUBJECTS, *PUBLISHED)
)
"""Routes that refuse what no schema can describe, such as an existing name, or a picture without a face."""
NEED_FACES = ("faces", "keypoints")
"""Routes that need face models; they have their own tests."""


def routes(client: TestClient) -> dict[str, dict[str, Any]]:
    return client.get("/openapi.json").json()["paths"]


def test_every_route_describes_itself_and_its_answer(client: TestClient) -> None:
    paths = routes(client)
    assert set(paths) == {f"/ipadapter/{name}" for name in NAMES}
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert operation["summary"]
            assert operation["tags"] == ["IP-Adapter"]
            assert operation["operationId"] == f"{method}{path.replace('/', '_')}"
            answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
            assert answer.get("type") or answer.get("$ref")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("null", ("must be an empty object, not null", "field required")),
        ('{"a": 1}', ("is an unknown field; there are no",)),
    ],
)
def test_the_route_for_inner_generations_takes_nothing(client: TestClient, asked: str, said: tuple[str, ...]) -> None:
    answer = client.post("/ipadapter/inner", content=asked, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert any(each in answer.text for each in said)  # pydantic 1 takes null for a missing body


ADD_ROUTES = """
import sys
from fastapi import FastAPI
from lib_ipadapter.web.routes import add_routes
add_routes(FastAPI(), lambda: 1 / 0, [])
print(*(name for name in sys.modules if name.startswith("lib_ipadapter.")))
"""


def test_the_routes_are_added_without_a_session_and_what_only_a_session_needs() -> None:
    """A web UI with its API starts as fast as one without."""
    run = subprocess.run([sys.executable, "-c", ADD_ROUTES], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {name.removeprefix("lib_ipadapter.") for name in run.stdout.split()} - {"base", "web"}
    assert "web.requests" in imported
    assert {name for name in imported if not name.startswith("base.")} == {
        "web.requests",
        "web.routes",
        "web.response_models",
    }


def without_null(answer: Any) -> Any:
    """Return an answer without the members that are null, because descriptions by pydantic 1 say nothing of null."""
    if isinstance(answer, list):
        return [without_null(each) for each in answer]
    if isinstance(answer, dict):
        return {name: without_null(each) for name, each in answer.items() if each is not None}
    return answer


def test_answers_match_their_description_and_leave_nothing_out(client: TestClient, session: Session) -> None:
    from lib_ipadapter.web.file_lists import list_adapters, list_encoders

    described = client.get("/openapi.json").json()
    saving = {"name": "anna", "overwrite": True}
    pictures = [photo(), {"image": photo(2), "weight": 0.5, "crop": "pad", "note": "n"}]
    unit = {"model": "base", "images": [photo()]}
    orders = {
        "/ipadapter/embeds": saving | {"unit": unit},
        "/ipadapter/check": {"unit": unit | {"images": [photo(1), photo(2)]}},
        "/ipadapter/ready": {"units": [unit, unit | {"model": "nothing"}]},
        "/ipadapter/subjects": saving | {"pictures": pictures},
        "/ipadapter/inner": {},
    }
    for path, methods in sorted(described["paths"].items(), key=lambda entry: "delete" in entry[0]):
        if path.endswith((*NEED_FACES, *PUBLISHED)):
            continue
        for method, operation in sorted(methods.items(), reverse=True):  # so that what was saved is listed and deleted
            asked = orders.get(path, {"name": "anna"})
            if path.endswith("/import"):
                asked = {**asked, "zip": client.post("/ipadapter/subjects/export", json=asked).json()["zip"], **saving}
            answer = client.request(method, path, json=asked if method == "post" else None)
            assert answer.status_code == 200
            of = operation["responses"]["200"]["content"]["application/json"]["schema"]
            Draft7Validator({**of, "components": described["components"]}).validate(without_null(answer.json()))
    (saved,) = client.get("/ipadapter/embeds").json()
    assert (saved["name"], saved["references"]) == ("anna.safetensors", 1)
    assert client.get("/ipadapter/models").json() == list_adapters(session)
    assert client.get("/ipadapter/encoders").json() == list_encoders(session)
    checked = client.post("/ipadapter/check", json=orders["/ipadapter/check"]).json()
    assert checked == json.loads(json.dumps(check(session, orders["/ipadapter/check"])))
    assert client.get("/ipadapter/schema").json() == json.loads(json.dumps(schema()))
    assert client.post("/ipadapter/rescan").json() == {"models": 4, "encoders": 2}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface's own, of scikit-image
def test_the_answer_about_faces_matches_its_description(client: TestClient, session: Session, folder: Path) -> None:
    pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed here")
    from face_models import draw_faces, write_pack

    from lib_ipadapter.faces.insightface_models import PACKS

    write_pack(folder / "faces", PACKS["buffalo_l"])
    described = client.get("/openapi.json").json()
    order = {"image": text_of(draw_faces((150, 200, 128), (450, 400, 160)))}
    answer = client.post("/ipadapter/faces", json=order)
    shutil.rmtree(folder / "faces")
    assert answer.status_code == 200
    of = described["paths"]["/ipadapter/faces"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    Draft7Validator({**of, "components": described["components"]}).validate(answer.json())
    assert [face["number"] for face in answer.json()["faces"]] == [0, 1]
    refused = client.post("/ipadapter/faces", json=order)
    assert refused.status_code == 422
    assert "det_10g.onnx" in refused.text


def test_every_route_is_guarded(session: Session) -> None:
    def closed() -> None:
        raise fastapi.HTTPException(401)

    app = fastapi.FastAPI()
    add_routes(app, lambda: session, [fastapi.Depends(closed)])
    client = TestClient(app)
    for path, methods in routes(client).items():
        for method in methods:
            assert client.request(method, path).status_code == 401


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]),
    st.sampled_from([*NAMES, "..%2f..%2fetc", "models/../..", "%00", ""]),
    st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=9), st.text("ab/.%", max_size=9)),
    st.binary(max_size=50),
)
@example("POST", "embeds", {}, b"\x80")
def test_no_request_causes_a_server_error(client: TestClient, method, name, query, body) -> None:
    assert client.request(method, f"/ipadapter/{name}", params=query, content=body).status_code < 500


KEYS = ["name", "unit", "units", "overwrite", "model", "image", "images", "pictures", "notes", "zip", "task", "x"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["embeds", "faces", "check", *SUBJECTS]),
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
        lambda some: st.lists(some, max_size=3) | st.dictionaries(st.sampled_from(KEYS), some, max_size=4),
    ),
)
def test_any_invalid_json_body_is_refused(client: TestClient, name: str, asked: Any) -> None:
    assert client.post(f"/ipadapter/{name}", json=asked).status_code == 422


def test_schemathesis_finds_nothing(app: Any) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    operations = schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations()
    count = 0
    for operation in operations:
        each = operation.ok()
        if each.label in REFUSE:
            continue

        @settings(max_examples=10, deadline=None)
        @given(each.as_strategy())
        def sent(case: Any) -> None:
            case.call_and_validate()

        sent()
        count += 1
    assert count == 9


# What units must not do

opened: list[str] = []
watching = False


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if watching and event in ("open", "os.listdir", "os.scandir", "os.remove", "os.rename", "subprocess.Popen"):
        opened.append(str(args[0]))


@pytest.fixture(scope="module")
def watched() -> None:
    sys.addaudithook(_watch)  # an audit hook cannot be removed, so it does nothing while nobody watches


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """A folder next to the models, with valid files of every kind."""
    secret = tmp_path_factory.mktemp("secret")
    shutil.copy(folder / "base.safetensors", secret / "base.safetensors")
    shutil.copy(folder / "tower.safetensors", secret / "tower.safetensors")
    (secret / "photo.png").write_bytes(file_of(picture(8, 8, 1)))
    return secret


def paths_to(secret: Path, folder: Path) -> st.SearchStrategy[str]:
    names = st.sampled_from(["base.safetensors", "base", "tower.safetensors", "photo.png", "", "*", "base [abc]"])
    starts = [
        f"{secret}/",
        f"{folder}/../{secret.name}/",
        f"../{secret.name}/",
        f"file://{secret}/",
        f"\\\\?\\{secret}\\",
    ]
    return st.builds(lambda start, name: start + name, st.sampled_from(starts), names)


def test_no_unit_touches_a_file_outside_the_folders(session, folder, secret, watched) -> None:
    global watching
    host = session.host
    texts = paths_to(secret, folder) | st.text(max_size=20)
    picture_texts = texts | st.sampled_from([photo(), "data:image/png;base64,AAAA"])
    pictures = st.lists(
        picture_texts | st.fixed_dictionaries({"image": picture_texts, "mask": picture_texts}), max_size=2
    )
    units = st.fixed_dictionaries(
        {"model": st.just("base") | texts, "images": st.just([photo()]) | pictures},
        optional={
            "encoder": texts,
            "mask": picture_texts,
            "embeds": texts,
            "negative_images": pictures,
            "module": texts | st.just("ip-adapter-auto"),
            "image": picture_texts,
            "batch_images": texts,
            "ipadapter_input": texts,
            "effective_region_mask": picture_texts,
        },
    )

    @settings(max_examples=60, deadline=None)
    @given(units)
    def send(unit: dict[str, Any]) -> None:
        host.refused.clear()
        session.before_generation(Processing(), [unit])
        assert not any("failed with" in sentence for sentence in host.refused)
        for ask, asked in ((check, {"unit": unit}), (faces, {"image": unit.get("mask"), "model": unit["model"]})):
            with contextlib.suppress(IPAdapterError):
                ask(session, asked)

    opened.clear()
    watching = True
    try:
        send()
    finally:
        watching = False
    assert any(name.startswith(str(folder)) for name in opened), "or the watch sees nothing"
    assert not [name for name in opened if secret.name in name]


# Errors


@pytest.mark.parametrize(
    ("given_unit", "field", "remedy"),
    [
        ({"weight": 9}, "weight", "weight must be a number from -5 to 5, not 9."),
        ({"model": "base.safetensor"}, "model", "Did you mean base.safetensors"),
        ({"model": "sdxl"}, None, "Choose an adapter made for it, or load another checkpoint."),
        ({"images": ["http://a/b.png"]}, "images[0]", "URLs are not fetched."),
        ({"crop": "round"}, "crop", "must be one of center, pad"),
    ],
)
def test_an_error_says_what_where_and_what_to_do(session: Session, given_unit, field, remedy) -> None:
    def prepare() -> None:
        (unit,) = read_units([{"model": "base", "images": [photo()]} | given_unit]).values()
        session.preparation.prepare(unit, session.host.unet)

    with pytest.raises(IPAdapterError) as refused:
        prepare()
    problem = refused.value.problem()
    assert problem["status"] == 422
    assert problem["detail"] == str(refused.value)
    assert problem["remedy"] in problem["detail"]
    assert remedy in problem["remedy"]
    assert problem.get("field") == field
    assert json.loads(json.dumps(problem)) == problem
    assert isinstance(refused.value, UnitError) == (field is not None)


# The documentation's examples


class WebUI(BaseHTTPRequestHandler):
    """A minimal web UI API that keeps what it is sent and answers with a picture."""

    sent: list[dict[str, Any]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        assert self.path == "/sdapi/v1/txt2img"
        self.sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        answer = json.dumps({"images": [base64.b64encode(b"picture").decode()]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), WebUI)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    WebUI.sent.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_examples_send_a_unit(language: str, address: str, tmp_path: Path) -> None:
    if language == "sh" and not (shutil.which("curl") and shutil.which("sh")):
        pytest.skip("no curl")
    content = file_of(picture(300, 200, 3))
    (tmp_path / "reference.png").write_bytes(content)
    printed = run_example(language, tmp_path, address)
    (sent,) = WebUI.sent
    (unit,) = sent["alwayson_scripts"]["ip-adapter"]["args"]
    Draft7Validator(schema()).validate(unit)
    (read,) = read_units([unit]).values()
    assert (read.model, read.weight) == (MODEL, 0.7)
    assert base64.b64decode(read.images[0].image) == content
    if language == "python":
        assert (tmp_path / "picture.png").read_bytes() == b"picture"
    else:
        assert json.loads(printed)["images"]


def test_the_refusal_in_the_docs_is_the_real_one() -> None:
    from examples import PAGE

    text = PAGE.read_text(encoding="utf-8")
    shown = text[text.index('    {"type": "about:blank"') :]
    shown = shown[: shown.index("\n\n")]
    with pytest.raises(UnitError) as refused:
        read_units([{"weight": 9}])
    assert json.loads(shown) == refused.value.problem()


def test_the_table_of_controls_has_exactly_the_fields() -> None:
    from examples import PAGE

    table = PAGE.with_name("controls.md").read_text(encoding="utf-8").split("# Controls")[1].split("## ")[0]
    named = {
        name.strip("` ") for row in table.splitlines() if row.startswith("| `") for name in row.split("|")[1].split(",")
    }
    assert named <= set(FIELDS)
    assert {name for name in FIELDS if f"`{name}`" not in table} == {"enabled", "model", "images"}
