from orchestrator.core.planning import Action, Present, Wanted, plan


def wanted(name, digest="d", probes=()):
    return Wanted(name, digest, "3.12.1", 3, tuple(probes))


def test_one_step_for_each_environment_in_the_order_of_need():
    steps = plan([wanted("b", "2"), wanted("a", "1"), wanted("c", "2")], {})
    assert [(step.digest, step.models) for step in steps] == [("2", ("b", "c")), ("1", ("a",))]
    assert {step.action for step in steps} == {Action.BUILD}


def test_models_that_share_an_environment_are_all_probed():
    (step,) = plan([wanted("a", probes=["x"]), wanted("b", probes=["y", "x"])], {})
    assert step.probes == ("x", "y")


def test_what_is_there_and_proved_is_ready():
    (step,) = plan([wanted("a", probes=["x"])], {"d": Present("d", frozenset({"x", "y"}))})
    assert step.action is Action.READY
    assert step.probes == ()


def test_only_the_probes_that_are_missing_are_run():
    there = {"d": Present("d", frozenset({"x"}))}
    (step,) = plan([wanted("a", probes=["x"]), wanted("b", probes=["y"])], there)
    assert step.action is Action.PROBE
    assert step.probes == ("y",)


def test_nothing_wanted_is_nothing_done():
    assert plan([], {"d": Present("d", frozenset())}) == ()
