"""Each text is spoken by a model that speaks its language, wherever it is given."""

import asyncio
import html
import json
import os
import wave

import pytest

from orchestrator.async_session import AsyncSession
from orchestrator.errors import SourceError
from orchestrator.jobs.job import Job
from orchestrator.session import Session
from orchestrator.workspace import Workspace
from tests.models import Notes

VOICE = """
import array

def load(context):
    return context.options["sample"]

def run(sample, job, *, text, language, **pace):
    left_out = [c for c in text if ord(c) > 0x2E80] if sample == 1000 else []
    if left_out:
        job.warn(f"left out {len(left_out)} of {len(text)} characters")
    return {"audio": (array.array("h", [sample] * len(text)), 8000)}
"""
READER = """
def load(context):
    return None

def run(model, job, *, image):
    return {"text": image.read_text(encoding="utf-8")}
"""
VOICES = """\
name: {name}
task: tts
summary: A voice
environment: {{python: ">=3.10", dependencies: []}}
languages: [{languages}]
preference: {preference}
options: {{sample: {sample}}}
inputs:
  text: {{type: text, required: true}}
  language: {{type: text, default: auto}}
  {name}: {{type: number, default: 1.0}}
outputs: {{audio: {{type: audio}}}}
"""
PAGES = """\
name: {name}
task: ocr
summary: Reads text as it is
environment: {{python: ">=3.10", dependencies: []}}
preference: 60
inputs: {{image: {{type: image, required: true}}}}
outputs: {{text: {{type: text}}}}
"""
ENGLISH, CHINESE, BOTH = "The tide comes in.", "今天天气很好。", "Price: 今天 hello"


@pytest.fixture(scope="module")
def manifests(declare):
    """A reader and two voices: `english` says 1000, and `chinese`, which speaks both, 2000."""
    made = declare({"english": VOICE, "chinese": VOICE, "pages": READER}, PAGES)
    for name, languages, preference, sample in (
        ("english", "en", 60, 1000),
        ("chinese", "zh, en", 50, 2000),
    ):
        text = VOICES.format(name=name, languages=languages, preference=preference, sample=sample)
        (made / f"{name}.yaml").write_text(text)
    return made


@pytest.fixture
def speak(mm, manifests):
    """Return a function that runs `mm --manifests … ARGUMENTS`."""

    def speak(*arguments, **more):
        return mm("--manifests", manifests, *arguments, **more)

    yield speak
    mm("use", "tts", "--clear")


def samples_of(path):
    with wave.open(str(path), "rb") as reader:
        return {*memoryview(reader.readframes(reader.getnframes())).cast("h")}


@pytest.mark.parametrize(
    ("text", "sample", "piped"),
    [
        (ENGLISH, 1000, True),
        (CHINESE, 2000, False),
        (CHINESE, 2000, True),
        (BOTH, 2000, False),
        ("123", 1000, False),
    ],
)
def test_a_run_takes_the_voice_for_its_text(speak, tmp_path, text, sample, piped):
    given, stdin = ("-", text.encode()) if piped else (text, b"")
    ended = speak("run", "tts", f"--text={given}", "-o", "x.wav", stdin=stdin)
    assert ended.code == 0, ended
    assert samples_of(tmp_path / "x.wav") == {sample}


def test_what_a_voice_leaves_out_is_said_in_one_line(speak):
    ended = speak("run", "tts", "--model", "english", "--text", BOTH, "-o", "x.wav")
    assert ended.sentence == "mm: english: left out 2 of 15 characters"


def test_mm_use_wins_where_its_model_speaks_the_text(speak, tmp_path):
    assert speak("use", "tts", "english").code == 0
    for text, sample in ((BOTH, 1000), (CHINESE, 2000)):
        ended = speak("run", "tts", "--text", text, "-o", "x.wav")
        assert samples_of(tmp_path / "x.wav") == {sample}, ended
    assert "english, chosen with mm use, does not speak Chinese" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ["--text", "Привет"],
            4,
            "mm: no model of the task tts that speaks Cyrillic script is ready: qwen3-tts needs",
        ),
        (["--text", "สวัสดี"], 2, "mm: no model of the task tts speaks Thai script, only "),
        (["--text", "hello", "--language", "sw"], 2, "mm: no model of the task tts speaks sw, "),
    ],
)
def test_what_no_model_speaks_is_refused_before_anything_is_built(
    speak, tmp_path, arguments, code, sentence
):
    home = tmp_path / "home"
    ended = speak("run", "tts", *arguments, "-o", "x.wav", variables={"MM_HOME": str(home)})
    assert ended.code == code, ended
    assert ended.sentence.startswith(sentence)
    assert not (home / "envs").exists()


