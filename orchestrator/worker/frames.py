"""The framing of the protocol, without input or output: bytes to messages and back.

A frame is a 4-byte big-endian length, that many bytes of JSON (one JSON-RPC 2.0 object, UTF-8),
and then the raw bytes of each inline buffer that the object's member `buffers` lists:

    {"jsonrpc": "2.0", …, "buffers": [3, {"memory": 1048576}, {"file": "b1", "size": 2097152}]}

An integer is a buffer of that many bytes behind the JSON; `memory` is a sealed memory file of that
size whose descriptor was sent with the frame; `file` is a file in the job's directory.

Everything that arrives is checked here before it is used: sizes, JSON, nesting.
"""

from __future__ import annotations

import json
import re
import struct

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

PROTOCOL = 1
"""The version that both sides say in `hello`."""

MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of JSON in one frame."""

MAX_INLINE = 64 * 1024 * 1024
"""Bytes of inline buffers in one frame, together."""

MAX_BUFFERS = 64
"""Buffers of one frame, of whatever kind."""

MAX_BUFFER = 1 << 40
"""Bytes of one memory file or file."""

HEADER = 4
_length = struct.Struct(">I").unpack_from

FAILED, REJECTED, CANCELLED, MISMATCH, NOT_LOADED, REFUSED = 1, 2, 3, 4, 5, 6
"""Codes of errors: how a load or a run ended without a result."""

INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32600, -32601, -32602
"""JSON-RPC's own codes."""


class ProtocolError(Exception):
    """The peer sent what the protocol does not allow; the connection cannot be used any more."""


class BufferSpec:
    """Where one buffer of a message is: `kind` is "inline", "memory" or "file"."""

    __slots__ = ("kind", "name", "size")

    def __init__(self, kind: str, size: int, name: str = "") -> None:
        self.kind = kind
        self.size = size
        self.name = name


class Message:
    """A JSON-RPC object and its buffers.

    Attributes:
        body: The object, without its member `buffers`.
        specs: Where each buffer is, as that member said.
        buffers: From the decoder, the bytes of the inline buffers, in order; from a channel, all
            buffers, as flat, read-only memory.
    """

    __slots__ = ("body", "buffers", "specs")

    def __init__(self, body: dict[str, Any], specs: Sequence[BufferSpec] = ()) -> None:
        self.body = body
        self.specs = specs
        self.buffers: list[Any] = []


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _encoder() -> Callable[[Any, int], Iterable[str]]:
    """Return what makes JSON of an object, in pieces; the second argument is 0.

    `JSONEncoder.encode` makes its inner encoder anew for each message, which costs as much as a
    small message itself. An interpreter without that inner encoder gets the standard one.
    """
    standard = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
    )
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return lambda body, _: standard.encode(body)
    quote = json.encoder.encode_basestring
    flags = (False, False, False)  # sort_keys, skipkeys, allow_nan
    made: Callable[[Any, int], Iterable[str]]
    made = make(None, standard.default, quote, None, ":", ",", *flags)
    return made


_pieces = _encoder()
_LONE = re.compile("[\ud800-\udfff]")
_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_scan: Any = _decoder.scan_once  # type: ignore[attr-defined]


def encode(body: dict[str, Any], specs: Sequence[BufferSpec] = ()) -> bytes:
    """Return header and JSON of a frame; the inline buffers' bytes are to follow it.

    Raises:
        ValueError: When the message is larger than a frame may be, or holds NaN or an infinity.
        TypeError: When it holds what JSON cannot.
        RecursionError: When it is nested too deeply.
    """
    if specs:
        body = {**body, "buffers": [_describe(spec) for spec in specs]}
    text = "".join(_pieces(body, 0))
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        # Half a surrogate pair, as in the name of a file that is not UTF-8, has no UTF-8; JSON has
        # an escape for it.
        data = _LONE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode("utf-8")
    if len(data) > MAX_MESSAGE:
        raise ValueError(f"a message of {len(data)} bytes; {MAX_MESSAGE} are allowed")
    return len(data).to_bytes(HEADER, "big") + data


def _describe(spec: BufferSpec) -> Any:
    if spec.kind == "inline":
        return spec.size
    if spec.kind == "memory":
        return {"memory": spec.size}
    return {"file": spec.name, "size": spec.size}


