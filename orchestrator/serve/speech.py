"""`POST /v1/audio/speech`: text to sound, as OpenAI's and Mistral's clients ask for it.

A body with `voice_id` or `ref_audio` is Mistral's: the sound is then in JSON.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from orchestrator.core.languages import voices_for
from orchestrator.core.manifest import VOICE_INPUTS
from orchestrator.serve.answers import EVENTS, JobStream, Sent, event, watched
from orchestrator.serve.bodies import answered, json_record
from orchestrator.serve.refusals import Refused
from orchestrator.serve.served_job import ServedJob
from orchestrator.serve.served_models import ALIASES
from orchestrator.serve.sound import MEDIA_TYPES, complete_wav, encoder
from orchestrator.serve.uploads import save_data_url

if TYPE_CHECKING:
    from pathlib import Path

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

MISTRAL_VOICES = ("paul", "jane", "oliver", "marie")
"""Mistral's own in the same way: `en_paul_neutral` and the like."""

OPTIONS = ("speed", "language")
"""Inputs that a request may set where the model has them."""

INSTRUCTIONS = ("instructions", "instruct", "description")
"""What models call the input that says how to speak."""

REFERENCE_TEXTS = ("reference_text", "ref_text")
"""What models call the words of a recording."""


class Voice(msgspec.Struct):
    """A voice by its identifier."""

    id: str


class SpeechRequest(msgspec.Struct):
    """The body of a request; what it has beyond this is for other services."""

    input: str
    model: str | None = "tts"
    voice: str | Voice | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float | None = None
    stream_format: Literal["audio", "sse"] | None = None
    instructions: str | None = None
    language: str | None = None
    voice_id: str | None = None
    ref_audio: str | None = None
    ref_text: str | None = None
    stream: bool | None = False

    @property
    def is_mistrals(self) -> bool:
        """Whether the sound is wanted inside JSON."""
        return self.voice_id is not None or self.ref_audio is not None


class SpeechAnswer(msgspec.Struct):
    """Mistral's answer: the file, as base64."""

    audio_data: str


async def speech(request: Request) -> Response:
    """Speak a text."""
    models: ServedModels = request.app.state.models
    jobs: Jobs = request.app.state.jobs
    wanted = await json_record(request, SpeechRequest)
    given = {"text": wanted.input, "language": wanted.language}
    model = await models.find(_name(wanted), "tts", given)
    inputs = speech_inputs(model.manifest, wanted)
    encode = encoder(wanted.response_format)
    request.app.state.lanes.check(model.name)
    job = ServedJob(model, inputs, jobs.new_directory())
    if wanted.ref_audio is not None:
        try:
            reference = await asyncio.to_thread(
                _reference, model.manifest, wanted.ref_audio, job.directory
            )
        except BaseException:
            jobs.forget(job)
            raise
        job.inputs = {**inputs, **reference}
    if wanted.is_mistrals and wanted.stream:
        return await _events(jobs, job, encode, "audio_data").answer(request, EVENTS)
    if wanted.stream_format == "sse":
        return await _events(jobs, job, encode, "audio").answer(request, EVENTS)
    stream = JobStream(jobs, job, encode.feed, lambda _: encode.end())
    media_type = MEDIA_TYPES[wanted.response_format]
    is_whole = wanted.response_format == "wav" and wanted.stream_format is None
    if not (is_whole or wanted.is_mistrals):
        return await stream.answer(request, media_type)
    try:  # a file that is saved has its true length
        await watched(request, stream.whole())
        if wanted.response_format == "wav":
            complete_wav(stream.spool.path)
        if not wanted.is_mistrals:
            return Sent(stream.spool.path, stream.close, media_type)
        data = await asyncio.to_thread(stream.spool.path.read_bytes)
    except BaseException:
        await stream.close()
        raise
    await stream.close()
    return answered(SpeechAnswer(await asyncio.to_thread(lambda: b64encode(data).decode())))


def _name(wanted: SpeechRequest) -> str:
    """Return the model's name, or the task: a voice that is recorded is spoken by its own."""
    name = wanted.model or "tts"
    return "tts-clone" if ALIASES.get(name, name) == "tts" and wanted.ref_audio else name


def _reference(manifest: Manifest, given: str, directory: Path) -> dict[str, Path]:
    """Return the input that takes the recording of a voice, which is written into `directory`.

    Raises:
        Refused: When the model has none, or it is neither base64 nor a data: URL.
    """
    name = next((name for name, each in manifest.inputs.items() if each.type == "audio"), None)
    if name is None:
        raise Refused(
            400, f"{manifest.name} speaks with voices of its own; leave out ref_audio", "bad_voice"
        )
    url = given if given.startswith("data:") else f"data:;base64,{given}"
    return {name: save_data_url(url, "ref_audio", directory)}


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
    what = next((name for name in REFERENCE_TEXTS if name in manifest.inputs), None)
    if wanted.ref_text and what:
        inputs[what] = wanted.ref_text
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
    known_as = _place(voice)
    if known_as is not None:
        own = voices_for(manifest, text) or choices
        return {name: own[known_as % len(own)]} if name else {}
    known = f"its voices are {', '.join(choices)}" if choices else "it has one voice"
    raise Refused(400, f"{manifest.name} has no voice {voice!r}; {known}", "bad_voice")


def _place(voice: str) -> int | None:
    """Return the place of a voice of OpenAI's or Mistral's; None for another name."""
    if voice in OPENAI_VOICES:
        return OPENAI_VOICES.index(voice)
    language, _, rest = voice.partition("_")
    name = rest.partition("_")[0]
    return MISTRAL_VOICES.index(name) if len(language) == 2 and name in MISTRAL_VOICES else None
