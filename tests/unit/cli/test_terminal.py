"""What a model says is shown and not obeyed."""

import pytest

from orchestrator.cli.terminal import plain


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain, grün and 日本\n\ttoo", "plain, grün and 日本\n\ttoo"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07", "\ufffd]0;a title\ufffd"),
        ("\x9b2J\r\x08\x7f", "\ufffd2J\ufffd\ufffd\ufffd"),
    ],
)
def test_nothing_steers_the_terminal(said, shown):
    assert plain(said) == shown
