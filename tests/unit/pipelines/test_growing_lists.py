"""Steps that take a list while it grows, and give one while they run."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import JobFailed
from orchestrator.jobs.in_flight import InFlightJobs
from orchestrator.pipelines.readiness import AHEAD
from orchestrator.pipelines.run_context import RunContext, RunOptions
from orchestrator.pipelines.run_plan import RunPlanner
from orchestrator.pipelines.run_state import RunState
from orchestrator.pipelines.step_executor import step_executors
from tests.unit.pipelines.fakes import FakeModels, Run, sound

YAML = """
name: p
inputs: {words: {type: text, list: true, required: true}}
steps:
  - {id: one, run: say, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
  - {id: pages, run: split-pages, with: {files: "${{ steps.one.audio }}"}}
  - {id: read, run: a, foreach: "${{ steps.pages.images }}", with: {text: x, page: "${{ item }}"}}
outputs: {texts: "${{ steps.read.text }}"}
"""
TUNED = """
  - id: tuned
    run: tune
    foreach: "${{ steps.one.audio }}"
    with: {audio: "${{ item }}"}
"""
ALL = """
  - {id: all, run: split-pages, with: {files: "${{ steps.pages.images }}"}}
"""
WORDS = [str(number) for number in range(1, 61)]


def say(text):
    return sound(int(text))


def read(text, page):
    return str(int.from_bytes(page.read_bytes()[-2:], "little"))


def run(directory, words=WORDS, yaml=YAML, store=None, say=say, read=read, **options):
    models = FakeModels(say=say, a=read, tune=lambda audio: sound(0))
    found = Run(yaml, models, directory, words=words, store=store, **options)
    found.models = models
    return found


def ran(found, name):
    return sum(model == name for model, _ in found.models.ran)


def how(found, step):
    return [how for name, _, how in found.observed.ended if name == step]


def test_items_go_through_in_order_while_the_list_grows(tmp_path):
    read_one = threading.Event()

    def wait(text):
        if text == "20":  # where the step before waited for the whole list, for ever
            assert read_one.wait(60)
        return say(text)

    def note(text, page):
        read_one.set()
        return read(text, page)

    found = run(tmp_path, say=wait, read=note)
    assert found.output("texts") == WORDS
    assert found.observed.latest == {"one": (60, 60), "read": (60, 60)}


BY_ALL = YAML.replace("steps.pages.images", "steps.all.images").replace(
    "outputs:", ALL + "outputs:"
)


@pytest.mark.parametrize(("yaml", "steps"), [(YAML, 2), (BY_ALL, 3)], ids=["two", "three"])
def test_no_step_runs_away_from_a_slow_one_behind_it(yaml, steps, tmp_path):
    limit = steps * (AHEAD + 3)  # of `one` before `pages`, of `pages` before the next, and so on
    beyond = threading.Event()

    def note(text):
        if int(text) > limit:
            beyond.set()
        return say(text)

    def stand(text, page):
        if read(text, page) == "1":
            assert not beyond.wait(0.5)
        return read(text, page)

    assert run(tmp_path, say=note, read=stand, yaml=yaml).output("texts") == WORDS


def test_everything_is_kept_and_nothing_runs_again(tmp_path):
    first = run(tmp_path)
    again = run(tmp_path, store=first.store)
    assert again.models.ran == []
    assert again.output("texts") == WORDS
    assert how(again, "pages") == ["kept"]
    forced = run(tmp_path, store=first.store, force={"pages"})
    assert how(forced, "pages") == ["done"]
    assert set(how(forced, "read")) == {"kept"}


@pytest.mark.parametrize("keep_going", [False, True])
def test_what_came_before_a_failure_is_not_done_again(keep_going, tmp_path):
    def fail(text):
        if text == "30":
            raise JobFailed("no 30")
        return say(text)

    broken = run(tmp_path, say=fail, keep_going=keep_going)
    assert [failure[:2] for failure in broken.observed.failures] == [("one", 29)]
    assert ran(broken, "say") == (60 if keep_going else 30)
    done = ran(broken, "a")
    assert done <= 29
    assert how(broken, "pages") == []
    assert broken.run_state.states["pages"].lost or not keep_going
    again = run(tmp_path, store=broken.store)
    assert again.output("texts") == WORDS
    assert ran(again, "say") == 60 - ran(broken, "say") + 1
    assert ran(again, "a") == 60 - done


def test_a_new_item_in_the_middle_runs_alone(tmp_path):
    first = run(tmp_path)
    words = [*WORDS[:30], "999", *WORDS[30:]]
    again = run(tmp_path, words=words, store=first.store)
    assert again.output("texts") == words
    assert [name for name, _ in again.models.ran] == ["say", "a"]
    assert how(again, "pages") == ["done"]


def test_an_item_without_a_result_is_left_out(tmp_path):
    models = FakeModels(say=lambda text: sound(len(text)), a=read)
    found = Run(YAML, models, tmp_path, words=["ab", " ", "abc"])
    assert found.output("texts") == ["2", "3"]


def test_a_list_without_items_is_one(tmp_path):
    assert run(tmp_path, words=[]).output("texts") == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_step_that_waits_for_items_ends_with_the_run(error, tmp_path):
    def stop(text):
        if text == "20":
            raise error
        return say(text)

    with pytest.raises(error):
        run(tmp_path, say=stop, keep_going=True)


def plans(found, values):
    state = RunState(found.graph, values, found.store)
    context = RunContext(found.models, found.store, None, RunOptions(), InFlightJobs())
    executors = step_executors(found.graph, context)
    return RunPlanner(state, executors, context, {}, lambda node: "").plans()


def test_it_is_explained_what_would_run(tmp_path):
    found = run(tmp_path)
    assert all(item.kept for plan in plans(found, found.run_state.inputs) for item in plan.items)
    found.models.versions["say"] = "2"
    one, pages, text = plans(found, found.run_state.inputs)
    assert not any(item.kept for item in one.items)
    assert pages.unknown == "it depends on one, which would run"
    assert text.unknown == "it depends on pages, which would run"


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 40), st.sets(st.integers(1, 40), max_size=2), st.booleans(),
    st.integers(1, 3), st.integers(1, 3), st.booleans(), st.booleans(),
)  # fmt: skip
def test_every_run_comes_to_its_end(
    tmp_path_factory, count, bad, keep_going, sayers, readers, twice, whole
):
    """With others that take the same items: one by one, or all of them first."""

    def fail(text):
        if int(text) in bad:
            raise JobFailed(f"no {text}")
        return say(text)

    more = (TUNED if twice else "") + (ALL if whole else "")
    yaml = YAML.replace("outputs:", f"{more}outputs:")
    yaml = yaml.replace("run: say,", f"run: say, workers: {sayers},")
    yaml = yaml.replace("run: a,", f"run: a, workers: {readers},")
    words = [str(number) for number in range(1, count + 1)]
    found = run(
        tmp_path_factory.mktemp("run"), words=words, yaml=yaml, say=fail, keep_going=keep_going
    )
    failing = bad & set(range(1, count + 1))
    states = found.run_state.states.values()
    if keep_going or not failing:
        assert all(state.over for state in states)
    if not failing:
        assert all(state.whole for state in states)
        assert found.output("texts") == words
