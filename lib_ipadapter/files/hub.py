"""Where a published file is, and its content from there: the Hugging Face hub or a mirror of it, or a direct address.

huggingface_hub makes the address (with `HF_ENDPOINT`) and knows the user's token; every version that web UIs have does.
Its own download cannot go on, after a restart, in a folder of ours, nor compute the digest meanwhile.
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
"""Bytes that are read at a time; a stop is noticed between two reads."""
MAX_REDIRECTS = 8

OK, PARTIAL, NO_SUCH_RANGE = 200, 206, 416
NOT_ALLOWED, NOT_THERE, BUSY = (401, 403), (404, 410), (408, 425, 429)
"""Status codes of HTTP (RFC 9110, RFC 6585, RFC 8470)."""

HEADERS = {"User-Agent": f"sd-webui-ip-adapter/{VERSION}", "Accept-Encoding": "identity"}
"""Of every request; content is not to be compressed, for positions in it count."""
TOKEN = "Authorization"  # noqa: S105  # the header's name

SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')
"""The hub's etag of a large file."""
RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
"""The header Content-Range: the first byte, and the size of the whole."""

REASONS = (
    (requests.exceptions.SSLError, "the certificate of {host} is not valid for this computer"),
    (requests.exceptions.ProxyError, "the proxy to {host} does not answer"),
    (requests.exceptions.Timeout, "{host} sent nothing for a while"),
)
"""What failed, for errors that say more than that the connection did."""


class TryAgainError(Exception):
    """The connection or the server failed in a way that may pass."""

    def __init__(self, why: str, wait: float = 0) -> None:
        super().__init__(why)
        self.wait = wait
        """Seconds that the server asks to wait."""


@dataclass(frozen=True)
class Stream:
    """The rest of a file's content."""

    start: int
    """Position of the first byte; 0 instead of the wanted one where the server sends only whole files."""
    total: int | None
    """Bytes of the whole file, where the server says so."""
    etag: str
    """The server's mark of this content, for `If-Range`."""
    pieces: Iterator[bytes]
    """Raises `TryAgainError` where the connection breaks or nothing comes for long."""


def address_of(file: PublishedFile) -> str:
    """Return a file's address; raises `IPAdapterError` where the user has switched the hub off (`HF_HUB_OFFLINE`)."""
    if file.url:
        return file.url
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise IPAdapterError(
            f"{file.name} is not fetched, because HF_HUB_OFFLINE is set. Start the web UI without that variable."
        )
    return huggingface_hub.hf_hub_url(file.repository, file.path, revision=file.revision)


@contextmanager
def opened(file: PublishedFile, start: int = 0, etag: str = "") -> Generator[Stream, None, None]:
    """Yield a published file's content from byte `start` on; from 0 on if its mark is no longer `etag`.

    Raises `TryAgainError` for what may pass, and `IPAdapterError` for what will not.
    """
    with requests.Session() as session, _may_pass(), closing(_from(start, etag, session, file)) as response:
        if response.status_code == NO_SUCH_RANGE:
            yield Stream(start, start, etag, iter(()))
        else:
            _refuse(file, response)
            yield Stream(_start(response), _total(response), _strong_etag(response), _pieces(response))


def _from(start: int, etag: str, session: requests.Session, file: PublishedFile) -> requests.Response:
    """Return the answer with the rest, with the whole, or that nothing is left (416)."""
    wanted = {"Range": f"bytes={start}-"} if start else {}
    response = _answer(session, file, wanted | ({"If-Range": etag} if start and etag else {}))
    if response.status_code == NO_SUCH_RANGE and _total(response) != start:
        response.close()
        return _answer(session, file, {})
    return response


def _answer(session: requests.Session, file: PublishedFile, wanted: Mapping[str, str]) -> requests.Response:
    """Return the answer to nobody in particular, or to the user where the hub does not give the file to nobody."""
    response = _redirected(session, file, wanted)
    token = _token(file) if response.status_code in NOT_ALLOWED else None
    if not token:
        return response
    response.close()
    return _redirected(session, file, {**wanted, TOKEN: f"Bearer {token}"})


