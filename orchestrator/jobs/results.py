"""What a job gives back: a mapping of outputs, with the receipt of what made them."""

from __future__ import annotations

import contextlib
import os
import reprlib
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from msgspec.structs import replace

from orchestrator.core.value_checks import AUDIO_ITEM_SIZES
from orchestrator.errors import OutputError, UsageError
from orchestrator.system.copying import copy_file
from orchestrator.system.home import replacing
from orchestrator.worker.encoding import array_view

if TYPE_CHECKING:
    from types import TracebackType

    from orchestrator.core.value_checks import ArrayValue, AudioValue

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100

PCM_FULL_SCALE = 32767
"""What a float sample of 1.0 becomes in 16-bit PCM."""

MEDIA_TYPES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
    ".webp": "image/webp", ".tif": "image/tiff", ".tiff": "image/tiff", ".bmp": "image/bmp",
    ".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg",
    ".m4a": "audio/mp4", ".opus": "audio/ogg",
    ".pdf": "application/pdf", ".json": "application/json", ".txt": "text/plain",
    ".srt": "application/x-subrip", ".vtt": "text/vtt",
    ".md": "text/markdown", ".zip": "application/zip", ".npy": "application/x-npy",
}  # fmt: skip
"""A table of our own: the system's differs from machine to machine."""


class Result(Mapping[str, Any]):
    """The outputs of one job, by name.

    Files among them live as long as the session, or until `discard`. As a context manager, the
    result discards them at its end.

    Attributes:
        model: The model that ran.
        primary: The name of the model's main output.
        timings: Seconds of the parts of the job: "environment", "load", "run".
        warnings: Why it may not be what was asked for, in a line each: a sound that is silent
            throughout, a generation that was cut off.
    """

    def __init__(
        self,
        outputs: Mapping[str, Any],
        model: str,
        primary: str,
        receipt: Callable[[], dict[str, Any]],
        timings: dict[str, float],
        warnings: tuple[str, ...] = (),
        discard: Callable[[], None] = lambda: None,
    ) -> None:
        self._outputs = outputs
        self.model = model
        self.primary = primary
        self.timings = timings
        self.warnings = warnings
        self._make_receipt = receipt
        self._discard = discard

    @cached_property
    def receipt(self) -> dict[str, Any]:
        """What made this result: environment, model, inputs, timings, warnings (plain data)."""
        # Made when it is asked for: its digest takes longer than a small job.
        return self._make_receipt()

    def discard(self) -> None:
        """Remove its files now; what is no file stays."""
        self._discard()

    def __enter__(self) -> Result:  # noqa: PYI034 - Self is typing's from 3.11 on
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def __getitem__(self, name: str) -> Any:
        return self._outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def _repr_html_(self) -> str:
        return _html(self)

    def __repr__(self) -> str:
        outputs = ", ".join(f"{name}={short(value)}" for name, value in self._outputs.items())
        return f"<Result of {self.model}: {outputs}>"


