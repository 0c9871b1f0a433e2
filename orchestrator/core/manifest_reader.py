"""One manifest's text to a `Manifest`, with every check that its types cannot make.

All checks are made, so that `mm manifest check` shows every problem at once. What needs the other
manifests (names of tasks, shared environments) is checked by `orchestrator.catalog`.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.core.input_rules import RESERVED_OPTIONS, input_problems
from orchestrator.core.manifest import (
    VOICE_INPUTS,
    Environment,
    Manifest,
    Source,
    option_name,
)
from orchestrator.core.names import (
    BUILT_IN_STEPS,
    LANGUAGE_PATTERN,
    VARIABLE_PATTERN,
    identifier_problem,
    name_problem,
    variable_problem,
)
from orchestrator.core.paths import is_inside
from orchestrator.core.record_reader import (
    Problem,
    examine_record,
    item_problems,
    nested,
    read_record,
)
from orchestrator.core.requirements import is_package_name, python_problem, requirement_problem
from orchestrator.core.units import parse_duration, parse_size, timeout_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.core.manifest import Archive
    from orchestrator.core.yaml_document import Path
    from orchestrator.errors import ManifestError

RUNNER_PARAMETERS = frozenset({"model", "job"})
"""The positional parameters of a runner's `run`."""

TASK_SHAPES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "ocr": (("image", "image"), ("text", "text")),
    "tts": (("text", "text"), ("audio", "audio")),
    "asr": (("audio", "audio"), ("text", "text")),
}
"""What each model of a well-known task takes and returns, so that one can stand for another."""

KNOWN_TASKS = frozenset({"ocr", "tts", "asr", "tts-design", "tts-clone"})
"""Tasks that commands and pipelines may count on, whatever models are there."""

_HASH_SIZES = {"sha256": 32, "sha384": 48, "sha512": 64}
"""Bytes of the hashes that npm pins packages with."""

_LANGUAGE = re.compile(LANGUAGE_PATTERN, re.ASCII)
_NPM = re.compile(r"(?:@[a-z0-9][\w.~-]*/)?[a-z0-9][\w.~-]*@[0-9][\w.+-]*", re.ASCII)
_GLIBC = re.compile(r"2\.[0-9]{1,3}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODULE = re.compile(rf"{VARIABLE_PATTERN}(?:\.{VARIABLE_PATTERN})*", re.ASCII)
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9](?:[\w/-]|\.(?!\.))*", re.ASCII)


def read_manifest(data: bytes, *, file: str, stem: str) -> Manifest:
    """Return the manifest in `data`, the content of `file`, whose name without `.yaml` is `stem`.

    Raises:
        ManifestError: With the file, line and key of the first problem.
    """
    return read_record(data, file, stem, Manifest, _problems)


def examine(data: bytes, *, file: str, stem: str) -> tuple[Manifest | None, list[ManifestError]]:
    """Return the manifest in `data` (None when its types do not fit) and all of its problems."""
    return examine_record(data, file, stem, Manifest, _problems)


def _problems(manifest: Manifest) -> Iterator[Problem]:
    yield from _names(manifest)
    yield from _prose(manifest)
    yield from nested(("environment",), _environment(manifest.environment))
    if manifest.source is not None:
        yield from nested(("source",), _source(manifest.source))
    yield from nested(("weights",), _weights(manifest))
    yield from nested(("inputs",), _inputs(manifest))
    yield from nested(("outputs",), _outputs(manifest))
    yield from _task_shape(manifest)
    yield from _languages(manifest)
    yield from _resources(manifest)


def _names(manifest: Manifest) -> Iterator[Problem]:
    for key in ("task", "env", "family"):
        name = getattr(manifest, key)
        if name not in ("", manifest.name) and (problem := name_problem(name)):
            yield Problem((key,), problem)
    if manifest.name == manifest.task:
        what = f"{manifest.name!r} is the model's own name, and a task needs another"
        yield Problem(("task",), what, "rename the task or the model")
    elif manifest.name in KNOWN_TASKS:
        yield Problem(("name",), f"{manifest.name!r} is the name of a task", "choose another")
    for key in ("name", "task"):
        if (name := getattr(manifest, key)) in BUILT_IN_STEPS:
            yield Problem((key,), f"{name!r} is the name of a built-in step", "choose another")
    yield from nested(("patches",), item_problems(manifest.patches, name_problem))


def _prose(manifest: Manifest) -> Iterator[Problem]:
    """Refuse in what is shown to people what would steer their terminal."""
    shown: dict[Path, str] = {(key,): getattr(manifest, key) for key in _PROSE}
    shown |= {("inputs", name, "help"): each.help for name, each in manifest.inputs.items()}
    shown |= {("outputs", name, "help"): each.help for name, each in manifest.outputs.items()}
    for path, text in shown.items():
        if not text.replace("\n", "").isprintable():
            yield Problem(path, "holds a control character")
    if not manifest.summary.strip():
        yield Problem(("summary",), "is empty", "say in one line what the model does")


