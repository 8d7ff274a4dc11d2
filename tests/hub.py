"""A Hugging Face hub on the loopback address, with its files on a second server, which stands for the hub's CDN.

Speaks the real protocol: the hub answers `/OWNER/NAME/resolve/REVISION/PATH` with a redirect and the headers
`X-Linked-Etag`, `X-Linked-Size` and `X-Repo-Commit`; the CDN supports ranges and `If-Range`. Both can fail in
many ways.
Source: huggingface_hub/file_download.py, and its docs/source/en/package_reference/environment_variables.md.
"""

import contextlib
import hashlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

SOCKET = socket.socket()
"""Reserves the hub's address for this process: huggingface_hub reads `HF_ENDPOINT` once, when it is imported."""
SOCKET.bind(("127.0.0.1", 0))
ENDPOINT = f"http://127.0.0.1:{SOCKET.getsockname()[1]}"

os.environ["HF_ENDPOINT"] = ENDPOINT

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Asked:
    """A request that a server received."""

    server: str
    """hub or cdn."""
    path: str
    headers: Mapping[str, str]


@dataclass
class HubFile:
    """A file on the hub, and how it is served."""

    content: bytes
    etag: str = ""
    """What the hub says in `X-Linked-Etag`; the true one by default."""
    revision: str = REVISION
    """The only revision that has it."""
    token: str = ""
    """The access token that it requires."""
    ranges: bool = True
    lengths: bool = True
    """Whether responses have a Content-Length."""
    faults: list[Callable[["Handler"], bool]] = field(default_factory=list[Callable[["Handler"], bool]])
    """What goes wrong at the CDN, one per request; after one that returns False, the request is served as usual."""


def cut(after: int) -> Callable[["Handler"], bool]:
    """Break the connection after some bytes."""

    def fault(handler: "Handler") -> bool:
        handler.limit = after
        return False

    return fault


def stall(after: int, until: threading.Event) -> Callable[["Handler"], bool]:
    """Send some bytes, and then nothing more."""

    def fault(handler: "Handler") -> bool:
        handler.limit, handler.waits = after, until
        return False

    return fault


def status(code: int, **headers: str) -> Callable[["Handler"], bool]:
    def fault(handler: "Handler") -> bool:
        handler.answer(code, {name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return fault


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any
    limit: int | None = None
    waits: threading.Event | None = None

    @property
    def hub(self) -> "Hub":
        return self.server.hub

    def do_GET(self) -> None:
        path = unquote(self.path).lstrip("/")
        self.limit = self.waits = None
        self.hub.asked.append(Asked(self.server.role, path, dict(self.headers)))
        with contextlib.suppress(ConnectionError):
            self._of_hub(path) if self.server.role == "hub" else self._of_cdn(path)

    def _of_hub(self, path: str) -> None:
        found = re.fullmatch(r"([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        key = f"{found[1]}/{found[3]}" if found else ""
        if key in self.hub.moved:  # a renamed repository: a relative redirect
            self.answer(307, {"Location": f"/{path.replace(found[1], self.hub.moved[key]) if found else ''}"})
            return
        file = self.hub.files.get(key)
        if file is None or found is None or found[2] != file.revision:
            self.answer(404, {"X-Error-Code": "EntryNotFound"})
            return
        given = self.headers.get("Authorization")
        if file.token and given != f"Bearer {file.token}":
            self.answer(403 if given else 401, {"X-Error-Code": "GatedRepo"})
            return
        headers = {
            "Location": f"{self.hub.cdn}/{key}?Signature=x",
            "X-Repo-Commit": file.revision,
            "X-Linked-Etag": f'"{file.etag or hashlib.sha256(file.content).hexdigest()}"',
            "X-Linked-Size": str(len(file.content)),
        }
        self.answer(302, headers)

    def _of_cdn(self, path: str) -> None:
        file = self.hub.files.get(path.split("?")[0])
        if file is None:
            self.answer(404, {})
            return
        if file.faults and file.faults.pop(0)(self):
            return
        etag = f'"{hashlib.md5(file.content).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and file.ranges and self.headers.get("If-Range", etag) == etag else None
        size = len(file.content)
        if start is not None and start >= size:
            self.answer(416, {"Content-Range": f"bytes */{size}"})
        elif start is not None:
            self.send(206, file, start, {"Content-Range": f"bytes {start}-{size - 1}/{size}", "ETag": etag})
        else:
            self.send(200, file, 0, {"ETag": etag})

    def send(self, code: int, file: HubFile, start: int, headers: Mapping[str, str]) -> None:
        content = file.content[start:]
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header(*(("Content-Length", str(len(content))) if file.lengths else ("Connection", "close")))
        self.end_headers()
        self.close_connection = not file.lengths or self.limit is not None
        rest = memoryview(content)[: self.limit]
        while rest:
            self.wfile.write(rest[: self.hub.piece])
            rest = rest[self.hub.piece :]
            self.hub.sleep()
        self.wfile.flush()
        if self.waits:
            self.waits.wait(30)
        if self.limit is not None:  # closed without the rest
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, code: int, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: "Hub", role: str, given: socket.socket | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=given is None)
        if given is not None:
            self.socket.close()
            self.socket, self.server_address = given, given.getsockname()
            self.server_activate()
        self.hub, self.role = hub, role

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing, because clients here break connections on purpose."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Hub:
    """Both servers, their files, and the requests that they received."""

    def __init__(self) -> None:
        self._servers = Server(self, "hub", SOCKET), Server(self, "cdn")
        self.cdn = self._servers[1].address
        self.clear()

    def clear(self) -> None:
        """Forget all files and requests."""
        self.files: dict[str, HubFile] = {}
        """By repository and path."""
        self.moved: dict[str, str] = {}
        """The new repository of a file that is still requested from the old one."""
        self.asked: list[Asked] = []
        self.piece = 1 << 16
        self.sleep: Callable[[], None] = lambda: None
        """Called after each piece that the CDN sends."""

    @contextlib.contextmanager
    def running(self) -> Iterator["Hub"]:
        threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in self._servers]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            for server, thread in zip(self._servers, threads, strict=True):
                server.shutdown()
                thread.join()
                server.server_close()

    def ranges(self) -> list[str]:
        """Return the ranges that were requested from the CDN."""
        return [asked.headers.get("Range", "") for asked in self.asked if asked.server == "cdn"]
