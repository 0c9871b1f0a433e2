"""What `/v1/chat/completions` and `/v1/responses` receive and answer, in OpenAI's words.

Tokens are counted nowhere: their numbers are 0, since clients want some.
"""

from __future__ import annotations

import secrets
import time
from typing import Any, Literal

from msgspec import Struct, field


class ImageUrl(Struct):
    """Where an image is."""

    url: str


class Part(Struct):
    """A part of a message."""

    type: str = "text"
    text: str | None = ""
    image_url: str | ImageUrl | None = None


class Message(Struct):
    """A message of a conversation."""

    role: str = "user"
    content: str | list[Part] | None = None


class StreamOptions(Struct):
    """What a stream has beside the text."""

    include_usage: bool | None = False


class ChatRequest(Struct):
    """The body of a request; what it has beyond this is for other services."""

    messages: list[Message]
    model: str | None = "ocr"
    stream: bool | None = False
    stream_options: StreamOptions | None = None


class ResponseRequest(Struct):
    """The same in OpenAI's newer form."""

    input: str | list[Message]
    model: str | None = "ocr"
    stream: bool | None = False


class ChatUsage(Struct):
    """How many tokens were used."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class ChatMessage(Struct):
    """What a model answers."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class Choice(Struct):
    """The one answer that there is."""

    message: ChatMessage
    index: int = 0
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


class ChatCompletion(Struct):
    """The answer to a chat."""

    id: str
    model: str
    choices: list[Choice]
    created: int = field(default_factory=lambda: int(time.time()))
    object: Literal["chat.completion"] = "chat.completion"
    usage: ChatUsage = field(default_factory=ChatUsage)


class OutputText(Struct):
    """The text of a message."""

    text: str
    type: Literal["output_text"] = "output_text"
    annotations: list[Any] = []
    logprobs: list[Any] = []


class OutputMessage(Struct):
    """What a model answers, in OpenAI's newer form."""

    content: list[OutputText]
    id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(12)}")
    status: Literal["in_progress", "completed"] = "completed"
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"


class CachedTokens(Struct):
    """How many tokens of the input were known before."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class ReasoningTokens(Struct):
    """How many tokens are not in the answer."""

    reasoning_tokens: int = 0


class ResponseUsage(Struct):
    """How many tokens were used."""

    input_tokens: int = 0
    input_tokens_details: CachedTokens = field(default_factory=CachedTokens)
    output_tokens: int = 0
    output_tokens_details: ReasoningTokens = field(default_factory=ReasoningTokens)
    total_tokens: int = 0


class ModelResponse(Struct):
    """The answer in OpenAI's newer form."""

    model: str
    output: list[OutputMessage]
    id: str = field(default_factory=lambda: f"resp_{secrets.token_hex(12)}")
    created_at: int = field(default_factory=lambda: int(time.time()))
    object: Literal["response"] = "response"
    status: Literal["in_progress", "completed"] = "completed"
    error: None = None
    incomplete_details: None = None
    parallel_tool_calls: bool = False
    tool_choice: Literal["none"] = "none"
    tools: list[Any] = []
    usage: ResponseUsage | None = field(default_factory=ResponseUsage)
