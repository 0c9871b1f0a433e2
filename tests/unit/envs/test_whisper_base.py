"""How sound is cut for the recogniser, and which of its text is believed."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from tests.unit.envs.runners import Job, load_runner

runner = load_runner("whisper-base")
cutting = import_module(f"{runner.__name__}.passages")
model = import_module(f"{runner.__name__}.model")
recognition = import_module(f"{runner.__name__}.recognition")
RATE = cutting.RATE


def loud(block):
    """Find speech where samples are not silent, in steps of a second."""
    seconds = [not cutting.is_silent(block[at : at + RATE]) for at in range(0, len(block), RATE)]
    found = []
    for second, speaks in enumerate(seconds):
        if (
            speaks
            and found
            and found[-1][1] == second * RATE
            and second * RATE - found[-1][0] < 28 * RATE
        ):
            found[-1] = (found[-1][0], found[-1][1] + RATE)
        elif speaks:
            found.append((second * RATE, (second + 1) * RATE))
    return [(start, min(end, len(block))) for start, end in found]


def sound(*seconds, step=RATE // 2):
    """Yield pieces of a sound that is silent (0) or not (1), second by second."""
    samples = np.repeat(np.float32(seconds), RATE) * 0.5
    for at in range(0, len(samples), step):
        yield samples[at : at + step]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], []),
        ([0] * 200, []),
        ([0, 1, 1, 0, 1], [(1, 4)]),
        ([1, 0, 0, 1], [(0, 1), (3, 1)]),
        ([0] * 59 + [1] * 3 + [0] * 90 + [1] * 2, [(59, 3), (152, 2)]),
        ([1] * 100, [(0, 28), (28, 28), (56, 28), (84, 16)]),
    ],
)
def test_passages_begin_and_end_in_pauses_wherever_blocks_end(seconds, expected):
    found = list(cutting.passages(sound(*seconds), loud))
    assert [(begin, len(samples) / RATE) for begin, samples in found] == expected
    assert all(len(samples) <= cutting.LONGEST * RATE for _, samples in found)


@pytest.mark.parametrize(
    "pattern", [[1] * 57 + [0] * 3, [1] * 2 + [0] * 3598], ids=["much", "little"]
)
def test_an_hour_is_looked_at_a_block_at_a_time(pattern):
    held = []

    def find(block):
        held.append(len(block))
        return loud(block)

    hour = (part for _ in range(3600 // len(pattern)) for part in sound(*pattern))
    passages = list(cutting.passages(hour, find))
    assert max(held) <= (cutting.BLOCK + 1) * RATE
    assert sum(held) <= 3 * 3600 * RATE
    assert (
        sum(len(samples) for _, samples in passages) == 3600 // len(pattern) * sum(pattern) * RATE
    )


def test_without_a_search_for_speech_all_but_silence_is_cut_where_it_is_quietest():
    block = np.full(50 * RATE, 0.5, np.float32)
    block[24 * RATE : 24 * RATE + RATE // 5] = 0.01
    (_, cut), (start, end) = cutting.everything(block)
    assert (cut, end) == (start, len(block))
    assert 24 <= cut / RATE <= 24.2
    assert cutting.everything(np.zeros(90 * RATE, np.float32)) == []


def segment(text, start=0.0, end=1.0, **more):
    values = {"avg_logprob": -0.2, "no_speech_prob": 0.0, "compression_ratio": 1.0, "words": None}
    return SimpleNamespace(text=text, start=start, end=end, **{**values, **more})


class Whisper:
    """Stands for the model: finds the languages and segments that it is given."""

    def __init__(self, passages, languages=()):
        self.passages = iter(passages)
        self.languages = iter(languages)
        self.asked = []

    def feature_extractor(self, samples):
        return np.zeros((80, len(samples) // 160 + 1))

    def detect_language(self, features):
        assert features.shape[1] > 0
        code, likelihood = next(self.languages)
        return code, likelihood, []

    def transcribe(self, samples, *, language, **_):
        self.asked.append(language)
        return iter(next(self.passages)), None


SECOND = np.zeros(RATE, np.float32)


def recognise(*segments, words=False, language="en"):
    recogniser = recognition.Recogniser(Whisper([segments]), language, words=words)
    return list(recogniser.segments(10, SECOND)), recogniser


@pytest.mark.parametrize(
    "invented",
    [
        {"compression_ratio": 2.5},
        {"avg_logprob": -1.7},
        {"no_speech_prob": 0.7, "avg_logprob": -0.8},
        {"text": f" {recognition.PROMPTS['zh']}"},
    ],
)
def test_what_is_no_transcript_is_left_out(invented):
    doubtful = segment(**{"text": "Thank you.", "start": 0.5, **invented})
    found, recogniser = recognise(segment(" Yes."), doubtful, language="zh")
    assert [each["text"] for each in found] == ["Yes."]
    assert recogniser.left_out == [10.5]


def test_the_same_words_again_and_again_are_believed_twice():
    texts = ["no", "no", "no", "no", "yes", "no"]
    found, recogniser = recognise(*(segment(text) for text in texts))
    assert [each["text"] for each in found] == ["no", "no", "yes", "no"]
    assert len(recogniser.left_out) == 2


def test_times_lie_in_the_passage_and_never_go_back():
    words = [SimpleNamespace(word=" b", start=0.9, end=1.4, probability=0.5)]
    found, _ = recognise(
        segment("a", 0.2, 0.6, words=[]), segment(" b ", 0.5, 3, words=words), words=True
    )
    assert [(each["start"], each["end"], each["text"]) for each in found] == [
        (10.2, 10.6, "a"),
        (10.6, 11, "b"),
    ]
    assert found[1]["words"] == [{"start": 10.9, "end": 11, "text": "b", "score": 0.5}]


def test_a_language_holds_from_the_passage_on_that_is_certain():
    whisper = Whisper([[]] * 4, [("fr", 0.3), ("de", 0.2), ("zh", 0.9)])
    recogniser = recognition.Recogniser(whisper, "", words=False)
    for begin in range(4):
        list(recogniser.segments(begin, SECOND))
    assert whisper.asked == ["fr", "fr", "zh", "zh"]


@pytest.mark.parametrize(
    ("language", "pause", "expected"), [("en", 0.5, " "), ("zh", 0.5, ""), ("zh", 2.5, "\n")]
)
def test_segments_are_written_on_and_long_pauses_begin_a_line(language, pause, expected):
    assert runner.separator([{"end": 1}], {"start": 1 + pause}, language) == expected
    assert runner.separator([], {"start": pause}, language) == ""


def test_what_is_wrong_with_a_sound_is_warned_of():
    sound = SimpleNamespace(damaged=2, is_cut=True, announced=36000.0, heard=3.2)
    recogniser = SimpleNamespace(left_out=[3725.5, 4000])
    warnings = list(runner.warnings(sound, recogniser, []))
    assert warnings == [
        "2 pieces of the sound are damaged and were left out",
        "the file announces 36000 seconds of sound and holds 3: it may be cut off",
        "at 1:02:05 and later the model wrote what no one said; that is left out",
        "there is no speech in this sound",
    ]


class Network:
    """Stands for CTranslate2's model."""

    def __init__(self):
        self.encoded = 0

    def encode(self, features, *, to_cpu):
        self.encoded += 1
        return features.copy()

    def generate(self):
        return "text"


def test_a_window_is_encoded_once_for_its_language_and_its_text():
    network = Network()
    steps = model.Steps(network)
    one, other = np.zeros((1, 80, 3)), np.ones((1, 80, 3))
    for features in (one, one.copy(), other, other.copy()):
        assert np.array_equal(steps.encode(features), features)
    assert network.encoded == 2


def test_a_cancelled_job_stops_at_the_next_step():
    steps = model.Steps(Network())
    steps.job = Job()
    assert steps.generate() == "text"
    steps.job = Job(cancelled=True)
    with pytest.raises(model.Cancelled):
        steps.encode(np.zeros(3), to_cpu=False)
    with pytest.raises(model.Cancelled):
        steps.generate()


def test_weights_of_another_model_are_refused(tmp_path):
    weights = import_module(f"{runner.__name__}.weights")
    (tmp_path / "part").write_bytes(b"other weights")
    with pytest.raises(ValueError, match="have the hash"):
        weights.Weights([tmp_path / "part"])
