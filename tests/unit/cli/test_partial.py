"""What a stopped job had streamed is kept, and the older files go."""

import stat

from orchestrator.cli import partial
from orchestrator.cli.outputs import Destinations
from orchestrator.home import Home


def test_what_was_to_be_printed_is_kept_for_its_owner_alone(tmp_path):
    home = Home(tmp_path)
    home.partial.mkdir()
    (home.partial / "0").mkdir()  # which cannot be removed as files are
    for number in range(1, 40):
        (home.partial / str(number)).touch()
    chunks = [("text", "one "), ("text", "two")]
    (path,) = partial.save("m", chunks, Destinations({"text": "-"}), home)
    with open(path) as stream:
        assert stream.read() == "one two\n"
    paths = list(home.partial.iterdir())
    assert len(paths) in (partial.KEPT, partial.KEPT + 1)
    assert [each for each in (home.partial, *paths) if each.stat().st_mode & 0o077] == []


def test_what_goes_beside_an_output_has_the_mode_of_that(tmp_path):
    target = tmp_path / "out.txt"
    target.touch()
    (path,) = partial.save(
        "m", [("text", "x")], Destinations({"text": str(target)}), Home(tmp_path)
    )
    assert path == str(tmp_path / "out.partial.txt")
    assert stat.S_IMODE((tmp_path / "out.partial.txt").stat().st_mode) == stat.S_IMODE(
        target.stat().st_mode
    )
