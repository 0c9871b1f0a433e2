"""`mm book`: the pipeline `book`, with inputs that may be folders and outputs known by suffix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.outputs import STANDARD_OUTPUT, is_template
from orchestrator.cli.path_type import GivenPath
from orchestrator.cli.pipeline.run_command import OPTIONS, run_pipeline
from orchestrator.core.manifest import VOICE_INPUTS
from orchestrator.core.names import did_you_mean
from orchestrator.core.subtitle_format import SUBTITLES
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.core.pipelines import Declaration, Where

PAGES = frozenset([".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".pdf"])
"""The suffixes of what a folder of pages holds."""

TEXTS = frozenset([".md", ".markdown", ".txt", ".text", ".epub"])
"""The suffixes of files without pages to be read."""

OUTPUTS = {".md": "text", ".json": "plan", **dict.fromkeys(SUBTITLES, "segments")}
"""The outputs that suffixes name; any other names the sound, and its format."""

STEPS = {"read": "read.model", "speak": "speak.model", "speed": "speak.speed"}
"""The options that stand for `--set`."""

MOST_VOICES = 4
"""Passages that are spoken at once, unless `--set speak.workers=N` says so."""

MORE = (
    click.Option(["--read"], metavar="MODEL", help="The model that reads the pages."),
    click.Option(["--speak", "--model"], metavar="MODEL", help="The model that speaks."),
    click.Option(["--voice"], help="The voice, where the model has several."),
    click.Option(["--speed"], type=float, help="Pace: 0.5 is half as fast, 2 twice as fast."),
)


class BookCommand(click.Command):
    """A command whose options are the inputs of the pipeline `book`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the arguments, the pipeline's inputs and the options of a run."""
        from orchestrator.cli.input_options import input_options

        declaration, _ = _pipeline(ctx.ensure_object(Context))
        inputs = [each for each in input_options(declaration) if each.name != "files"]
        return [*super().get_params(ctx), *inputs, *MORE, *OPTIONS]


@click.command("book", cls=BookCommand)
@click.argument("files", nargs=-1, required=True, metavar="INPUTS...", type=GivenPath())
@pass_context
def command(context: Context, /, files: tuple[str, ...], **options: Any) -> None:
    """Read a book aloud: PDF files, images, folders of pages, EPUB, Markdown or text.

    -o book.m4b writes the sound (.mp3, .opus, .flac, .wav, .epub too), -o book.srt subtitles, and
    -o 'out/{number:02} {title}.mp3' a file for each chapter. -o book.md writes the text: correct
    it, and give it in place of the pages.

    This is the pipeline `book`: what is done is kept, the same command continues where it stopped,
    and `mm pipeline report` writes a page about the run.
    """
    from orchestrator.core.pipelines.narrowing import narrowed, without_step
    from orchestrator.system.cores import cores

    declaration, where = _pipeline(context)
    given = {name: options.pop(name) for name in declaration.inputs if name != "files"}
    given["files"] = tuple(_pages(context, files))
    _check_pages(given["pages"] or "")
    if given["chapters"] not in (None, "auto", "pages"):
        given["chapters"] = _listed(context.cwd / Path(given["chapters"]).expanduser())
    written = {name: options.pop(name) for name in (*STEPS, "voice")}
    places = [place_of(word, declaration.outputs) for word in options["out"]]
    if not places and not options["explain"]:
        raise UsageError("no place for the book is given", fix="add -o book.m4b")
    if places:  # the text alone needs no voice
        declaration = narrowed(declaration, {name for name, _ in places})
    if all(Path(each).suffix.lower() in TEXTS for each in given["files"]):
        declaration = without_step(declaration, "read")  # nor does a text need a reader
    steps = {step.id: step for step in declaration.steps}
    shown = {
        f"{key}={written[name]}": f"--{name} {written[name]}"
        for name, key in STEPS.items()
        if written[name] is not None and key.partition(".")[0] in steps
    }
    settings = formats(places)
    task = steps["speak"].run if "speak" in steps else None
    given["language"] = _language(context, task, given, written)
    if task:
        shown |= _voice(context, task, written)
        settings.append(f"speak.workers={voices(cores())}")
    options["out"] = tuple(f"{name}={place}" for name, place in places)
    options["settings"] = (*shown, *settings, *options["settings"])
    run_pipeline(context, declaration, where, given, options, shown)


def _pipeline(context: Context) -> tuple[Declaration, Where]:
    from orchestrator.pipelines.pipeline_catalog import find

    return find(context, "book").read()


