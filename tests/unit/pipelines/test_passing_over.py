"""Items that there is nothing to do for, and what is said of results with them."""

import wave

import pytest

from orchestrator.pipelines.step_failures import is_rejection
from tests.unit.pipelines.fakes import FakeModels, Run, sound

ALOUD = """
name: p
inputs: {texts: {type: text, list: true, required: true}}
steps:
  - {id: speak, run: say, foreach: "${{ inputs.texts }}", with: {text: "${{ item }}"}}
  - {id: louder, run: tune, foreach: "${{ steps.speak.audio }}", with: {audio: "${{ item }}"}}
  - {id: whole, run: join-audio, with: {audios: "${{ steps.louder.audio }}", pause: 0.001}}
outputs: {audio: "${{ steps.whole.audio }}", audios: "${{ steps.speak.audio }}"}
"""
ONCE = """
name: p
inputs: {text: {type: text, required: true}}
steps:
  - {id: speak, run: say, with: {text: "${{ inputs.text }}"}}
outputs: {audio: "${{ steps.speak.audio }}"}
"""
PAUSE = [0] * 8
SILENT = "there is no text to speak; passed over"


def say(text):
    return sound(*[len(text)] * 3)


def louder(audio):
    with wave.open(str(audio)) as reader:
        return sound(*[10 * sample for sample in samples(reader)])


def samples(reader):
    return memoryview(reader.readframes(reader.getnframes())).cast("h").tolist()


def aloud(tmp_path, *texts, yaml=ALOUD, **options):
    models = FakeModels(say=say, tune=louder)
    run = Run(yaml, models, tmp_path, texts=texts, **options)
    run.models = models
    return run


def test_a_page_without_text_is_a_pause_and_is_named(tmp_path):
    run = aloud(tmp_path, "ab", " \n", "— *", "abc")
    with wave.open(str(run.run_state.value(run.graph.outputs["audio"][0]).file)) as reader:
        assert samples(reader) == [20] * 3 + 3 * PAUSE + [30] * 3
    assert [inputs for model, inputs in run.models.ran if model == "say"] == [
        {"text": "ab"}, {"text": "abc"},
    ]  # fmt: skip
    assert sorted(run.observed.warnings) == [
        ("speak", 1, SILENT),
        ("speak", 2, SILENT),
    ]
    assert run.observed.failures == []


def test_it_is_named_again_where_the_result_is_kept(tmp_path):
    first = aloud(tmp_path, "ab", "")
    again = aloud(tmp_path, "ab", "", store=first.store)
    assert again.models.ran == []
    assert {how for _, _, how in again.observed.ended} == {"kept"}
    assert sorted(again.observed.warnings) == sorted(first.observed.warnings)


def test_a_document_without_text_fails_and_is_not_to_be_tried_again(tmp_path):
    run = aloud(tmp_path, "", " ")
    (failure,) = run.scheduler.failures
    assert failure.step == "whole"
    assert failure.error.what.endswith("none of the 2 items had a text to speak")
    assert is_rejection(failure)
    assert run.models.ran == []


def test_a_step_that_runs_once_is_not_passed_over(tmp_path):
    before = aloud(tmp_path, "")
    models = FakeModels(say=say)
    run = Run(ONCE, models, tmp_path, store=before.store, text="")
    assert models.ran == [("say", {"text": ""})]
    assert run.observed.warnings == []


def test_a_model_that_returns_text_gets_an_empty_one(tmp_path):
    yaml = ALOUD.partition("  - {id: louder")[0].replace("run: say", "run: count")
    models = FakeModels(count=lambda text: str(len(text)))
    run = Run(yaml + 'outputs: {n: "${{ steps.speak.text }}"}', models, tmp_path, texts=["", "a"])
    assert run.output("n") == ["0", "1"]


@pytest.mark.parametrize("again", [False, True])
def test_what_a_model_says_of_its_result_is_kept_with_it(tmp_path, again):
    models = FakeModels(say=lambda text: (say(text), "cut off"))
    run = Run(ONCE, models, tmp_path, text="a")
    if again:
        run = Run(ONCE, models, tmp_path, store=run.store, text="a")
    assert run.observed.warnings == [("speak", None, "cut off")]
