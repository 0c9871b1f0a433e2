"""Every refusal of the server as a status and OpenAI's error object."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from orchestrator.core.refusals import refusal
from orchestrator.errors import (
    Cancelled,
    Crashed,
    EnvironmentFailure,
    MachineRefused,
    ManifestError,
    MemoryRefused,
    MMError,
    OutputError,
    PathRefused,
    Rejected,
    SourceError,
    TimedOut,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.responses import Response

CLIENT_CLOSED = 499
"""The client has gone; no one reads it."""

STATUSES: tuple[tuple[type[MMError], int], ...] = (
    (UsageError, 400),
    (Rejected, 400),
    (PathRefused, 503),
    (ManifestError, 503),
    (EnvironmentFailure, 503),
    (SourceError, 503),
    (MachineRefused, 503),
    (MemoryRefused, 503),
    (Crashed, 502),
    (OutputError, 502),
    (TimedOut, 504),
    (Cancelled, CLIENT_CLOSED),
)

KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""OpenAI's `type`; of the others, requests at fault and faults of the server have one each."""

RETRY_SECONDS = 5
"""What a client is asked to wait where the server cannot know it."""

PATH = re.compile(r"(?<![\w/:.])/(?:[^\s/'\",;:]+/)+([^\s/'\",;:]+)")
"""An absolute path of more than one part; its last part stays."""


class Refused(Exception):
    """An answer that is no result.

    Args:
        status: The HTTP status.
        message: What is wrong, for the client.
        code: A word for programs.
        retry_after: Seconds until another try may succeed; 0 for never.
        headers: More headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str = "",
        *,
        retry_after: float = 0,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.retry_after = retry_after
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """OpenAI's object."""
        kind = KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "api_error")
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}

    def response(self) -> Response:
        """Return the answer."""
        headers = dict(self.headers)
        if self.retry_after:
            headers["Retry-After"] = str(math.ceil(self.retry_after))
        return JSONResponse(self.body, self.status, headers)


def refused(error: MMError, names: Iterable[tuple[str, str]] = ()) -> Refused:
    """Return an error of a job as the answer to a client.

    Args:
        error: The error.
        names: Paths of the job's files, each with the name of its input, which stands for it.
    """
    status = next((code for kind, code in STATUSES if isinstance(error, kind)), 500)
    message = f"{error.what}; {error.fix}" if error.fix and status != 500 else error.what
    for path, name in names:
        if error.where.startswith(path):
            message = f"{error.where}: {message}"
        message = message.replace(path, f"input {name!r}")
    retry_after = error.retry_after
    if retry_after:
        status = 503
    elif isinstance(error, (MemoryRefused, MachineRefused)):
        retry_after = RETRY_SECONDS
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
    return Refused(status, without_paths(message), code, retry_after=retry_after)


def machine_refused(error: OSError) -> Refused | None:
    """Return what the machine refuses the server, such as space; None where that is not known."""
    said = refusal(error, "its own files")
    if said is None:
        return None
    return Refused(503, f"on the server, {said.what}", "machine_refused", retry_after=RETRY_SECONDS)


def without_paths(text: str) -> str:
    """Return text in which the last part of each absolute path stands for the whole."""
    return PATH.sub(r"\1", text)
