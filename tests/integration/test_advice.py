"""Advice can be pasted: every suggested command runs where all paths have a space in them."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

MANIFEST = """\
name: fragile
task: try-fragile
summary: A model that fails
environment: {python: ">=3.10", dependencies: []}
inputs: {file: {type: file, required: true}}
outputs: {text: {type: text}}
"""
RUNNER = """\
def load(context):
    return None


def run(model, job, *, file):
    raise RuntimeError("Torch not compiled with CUDA enabled")
"""
MODELING = "import torch\n\n\ndef forward(x):\n    return x.cuda()\n"
ADVICE = re.compile(r"(?:run|alone|next|then|patches|there is): ((?:mm|chmod|ls) .*)")


class Shell:
    """A shell in a place whose paths have a space; `mm` is the command under test."""

    def __init__(self, root):
        self.root = root
        self.variables = {
            **os.environ,
            "HOME": str(root / "a user"),
            "MM_HOME": str(root / "my home"),
            "MM_RUNTIME_DIR": str(root / "my run"),
            "MM_KEEP_ALIVE": "0",
            "XDG_CONFIG_HOME": str(root / "my config"),
        }

    def __call__(self, command):
        mm = f'mm() {{ {shlex.quote(sys.executable)} -m orchestrator "$@"; }}\n'
        ended = subprocess.run(
            ["bash", "-c", mm + command], env=self.variables, cwd=self.root, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return ended.returncode, ended.stdout

    def advice(self, command):
        """Run a command and return the last one that it suggests."""
        said = self(command)[1]
        found = ADVICE.findall(said)
        assert found, said
        return re.split(r"; | \(log: | \.\.\.$", found[-1])[0]


@pytest.fixture(scope="module")
def shell():
    with tempfile.TemporaryDirectory(prefix="mm ") as directory:  # a short path, for sockets
        root = Path(directory)
        (root / "a user").mkdir()
        there = root / "my models"
        (there / "envs/fragile").mkdir(parents=True)
        (there / "manifests").mkdir()
        (there / "manifests/fragile.yaml").write_text(MANIFEST)
        (there / "envs/fragile/runner.py").write_text(RUNNER)
        (root / "a file").write_text("x")
        code = root / "a model"
        code.mkdir()
        (code / "config.json").write_text('{"auto_map": {"AutoModel": "modeling_x.X"}}')
        (code / "modeling_x.py").write_text(MODELING)
        yield Shell(root)


def pasted(shell, advice, code=0):
    ended, said = shell(advice)
    assert ended == code, f"{advice}\n{said}"
    return said


def test_the_rights_of_the_directory_for_sockets(shell):
    (shell.root / "my run").mkdir(mode=0o755)
    pasted(shell, shell.advice("mm ps"))
    pasted(shell, "mm ps")


def test_trust(shell):
    pasted(shell, shell.advice("cd 'my models' && mm run fragile --file '../a file'"))
    assert "fragile has no lock" in shell("cd 'my models' && mm env path fragile")[1]


def test_a_failure_and_its_log(shell):
    shell.variables["MM_MANIFESTS"] = str(shell.root / "my models/manifests")
    pasted(shell, "mm env lock fragile")
    again = shell.advice("mm batch fragile 'a file' -o lines.jsonl")
    assert again == "mm run fragile --file 'a file'"
    log = shell.advice("mm doctor fragile --offline | grep -- --error")
    assert "cuda-assumed" in pasted(shell, log, 1)
    assert "python" in pasted(shell, shell.advice("mm env exec fragile -- no-such-program"))


def test_a_directory_that_the_doctor_looked_at(shell):
    draft = shell.advice("mm doctor 'a model' --device cpu --offline | tail -1")
    assert draft == f"mm patch new '{shell.root}/a model'"