def parse(data: bytes | memoryview) -> dict[str, Any]:
    """Return the JSON object that `data` holds.

    Raises:
        ProtocolError: When it is not JSON, not an object, or nested too deeply.
    """
    try:
        text = str(data, "utf-8")
        try:
            body, end = _scan(text, 0)
        except StopIteration:
            end = -1
        if end != len(text):
            body = _decoder.decode(text)  # white space around it, or an error to report
    except RecursionError:
        raise ProtocolError("JSON nested too deeply") from None
    except ValueError as error:
        raise ProtocolError(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ProtocolError(f"a JSON object was expected, and {type(body).__name__} came")
    return body


class Decoder:
    """Turns a stream of bytes into frames; keeps what is not yet whole.

    Args:
        parse: `parse`, or what does the same with less work.
    """

    def __init__(self, parse: Callable[[bytes | memoryview], dict[str, Any]] = parse) -> None:
        self._parse = parse
        self._buffer = bytearray()
        self._partial: Message | None = None
        self._sizes: list[int] = []  # of the inline buffers that are still to come
        self._filled = 0

    @property
    def idle(self) -> bool:
        """Whether no frame has begun without ending."""
        return not self._buffer and self._partial is None

    def feed(self, data: bytes | memoryview, count: int | None = None) -> list[Message]:
        """Take some of the stream and return the messages that are whole by now.

        Args:
            data: The bytes; the memory may be used again afterwards.
            count: How many of them count; by default all.

        Raises:
            ProtocolError: For anything that the protocol does not allow.
        """
        if count is None:
            count = len(data)
        if (
            HEADER < count <= MAX_MESSAGE
            and not self._buffer
            and self._partial is None
            and _length(data)[0] == count - HEADER
        ):
            # By far the most common: one whole message and nothing else.
            body = self._parse(data[HEADER:count])
            if "buffers" not in body:
                return [Message(body)]
        data = data[:count]
        self._buffer += data
        messages: list[Message] = []
        while True:
            if self._partial is None and not self._take_message():
                return messages
            if not self._take_inline():
                return messages
            assert self._partial is not None
            messages.append(self._partial)
            self._partial = None

    def _take_message(self) -> bool:
        if len(self._buffer) < HEADER:
            return False
        size = int.from_bytes(self._buffer[:HEADER], "big")
        if size > MAX_MESSAGE:
            raise ProtocolError(f"a message of {size} bytes; {MAX_MESSAGE} are allowed")
        end = HEADER + size
        if len(self._buffer) < end:
            return False
        body = self._parse(bytes(self._buffer[HEADER:end]))
        del self._buffer[:end]
        specs = _specs(body.pop("buffers")) if "buffers" in body else []
        self._partial = Message(body, specs)
        self._sizes = [spec.size for spec in specs if spec.kind == "inline"]
        self._filled = 0
        return True

    def _take_inline(self) -> bool:
        assert self._partial is not None
        inline = self._partial.buffers
        while True:
            if inline and self._filled < len(inline[-1]):
                part = self._buffer[: len(inline[-1]) - self._filled]
                inline[-1][self._filled : self._filled + len(part)] = part
                self._filled += len(part)
                del self._buffer[: len(part)]
                if self._filled < len(inline[-1]):
                    return False
            if not self._sizes:
                return True
            # Memory is taken for one buffer at a time, and never for a promise of more than
            # `MAX_INLINE`.
            inline.append(bytearray(self._sizes.pop(0)))
            self._filled = 0


def _specs(listed: Any) -> list[BufferSpec]:
    if not isinstance(listed, list) or len(listed) > MAX_BUFFERS:
        raise ProtocolError(f"`buffers` must be a list of at most {MAX_BUFFERS}")
    specs = [_spec(entry) for entry in listed]
    inline = sum(spec.size for spec in specs if spec.kind == "inline")
    if inline > MAX_INLINE:
        raise ProtocolError(f"{inline} bytes of inline buffers; {MAX_INLINE} are allowed")
    return specs


def _spec(entry: Any) -> BufferSpec:
    if _is_size(entry):
        return BufferSpec("inline", entry)
    if isinstance(entry, dict):
        if set(entry) == {"memory"} and _is_size(entry["memory"]) and entry["memory"]:
            return BufferSpec("memory", entry["memory"])
        name = entry.get("file")
        if (
            set(entry) == {"file", "size"}
            and _is_size(entry["size"])
            and isinstance(name, str)
            and name.isascii()
            and name.isalnum()
        ):
            return BufferSpec("file", entry["size"], name)
    raise ProtocolError("a buffer must be a size, a memory file or a file")


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_BUFFER
