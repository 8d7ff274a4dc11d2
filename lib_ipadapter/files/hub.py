"""Finds and opens published files: on the Hugging Face hub, on a mirror of it, or at a direct address.

huggingface_hub provides the address (respecting `HF_ENDPOINT`) and the user's token, in every version that web UIs use.
Its own downloader can neither resume after a restart in a folder of our choice, nor compute the digest on the way.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests

from ..base.errors import IPAdapterError
from ..base.version import VERSION
from .catalogue import PublishedFile

TIMEOUT = (10, 30)
"""Seconds to wait for a connection, and for the next bytes."""
PIECE = 1 << 16
"""Bytes per read; a stop is noticed between two reads."""
MAX_REDIRECTS = 8

OK, PARTIAL, NO_SUCH_RANGE = 200, 206, 416
NOT_ALLOWED, NOT_THERE, BUSY = (401, 403), (404, 410), (408, 425, 429)
"""Status codes of HTTP (RFC 9110, RFC 6585, RFC 8470)."""

HEADERS = {"User-Agent": f"sd-webui-ip-adapter/{VERSION}", "Accept-Encoding": "identity"}
"""Sent with every request. Compression is declined, because byte ranges refer to the uncompressed file."""
TOKEN = "Authorization"  # noqa: S105  # the header's name

SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')
"""The hub's etag of a large file, which is its SHA-256."""
RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
"""The header Content-Range: the first byte, and the size of the whole file."""

REASONS = (
    (requests.exceptions.SSLError, "this computer does not trust the certificate of {host}"),
    (requests.exceptions.ProxyError, "the proxy for {host} cannot be reached"),
    (requests.exceptions.Timeout, "{host} did not respond in time"),
)
"""Descriptions of errors that are more specific than a failed connection."""


class TryAgainError(Exception):
    """The connection or the server failed in a way that may be temporary."""

    def __init__(self, why: str, wait: float = 0) -> None:
        super().__init__(why)
        self.wait = wait
        """Seconds that the server asks clients to wait."""


@dataclass(frozen=True)
class Stream:
    """A file's content, from one of its bytes to the end."""

    start: int
    """Position of the first byte; 0 instead of the requested one if the server sends only whole files."""
    total: int | None
    """Size of the whole file in bytes; None if the server does not say."""
    etag: str
    """The server's identifier of this content, for `If-Range`; may be empty."""
    pieces: Iterator[bytes]
    """Raises `TryAgainError` if the connection breaks or times out."""


def address_of(file: PublishedFile) -> str:
    """Return a file's address; raises `IPAdapterError` if the user has turned the hub off (`HF_HUB_OFFLINE`)."""
    if file.url:
        return file.url
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise IPAdapterError(
            f"{file.name} cannot be downloaded while HF_HUB_OFFLINE is set. Restart the web UI without that variable."
        )
    return huggingface_hub.hf_hub_url(file.repository, file.path, revision=file.revision)


@contextmanager
def opened(file: PublishedFile, start: int = 0, etag: str = "") -> Generator[Stream, None, None]:
    """Yield a published file's content from byte `start`, or from 0 if its etag is no longer `etag`.

    Raises `TryAgainError` for errors that may be temporary, and `IPAdapterError` for others.
    """
    with requests.Session() as session, _may_pass(), closing(_from(start, etag, session, file)) as response:
        if response.status_code == NO_SUCH_RANGE:
            yield Stream(start, start, etag, iter(()))
        else:
            _refuse(file, response)
            yield Stream(_start(response), _total(response), _strong_etag(response), _pieces(response))


def _from(start: int, etag: str, session: requests.Session, file: PublishedFile) -> requests.Response:
    """Return the response: the rest of the file, the whole file, or status 416 if nothing is left."""
    wanted = {"Range": f"bytes={start}-"} if start else {}
    response = _answer(session, file, wanted | ({"If-Range": etag} if start and etag else {}))
    if response.status_code == NO_SUCH_RANGE and _total(response) != start:
        response.close()
        return _answer(session, file, {})
    return response


def _answer(session: requests.Session, file: PublishedFile, wanted: Mapping[str, str]) -> requests.Response:
    """Return the response to an anonymous request; if the hub refuses that, to one with the user's token."""
    response = _redirected(session, file, wanted)
    token = _token(file) if response.status_code in NOT_ALLOWED else None
    if not token:
        return response
    response.close()
    return _redirected(session, file, {**wanted, TOKEN: f"Bearer {token}"})


