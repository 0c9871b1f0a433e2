"""How long a run will still take: said where the pace of earlier items is a basis, else not."""

from pathlib import Path

import pytest

from orchestrator.core.pipelines.cache_key import Recipe
from orchestrator.pipelines.pace import Pace
from orchestrator.pipelines.run_events import ItemBegan, ItemDone, Span, StepProgress, StepResult
from orchestrator.pipelines.run_observer import RunObserver
from orchestrator.pipelines.run_record import RunRecord
from tests.models import Notes
from tests.unit.pipelines.fakes import FakeModels, Run

YAML = """\
name: p
inputs: {texts: {type: text, list: true, required: true}}
steps:
  - {id: read, run: note, foreach: "${{ inputs.texts }}", with: {text: "${{ item }}"}}
  - {id: say, run: note, foreach: "${{ steps.read.text }}", with: {text: "${{ item }}"}}
outputs: {texts: "${{ steps.say.text }}"}
"""


@pytest.mark.parametrize(
    ("ahead", "moments", "left"),
    [
        (0, [], None),
        (0, [1, 2, 3, 4], None),
        (0, [1, 3, 5, 7, 9], 200.0),
        (2, [1, 1, 3, 5, 7, 9], None),  # the first two are made before the step must wait
        (2, [1, 1, 3, 5, 7, 9, 11], 204.0),  # until the last two are taken
        (0, [*[0] * 50, *range(50)], 100.0),  # only recent ones count
    ],
    ids=["none", "too few", "enough", "too few behind those ahead", "enough behind", "recent"],
)
def test_time_left_is_concluded_from_recent_items_and_not_from_few(ahead, moments, left):
    pace = Pace(ahead)
    for made, moment in enumerate(moments, start=1):
        pace.count(made, moment)
    assert pace.left(100) == left


def shown(directory, reused):
    """Return what is reported of twenty items that take 30 seconds each."""
    run = Run(YAML, FakeModels(note=lambda text: text), directory, texts=["The\ntide", "rose"])
    notes = Notes()
    record = RunRecord(directory / "runs", run.graph.document(), {}, {})
    observer = RunObserver(record, notes, run.run_state)
    observer.on_event(ItemBegan("say", 0))
    for index in range(20):
        span = Span(0, 30 * index, 30 * index + 30, 0)
        result = StepResult("0", {}, Recipe({}, {}), reused=reused)
        observer.on_event(StepProgress("say", index + 1, 100))
        observer.on_event(ItemDone("say", index, "", result, span))
    observer.on_event(StepProgress("say", 20, 100))
    record.release()
    return [text for _, text in notes.steps]


def test_a_run_reports_what_it_works_on_and_the_time_left(tmp_path: Path):
    texts = shown(tmp_path, reused=False)
    assert texts[0] == "2 of 2\n"  # all of it is done
    assert texts[1:5] == [f"{n} of 100\nThe tide" for n in range(1, 5)]
    assert texts[-1] == "20 of 100, about 40 min left\nThe tide"


def test_items_that_were_kept_are_no_basis(tmp_path: Path):
    assert not any("left" in text for text in shown(tmp_path, reused=True))
