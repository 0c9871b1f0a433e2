"""Bodies of requests and of answers as records, which `/openapi.json` describes as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from starlette.datastructures import UploadFile
from starlette.responses import Response

from orchestrator.serve.refused import Refused
from orchestrator.serve.uploads import form_of, is_form, json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

T = TypeVar("T", bound="msgspec.Struct")

Upload = Annotated[Any, msgspec.Meta(extra_json_schema={"type": "string", "format": "binary"})]
"""A field of a form that is a file."""


async def json_record(request: Request, kind: type[T]) -> T:
    """Return the JSON body of a request as a record; what the record does not have is left out.

    Raises:
        Refused: When something is missing or of another type; the message names it.
    """
    return _converted(await json_object(request), kind)


async def form_record(request: Request, kind: type[T]) -> T:
    """Return the form of a request, which has a field `file`; else as `json_record`."""
    if not is_form(request):
        raise Refused(400, "send multipart/form-data with the field file", "malformed")
    form = await form_of(request)
    if not isinstance(form.get("file"), UploadFile):
        raise Refused(400, "the field file is missing", "malformed")
    fields = {name: form.getlist(name) if name.endswith("[]") else form[name] for name in form}
    return _converted(fields, kind, strict=False)


def answered(record: msgspec.Struct) -> Response:
    """Return the answer that is a record as JSON."""
    return Response(msgspec.json.encode(record), media_type="application/json")


def _converted(body: Mapping[str, Any], kind: type[T], *, strict: bool = True) -> T:
    try:
        return msgspec.convert(body, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Refused(400, str(error).replace("$.", ""), "malformed") from error
