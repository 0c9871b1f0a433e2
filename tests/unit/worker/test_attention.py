"""The moment of looking before a wait."""

import os
import select

import pytest

from orchestrator.worker.attention import MOMENT, REST, Attention

FOUND = [(3, select.POLLIN)]


class World:
    """A clock that only giving way moves, and a poller that finds something from a time on."""

    def __init__(self):
        self.now = 100.0
        self.turn = MOMENT / 10  # how long others have the processor
        self.comes = float("inf")
        self.turns = 0

    def give_way(self):
        self.now += self.turn
        self.turns += 1

    def poll(self, milliseconds):
        assert milliseconds == 0
        return FOUND if self.now >= self.comes else []

    def attention(self):
        return Attention(lambda: self.now, self.give_way)


@pytest.fixture
def world():
    return World()


def test_what_is_there_is_found_and_nothing_is_an_answer():
    reader, writer = os.pipe()
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    eyes = Attention()
    assert eyes.look(poller.poll) == []
    os.write(writer, b"x")
    assert eyes.look(poller.poll) == [(reader, select.POLLIN)]
    os.close(reader)
    os.close(writer)


def test_what_comes_within_the_moment_is_found_and_what_comes_later_is_not(world):
    eyes = world.attention()
    world.comes = world.now + MOMENT / 2
    assert eyes.look(world.poll) == FOUND
    assert world.turns == 5
    world.comes = world.now + 2 * MOMENT
    assert eyes.look(world.poll) == []
    assert world.turns == pytest.approx(15, abs=1)


def test_where_others_take_the_processor_nobody_looks_for_a_while(world):
    eyes = world.attention()
    world.turn = 0.003
    world.comes = world.now + 0.001
    assert eyes.look(world.poll) == FOUND  # and that was late
    world.comes = float("inf")
    assert eyes.look(world.poll) == []
    assert world.turns == 1
    world.comes = world.now
    assert eyes.look(world.poll) == FOUND  # what is there is always found
    world.now += REST
    world.comes = float("inf")
    assert eyes.look(world.poll) == []
    assert world.turns == 2
