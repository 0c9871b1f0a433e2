"""`/v1/files`: what clients upload once and name later, as Mistral's and OpenAI's have it.

Files live in the server's directory for a day at most, and go with it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct
from starlette.responses import FileResponse, Response

from orchestrator.serve.bodies import Upload, answered, form_record
from orchestrator.serve.refused import Refused
from orchestrator.serve.threads import remove_tree
from orchestrator.serve.uploads import save_upload

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.datastructures import UploadFile
    from starlette.requests import Request

MAX_FILES = 256
MAX_BYTES = 2 << 30
"""Of all files together."""

KEEP_SECONDS = 24 * 3600.0

DEFAULT_HOURS = 24
"""How long a signed address works."""

HOURS = re.compile(r"\d{1,3}")


@dataclass(frozen=True)
class StoredFile:
    """A file of a client."""

    id: str
    path: Path
    name: str
    purpose: str
    size: int
    created: float = field(default_factory=time.time)

    def shown(self) -> FileShown:
        """Return what clients are shown of it."""
        return FileShown(
            self.id,
            self.size,
            self.size,
            int(self.created),
            filename=self.name,
            purpose=self.purpose,
        )


class FileShown(Struct):
    """What clients are shown of a file."""

    id: str
    bytes: int
    size_bytes: int
    created_at: int
    filename: str
    purpose: str
    object: Literal["file"] = "file"
    sample_type: Literal["ocr_request"] = "ocr_request"
    source: Literal["upload"] = "upload"
    status: Literal["processed"] = "processed"
    num_lines: None = None
    mimetype: None = None
    signature: None = None
    deleted: bool = False


class FileRequest(Struct):
    """The form with a file."""

    file: Upload
    purpose: str = "ocr"


class FileList(Struct):
    """The files, the newest first."""

    data: list[FileShown]
    total: int
    object: Literal["list"] = "list"
    has_more: bool = False


class FileDeleted(Struct):
    """That a file is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class SignedUrl(Struct):
    """An address of a file that is taken as a document for a while."""

    url: str


class UploadedFiles:
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
            remove_tree(directory)
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
        remove_tree(self.get(key).path.parent)
        del self._files[key]

    def sweep(self) -> None:
        """Remove what is older than a day."""
        limit = time.time() - KEEP_SECONDS
        for old in [each for each in self._files.values() if each.created < limit]:
            remove_tree(old.path.parent)
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
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        words = parts.path.strip("/").split("/")
        if len(words) != 4 or words[:2] != ["v1", "files"] or words[3] != "content":
            return None
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        expires = query.get("expires", "")
        wanted = self._signature(words[2], int(expires)) if expires.isdecimal() else ""
        given = query.get("signature", "").encode()
        if not wanted or not hmac.compare_digest(wanted.encode(), given):
            raise Refused(403, "the signature of this address is wrong", "bad_signature")
        if int(expires) < time.time():
            raise Refused(403, "this address has expired", "expired")
        return self.get(words[2])

    def _signature(self, key: str, expires: int) -> str:
        return hmac.new(self._secret, f"{key} {expires}".encode(), hashlib.sha256).hexdigest()


async def upload_file(request: Request) -> Response:
    """Keep an uploaded file."""
    files: UploadedFiles = request.app.state.files
    wanted = await form_record(request, FileRequest)
    return answered((await files.add(wanted.file, wanted.purpose)).shown())


async def list_files(request: Request) -> Response:
    """List the files."""
    listed = [each.shown() for each in request.app.state.files.all()]
    return answered(FileList(listed, len(listed)))


async def show_file(request: Request) -> Response:
    """Show one file."""
    return answered(request.app.state.files.get(request.path_params["id"]).shown())


async def delete_file(request: Request) -> Response:
    """Remove a file."""
    key = request.path_params["id"]
    request.app.state.files.remove(key)
    return answered(FileDeleted(key))


async def sign_file(request: Request) -> Response:
    """Return an address of a file that this server takes as a document for a while."""
    files: UploadedFiles = request.app.state.files
    kept = files.get(request.path_params["id"])
    hours = request.query_params.get("expiry", str(DEFAULT_HOURS))
    if not HOURS.fullmatch(hours) or not 0 < int(hours) <= 7 * 24:
        raise Refused(400, "expiry is in hours, 1 to 168", "malformed")
    base = str(request.base_url).rstrip("/")
    return answered(SignedUrl(base + files.sign(kept.id, int(hours))))


async def file_content(request: Request) -> Response:
    """Return the bytes of a file."""
    kept = request.app.state.files.get(request.path_params["id"])
    return FileResponse(kept.path, media_type="application/octet-stream", filename=kept.name)
