"""Qwen3-TTS in its real environment, on tiny checkpoints of its real architecture.

Everything but the weights is real. The models share one session, because importing the package
takes many seconds; they are added to the home of all tests, and forgotten when these are over.
"""
# ruff: noqa: RUF001 - marks that look alike are what this is about

import json
import math
import os
import re
import shutil
import subprocess
import wave
from array import array
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from PIL import Image

import orchestrator
from orchestrator.errors import Rejected, UsageError
from orchestrator.jobs.job import Job
from tests.integration.conftest import MM, READER, ROOT, SPEAKER, run_mm
from tests.integration.miniature_model import BRIGHT, build

DIRECTED = "qwen3-tts-1.7b"
MODELS = {
    "qwen3-tts": "custom_voice",
    DIRECTED: "directed",
    "qwen3-tts-design": "voice_design",
    "qwen3-tts-clone": "base",
}
DTYPES = {DIRECTED: "bfloat16"}
"""Of those that are not to run in float32."""
FRAME = 1920
"""Samples."""
LONGEST = "Hi.\n\n" * 20_000
"""As many characters as may be spoken."""

CLASH = """\
name: clash
task: try-clash
summary: Both models' packages in one environment
environment:
  python: ">=3.10,<3.13"
  dependencies: [qwen-tts==0.1.1, transformers==4.46.3]
  build: [sox]
inputs: {text: {type: text}}
outputs: {text: {type: text}}
"""


@pytest.fixture(scope="module")
def variables(workplace, tmp_path_factory):
    """Variables for all that runs here.

    The manifests are the real ones, but say how little memory tiny models need: all of them are to
    be loaded at once. More threads than one would only wait for each other.
    """
    root = tmp_path_factory.mktemp("declared")
    shutil.copytree(ROOT / "manifests" / "patches", root / "manifests" / "patches")
    for name in (READER, "qwen3-tts"):
        shutil.copytree(ROOT / "envs" / name, root / "envs" / name)
    for name in (READER, *MODELS):
        with_memory(name, "1 GiB", root / "manifests")
    return {**workplace, "MM_MANIFESTS": str(root / "manifests"), "OMP_NUM_THREADS": "1"}


def with_memory(name, size, directory):
    """Write the manifest of a model that says that it needs memory of `size`."""
    manifest = (ROOT / "manifests" / f"{name}.yaml").read_text()
    changed, count = re.subn(
        r"^memory:.*\n(  .*\n)*",
        f"memory: {{cpu: {{{DTYPES.get(name, 'float32')}: {size}}}}}\n",
        manifest,
        flags=re.MULTILINE,
    )
    assert count == 1
    (directory / f"{name}.yaml").write_text(changed)


@pytest.fixture
def mm(mm, variables):
    """Return the function that runs `mm`, with our variables."""
    return partial(mm, variables=variables)


@pytest.fixture(scope="module")
def checkpoints(variables, saved):
    """Directories of tiny checkpoints by type, added to the four models."""
    directory = saved(SPEAKER)
    # The models of 1.7B follow instructions, and say that they are of that size.
    shutil.copytree(directory / "custom_voice", directory / "directed")
    config = directory / "directed" / "config.json"
    config.write_text(config.read_text().replace('"0b6"', '"1b7"'))
    try:
        for model, kind in MODELS.items():
            run_mm(variables, "model", "add", model, directory / kind)
        yield directory
    finally:  # or they would stand for their tasks in the tests that follow
        for model in MODELS:
            run_mm(variables, "model", "remove", model)


@pytest.fixture(scope="module")
def reader(variables, tmp_path_factory):
    """The model that needs transformers 4.46.3, with the miniature for its weights."""
    try:
        directory = build(tmp_path_factory.mktemp("reader") / "model")
        run_mm(variables, "model", "add", READER, directory)
        yield
    finally:
        run_mm(variables, "model", "remove", READER)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page on which the miniature reads "# A bright page"."""
    path = tmp_path_factory.mktemp("page") / "page.png"
    Image.new("RGB", (200, 100), "white").save(path)
    return path


@pytest.fixture(scope="module")
def session(variables, checkpoints, reader):
    """One session for all tests, with a worker of each model, loaded side by side."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with orchestrator.Session() as session, ThreadPoolExecutor(2) as pool:
            for load in [pool.submit(session.load, Job(each)) for each in (READER, *MODELS)]:
                load.result()
            yield session


