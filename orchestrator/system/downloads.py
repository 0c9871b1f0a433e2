"""Files from HTTP servers, with the user's proxies; imported only where something is fetched."""

from __future__ import annotations

from http.client import HTTPException
from typing import IO, TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from orchestrator.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from http.client import HTTPMessage, HTTPResponse

PATIENCE = 60.0
"""Seconds that a server may stay silent."""

BLOCK = 1 << 20
"""Bytes that are read at once."""


def open_url(
    url: str,
    variables: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    credentials: str = "",
    patience: float = PATIENCE,
) -> HTTPResponse:
    """Return the open answer to a request for `url` (http, https or file).

    Args:
        url: What to ask for.
        variables: The user's; proxies are among them.
        headers: Of the request.
        credentials: Its header `Authorization`, which no other host gets that it is sent on to.
        patience: Seconds that the server may stay silent.

    Raises:
        OSError: When the server cannot be reached or answers with an error; a `URLError` has the
            URL that was asked last as its `filename`.
        ValueError: For another kind of URL.
    """
    if urlsplit(url).scheme not in ("http", "https", "file"):
        raise ValueError(f"{url} is not a place to fetch from")
    proxies = {
        scheme: value
        for scheme in ("http", "https")
        if (value := variables.get(f"{scheme}_proxy") or variables.get(f"{scheme.upper()}_PROXY"))
    }
    sent = {"User-Agent": f"mm-orchestrator/{__version__}", **(headers or {})}
    request = Request(url, headers=sent)  # noqa: S310 - its scheme is checked
    if credentials:
        request.add_unredirected_header("Authorization", credentials)
    redirects = _Redirects(url)
    try:
        opener = build_opener(ProxyHandler(proxies), redirects)
        answer: HTTPResponse = opener.open(request, timeout=patience)
    except URLError as error:
        error.filename = redirects.asked
        raise
    except HTTPException as error:  # no error of the system's, and not wrapped
        raise URLError(repr(error), redirects.asked) from error
    return answer


class _Redirects(HTTPRedirectHandler):
    """Follows redirects and remembers the last."""

    def __init__(self, asked: str) -> None:
        self.asked = asked

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        self.asked = newurl
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def blocks(answer: HTTPResponse) -> Iterator[bytes]:
    """Yield what an answer holds, block by block.

    Raises:
        OSError: When the connection breaks.
    """
    left = int(answer.headers.get("Content-Length") or -1)
    while block := _read(answer):
        left -= len(block)
        yield block
    if left > 0:  # the standard library says nothing of it when it is asked for so many bytes
        raise OSError(f"the connection broke {left} bytes before the end")


def _read(answer: HTTPResponse) -> bytes:
    try:
        return answer.read(BLOCK)
    except HTTPException as error:
        raise OSError(f"the connection broke ({error!r})") from error
