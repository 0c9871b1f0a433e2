"""`POST /v1/audio/transcriptions`: sound to text, as OpenAI's clients ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import UNSET, Struct, UnsetType, field
from starlette.responses import PlainTextResponse, Response

from orchestrator.core.subtitle_format import subtitles
from orchestrator.serve.answers import EVENTS, JobStream, event, finished
from orchestrator.serve.bodies import Upload, answered, form_record
from orchestrator.serve.refused import Refused
from orchestrator.serve.served_job import ServedJob
from orchestrator.serve.uploads import save_upload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from orchestrator.core.manifest import Manifest
    from orchestrator.serve.jobs import ServedJobs
    from orchestrator.serve.served_models import ServedModels


class TranscriptionRequest(Struct):
    """The form of a request; what it has beyond this is for other services."""

    file: Upload
    model: str = "asr"
    language: str | None = None
    response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] = "json"
    timestamp_granularities: list[str] = field(
        name="timestamp_granularities[]", default_factory=list
    )
    stream: bool = False


class Transcription(Struct):
    """What was said."""

    text: str


class Word(Struct):
    """A word, and when it was said: seconds."""

    word: str
    start: float
    end: float


class Segment(Struct):
    """A sentence or so, and when it was said: seconds."""

    id: int
    start: float
    end: float
    text: str


class VerboseTranscription(Struct):
    """What was said, and when."""

    text: str
    language: str | None
    duration: float
    segments: list[Segment]
    words: list[Word] | UnsetType = UNSET
    task: Literal["transcribe"] = "transcribe"


async def transcribe(request: Request) -> Response:
    """Recognise what is said in a sound file."""
    models: ServedModels = request.app.state.models
    jobs: ServedJobs = request.app.state.jobs
    wanted = await form_record(request, TranscriptionRequest)
    model = await models.find(wanted.model, "asr")
    request.app.state.lanes.check(model.name)
    job = ServedJob(model, {}, jobs.new_directory())
    try:
        sound = await save_upload(wanted.file, job.directory)
        job.inputs = {"audio": sound, **_options(wanted, model.manifest)}
        if wanted.stream:
            return await _streamed(jobs, job).answer(request, EVENTS)
        jobs.start(job)
    except BaseException:
        jobs.forget(job)
        raise
    async with finished(request, jobs, job) as result:
        return answer(wanted.response_format, result)


def _options(wanted: TranscriptionRequest, manifest: Manifest) -> dict[str, Any]:
    """Return the inputs beside the sound, of those that the model has."""
    options: dict[str, Any] = {}
    if wanted.language and "language" in manifest.inputs:
        options["language"] = wanted.language
    if "timestamps" in manifest.inputs and "word" in wanted.timestamp_granularities:
        declared = manifest.inputs["timestamps"]
        words = next((each for each in declared.choices if each.startswith("word")), None)
        if words:
            options["timestamps"] = words
    return options


def _streamed(jobs: ServedJobs, job: ServedJob) -> JobStream:
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
        return answered(Transcription(text))
    if not isinstance(segments, list):
        raise Refused(400, f"this model gives no times, which {kind} needs", "bad_format")
    if kind in ("srt", "vtt"):
        return PlainTextResponse(subtitles(segments, f".{kind}"))
    words = [
        Word(one["text"].strip(), one["start"], one["end"])
        for each in segments
        for one in each.get("words") or ()
    ]
    verbose = VerboseTranscription(
        text,
        result.get("language"),
        duration=max((each["end"] for each in segments), default=0.0),
        segments=[
            Segment(number, each["start"], each["end"], each["text"])
            for number, each in enumerate(segments)
        ],
        words=words or UNSET,
    )
    return answered(verbose)