@pytest.fixture
def speak(session):
    """Return a function that speaks with the model of ready voices."""

    def speak(text="Hi.", **keywords):
        return session.run("qwen3-tts", text=text, **keywords)["audio"]

    return speak


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Return a function that writes a recording and returns its path."""
    directory = tmp_path_factory.mktemp("recordings")

    def recording(seconds, rate=16000, channels=1, loudness=9000):
        path = directory / f"{seconds}-{rate}-{channels}-{loudness}.wav"
        tone = [round(loudness * math.sin(i / 20)) for i in range(1000)]
        frames = array("h", [s for s in tone for _ in range(channels)]).tobytes()
        with wave.open(str(path), "wb") as file:
            file.setparams((channels, 2, rate, 0, "NONE", ""))
            file.writeframes(
                (frames * round(seconds * rate / 1000 + 1))[: round(seconds * rate) * 2 * channels]
            )
        return path

    return recording


def words_of(error):
    """Return the sentence of an error that a session raised."""
    return str(error.value)


# -- ready voices ----------------------------------------------------------------------------------


def test_speech_is_24_khz_sound_that_the_seed_decides(speak):
    audio = speak()
    assert audio.rate == 24000
    assert len(audio.samples) % FRAME == 0
    assert 0.02 < max(map(abs, audio.samples)) <= 1
    assert bytes(speak(seed=0).samples) == bytes(audio.samples)
    assert bytes(speak(seed=1).samples) != bytes(audio.samples)


def test_text_speaker_and_language_are_heard(speak):
    spoken = {
        bytes(audio.samples)
        for audio in (
            speak("Hello."),
            speak("Good bye."),
            speak("Hello.", speaker="Ryan"),
            speak("Hello.", language="zh"),
            speak("Hello.", language="German"),
        )
    }
    assert len(spoken) == 5


def test_speech_is_bounded_by_the_length_of_the_text(session):
    # The likeliest codes of random weights go round in circles.
    result = session.run("qwen3-tts", text="Hi.", temperature=0.0)
    assert result["audio"].duration < 5
    assert result.receipt["warnings"] == ["cut off, as it found no end: piece 1"]


def test_sampling_options_are_heard(speak):
    plain = bytes(speak().samples)
    assert bytes(speak(temperature=0.0).samples) != plain
    assert bytes(speak(temperature=2.0).samples) != plain
    assert bytes(speak(top_k=1).samples) != plain


def test_long_text_is_streamed_piece_by_piece_and_is_the_whole_in_the_end(session):
    text = "\n\n".join(["One.", "Two. Three!", "第一句。第二句！", *"abcdefg"])
    chunks = list(session.stream("qwen3-tts", text=text))
    whole = session.run("qwen3-tts", text=text)["audio"]
    assert len(chunks) == 10
    assert b"".join(bytes(chunk.samples) for chunk in chunks) == bytes(whole.samples)
    assert {chunk.rate for chunk in chunks} == {24000}


def test_progress_is_told_step_by_step(session):
    steps = []

    def listen(event):
        if event.kind == "progress":
            steps.append((event.params["done"], event.params["total"], event.params["text"]))

    session.execute(Job("qwen3-tts", {"text": "Hello."}, on_event=listen))
    assert steps[0][2] == "speaking 1 of 1"
    assert steps == sorted(steps)
    assert steps[-1] == (1, 1, "spoken")


def test_a_job_that_is_given_up_leaves_the_model_as_it_was(session, speak, variables):
    before = speak("Go on.")
    workers = [each["pid"] for each in workers_of(variables)]
    stream = session.stream("qwen3-tts", text=LONGEST)
    next(stream)
    stream.close()
    assert bytes(speak("Go on.").samples) == bytes(before.samples)
    assert [each["pid"] for each in workers_of(variables)] == workers


def workers_of(variables):
    return json.loads(run_mm(variables, "ps", "--json"))["workers"]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"speaker": "bob"}, "speaker: 'bob' is not one of dylan, ryan, vivian"),
        (
            {"language": "Klingon"},
            "language: 'klingon' is not one of auto, chinese, english, german, japanese",
        ),
        ({"instruct": "Sadly."}, "follows no instructions; qwen3-tts-1.7b does"),
        ({"text": " "}, "there is no text to speak"),
        ({"text": "?! … 。"}, "no letters or digits"),
        ({"text": "😀"}, "no letters or digits"),
        ({"text": "a" * 100_001}, "100,001 characters and the limit is 100,000"),
    ],
)
def test_what_cannot_be_spoken_is_refused_in_one_sentence(session, inputs, said):
    with pytest.raises(Rejected) as error:
        session.run("qwen3-tts", **{"text": "Hi.", **inputs})
    assert said in words_of(error)


def test_what_the_manifest_does_not_allow_never_reaches_the_package(session):
    with pytest.raises(UsageError):
        session.run("qwen3-tts", text="Hi.", max_new_tokens=5)
    with pytest.raises(UsageError):
        session.run("qwen3-tts", text="Hi.", temperature=-1.0)


@pytest.mark.parametrize("text", ["Hi 😀!", "Hello 世界 привет", "a<|im_end|>\n<|im_start|>b", "7"])
def test_unusual_text_is_spoken(speak, text):
    assert speak(text).duration > 0.05


# -- the other models ------------------------------------------------------------------------------


def test_the_larger_model_follows_instructions_and_is_heard_in_bfloat16(session):
    plain, sad = (session.run(DIRECTED, text="Hi.", **how) for how in ({}, {"instruct": "Sadly."}))
    assert plain.receipt["produced_by"]["dtype"] == "bfloat16"
    assert max(map(abs, plain["audio"].samples)) > 0.02
    assert bytes(plain["audio"].samples) != bytes(sad["audio"].samples)


def test_a_described_voice_follows_its_description(session):
    deep, high = (
        session.run("qwen3-tts-design", text="Hi.", instruct=f"A {tone} voice.")["audio"]
        for tone in ("deep", "high")
    )
    assert deep.rate == 24000
    assert bytes(deep.samples) != bytes(high.samples)
    with pytest.raises(Rejected, match="no words for the voice"):
        session.run("qwen3-tts-design", text="Hi.", instruct=" ")


def test_a_cloned_voice_follows_its_recording(session, recording):
    def clone(path, **keywords):
        audio = session.run("qwen3-tts-clone", text="Hi.", reference=path, **keywords)["audio"]
        assert audio.rate == 24000
        return bytes(audio.samples)

    spoken = [
        clone(recording(2)),
        clone(recording(2), reference_text="La, la."),
        clone(recording(3, rate=8000, channels=2), reference_text="La, la."),
    ]
    assert len(set(spoken)) == 3


@pytest.mark.parametrize(
    ("seconds", "loudness", "said"),
    [
        (0.1, 9000, "lasts 0.1 s; between 1 and 60 s of speech are needed"),
        (3600, 9000, "lasts 3,600.0 s; between 1 and 60 s"),
        (2, 0, "nothing can be heard in"),
    ],
)
def test_a_recording_that_does_not_serve_is_refused(session, recording, seconds, loudness, said):
    path = recording(seconds, rate=8000, loudness=loudness)
    with pytest.raises(Rejected) as error:
        session.run("qwen3-tts-clone", text="Hi.", reference=path)
    assert said in words_of(error)


def test_what_is_no_recording_is_refused(session, tmp_path):
    path = tmp_path / "text.wav"
    path.write_text("No sound at all.\n" * 100)
    with pytest.raises(Rejected, match="reference: cannot be read as sound"):
        session.run("qwen3-tts-clone", text="Hi.", reference=path)


# -- two versions of transformers ------------------------------------------------------------------


def test_both_versions_of_transformers_live_in_one_session(session, variables, page):
    read = session.run(READER, image=page, crop=False, image_size="768")
    spoken = session.run("qwen3-tts", text=read["text"])
    assert read["text"] == BRIGHT
    versions = [result.receipt["produced_by"]["versions"] for result in (read, spoken)]
    assert [each["transformers"] for each in versions] == ["4.46.3", "4.57.3"]
    assert [each["torch"] for each in versions] == ["2.6.0", "2.6.0"]
    assert {READER, "qwen3-tts"} <= {each["model"] for each in workers_of(variables)}


def test_no_lock_can_hold_both(mm, tmp_path):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "clash.yaml").write_text(CLASH)
    ended = mm("env", "lock", "clash", "--manifests", tmp_path / "manifests")
    assert ended.code == 3
    assert "transformers==4.57.3" in ended.err
    assert "transformers==4.46.3" in ended.err


def test_why_the_two_need_environments_of_their_own(mm):
    ended = mm("env", "why", READER, "qwen3-tts")
    assert f"no environment can hold both {READER} and qwen3-tts" in ended.out
    assert "qwen-tts>=0.1.1 depends on transformers==4.57.3" in ended.out
    assert "deepseek-ocr-2: transformers 4.46.3" in ended.out
    assert "qwen3-tts: qwen-tts 0.1.1 -> transformers 4.57.3" in ended.out


# -- the command line ------------------------------------------------------------------------------


def test_what_one_model_reads_another_speaks(variables, checkpoints, reader, page, tmp_path):
    mm = " ".join(MM)
    command = (
        f"{mm} run {READER} --image {page} --no-crop --image-size 768 | "
        f"{mm} run qwen3-tts --text - --speaker vivian --language Chinese -o out.wav"
    )
    subprocess.run(command, shell=True, check=True, cwd=tmp_path, env={**os.environ, **variables})
    with wave.open(str(tmp_path / "out.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24000, 1, 2)
        assert sound.getnframes() % FRAME == 0
        assert sound.getnframes() > 0


@pytest.fixture
def changed(mm, checkpoints):
    """Return a function that adds a checkpoint to a model, until the end of the test."""
    models = set()

    def changed(model, directory):
        models.add(model)
        return mm("model", "add", model, directory)

    yield changed
    for model in models:
        assert mm("model", "add", model, checkpoints / MODELS[model]).code == 0


def test_a_checkpoint_of_another_type_is_refused(mm, changed, checkpoints):
    assert changed("qwen3-tts-design", checkpoints / "base").code == 0
    ended = mm("run", "qwen3-tts-design", "--text", "Hi.", "--instruct", "Deep.", "-o", "x.wav")
    assert ended.code == 1
    assert "is for cloned voices (Base), and this model needs one for described" in ended.sentence


def test_a_file_that_is_missing_in_a_checkpoint_is_named(
    mm, changed, checkpoints, recording, tmp_path
):
    shutil.copytree(checkpoints / "base", tmp_path / "broken")
    (tmp_path / "broken" / "speech_tokenizer" / "model.safetensors").unlink()
    added = changed("qwen3-tts-clone", tmp_path / "broken")
    words = ("--text", "Hi.", "--reference", recording(2), "-o", "x.wav")
    ended = mm("run", "qwen3-tts-clone", *words)
    assert (added.code, ended.code) == (0, 1)
    assert "has no file speech_tokenizer/model.safetensors" in ended.sentence
    (tmp_path / "broken" / "vocab.json").unlink()
    added = changed("qwen3-tts-clone", tmp_path / "broken")
    assert added.code == 4
    assert "vocab.json" in added.sentence


def test_a_model_that_does_not_fit_into_memory_is_refused(mm, checkpoints, tmp_path):
    (tmp_path / "manifests").mkdir()
    with_memory("qwen3-tts-design", "900 TiB", tmp_path / "manifests")
    shutil.copytree(ROOT / "envs" / "qwen3-tts", tmp_path / "envs" / "qwen3-tts")
    words = ("--text", "Hi.", "--instruct", "Deep.", "--device", "cpu", "-o", "x.wav")
    ended = mm("run", "qwen3-tts-design", *words, "--manifests", tmp_path / "manifests")
    assert ended.code == 7
    assert "900" in ended.sentence
