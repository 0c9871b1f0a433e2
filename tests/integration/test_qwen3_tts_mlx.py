"""Qwen3-TTS by MLX on the CPU, on a tiny checkpoint of its real architecture that torch wrote."""

import json
import os
import shutil
import subprocess
from array import array
from functools import partial

import pytest

import orchestrator
from orchestrator.errors import Rejected
from tests.integration.conftest import MM, ROOT, SPEAKER, run_mm

MODEL, DESIGN, CLONE = "qwen3-tts-mlx", "qwen3-tts-design-mlx", "qwen3-tts-clone-mlx"
FRAME = 48
"""Samples of the tiny codec."""
ERROR = 1e-3
"""By how much samples may differ between torch and MLX, in float32."""


@pytest.fixture(scope="module")
def variables(workplace, tmp_path_factory):
    """Variables for all that runs here; a tiny model needs less memory than the manifest says."""
    root = tmp_path_factory.mktemp("declared")
    shutil.copytree(ROOT / "envs" / MODEL, root / "envs" / MODEL)
    (root / "manifests").mkdir()
    for name in (MODEL, DESIGN, CLONE):
        manifest = (ROOT / "manifests" / f"{name}.yaml").read_text()
        assert " GiB" in manifest
        (root / "manifests" / f"{name}.yaml").write_text(manifest.replace(" GiB", "0 MiB"))
    return {**workplace, "MM_MANIFESTS": str(root / "manifests"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def mm(mm, variables):
    """Return the function that runs `mm`, with our variables."""
    return partial(mm, variables=variables)


@pytest.fixture(scope="module")
def checkpoints(saved):
    """The directory of the tiny checkpoints."""
    return saved(SPEAKER)


@pytest.fixture(scope="module")
def session(variables, checkpoints):
    """A session with the models' weights, which are forgotten in the end."""
    given = {MODEL: "wide", DESIGN: "wide-voice_design", CLONE: "wide-base"}
    for model, kind in given.items():
        run_mm(variables, "model", "add", model, checkpoints / kind)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with orchestrator.Session() as session:
            yield session
    for model in given:
        run_mm(variables, "model", "remove", model)


@pytest.fixture
def speak(session):
    """Return a function that returns the samples of speech."""

    def speak(text="Hi.", **keywords):
        return bytes(session.run(MODEL, text=text, **keywords)["audio"].samples)

    return speak


@pytest.mark.parametrize(
    ("model", "spoken", "inputs"),
    [
        (MODEL, "wide", {}),
        (DESIGN, "wide-voice_design", {"instruct": "Low"}),
        (CLONE, "wide-base", {"reference": "voice.wav"}),
        (CLONE, "wide-base-text", {"reference": "voice.wav", "reference_text": "Ah."}),
    ],
)
def test_it_speaks_as_torch_does(session, checkpoints, model, spoken, inputs):
    if "reference" in inputs:
        inputs = {**inputs, "reference": checkpoints / inputs["reference"]}
    result = session.run(model, text="Hi.", temperature=0.0, **inputs)
    of_torch = array("f", (checkpoints / f"{spoken}.f32").read_bytes())
    samples = array("f", bytes(result["audio"].samples))
    assert len(samples) == len(of_torch) == 57 * FRAME
    assert max(map(abs, of_torch)) > 100 * ERROR
    assert max(abs(a - b) for a, b in zip(samples, of_torch, strict=True)) < ERROR
    # The likeliest codes of random weights go round in circles.
    assert result.receipt["warnings"] == ["cut off, as it found no end: piece 1"]
    made = result.receipt["produced_by"]
    assert (made["device"], made["dtype"]) == ("mlx", "float32")


def test_the_seed_the_speaker_and_the_language_decide(speak):
    plain = speak()
    assert speak(seed=0) == plain
    others = [speak(seed=3), speak(speaker="Ryan"), speak(language="zh"), speak("Hello.")]
    assert len({plain, *others}) == 5


def test_a_conversion_that_is_killed_leaves_nothing_and_two_at_once_convert_once(
    session, variables
):
    command = [*MM, "model", "convert", MODEL, "--precision", "4bit"]
    keywords = {"env": {**os.environ, **variables}, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **keywords) as victim:
        for line in victim.stderr:
            if "reading the weights" in line:
                victim.kill()
    assert "4bit" not in json.loads(run_mm(variables, "model", "show", MODEL))["weights"]
    ends = [subprocess.Popen(command, **keywords) for _ in range(2)]
    said = sorted(each.communicate()[1].splitlines()[-1].split(",")[0] for each in ends)
    assert [each.returncode for each in ends] == [0, 0]
    assert said == [
        f"mm: {MODEL} --precision 4bit: converted",
        f"mm: {MODEL} --precision 4bit: was converted before",
    ]


def test_converted_weights_speak_as_the_original_and_quantized_ones_are_smaller(
    session, speak, variables, checkpoints
):
    before = {path: path.stat().st_mtime_ns for path in checkpoints.rglob("*")}
    original = speak("a", seed=4, dtype="bfloat16")
    run_mm(variables, "model", "convert", MODEL, "--precision", "bf16")
    assert speak("a", seed=4, dtype="bfloat16") == original
    shown = json.loads(run_mm(variables, "model", "show", MODEL))
    records = [shown["source"], *(shown["converted"][each] for each in ("bfloat16", "4bit"))]
    sizes = [record["files"]["model.safetensors"]["size"] for record in records]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < sizes[0] / 2
    assert speak("a", seed=4, dtype="4bit") != original
    assert {path: path.stat().st_mtime_ns for path in checkpoints.rglob("*")} == before


def test_long_text_is_streamed_piece_by_piece_and_is_the_whole_in_the_end(session, speak):
    text, seed = "a\n\nb\n\nc", 4  # with which all three soon end
    chunks = list(session.stream(MODEL, text=text, seed=seed))
    assert len(chunks) == 3
    assert b"".join(bytes(chunk.samples) for chunk in chunks) == speak(text, seed=seed)
    assert {chunk.rate for chunk in chunks} == {24000}


def test_a_job_that_is_given_up_leaves_the_model_as_it_was(session, speak, variables):
    before = speak("Go on.")
    workers = [each["pid"] for each in json.loads(run_mm(variables, "ps", "--json"))["workers"]]
    stream = session.stream(MODEL, text="Hi.\n\n" * 20_000)
    next(stream)
    stream.close()
    assert speak("Go on.") == before
    now = [each["pid"] for each in json.loads(run_mm(variables, "ps", "--json"))["workers"]]
    assert now == workers


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"speaker": "nemo"}, "speaker: 'nemo' is not one of vivian, ryan, dylan"),
        ({"instruct": "Happy"}, "instruct: this model follows no instructions"),
    ],
)
def test_what_the_model_does_not_do_is_refused(session, inputs, said):
    with pytest.raises(Rejected, match=said):
        session.run(MODEL, text="Hi.", **inputs)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("base", "is for cloned voices (Base), and this model needs one for ready voices"),
        # Of sizes by which MLX takes the weights of convolutions for converted ones.
        ("custom_voice", "has the shape"),
    ],
)
def test_another_checkpoint_is_refused(mm, checkpoints, tmp_path, kind, said):
    mm("model", "add", MODEL, checkpoints / kind)
    ended = mm("run", MODEL, "--text", "Hi.", "-o", tmp_path / "x.wav")
    assert ended.code != 0
    assert said in ended.err
