"""What a request must be before anything looks at it: from whom, for whom, and how long."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import Response

from orchestrator.serve.refusals import Refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from orchestrator.serve.settings import ServeSettings

OPEN_PATHS = ("/", "/healthz")
"""What needs no token: a page without data, and whether the server lives."""

IDLE_SECONDS = 20.0
"""Seconds in which the next part of a body comes."""

SLOWEST = 10_000
"""Bytes per second that a body comes with at least, after the first `IDLE_SECONDS`."""


SAFE = {
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": b"default-src 'none'; sandbox; frame-ancestors 'none'",
}
"""Headers of every answer that does not set them: what a model makes runs nothing in a browser."""

METHODS = "GET, POST, DELETE"

EXPOSED = "Location, Retry-After, MM-Model"
"""Headers of an answer that an allowed web page may read."""

CORS_SECONDS = 600
"""Seconds that a browser keeps what an allowed page may send."""


class Guard:
    """The outermost layer of the application.

    Args:
        app: What is guarded.
        settings: Tokens, hosts, origins and limits.
        idle: Stands for `IDLE_SECONDS`; a port for tests.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, idle: float = IDLE_SECONDS) -> None:
        self._app = app
        self._settings = settings
        self._idle = idle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        cors = self._cors(headers)
        send = _with_headers(send, {**SAFE, **cors})
        try:
            self._check_source(headers)
            if cors and scope["method"] == "OPTIONS":
                await Response(status_code=204)(scope, receive, send)
                return
            self._check(scope["path"], headers)
        except Refused as refused:
            await refused.response()(scope, receive, send)
            return
        await self._app(scope, self._bounded(receive), send)

    def _cors(self, headers: dict[str, str]) -> dict[bytes, bytes]:
        """Return what lets a browser give an answer to an allowed page of another site."""
        origin = headers.get("origin", "")
        if origin.lower() not in self._settings.allow_origins:
            return {}
        allowed = {
            "access-control-allow-origin": origin,
            "access-control-allow-methods": METHODS,
            "access-control-allow-headers": headers.get("access-control-request-headers", ""),
            "access-control-expose-headers": EXPOSED,
            "access-control-max-age": str(CORS_SECONDS),
            "vary": "Origin",
        }
        return {name.encode(): value.encode("latin-1") for name, value in allowed.items()}

    def _check_source(self, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        if not self._is_own(host_name(host)):
            raise Refused(421, "this server is not called that", "wrong_host")
        origin = headers.get("origin")
        if origin is not None and not self._is_welcome(origin, host):
            raise Refused(403, "requests from other web pages are refused", "foreign_origin")

    def _check(self, path: str, headers: dict[str, str]) -> None:
        if path not in OPEN_PATHS and not self._is_authorized(headers.get("authorization", "")):
            raise Refused(
                401,
                "a token is needed: Authorization: Bearer TOKEN",
                "invalid_token",
                headers={"WWW-Authenticate": "Bearer"},
            )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._settings.max_body:
            raise self._too_large()

    def _is_own(self, name: str) -> bool:
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name == "localhost" or name in self._settings.allow_hosts
        return True

    def _is_welcome(self, origin: str, host: str) -> bool:
        # Of its own page: its scheme is not known behind a proxy, and nothing hangs on it.
        try:
            own = urlsplit(origin).netloc == host
        except ValueError:
            return False
        return own or origin.lower() in self._settings.allow_origins

    def _is_authorized(self, given: str) -> bool:
        kind, _, token = given.partition(" ")
        wanted = self._settings.token
        same = hmac.compare_digest(token.strip().encode("latin-1"), wanted.encode())
        return not wanted or (kind.lower() == "bearer" and same)

    def _too_large(self) -> Refused:
        return Refused(
            413,
            f"a body may have {self._settings.max_body:,} bytes",
            "too_large",
            headers={"Connection": "close"},
        )

    def _bounded(self, receive: Receive) -> Receive:
        """Return a `receive` for a body of bounded length, which comes in bounded time."""
        received = 0
        began = 0.0  # when it is asked for: what comes before is not the client's time
        complete = False

        async def bounded() -> Message:
            nonlocal began, received, complete
            if complete:  # only the end of the connection comes after it
                return await receive()
            began = began or time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), self._idle)
            except asyncio.TimeoutError:
                raise self._too_slow() from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > self._settings.max_body:
                raise self._too_large()
            if time.monotonic() - began > self._idle + received / SLOWEST:
                raise self._too_slow()
            return message

        return bounded

    def _too_slow(self) -> Refused:
        return Refused(
            408, "the body comes too slowly", "too_slow", headers={"Connection": "close"}
        )


def _with_headers(send: Send, headers: dict[bytes, bytes]) -> Send:
    """Return a `send` that adds headers to an answer, unless it has them."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name for name, _ in message.get("headers", ())}
            more = [one for one in headers.items() if one[0] not in there]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return sending


def host_name(host: str) -> str:
    """Return the name in a `Host` header, in lower case and without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
