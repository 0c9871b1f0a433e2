"""Pipelines and batches through the command line, on models that do next to nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import av
import pytest

from tests.integration.conftest import MM
from tests.traces import check_trace

KILLS = int(os.environ.get("MM_TEST_KILLS", "3"))
"""How often each run is killed; twenty by hand."""

RUNNERS = {
    "shouter": """
        def load(context): ...
        def run(model, job, *, text):
            return {"text": text.upper()}
        """,
    "repeater": """
        def load(context): ...
        def run(model, job, *, text):
            return {"text": text + " " + text}
        """,
    "diary": """
        import os, time
        def load(context): ...
        def run(model, job, *, text):
            path, word = text.split("|")
            time.sleep(0.03)
            with open(path, "a") as diary:
                diary.write(word + "\\n")
            return {"text": word}
        """,
    "singer": """
        import array, time
        def load(context): ...
        def run(model, job, *, text):
            path, word = text.split("|")
            time.sleep(0.03)
            with open(path, "a") as diary:
                diary.write(word + "\\n")
            return {"text": word, "sound": (array.array("h", [1000, -1000] * 4000), 8000)}
        """,
    "moody": """
        import os, signal
        def load(context): ...
        def run(model, job, *, text):
            if text == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            if text == "fail":
                raise ValueError("it is no day for that")
            if text == "log":
                job.log("a word of mine")
            if text == "refuse":
                job.reject("not that word")
            return {"text": text}
        """,
    "unloadable": """
        def load(context):
            raise RuntimeError("no weights")
        def run(model, job, *, text): ...
        """,
    "drawer": """
        import os
        def load(context): ...
        def run(model, job, *, text):
            path = os.path.join(job.directory, "drawing.txt")
            with open(path, "w") as drawing:
                drawing.write(text)
            return {"text": text, "sound": (__import__("array").array("h", [len(text)] * 80), 8000)}
        """,
}

WORDS = """\
name: words
summary: Say words loudly, twice
inputs:
  words: {type: text, list: true, required: true, help: Words}
