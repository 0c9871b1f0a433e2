"""`mm compare` in real workers: two models, one in two data types, and what cannot be compared."""

import json
import os
import subprocess

import pytest

from tests.integration.conftest import MM, run_mm

MANIFEST = """\
name: {name}
task: {task}
summary: A model that is compared
environment: {{python: ">=3.10", dependencies: []}}
memory: {{cpu: {{float32: 1 MiB, bfloat16: 1 MiB}}}}
inputs:
  text: {{type: text, required: true}}
  loud: {{type: boolean, default: false}}
outputs:
  text: {{type: text, primary: true}}
  sound: {{type: audio}}
  found: {{type: json}}
"""
RUNNER = """\
from array import array

WORDS, SHIFT, TRACED = {words!r}, {shift}, {traced}


def load(context):
    return SHIFT + (0.5 if context.dtype == "bfloat16" else 0)


def run(model, job, *, text, loud):
    job.progress(1, 2, "speaking")
    frames = array("h", [20000 if loud else 2000] * (100 + len(WORDS)))
    found = [len(WORDS), {{"a": 1}}]
    return {{"text": f"{{text}} {{WORDS}}", "sound": (frames, 100), "found": found}}


def trace(model, job, *, text, loud):
    def floats(*values):
        return memoryview(array("f", values)).cast("B").cast("f", [2, len(values) // 2])

    first = floats(100, 2, 3, 4)
    return {{"vision": first, "nothing": None, "logits": floats(0, 1 + model, 1, 0)}}


if not TRACED:
    del trace
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory, workplace):
    """Variables with models of one task that differ in one thing each, and one of another task."""
    root = tmp_path_factory.mktemp("compared")
    (root / "manifests").mkdir()
    models = {
        "plain": ("the quick brown fox", 0, True, "try-compare"),
        "shifted": ("the quick red fox", 0.25, True, "try-compare"),
        "silent": ("the quick brown fox", 0, False, "try-compare"),
        "elsewhere": ("", 0, True, "try-other"),
    }
    for name, (words, shift, traced, task) in models.items():
        text = MANIFEST.format(name=name, task=task)
        (root / "manifests" / f"{name}.yaml").write_text(text)
        folder = root / "envs" / name
        folder.mkdir(parents=True)
        runner = RUNNER.format(words=words, shift=shift, traced=traced)
        if not traced:
            runner = runner.replace("def trace", "def unused").replace("del trace", "pass")
        (folder / "runner.py").write_text(runner)
    variables = {**workplace, "MM_MANIFESTS": str(root / "manifests")}
    run_mm(variables, "env", "lock", *models)
    return variables


def mm_compare(variables, *words):
    command, environment = [*MM, "compare", *words], {**os.environ, **variables}
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


def test_two_models(compared):
    ended = mm_compare(
        compared, "plain", "shifted", "--text", "see", "--dtype", "float32", "--json"
    )
    assert ended.returncode == 1, ended.stderr
    found = json.loads(ended.stdout)
    text, sound, places = found["outputs"]
    assert text["values"]["changes"] == [["brown", "red"]]
    assert text["values"]["character_error_rate"] == pytest.approx(4 / 23)
    assert sound["values"]["seconds"] == [1.19, 1.17]
    assert places["finding"] == "other values at $[0]"
    assert [(each["name"], each["equal"]) for each in found["arrays"]] == [
        ("vision", True),
        ("logits", False),
    ]
    assert (found["parted"], found["arrays"][1]["largest"]) == ("logits", 0.25)
    assert found["shown"][1]["text"] == "see the quick red fox"


def test_it_is_said_in_lines(compared):
    said = mm_compare(compared, "plain", "shifted", "--text", "see", "--dtype", "float32").stdout
    assert said.startswith("plain on cpu in float32: done in ")
    assert "text: 1 of 5 words differ; character error rate 17.4%\n  'brown'  ->  'red'\n" in said
    assert "trace logits: largest difference 0.25 over 2 vectors, allowed 0.001" in said
    assert said.endswith("they part at logits\n")


def test_one_model_in_two_data_types(compared):
    ended = mm_compare(compared, "plain", "--dtype", "float32", "--dtype", "bfloat16", "--json")
    found = json.loads(ended.stdout)
    assert found["sides"] == ["plain on cpu in float32", "plain on cpu in bfloat16"]
    assert [each["equal"] for each in found["outputs"]] == [True, True, True]
    assert (found["parted"], found["equal"], ended.returncode) == ("logits", False, 1)


def test_models_that_do_the_same(compared):
    ended = mm_compare(compared, "plain", "silent", "--loud")
    assert ended.returncode == 0, ended.stdout
    assert "no arrays were compared: the runner of silent has no trace()" in ended.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plain", "elsewhere"], "plain does try-compare, and elsewhere does try-other"),
        (["plain"], "plain is compared with itself; name a second model"),
        (["plain", "nosuch"], "'nosuch' is no model"),
        (["plain", "shifted", *["--dtype", "float32"] * 3], "--dtype is given 3 times"),
        (["plain", "shifted", "--device", "mps"], "mps"),
    ],
    ids=["tasks", "itself", "unknown", "thrice", "device"],
)
def test_what_cannot_be_compared(compared, words, said):
    ended = mm_compare(compared, *words)
    assert ended.returncode == 2
    assert said in ended.stderr
