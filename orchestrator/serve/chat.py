"""`/v1/chat/completions` and `/v1/responses`: an image and a prompt, to text.

A model here holds no conversation: the last message of the user is what it gets.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from orchestrator.serve.answers import EVENTS, JobStream, event, finished
from orchestrator.serve.refusals import Refused
from orchestrator.serve.served_job import ServedJob
from orchestrator.serve.uploads import json_object, save_data_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request

    from orchestrator.core.manifest import Manifest
    from orchestrator.serve.jobs import Jobs
    from orchestrator.serve.served_models import ServedModels

USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
"""Tokens are counted nowhere."""

TEXTS, IMAGES = ("text", "input_text"), ("image_url", "input_image")
"""The types of the parts of a message, in both forms."""

PROMPTS = ("prompt", "question", "instruction")
"""What models call the input for words beside the image."""


async def chat(request: Request) -> Response:
    """Answer the last message of a chat."""
    body = await json_object(request)
    jobs, job = await _job(request, body, body.get("messages"))
    key = f"chatcmpl-{secrets.token_hex(12)}"
    if body.get("stream"):
        return await _streamed_chat(jobs, job, key).answer(request, EVENTS)
    jobs.start(job)
    async with finished(request, jobs, job) as result:
        text = str(result[result.primary])
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return JSONResponse(
        {
            "id": key,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": job.model.name,
            "choices": [choice],
            "usage": USAGE,
        }
    )


async def respond(request: Request) -> Response:
    """Answer a request of OpenAI's newer form."""
    body = await json_object(request)
    given = body.get("input")
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
    jobs, job = await _job(request, body, messages)
    key = f"resp_{secrets.token_hex(12)}"
    item = {"id": f"msg_{secrets.token_hex(12)}", "type": "message", "role": "assistant"}
    created = int(time.time())

    def whole(text: str) -> dict[str, Any]:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        return {
            "id": key,
            "object": "response",
            "created_at": created,
            "status": "completed",
            "model": job.model.name,
            "output": [{**item, "status": "completed", "content": content}],
            "parallel_tool_calls": False,
            "tool_choice": "none",
            "tools": [],
            "usage": None,
        }

    if body.get("stream"):
        return await _streamed_response(jobs, job, str(item["id"]), whole).answer(request, EVENTS)
    jobs.start(job)
    async with finished(request, jobs, job) as result:
        return JSONResponse(whole(str(result[result.primary])))


async def _job(request: Request, body: dict[str, Any], messages: Any) -> tuple[Jobs, ServedJob]:
    """Return the job that a conversation asks for, not yet begun."""
    models: ServedModels = request.app.state.models
    jobs: Jobs = request.app.state.jobs
    model = await models.find(str(body.get("model") or "ocr"))
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


def _asked(messages: Any) -> tuple[str, list[Any]]:
    """Return the words and the images of the user's last message.

    Raises:
        Refused: When there is none.
    """
    if not isinstance(messages, list):
        raise Refused(400, "messages is a list", "malformed")
    last = next(
        (m for m in reversed(messages) if isinstance(m, dict) and m.get("role", "user") == "user"),
        None,
    )
    if last is None:
        raise Refused(400, "there is no message of the user", "malformed")
    content = last.get("content")
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        raise Refused(400, "content is text or a list of parts", "malformed")
    parts = [part for part in content if isinstance(part, dict)]
    texts = [str(part.get("text", "")) for part in parts if part.get("type") in TEXTS]
    images = [part.get("image_url") for part in parts if part.get("type") in IMAGES]
    urls = [image.get("url") if isinstance(image, dict) else image for image in images]
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


def _streamed_chat(jobs: Jobs, job: ServedJob, key: str) -> JobStream:
    created = int(time.time())

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event(
            {
                "id": key,
                "object": "chat.completion.chunk",
                "created": created,
                "model": job.model.name,
                "choices": [choice],
            }
        )

    return JobStream(
        jobs,
        job,
        lambda text: chunk({"role": "assistant", "content": str(text)}),
        lambda _: chunk({}, "stop") + b"data: [DONE]\n\n",
        _as_error,
    )


def _streamed_response(
    jobs: Jobs, job: ServedJob, item: str, whole: Callable[[str], dict[str, Any]]
) -> JobStream:
    said: list[str] = []
    place = {"item_id": item, "output_index": 0, "content_index": 0}
    numbers = iter(range(1 << 30))

    def sent(kind: str, data: dict[str, Any]) -> bytes:
        return event({"type": kind, "sequence_number": next(numbers), **data})

    def part(text: Any) -> bytes:
        begin = b""
        if not said:
            begun = {**whole(""), "status": "in_progress", "output": []}
            begin = sent("response.created", {"response": begun})
        said.append(str(text))
        delta = {**place, "delta": str(text), "logprobs": []}
        return begin + sent("response.output_text.delta", delta)

    def last(_: Any) -> bytes:
        text = "".join(said)
        done = {**place, "text": text, "logprobs": []}
        return sent("response.output_text.done", done) + sent(
            "response.completed", {"response": whole(text)}
        )

    return JobStream(jobs, job, part, last, _as_error)


def _as_error(refused: Refused) -> bytes:
    return event(refused.body)