steps:
  - {id: one, run: shouter, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
  - {id: two, run: repeater, foreach: "${{ steps.one.text }}", with: {text: "${{ item }}"}}
outputs:
  texts: "${{ steps.two.text }}"
"""

ONE_STEP = """\
name: {name}
inputs:
  words: {{type: text, list: true, required: true}}
steps:
  - {{id: try, run: {model}, foreach: "${{{{ inputs.words }}}}", with: {{text: "${{{{ item }}}}"}}}}
outputs:
  texts: "${{{{ steps.try.text }}}}"
"""

SOUNDS = """\
name: sounds
inputs:
  words: {type: text, list: true, required: true}
  title: {type: text, default: all}
steps:
  - {id: hum, run: drawer, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
  - {id: join, run: join-audio, with: {audios: "${{ steps.hum.sound }}", pause: 0}}
  - {id: keep, run: write, with: {value: "${{ steps.hum.text }}", path: "${{ inputs.title }}.json"}}
outputs:
  all: "${{ steps.join.audio }}"
  each: "${{ steps.hum.sound }}"
  file: "${{ steps.keep.file }}"
"""


SONGS = """\
name: songs
inputs:
  words: {type: text, list: true, required: true}
  plan: {type: json, required: true}
  cover: {type: image}
steps:
  - {id: sing, run: singer, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
  - {id: images, run: split-pages, with: {files: "${{ steps.sing.sound }}"}}
  - id: book
    run: audiobook
    with:
      audios: "${{ steps.sing.sound }}"
      plan: "${{ inputs.plan }}"
      passages: "${{ steps.sing.text }}"
      cover: "${{ inputs.cover }}"
outputs:
  book: "${{ steps.book.audio }}"
  subtitles: "${{ steps.book.subtitles }}"
  images: "${{ steps.images.images }}"
"""


@pytest.fixture(scope="module")
def manifests(declare):
    """A directory of models, with pipelines over them."""
    directory = declare(RUNNERS)
    pipelines = directory / "pipelines"
    pipelines.mkdir()
    (pipelines / "words.yaml").write_text(WORDS)
    (pipelines / "sounds.yaml").write_text(SOUNDS)
    (pipelines / "songs.yaml").write_text(SONGS)
    for model in ("moody", "diary", "unloadable"):
        name = f"use-{model}"
        (pipelines / f"{name}.yaml").write_text(ONE_STEP.format(name=name, model=model))
    return directory


@pytest.fixture
def pipeline(mm, manifests):
    """Return a function that runs `mm pipeline`."""

    def run(*arguments, **keywords):
        return mm("pipeline", *arguments, "--manifests", manifests, **keywords)

    return run


@pytest.fixture
def batch(mm, manifests):
    """Return a function that runs `mm batch`."""

    def run(*arguments, **keywords):
        return mm("batch", *arguments, "--manifests", manifests, **keywords)

    return run


def words(*many):
    return [part for word in many for part in ("--words", word)]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_list_goes_in_and_comes_out_in_order(pipeline):
    ended = pipeline("run", "words", *words("a", "b", "c"))
    assert ended.code == 0, ended
    assert lines(ended.out) == ["A A", "B B", "C C"]


def test_what_is_done_is_kept_and_a_change_runs_what_it_touches(pipeline, mm, declare):
    manifests = declare({name: RUNNERS[name] for name in ("shouter", "repeater")})
    (manifests / "pipelines").mkdir()
    (manifests / "pipelines" / "words.yaml").write_text(WORDS)

    def run(*more):
        return mm("pipeline", "run", "words", *words("p", "q"), "--manifests", manifests, *more)

    assert "one: 2 done" in run().err
    assert "one: 2 kept from before" in run().err
    runner = manifests.parent / "envs" / "repeater" / "runner.py"
    runner.write_text(runner.read_text().replace('" "', '"+"'))
    explained = run("--explain").out
    assert "one (shouter): 2 kept, 0 to run" in explained
    assert "two (repeater): 0 kept, 2 to run" in explained
    assert "the runner changed: item 1, item 2" in explained
    again = run()
    assert lines(again.out) == ["P+P", "Q+Q"]
    assert "one: 2 kept from before" in again.err
    assert "two: 2 done" in again.err
    assert "two: 2 done" in run("--force-step", "two").err
    fresh = run("--no-cache")
    assert "one: 2 done" in fresh.err


def test_outputs_go_where_they_are_sent(pipeline, tmp_path):
    ended = pipeline(
        "run", "sounds", *words("a", "bb", "ccc"), "--title", "story",
        "-o", "all.wav", "-o", "each=sounds", "--json",
    )  # fmt: skip
    assert ended.code == 0, ended
    told = json.loads(ended.out)
    assert told["outcome"] == "done"
    assert told["outputs"]["all"] == {"path": "all.wav", "media_type": "audio/wav"}
    assert sorted(path.name for path in (tmp_path / "sounds").iterdir()) == [
        "0001.wav", "0002.wav", "0003.wav",
    ]  # fmt: skip
    assert json.loads((tmp_path / "story.json").read_text()) == ["a", "bb", "ccc"]
    sizes = [(tmp_path / "sounds" / f"000{n}.wav").stat().st_size - 44 for n in (1, 2, 3)]
    assert (tmp_path / "all.wav").stat().st_size == 44 + sum(sizes)


def test_a_list_of_sounds_is_not_printed(pipeline):
    ended = pipeline("run", "sounds", *words("a"), "-o", "each=-")
    assert ended.code == 2
    assert "add -o each=DIR" in ended.sentence


def test_every_mistake_is_found_before_anything_starts(pipeline, tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        WORDS.replace("name: words", "name: broken")
        .replace("run: repeater", "run: repaeter")
        .replace("inputs.words }}", "inputs.wrods }}")
    )
    ended = pipeline("check", broken)
    assert ended.code == 2
    found = ended.out.splitlines()
    assert [line.split(":")[1] for line in found] == ["6", "7"]
    assert f"{broken}:6: steps[0].foreach: the pipeline has no input 'wrods'" in ended.out
    assert (
        f"{broken}:7: steps[1].run: there is no model or task 'repaeter'; did you mean" in ended.out
    )
    run = pipeline("run", broken, *words("a"))
    assert run.code == 2
    assert run.sentence.startswith(f"mm: {broken}:")


def test_a_pipeline_is_drawn_and_listed(pipeline):
    drawn = pipeline("show", "words").out
    assert "one: shouter, for each of inputs.words" in drawn
    assert drawn.index("one:") < drawn.index("two:")
    listed = pipeline("list").out
    assert "words" in listed
    assert "Say words loudly, twice" in listed


def test_an_item_that_crashes_its_worker_fails_alone(pipeline):
    given = words("a", "crash", "b", "fail", "c", "refuse", "d")
    ended = pipeline("run", "use-moody", *given, "--keep-going", "--json")
    assert ended.code == 1, ended
    told = json.loads(ended.out)
    assert told["outputs"]["texts"] == ["a", None, "b", None, "c", None, "d"]
    assert [each["item"] for each in told["failures"]] == ["item 2", "item 4", "item 6"]
    assert "SIGSEGV" in told["failures"][0]["error"]
    assert "it is no day for that" in told["failures"][1]["error"]
    assert "not that word" in told["failures"][2]["error"]
    assert told["failures"][0]["command"] == "mm run moody --text crash"
    assert "try: 4 done, 3 failed" in ended.err


def test_the_command_that_repeats_a_failed_item_does_so(pipeline, mm, manifests):
    ended = pipeline("run", "use-moody", *words("fail"))
    command = ended.err.partition("alone: ")[2].split("\n")[0]
    alone = mm(*command.split()[1:], "--manifests", manifests)
    assert alone.code == 1
    assert "it is no day for that" in alone.sentence


def test_after_a_rejection_no_one_is_advised_to_do_the_same_again(pipeline, batch, tmp_path):
    crashed, refused = (pipeline("run", "use-moody", *words(one)) for one in ("crash", "refuse"))
    assert "run the same command to try again" in crashed.sentence
    assert "alone: mm run moody --text crash" in crashed.err
    assert "try failed on item 1; run: mm pipeline report" in refused.sentence
    assert refused.err.count("not that word") == 1
    assert "alone: " not in refused.err
    for name in ("refuse", "fail"):
        (tmp_path / f"{name}.txt").write_text(name)
    refused = batch("moody", "refuse.txt", "-o", "a.jsonl")
    assert (refused.code, refused.sentence) == (1, "mm: 1 item failed")
    assert "alone: " not in refused.err
    both = batch("moody", "refuse.txt", "fail.txt", "-o", "b.jsonl")
    assert both.sentence == (
        "mm: 2 items failed, 1 of them rejected; to try the others again, add --resume"
    )
    assert both.err.count("alone: ") == 1


def test_what_a_runner_logs_shows_in_a_batch_and_stays_in_the_log(batch, mm, manifests, tmp_path):
    (tmp_path / "log.txt").write_text("log")
    assert "mm: moody: a word of mine\n" in batch("moody", "log.txt", "-o", "a.jsonl").err
    assert "a word of mine\n" in mm("logs", "moody", "--manifests", manifests).out


def test_without_keep_going_the_first_failure_is_the_last(pipeline):
    ended = pipeline("run", "use-moody", *words("x1", "fail", "x2", "x3"))
    assert ended.code == 1
    assert "try failed on item 2" in ended.sentence
    again = pipeline("run", "use-moody", *words("x1", "x2", "x3"))
    assert "kept from before" in again.err
    assert lines(again.out) == ["x1", "x2", "x3"]


def test_a_model_that_does_not_load_ends_the_run_with_its_own_error(pipeline):
    ended = pipeline("run", "use-unloadable", *words("a", "b"), "--keep-going")
    assert ended.code == 1
    assert "unloadable failed while loading: RuntimeError: no weights" in ended.sentence


def test_results_are_cleaned(pipeline, mm, tmp_path, workplace):
    home = {"MM_HOME": str(tmp_path / "home")}
    ran = pipeline("run", "words", *words("a", "b"), variables=home)
    assert ran.code == 0, ran
    assert "would remove 4 results" in pipeline("clean", "--dry-run", variables=home).err
    assert "removed 0 results" in pipeline("clean", "--older-than", "1h", variables=home).err
    assert "removed 4 results" in pipeline("clean", variables=home).err
    assert not list((tmp_path / "home" / "results").rglob("*.json"))
    assert "one: 2 done" in pipeline("run", "words", *words("a", "b"), variables=home).err


def test_a_trace_has_a_bar_for_each_item(pipeline, tmp_path):
    ended = pipeline("run", "words", *words("t1", "t2"), "--trace", "trace.json")
    assert ended.code == 0, ended
    events = check_trace(json.loads((tmp_path / "trace.json").read_text()))
    rows = {event["args"]["name"] for event in events["M"] if event["name"] == "process_name"}
    assert rows == {"one (shouter)", "two (repeater)"}
    categories = [event["cat"] for event in events["X"]]
    assert categories.count("done") == 4
    assert categories.count("load") == 2
    assert categories.count("transfer") == 8


def test_a_setting_changes_one_step(pipeline):
    ended = pipeline(
        "run", "words", *words("a"), "--set", "two.text=fixed", "--set", "one.workers=2"
    )
    assert lines(ended.out) == ["fixed fixed"]
    wrong = pipeline("run", "words", *words("a"), "--set", "three.text=x")
    assert wrong.code == 2
    assert "there is no step 'three'" in wrong.sentence


# -- killed, and gone on with ----------------------------------------------------------------------


def start(arguments, workplace, cwd):
    return subprocess.Popen(
        [*MM, *map(str, arguments)],
        env={**os.environ, **workplace},
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def count(path):
    return len(path.read_text().splitlines()) if path.exists() else 0


def wait_for_more(process, path, more, patience=60):
    """Wait until the file has `more` lines more, or the process has ended."""
    until = time.monotonic() + patience
    wanted = count(path) + more
    while process.poll() is None and count(path) < wanted:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_pipeline_killed_at_random_moments_redoes_only_what_was_running(
    pipeline, manifests, workplace, tmp_path
):
    diary = tmp_path / "diary.txt"
    many = [f"w{number}" for number in range(20 + 6 * KILLS)]
    arguments = [
        "pipeline", "run", "use-diary", *words(*(f"{diary}|{word}" for word in many)),
        "--manifests", manifests,
    ]  # fmt: skip
    killed = 0
    for _ in range(KILLS):
        process = start(arguments, workplace, tmp_path)
        wait_for_more(process, diary, random.randint(1, 8))
        time.sleep(random.random() / 20)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
    ended = pipeline(*arguments[1:-2])
    assert ended.code == 0, ended
    assert lines(ended.out) == many
    done = diary.read_text().split()
    assert sorted(set(done)) == sorted(many)
    # One item runs at a time; a kill can cost that one, and one whose result was just being kept.
    assert len(done) <= len(many) + 2 * killed
    done_again = pipeline(*arguments[1:-2])
    assert lines(done_again.out) == many
    assert count(diary) == len(done)


def test_a_book_killed_while_it_is_spoken_is_made_without_speaking_again(
    pipeline, manifests, workplace, tmp_path
):
    diary = tmp_path / "diary.txt"
    many = [f"w{number}" for number in range(40)]
    chapters = [{"title": "One", "first": 0}, {"title": "Two", "first": 20}]
    plan = {"title": "Songs", "chapters": chapters, "passages": [{"pause": 0.5}] * 40}
    arguments = [
        "pipeline", "run", "songs", *words(*(f"{diary}|{word}" for word in many)),
        "--plan", json.dumps(plan), "--manifests", manifests, "-o", "book=book.m4b",
        "-o", "subtitles=book.srt", "-o", "images=images/",
    ]  # fmt: skip
    for _ in range(2):
        process = start(arguments, workplace, tmp_path)
        wait_for_more(process, diary, random.randint(5, 15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ended = pipeline(*arguments[1:])
    assert ended.code == 0, ended
    assert set(diary.read_text().split()) == set(many)
    assert len(diary.read_text().split()) <= len(many) + 4
    with av.open(str(tmp_path / "book.m4b")) as container:
        found = [(float(each["start"] * each["time_base"])) for each in container.chapters()]
        assert container.duration / 1e6 == pytest.approx(60, abs=0.2)
    assert found == [0.0, 30.0]
    assert (tmp_path / "book.srt").read_text().count(" --> ") == 40
    assert len(list((tmp_path / "images").iterdir())) == 40
    explained = pipeline(*arguments[1:-6], "--explain").out
    assert "book (audiobook): kept" in explained


def test_a_batch_killed_at_random_moments_has_every_item_once(
    batch, manifests, workplace, tmp_path
):
    diary, out = tmp_path / "diary.txt", tmp_path / "out.jsonl"
    many = [f"w{number}" for number in range(20 + 6 * KILLS)]
    for word in many:
        (tmp_path / f"{word}.txt").write_text(f"{diary}|{word}")
    arguments = ["batch", "diary", "w*.txt", "-o", out, "--resume", "--manifests", manifests]
    for _ in range(KILLS):
        process = start(arguments, workplace, tmp_path)
        wait_for_more(process, out, random.randint(1, 8))
        time.sleep(random.random() / 20)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ended = batch(*arguments[1:-2])
    assert ended.code == 0, ended
    results = lines(out.read_text())
    assert [each["input"] for each in results] == [f"{word}.txt" for word in many]
    assert [each["outputs"]["text"] for each in results] == many
    assert {each["status"] for each in results} == {"ok"}
    assert len({each["receipt"] for each in results}) == 1


def test_an_interrupt_ends_a_pipeline_and_keeps_what_is_done(
    pipeline, manifests, workplace, tmp_path
):
    diary = tmp_path / "diary.txt"
    many = [f"w{number}" for number in range(60)]
    arguments = ["run", "use-diary", *words(*(f"{diary}|{word}" for word in many))]
    process = start(["pipeline", *arguments, "--manifests", manifests], workplace, tmp_path)
    wait_for_more(process, diary, 5)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"what is done is kept" in told
    before = count(diary)
    assert before < len(many)
    ended = pipeline(*arguments)
    assert lines(ended.out) == many
    assert count(diary) <= len(many) + 2


# -- batches ---------------------------------------------------------------------------------------


@pytest.fixture
def texts(tmp_path):
    """Ten small files, some of which fail."""
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    for number in range(1, 11):
        place = folder / "deep" if number > 8 else folder
        (place / f"t{number}.txt").write_text({3: "fail", 5: "crash"}.get(number, f"word {number}"))
    (folder / "notes.bin").write_bytes(b"\\xff")
    return folder


def test_a_batch_goes_past_failures_and_on_from_them(batch, texts, tmp_path):
    ended = batch("moody", "texts", "-o", "out.jsonl")
    assert ended.code == 1, ended
    results = lines((tmp_path / "out.jsonl").read_text())
    names = [f"texts/deep/t{n}.txt" for n in (9, 10)] + [f"texts/t{n}.txt" for n in range(1, 9)]
    assert [each["input"] for each in results] == names
    assert [each["input"] for each in results if each["status"] == "failed"] == [
        "texts/t3.txt", "texts/t5.txt",
    ]  # fmt: skip
    assert results[6]["error"]["exit_code"] == 5
    assert "8 done, 2 failed" in ended.err
    assert "alone: mm run moody --text - < texts/t3.txt" in ended.err

    refused = batch("moody", "texts", "-o", "out.jsonl")
    assert refused.code == 2
    assert "add --resume" in refused.sentence

    (texts / "t3.txt").write_text("better")
    again = batch("moody", "texts", "-o", "out.jsonl", "--resume")
    assert again.code == 1
    assert "1 done, 1 failed, 8 done before" in again.err
    results = lines((tmp_path / "out.jsonl").read_text())
    assert sorted(each["input"] for each in results) == sorted(names)
    assert len(results) == 10


def test_a_batch_goes_on_with_nothing_that_another_experiment_made(batch, texts, tmp_path):
    out = tmp_path / "out.jsonl"
    (texts / "t3.txt").unlink()
    (texts / "t5.txt").unlink()
    assert batch("moody", "texts", "-o", out).code == 0
    before = out.read_bytes()
    holds = f"mm: {out}: holds results of another experiment: "
    mix = "; choose another -o, or add --mix to have both in one file"

    other = batch("shouter", "texts", "-o", out, "--resume")
    assert other.code == 2
    assert other.sentence.startswith(f"{holds}the model is another (moody, now shouter)")
    assert other.sentence.endswith(mix)
    (texts / "t3.txt").write_text("new")
    for number in range(1, 9):
        (texts / f"t{number}.txt").touch()
    (texts / "t8.txt").write_text("otherwise")
    changed = batch("moody", "texts", "-", "-o", out, "--resume")
    assert (changed.code, changed.sentence) == (2, f"{holds}texts/t8.txt changed{mix}")
    listed = batch("moody", "-", "-o", out, "--resume", stdin=b'"texts/t1.txt"\n"texts/t8.txt"\n')
    assert listed.sentence == changed.sentence
    assert out.read_bytes() == before

    mixed = batch("moody", "texts", "-o", out, "--resume", "--mix")
    assert mixed.code == 0
    assert f"{out} mixes experiments: texts/t8.txt changed\n" in mixed.err
    assert "2 done, 0 failed, 8 done before" in mixed.err
    assert out.read_bytes().startswith(before)
    alone = batch("moody", "texts", "-o", tmp_path / "new.jsonl", "--mix")
    assert (alone.code, "add --resume" in alone.sentence) == (2, True)


def test_a_result_whose_file_is_gone_is_made_again(batch, texts, tmp_path):
    words = ("drawer", "texts/t1.txt", "texts/t2.txt")
    assert batch(*words, "-o", "out.jsonl").code == 0
    assert batch(*words, "-o", "out.json").code == 0
    first, second = (
        {
            tmp_path / each["outputs"]["sound"]["path"]
            for each in lines((tmp_path / name).read_text())
        }
        for name in ("out.jsonl", "out.json")
    )
    assert not first & second
    lost = min(first)
    lost.unlink()
    ended = batch(*words, "-o", "out.jsonl", "--resume")
    assert "1 done, 0 failed, 1 done before; 1 result had lost a file" in ended.err
    assert lost.exists()
    assert count(tmp_path / "out.jsonl") == 2


def test_globs_and_paths_are_items_once_each(batch, texts, tmp_path):
    ended = batch("moody", "texts/**/t1*.txt", "texts/t1.txt", "-o", "-")
    assert [each["input"] for each in lines(ended.out)] == ["texts/deep/t10.txt", "texts/t1.txt"]
    nothing = batch("moody", "nowhere/*.txt", "-o", "-")
    assert nothing.code == 2
    assert "nothing there fits" in nothing.sentence


def test_items_come_on_standard_input_as_json_lines(batch, texts):
    given = '"texts/t1.txt"\n\n{"text": "straight"}\n'
    ended = batch("moody", "-", "-o", "-", stdin=given.encode())
    assert ended.code == 0, ended
    results = lines(ended.out)
    assert [each["input"] for each in results] == ["texts/t1.txt", {"text": "straight"}]
    assert [each["outputs"]["text"] for each in results] == ["word 1", "straight"]
    for line in (b"nothing\n", b"[" * 100_000):
        wrong = batch("moody", "-", "-o", "-", stdin=line)
        assert wrong.code == 2
        assert wrong.sentence.startswith("mm: standard input:1: is not JSON")


def test_binary_outputs_are_files_beside_the_lines(batch, texts, tmp_path):
    ended = batch("drawer", "texts/t1.txt", "texts/t2.txt", "-o", "out.jsonl")
    assert ended.code == 0, ended
    for each in lines((tmp_path / "out.jsonl").read_text()):
        sound = each["outputs"]["sound"]
        assert sound["media_type"] == "audio/wav"
        assert (tmp_path / sound["path"]).read_bytes().startswith(b"RIFF")
        (warning,) = each["warnings"]  # it draws with a fine pen
        assert warning == "nothing can be heard in the output 'sound': it is silent throughout"
        assert ended.err.count(f"mm: {each['input']}: {warning}\n") == 1


def test_a_file_that_is_no_batch_is_never_emptied(batch, texts, tmp_path):
    notes = tmp_path / "notes.md"
    notes.write_text("# Notes\n\nBread, milk.\n")
    for given in (texts, notes):
        ended = batch("moody", given, "-o", notes, "--resume")
        assert ended.code == 2, ended
        assert notes.read_text() == "# Notes\n\nBread, milk.\n"
    assert "is one of the inputs" in ended.sentence
    nothing = batch("moody", "", "-o", "-")
    assert (nothing.code, nothing.out) == (2, "")


def test_two_batches_do_not_write_one_file(batch, manifests, workplace, texts, tmp_path):
    diary, out = tmp_path / "diary.txt", tmp_path / "out.jsonl"
    for number in range(200):
        (tmp_path / f"d{number}.txt").write_text(f"{diary}|{number}")
    arguments = ["batch", "diary", "d*.txt", "-o", out, "--manifests", manifests]
    process = start(arguments, workplace, tmp_path)
    wait_for_more(process, out, 1)
    other = batch("diary", "d*.txt", "-o", out, "--resume")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert other.code == 2
    assert "another mm writes to it" in other.sentence


def test_several_workers_do_every_item(batch, texts, tmp_path):
    for number in range(30):
        (tmp_path / f"w{number}.txt").write_text(f"word {number}")
    ended = batch("moody", "w*.txt", "-o", "out.jsonl", "--workers", "2")
    assert ended.code == 0, ended
    results = lines((tmp_path / "out.jsonl").read_text())
    assert sorted(each["outputs"]["text"] for each in results) == sorted(
        f"word {number}" for number in range(30)
    )


# -- memory ----------------------------------------------------------------------------------------

MANY = """\
import resource, sys, pathlib
import orchestrator

manifests, home, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
pipeline = orchestrator.Pipeline.load("words", manifests=[manifests])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

with orchestrator.Session(manifests=[manifests], home=home) as session:
    for number in (count // 10, count):
        outcome = pipeline.run(session, words=[f"word {n}" for n in range(number)])
        texts = outcome["texts"]
        assert len(texts) == number
        assert texts[-1] == f"WORD {number - 1} WORD {number - 1}"
        print(peak())
"""


def test_ten_thousand_items_take_no_more_memory_than_a_thousand(manifests, workplace, tmp_path):
    count = int(os.environ.get("MM_TEST_ITEMS", "3000"))
    script = tmp_path / "many.py"
    script.write_text(textwrap.dedent(MANY))
    ran = subprocess.run(
        [sys.executable, script, manifests, workplace["MM_HOME"], str(count)],
        env={**os.environ, **workplace},
        capture_output=True,
        check=False,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    few, all_of_them = map(int, ran.stdout.split())
    # The names of the items and the keys of their results are all that is held for each.
    assert all_of_them - few <= 5 + count * 4 // 1024


PEAK = """\
import resource, subprocess, sys
with open(sys.argv[1]) as given:
    subprocess.run(sys.argv[2:], stdin=given, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
"""


def test_a_batch_of_ten_thousand_takes_no_more_memory_than_a_hundred(
    manifests, workplace, tmp_path
):
    """The peak of the command, also where it goes on; the texts alone would be several MB."""
    many_items = int(os.environ.get("MM_TEST_ITEMS", "3000"))

    def peak(number, *more):
        given = tmp_path / "given.jsonl"
        given.write_text(
            "".join(json.dumps({"text": f"{n} {'x' * 4000}"}) + "\n" for n in range(number))
        )
        command = [*MM, "batch", "shouter", "-", *more, "--manifests", manifests]
        ran = subprocess.run(
            [sys.executable, "-c", PEAK, given, *command],
            env={**os.environ, **workplace},
            cwd=tmp_path,
            capture_output=True,
            check=False,
            timeout=900,
        )
        assert ran.returncode == 0, ran.stderr.decode()
        return int(ran.stdout)

    few = peak(100, "-o", "few.jsonl")
    many = peak(many_items, "-o", "many.jsonl")
    assert count(tmp_path / "many.jsonl") == many_items
    with (tmp_path / "many.jsonl").open("r+b") as stream:
        stream.truncate(stream.seek(0, os.SEEK_END) // 2)
    again = peak(many_items, "-o", "many.jsonl", "--resume")
    results = lines((tmp_path / "many.jsonl").read_text())
    assert sorted(int(each["outputs"]["text"].split()[0]) for each in results) == list(
        range(many_items)
    )
    assert max(many, again) - few <= 5
