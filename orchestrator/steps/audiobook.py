"""Step `audiobook`: spoken passages as one file with chapters, or as one file for each chapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.audiobook import epub
from orchestrator.audiobook.audio_files import BIT_RATES, BOOKS, BookFile, read_cover
from orchestrator.audiobook.book import Book
from orchestrator.audiobook.book_plan import read_plan
from orchestrator.audiobook.sounds import Meter, Sound
from orchestrator.book import spoken_plan
from orchestrator.book.spoken_plan import Plan
from orchestrator.core import subtitle_format
from orchestrator.core.manifest import Input
from orchestrator.core.units import counted
from orchestrator.errors import Cancelled, UsageError
from orchestrator.jobs import sound_encoder
from orchestrator.jobs.cancellation import Cancellation, asked_to_stop
from orchestrator.steps.step import BuiltIn, Emit, Emits, Progress, growing, signature

EPUB = "epub"
"""The format that holds text and sound together."""

UNTITLED = "Book"


def measured(
    plan: Plan, audios: Iterable[Path | None], directory: Path, check: Callable[[], None]
) -> Book:
    """Return the book of a plan and its sounds, as they come; they are read once.

    Args:
        plan: The plan.
        audios: By passage its sound, or None.
        directory: For files of its own.
        check: Called before each passage; it raises to stop.

    Raises:
        UsageError: When there is no sound at all, or one of another kind,
            or another number than passages.
    """
    meters: dict[str | None, Meter] = {}
    found: list[Sound | None] = []
    for number, path in enumerate(audios):
        check()
        if number < len(plan.passages):
            language = plan.passages[number].language
            if path is not None and language not in meters:
                meters[language] = Meter(directory / f"loudness-{len(meters)}")
            found.append(None if path is None else meters[language].feed(path))
        else:
            found.append(None)
    if len(found) != len(plan.passages):
        lengths = f"{counted(len(plan.passages), 'passage')}, and {counted(len(found), 'sound')}"
        raise UsageError(f"the plan of the book has {lengths} were given")
    if not any(found):
        why = f": none of the {len(found)} passages had a text to speak" if found else ""
        raise UsageError(f"there is no sound for a book{why}")
    return Book(plan, found, {each: meter.gain() for each, meter in meters.items()}, check)


def _run(values: Mapping[str, Any], directory: Path, cancellation: Cancellation) -> Emits:
    stop = asked_to_stop(cancellation)

    def check() -> None:
        if stop():
            raise Cancelled("interrupted")

    form, split = values.get("format", "m4b"), values.get("split", False)
    if split and form == EPUB:
        raise UsageError("an EPUB has all of its chapters in one file", fix="leave out split")
    cover = read_cover(values["cover"]) if "cover" in values and form != "wav" else None
    spoken = measured(read_plan(values["plan"]), values["audios"], directory, check)
    title = values.get("title") or spoken.plan.title or ""
    author = values.get("author") or spoken.plan.author or ""
    passages = spoken.plan.passages
    texts = values.get("passages") or [passage.text or "" for passage in passages]
    if len(texts) != len(passages):
        raise UsageError(f"{counted(len(texts), 'text')} for {counted(len(passages), 'passage')}")
    segments = list(spoken.segments(texts))
    yield Emit("segments", segments)
    yield Emit("subtitles", subtitle_format.subtitles(segments, ".srt"))
    tags = {"album": title, "artist": author, "album_artist": author, "genre": "Audiobook"}
    file = BookFile(form, tags | {"title": title}, cover, values.get("bit_rate"))
    target = directory / f"book.{form}"
    if split:
        yield from _chapters(file, spoken, directory)
        return
    if form == EPUB:
        sound = BookFile("mp3", {}, bit_rate=file.bit_rate)
        name = title or UNTITLED
        written = epub.Epub(spoken, texts, name, author, sound, cover).write(target, directory)
    else:
        marks = spoken.parts if any(part.title for part in spoken.parts) else []
        written = file.write(target, spoken, 0, len(passages), marks)
    for passage in written:
        yield Progress(passage, len(passages))
    yield Emit("audio", target)


def _chapters(file: BookFile, spoken: Book, directory: Path) -> Emits:
    """Write a file for each chapter, whose label is its number and title."""
    for number, part in enumerate(spoken.parts, start=1):
        name = part.title or file.tags["title"] or f"Chapter {number}"
        more = {"title": name, "track": f"{number}/{len(spoken.parts)}"}
        target = directory / f"chapter-{number}.{file.format}"
        own = replace(file, tags={**file.tags, **more})
        for passage in own.write(target, spoken, part.first, part.end, ()):
            yield Progress(passage, len(spoken.sounds))
        yield Emit("files", target, name)


STEP = BuiltIn(
    signature(
        "audiobook",
        {
            "audios": growing(
                Input(type="audio", list=True, required=True, help="A sound a passage")
            ),
            "plan": Input(type="json", required=True, help="Title, author, chapters and passages"),
            "passages": Input(type="text", list=True, help="What is spoken, for subtitles"),
            "title": Input(type="text", help="Instead of the plan's"),
            "author": Input(type="text", help="Instead of the plan's"),
            "cover": Input(type="image", help="The image of the book"),
            "format": Input(type="choice", choices=(*BOOKS, EPUB), help="Of the file"),
            "split": Input(type="boolean", help="One file a chapter"),
            "bit_rate": Input(
                type="integer", minimum=BIT_RATES[0], maximum=BIT_RATES[1], help="Bits a second"
            ),
        },
        audio="file",
        files="[file]",
        segments="json",
        subtitles="text",
    ),
    _run,
    packages=("av", "pillow"),
    programs=(
        *sorted(Path(epub.__file__).parent.glob("*.py")),
        *(Path(str(each.__file__)) for each in (sound_encoder, spoken_plan, subtitle_format)),
    ),
    gaps=True,
    extra="audio",
)
