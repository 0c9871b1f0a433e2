"""Which step runs on which item, in which order, and what happens when one fails."""

import inspect
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import Crashed, EnvironmentFailure, JobFailed, Rejected
from orchestrator.pipelines.readiness import AHEAD
from tests.unit.pipelines.fakes import FakeModels, Run

CHAIN = """
name: p
inputs: {words: {type: text, list: true, required: true}}
steps:
  - {id: one, run: a, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
  - {id: two, run: b, foreach: "${{ steps.one.text }}", with: {text: "${{ item }}"}}
outputs: {texts: "${{ steps.two.text }}"}
"""
WORDS = [f"w{number}" for number in range(30)]


def chain(models, directory, words=WORDS, yaml=CHAIN, **options):
    return Run(yaml, models, directory, words=words, **options)


def shout(text, **_):
    return text.upper()


def twice(text, **_):
    return text + text


def test_results_are_in_the_order_of_the_items_however_they_end(tmp_path):
    gate = threading.Event()

    def slow_first(text):
        if text == "w0":
            assert gate.wait(60)
        elif text == "w6":
            gate.set()
        return text.upper()

    yaml = CHAIN.replace("run: a,", "run: a, workers: 4,")
    run = chain(FakeModels(a=slow_first, b=twice), tmp_path, yaml=yaml)
    assert run.output("texts") == [word.upper() * 2 for word in WORDS]
    ends = [index for step, index, _ in run.observed.ended if step == "one"]
    assert ends[0] != 0  # the seventh could begin only after others had ended


def test_an_item_goes_through_the_second_step_while_the_first_goes_on(tmp_path):
    second_began = threading.Event()

    def first(text):
        # Without overlap this would wait for ever.
        if text == "w5":
            assert second_began.wait(60)
        return text

    def second(text):
        second_began.set()
        return text

    run = chain(FakeModels(a=first, b=second), tmp_path)
    assert run.output("texts") == WORDS


def test_a_fast_step_does_not_run_away_from_a_slow_one(tmp_path):
    models = FakeModels(a=shout, b=twice)
    ahead = []

    def slow(text):
        ahead.append(sum(model == "a" for model, _ in models.ran) - len(ahead))
        return text

    models.models["b"] = slow
    chain(models, tmp_path, words=[str(number) for number in range(200)])
    assert len(ahead) == 200
    assert max(ahead) <= AHEAD + 3  # and one each that the two steps are working on


def test_as_many_items_run_at_once_as_there_are_workers(tmp_path):
    meeting = threading.Barrier(3)

    def meet(text):
        meeting.wait(60)
        return text

    yaml = CHAIN.replace("run: a,", "run: a, workers: 3,")
    models = FakeModels(a=meet, b=lambda text: text)
    chain(models, tmp_path, yaml=yaml)
    assert models.most <= 4


def test_the_next_model_is_loaded_while_the_first_runs(tmp_path):
    models = FakeModels(b=twice)
    loaded = threading.Event()
    load = models.load

    def load_and_note(job):
        load(job)
        if job.name == "b":
            loaded.set()

    def wait_for_it(text):
        assert loaded.wait(60)
        return text

    models.load = load_and_note
    models.models["a"] = wait_for_it
    models.versions["a"] = "1"
    chain(models, tmp_path, words=["x"])
    assert sorted(models.prepared) == ["a", "b"]


def test_nothing_is_loaded_where_every_result_is_kept(tmp_path):
    first = chain(FakeModels(a=shout, b=twice), tmp_path)
    models = FakeModels(a=shout, b=twice)
    again = chain(models, tmp_path, store=first.store)
    assert again.output("texts") == first.output("texts")
    assert models.ran == []
    assert models.prepared == []
    assert {status for _, _, status in again.observed.ended} == {"kept"}


def test_a_change_of_one_model_runs_that_step_and_what_it_changes(tmp_path):
    first = chain(FakeModels(a=shout, b=twice), tmp_path)
    models = FakeModels(a=shout, b=twice)
    models.versions["a"] = "2"
    chain(models, tmp_path, store=first.store)
    # The first step runs again; what it makes is the same, so that the second need not.
    assert {model for model, _ in models.ran} == {"a"}
    assert len(models.ran) == len(WORDS)