def _token(file: PublishedFile) -> str | None:
    """Return the user's access token, if there is one and the hub may have it."""
    from huggingface_hub import constants, get_token

    return None if file.url or constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()


def _redirected(session: requests.Session, file: PublishedFile, wanted: Mapping[str, str]) -> requests.Response:
    """Return the last answer of a chain of redirections. The token goes to the hub only, not to where its files lie."""
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
    raise TryAgainError(f"{_host(address)} redirects without end")


def _as_they_are(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from adding a log-in of the user's .netrc."""
    return request


def _refuse_other_content(file: PublishedFile, response: requests.Response) -> None:
    """Raise `IPAdapterError` if the hub itself says that it has other content there, before any of it is fetched."""
    found = SHA256.fullmatch(response.headers.get("x-linked-etag", ""))
    if found and found[1] != file.sha256:
        raise IPAdapterError(
            f"{_host(response.url)} has another file as {file.name}: SHA-256 {found[1][:12]}…, not "
            f"{file.sha256[:12]}…. Nothing was fetched. Update this extension."
        )


def _refuse(file: PublishedFile, response: requests.Response) -> None:
    """Raise the error of an answer without content."""
    status, host = response.status_code, _host(response.url)
    if status in (OK, PARTIAL):
        return
    if status in BUSY or status >= 500:
        wait = response.headers.get("retry-after", "")
        seconds = int(wait) if wait.isdecimal() else 0
        asks = f" and asks to wait {seconds} seconds" if seconds else ""
        raise TryAgainError(f"{host} answered with HTTP {status}{asks}", seconds)
    if status in NOT_ALLOWED and not file.url:
        raise IPAdapterError(
            f"{host} gives {file.name} only to users who may have it (HTTP {status}). Log in at {file.page}, accept "
            "its terms if it asks for that, and start the web UI with an access token in the variable HF_TOKEN."
        )
    if status in NOT_THERE:
        raise IPAdapterError(f"{file.name} is no longer at {response.url}. Update this extension.")
    raise IPAdapterError(
        f"{host} does not give {file.name} (HTTP {status}). Try again later, or fetch it from {file.page} yourself."
    )


def _start(response: requests.Response) -> int:
    found = RANGE.fullmatch(response.headers.get("content-range", ""))
    if response.status_code == PARTIAL and not (found and found[1]):
        raise TryAgainError(f"{_host(response.url)} sends a part, but not which")
    return int(found[1]) if response.status_code == PARTIAL and found else 0


def _total(response: requests.Response) -> int | None:
    """Return the size of the whole file, from the header of a part or of a whole."""
    found = RANGE.fullmatch(response.headers.get("content-range", ""))
    size = found[2] if found else response.headers.get("content-length", "")
    return int(size) if size.isdecimal() else None


def _strong_etag(response: requests.Response) -> str:
    """Return the etag, or "" for one that `If-Range` may not have (RFC 9110, 13.1.5)."""
    etag = response.headers.get("etag", "")
    return "" if etag.startswith("W/") else etag


def _pieces(response: requests.Response) -> Iterator[bytes]:
    with _may_pass():
        yield from response.iter_content(PIECE)


@contextmanager
def _may_pass() -> Generator[None, None, None]:
    """Raise `TryAgainError` where the network fails."""
    try:
        yield
    except requests.RequestException as error:
        raise TryAgainError(_short(error)) from error


def _short(error: requests.RequestException) -> str:
    """Return what failed, without the objects that requests shows with it."""
    host = _host(str(error.request.url)) if error.request is not None else "the server"
    what = next((what for kind, what in REASONS if isinstance(error, kind)), "the connection to {host} failed")
    return what.format(host=host)


def _host(address: str) -> str:
    return urlsplit(address).netloc
