"""`/v1/chat/completions` and `/v1/responses`: an image and a prompt, to text.

A model here holds no conversation: the last message of the user is what it gets.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins
from msgspec.structs import replace

from orchestrator.serve.answers import EVENTS, JobStream, event, finished
from orchestrator.serve.bodies import answered, json_record
from orchestrator.serve.chat_records import (
    ChatCompletion,
    ChatMessage,
    ChatRequest,
    ChatUsage,
    Choice,
    ImageUrl,
    Message,
    ModelResponse,
    OutputMessage,
    OutputText,
    ResponseRequest,
    ResponseUsage,
)
from orchestrator.serve.refusals import Refused
from orchestrator.serve.served_job import ServedJob
from orchestrator.serve.uploads import save_data_url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from orchestrator.core.manifest import Manifest
    from orchestrator.serve.jobs import Jobs
    from orchestrator.serve.served_models import ServedModels

TEXTS, IMAGES = ("text", "input_text"), ("image_url", "input_image")
"""The types of the parts of a message, in both forms."""

PROMPTS = ("prompt", "question", "instruction")
"""What models call the input for words beside the image."""


async def chat(request: Request) -> Response:
    """Answer the last message of a chat."""
    wanted = await json_record(request, ChatRequest)
    jobs, job = await _job(request, wanted.model or "ocr", wanted.messages)
    key = f"chatcmpl-{secrets.token_hex(12)}"
    if wanted.stream:
        with_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
        stream = _streamed_chat(jobs, job, key, with_usage=with_usage)
        return await stream.answer(request, EVENTS)
    jobs.start(job)
    async with finished(request, jobs, job) as result:
        message = ChatMessage(str(result[result.primary]))
    return answered(ChatCompletion(key, job.model.name, [Choice(message)]))


async def respond(request: Request) -> Response:
    """Answer a request of OpenAI's newer form."""
    wanted = await json_record(request, ResponseRequest)
    given = wanted.input
    messages = [Message(content=given)] if isinstance(given, str) else given
    jobs, job = await _job(request, wanted.model or "ocr", messages)
    if wanted.stream:
        return await _streamed_response(jobs, job).answer(request, EVENTS)
    jobs.start(job)
    async with finished(request, jobs, job) as result:
        message = OutputMessage([OutputText(str(result[result.primary]))])
    return answered(ModelResponse(job.model.name, [message]))


async def _job(request: Request, name: str, messages: Sequence[Message]) -> tuple[Jobs, ServedJob]:
    """Return the job that a conversation asks for, not yet begun."""
    models: ServedModels = request.app.state.models
    jobs: Jobs = request.app.state.jobs
    model = await models.find(name)
    manifest = model.manifest
    if manifest.outputs[manifest.primary_output].type != "text":
        raise Refused(400, f"{model.name} answers with no text", "wrong_model")
    words, images = _asked(messages)
    request.app.state.lanes.check(model.name)
    job = ServedJob(model, {}, jobs.new_directory())
    try:
        job.inputs = await asyncio.to_thread(_inputs, manifest, words, images, job.directory)
    except BaseException:
        jobs.forget(job)
        raise
    return jobs, job


def _asked(messages: Sequence[Message]) -> tuple[str, list[Any]]:
    """Return the words and the images of the user's last message.

    Raises:
        Refused: When there is none.
    """
    last = next((each for each in reversed(messages) if each.role == "user"), None)
    if last is None:
        raise Refused(400, "there is no message of the user", "malformed")
    if not isinstance(last.content, list):
        return last.content or "", []
    texts = [part.text or "" for part in last.content if part.type in TEXTS]
    images = [part.image_url for part in last.content if part.type in IMAGES]
    urls = [image.url if isinstance(image, ImageUrl) else image for image in images]
    return "\n".join(texts), urls


def _inputs(manifest: Manifest, words: str, images: list[Any], directory: Path) -> dict[str, Any]:
    image = next((name for name, each in manifest.inputs.items() if each.type == "image"), None)
    inputs: dict[str, Any] = {}
    if image is None and images:
        raise Refused(400, f"{manifest.name} takes no image", "wrong_model")
    if image is not None:
        if len(images) != 1:
            raise Refused(400, f"{manifest.name} takes one image in a message", "malformed")
        inputs[image] = save_data_url(images[0], "image_url", directory)
    texts = [name for name, each in manifest.inputs.items() if each.type == "text"]
    prompt = next((name for name in PROMPTS if name in texts), None)
    prompt = prompt or next((name for name in texts if manifest.inputs[name].required), None)
    if prompt is not None and words:
        inputs[prompt] = words
    return inputs


def _streamed_chat(jobs: Jobs, job: ServedJob, key: str, *, with_usage: bool) -> JobStream:
    created = int(time.time())

    def chunk(choices: list[dict[str, Any]], usage: ChatUsage | None = None) -> bytes:
        return event(
            {
                "id": key,
                "object": "chat.completion.chunk",
                "created": created,
                "model": job.model.name,
                "choices": choices,
                **({"usage": to_builtins(usage)} if with_usage else {}),
            }
        )

    def part(text: Any) -> bytes:
        delta = {"role": "assistant", "content": str(text)}
        return chunk([{"index": 0, "delta": delta, "finish_reason": None}])

    def last(_: Any) -> bytes:
        end = chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        usage = chunk([], ChatUsage()) if with_usage else b""
        return end + usage + b"data: [DONE]\n\n"

    return JobStream(jobs, job, part, last, _as_error)


def _streamed_response(jobs: Jobs, job: ServedJob) -> JobStream:
    said: list[str] = []
    numbers = iter(range(1 << 30))
    item = OutputMessage([], status="in_progress")
    begun = ModelResponse(job.model.name, [], status="in_progress", usage=None)
    place = {"output_index": 0, "content_index": 0, "item_id": item.id}

    def sent(kind: str, **data: Any) -> bytes:
        return event({"type": kind, "sequence_number": next(numbers), **to_builtins(data)})

    def head() -> bytes:
        return (
            sent("response.created", response=begun)
            + sent("response.in_progress", response=begun)
            + sent("response.output_item.added", output_index=0, item=item)
            + sent("response.content_part.added", **place, part=OutputText(""))
        )

    def part(text: Any) -> bytes:
        before = b"" if said else head()
        said.append(str(text))
        return before + sent("response.output_text.delta", **place, delta=said[-1], logprobs=[])

    def last(_: Any) -> bytes:
        whole = OutputText("".join(said))
        message = replace(item, content=[whole], status="completed")
        response = replace(begun, output=[message], status="completed", usage=ResponseUsage())
        return (
            sent("response.output_text.done", **place, text=whole.text, logprobs=[])
            + sent("response.content_part.done", **place, part=whole)
            + sent("response.output_item.done", output_index=0, item=message)
            + sent("response.completed", response=response)
        )

    return JobStream(jobs, job, part, last, _as_error)


def _as_error(refused: Refused) -> bytes:
    return event(refused.body)
