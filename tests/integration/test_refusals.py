"""Bad days: what the machine refuses is a sentence, and nothing waits for what is no file."""

import os
import subprocess

import pytest

from tests.integration.conftest import MM
from tests.machine import has_full_device, only_where

RUNNER = """
    import os

    def load(context):
        return None

    def run(model, job, text):
        if text == "write":
            with open("/dev/full", "wb") as stream:
                stream.write(b"x")
        if text == "directory":
            os.open(job.directory, os.O_RDONLY)
        return {"text": text.upper()}
"""

LIMITED = """\
import os, resource, sys
resource.setrlimit(getattr(resource, sys.argv[1]), (int(sys.argv[2]),) * 2)
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture(scope="module")
def manifests(declare):
    return declare({"bad": RUNNER})


@pytest.fixture
def variables(workplace, manifests):
    return {**os.environ, **workplace, "MM_MANIFESTS": str(manifests)}


@pytest.fixture
def bad(mm, manifests):
    """Return a function that runs `mm` with the model `bad`."""

    def run(*words, **keywords):
        return mm(*words, variables={"MM_MANIFESTS": str(manifests)}, **keywords)

    return run


RUN = ("run", "bad", "--text")
PRINTING = [
    ("--help",),
    ("run", "--help"),
    ("--version",),
    ("model", "list"),
    ("model", "show", "bad"),
    ("manifest", "schema"),
    ("env", "list"),
    ("env", "tree", "bad"),
    ("ps", "--json"),
    ("completion", "bash"),
    ("pipeline", "list"),
    ("pipeline", "show", "read-aloud"),
    ("doctor", "bad"),
    ("use",),
    ("batch", "bad", "-", "-o", "-"),
    (*RUN, "a"),
    (*RUN, "a", "--json"),
]


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_a_closed_output_ends_every_command_in_silence(variables, words):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [*MM, "-q", *words],
            env=variables,
            input='{"text": "a"}\n',
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


@only_where(has_full_device())
@pytest.mark.parametrize("words", [("--help",), ("model", "list"), (*RUN, "a")], ids=" ".join)
def test_an_output_without_room_is_named(variables, words):
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*MM, "-q", *words],
            env=variables,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr.startswith("mm: standard output: cannot be written (No space left")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_takes_only_a_part_is_named(variables, tmp_path, unbuffered):
    with open(tmp_path / "out", "wb") as out:
        ended = subprocess.run(
            [MM[0], "-c", LIMITED, "RLIMIT_FSIZE", "1000", *MM, "--help"],
            env={**variables, "PYTHONUNBUFFERED": unbuffered},
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr.startswith("mm: standard output: cannot be written (File too large)")


@only_where(has_full_device())
def test_what_cannot_be_said_fails_no_job(variables):
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*MM, *RUN, "a"],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (0, "A\n")


def test_streams_that_the_parent_has_closed_are_no_ones(variables):
    for closed, said in (("2>&-", "A\n"), (">&-", ""), ("<&- >&- 2>&-", "")):
        ended = subprocess.run(
            ["/bin/sh", "-c", f'"$@" {closed}', "sh", *MM, *RUN, "a"],
            env=variables,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (0, said)


@only_where(has_full_device())
def test_a_full_disk_under_a_model_is_no_crash_and_no_fault_of_the_model(bad):
    ended = bad(*RUN, "write")
    assert ended.code == 3
    assert ended.sentence.startswith("mm: bad could not go on running: the disk is full (OSError:")


def limited(variables, name, value, *words):
    """Run `mm` under a limit of this process's resources."""
    return subprocess.run(
        [MM[0], "-c", LIMITED, name, str(value), *MM, *words],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("count", range(8, 17, 2))
def test_too_few_descriptors_are_a_sentence_and_cost_no_environment(variables, count):
    ended = limited(variables, "RLIMIT_NOFILE", count, *RUN, "a")
    assert "fault" not in ended.stderr
    if ended.returncode:
        assert ended.returncode == 3
        assert "too many files are open" in ended.stderr.splitlines()[-1]
        assert "built" not in ended.stderr


def test_a_limit_of_the_size_of_files_leaves_what_was_there(variables, tmp_path):
    out = tmp_path / "out.txt"
    out.write_text("before")
    ended = limited(variables, "RLIMIT_FSIZE", 0, *RUN, "a", "-o", str(out))
    assert ended.returncode in (2, 3)
    assert "ulimit -f" in ended.stderr.splitlines()[-1]
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_a_working_directory_that_is_gone_is_named(variables, tmp_path):
    gone = tmp_path / "gone"
    script = f'mkdir "{gone}" && cd "{gone}" && rmdir "{gone}" && exec "$@"'
    ended = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *MM, "model", "list"],
        env={**variables, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("mm: the working directory cannot be used (")


@pytest.mark.parametrize("place", ["runner.py", "requirements.lock"])
def test_a_pipe_in_the_place_of_a_file_is_named_and_not_waited_for(declare, mm, place):
    manifests = declare({"piped": RUNNER})
    file = manifests.parent / "envs" / "piped" / place
    file.unlink()
    os.mkfifo(file)
    ended = mm("run", "piped", "--text", "a", "--manifests", manifests)
    assert ended.code in (2, 3)
    assert f"{file}: " in ended.sentence
    assert "Not a regular file" in ended.sentence


def test_a_directory_without_permission_is_named(bad, workplace, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    ended = bad("use", "try-bad", "bad", unprivileged=True, cwd=tmp_path)
    assert ended.code == 0
    ended = bad(*RUN, "a", "-o", locked / "out", unprivileged=True)
    assert ended.code == 2
    assert f"{locked / 'out'}: " in ended.sentence


def test_no_message_holds_the_credentials_of_an_index(bad):
    url = "http://user:hunter2@127.0.0.1:1/simple"
    ended = bad("env", "lock", "--mine", "bad", "--index", url)
    assert ended.code == 2
    assert "hunter2" not in ended.out + ended.err
    assert "***@127.0.0.1" in ended.sentence
