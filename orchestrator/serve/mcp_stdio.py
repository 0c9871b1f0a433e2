"""The Model Context Protocol over standard streams: a message in a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from orchestrator.async_session import AsyncSession
from orchestrator.core.json_text import parse_json
from orchestrator.serve.jobs import Jobs
from orchestrator.serve.lanes import Lanes
from orchestrator.serve.mcp import PARSE_ERROR, ProtocolError, Tools
from orchestrator.serve.metrics import Metrics
from orchestrator.serve.served_models import ServedModels
from orchestrator.serve.settings import ServeSettings
from orchestrator.system.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from orchestrator.workspace import Workspace

LONGEST_LINE = 256 << 20


def serve_streams(
    workspace: Workspace, names: tuple[str, ...], given: BinaryIO, write: Callable[[bytes], None]
) -> None:
    """Answer the messages on `given`, a line each, until its end.

    Args:
        workspace: The user's world, for the server alone.
        names: The names of the only models; empty for all.
        given: The lines; read in a thread.
        write: Writes a line.
    """
    asyncio.run(_serve(workspace, names, given, write))


async def _serve(
    workspace: Workspace, names: tuple[str, ...], given: BinaryIO, write: Callable[[bytes], None]
) -> None:
    settings = ServeSettings(models=names)
    scratch = Scratch(workspace.home)
    running: dict[Any, asyncio.Task[None]] = {}
    try:
        async with AsyncSession(kept=True) as session:
            lanes = Lanes(settings.workers + settings.queue, settings.jobs)
            jobs = Jobs(session, lanes, scratch.path, settings.keep, Metrics())
            tools = Tools(ServedModels(workspace, names), jobs, paths=True)

            def send(message: Mapping[str, Any]) -> None:
                write(json.dumps(message, ensure_ascii=False).encode() + b"\n")

            async def work(message: Any) -> None:
                answer = await tools.answer(
                    message,
                    on_progress=lambda params: send(
                        {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
                    ),
                )
                if answer is not None:
                    send(answer)

            while line := await asyncio.to_thread(given.readline, LONGEST_LINE):
                try:
                    message = parse_json(line.decode("utf-8"))
                except (ValueError, RecursionError) as error:
                    send(ProtocolError(PARSE_ERROR, f"not JSON ({error})").body(None))
                    continue
                _cancel(message, running)
                task = asyncio.create_task(work(message))
                key = message.get("id") if isinstance(message, dict) else None
                key = key if isinstance(key, (str, int)) else id(task)
                running[key] = task
                task.add_done_callback(lambda _, key=key: running.pop(key, None))  # type: ignore[misc]
            if running:
                await asyncio.wait(running.values())
            await jobs.drain(settings.drain)
    finally:
        scratch.close()


def _cancel(message: Any, running: Mapping[Any, asyncio.Task[None]]) -> None:
    """End the request that a client no longer wants answered."""
    if isinstance(message, dict) and message.get("method") == "notifications/cancelled":
        params = message.get("params")
        key = params.get("requestId") if isinstance(params, dict) else None
        with contextlib.suppress(KeyError, TypeError):
            running[key].cancel()
