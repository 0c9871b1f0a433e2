"""`POST /v1/audio/transcriptions`: sound to text, as OpenAI's clients ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, PlainTextResponse, Response

from orchestrator.core.subtitle_format import subtitles
from orchestrator.serve.answers import EVENTS, JobStream, event, finished
from orchestrator.serve.refusals import Refused
from orchestrator.serve.served_job import ServedJob
from orchestrator.serve.uploads import TRUE, form_of, is_form, save_upload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from orchestrator.core.manifest import Manifest
    from orchestrator.serve.jobs import Jobs
    from orchestrator.serve.served_models import ServedModels

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")


async def transcribe(request: Request) -> Response:
    """Recognise what is said in a sound file."""
    models: ServedModels = request.app.state.models
    jobs: Jobs = request.app.state.jobs
    if not is_form(request):
        raise Refused(400, "send multipart/form-data with the field file", "malformed")
    form = await form_of(request)
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise Refused(400, "the field file is missing", "malformed")
    kind = str(form.get("response_format") or "json")
    if kind not in FORMATS:
        raise Refused(400, f"response_format is one of {', '.join(FORMATS)}", "bad_format")
    model = await models.find(str(form.get("model") or "asr"), "asr")
    directory = jobs.new_directory()
    job = ServedJob(model, {}, directory)
    try:
        job.inputs = {
            "audio": await save_upload(upload, directory),
            **_options(form, model.manifest),
        }
        if str(form.get("stream") or "").lower() in TRUE:
            return await _streamed(jobs, job).answer(request, EVENTS)
        jobs.start(job)
    except BaseException:
        jobs.forget(job)
        raise
    async with finished(request, jobs, job) as result:
        return answer(kind, result)


def _options(form: FormData, manifest: Manifest) -> dict[str, Any]:
    """Return the inputs beside the sound, of those that the model has."""
    options: dict[str, Any] = {}
    if form.get("language") and "language" in manifest.inputs:
        options["language"] = str(form["language"])
    if "timestamps" in manifest.inputs and "word" in form.getlist("timestamp_granularities[]"):
        declared = manifest.inputs["timestamps"]
        words = next((each for each in declared.choices if each.startswith("word")), None)
        if words:
            options["timestamps"] = words
    return options


def _streamed(jobs: Jobs, job: ServedJob) -> JobStream:
    heard: list[str] = []

    def part(text: Any) -> bytes:
        heard.append(str(text))
        return event({"type": "transcript.text.delta", "delta": str(text)})

    return JobStream(
        jobs,
        job,
        part,
        lambda _: event({"type": "transcript.text.done", "text": "".join(heard)}),
        lambda refused: event({"type": "error", **refused.body}),
    )


def answer(kind: str, result: Mapping[str, Any]) -> Response:
    """Return what was recognised in the form that a client wants.

    Raises:
        Refused: When the model gives no times, and the form needs them.
    """
    text, segments = str(result["text"]), result.get("segments")
    if kind == "text":
        return PlainTextResponse(text if text.endswith("\n") else f"{text}\n")
    if kind == "json":
        return JSONResponse({"text": text})
    if not isinstance(segments, list):
        raise Refused(400, f"this model gives no times, which {kind} needs", "bad_format")
    if kind in ("srt", "vtt"):
        return PlainTextResponse(subtitles(segments, f".{kind}"))
    listed = [
        {"id": number, "start": each["start"], "end": each["end"], "text": each["text"]}
        for number, each in enumerate(segments)
    ]
    words = [
        {"word": one["text"].strip(), "start": one["start"], "end": one["end"]}
        for each in segments
        for one in each.get("words") or ()
    ]
    return JSONResponse(
        {
            "task": "transcribe",
            "language": result.get("language"),
            "duration": max((each["end"] for each in segments), default=0.0),
            "text": text,
            "segments": listed,
            **({"words": words} if words else {}),
        }
    )
