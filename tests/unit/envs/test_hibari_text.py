"""How text is prepared for the voice, and what is done with its speech."""
# ruff: noqa: RUF001 - marks that look alike are what this is about

import numpy as np
import pytest

from tests.unit.envs.runners import Job, Rejection, load_runner

runner = load_runner("hibari")


class Voice:
    """Stands for the model: a letter is a phoneme and lasts 10 ms, between 20 ms of silence."""

    sample_rate = 1000

    def g2p(self, text):
        return "".join(c for c in text if c.isalnum() or c == " ")

    def ids(self, phonemes):
        return [0, *map(ord, phonemes), 0]

    def from_ids(self, ids, speed, noise):
        loud = noise.uniform(0.4, 0.6, round(10 * len(ids) / speed)).astype(np.float32)
        return np.concatenate([np.zeros(200, np.float32), loud, np.zeros(200, np.float32)])


def speak(text, *, job=None, **options):
    return runner.run(Voice(), job or Job(), text=text, **options)["audio"][0]


def said(text):
    return [piece for piece, _ in runner.pieces(runner.readable(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith met Mrs. Jones.", ["Dr. Smith met Mrs. Jones."]),
        ("J. K. Rowling wrote. I read.", ["J. K. Rowling wrote.", "I read."]),
        ("It was I. You knew.", ["It was I.", "You knew."]),
        ("The U.S. Army left at 5 p.m. We stayed.", ["The U.S. Army left at 5 p.m.", "We stayed."]),
        ("It costs 3.14 or 2,50 euro.", ["It costs 3.14 or 2,50 euro."]),
        ("Tea, e.g. Assam, i.e. black.", ["Tea, e.g. Assam, i.e. black."]),
        ("See No. 5. No. Never.", ["See No. 5.", "No.", "Never."]),
        ("Well... maybe. Wait… What?", ["Well... maybe.", "Wait…", "What?"]),
        ("“Really?” he asked. “Yes.” She left.", ["“Really?” he asked.", "“Yes.”", "She left."]),
        ("He came (late). Then sat.", ["He came (late).", "Then sat."]),
        ("What?! No!! Yes.", ["What?!", "No!!", "Yes."]),
        ("   spaced    out  ", ["spaced out"]),
    ],
)
def test_text_is_cut_into_sentences(text, expected):
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a line that\nwas wrapped", ["a line that was wrapped"]),
        ("so they went to\nParis in May", ["so they went to Paris in May"]),
        ("a wrapped sen-\ntence", ["a wrapped sentence"]),
        ("Oat milk 3.90\nBread 4.20\nTOTAL 8.10", ["Oat milk 3.90", "Bread 4.20", "TOTAL 8.10"]),
        ("A Heading\n\nThe text.", ["A Heading", "The text."]),
        ("one\r\n\r\ntwo\rthree", ["one", "two three"]),
    ],
)
def test_wrapped_lines_are_joined_and_rows_are_not(text, expected):
    assert said(text) == expected


def test_each_piece_knows_its_pause():
    text = "One. Two, " + "many words, " * 40 + "end.\n\nThree."
    kinds = [kind for _, kind in runner.pieces(text)]
    assert kinds == ["sentence", "clause", "paragraph", "paragraph"]


@pytest.mark.parametrize(
    "sentence", ["word " * 300, "a, " * 500, "x" * 1000, ", " * 600 + "end", "a" * 280 + " b"]
)
def test_a_long_sentence_is_cut_and_nothing_is_lost(sentence):
    pieces = runner.clauses_of(sentence)
    assert all(0 < len(piece) <= runner.LONGEST_PIECE for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(sentence.split())


def test_a_long_sentence_is_cut_after_a_comma():
    sentence = "a" * 150 + ", " + "b" * 150
    assert runner.clauses_of(sentence) == ["a" * 150 + ",", "b" * 150]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好 hello 世界", " hello "),
        ("Привет world", " world"),
        ("ＡＢＣ１２３", "ABC123"),
        ("ﬁne", "fine"),
        ("café naïve", "café naïve"),
        ("cafe\u0301", "café"),
        ("10 m² and ½", "10 m squared and 1/2 "),
        ("hello，world。Yes", "hello,world.Yes"),
        ("a\u200bb\u00adc", "abc"),
        ("no\u00a0break", "no break"),
        ("smile 😀 \x1b[0m", "smile [0m"),
        ("1" * 20, " ".join("1" * 20)),
        ("1,000,000", "1,000,000"),
    ],
)
def test_what_an_english_reader_cannot_say_is_left_out(text, expected):
    assert runner.readable(text) == expected


