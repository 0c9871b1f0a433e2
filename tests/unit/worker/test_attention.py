"""The moment of looking before a wait."""

import os
import select

from orchestrator.worker.attention import attend


def test_what_is_there_or_comes_meanwhile_is_found_and_nothing_is_an_answer():
    reader, writer = os.pipe()
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    assert attend(poller.poll) == []
    os.write(writer, b"x")
    assert attend(poller.poll) == [(reader, select.POLLIN)]
    os.close(reader)
    os.close(writer)


def test_it_looks_more_than_once_before_it_gives_up():
    asked = []

    def poll(milliseconds):
        asked.append(milliseconds)
        return [(3, select.POLLIN)] if len(asked) == 2 else []

    assert attend(poll) == [(3, select.POLLIN)]
    assert asked == [0, 0]
