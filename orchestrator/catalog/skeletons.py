"""The files that `mm new` writes: small models that run as they are, to begin from.

They are made of `templates/`, where NAME and TASK stand for those of the model, and EXAMPLE for the
options of a first `mm run`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from orchestrator.core.manifest_reader import read_manifest
from orchestrator.core.names import name_problem
from orchestrator.core.yaml_document import scalar
from orchestrator.errors import ManifestError

EXAMPLES = {
    "text": "--text 'schÃ¶n'",
    "ocr": "--image page.png",
    "tts": "--text 'hello' -o hello.wav",
    "asr": "--audio hello.wav",
}
"""The options of a first `mm run`, by template; models of other tasks begin as `text`."""


@dataclass(frozen=True)
class Skeleton:
    """The files of a model, and the inputs of a first `mm run`.

    Attributes:
        manifest: Its YAML.
        runner: Its program.
        example: The options of a first `mm run`.
        test: A test of pytest, for a folder that is shared.
        readme: What others do with such a folder.
    """

    manifest: str
    runner: str
    example: str
    test: str
    readme: str


def skeleton(name: str, task: str) -> Skeleton:
    """Return the files of a new model; what it does depends on the task.

    Raises:
        ManifestError: When the name or the task cannot be used.
    """
    for word in (name, task):
        if problem := name_problem(word):
            raise ManifestError(problem)
    kind = task if task in EXAMPLES else "text"
    templates = files("orchestrator.catalog") / "templates"
    manifest = (templates / kind / "manifest.yaml").read_text("utf-8")
    manifest = manifest.replace("NAME", _yaml(name)).replace("TASK", _yaml(task))
    try:
        read_manifest(manifest.encode("utf-8"), file=f"{name}.yaml", stem=name)
    except ManifestError as error:  # reserved names; the file it would name is not there
        raise ManifestError(error.what, fix=error.fix) from error
    function = name.replace("-", "_").replace(".", "_")
    runner, test, readme = (
        (templates / part).read_text("utf-8").replace("test_NAME", f"test_{function}")
        for part in (f"{kind}/runner.py.txt", f"{kind}/test.py.txt", "README.md")
    )
    return Skeleton(
        manifest,
        runner.replace("NAME", name),
        EXAMPLES[kind],
        test.replace("NAME", name),
        readme.replace("NAME", name).replace("EXAMPLE", EXAMPLES[kind]),
    )


def _yaml(name: str) -> str:
    """Return `name`, quoted where YAML would take it for something else, such as a number."""
    return name if isinstance(scalar(name), str) else f'"{name}"'
