"""Steps and batches whose items have models of their own, by the language of their text."""

import json

import pytest

from orchestrator.errors import EnvironmentFailure, UsageError
from orchestrator.jobs.in_flight import InFlightJobs
from orchestrator.jobs.job import Job
from orchestrator.jobs.receipts import receipt
from orchestrator.jobs.results import Result
from orchestrator.pipelines.batch_items import Item
from orchestrator.pipelines.batch_resume import Resumption
from orchestrator.pipelines.batch_run import Batch, BatchProgress
from orchestrator.pipelines.json_lines import JsonLines
from orchestrator.pipelines.run_context import RunContext, RunOptions
from orchestrator.pipelines.run_plan import RunPlanner
from orchestrator.pipelines.run_state import RunState
from orchestrator.pipelines.step_executor import step_executors
from orchestrator.pipelines.step_values import given as values_of
from tests.models import model
from tests.unit.pipelines.fakes import VOICES, FakeModels, Run

EACH = """
name: p
inputs: {words: {type: text, list: true, required: true}}
steps:
  - {id: say, run: voice, foreach: "${{ inputs.words }}", with: {text: "${{ item }}"}}
outputs: {texts: "${{ steps.say.text }}"}
"""
ONE = """
name: p
inputs: {word: {type: text, required: true}}
steps: [{id: say, run: voice, with: {text: "${{ inputs.word }}"}}]
outputs: {text: "${{ steps.say.text }}"}
"""
WORDS = ["tide", "今天", "moon"]


def voices():
    return FakeModels(plain=lambda text: f"plain {text}", wide=lambda text: f"wide {text}")


def test_each_item_runs_on_its_own_model_which_is_loaded_once(tmp_path):
    models = voices()
    run = Run(EACH, models, tmp_path, words=[*WORDS, "天气"])
    assert run.output("texts") == ["plain tide", "wide 今天", "plain moon", "wide 天气"]
    assert sorted(models.prepared) == ["plain", "wide"]
    assert sorted(run.observed.preparations) == [
        ("say", "environment"), ("say", "environment"), ("say", "load"), ("say", "load"),
    ]  # fmt: skip


def test_the_model_of_an_item_is_part_of_its_key(tmp_path):
    models = voices()
    first = Run(EACH, models, tmp_path, words=WORDS)
    models.versions["wide"] = "2"
    models.ran.clear()
    again = Run(EACH, models, tmp_path, words=WORDS, store=first.store)
    assert [name for name, _ in models.ran] == ["wide"]
    assert again.observed.ended == [("say", 0, "kept"), ("say", 1, "done"), ("say", 2, "kept")]


def test_a_text_that_no_model_speaks_fails_alone(tmp_path):
    run = Run(EACH, voices(), tmp_path, words=["tide", "?", "今天"], keep_going=True)
    assert run.output("texts") == ["plain tide", "wide 今天"]
    assert run.observed.failures == [("say", 1, "no model speaks ?")]


def test_a_model_that_does_not_load_fails_its_own_items_alone(tmp_path):
    models = voices()
    models.broken = {"wide"}
    run = Run(EACH, models, tmp_path, words=[*WORDS, "天气"], keep_going=True)
    assert run.output("texts") == ["plain tide", "plain moon"]
    why = "wide does not load"
    assert run.observed.failures == [("say", 1, why), ("say", 3, why)]
    with pytest.raises(EnvironmentFailure, match=why):
        Run(ONE, models, tmp_path, word="今天")


def test_no_model_is_prepared_before_the_text_that_chooses_it_is_known(tmp_path):
    yaml = ONE.replace(
        "steps: [", 'steps: [{id: a, run: wide, with: {text: "${{ inputs.word }}"}},'
    )
    yaml = yaml.replace(
        'run: voice, with: {text: "${{ inputs.word }}',
        'run: voice, with: {text: "${{ steps.a.text }}',
    )
    models = voices()
    assert Run(yaml, models, tmp_path, word="今天").output("text") == "wide wide 今天"
    assert set(models.prepared) == {"wide"}


def test_a_plan_says_which_models_are_not_built_and_what_would_fail(tmp_path):
    run = Run(EACH, voices(), tmp_path, words=["tide"])
    context = RunContext(voices(), run.store, None, RunOptions(), InFlightJobs())
    state = RunState(
        run.graph, {"words": values_of("text", ["tide", "今天", "?"], many=True)}, run.store
    )
    unbuilt = {"wide": "wide is not built"}
    (plan,) = RunPlanner(
        state, step_executors(run.graph, context), context, {}, lambda name: unbuilt.get(name, "")
    ).plans()
    assert plan.runs == "voice"
    assert [(item.kept, item.why) for item in plan.items] == [
        (True, ""), (False, "wide is not built"), (False, "it would fail: no model speaks ?"),
    ]  # fmt: skip


class Batches:
    """Batches of the task `voice` into one file."""

    def __init__(self, root):
        self.root, self.out, self.models = root, root / "out.jsonl", voices()
        self.execute = self.models.execute

    def run(self, *words, resume=False, model_for=None, given=str):
        models = self.models
        models.execute = self.execute_with_receipt
        manifest = model(self.root, "plain").manifest
        job = Job("voice", candidates=VOICES)
        progress = BatchProgress()
        scratch = self.root / "scratch"
        with JsonLines.open(self.out, resume=resume, outputs={"file"}) as lines:
            resumption = Resumption(
                lines, manifest, progress, model_for=model_for or self.model_for
            )
            resumption.compare_producers(lambda name: models.produced_by(Job(name)))
            items = (
                Item({"text": word}, lambda _, word=word: {"text": word}, {"text": given(word)})
                for word in words
            )
            batch = Batch(job, manifest, models, lambda: scratch, lambda _: None)
            batch.run(resumption.left(items), lines, progress)
        return progress

    def model_for(self, inputs):
        return self.models.model_for(Job("voice", inputs, candidates=VOICES))

    def execute_with_receipt(self, job):
        made = self.execute(job)
        producer = self.models.produced_by(job)
        return Result(dict(made), job.name, "text", lambda: receipt(producer, job.inputs, {}), {})

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.read_text().splitlines()]


@pytest.fixture
def batches(tmp_path):
    return Batches(tmp_path)


def test_each_item_of_a_batch_runs_on_its_own_model(batches):
    batches.models.broken = {"wide"}
    progress = batches.run("tide", "今天", "?", "moon")
    assert [line["outputs"].get("text") for line in batches.lines] == [
        "plain tide", None, None, "plain moon",
    ]  # fmt: skip
    assert [str(error) for _, error in progress.failed] == [
        "wide does not load",
        "no model speaks ?",
    ]


def test_a_batch_goes_on_where_each_item_has_the_model_that_it_had(batches, tmp_path):
    batches.run(*WORDS)
    assert batches.run(*WORDS, "天气", resume=True).skipped == 3
    with pytest.raises(UsageError, match=r"the model is another \(wide, now plain\)"):
        batches.run(*WORDS, resume=True, model_for=lambda _: "plain")
    file = tmp_path / "word.txt"
    file.write_text("今天")
    with pytest.raises(UsageError, match=r"the model is another \(plain, now wide\)"):
        batches.run("tide", resume=True, given=lambda _: file)
    batches.models.versions["wide"] = "2"
    with pytest.raises(UsageError, match="holds results of another experiment: the runner changed"):
        batches.run(*WORDS, resume=True)
