"""Outputs as the bytes of files: text and JSON in UTF-8, sound as its file is named, or as `.npy`.

Segments become subtitles in a file that is named for them. A file stays a file: whatever its size,
it is copied without being read into memory.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from orchestrator.core.manifest import PATH_TYPES
from orchestrator.core.subtitle_format import SUBTITLES, subtitles
from orchestrator.errors import UsageError
from orchestrator.jobs.npy import npy_parts
from orchestrator.jobs.results import MEDIA_TYPES, Artifact, Audio
from orchestrator.system.copying import copy_file
from orchestrator.system.home import replacing, text_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

BINARY_TYPES = PATH_TYPES
"""The types of outputs that are bytes of a file and do not fit into JSON."""

CHUNK = 1 << 20


def is_binary(value: Any) -> bool:
    """Return whether a value is bytes of a file, which do not fit into JSON."""
    return isinstance(value, (Audio, Artifact, memoryview)) or hasattr(value, "dtype")


def pieces(value: Any) -> Iterator[bytes | memoryview]:
    """Yield an output, or bytes, as the bytes of a file; text with a line end."""
    if isinstance(value, Artifact):
        with value.path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    elif isinstance(value, (Audio, bytes)):
        yield value.read() if isinstance(value, Audio) else value
    elif is_binary(value):
        yield from npy_parts(value)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        yield text_bytes(text if text.endswith("\n") else f"{text}\n")


def as_named(value: Any, suffix: str) -> Any:
    """Return what goes into a file with that suffix: of segments, subtitles if it is one of theirs.

    Raises:
        UsageError: When the value is no segments.
    """
    suffix = suffix.lower()
    if suffix not in SUBTITLES or isinstance(value, (str, bytes)) or is_binary(value):
        return value
    try:
        return subtitles(value, suffix)
    except ValueError as error:
        raise UsageError(f"the output {error}", fix="name its file .json") from error


def suffix_of(value: Any) -> str:
    """Return the suffix of a file of `pieces(value)`."""
    if isinstance(value, Artifact):
        return value.path.suffix.lower()
    if isinstance(value, Audio):
        return ".wav"
    if is_binary(value):
        return ".npy"
    return ".txt" if isinstance(value, str) else ".json"


def media_type(suffix: str) -> str:
    """Return what a file with this suffix is."""
    return MEDIA_TYPES.get(suffix.lower(), "application/octet-stream")


def write_output(path: Path, value: Any, *, mode: int | None = None, ours: bool = False) -> None:
    """Write an output to `path`, whole or not at all.

    Args:
        path: The file.
        value: The output.
        mode: Its permissions; None for those that the umask leaves to a new file of the user's.
        ours: As for `copy_file`, where the output is a file.

    Raises:
        OSError: When it cannot be written.
        UsageError: When it cannot be had in the format that its name asks for.
    """
    if isinstance(value, Artifact) and not _is_other_sound(value, path.suffix):
        copy_file(value.path, path, mode=mode, ours=ours)
        return
    with replacing(path, mode=mode) as temporary, temporary.open("wb") as stream:
        write_stream(stream, value, path.suffix)


def write_stream(stream: BinaryIO, value: Any, suffix: str) -> None:
    """Write an output to a stream, sound in the format that the suffix names.

    Raises:
        OSError: When it cannot be written.
        UsageError: When it cannot be had in that format.
    """
    if isinstance(value, Audio):
        value.write_to(stream, suffix)
    elif isinstance(value, Artifact) and _is_other_sound(value, suffix):
        from orchestrator.jobs.sound_encoder import encode_wav

        encode_wav(value.path, stream, suffix.lower())
    else:
        stream.writelines(pieces(as_named(value, suffix)))


def _is_other_sound(value: Artifact, suffix: str) -> bool:
    """Return whether a file of sound is to be encoded for a place with this suffix.

    Raises:
        UsageError: When it is to be, and is encoded already in another way.
    """
    from orchestrator.jobs.sound_encoder import FORMATS

    own = value.path.suffix.lower()
    if suffix.lower() not in FORMATS or own == suffix.lower() or not is_sound(value):
        return False
    if own != ".wav":
        raise UsageError(
            f"the model gave a file of the kind {own}, and that is not converted",
            fix=f"name it …{own}",
        )
    return True


def is_sound(value: Any) -> bool:
    """Return whether an output is sound, or a file of it."""
    return isinstance(value, (Audio, Artifact)) and value.media_type.startswith("audio/")
