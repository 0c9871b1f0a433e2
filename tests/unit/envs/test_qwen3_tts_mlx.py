"""What the runner of Qwen3-TTS by MLX does by itself, and shares with its twin for torch."""

import re
from contextlib import nullcontext
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from orchestrator.core.manifest_reader import read_manifest
from tests.unit.envs.runners import ENVS, Job, load_runner

MLX, TORCH = "qwen3-tts-mlx", "qwen3-tts"


@pytest.fixture(scope="module")
def runner():
    return load_runner(MLX)


@pytest.mark.parametrize("name", ["checkpoint", "pauses", "pieces", "recording", "text"])
def test_text_and_checkpoints_are_looked_at_as_the_twin_does(name):
    mine, twins = (ENVS / each / "runner" / f"{name}.py" for each in (MLX, TORCH))
    assert mine.read_bytes() == twins.read_bytes()


def test_weights_are_quantized_as_those_of_the_other_model_by_mlx():
    mine, other = (ENVS / each / "runner" / "precision.py" for each in (MLX, "deepseek-ocr-2-mlx"))
    assert mine.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("voices", ["", "-1.7b", "-design", "-clone"])
def test_weights_and_inputs_are_those_of_the_twin(voices):
    mine, twin = (
        read_manifest((ENVS.parent / "manifests" / f"{name}.yaml").read_bytes(), file="", stem=name)
        for name in (f"{TORCH}{voices}-mlx", f"{TORCH}{voices}")
    )
    assert (mine.source, mine.family) == (twin.source, twin.family)
    assert (mine.inputs, mine.outputs) == (twin.inputs, twin.outputs)
    assert mine.options["type"] == twin.options["type"]
    assert list(mine.weights) == ["bfloat16", "8bit", "4bit"]
    for name in (MLX, TORCH):
        known = msgspec.json.decode((ENVS / name / "files.json").read_bytes())
        hashes = known[mine.source.revision]  # of weights, from whatever hub they come
        assert {"model.safetensors", "speech_tokenizer/model.safetensors"} <= hashes.keys()
        assert all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes.values())
    original = str(twin.source.repo).removeprefix("Qwen/")
    assert all(original in each.repo for each in mine.weights.values())
    assert mine.preference_on("macos-arm64") > twin.preference_on("macos-arm64")
    assert mine.preference_on("linux-x86_64") < twin.preference_on("linux-x86_64")


def test_no_frame_is_cut_off_for_a_code_0(runner):
    def decode(codes):
        kept = (codes[..., 0] > 0).sum(axis=1) * 48
        return np.ones((1, codes.shape[1] * 48)), kept

    codec = SimpleNamespace(decode=decode, decode_upsample_rate=48)
    runner.loading.whole(codec)
    wave, lengths = codec.decode(np.zeros((1, 5, 3)))
    assert wave.shape == (1, 240)
    assert lengths == [240]


class Talker:
    """Stands for the package's model: each piece takes the next of `lengths` frames."""

    sample_rate = 24000
    config = SimpleNamespace(tts_model_type="custom_voice")

    def __init__(self, *lengths):
        self.lengths = list(lengths)
        self.speech_tokenizer = SimpleNamespace(decode=lambda codes: (codes, [len(codes)]))

    def _sample_token(self, logits, **more):
        return logits

    def generate_custom_voice(self, *, text, max_tokens, **_):
        count = min(self.lengths.pop(0), max_tokens)
        for _frame in range(count):
            self._sample_token([text], suppress_tokens=[1])
            self._sample_token([text])
        self.speech_tokenizer.decode([0] * count)
        if count:
            yield SimpleNamespace(audio=np.ones(count), token_count=count)


def spoken(runner, talker, job, **speak):
    piece = runner.pieces.Piece("Hi.", 2.0, "sentence")  # 56 frames at most
    wave, rate = runner.speaking.speak_piece(talker, job, piece, 0, 1, speak)
    assert rate == 24000
    return len(wave)


def test_what_finds_no_end_is_spoken_again_and_cut_off_at_last(runner):
    job = Job()
    assert spoken(runner, Talker(7), job) == 7
    assert spoken(runner, Talker(1000, 9), job) == 9
    assert [kind for kind, _ in job.said] == ["log"]
    assert spoken(runner, Talker(1000, 1000), job) == 56
    assert job.said[-1] == ("warn", "cut off, as it found no end: piece 1")
    # The likeliest codes would be the same again.
    assert spoken(runner, Talker(1000), Job(), temperature=0) == 56
    assert spoken(runner, Talker(0), Job()) == 0


def test_a_job_that_is_cancelled_ends_at_the_next_token(runner):
    talker = Talker(5)
    with pytest.raises(runner.speaking.Stopped):
        spoken(runner, talker, Job(cancelled=True))
    assert spoken(runner, Talker(5), Job()) == 5
    assert talker._sample_token("as before") == "as before"


@pytest.mark.parametrize(
    ("config", "dtype", "said"),
    [
        ("{}", "4bit", "are not quantized, and those that were asked for are of 4 bits"),
        ('{"quantization": {"bits": 8}}', "4bit", "are of 8 bits"),
        ('{"quantization_config": {"bits": 4}}', "bfloat16", "asked for are not quantized"),
        ('{"quantization": {"bits": 4}}', "4bit", ""),
        ("{}", "float32", ""),
    ],
)
def test_weights_have_the_precision_that_was_asked_for(runner, tmp_path, config, dtype, said):
    (tmp_path / "config.json").write_text(config)
    refused = pytest.raises(ValueError, match=said) if said else nullcontext()
    with refused:
        runner.precision.check_precision(tmp_path, dtype)


def test_what_the_talker_does_is_traced_and_left_as_it_was(runner, monkeypatch):
    monkeypatch.setattr(runner.tracing, "floats", np.asarray)
    step = np.ones((1, 1, 4))

    def talker(inputs, **_):
        return np.zeros((1, inputs.shape[1], 20)), inputs * 2

    tts = SimpleNamespace(talker=talker, _sample_token=lambda logits: np.full((1, 1), len(logits)))

    def speak(steps):
        with runner.tracing.traced(tts) as kept:
            try:
                for number in range(steps):
                    logits, _ = tts.talker(step if number else np.ones((1, 5, 4)), cache=None)
                    for _code in range(3):
                        tts._sample_token(logits)
            except runner.speaking.Stopped:
                pass
        return {name: array.shape for name, array in kept.arrays.items()}

    ended = {
        "prompt": (5, 4),
        "hidden": (3, 4),
        "logits": (3, 20),
        "codes": (2, 3),
        "frames": (2, 4),
    }
    assert speak(3) == ended
    assert speak(20)["logits"] == (8, 20)
    assert list(speak(1)) == ["prompt", "hidden", "logits"]
    assert tts.talker is talker
