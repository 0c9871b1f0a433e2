"""What `mm batch` says at its end."""

from types import SimpleNamespace

import pytest

from orchestrator.cli.batch_command import _run_batch
from orchestrator.errors import UsageError
from orchestrator.pipelines.batch_run import BatchProgress
from tests.models import Notes


@pytest.mark.parametrize("done", [0, 2])
def test_a_batch_that_is_refused_before_any_item_counts_none(done):
    notes, progress = Notes(), BatchProgress()

    def run(*_):
        progress.done = done
        raise UsageError("refused")

    batch = SimpleNamespace(job=SimpleNamespace(name="ocr"), run=run)
    context = SimpleNamespace(reporter=notes, say=notes.note)
    with pytest.raises(UsageError):
        _run_batch(context, batch, [], SimpleNamespace(lost=0), progress)
    assert notes.notes == (["2 done, 0 failed"] if done else [])
