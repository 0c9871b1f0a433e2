"""The columns of a table line up, whatever stands in them."""

from orchestrator.cli.columns import columns


def test_cells_are_as_wide_as_the_widest_of_their_column():
    assert columns(
        [("NAME", "SIZE", "STATE"), ("a", "1.5 GB", ""), ("long-name", "-", "idle")]
    ) == [
        "NAME       SIZE    STATE",
        "a          1.5 GB",
        "long-name  -       idle",
    ]


def test_no_row_is_no_line():
    assert columns([]) == []
