"""What one `mm serve` was asked for."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 5577


@dataclass(frozen=True)
class ServeSettings:
    """How a server listens, what it serves, and its limits.

    Attributes:
        host: The address it listens on.
        port: The port; 0 for a free one.
        models: The names of the models that it serves; empty for every one that is ready.
        token: What clients send as `Authorization: Bearer`; empty for none.
        token_file: Where the token is, for the line that is shown.
        workers: How many workers of one model may live at once.
        queue: How many jobs of one model may wait.
        jobs: How many jobs may be queued or running in all.
        allow_hosts: Names that clients may call the server by, beside addresses and localhost.
        allow_origins: Web pages that may call it, in lower case: https://example.org.
        max_body: Bytes that the body of a request may have.
        keep: Seconds that the outputs of a job stay after its end.
        log: How a request is logged: "text" or "json".
        drain: Seconds in which running jobs may end when the server is stopped.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    models: tuple[str, ...] = ()
    token: str = ""
    token_file: str = ""
    workers: int = 1
    queue: int = 32
    jobs: int = 128
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    max_body: int = 100_000_000
    keep: float = 600.0
    log: str = "text"
    drain: float = 30.0
