"""The inputs of a job from a request: JSON with data: URLs, or a form with files.

Nothing of a client is used as a path, and no URL is fetched.
"""

from __future__ import annotations

import asyncio
import binascii
import re
import shutil
from base64 import b64decode
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.datastructures import FormData, UploadFile

from orchestrator.core.json_text import parse_json
from orchestrator.core.manifest import FILE_TYPES, PATH_TYPES, Input, Manifest
from orchestrator.errors import MMError
from orchestrator.jobs.npy import read_npy
from orchestrator.jobs.results import MEDIA_TYPES
from orchestrator.serve.refused import Refused, refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from starlette.requests import Request

MAX_FILES, MAX_FIELDS = 64, 256
"""Parts of a form."""

MAX_VALUES = 1_000_000
"""Values of a JSON body, counted by their commas."""

DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*)(;base64)?,", re.ASCII)

SUFFIXES = {kind: suffix for suffix, kind in reversed(MEDIA_TYPES.items())}

BLOCK = 1 << 20

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


async def parsed(request: Request) -> Any:
    """Return the JSON of a body; a large one is read in a thread, as the loop answers others.

    Raises:
        Refused: When it is none.
    """
    data = bytearray()
    async for part in request.stream():
        data += part

    def parse() -> Any:
        if data.count(b",") > MAX_VALUES:  # its objects would be made without a break for others
            raise Refused(413, f"a body may have {MAX_VALUES:,} values", "too_large")
        return msgspec.json.decode(data)  # many times faster than Python's own

    try:
        return parse() if len(data) < BLOCK else await asyncio.to_thread(parse)
    except msgspec.DecodeError as error:
        raise Refused(400, f"the body is not JSON ({error})", "malformed") from error
    except RecursionError as error:
        raise Refused(400, "the body is not JSON (nested too deeply)", "malformed") from error


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body of a request, which is a JSON object.

    Raises:
        Refused: When it is not.
    """
    body = await parsed(request)
    if not isinstance(body, dict):
        raise Refused(400, "the body is not a JSON object", "malformed")
    return body


async def form_of(request: Request) -> FormData:
    """Return the form of a request; more of it than `MAX_FILES` and `MAX_FIELDS` is refused."""
    return await request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS)


def is_form(request: Request) -> bool:
    """Return whether the body of a request is a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("multipart/form-data", "application/x-www-form-urlencoded")


async def given_by(request: Request) -> Mapping[str, Any]:
    """Return what a request gives: the object of a JSON body, or a form.

    Raises:
        Refused: When it cannot be read.
    """
    # `curl -d` calls a form whatever it sends; no form begins as an object does.
    if not is_form(request) or (await _start(request)) == b"{":
        return await json_object(request)
    return await form_of(request)


async def _start(request: Request) -> bytes:
    """Return the first byte of a body that is called a form and has no parts."""
    if "multipart" in request.headers["content-type"].lower():
        return b""
    return (await request.body()).lstrip()[:1]


async def inputs_of(
    given: Mapping[str, Any], manifest: Manifest, directory: Path
) -> dict[str, Any]:
    """Return the inputs of a model that a request gives, with its files in `directory`.

    Raises:
        Refused: When they cannot be read.
    """
    if not isinstance(given, FormData):
        return await asyncio.to_thread(from_object, manifest, given, directory)
    inputs: dict[str, Any] = {}
    for name in given:
        declared = manifest.inputs.get(name)
        takes_many = declared is not None and declared.list
        if len(given.getlist(name)) > 1 and not takes_many:
            raise Refused(400, f"input {name!r} is given twice", "malformed")
        values = [await from_form(manifest, name, each, directory) for each in given.getlist(name)]
        inputs[name] = values if takes_many else values[-1]
    return inputs


