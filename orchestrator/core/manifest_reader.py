"""One manifest's text to a `Manifest`, with every check that its types cannot make.

Each check reports the key at fault, and all of them are made, so that `mm manifest check` shows
every problem at once. What needs the other manifests (names of tasks, shared environments) is
checked by `orchestrator.catalog`.
"""

from __future__ import annotations

import keyword
import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core import units
from orchestrator.core.binding import bind
from orchestrator.core.manifest import PATH_TYPES, Environment, Input, Manifest, option_name
from orchestrator.core.requirements import is_package_name, python_problem, requirement_problem
from orchestrator.core.yaml_document import parse
from orchestrator.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.core.binding import Report
    from orchestrator.core.yaml_document import Path

NAME_PATTERN = r"[a-z0-9]+(?:-+[a-z0-9]+|\.[a-z0-9]+)*"
"""Names become paths, options and lines of a table: no separator, no `..`, no capital letter."""

MAX_NAME_LENGTH = 64

IDENTIFIER_PATTERN = r"[A-Za-z][A-Za-z0-9_]*"
"""Names of inputs and outputs: keywords of the runner, options, references in pipelines."""

VARIABLE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"

RESERVED_OPTIONS = frozenset(
    {"out", "json", "model", "device", "dtype", "keep-alive", "timeout", "receipt", "manifests"}
    | {"debug", "force", "retries", "workers", "backend", "engine", "help", "address", "model-dir"}
)
"""The options of `mm` itself, which no input may bear."""

RUNNER_PARAMETERS = frozenset({"model", "job"})
"""The positional parameters of a runner's `run`."""

TASK_SHAPES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "ocr": (("image", "image"), ("text", "text")),
    "tts": (("text", "text"), ("audio", "audio")),
}
"""What each model of a well-known task takes and returns, so that one can stand for another."""

BUILT_IN_STEPS = frozenset({"plain-text", "split-pages", "join-audio", "write"})
"""Steps of pipelines that are no models."""

KNOWN_TASKS = frozenset({"ocr", "tts", "tts-design", "tts-clone"})
"""Tasks that commands and pipelines may count on, whatever models are there."""

_NAME = re.compile(NAME_PATTERN, re.ASCII)
_IDENTIFIER = re.compile(IDENTIFIER_PATTERN, re.ASCII)
_VARIABLE = re.compile(VARIABLE_PATTERN, re.ASCII)
_MODULE = re.compile(rf"{VARIABLE_PATTERN}(?:\.{VARIABLE_PATTERN})*", re.ASCII)
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9](?:[\w/-]|\.(?!\.))*", re.ASCII)


def read_manifest(data: bytes, *, file: str, stem: str) -> Manifest:
    """Return the manifest in `data`, the content of `file`, whose name without `.yaml` is `stem`.

    Raises:
        ManifestError: With the file, line and key of the first problem.
    """
    manifest, problems = examine(data, file=file, stem=stem)
    if problems:
        raise problems[0]
    assert manifest is not None
    return manifest


def examine(data: bytes, *, file: str, stem: str) -> tuple[Manifest | None, list[ManifestError]]:
    """Return the manifest in `data` (None when its types do not fit) and all of its problems."""
    try:
        document = parse(data, file)
    except ManifestError as error:
        return None, [error]
    problems: list[tuple[int, ManifestError]] = []

    def report(path: Path, what: str, fix: str = "") -> None:
        # A missing key has no line and comes last: an unknown key nearby may be what was meant.
        line = document.lines.get(path, sys.maxsize)
        problems.append((line, document.error(path, what, fix)))

    manifest = bind(document, Manifest, report)
    if manifest is not None:
        _check_names(manifest, stem, report)
        _check_prose(manifest, report)
        _check_environment(manifest.environment, report)
        _check_source(manifest, report)
        _check_inputs(manifest, report)
        _check_outputs(manifest, report)
        _check_resources(manifest, report)
        manifest = msgspec.structs.replace(manifest, env=manifest.env or manifest.name)
    return manifest, [error for _, error in sorted(problems, key=lambda each: each[0])]


def name_problem(name: str) -> str | None:
    """Return why `name` cannot name a model, a task, an environment or a patch set, or None."""
    if not _NAME.fullmatch(name):
        return (
            f"{name!r} is not a name: lower-case letters, digits and single hyphens or dots between"
        )
    if len(name) > MAX_NAME_LENGTH:
        return f"a name may have {MAX_NAME_LENGTH} characters"
    return None


def _check_names(manifest: Manifest, stem: str, report: Report) -> None:
    for key in ("name", "task", "env"):
        name = getattr(manifest, key)
        if (name or key != "env") and (problem := name_problem(name)):
            report((key,), problem)
    if manifest.name != stem and not name_problem(manifest.name):
        report(
            ("name",),
            f"{manifest.name!r} is not the file's name",
            f"write name: {stem}, or rename the file to {manifest.name}.yaml",
        )
    if manifest.name in KNOWN_TASKS or manifest.name == manifest.task:
        report(("name",), f"{manifest.name!r} is the name of a task", "choose another")
    for key in ("name", "task"):
        if getattr(manifest, key) in BUILT_IN_STEPS:
            name = getattr(manifest, key)
            report((key,), f"{name!r} is the name of a built-in step", "choose another")
    _check_each(("patches",), manifest.patches, name_problem, report)