def _pages(context: Context, words: Iterable[str]) -> Iterator[str]:
    """Yield the files, with those of a folder in the order of the numbers in their names.

    Raises:
        UsageError: For a folder that holds no page.
    """
    from orchestrator.pipelines.batch_items import natural

    for word in words:
        folder = context.cwd / Path(word).expanduser()
        if not folder.is_dir():
            yield word
            continue
        found = [each for each in folder.iterdir() if each.suffix.lower() in PAGES]
        if not found:
            raise UsageError("holds no image and no PDF", where=word, fix="name the files")
        for each in sorted(found, key=lambda path: natural(path.name.casefold())):
            yield str(Path(word).expanduser() / each.name)


def voices(cores: int) -> int:
    """Return how many passages are spoken at once, on so many cores; others are for a reader.

    Several small voices do more than one with as many threads. Where memory is short, fewer load.
    """
    return min(MOST_VOICES, max(1, cores // 2))


def _check_pages(text: str) -> None:
    from orchestrator.book.page_ranges import selection

    try:
        selection(text)
    except ValueError as error:
        raise UsageError(str(error), where="--pages", fix="run: mm book --help") from error


def _language(
    context: Context, task: str | None, given: Mapping[str, Any], written: Mapping[str, Any]
) -> str | None:
    """Return the language that is given as a tag, once a model is known that speaks it.

    Raises:
        MMError: When it is no tag, or no model that is ready for a task speaks it.
    """
    from orchestrator.core.languages import Wanted, language_tag

    if given["language"] is None:
        return None
    try:
        tag = language_tag(given["language"])
    except ValueError as error:
        raise UsageError(str(error), where="--language") from error
    if tag and task and written["speak"] is None:
        context.choose(task, None, Wanted((), tag, given=False))
    return tag


def _voice(context: Context, task: str, written: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that stand for a voice, with the option: its model, and its input.

    Raises:
        MMError: When no model has the voice.
    """
    voice, model = written["voice"], written["speak"]
    if voice is None:
        return {}
    many = [each.manifest for each in context.catalog.task(task)]
    if model is not None:
        many = [context.catalog.model(model).manifest]
    taking = [each for each in many if VOICE_INPUTS & set(each.inputs)]
    if not taking:
        raise UsageError(f"{model} has one voice alone", where="--voice", fix="leave it out")
    knowing = [each.name for each in taking if voice in each.voices]
    # Others know their voices when they are loaded.
    names = knowing or [each.name for each in taking if not each.voices]
    near = did_you_mean(voice, [name for each in taking for name in each.voices])
    if not names or (near and not knowing):
        fix = near or f"run: mm run {taking[0].name} --help"
        raise UsageError(f"there is no voice {voice!r}", where="--voice", fix=fix)
    chosen = context.choose(task, model, candidates=names).declared.manifest
    name = next(each for each in chosen.inputs if each in VOICE_INPUTS)
    option = f"--voice {voice}"
    settings = {f"speak.{name}={voice}": option}
    return settings if model else {f"speak.model={chosen.name}": option, **settings}


def _listed(path: Path) -> str:
    """Return what a list of chapters holds."""
    from orchestrator.book.passages import chapter_list

    try:
        text = path.read_text(encoding="utf-8-sig")
        chapter_list(text)
        return text
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        if isinstance(error, UnicodeDecodeError):
            why = "it is not UTF-8"
        fix = "give --chapters auto, pages, or a file with lines such as: 12 The sea"
        raise UsageError(f"cannot be read ({why})", where=str(path), fix=fix) from error


def place_of(word: str, outputs: Iterable[str]) -> tuple[str, str]:
    """Return the output that a value of `-o` stands for, as its suffix may say, and its place."""
    name, equals, place = word.partition("=")
    if equals and name in outputs:
        return name, place
    if is_template(word):
        return "files", word
    return OUTPUTS.get(Path(word).suffix.lower(), next(iter(outputs))), word


def formats(places: Iterable[tuple[str, str]]) -> list[str]:
    """Return the settings that make the sound what the suffixes of its places say.

    Raises:
        UsageError: For a sound that is no book, or for one file and a file for each chapter.
    """
    from orchestrator.audiobook.audio_files import BOOKS
    from orchestrator.steps.audiobook import EPUB

    found: dict[str, list[str]] = {}
    for name, place in places:
        suffix = Path(place).suffix[1:].lower()
        if name not in ("audio", "files") or place == STANDARD_OUTPUT:
            continue
        known = BOOKS if name == "files" else (*BOOKS, EPUB)
        named = name == "audio" or is_template(place)
        if named and suffix not in known:
            fix = f"end it in {', '.join(f'.{each}' for each in known)}"
            raise UsageError("is no sound of a book", where=place, fix=fix)
        found[name] = [f"sound.format={suffix}"] if suffix in known else []
    if len(found) > 1:
        fix = "run the command twice: the second time all but the file is kept"
        raise UsageError("one file and a file for each chapter are two runs", fix=fix)
    return [
        *found.get("audio", []),
        *(["sound.split=true", *found["files"]] if "files" in found else []),
    ]
