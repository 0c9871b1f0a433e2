"""What the runner of Qwen3-TTS does by itself: text, checkpoints, what it asks of the package."""
# ruff: noqa: RUF001 - marks that look alike are what this is about

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.envs.runners import Job, Rejection, load_runner

MARKS = ("<|im_start|>", "<|im_end|>", "<tts_pad>")
LONGEST = 150.0


@pytest.fixture(scope="module")
def runner():
    return load_runner("qwen3-tts")


# -- text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no text to speak"),
        (" \n\t ", "there is no text to speak"),
        ("?! … 。、", "the text has no letters or digits that could be spoken"),
        ("😀👍🏽", "the text has no letters or digits that could be spoken"),
        ("<|im_end|>", "the text has no letters or digits that could be spoken"),
        ("a" * 100_001, "the text has 100,001 characters and the limit is 100,000"),
    ],
)
def test_text_that_cannot_be_spoken_is_refused(runner, text, said):
    with pytest.raises(Rejection, match=f"^{said}"):
        runner.text.checked(text, MARKS, Job())


def test_inputs_are_looked_at_before_the_model_is_loaded(runner):
    runner.check(Job(), text="Hi.", speaker="vivian")
    with pytest.raises(Rejection, match="no text to speak"):
        runner.check(Job(), text=" ")


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("Hello 😀 world", "Hello world"),
        ("one\ttwo\u200bthree\x00", "one twothree"),
        ("line\r\nline\rline\u2029end", "line\nline\nline\n\nend"),
        ("a<|im_end|>b <tts_pad>", "a b"),
        ("<|im_<|im_end|>end|> x", "<|im_ end|> x"),
        ("21 °C, 3 × 4, ½ €", "21 °C, 3 × 4, ½ €"),
        ("e\u0301", "é"),
        ("Hello, 世界! Привет.", "Hello, 世界! Привет."),
    ],
)
def test_what_is_no_text_is_left_out(runner, text, readable):
    assert runner.text.readable(text, MARKS) == readable


@given(st.text(max_size=200))
def test_no_mark_of_the_model_is_left_in_a_text(runner, text):
    readable = runner.text.readable(f"{text}<|im_end|>{text}", MARKS)
    assert not any(mark in readable for mark in MARKS)


@pytest.mark.parametrize(
    ("paragraph", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Who met Mr. J. Smith. Then he left.", ["Dr. Who met Mr. J. Smith.", "Then he left."]),
        ("It costs 3.50 in v1.2.3 now. Yes.", ["It costs 3.50 in v1.2.3 now.", "Yes."]),
        ("Wait … what? no.", ["Wait … what? no."]),
        ('"Stop!" he said. "Go."', ['"Stop!" he said.', '"Go."']),
        ("你好。今天好吗？很好！再见", ["你好。", "今天好吗？", "很好！", "再见"]),
        ("「はい。」と言った。", ["「はい。」", "と言った。"]),
        ("Das kostet ca. fünf Euro. Gut.", ["Das kostet ca. fünf Euro.", "Gut."]),
    ],
)
def test_sentences(runner, paragraph, sentences):
    assert list(runner.pieces.sentences(paragraph)) == sentences


def test_paragraphs_are_spoken_apart_and_sentences_together(runner):
    pieces = runner.pieces.cut("First line,\nsame line. Next.\n\n\n第一行\n第二行。", LONGEST)
    assert [(piece.text, piece.pause) for piece in pieces] == [
        ("First line, same line. Next.", "paragraph"),
        ("第一行第二行。", "paragraph"),
    ]


def test_a_sentence_too_long_is_cut_after_a_comma_else_at_a_space_else_anywhere(runner):
    words = "some words and more of them"
    by_comma = runner.pieces.cut(f"{words * 3}, {words * 5}.", LONGEST)
    assert by_comma[0].text.endswith(",")
    assert by_comma[0].pause == "clause"
    assert by_comma[-1].pause == "paragraph"
    assert runner.pieces.cut("word " * 60, LONGEST)[0].text.endswith("word")
    assert len(runner.pieces.cut("字" * 120, LONGEST)[0].text) == 50


def test_a_long_text_is_cut_at_once(runner):
    text = runner.text.checked("One more sentence of a book. " * 3448, MARKS, Job())
    pieces = runner.pieces.cut(text, LONGEST)
    assert " ".join(piece.text for piece in pieces) == text
    assert len(pieces) > 500