_PROSE = ("summary", "license", "homepage")


def _environment(environment: Environment) -> Iterator[Problem]:
    if problem := python_problem(environment.python):
        yield Problem(("python",), problem)
    for key, problem_of in _ENVIRONMENT_LISTS.items():
        items = getattr(environment, key)
        yield from nested((key.removesuffix("_"),), item_problems(items, problem_of))
    if not _GLIBC.fullmatch(environment.glibc):
        what = f"{environment.glibc!r} is not a version of glibc"
        yield Problem(("glibc",), what, 'write it as a string: "2.35"')
    for name, value in environment.variables.items():
        if problem := variable_problem(name):
            yield Problem(("variables", name), problem)
        if not value.isprintable():
            yield Problem(("variables", name), "holds a control character")


def _source(source: Source) -> Iterator[Problem]:
    if source.repo or not source.archives:
        yield from _repository(source)
    else:
        for key in ("revision", "include", "modelscope"):
            if getattr(source, key):
                yield Problem((key,), "belongs to a repository, and there is none", "write repo")
        if not source.size:
            what = "is missing, and there is no repository to ask"
            yield Problem(("size",), what, "write the size of all archives, such as 27 MB")
    if source.size:
        yield from _unit(("size",), source.size, parse_size)
    taken: set[str] = set()
    for index, archive in enumerate(source.archives):
        yield from nested(("archives", index), _archive(archive))
        yield from nested(("archives", index, "files"), _picked(archive, taken))


def _weights(manifest: Manifest) -> Iterator[Problem]:
    listed = {dtype for sizes in manifest.memory.values() for dtype in sizes}
    for dtype, source in manifest.weights.items():
        if manifest.source is None or not manifest.source.repo:
            yield Problem((dtype,), "is converted from a repository, and source has none")
        elif dtype not in listed:
            yield Problem((dtype,), "memory does not list it", f"write what {dtype} needs there")
        if source.archives:
            yield Problem((dtype, "archives"), "converted weights are in a repository")
        yield from nested((dtype,), _source(source))


def _repository(source: Source) -> Iterator[Problem]:
    if not source.repo:
        yield Problem(("repo",), "this key is missing")
    for key, repo in (("repo", source.repo), ("modelscope", source.modelscope)):
        if repo and not _REPOSITORY.fullmatch(repo):
            yield Problem((key,), f"{repo!r} is not a repository such as owner/name")
    if not source.revision:
        yield Problem(("revision",), "this key is missing")
    elif not _REVISION.fullmatch(source.revision):
        yield Problem(("revision",), f"{source.revision!r} is neither a commit nor a branch")
    yield from nested(("include",), item_problems(source.include, _inside_problem))