@dataclass(frozen=True)
class Artifact:
    """An output that is a file. It lives until its result is discarded; `save` keeps it.

    Attributes:
        path: Where it is now.
        media_type: By its suffix, such as "image/png".
    """

    path: Path
    media_type: str = field(default="")

    def __post_init__(self) -> None:
        if not self.media_type:
            kind = MEDIA_TYPES.get(self.path.suffix.lower(), "application/octet-stream")
            object.__setattr__(self, "media_type", kind)

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            UsageError: When the file is gone.
        """
        with self._there():
            return self.path.read_bytes()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Copy it to `path`, which has it whole or not at all, and return that path.

        Raises:
            UsageError: When the file is gone.
        """
        with self._there():
            copy_file(self.path, Path(path))
        return Path(path)

    def _repr_html_(self) -> str:
        return _html(self)

    @contextlib.contextmanager
    def _there(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            if self.path.exists():
                raise
            raise UsageError(
                "the file is gone: its result was discarded, or its session has ended",
                where=str(self.path),
                fix="save it before",
            ) from None


class Audio:
    """Sound: samples and their rate, or a file that the model wrote.

    Attributes:
        rate: Frames per second (Hz).
        media_type: "audio/wav" for samples, which are saved as 16-bit PCM.
        raw: The samples as they came, bytes and form.
    """

    def __init__(self, value: AudioValue) -> None:
        self.raw = value
        self.rate = value.rate
        self.media_type = "audio/wav"

    @classmethod
    def joined(cls, parts: Sequence[Audio]) -> Audio:
        """Return parts of one recording as one; a part of another form than the first is left out.

        Args:
            parts: At least one.
        """
        first = parts[0].raw
        form = (first.dtype, first.rate, first.shape[1:])
        same = [
            part.raw
            for part in parts
            if (part.raw.dtype, part.raw.rate, part.raw.shape[1:]) == form
        ]
        frames = sum(value.shape[0] for value in same)
        data = memoryview(b"".join(value.data for value in same))
        return cls(replace(first, data=data, shape=(frames, *first.shape[1:])))

    @property
    def samples(self) -> Any:
        """The samples, read-only: frames, or frames x channels; float32 (±1.0) or int16.

        A NumPy array where this interpreter has NumPy, else a typed memoryview.
        """
        return array_view(self.raw.data, self.raw.dtype, self.raw.shape)

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return self.raw.shape[1] if len(self.raw.shape) > 1 else 1

    @property
    def duration(self) -> float:
        """How long it lasts, in seconds."""
        return self.raw.shape[0] / self.rate

    def pcm(self) -> bytes:
        """Return the samples as a WAV file holds them: little-endian, 16 bits, channels in turn."""
        return _pcm16(self.raw)

    def after(self, frames: int) -> Audio:
        """Return what comes after so many frames."""
        total, *channels = self.raw.shape
        begin = min(frames, total)
        data = self.raw.data[begin * AUDIO_ITEM_SIZES[self.raw.dtype] * self.channels :]
        return Audio(replace(self.raw, data=data, shape=(total - begin, *channels)))

    def read(self) -> bytes:
        """Return it as the bytes of a WAV file."""
        import io

        stream = io.BytesIO()
        self._write(stream)
        return stream.getvalue()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to `path`, whole or not at all, and return that path.

        The suffix names the format: .mp3, .m4a, .flac, .ogg or .opus; by every other, it is WAV.

        Raises:
            UsageError: When such a format cannot be written here.
        """
        with replacing(Path(path), mode=None) as temporary, temporary.open("wb") as stream:
            self.write_to(stream, Path(path).suffix)
        return Path(path)

    def write_to(self, stream: BinaryIO, suffix: str) -> None:
        """Write it to a stream in the format of a suffix, as `save` does.

        Raises:
            UsageError: As `save`.
        """
        from orchestrator.jobs.sound_encoder import FORMATS, SoundEncoder

        if suffix.lower() not in FORMATS:
            self._write(stream)
            return
        encoder = SoundEncoder(stream, suffix.lower(), self.rate, self.channels)
        encoder.feed(self.pcm())
        encoder.close()

    def _repr_html_(self) -> str:
        return _html(self)

    def __repr__(self) -> str:
        return f"Audio({self.duration:.2f} s, {self.rate} Hz, {self.channels} channel(s))"

    def _write(self, stream: Any) -> None:
        import wave

        with wave.open(stream, "wb") as writer:
            writer.setnchannels(self.channels)
            writer.setsampwidth(2)
            writer.setframerate(self.rate)
            writer.writeframes(self.pcm())


def _html(value: Result | Artifact | Audio) -> str:
    from orchestrator.jobs.notebook import html  # only in a notebook

    return html(value)


def short(value: Any) -> str:
    """Return what a value is, in at most a line."""
    if isinstance(value, memoryview):
        return f"<memoryview {value.format} {value.shape}>"
    if hasattr(value, "shape") and hasattr(value, "dtype"):  # NumPy's, which it may not be
        return f"<array {value.dtype} {value.shape}>"
    return _SHORT.repr(value)


def _pcm16(value: AudioValue) -> bytes:
    """Return little-endian 16-bit samples; what is beyond full scale is clipped."""
    if value.dtype == "<i2":
        return bytes(value.data)
    samples = array("f", bytes(value.data))
    if sys.byteorder == "big":
        samples.byteswap()
    top = PCM_FULL_SCALE
    scaled = array(
        "h",
        [top if s >= 1.0 else -top if s <= -1.0 else round(s * top) for s in samples],
    )
    if sys.byteorder == "big":
        scaled.byteswap()
    return scaled.tobytes()


def array_result(name: str, value: ArrayValue) -> Any:
    """Return an array output: NumPy's where there is NumPy, else a typed memoryview.

    Raises:
        OutputError: When data, type and shape do not fit together.
    """
    try:
        return array_view(value.data, value.dtype, value.shape)
    except (TypeError, ValueError, OverflowError, MemoryError, SyntaxError) as error:
        raise OutputError(f"output {name!r} is no array ({error})") from error
