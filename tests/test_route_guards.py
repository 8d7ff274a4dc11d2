"""The library's routes accept the web UI's credentials: API accounts, and page log-ins checked by gradio."""

from typing import Any

import pytest

fastapi = pytest.importorskip("fastapi")
gradio = pytest.importorskip("gradio")
pytest.importorskip("httpx")

from fastapi.testclient import TestClient  # noqa: E402
from gradio.routes import App  # noqa: E402

from lib_ipadapter.hosts.route_guards import guards  # noqa: E402


def page(logins: list[tuple[str, str]] | None) -> Any:
    """Return gradio's app for a page with these log-ins, launched as the web UI does."""
    with gradio.Blocks() as blocks:
        gradio.Textbox()
    blocks.auth, blocks.auth_message = logins, None
    return App.create_app(blocks)


def guarded(app: Any, api_auth: str | None = None) -> TestClient:
    app.add_api_route("/guarded", lambda: "open", dependencies=guards(app, api_auth))
    return TestClient(app)


@pytest.mark.parametrize(
    ("flag", "logins", "given", "status"),
    [
        (None, None, None, 200),
        ("me:secret", None, None, 401),
        ("me:secret", None, ("me", "secret"), 200),
        ("me:secret", None, ("me", "wrong"), 401),
        ("me:secret", None, ("you", ""), 401),
        ("me:a:b, you:c", None, ("me", "a:b"), 200),
        (None, [("me", "secret")], None, 401),
        (None, [("me", "secret")], ("me", "secret"), 200),
        ("you:c", [("me", "secret")], ("you", "c"), 200),
    ],
)
def test_routes_require_the_web_uis_authentication(flag, logins, given, status) -> None:
    apps = [page(logins)] if logins else [page(None), fastapi.FastAPI()]  # the API alone has no log-in page
    for app in apps:
        assert guarded(app, flag).get("/guarded", auth=given).status_code == status


@pytest.mark.parametrize("api_auth", [None, "api:other"])
def test_a_logged_in_browser_is_accepted_whatever_its_cookies_name(api_auth) -> None:
    client = guarded(page([("me", "secret")]), api_auth)
    assert client.post("/login", data={"username": "me", "password": "wrong"}).status_code == 400
    assert client.get("/guarded").status_code == 401
    assert client.post("/login", data={"username": "me", "password": "secret"}).status_code == 200
    assert client.get("/guarded").status_code == 200
    for name in list(client.cookies):
        client.cookies.set(name, "stale", domain="testserver.local", path="/")
    assert client.get("/guarded").status_code == 401


def test_a_page_with_another_kind_of_log_in_is_closed_to_strangers() -> None:
    app = page(None)
    app.auth_dependency = lambda request: request.headers.get("x-user")
    client = guarded(app)
    assert client.get("/guarded").status_code == 401
    if not gradio.__version__.startswith("3."):  # that knows no such log-in
        assert client.get("/guarded", headers={"x-user": "me"}).status_code == 200