def _archive(archive: Archive) -> Iterator[Problem]:
    if bool(archive.npm) == bool(archive.url):
        yield Problem((), "an archive has a package of npm or a URL", "write npm or url")
    elif archive.npm:
        if not _NPM.fullmatch(archive.npm):
            yield Problem(("npm",), f"{archive.npm!r} is not a package such as name@1.2.3")
        if archive.sha256 or not _is_integrity(archive.integrity):
            what = "a package of npm is pinned by its integrity"
            yield Problem(("integrity",), what, "write what `npm view NAME dist.integrity` prints")
    else:
        parts = urlsplit(archive.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            yield Problem(("url",), "is not an http or https URL without credentials")
        if archive.integrity or not _SHA256.fullmatch(archive.sha256):
            yield Problem(("sha256",), "what lies at a URL is pinned by 64 hexadecimal digits")


def _picked(archive: Archive, taken: set[str]) -> Iterator[Problem]:
    if not archive.files:
        yield Problem((), "nothing is taken from it")
    for member, name in archive.files.items():
        if not is_inside(name):
            yield Problem((member,), f"{name!r} does not stay inside the model's folder")
        elif name in taken:
            yield Problem((member,), f"{name} is taken from two places")
        taken.add(name)


def _is_integrity(text: str) -> bool:
    kind, _, value = text.partition("-")
    try:
        return len(binascii.a2b_base64(value.encode())) == _HASH_SIZES[kind]
    except (KeyError, ValueError):
        return False


def _inputs(manifest: Manifest) -> Iterator[Problem]:
    options: dict[str, str] = {}
    for name, declared in manifest.inputs.items():
        if problem := identifier_problem(name):
            yield Problem((name,), problem)
            continue
        option = option_name(name)
        if option.lower() in RESERVED_OPTIONS or name in RUNNER_PARAMETERS:
            whose = "mm itself has" if option.lower() in RESERVED_OPTIONS else "every runner has"
            yield Problem((name,), f"{whose} {name!r}", "rename the input")
        for spelling in (option, f"no-{option}") if declared.type == "boolean" else (option,):
            if spelling in options:
                what = f"--{spelling} is also an option of the input {options[spelling]!r}"
                yield Problem((name,), what)
            options[spelling] = name
        yield from nested((name,), input_problems(declared))


def _outputs(manifest: Manifest) -> Iterator[Problem]:
    for name in manifest.outputs:
        if problem := identifier_problem(name):
            yield Problem((name,), problem)
    if not manifest.outputs:
        yield Problem((), "a model returns at least one output")
    primary = [name for name, output in manifest.outputs.items() if output.primary]
    if not primary and len(manifest.outputs) > 1:
        yield Problem((), "none of the outputs is primary", "write primary: true in one of them")
    for name in primary[1:]:
        yield Problem((name, "primary"), f"{primary[0]!r} is the primary output already")


def _task_shape(manifest: Manifest) -> Iterator[Problem]:
    if manifest.task not in TASK_SHAPES:
        return
    (taken, taken_type), (returned, returned_type) = TASK_SHAPES[manifest.task]
    given = manifest.inputs.get(taken)
    if given is None:
        yield Problem(("inputs",), f"every model of the task {manifest.task} takes {taken!r}")
    elif given.type != taken_type or given.list:
        what = f"in the task {manifest.task} it is one {taken_type}"
        yield Problem(("inputs", taken, "list" if given.type == taken_type else "type"), what)
    made = manifest.outputs.get(returned)
    if made is None:
        yield Problem(("outputs",), f"every model of the task {manifest.task} returns {returned!r}")
    elif made.type != returned_type:
        what = f"in the task {manifest.task} it is {returned_type}"
        yield Problem(("outputs", returned, "type"), what)


def _languages(manifest: Manifest) -> Iterator[Problem]:
    yield from nested(("languages",), item_problems(manifest.languages, _language_problem))
    spoken = {tag.partition("-")[0] for tag in manifest.languages}
    for voice, tag in manifest.voices.items():
        if problem := identifier_problem(voice) or _language_problem(tag):
            yield Problem(("voices", voice), problem)
        elif not spoken & {tag.partition("-")[0], "any"}:
            yield Problem(("voices", voice), f"languages does not have {tag!r}", f"add {tag} to it")
    if manifest.voices and not VOICE_INPUTS & set(manifest.inputs):
        yield Problem(("voices",), "no input chooses one", "declare an input voice: {type: choice}")


def _language_problem(tag: str) -> str | None:
    if _LANGUAGE.fullmatch(tag):
        return None
    return f"{tag!r} is not a language such as en, zh or pt-BR"


def _resources(manifest: Manifest) -> Iterator[Problem]:
    if not manifest.devices:
        yield Problem(("devices",), "a model runs on at least one device")
    yield from nested(("devices",), item_problems(manifest.devices, _anything))
    for device, sizes in manifest.memory.items():
        for dtype, size in sizes.items():
            yield from _unit(("memory", device, dtype), size, parse_size)
    for key in ("load", "run"):
        if problem := timeout_problem(getattr(manifest.timeouts, key)):
            yield Problem(("timeouts", key), problem)
    yield from _unit(("keep_alive",), manifest.keep_alive, parse_duration)


def _unit(path: Path, text: str, parser: Callable[[str], float]) -> Iterator[Problem]:
    try:
        parser(text)
    except ValueError as error:
        yield Problem(path, str(error))


def _package_problem(name: str) -> str | None:
    return None if is_package_name(name) else f"{name!r} is not the name of a package"


def _module_problem(name: str) -> str | None:
    return None if _MODULE.fullmatch(name) else f"{name!r} is not the name of a module"


def _inside_problem(pattern: str) -> str | None:
    """Patterns are matched below the download; one that leads out of it would never match."""
    parts = pattern.split("/")
    if not pattern or pattern.startswith("/") or ".." in parts or not pattern.isprintable():
        return f"{pattern!r} does not stay inside the repository"
    return None


def _anything(_: str) -> None:
    """Take what its type has checked."""


_ENVIRONMENT_LISTS: dict[str, Callable[[str], str | None]] = {
    "dependencies": requirement_problem,
    "overrides": requirement_problem,
    "build": _package_problem,
    "probe": _module_problem,
    "platforms": _anything,
    "pass_": variable_problem,
}
"""What is asked of each item, by list."""
