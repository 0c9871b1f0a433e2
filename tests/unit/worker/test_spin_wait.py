"""The busy wait before a blocking one."""

import os
import select

import pytest

from orchestrator.worker.spin_wait import BACKOFF_SECONDS, SPIN_SECONDS, SpinWait

FOUND = [(3, select.POLLIN)]


class World:
    """A clock that only yielding moves, and a poller that finds something from a time on."""

    def __init__(self):
        self.now = 100.0
        self.turn = SPIN_SECONDS / 10  # how long others have the processor
        self.comes = float("inf")
        self.turns = 0

    def yield_cpu(self):
        self.now += self.turn
        self.turns += 1

    def poll(self, milliseconds):
        assert milliseconds == 0
        return FOUND if self.now >= self.comes else []

    def spin_wait(self):
        return SpinWait(lambda: self.now, self.yield_cpu)


@pytest.fixture
def world():
    return World()


def test_what_is_there_is_found_and_nothing_is_an_answer():
    reader, writer = os.pipe()
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    spin = SpinWait()
    assert spin.poll(poller.poll) == []
    os.write(writer, b"x")
    assert spin.poll(poller.poll) == [(reader, select.POLLIN)]
    os.close(reader)
    os.close(writer)


def test_what_comes_within_the_moment_is_found_and_what_comes_later_is_not(world):
    spin = world.spin_wait()
    world.comes = world.now + SPIN_SECONDS / 2
    assert spin.poll(world.poll) == FOUND
    assert world.turns == 5
    world.comes = world.now + 2 * SPIN_SECONDS
    assert spin.poll(world.poll) == []
    assert world.turns == pytest.approx(15, abs=1)


def test_where_others_take_the_processor_nobody_looks_for_a_while(world):
    spin = world.spin_wait()
    world.turn = 0.003
    world.comes = world.now + 0.001
    assert spin.poll(world.poll) == FOUND  # and that was late
    world.comes = float("inf")
    assert spin.poll(world.poll) == []
    assert world.turns == 1
    world.comes = world.now
    assert spin.poll(world.poll) == FOUND  # what is there is always found
    world.now += BACKOFF_SECONDS
    world.comes = float("inf")
    assert spin.poll(world.poll) == []
    assert world.turns == 2
