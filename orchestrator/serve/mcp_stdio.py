"""The Model Context Protocol over standard streams: a message in a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from typing import TYPE_CHECKING, Any

from orchestrator.async_session import AsyncSession
from orchestrator.core.json_text import parse_json
from orchestrator.serve.jobs import ServedJobs
from orchestrator.serve.lanes import Lanes
from orchestrator.serve.mcp import PARSE_ERROR, RpcError, Tools
from orchestrator.serve.metrics import Metrics
from orchestrator.serve.serve_settings import ServeSettings
from orchestrator.serve.served_models import ServedModels
from orchestrator.system.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.workspace import Workspace

LONGEST_LINE = 256 << 20

BLOCK = 1 << 16


def serve_streams(
    workspace: Workspace, names: tuple[str, ...], given: int, write: Callable[[bytes], None]
) -> None:
    """Answer the messages on `given`, a line each, until its end; then end what still runs.

    Args:
        workspace: The user's world, for the server alone.
        names: The names of the only models; empty for all.
        given: The descriptor of the lines.
        write: Writes a line.
    """
    asyncio.run(_serve(workspace, names, given, write))


async def _serve(
    workspace: Workspace, names: tuple[str, ...], given: int, write: Callable[[bytes], None]
) -> None:
    settings = ServeSettings(models=names)
    scratch = Scratch(workspace.home)
    running: dict[Any, asyncio.Task[None]] = {}
    try:
        async with AsyncSession(kept=True) as session:
            lanes = Lanes(settings.workers + settings.queue, settings.jobs)
            jobs = ServedJobs(session, lanes, scratch.path, settings.keep, Metrics())
            tools = Tools(ServedModels(workspace, names), jobs, paths=True)

            def send(message: Mapping[str, Any]) -> None:
                write(json.dumps(message).encode() + b"\n")

            async def work(message: Any) -> None:
                answer = await tools.answer(
                    message,
                    on_progress=lambda params: send(
                        {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
                    ),
                )
                if answer is not None:
                    send(answer)

            lines = _lines(given)
            while True:
                try:
                    if not (line := await lines.readline()):
                        break
                    message = parse_json(line.decode("utf-8"))
                except ValueError as error:
                    send(RpcError(PARSE_ERROR, f"not JSON ({error})").body(None))
                    continue
                _cancel(message, running)
                task = asyncio.create_task(work(message))
                key = message.get("id") if isinstance(message, dict) else None
                key = key if isinstance(key, (str, int)) else id(task)
                running[key] = task
                task.add_done_callback(lambda _, key=key: running.pop(key, None))  # type: ignore[misc]
            if running:
                await asyncio.wait(running.values(), timeout=settings.drain)
            for task in running.values():
                task.cancel()
            await jobs.drain(settings.drain)
    finally:
        scratch.close()


def _lines(given: int) -> asyncio.StreamReader:
    """Return what comes on a descriptor: a file, a pipe or a terminal.

    A thread reads it that no one waits for: an interrupt ends the command while nothing comes. It
    holds no lock of Python's buffered streams, which the interpreter needs when it ends.
    """
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(LONGEST_LINE)

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            while data := os.read(given, BLOCK):
                loop.call_soon_threadsafe(reader.feed_data, data)
            loop.call_soon_threadsafe(reader.feed_eof)

    threading.Thread(target=read, daemon=True).start()
    return reader


def _cancel(message: Any, running: Mapping[Any, asyncio.Task[None]]) -> None:
    """End the request that a client no longer wants answered."""
    if isinstance(message, dict) and message.get("method") == "notifications/cancelled":
        params = message.get("params")
        key = params.get("requestId") if isinstance(params, dict) else None
        with contextlib.suppress(KeyError, TypeError):
            running[key].cancel()