def from_object(manifest: Manifest, given: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Return inputs as a job takes them; files come as data: URLs, and are written down."""
    return {name: _from_json(manifest, name, each, directory) for name, each in given.items()}


def _from_json(manifest: Manifest, name: str, value: Any, directory: Path) -> Any:
    declared = manifest.inputs.get(name)
    if declared is None or declared.type not in PATH_TYPES or value is None:
        return value  # what is not declared is refused with the names that are
    if isinstance(value, list) and declared.list:
        return [_from_url(declared, name, each, directory) for each in value]
    return _from_url(declared, name, value, directory)


async def from_form(manifest: Manifest, name: str, value: UploadFile | str, directory: Path) -> Any:
    """Return a part of a form as a job takes it."""
    declared = manifest.inputs.get(name)
    if declared is None:
        return value if isinstance(value, str) else "a file"
    if isinstance(value, UploadFile):
        if declared.type not in PATH_TYPES:
            try:
                value = (await value.read()).decode("utf-8")
            except UnicodeDecodeError:
                raise Refused(400, f"input {name!r} is no UTF-8 text", "malformed") from None
            return _from_text(declared, name, value)
        return _loaded(declared, name, await save_upload(value, directory))
    if declared.type in PATH_TYPES:
        return _from_url(declared, name, value, directory)
    return _from_text(declared, name, value)


async def save_upload(upload: UploadFile, directory: Path) -> Path:
    """Write an uploaded file into `directory`, under a name of ours, and return its path."""
    suffix = f".{(upload.filename or '').rpartition('.')[2].lower()}"
    path = _new_path(directory, suffix if suffix in MEDIA_TYPES else "")

    def write() -> None:
        with path.open("xb") as file:
            shutil.copyfileobj(upload.file, file, BLOCK)

    try:
        await asyncio.to_thread(write)
    finally:
        await upload.close()
    return path


def save_data_url(url: Any, name: str, directory: Path) -> Path:
    """Write what a data: URL holds into `directory`, and return its path; to be called in a thread.

    Raises:
        Refused: When it is none. Paths and other URLs are never followed.
    """
    found = DATA_URL.match(url[:256]) if isinstance(url, str) else None
    if found is None:
        raise Refused(400, f"{name} takes a file: give a data: URL", "malformed")
    path = _new_path(directory, SUFFIXES.get((found[1] or "").lower(), ""))
    try:
        with path.open("xb") as file:
            if not found[3]:
                _write_unquoted(file, url, found.end())
                return path
            for begin in range(found.end(), len(url), BLOCK):  # others run between the parts
                file.write(b64decode(url[begin : begin + BLOCK], validate=True))
    except (binascii.Error, ValueError):
        path.unlink()
        raise Refused(400, f"the data: URL of {name} is not base64", "malformed") from None
    return path


def _write_unquoted(file: BinaryIO, url: str, begin: int) -> None:
    """Write the bytes of a data: URL without base64: in parts, as each `%` costs much memory."""
    while begin < len(url):
        end = begin + BLOCK
        cut = url.rfind("%", end - 2, end)
        end = cut if cut > begin else end
        file.write(unquote_to_bytes(url[begin:end]))
        begin = end


def remove_uploads(directory: Path) -> None:
    """Remove what a job was given, once it has ended."""
    for path in directory.glob("upload-*"):
        path.unlink(missing_ok=True)


def _from_url(declared: Input, name: str, value: Any, directory: Path) -> Any:
    return _loaded(declared, name, save_data_url(value, f"input {name!r}", directory))


def _loaded(declared: Input, name: str, path: Path) -> Any:
    """Return a file as the job takes it: its path, or the array in it."""
    if declared.type in FILE_TYPES:
        return path
    try:
        return read_npy(path)
    except MMError as error:
        raise refused(error, [(str(path), name)]) from error


def _from_text(declared: Input, name: str, text: str) -> Any:
    """Return the value that a field of a form stands for."""
    try:
        if declared.type == "integer":
            return int(text)
        if declared.type == "number":
            return float(text)
        if declared.type == "json":
            return parse_json(text)
    except ValueError as error:
        said = error if declared.type == "json" else f"this is no {declared.type}"
        raise Refused(400, f"input {name!r}: {said}", "malformed") from error
    if declared.type == "boolean":
        if text.lower() not in TRUE + FALSE:
            raise Refused(400, f"input {name!r} takes true or false", "malformed")
        return text.lower() in TRUE
    return text


def _new_path(directory: Path, suffix: str) -> Path:
    number = sum(1 for _ in directory.iterdir())
    return directory / f"upload-{number}{suffix}"