def test_a_new_item_runs_alone(tmp_path):
    first = chain(FakeModels(a=shout, b=twice), tmp_path)
    models = FakeModels(a=shout, b=twice)
    chain(models, tmp_path, words=[*WORDS[:7], "new", *WORDS[7:]], store=first.store)
    assert models.ran == [("a", {"text": "new"}), ("b", {"text": "NEW"})]


def test_pages_are_called_by_the_name_that_their_file_has_now(tmp_path):
    yaml = """
name: p
inputs: {files: {type: file, list: true, required: true}}
steps:
  - {id: pages, run: split-pages, with: {files: "${{ inputs.files }}"}}
outputs: {images: "${{ steps.pages.images }}"}
"""
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    first.write_bytes(b"the same")
    second.write_bytes(b"the same")
    run = Run(yaml, FakeModels(), tmp_path, files=[first])
    renamed = Run(yaml, FakeModels(), tmp_path, store=run.store, files=[second])
    (page,) = renamed.run_state.states["pages"].flows["images"]
    assert (page.label, page.file) == (str(second), second)


def test_it_is_known_how_long_an_item_waited_and_what_had_to_be_loaded(tmp_path):
    run = chain(FakeModels(a=shout, b=twice), tmp_path, words=["x", "y"])
    for _, span in run.observed.spans:
        assert span.ready <= span.began <= span.ended
    assert len(run.observed.spans) == 4
    assert sorted(run.observed.preparations) == [
        ("one", "environment"), ("one", "load"), ("two", "environment"), ("two", "load"),
    ]  # fmt: skip


def test_an_empty_list_is_joined_as_well(tmp_path):
    step = '  - {id: all, run: c, with: {text: x, texts: "${{ steps.two.text }}"}}'
    yaml = CHAIN.replace("outputs:", f"{step}\noutputs:")
    models = FakeModels(a=shout, b=shout, c=lambda text, texts=(): f"{len(texts)}")
    run = chain(models, tmp_path, words=[], yaml=yaml)
    assert run.run_state.states["all"].whole


def test_force_runs_a_step_though_its_results_are_kept(tmp_path):
    first = chain(FakeModels(a=shout, b=twice), tmp_path)
    models = FakeModels(a=shout, b=twice)
    chain(models, tmp_path, store=first.store, force={"two"})
    assert {model for model, _ in models.ran} == {"b"}


def fail_on(*words, error=JobFailed):
    def run(text):
        if text in words:
            raise error(f"no {text}")
        return text

    return run


def test_one_item_fails_alone(tmp_path):
    run = chain(
        FakeModels(a=fail_on("w4"), b=fail_on("w7", error=Crashed)), tmp_path, keep_going=True
    )
    assert run.observed.failures == [("one", 4, "no w4"), ("two", 7, "no w7")]
    assert run.output("texts") == [word for word in WORDS if word not in ("w4", "w7")]
    assert run.observed.latest == {"one": (30, 30), "two": (30, 30)}


def test_without_keep_going_nothing_new_begins_after_a_failure(tmp_path):
    models = FakeModels(a=fail_on("w4"), b=shout)
    run = chain(models, tmp_path)
    assert run.observed.failures == [("one", 4, "no w4")]
    assert ("a", {"text": "w5"}) not in models.ran


def test_a_step_that_makes_a_list_stops_where_the_run_ends(tmp_path):
    yaml = """
name: p
inputs: {files: {type: file, list: true, required: true}}
steps:
  - {id: pages, run: split-pages, with: {files: "${{ inputs.files }}"}}
  - {id: read, run: a, foreach: "${{ steps.pages.images }}", with: {text: x, page: "${{ item }}"}}
outputs: {texts: "${{ steps.read.text }}"}
"""
    page = tmp_path / "page.png"
    page.write_bytes(b"x")

    def fail(text, page):
        raise JobFailed("no")

    run = Run(yaml, FakeModels(a=fail), tmp_path, files=[page] * 100)
    assert len(run.observed.failures) == 1
    assert len(run.run_state.states["pages"].flows["images"]) <= AHEAD + 2