def _check_prose(manifest: Manifest, report: Report) -> None:
    """Refuse in what is shown to people what would steer their terminal."""
    shown: list[tuple[Path, str]] = [
        (("summary",), manifest.summary),
        (("license",), manifest.license),
        (("homepage",), manifest.homepage),
    ]
    shown += [(("inputs", name, "help"), each.help) for name, each in manifest.inputs.items()]
    shown += [(("outputs", name, "help"), each.help) for name, each in manifest.outputs.items()]
    for path, text in shown:
        if not text.replace("\n", "").isprintable():
            report(path, "holds a control character")
    if not manifest.summary.strip():
        report(("summary",), "is empty", "say in one line what the model does")


def _check_environment(environment: Environment, report: Report) -> None:
    if problem := python_problem(environment.python):
        report(("environment", "python"), problem)
    for key in ("dependencies", "overrides"):
        _check_each(("environment", key), getattr(environment, key), requirement_problem, report)
    _check_each(("environment", "build"), environment.build, _package_problem, report)
    _check_each(("environment", "probe"), environment.probe, _module_problem, report)
    _check_each(("environment", "platforms"), environment.platforms, lambda _: None, report)
    _check_each(("environment", "pass"), environment.pass_, _variable_problem, report)
    for name, value in environment.variables.items():
        path = ("environment", "variables", name)
        if problem := _variable_problem(name):
            report(path, problem)
        if not value.isprintable():
            report(path, "holds a control character")


def _check_source(manifest: Manifest, report: Report) -> None:
    source = manifest.source
    if source is None:
        return
    if not _REPOSITORY.fullmatch(source.repo):
        report(("source", "repo"), f"{source.repo!r} is not a repository such as owner/name")
    if not _REVISION.fullmatch(source.revision):
        report(("source", "revision"), f"{source.revision!r} is neither a commit nor a branch")
    if source.size:
        _check_unit(("source", "size"), source.size, units.parse_size, report)
    _check_each(("source", "include"), source.include, _inside_problem, report)


def _check_inputs(manifest: Manifest, report: Report) -> None:
    options: dict[str, str] = {}
    for name, declared in manifest.inputs.items():
        path = ("inputs", name)
        if problem := identifier_problem(name):
            report(path, problem)
            continue
        option = option_name(name)
        if option.lower() in RESERVED_OPTIONS or name in RUNNER_PARAMETERS:
            whose = "mm itself has" if option.lower() in RESERVED_OPTIONS else "every runner has"
            report(path, f"{whose} {name!r}", "rename the input")
        for spelling in (option, f"no-{option}") if declared.type == "boolean" else (option,):
            if spelling in options:
                report(path, f"--{spelling} is also an option of the input {options[spelling]!r}")
            options[spelling] = name
        check_input(declared, path, report)
    _check_shape(manifest, report)


def check_input(declared: Input, path: Path, report: Report) -> None:
    """Report what is wrong with one declared input, its name apart."""
    if (declared.type == "choice") != bool(declared.choices):
        at = (*path, "choices")
        if declared.choices:
            report(at, f"an input of type {declared.type} has no choices", "write type: choice")
        else:
            report(at, "an input of type choice lists its choices")
    _check_each((*path, "choices"), declared.choices, _choice_problem, report)
    if declared.list and declared.type in ("boolean", "json"):
        report((*path, "list"), f"an option of type {declared.type} cannot be repeated")
    low, high = declared.minimum, declared.maximum
    for key, bound in (("minimum", low), ("maximum", high)):
        if bound is not None and declared.type not in ("integer", "number"):
            report((*path, key), f"an input of type {declared.type} has no {key}")
        elif bound is not None and declared.type == "integer" and bound != int(bound):
            report((*path, key), "must be a whole number, as its input is")
    if low is not None and high is not None and low > high:
        report((*path, "minimum"), f"{low} is above the maximum, {high}")
    if declared.default is not msgspec.UNSET:
        _check_default(declared, (*path, "default"), report)


def _check_default(declared: Input, path: Path, report: Report) -> None:
    default = declared.default
    if declared.required:
        report(path, "an input that is required has no default", "remove required or default")
    elif declared.type in PATH_TYPES:
        report(path, f"an input of type {declared.type} has no default", "remove it")
    elif not declared.list:
        if problem := value_problem(declared, default):
            report(path, problem)
    elif isinstance(default, list):
        for position, item in enumerate(default):
            if problem := value_problem(declared, item):
                report((*path, position), problem)
    else:
        report(path, "must be a list, as its input is")