def test_a_batch_takes_the_voice_for_each_item(speak, tmp_path):
    items = [{"text": ENGLISH}, {"text": CHINESE}, {"text": "สวัสดี"}, {"text": BOTH}]
    lines = "\n".join(map(json.dumps, items)).encode()
    ended = speak("batch", "tts", "-", "-o", "x.jsonl", stdin=lines)
    assert ended.code == 1, ended
    made = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [one["status"] for one in made] == ["ok", "ok", "failed", "ok"]
    assert made[2]["error"]["message"].startswith("no model of the task tts speaks Thai script")
    paths = [tmp_path / one["outputs"]["audio"]["path"] for one in made if one["outputs"]]
    assert [samples_of(path) for path in paths] == [{1000}, {2000}, {2000}]
    assert made[1]["receipt"] == made[3]["receipt"] != made[0]["receipt"]

    # What is done stays, unless another model speaks it now.
    again = speak("batch", "tts", "-", "-o", "x.jsonl", "--resume", stdin=lines)
    assert "0 done, 1 failed, 3 done before" in again.err
    assert speak("use", "tts", "chinese").code == 0
    other = speak("batch", "tts", "-", "-o", "x.jsonl", "--resume", stdin=lines)
    assert other.code == 2, other
    assert "the model is another (english, now chinese)" in other.sentence


def test_a_pipeline_takes_the_voice_for_each_page(speak, tmp_path):
    pages = {"a.png": ENGLISH, "b.png": CHINESE, "c.png": "สวัสดี", "d.png": "…", "e.png": BOTH}
    for name, text in pages.items():
        (tmp_path / name).write_text(text)
    command = ("pipeline", "run", "read-pages-aloud", *pages, "-o", "all.wav", "--keep-going")
    ended = speak(*command, "-o", "audios=pages")
    assert ended.code == 1, ended
    assert f"speak failed on {tmp_path}/c.png: no model of the task tts speaks Thai" in ended.err
    assert "speak: 4 done, 1 failed" in ended.err
    sounds = sorted((tmp_path / "pages").iterdir())
    assert [samples_of(path) for path in sounds] == [{1000}, {2000}, {2000}]

    assert speak("pipeline", "report", "-o", "x.html").code == 0
    page = (tmp_path / "x.html").read_text()
    for name in ("english", "chinese"):
        assert f'"model": "{name}"' in html.unescape(page)

    # The model is part of the key: only what another one speaks now runs again.
    (tmp_path / "c.png").unlink()
    kept = [name for name in pages if name != "c.png"]
    again = speak("pipeline", "run", "read-pages-aloud", *kept, "-o", "all.wav")
    assert "speak: 4 kept from before" in again.err
    assert speak("use", "tts", "chinese").code == 0
    other = speak("pipeline", "run", "read-pages-aloud", *kept, "-o", "all.wav")
    assert "speak: 1 done, 3 kept from before" in other.err


def test_one_page_is_read_aloud_in_its_own_language(speak, tmp_path):
    (tmp_path / "b.png").write_text(CHINESE)
    ended = speak("pipeline", "run", "read-aloud", "--image", "b.png", "-o", "x.wav")
    assert ended.code == 0, ended
    assert samples_of(tmp_path / "x.wav") == {2000}
    shown = speak("pipeline", "show", "read-aloud").out
    assert "speak: tts, by language (english, chinese, " in shown


def test_sessions_take_the_voice_for_each_text(manifests, workplace, tmp_path):
    notes = Notes()

    def workspace():
        return Workspace({**os.environ, **workplace}, tmp_path, (manifests,), reporter=notes)

    with Session(workspace=workspace()) as session:
        for text, model in ((ENGLISH, "english"), (CHINESE, "chinese"), (ENGLISH, "english")):
            assert session.run("tts", text=text).model == model
        assert [len(chunk.samples) for chunk in session.stream("tts", text=BOTH)] == [len(BOTH)]
        assert session.run("tts", text=ENGLISH, model="chinese").model == "chinese"
        assert session.model_for(Job("tts", {"text": CHINESE})) == "chinese"
        with pytest.raises(SourceError, match="Chinese"):
            session.model_for(Job("tts", {"text": CHINESE}, candidates=("english", "qwen3-tts")))
        with pytest.raises(SourceError, match="Cyrillic"):
            session.run("tts", text="Привет")
    assert [note for note in notes.notes if note.startswith("tts for Chinese: chinese")]

    async def main():
        async with AsyncSession(workspace=workspace()) as session:
            jobs = (session.run("tts", text=text) for text in (ENGLISH, CHINESE))
            return [result.model for result in await asyncio.gather(*jobs)]

    assert asyncio.run(main()) == ["english", "chinese"]


def test_the_options_are_those_of_the_voice_for_the_text(speak):
    words = {"COMP_WORDS": "mm run tts --text 你好 --lang", "COMP_CWORD": "5"}
    completed = speak(variables={**words, "_MM_COMPLETE": "bash_complete"})
    assert "--language" in completed.out
    helped = speak("run", "tts", "--text", "-", "--help")
    assert "A voice (english)" in helped.out
    assert "A voice (chinese)" in speak("run", "tts", "--text", CHINESE, "--help").out