def test_a_step_that_needs_all_items_does_not_run_on_some(tmp_path):
    step = '  - {id: all, run: c, with: {text: x, texts: "${{ steps.two.text }}"}}'
    yaml = CHAIN.replace("outputs:", f"{step}\noutputs:")
    models = FakeModels(a=fail_on("w4"), b=shout, c=lambda text, texts: " ".join(texts))
    run = chain(models, tmp_path, yaml=yaml, keep_going=True)
    assert run.run_state.states["all"].lost
    assert "c" not in {model for model, _ in models.ran}


def test_a_failed_job_is_tried_again_and_a_rejected_input_is_not(tmp_path):
    tries = {"w1": 0, "w2": 0}

    def moody(text):
        if text in tries:
            tries[text] += 1
            if text == "w2":
                raise Rejected("never")
            if tries[text] < 3:
                raise Crashed("not yet")
        return text

    run = chain(FakeModels(a=moody, b=shout), tmp_path, retries=2, keep_going=True)
    assert tries == {"w1": 3, "w2": 1}
    assert run.observed.failures == [("one", 2, "never")]


def test_a_model_that_does_not_load_ends_the_run(tmp_path):
    models = FakeModels(a=shout, b=shout)

    def load(job):
        if job.name == "b":
            raise Crashed("b was killed while loading")

    models.load = load
    with pytest.raises(Crashed, match="while loading"):
        chain(models, tmp_path, keep_going=True)


def test_an_environment_that_cannot_be_built_ends_the_run(tmp_path):
    models = FakeModels(a=fail_on("w2", error=EnvironmentFailure), b=shout)
    with pytest.raises(EnvironmentFailure):
        chain(models, tmp_path, keep_going=True)
    assert len(models.ran) < 2 * len(WORDS)


def test_a_fault_of_ours_is_raised_and_not_counted_as_a_failed_item(tmp_path):
    with pytest.raises(ZeroDivisionError):
        chain(FakeModels(a=lambda text: 1 / 0, b=shout), tmp_path, keep_going=True)


def test_an_empty_list_gives_an_empty_list(tmp_path):
    assert chain(FakeModels(a=shout, b=twice), tmp_path, words=[]).output("texts") == []


def test_a_step_may_wait_for_all_and_another_take_them_one_by_one(tmp_path):
    """Back pressure alone would stand still here: `two` waits for `all`, which waits for `one`."""
    yaml = """
name: p
inputs: {words: {type: text, list: true, required: true}}
steps:
  - {id: one, run: a, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
  - {id: all, run: c, with: {text: x, texts: "${{ steps.one.text }}"}}
  - id: two
    run: b
    foreach: "${{ steps.one.text }}"
    with: {text: "${{ item }}", extra: "${{ steps.all.text }}"}
outputs: {texts: "${{ steps.two.text }}"}
"""
    words = [str(number) for number in range(100)]
    models = FakeModels(
        a=lambda text: text, b=lambda text, extra: f"{text} of {extra}",
        c=lambda text, texts: str(len(texts)),
    )  # fmt: skip
    run = Run(yaml, models, tmp_path, words=words)
    assert run.output("texts") == [f"{word} of 100" for word in words]


