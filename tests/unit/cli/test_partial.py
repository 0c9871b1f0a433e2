"""What a stopped job had streamed: kept beside its place, and never over a file of the user's."""

from orchestrator.cli.partial import save
from orchestrator.system.home import Home


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    home = Home(tmp_path / "home")
    places = {"text": str(tmp_path / "x.txt")}
    (mine,) = save("m", [("text", "a"), ("text", "b")], places, home)
    assert mine == str(tmp_path / "x.partial.txt")
    (other,) = save("m", [("text", "c")], places, home)
    assert other.startswith(str(home.partial))
    with open(mine) as first, open(other) as second:
        assert (first.read(), second.read()) == ("ab\n", "c\n")