@given(st.text("ab., 。字1\n!?-", max_size=400), st.floats(8, 200))
def test_nothing_spoken_is_lost_and_no_piece_is_too_long(runner, text, longest):
    readable = runner.text.readable(text, MARKS)
    pieces = runner.pieces.cut(readable, longest)
    spoken = [c for c in readable if c.isalnum()]
    assert [c for piece in pieces for c in piece.text if c.isalnum()] == spoken
    assert all(runner.text.is_spoken(piece.text) for piece in pieces)
    assert all(piece.frames <= longest for piece in pieces)


def test_the_usual_length_of_a_text_follows_its_script(runner):
    assert (
        runner.pieces.frames_of("你好")
        > runner.pieces.frames_of("こんに")
        > runner.pieces.frames_of("hello")
    )
    assert runner.pieces.frames_of("123") > runner.pieces.frames_of("abc")
    assert runner.pieces.frames_of("안녕") > runner.pieces.frames_of("Привет") * 0.9


# -- sound -----------------------------------------------------------------------------------------


def test_a_pause_counts_what_is_quiet_already(runner):
    loud, quiet = np.ones(100, np.float32), np.zeros(2000, np.float32)
    apart = runner.pauses.pause_between(loud, loud, 24000, "sentence")
    assert len(apart) == 8400
    nearer = runner.pauses.pause_between(
        np.append(loud, quiet), np.append(quiet, loud), 24000, "sentence"
    )
    assert len(nearer) == 4400
    assert not len(
        runner.pauses.pause_between(np.zeros(99999, np.float32), loud, 24000, "paragraph")
    )


# -- what the package makes of a batch -------------------------------------------------------------

RATE = 24000


class Package:
    """Speaks each text for the next of the given numbers of frames, and calls hooks once."""

    def __init__(self, *frames):
        self.frames, self.asked, self.hooks = list(frames), [], []
        part = SimpleNamespace(register_forward_hook=self.hook, register_forward_pre_hook=self.hook)
        codec = SimpleNamespace(model=SimpleNamespace(decoder=part))
        self.model = SimpleNamespace(talker=part, speech_tokenizer=codec)

    def hook(self, call):
        self.hooks.append(call)
        return SimpleNamespace(remove=lambda: self.hooks.remove(call))

    def generate_custom_voice(self, text, max_new_tokens, **keywords):
        self.asked.append((text, max_new_tokens, keywords))
        for call in self.hooks:
            call()
        spoken = [min(self.frames.pop(0), max_new_tokens - 1) for _ in text]
        return [np.ones(each * RATE * 2 // 25, np.float32) for each in spoken], RATE


def speak(runner, package, job, *texts):
    voice = runner.speaking.Voice(package, "custom_voice", 4, LONGEST)
    pieces = [runner.pieces.Piece(text, 10.0, "sentence") for text in texts]
    waves, rate = runner.speaking.speak_batch(voice, job, pieces, 0, len(pieces), {"top_k": 5})
    assert rate == RATE
    return [len(wave) * 25 / RATE / 2 for wave in waves]


def test_pieces_are_spoken_together(runner):
    package, job = Package(12, 9), Job()
    assert speak(runner, package, job, "One.", "Two.") == [12, 9]
    assert package.asked == [(["One.", "Two."], 81, {"top_k": 5})]
    assert (package.hooks, job.said) == ([], [])


def test_what_finds_no_end_is_spoken_again_and_then_cut_off(runner):
    package, job = Package(12, 999, 11), Job()
    assert speak(runner, package, job, "One.", "Two.") == [12, 11]
    assert package.asked[1][0] == ["Two."]
    assert job.said == [("log", "speaking again what found no end: piece 2")]
    package, job = Package(999, 999), Job()
    assert speak(runner, package, job, "One.") == [80]
    assert job.said[1:] == [("warn", "cut off, as it found no end: piece 1")]


def test_a_job_that_is_cancelled_stops_between_two_steps(runner):
    package = Package(12)
    with pytest.raises(runner.speaking.Stopped):
        speak(runner, package, Job(cancelled=True), "One.")
    assert package.hooks == []


# -- what is asked of the package ------------------------------------------------------------------


def test_only_what_was_given_is_asked_of_the_package(runner):
    assert runner.sampling(None, None, None, None) == {}
    assert runner.sampling(0.5, None, 0.9, 1.1) == {
        "temperature": 0.5,
        "subtalker_temperature": 0.5,
        "top_p": 0.9,
        "subtalker_top_p": 0.9,
        "repetition_penalty": 1.1,
    }
    assert runner.sampling(0, 5, None, None) == {"do_sample": False, "subtalker_dosample": False}


# -- checkpoints -----------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path, runner):
    for name in (
        *runner.checkpoint.FILES,
        "model.safetensors",
        "speech_tokenizer/model.safetensors",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    described = {"model_type": "qwen3_tts", "tts_model_type": "base"}
    (tmp_path / "config.json").write_text(json.dumps(described))
    return tmp_path


def test_a_whole_checkpoint_of_the_right_type_is_taken(runner, checkpoint):
    runner.checkpoint.check_files(checkpoint)
    runner.checkpoint.check_type(checkpoint, "base")


@pytest.mark.parametrize(
    "name", ["vocab.json", "model.safetensors", "speech_tokenizer/model.safetensors"]
)
def test_a_missing_file_is_named(runner, checkpoint, name):
    (checkpoint / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no file {name}$"):
        runner.checkpoint.check_files(checkpoint)


def test_a_missing_part_of_the_weights_is_named(runner, checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / "model-1.safetensors")
    parts = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": parts}))
    with pytest.raises(FileNotFoundError, match=r"has no file model-2\.safetensors$"):
        runner.checkpoint.check_files(checkpoint)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "qwen3"}, "is of the model qwen3, not qwen3_tts"),
        ({}, "is of the model none that is named, not qwen3_tts"),
        (
            {"model_type": "qwen3_tts", "tts_model_type": "base"},
            r"is for cloned voices \(Base\), and this model needs one for ready voices",
        ),
    ],
)
def test_another_checkpoint_is_refused(runner, checkpoint, config, said):
    (checkpoint / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=said):
        runner.checkpoint.check_type(checkpoint, "custom_voice")


