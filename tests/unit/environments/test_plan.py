from orchestrator.core.lockfile import Lock
from orchestrator.environments.plan import Action, plan
from orchestrator.environments.store import Stored
from orchestrator.environments.targets import Target
from tests.models import interpreter, marker, model


def needed(root, name, digest="d", probes=(), passed=None):
    """What a model needs, and an environment where these probes have passed."""
    declared = model(root, name, probe=tuple(probes))
    lock = Lock("", intact=True, pins=(), digest=f"lock of {name}")
    target = Target(declared, lock, mine=False, interpreter=interpreter(), pins=(), digest=digest)
    found = None if passed is None else Stored(root, marker(root, digest, probes=passed))
    return target, found


def test_one_step_for_each_environment_in_the_order_of_need(tmp_path):
    steps = plan(needed(tmp_path, *each) for each in (("b", "2"), ("a", "1"), ("c", "2")))
    assert [(step.target.digest, step.models) for step in steps] == [
        ("2", ("b", "c")),
        ("1", ("a",)),
    ]
    assert {step.action for step in steps} == {Action.BUILD}
    assert steps[0].locks == {"lock of b", "lock of c"}


def test_models_that_share_an_environment_are_all_probed(tmp_path):
    both = needed(tmp_path, "a", probes=["x"]), needed(tmp_path, "b", probes=["y", "x"])
    (step,) = plan(both)
    assert step.probes == ("x", "y")


def test_what_is_there_and_probed_is_ready(tmp_path):
    (step,) = plan([needed(tmp_path, "a", probes=["x"], passed=["x", "y"])])
    assert step.action is Action.READY
    assert step.probes == ()


def test_only_the_probes_that_are_missing_are_run(tmp_path):
    both = [needed(tmp_path, name, probes=[probe], passed=["x"]) for name, probe in ("ax", "by")]
    (step,) = plan(both)
    assert step.action is Action.PROBE
    assert step.probes == ("y",)


def test_nothing_needed_is_nothing_done():
    assert plan([]) == ()