@st.composite
def graphs(draw):
    """Steps in a random order of dependence, each over a list or not."""
    size = draw(st.integers(1, 6))
    lists, singles, steps = ["inputs.words"], [], []
    for number in range(size):
        whole = draw(st.lists(st.sampled_from(lists), max_size=2))
        one = draw(st.sampled_from([None, *singles]))
        extra = f', extra: "${{{{ {one} }}}}"' if one else ""
        texts = ", ".join(f'"${{{{ {each} }}}}"' for each in whole[:1])
        given = f", texts: {texts}" if texts else ""
        workers = draw(st.integers(1, 3))
        if draw(st.booleans()):
            source = draw(st.sampled_from(lists))
            head = f'foreach: "${{{{ {source} }}}}", with: {{text: "${{{{ item }}}}"'
            new, into = f"steps.s{number}.text", lists
        else:
            head, new, into = "with: {text: x", f"steps.s{number}.text", singles
        steps.append(f"  - {{id: s{number}, run: m, workers: {workers}, {head}{given}{extra}}}}}")
        into.append(new)
    order = draw(st.permutations(steps))
    outputs = ", ".join(f'o{n}: "${{{{ steps.s{n}.text }}}}"' for n in range(size))
    head = "name: p\ninputs: {words: {type: text, list: true, required: true}}\nsteps:\n"
    return head + "\n".join(order) + f"\noutputs: {{{outputs}}}\n"


@settings(max_examples=60)
@given(graphs(), st.integers(0, 40), st.sets(st.integers(0, 39), max_size=3), st.booleans())
def test_every_graph_comes_to_its_end(tmp_path_factory, yaml, count, bad, keep_going):
    def model(text, texts=(), extra=""):
        if text in {f"w{number}" for number in bad}:
            raise JobFailed(f"no {text}")
        return text

    words = [f"w{number}" for number in range(count)]
    run = Run(
        yaml, FakeModels(m=model), tmp_path_factory.mktemp("run"), words=words,
        keep_going=keep_going,
    )  # fmt: skip
    failing = bad & set(range(count))
    states = run.run_state.states.values()
    if keep_going or not failing:
        assert all(state.over for state in states)
    if not failing:
        assert all(state.whole for state in states)
        for state in states:
            assert run.output(f"o{state.node.id[1:]}") == (words if state.node.mapped else "x")


def test_the_jobs_of_a_run_keep_their_models(tmp_path):
    kept = []

    class Models(FakeModels):
        def execute(self, job):
            kept.append(job.models)
            return super().execute(job)

    chain(Models(a=shout, b=twice), tmp_path, words=["x"])
    assert kept[0] is kept[1] is not None


def test_a_pipeline_may_have_more_steps_in_a_row_than_python_has_frames(tmp_path):
    count, frames = 250, 200
    sources = ["inputs.words", *(f"steps.s{number}.text" for number in range(count))]
    steps = "".join(
        f'  - {{id: s{number}, run: plain-text, with: {{markdown: "${{{{ {source} }}}}"}}}}\n'
        for number, source in enumerate(sources[:-1])
    )
    yaml = (
        "name: p\ninputs: {words: {type: text, required: true}}\nsteps:\n"
        f'{steps}outputs: {{texts: "${{{{ {sources[-1]} }}}}"}}\n'
    )
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + frames)
    try:
        assert chain(FakeModels(), tmp_path, words="far", yaml=yaml).output("texts") == "far"
    finally:
        sys.setrecursionlimit(usual)


def test_an_output_that_the_model_lacks_is_an_empty_list(tmp_path):
    yaml = CHAIN.replace(
        "outputs:",
        '  - {id: all, run: c, with: {text: x, texts: "${{ steps.one.pages? }}"}}\noutputs:',
    ).replace('steps.two.text }}"}', 'steps.all.text }}"}')
    models = FakeModels(a=shout, b=twice, c=lambda text, texts: f"{text}{texts}")
    assert chain(models, tmp_path, yaml=yaml, words=["x"]).output("texts") == "x[]"


def test_a_built_in_step_warns(tmp_path):
    (tmp_path / "a.txt").write_bytes("没有人来过".encode("gb18030"))
    yaml = """
name: p
inputs: {files: {type: file, list: true, required: true}}
steps: [{id: pages, run: book-pages, with: {files: "${{ inputs.files }}"}}]
outputs: {document: "${{ steps.pages.document }}"}
"""
    for _ in range(2):  # made, and kept
        run = Run(yaml, FakeModels(), tmp_path, files=[tmp_path / "a.txt"])
        assert [text.rpartition(": ")[2] for *_, text in run.observed.warnings] == [
            "read as gb18030"
        ]