def _token(file: PublishedFile) -> str | None:
    """Return the user's access token, if there is one and it may be sent to the hub."""
    from huggingface_hub import constants, get_token

    return None if file.url or constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()


def _redirected(session: requests.Session, file: PublishedFile, wanted: Mapping[str, str]) -> requests.Response:
    """Return the last response after redirects. The token goes only to the hub, not to the server with its files."""
    address, headers = address_of(file), {**HEADERS, **wanted}
    for _ in range(MAX_REDIRECTS):
        response = session.get(
            address,
            headers=headers,
            auth=_as_they_are,
            stream=True,
            allow_redirects=False,
            timeout=TIMEOUT,
        )
        _refuse_other_content(file, response)
        if not response.is_redirect:
            return response
        response.close()
        following = urljoin(address, response.headers["location"])
        if urlsplit(following)[:2] != urlsplit(address)[:2]:
            headers = {name: value for name, value in headers.items() if name != TOKEN}
        address = following
    raise TryAgainError(f"{_host(address)} redirects too many times")


def _as_they_are(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from adding a login from the user's .netrc."""
    return request


def _refuse_other_content(file: PublishedFile, response: requests.Response) -> None:
    """Raise `IPAdapterError` if the hub announces different content, before any of it is downloaded."""
    found = SHA256.fullmatch(response.headers.get("x-linked-etag", ""))
    if found and found[1] != file.sha256:
        raise IPAdapterError(
            f"{_host(response.url)} has a different file for {file.name}: its SHA-256 is {found[1][:12]}…, not "
            f"{file.sha256[:12]}…. Nothing was downloaded. Update this extension."
        )


def _refuse(file: PublishedFile, response: requests.Response) -> None:
    """Raise the error for a response without content."""
    status, host = response.status_code, _host(response.url)
    if status in (OK, PARTIAL):
        return
    if status in BUSY or status >= 500:
        wait = response.headers.get("retry-after", "")
        seconds = int(wait) if wait.isdecimal() else 0
        asks = f" and asked to wait {seconds} seconds" if seconds else ""
        raise TryAgainError(f"{host} answered with HTTP {status}{asks}", seconds)
    if status in NOT_ALLOWED and not file.url:
        raise IPAdapterError(
            f"{host} requires permission to download {file.name} (HTTP {status}). Log in at {file.page}, accept its "
            "terms if asked, and restart the web UI with an access token in the environment variable HF_TOKEN."
        )
    if status in NOT_THERE:
        raise IPAdapterError(f"{file.name} is no longer at {response.url}. Update this extension.")
    raise IPAdapterError(
        f"{host} refused to send {file.name} (HTTP {status}). Try again later, or get it from {file.page} yourself."
    )


def _start(response: requests.Response) -> int:
    found = RANGE.fullmatch(response.headers.get("content-range", ""))
    if response.status_code == PARTIAL and not (found and found[1]):
        raise TryAgainError(f"{_host(response.url)} sent a part of the file, but not which one")
    return int(found[1]) if response.status_code == PARTIAL and found else 0


def _total(response: requests.Response) -> int | None:
    """Return the size of the whole file according to the headers, or None if they do not say."""
    found = RANGE.fullmatch(response.headers.get("content-range", ""))
    size = found[2] if found else response.headers.get("content-length", "")
    return int(size) if size.isdecimal() else None


def _strong_etag(response: requests.Response) -> str:
    """Return the etag, or "" if it is a weak one, which `If-Range` must not contain (RFC 9110, 13.1.5)."""
    etag = response.headers.get("etag", "")
    return "" if etag.startswith("W/") else etag


def _pieces(response: requests.Response) -> Iterator[bytes]:
    with _may_pass():
        yield from response.iter_content(PIECE)


@contextmanager
def _may_pass() -> Generator[None, None, None]:
    """Turn network errors into `TryAgainError`."""
    try:
        yield
    except requests.RequestException as error:
        raise TryAgainError(_short(error)) from error


def _short(error: requests.RequestException) -> str:
    """Return what failed, without the Python objects that are in the messages of requests."""
    host = _host(str(error.request.url)) if error.request is not None else "the server"
    what = next((what for kind, what in REASONS if isinstance(error, kind)), "the connection to {host} failed")
    return what.format(host=host)


def _host(address: str) -> str:
    return urlsplit(address).netloc