# -- Apple's GPU -----------------------------------------------------------------------------------


@pytest.fixture
def packages(monkeypatch):
    """The packages of the environment, as far as `load` asks them; returns what was asked."""
    asked = SimpleNamespace(available=True, codecs=[])

    def read(_folder, *, dtype, device_map):
        asked.codecs.append((device_map, dtype))
        return SimpleNamespace(encode=print, decode=print)

    def model(_folder, *, dtype, device_map, local_files_only):
        part = SimpleNamespace(speech_tokenizer=None)
        part.load_speech_tokenizer = lambda codec: setattr(part, "speech_tokenizer", codec)
        part.load_speech_tokenizer(read(None, dtype=dtype, device_map=device_map))
        return SimpleNamespace(model=part)

    def empty(_size, *, device):
        if not asked.available:
            raise RuntimeError(f"The {device} backend is supported on MacOS 14.0+")

    backends = SimpleNamespace(mkldnn=None)
    torch = SimpleNamespace(float32=32, bfloat16=16, empty=empty, backends=backends)
    qwen = SimpleNamespace(
        Qwen3TTSModel=SimpleNamespace(from_pretrained=model),
        Qwen3TTSTokenizer=SimpleNamespace(from_pretrained=read),
    )
    for name, module in {"torch": torch, "torch.backends": backends, "qwen_tts": qwen}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return asked


def loaded(runner, checkpoint, device, dtype):
    options = {"type": "base", "batch": 1, "piece": 1}
    context = SimpleNamespace(options=options, model_dir=checkpoint, device=device, dtype=dtype)
    return runner.load(context)


@pytest.mark.parametrize(
    ("device", "dtype", "codec"),
    [
        ("mps", "bfloat16", ("cpu", 32)),
        ("mps", "float32", ("cpu", 32)),
        ("cuda", "bfloat16", ("cuda", 32)),
        ("cuda", "float32", ("cuda", 32)),
    ],
)
def test_the_codec_computes_in_float32_and_not_on_apples_gpu(
    runner, checkpoint, packages, device, dtype, codec
):
    loaded(runner, checkpoint, device, dtype)
    assert packages.codecs[-1] == codec


def test_a_gpu_that_torch_cannot_use_is_said_before_the_load(runner, checkpoint, packages):
    packages.available = False
    with pytest.raises(RuntimeError, match=r"supported on MacOS 14\.0"):
        loaded(runner, checkpoint, "mps", "float32")
    assert packages.codecs == []
