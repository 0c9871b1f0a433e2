"""Files from HTTP servers, with the user's proxies; imported only where something is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from http.client import HTTPResponse

PATIENCE = 60.0
"""Seconds that a server may stay silent."""

BLOCK = 1 << 20
"""Bytes that are read at once."""


def open_url(
    url: str,
    variables: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    credentials: str = "",
) -> HTTPResponse:
    """Return the open answer to a request for `url` (http, https or file).

    Args:
        url: What to ask for.
        variables: The user's; proxies are among them.
        headers: Of the request.
        credentials: Its header `Authorization`, which no other host gets that it is sent on to.

    Raises:
        OSError: When the server cannot be reached or answers with an error.
        ValueError: For another kind of URL.
    """
    if urlsplit(url).scheme not in ("http", "https", "file"):
        raise ValueError(f"{url} is not a place to fetch from")
    proxies = {
        scheme: value
        for scheme in ("http", "https")
        if (value := variables.get(f"{scheme}_proxy") or variables.get(f"{scheme.upper()}_PROXY"))
    }
    request = Request(url, headers=dict(headers or {}))  # noqa: S310 - its scheme is checked
    if credentials:
        request.add_unredirected_header("Authorization", credentials)
    answer: HTTPResponse = build_opener(ProxyHandler(proxies)).open(request, timeout=PATIENCE)
    return answer


def blocks(answer: HTTPResponse) -> Iterator[bytes]:
    """Yield what an answer holds, block by block.

    Raises:
        OSError: When the connection breaks.
    """
    left = int(answer.headers.get("Content-Length") or -1)
    while block := answer.read(BLOCK):
        left -= len(block)
        yield block
    if left > 0:  # the standard library says nothing of it when it is asked for so many bytes
        raise OSError(f"the connection broke {left} bytes before the end")