def value_problem(declared: Input, value: Any) -> str | None:
    """Return why `value` (one item, where the input is a list) does not fit the input, or None.

    Values of the types that are given as paths are not judged here.
    """
    kind = declared.type
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {
        "text": isinstance(value, str),
        "choice": isinstance(value, str),
        "integer": isinstance(value, int) and number,
        "number": number,
        "boolean": isinstance(value, bool),
    }
    if not fits.get(kind, True):
        article = "an" if kind == "integer" else "a"
        what = "text" if kind in ("text", "choice") else f"{article} {kind}"
        return f"must be {what}"
    if kind == "choice" and value not in declared.choices:
        return f"{value!r} is not one of {', '.join(declared.choices)}"
    if kind in ("integer", "number"):
        if declared.minimum is not None and value < declared.minimum:
            return f"{value} is below the minimum, {declared.minimum}"
        if declared.maximum is not None and value > declared.maximum:
            return f"{value} is above the maximum, {declared.maximum}"
    return None


def _check_outputs(manifest: Manifest, report: Report) -> None:
    for name in manifest.outputs:
        if problem := identifier_problem(name):
            report(("outputs", name), problem)
    if not manifest.outputs:
        report(("outputs",), "a model returns at least one output")
    primary = [name for name, output in manifest.outputs.items() if output.primary]
    if not primary and len(manifest.outputs) > 1:
        report(("outputs",), "none of the outputs is primary", "write primary: true in one of them")
    for name in primary[1:]:
        report(("outputs", name, "primary"), f"{primary[0]!r} is the primary output already")


def _check_shape(manifest: Manifest, report: Report) -> None:
    if manifest.task not in TASK_SHAPES:
        return
    (taken, taken_type), (returned, returned_type) = TASK_SHAPES[manifest.task]
    given = manifest.inputs.get(taken)
    if given is None:
        report(("inputs",), f"every model of the task {manifest.task} takes {taken!r}")
    elif given.type != taken_type or given.list:
        what = f"in the task {manifest.task} it is one {taken_type}"
        report(("inputs", taken, "list" if given.type == taken_type else "type"), what)
    made = manifest.outputs.get(returned)
    if made is None:
        report(("outputs",), f"every model of the task {manifest.task} returns {returned!r}")
    elif made.type != returned_type:
        what = f"in the task {manifest.task} it is {returned_type}"
        report(("outputs", returned, "type"), what)


def _check_resources(manifest: Manifest, report: Report) -> None:
    if not manifest.devices:
        report(("devices",), "a model runs on at least one device")
    _check_each(("devices",), manifest.devices, lambda _: None, report)
    for device, sizes in manifest.memory.items():
        for dtype, size in sizes.items():
            _check_unit(("memory", device, dtype), size, units.parse_size, report)
    for key in ("load", "run"):
        if problem := units.timeout_problem(getattr(manifest.timeouts, key)):
            report(("timeouts", key), problem)
    _check_unit(("keep_alive",), manifest.keep_alive, units.parse_duration, report)


def _check_unit(path: Path, text: str, parser: Callable[[str], float], report: Report) -> None:
    try:
        parser(text)
    except ValueError as error:
        report(path, str(error))


def _check_each(
    path: Path, items: Iterable[str], problem_of: Callable[[str], str | None], report: Report
) -> None:
    """Check every item of a list, and that none stands there twice."""
    seen: set[str] = set()
    for position, item in enumerate(items):
        if problem := problem_of(item):
            report((*path, position), problem)
        elif item in seen:
            report((*path, position), f"{item!r} stands here twice")
        seen.add(item)


def identifier_problem(name: str) -> str | None:
    """Return why `name` cannot name an input, an output or a step of a pipeline, or None."""
    if not _IDENTIFIER.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        return f"{name!r} is not letters, digits and _, beginning with a letter"
    if keyword.iskeyword(name):
        return f"{name!r} is a word of Python"
    return None


def _variable_problem(name: str) -> str | None:
    if not _VARIABLE.fullmatch(name):
        return f"{name!r} is not the name of a variable"
    if name.upper().startswith("PYTHON"):
        return f"{name} has no effect: workers run with Python's -I, which ignores PYTHON*"
    return None


def _package_problem(name: str) -> str | None:
    return None if is_package_name(name) else f"{name!r} is not the name of a package"


def _module_problem(name: str) -> str | None:
    return None if _MODULE.fullmatch(name) else f"{name!r} is not the name of a module"


def _choice_problem(choice: str) -> str | None:
    return None if choice and choice.isprintable() else f"{choice!r} cannot be typed as a choice"


def _inside_problem(pattern: str) -> str | None:
    """Patterns are matched below the download; one that leads out of it would never match."""
    parts = pattern.split("/")
    if not pattern or pattern.startswith("/") or ".." in parts or not pattern.isprintable():
        return f"{pattern!r} does not stay inside the repository"
    return None
