"""`/v1/files`: what clients upload once and name later, as Mistral's and OpenAI's have it.

Files live in the server's directory for a day at most, and go with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, JSONResponse, Response

from orchestrator.serve.refusals import Refused
from orchestrator.serve.uploads import form_of, is_form, save_upload

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

MAX_FILES = 256
MAX_BYTES = 2 << 30
"""Of all files together."""

KEEP_SECONDS = 24 * 3600.0

DEFAULT_HOURS = 24
"""How long a signed address works."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a client."""

    id: str
    path: Path
    name: str
    purpose: str
    size: int
    created: float = field(default_factory=time.time)

    def shown(self) -> dict[str, Any]:
        """Return what clients are shown of it."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.size,
            "size_bytes": self.size,
            "created_at": int(self.created),
            "filename": self.name,
            "purpose": self.purpose,
            "sample_type": "ocr_request",
            "source": "upload",
            "status": "processed",
            "num_lines": None,
            "mimetype": None,
            "signature": None,
            "deleted": False,
        }


class Files:
    """The files of one server.

    Args:
        directory: Where they are; it exists.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._secret = secrets.token_bytes(32)
        self._files: dict[str, StoredFile] = {}

    async def add(self, upload: UploadFile, purpose: str) -> StoredFile:
        """Keep a file.

        Raises:
            Refused: When there are too many.
        """
        self.sweep()
        held = sum(each.size for each in self._files.values())
        if len(self._files) >= MAX_FILES or held + (upload.size or 0) > MAX_BYTES:
            raise Refused(413, "too many files are kept; delete some", "too_many_files")
        key = f"file-{secrets.token_hex(12)}"
        directory = self._directory / key
        directory.mkdir(mode=0o700)
        try:
            path = await save_upload(upload, directory)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        # A name is shown and is never a path.
        name = (upload.filename or "file")[:255]
        kept = StoredFile(key, path, name, purpose, path.stat().st_size)
        self._files[key] = kept
        return kept

    def get(self, key: str) -> StoredFile:
        """Return a file.

        Raises:
            Refused: When there is none.
        """
        self.sweep()
        if key not in self._files:
            raise Refused(404, f"there is no file {key!r}", "no_file")
        return self._files[key]

    def all(self) -> list[StoredFile]:
        """Return every file, the newest first."""
        self.sweep()
        return sorted(self._files.values(), key=lambda each: -each.created)

    def remove(self, key: str) -> None:
        """Remove a file."""
        shutil.rmtree(self.get(key).path.parent, ignore_errors=True)
        del self._files[key]

    def sweep(self) -> None:
        """Remove what is older than a day."""
        limit = time.time() - KEEP_SECONDS
        for old in [each for each in self._files.values() if each.created < limit]:
            shutil.rmtree(old.path.parent, ignore_errors=True)
            del self._files[old.id]

    def sign(self, key: str, hours: float) -> str:
        """Return the path and query of an address of a file that works for so many hours."""
        expires = int(time.time() + hours * 3600)
        signature = self._signature(key, expires)
        return f"/v1/files/{key}/content?expires={expires}&signature={signature}"

    def signed(self, url: str) -> StoredFile | None:
        """Return the file that one of our signed addresses names; None for any other URL.

        Raises:
            Refused: When it has expired or its signature is wrong.
        """
        parts = urlsplit(url)
        words = parts.path.strip("/").split("/")
        if len(words) != 4 or words[:2] != ["v1", "files"] or words[3] != "content":
            return None
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        expires = query.get("expires", "")
        wanted = self._signature(words[2], int(expires)) if expires.isdecimal() else ""
        if not wanted or not hmac.compare_digest(wanted, query.get("signature", "")):
            raise Refused(403, "the signature of this address is wrong", "bad_signature")
        if int(expires) < time.time():
            raise Refused(403, "this address has expired", "expired")
        return self.get(words[2])

    def _signature(self, key: str, expires: int) -> str:
        return hmac.new(self._secret, f"{key} {expires}".encode(), hashlib.sha256).hexdigest()


async def upload_file(request: Request) -> Response:
    """Keep an uploaded file."""
    if not is_form(request):
        raise Refused(400, "send multipart/form-data with the field file", "malformed")
    form = await form_of(request)
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise Refused(400, "the field file is missing", "malformed")
    files: Files = request.app.state.files
    kept = await files.add(upload, str(form.get("purpose") or "ocr"))
    return JSONResponse(kept.shown())


async def list_files(request: Request) -> Response:
    """List the files."""
    listed = [each.shown() for each in request.app.state.files.all()]
    return JSONResponse({"object": "list", "data": listed, "total": len(listed), "has_more": False})


async def show_file(request: Request) -> Response:
    """Show one file."""
    return JSONResponse(request.app.state.files.get(request.path_params["id"]).shown())


async def delete_file(request: Request) -> Response:
    """Remove a file."""
    key = request.path_params["id"]
    request.app.state.files.remove(key)
    return JSONResponse({"id": key, "object": "file", "deleted": True})


async def sign_file(request: Request) -> Response:
    """Return an address of a file that this server takes as a document for a while."""
    files: Files = request.app.state.files
    kept = files.get(request.path_params["id"])
    hours = request.query_params.get("expiry", str(DEFAULT_HOURS))
    if not hours.isdecimal() or not 0 < int(hours) <= 7 * 24:
        raise Refused(400, "expiry is in hours, 1 to 168", "malformed")
    base = str(request.base_url).rstrip("/")
    return JSONResponse({"url": base + files.sign(kept.id, int(hours))})


async def file_content(request: Request) -> Response:
    """Return the bytes of a file."""
    kept = request.app.state.files.get(request.path_params["id"])
    return FileResponse(kept.path, media_type="application/octet-stream", filename=kept.name)
