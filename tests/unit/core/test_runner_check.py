"""What is wrong with a runner, from its text alone."""

import pytest

from orchestrator.core.manifest_reader import read_manifest
from orchestrator.core.runner_check import runner_problems

MANIFEST = b"""\
name: reader
task: read
summary: Read
environment:
  python: ">=3.10"
  dependencies: []
inputs:
  page: {type: image, required: true}
  mode: {type: text, default: fast}
  prompt: {type: text}
outputs:
  text: {type: text}
"""
GOOD = "def load(context): pass\ndef run(model, job, *, page, mode, prompt=None): pass\n"
LOAD = "def load(context): pass\n"


def problems(text, **others):
    manifest = read_manifest(MANIFEST, file="m.yaml", stem="reader")
    files = {"runner.py": text, **others}
    return [f"{each.where}: {each.what}" for each in runner_problems(manifest, files)]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        LOAD + "def run(model, job, page, mode, prompt=None): pass",
        LOAD + "def run(model, job, **inputs): pass",
        LOAD + "def run(*given, page, **others): pass",
        "from .lines import load, run",
        "from .lines import *",
        "load = run = print",
        "try:\n    from a import load\nexcept ImportError:\n    def load(c): pass\nrun = load",
        LOAD + "@wrapped\ndef run(anything): pass",
        GOOD + "def check(job, *, page, **others): pass",
        GOOD + 'PATTERN = "\\d"',
    ],
)
def test_what_can_be_called_is_right(text):
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def load(:\n", "runner.py:1: is not valid Python: invalid syntax"),
        ("x = 1\n" + "(" * 5000, "runner.py:2: is not valid Python: too many nested parentheses"),
        ("a\0b", "runner.py: is not valid Python: source code"),
        (LOAD, "runner.py: defines no function run"),
        ("def run(model, job, **inputs): pass", "runner.py: defines no function load"),
        ("def load(): pass\ndef run(m, j, **i): pass", "runner.py:1: load is called with 1 by"),
        (LOAD + "def run(model, **i): pass", "runner.py:2: run is called with 2 by position"),
        (
            LOAD + "def run(model, job, extra, /, **i): pass",
            "runner.py:2: run is called with 2 by position",
        ),
        (
            LOAD + "def run(model, job, *, page, mode): pass",
            "runner.py:2: run does not take the input 'prompt' of the manifest",
        ),
        (
            LOAD + "def run(model, job, *, page, mode, prompt): pass",
            "runner.py:2: run wants 'prompt', and a job need not give it",
        ),
        (
            LOAD + "def run(model, job, *, page, size, **others): pass",
            "runner.py:2: run wants 'size', which is no input of the manifest",
        ),
        (GOOD + "def check(job, *, page): pass", "runner.py:3: check does not take the input"),
    ],
)
def test_what_cannot_be_called_is_said_with_its_line(text, said):
    assert problems(text)[0].startswith(said)


def test_every_file_of_a_folder_must_be_python():
    assert problems(GOOD, **{"lines.py": "def f(:\n", "more.py": "x = 1"}) == [
        "lines.py:1: is not valid Python: invalid syntax"
    ]
