"""Windows, where some modules that mm imports do not exist: one sentence names WSL2."""

import subprocess
import sys

import pytest

AS_ON_WINDOWS = """\
import sys
import click, msgspec  # they know the real system
sys.platform = "win32"
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
sys.argv = ["mm", *sys.argv[1:]]
"""
COMMAND = AS_ON_WINDOWS + "from orchestrator.cli import main\nmain()\n"
PROGRAM = AS_ON_WINDOWS + "import orchestrator\norchestrator.Session()\n"


def run(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["run ocr --image x.png", "--version", "doctor", "env sync"])
def test_every_command_names_wsl(command):
    ended = run(COMMAND, *command.split())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "mm: mm runs on Linux and macOS; on Windows, install WSL2 (wsl --install) "
        "and run mm in there\n"
    )


def test_a_program_gets_the_same_sentence():
    ended = run(PROGRAM)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("orchestrator.errors.UsageError: mm runs on ")
