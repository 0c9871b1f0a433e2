"""Listening: uvicorn, and the screen that says how to call it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from orchestrator.errors import UsageError
from orchestrator.serve.application import Application
from orchestrator.serve.served_models import ServedModels
from orchestrator.system.files import allow_open_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from orchestrator.serve.serve_settings import ServeSettings
    from orchestrator.workspace import Workspace

CONNECTIONS = 1024
"""Connections that are open at once; beyond them 503."""

HEADER_SECONDS = 20.0
"""Seconds in which the header of a request is complete."""

FILES = 4 * CONNECTIONS
"""Files that may be open: of each connection its socket, its worker's, an upload, an answer."""

BACKLOG = 512

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What ends the server; again, at once."""


class _Protocol(H11Protocol):
    """HTTP that does not wait for ever for a header, the first or a later one."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        """Let the clock run from the first byte of a request until its header is complete."""
        if not self._waits():
            self._stop_clock()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEADER_SECONDS, self._check)

    def _waits(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _check(self) -> None:
        if self._waits():
            self.transport.abort()

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """A server that drains: it ends when its jobs have, and then as a command that succeeded."""

    def __init__(self, config: uvicorn.Config, app: Application) -> None:
        super().__init__(config)
        self._mm = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        draining = asyncio.create_task(self._mm.drain())
        await super().shutdown(sockets)
        if self.force_exit:
            await self._mm.drain(0)
        await draining

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit  # uvicorn's own has SIGINT alone end it at once
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Uvicorn's own raises the signal again at the end, which ends the process by it.
        before = {one: signal.signal(one, self.handle_exit) for one in SIGNALS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def listen(settings: ServeSettings) -> socket.socket:
    """Return a socket that listens where the settings say.

    Raises:
        UsageError: When the address cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror or error})",
            fix="choose another port: --port 0 takes a free one",
        ) from error
    return listening


def serve(
    settings: ServeSettings,
    workspace: Workspace,
    say: Callable[[str], None],
    write_log: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM; then end as `ServeSettings.drain` says.

    Args:
        settings: What it serves, to whom, and its limits.
        workspace: The user's world, for the server alone.
        say: Receives the lines of the screen at the start.
        write_log: Receives a line for each request.

    Raises:
        UsageError: When the address cannot be had.
        EnvironmentFailure: When the user's home cannot be written.
    """
    allow_open_files(FILES)
    workspace.home.prepare()
    listening = listen(settings)
    host, port = listening.getsockname()[:2]
    app = Application(settings, workspace, write_log)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=None,
    )
    server = _Server(config, app)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)

    async def run() -> None:
        for line in await screen(settings, workspace, host, port):
            say(line)
        await server.serve([listening])

    with listening:
        asyncio.run(run())


async def screen(settings: ServeSettings, workspace: Workspace, host: str, port: int) -> list[str]:
    """Return what is said when the server starts: where, what, how, and what is not ready."""
    models = ServedModels(workspace, settings.models)
    everything = await models.all()
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}"
    lines = [f"listening on {address}"]
    for task, served in sorted(models.tasks.items()):
        if served.ready:
            others = [
                each.name
                for each in everything
                if each.ready and each.declared.manifest.task == task and each != served
            ]
            also = f", {', '.join(others)}" if others else ""
            lines.append(f"  {task}: {served.name}{also}")
    lines += [
        f"  not ready: {each.name} {each.lacks} ({each.fix})"
        for each in everything
        if not each.ready
    ]
    token = f' -H "Authorization: Bearer $(cat {shlex.quote(settings.token_file)})"'
    curl = f"curl{token if settings.token else ''} {address}"
    if "tts" in models.tasks and models.tasks["tts"].ready:
        body = shlex.quote('{"input": "Hello."}')
        lines.append(f"try: {curl}/v1/audio/speech -d {body} -o hello.mp3")
    else:
        lines.append(f"try: {curl}/v1/models")
    return lines
