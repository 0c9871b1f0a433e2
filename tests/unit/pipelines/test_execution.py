"""What a pipeline waits for before it begins."""

import threading

from orchestrator.pipelines.execution import _hold_results
from orchestrator.pipelines.pipeline import Pipeline
from orchestrator.pipelines.result_cleanup import LOCK
from orchestrator.system.flock import try_lock
from tests.fakes import FakeWorkspace

PIPELINE = b"""\
name: p
inputs: {text: {type: text, required: true}}
steps: [{id: one, run: plain-text, with: {markdown: "${{ inputs.text }}"}}]
outputs: {text: "${{ steps.one.text }}"}
"""


def test_a_pipeline_waits_while_results_are_removed_and_keeps_the_next_removal_out(tmp_path):
    workspace = FakeWorkspace(tmp_path)
    (tmp_path / "p.yaml").write_bytes(PIPELINE)
    graph = Pipeline.load(tmp_path / "p.yaml").check(workspace)
    workspace.home.prepare()
    removal = try_lock(workspace.home.locks / LOCK)
    ends = threading.Timer(0.1, removal.release)
    ends.start()
    with _hold_results(graph, workspace):
        ends.join()
        assert try_lock(workspace.home.locks / LOCK) is None
    with try_lock(workspace.home.locks / LOCK):
        pass
