"""Builds that several threads wait for: done once, and ended once no one waits any more."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.environments.shared_builds import SharedBuilds
from orchestrator.errors import Cancelled, EnvironmentFailure
from orchestrator.system.reporter import Silent
from orchestrator.system.waiting import Wait


class Caller:
    """One that waits for the build `key`, in a thread."""

    def __init__(self, place, key="k"):
        self.stop = threading.Event()
        self.joined = threading.Event()
        self.future = place.threads.submit(self._wait, place, key)
        self.joined.wait()

    def _wait(self, place, key):
        build = place.builds.join(key, lambda: place.begin(key))
        self.joined.set()
        if build is None:
            return None
        wait = Wait("m", "its environment", Silent(), stopped=self.stop.is_set)
        return place.builds.result(key, build, wait)

    def leave(self):
        self.stop.set()
        with pytest.raises(Cancelled, match="m was cancelled while it was waiting for its env"):
            self.future.result()


class Place:
    """Builds that go on until a test ends them."""

    def __init__(self):
        self.builds = SharedBuilds()
        self.threads = ThreadPoolExecutor()
        self.begun = []
        self.ended = []
        self.go_on = threading.Event()
        self.error = None
        self.others = False

    def begin(self, key):
        if self.others:
            return None
        self.begun.append(key)
        return lambda children: self.work(key, children)

    def work(self, key, children):
        while not (self.go_on.is_set() or children.stopped):
            threading.Event().wait(0.01)
        if children.stopped:
            self.ended.append(key)  # what was made is removed here
            raise Cancelled("stopped")
        if self.error is not None:
            raise self.error
        return f"{key} is built"


@pytest.fixture
def place():
    made = Place()
    yield made
    made.go_on.set()
    made.threads.shutdown()


def test_two_that_need_one_environment_share_its_build_and_its_result(place):
    callers = [Caller(place), Caller(place)]
    place.go_on.set()
    assert [each.future.result() for each in callers] == ["k is built"] * 2
    assert place.begun == ["k"]
    assert Caller(place).future.result() == "k is built"
    assert place.begun == ["k", "k"]


def test_they_share_its_error(place):
    place.error = EnvironmentFailure("as asked")
    callers = [Caller(place), Caller(place)]
    place.go_on.set()
    for each in callers:
        with pytest.raises(EnvironmentFailure, match="as asked"):
            each.future.result()
    assert place.begun == ["k"]


def test_different_environments_are_built_at_the_same_time(place):
    callers = [Caller(place, "a"), Caller(place, "b")]
    assert place.begun == ["a", "b"]
    place.go_on.set()
    assert [each.future.result() for each in callers] == ["a is built", "b is built"]


def test_one_that_leaves_leaves_the_build_to_the_others(place):
    callers = [Caller(place), Caller(place), Caller(place)]
    callers[0].leave()
    callers[2].leave()
    assert place.ended == []
    place.go_on.set()
    assert callers[1].future.result() == "k is built"


def test_the_last_one_that_leaves_ends_the_build_before_it_goes(place):
    callers = [Caller(place), Caller(place)]
    for each in callers:
        each.leave()
    assert place.ended == ["k"]


def test_one_that_comes_after_that_begins_anew(place):
    Caller(place).leave()
    last = Caller(place)
    place.go_on.set()
    assert last.future.result() == "k is built"
    assert place.begun == ["k", "k"]


def test_an_interrupt_in_a_caller_ends_its_build(place):
    build = place.builds.join("k", lambda: place.begin("k"))

    def interrupted():
        raise KeyboardInterrupt

    wait = Wait("m", "its environment", Silent(), stopped=interrupted)
    with pytest.raises(KeyboardInterrupt):
        place.builds.result("k", build, wait)
    assert place.ended == ["k"]


def test_where_another_process_builds_there_is_nothing_to_join(place):
    place.others = True
    assert Caller(place).future.result() is None
    place.others = False
    place.go_on.set()
    assert Caller(place).future.result() == "k is built"
