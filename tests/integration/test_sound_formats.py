"""Sound as MP3 and the like, by the commands that write files of it."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import MM
from tests.sounds import heard

MANIFEST = """\
name: {name}
task: hum
summary: Hums a tone for each word
environment: {{python: ">=3.10", dependencies: []}}
inputs: {{text: {{type: text, required: true}}}}
outputs: {{audio: {{type: audio, primary: true}}}}
"""

HUMS = """
    import array, math, time
    RATE = 24000
    def load(context): ...
    def run(model, job, *, text):
        whole = array.array("h")
        for word in text.split():
            if word == "wait":
                job.progress(0, 1, "waiting")
                while not job.cancelled:
                    time.sleep(0.01)
                break
            part = array.array(
                "h", (round(16000 * math.sin(2 * math.pi * 440 * n / RATE)) for n in range(RATE))
            )
            job.emit("audio", (part, RATE))
            whole += part
        return {"audio": (whole, RATE)}
    """

PIPELINE = """\
name: hum-words
summary: Hum
inputs: {text: {type: text, required: true}, words: {type: text, list: true, default: [a, b]}}
steps:
  - {id: hum, run: hums, with: {text: "${{ inputs.text }}"}}
  - {id: each, run: hums, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
outputs:
  audio: "${{ steps.hum.audio }}"
  parts: "${{ steps.each.audio }}"
"""


@pytest.fixture(scope="module")
def manifests(declare):
    directory = declare({"hums": HUMS}, MANIFEST)
    (directory / "pipelines").mkdir()
    (directory / "pipelines" / "hum-words.yaml").write_text(PIPELINE)
    return directory


@pytest.fixture
def run(mm, manifests):
    return lambda *words, **more: mm("--manifests", manifests, *words, **more)


def seconds(path):
    return heard(Path(path).read_bytes())["seconds"]


def test_a_job_writes_the_format_that_its_file_names(run, tmp_path):
    done = run("run", "hums", "--text", "a b c", "-o", "it.opus", "--json")
    assert done.code == 0, done
    assert json.loads(done.out)["outputs"]["audio"] == {
        "path": "it.opus", "media_type": "audio/ogg",
    }  # fmt: skip
    assert seconds(tmp_path / "it.opus") == pytest.approx(3.0, abs=0.1)
    refused = run("run", "hums", "--text", "a", "-o", "it.aiff")
    assert (refused.code, "sound is written as .wav, .mp3" in refused.sentence) == (2, True)


def test_what_a_job_made_before_its_end_is_kept_in_that_format(run, tmp_path):
    (tmp_path / "it.mp3").write_bytes(b"of another time")
    ended = run("run", "hums", "--text", "a b wait", "-o", "it.mp3", "--timeout", "3")
    assert ended.code == 6, ended
    assert seconds(tmp_path / "it.partial.mp3") == pytest.approx(2.0, abs=0.1)
    assert (tmp_path / "it.mp3").read_bytes() == b"of another time"
    assert sorted(os.listdir(tmp_path)) == ["it.mp3", "it.partial.mp3"]


def test_a_command_that_is_killed_leaves_what_was_there(workplace, manifests, tmp_path):
    (tmp_path / "it.mp3").write_bytes(b"of another time")
    words = ["--manifests", manifests, "run", "hums", "--text", "a b wait", "-o", "it.mp3"]
    process = subprocess.Popen(
        [*MM, *map(str, words)],
        env={**os.environ, **workplace},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    next(line for line in process.stderr if "waiting" in line)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "it.mp3").read_bytes() == b"of another time"


def test_a_pipeline_and_a_batch(run, tmp_path):
    words = ["pipeline", "run", "hum-words", "--text", "a b", "-o", "it.m4a", "-o", "parts=parts"]
    for _ in range(2):  # what a run has written itself does not stop the next one
        done = run(*words, "--sound-format", "ogg")
        assert done.code == 0, done
    assert sorted(os.listdir(tmp_path / "parts")) == ["0001.ogg", "0002.ogg"]
    assert seconds(tmp_path / "parts" / "0002.ogg") == pytest.approx(1.0, abs=0.1)
    assert seconds(tmp_path / "it.m4a") == pytest.approx(2.0, abs=0.2)
    (tmp_path / "words.txt").write_text("a")
    done = run("batch", "hums", "words.txt", "-o", "out.jsonl", "--sound-format", "flac")
    assert done.code == 0, done
    shown = json.loads((tmp_path / "out.jsonl").read_text())["outputs"]["audio"]
    assert shown["media_type"] == "audio/flac"
    assert heard((tmp_path / shown["path"]).read_bytes())["codec"] == "flac"
