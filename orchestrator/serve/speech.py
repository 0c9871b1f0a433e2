"""`POST /v1/audio/speech`: text to sound, as OpenAI's and Mistral's clients ask for it.

A body with `voice_id` is Mistral's: the sound is then in JSON.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from starlette.responses import JSONResponse

from orchestrator.core.languages import voices_for
from orchestrator.core.manifest import VOICE_INPUTS
from orchestrator.serve.answers import EVENTS, JobStream, Sent, event, watched
from orchestrator.serve.bodies import converted
from orchestrator.serve.refusals import Refused
from orchestrator.serve.served_job import ServedJob
from orchestrator.serve.sound import MEDIA_TYPES, complete_wav, encoder
from orchestrator.serve.uploads import json_object

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from orchestrator.core.manifest import Manifest
    from orchestrator.serve.jobs import Jobs
    from orchestrator.serve.served_models import ServedModels
    from orchestrator.serve.sound import Encoder

OPENAI_VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
)  # fmt: skip
"""Names that clients send by default; each means one of the model's first voices."""

OPTIONS = ("speed", "language")
"""Inputs that a request may set where the model has them."""

INSTRUCTIONS = ("instructions", "instruct", "description")
"""What models call the input that says how to speak."""


class Voice(msgspec.Struct):
    """A voice by its identifier."""

    id: str


class SpeechRequest(msgspec.Struct):
    """The body of a request; what it has beyond this is for other services."""

    input: str
    model: str = "tts"
    voice: str | Voice | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float | None = None
    stream_format: Literal["audio", "sse"] | None = None
    instructions: str | None = None
    language: str | None = None
    voice_id: str | None = None
    ref_audio: str | None = None
    stream: bool | None = False


async def speech(request: Request) -> Response:
    """Speak a text."""
    models: ServedModels = request.app.state.models
    jobs: Jobs = request.app.state.jobs
    wanted = converted(await json_object(request), SpeechRequest)
    if wanted.ref_audio is not None:
        raise Refused(
            400, "no voice is cloned here; use POST /models/NAME of a model that does", "bad_voice"
        )
    given = {"text": wanted.input, "language": wanted.language}
    model = await models.find(wanted.model, "tts", given)
    inputs = speech_inputs(model.manifest, wanted)
    encode = encoder(wanted.response_format)
    job = ServedJob(model, inputs, jobs.new_directory())
    if wanted.voice_id is not None and wanted.stream:
        return await _events(jobs, job, encode, "audio_data").answer(request, EVENTS)
    if wanted.stream_format == "sse":
        return await _events(jobs, job, encode, "audio").answer(request, EVENTS)
    stream = JobStream(jobs, job, encode.feed, lambda _: encode.end())
    media_type = MEDIA_TYPES[wanted.response_format]
    is_whole = wanted.response_format == "wav" and wanted.stream_format is None
    if not (is_whole or wanted.voice_id):
        return await stream.answer(request, media_type)
    try:  # a file that is saved has its true length
        await watched(request, stream.whole())
        if wanted.response_format == "wav":
            complete_wav(stream.spool.path)
        if wanted.voice_id is None:
            return Sent(stream.spool.path, stream.close, media_type)
        data = await asyncio.to_thread(stream.spool.path.read_bytes)
    except BaseException:
        await stream.close()
        raise
    await stream.close()
    return JSONResponse({"audio_data": b64encode(data).decode()})


def _events(jobs: Jobs, job: ServedJob, encode: Encoder, key: str) -> JobStream:
    """Return the sound as server-sent events, each with its bytes under a key."""

    def delta(data: bytes) -> bytes:
        if not data:
            return b""
        return event({"type": "speech.audio.delta", key: b64encode(data).decode()})

    tokens = ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "total_tokens")
    usage = dict.fromkeys(tokens, 0)
    done = event({"type": "speech.audio.done", "usage": usage})
    return JobStream(
        jobs,
        job,
        lambda audio: delta(encode.feed(audio)),
        lambda _: delta(encode.end()) + done,
        lambda refused: event({"type": "error", **refused.body}),
    )


def speech_inputs(manifest: Manifest, wanted: SpeechRequest) -> dict[str, Any]:
    """Return the inputs of a model for what a client wants spoken.

    Raises:
        Refused: When the model cannot speak like that.
    """
    inputs: dict[str, Any] = {"text": wanted.input}
    for name in OPTIONS:
        value = getattr(wanted, name)
        if name in manifest.inputs and value is not None:
            inputs[name] = value
    if wanted.speed not in (None, 1.0) and "speed" not in manifest.inputs:
        raise Refused(400, f"{manifest.name} speaks at one speed", "bad_speed")
    how = next((name for name in INSTRUCTIONS if name in manifest.inputs), None)
    if wanted.instructions and how:
        inputs[how] = wanted.instructions
    voice = wanted.voice.id if isinstance(wanted.voice, Voice) else wanted.voice or wanted.voice_id
    if voice:
        inputs.update(_voice(manifest, voice, wanted.input))
    return inputs


def _voice(manifest: Manifest, voice: str, text: str) -> dict[str, str]:
    """Return the input that stands for a voice; none where there is nothing to choose."""
    name = next((name for name in manifest.inputs if name in VOICE_INPUTS), None)
    choices = manifest.inputs[name].choices if name else ()
    if name and (voice in choices or not choices):
        return {name: voice}
    if voice in OPENAI_VOICES:
        own = voices_for(manifest, text) or choices
        return {name: own[OPENAI_VOICES.index(voice) % len(own)]} if name else {}
    known = f"its voices are {', '.join(choices)}" if choices else "it has one voice"
    raise Refused(400, f"{manifest.name} has no voice {voice!r}; {known}", "bad_voice")
