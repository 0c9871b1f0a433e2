"""What sessions keep of their workers on other nodes, for `mm ps`."""

from orchestrator.client.rosters import Roster, rosters
from orchestrator.client.runtime import RuntimeDirectory
from orchestrator.core.canonical import canonical_bytes


def test_what_a_live_session_keeps_is_shown_until_it_closes(tmp_path):
    runtime = RuntimeDirectory(tmp_path)
    roster = Roster(runtime)
    roster.write([{"id": "a", "node": "n1"}])
    roster.write([{"id": "a", "node": "n1"}, {"id": "b", "node": "n2"}])
    assert [worker["node"] for worker in rosters(runtime)] == ["n1", "n2"]
    roster.close()
    assert list(rosters(runtime)) == []
    assert list(tmp_path.iterdir()) == []


def test_what_dead_sessions_left_is_removed(tmp_path):
    dead = {"pid": 1 << 30, "started": "never", "workers": [{"id": "a"}]}
    (tmp_path / "dead.nodes").write_bytes(canonical_bytes(dead))
    (tmp_path / "damaged.nodes").write_text("{")
    assert list(rosters(RuntimeDirectory(tmp_path))) == []
    assert list(tmp_path.iterdir()) == []


def test_a_session_goes_on_where_its_file_cannot_be_written(tmp_path):
    roster = Roster(RuntimeDirectory(tmp_path / "gone"))
    roster.write([{"id": "a"}])
    roster.close()
