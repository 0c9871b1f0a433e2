"""Traces against the table of known failures that is shipped."""

from __future__ import annotations

import pytest

from orchestrator.catalog.directories import ManifestDirectory, Origin, builtin_directory
from orchestrator.doctor import load_tables
from orchestrator.doctor.rules.tables import KnownFailure
from orchestrator.doctor.rules.traces import MAX_TEXT, frames, match_failures
from tests.unit.doctor.rules.traces import HEAD, TRACES, ending

TABLE = load_tables([ManifestDirectory(builtin_directory(), Origin.BUILT_IN)])


def test_every_entry_has_a_trace_and_every_trace_an_entry():
    assert {failure.id for failure in TABLE.failures} == set(TRACES)


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_known_by_its_own_entry(name):
    found = match_failures(TRACES[name], TABLE.failures)
    assert [match.failure.id for match in found][:1] == [name]
    # Nothing is left in braces, and the sentences can stand in a line.
    for sentence in (found[0].means("ocr"), found[0].remedy("ocr")):
        assert sentence
        assert not set("{}\n") & set(sentence)


@pytest.mark.parametrize("name", TRACES)
def test_windows_line_ends_and_colours_hide_nothing(name):
    text = TRACES[name].replace("\n", "\r\n").replace("Error", "\x1b[31mError\x1b[0m")
    assert match_failures(text, TABLE.failures)[0].failure.id == name


def test_what_the_words_caught_stands_in_the_sentences():
    match = match_failures(TRACES["input-and-weight-dtypes"], TABLE.failures)[0]
    assert match.means().startswith("A convolution was given c10::BFloat16 and holds float")
    assert "mm patch new ocr" in match.remedy("ocr")


def test_the_error_that_ended_the_run_comes_first():
    text = ending(
        "ModuleNotFoundError: No module named 'einops'",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "AssertionError: Torch not compiled with CUDA enabled",
    )
    found = [match.failure.id for match in match_failures(text, TABLE.failures)]
    assert found == ["cuda-assumed", "module-missing"]


def test_a_missing_wheel_is_no_contradiction():
    found = [match.failure.id for match in match_failures(TRACES["wheels-missing"], TABLE.failures)]
    assert found == ["wheels-missing"]


def test_harmless_words_are_told_last():
    text = TRACES["cuda-assumed"] + TRACES["sox-missing"]
    found = [match.failure.id for match in match_failures(text, TABLE.failures)]
    assert found == ["cuda-assumed", "sox-missing"]


@pytest.mark.parametrize(
    "text", ["", "ValueError: a fault of the runner's own", HEAD, "result: 42 tokens, no error"]
)
def test_an_unknown_failure_matches_nothing(text):
    assert match_failures(text, TABLE.failures) == []


def test_only_the_end_of_an_enormous_text_is_looked_at():
    text = TRACES["cuda-assumed"] + "x" * 3_000_000
    assert match_failures(text, TABLE.failures) == []
    assert match_failures("x" * 3_000_000 + TRACES["cuda-assumed"], TABLE.failures)


@pytest.mark.parametrize("part", ["x" * 999 + "\n", "libtorch", "Because a==1 depends on b\n", " "])
def test_hostile_texts_are_looked_through_to_their_end(part):
    text = part * (MAX_TEXT // len(part) - 100)
    found = match_failures(f"{text}\n{TRACES['cuda-assumed']}", TABLE.failures)
    assert found[0].failure.id == "cuda-assumed"


def test_control_characters_of_a_trace_reach_nobody():
    failure = KnownFailure(
        id="x", pattern="gone: (?P<name>.*)", layer="api", means="{name}", remedy="see {model}"
    )
    (match,) = match_failures("gone: a\x07b\x00c", [failure])
    assert match.means() == "a?b?c"


def test_frames_of_a_traceback():
    text = ending(
        '  File "/a/b c.py", line 3, in <module>', '  File "/a/d.py", line 4, in e', "    f"
    )
    assert [(each.where, each.quote) for each in frames(text)] == [
        ("/home/a/run.py:12", "result = model.infer(tokenizer, prompt=prompt, image_file=image)"),
        (
            "/home/a/.cache/huggingface/modules/transformers_modules/model/modeling_x.py:71",
            "return self.part(x)",
        ),
        ("/a/b c.py:3", ""),
        ("/a/d.py:4", "f"),
    ]
