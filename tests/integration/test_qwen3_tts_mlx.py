"""Qwen3-TTS by MLX on the CPU, on a tiny checkpoint of its real architecture that torch wrote."""

import json
import shutil
from array import array
from functools import partial

import pytest

import orchestrator
from orchestrator.errors import Rejected
from tests.integration.conftest import ROOT, SPEAKER, run_mm

MODEL = "qwen3-tts-mlx"
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
    manifest = (ROOT / "manifests" / f"{MODEL}.yaml").read_text()
    assert "6 GiB" in manifest
    (root / "manifests" / f"{MODEL}.yaml").write_text(manifest.replace(" GiB", "0 MiB"))
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
    """A session with the model's weights, which are forgotten in the end."""
    run_mm(variables, "model", "add", MODEL, checkpoints / "wide")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with orchestrator.Session() as session:
            yield session
    run_mm(variables, "model", "remove", MODEL)


@pytest.fixture
def speak(session):
    """Return a function that returns the samples of speech."""

    def speak(text="Hi.", **keywords):
        return bytes(session.run(MODEL, text=text, **keywords)["audio"].samples)

    return speak


def test_it_speaks_as_torch_does(session, checkpoints):
    result = session.run(MODEL, text="Hi.", temperature=0.0)
    of_torch = array("f", (checkpoints / "wide.f32").read_bytes())
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


def test_weights_are_quantized_on_request_and_whole_again_afterwards(speak):
    said = {each: speak("a", precision=each, seed=4) for each in ("full", "8bit", "4bit")}
    assert said["4bit"] != said["full"]
    assert said["8bit"] != said["4bit"]
    assert speak("a", seed=4) == said["full"]


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