def test_chunks_make_up_the_audio():
    job = Job()
    samples, rate = runner.run(Voice(), job, text="One here. Two here.\n\nThree.")["audio"]
    assert samples.dtype == np.int16
    assert rate == Voice.sample_rate
    assert [name for name, _ in job.chunks] == ["audio"] * 3
    assert np.array_equal(np.concatenate([chunk for _, (chunk, _) in job.chunks]), samples)


def test_a_paragraph_ends_with_a_longer_pause_than_a_sentence():
    def silences(text):
        quiet = np.flatnonzero(np.diff(np.flatnonzero(speak(text))) > 50)
        return np.diff(np.flatnonzero(speak(text)))[quiet]

    (sentence,), (paragraph,) = silences("One. Two."), silences("One.\n\nTwo.")
    assert paragraph > sentence > 0


def test_silence_around_speech_is_trimmed():
    loud = np.flatnonzero(speak("word"))
    samples = speak("word")
    margin = round(runner.MARGIN * Voice.sample_rate)
    assert loud[0] <= margin
    assert len(samples) - loud[-1] <= margin + 1


def test_the_same_seed_gives_the_same_samples_and_another_does_not():
    assert np.array_equal(speak("Some words.", seed=3), speak("Some words.", seed=3))
    assert not np.array_equal(speak("Some words.", seed=3), speak("Some words.", seed=4))


def test_speed_shortens_speech():
    assert len(speak("Some words.", speed=2.0)) < len(speak("Some words.", speed=0.5))


def test_what_makes_too_many_phonemes_is_spoken_in_parts():
    class Slow(Voice):
        def g2p(self, text):
            return "".join(c * 9 for c in text)

    parts = runner.phonemes_of(Slow(), "many words " * 20)
    assert all(len(part) <= runner.MOST_PHONEMES for part in parts)
    assert len("".join(parts)) >= 9 * 20 * len("manywords")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "there is no text"),
        (" \n ", "there is no text"),
        ("你好，世界。", "no Latin letters or digits"),
        ("…!? —", "no Latin letters or digits"),
        ("x" * 100_001, "100,001 characters and the limit is 100,000"),
    ],
)
def test_what_cannot_be_spoken_is_rejected_in_a_sentence(text, expected):
    with pytest.raises(Rejection, match=expected):
        speak(text)


def test_a_cancelled_job_speaks_nothing():
    job = Job(cancelled=True)
    assert runner.run(Voice(), job, text="One. Two.") == {}
    assert job.chunks == []


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("Price: 今天 hello", "今天"),
        ("I ❤ tea 🍵️", "❤🍵"),
        ("Ｆｕｌｌ１２ ½ ② ■ • — “x”", ""),
        ("naïve Ürün", ""),
        ("Привет, π", "Приветπ"),
    ],
)
def test_what_is_left_out_is_counted_in_one_line(text, lost):
    job = Job()
    speak(f"word {text}", job=job)
    expected = f"left out {len(lost)} of {len(text) + 5} characters: {lost}"
    assert job.said == ([("warn", expected)] if lost else [])


def test_of_much_that_is_left_out_the_first_characters_are_named():
    job = Job()
    speak("word " + "今天天气很好我们去公园散步" * 1000, job=job)
    expected = "left out 13,000 of 13,005 characters: 今天气很好我们去公园…"
    assert job.said == [("warn", expected)]
