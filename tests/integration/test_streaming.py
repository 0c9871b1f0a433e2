"""`mm run … -o -`: an output in a pipe while the model is still making it."""

import os
import struct
import subprocess

import pytest

from tests.integration.conftest import MM

MANIFEST = """\
name: {name}
task: try-{name}
summary: Sing, and wait for a file before the end
environment: {{python: ">=3.10", dependencies: []}}
inputs:
  flag: {{type: text, required: true, help: The file to wait for}}
  busy: {{type: boolean, default: false, help: Stream dots while waiting}}
  other: {{type: boolean, default: false, help: Return something else than was streamed}}
outputs:
  text: {{type: text, primary: true}}
  sound: {{type: audio}}
"""

RUNNER = """
    import array, os, time

    def load(context): ...

    def run(model, job, *, flag, busy, other):
        parts = [array.array("h", [1, 2, 3]), array.array("h", [4, 5])]
        job.emit("text", "one ")
        job.emit("sound", (parts[0], 8000))
        while not os.path.exists(flag):
            if job.cancelled:
                return {}
            time.sleep(0.01)
            if busy:
                job.emit("text", ".")
        job.emit("text", "two ")
        said = "another" if other else "one two three"
        return {"text": said, "sound": (parts[0] + parts[1], 8000)}
"""


@pytest.fixture(scope="module")
def manifests(declare):
    return declare({"singer": RUNNER}, MANIFEST)


@pytest.fixture
def sing(workplace, manifests, tmp_path):
    """Return a function that starts a run, and that to let it end."""

    def sing(*words):
        words = ["run", "singer", "--flag", str(tmp_path / "go"), *words]
        return subprocess.Popen(
            [*MM, *words, "--manifests", str(manifests)],
            env={**os.environ, **workplace},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return sing, (tmp_path / "go").touch


def test_text_is_there_before_the_job_ends(sing):
    start, let_it_end = sing
    with start("-o", "-") as process:
        assert process.stdout.read(4) == b"one "
        let_it_end()
        assert process.communicate()[0] == b"two three\n"
    assert process.returncode == 0


def test_sound_is_there_before_the_job_ends_with_an_open_length(sing):
    start, let_it_end = sing
    with start("-o", "sound=-") as process:
        head = process.stdout.read(44)
        assert process.stdout.read(6) == struct.pack("<3h", 1, 2, 3)
        let_it_end()
        assert process.communicate()[0] == struct.pack("<2h", 4, 5)
    assert process.returncode == 0
    assert head[:16] + head[36:40] == b"RIFF\xff\xff\xff\xffWAVEfmt data"
    assert struct.unpack("<HHIIHH", head[20:36]) == (1, 1, 8000, 16000, 2, 16)


def test_what_only_stands_at_the_end_of_a_pipe_gets_all_or_nothing(mm, manifests, tmp_path):
    words = ("run", "singer", "--flag", tmp_path / "never", "--manifests", manifests)
    ended = mm(*words, "--timeout", "1")
    assert (ended.code, ended.out) == (6, "")
    ended = mm(*words, "--timeout", "1", "-o", "-")
    assert (ended.code, ended.out) == (6, "one ")


def test_a_file_gets_a_whole_wav(sing, workplace, manifests, tmp_path):
    (tmp_path / "go").touch()
    with (tmp_path / "out.wav").open("wb") as stream:
        words = ["run", "singer", "--flag", str(tmp_path / "go"), "-o", "sound=-"]
        command = [*MM, *words, "--manifests", str(manifests)]
        subprocess.run(command, env={**os.environ, **workplace}, stdout=stream, check=True)
    data = (tmp_path / "out.wav").read_bytes()
    assert struct.unpack("<I", data[40:44]) == (10,)
    assert data[44:] == struct.pack("<5h", 1, 2, 3, 4, 5)


def test_a_reader_that_leaves_ends_the_job_in_peace(sing):
    start, _ = sing
    with start("-o", "-", "--busy") as process:
        assert process.stdout.read(4) == b"one "
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_what_was_streamed_must_be_how_the_output_begins(sing):
    start, let_it_end = sing
    let_it_end()
    with start("-o", "-", "--other") as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (1, b"one two ")
    assert b"what was streamed of 'text' is not how it begins" in err
