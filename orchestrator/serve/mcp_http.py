"""The Model Context Protocol over streamable HTTP: `POST /mcp`, without sessions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from orchestrator.serve.answers import EVENTS, Streamed, event, watched
from orchestrator.serve.mcp import PARSE_ERROR, STATUSES, RpcError, is_modern, progress_token
from orchestrator.serve.refused import Refused
from orchestrator.serve.uploads import parsed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request

    from orchestrator.serve.mcp import Tools

PING_SECONDS = 15.0
"""Seconds of silence after which a comment shows that the connection lives."""


async def mcp(request: Request) -> Response:
    """Answer one message; with events where the client wants to see progress."""
    tools: Tools = request.app.state.tools
    headers = dict(request.headers)
    try:
        message = await parsed(request)
    except Refused as refused:
        return JSONResponse(RpcError(PARSE_ERROR, refused.message).body(None), 400)
    if _wants_progress(message) and EVENTS in headers.get("accept", ""):
        return _with_progress(tools, message, headers)
    answer = await watched(request, tools.answer(message, headers))
    if answer is None:
        return Response(status_code=202)
    modern = isinstance(message, dict) and "method" in message and is_modern(message, headers)
    code = answer.get("error", {}).get("code")
    return JSONResponse(answer, STATUSES.get(code, 200) if modern or code == -32600 else 200)


def _wants_progress(message: Any) -> bool:
    asked = isinstance(message, dict) and "id" in message
    return asked and progress_token(message.get("params")) is not None


def _with_progress(tools: Tools, message: Any, headers: Mapping[str, str]) -> Response:
    sent: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def on_progress(params: Mapping[str, Any]) -> None:
        notification = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        sent.put_nowait(notification)

    working = asyncio.create_task(tools.answer(message, headers, on_progress))
    working.add_done_callback(lambda _: sent.put_nowait(None))

    async def events() -> AsyncIterator[bytes]:
        while True:
            try:
                one = await asyncio.wait_for(sent.get(), PING_SECONDS)
            except asyncio.TimeoutError:
                yield b": still at work\n\n"
                continue
            if one is None:
                if (answer := working.result()) is not None:
                    yield event(answer, "message")
                return
            yield event(one, "message")

    async def end() -> None:
        working.cancel()
        await asyncio.wait([working])

    return Streamed(events(), end, media_type=EVENTS)
