from orchestrator.environments.memory import KEPT, Choice, Memory

CHOICE = Choice("/usr/bin/python3", (0, 2), "d" * 64)


def test_what_was_kept_is_known_to_the_next_run(tmp_path):
    Memory(tmp_path / "resolved.json").keep("k", (CHOICE,))
    memory = Memory(tmp_path / "resolved.json")
    assert memory.get("k") == (CHOICE,)
    assert memory.get("other") is None


def test_the_oldest_answers_go_first(tmp_path):
    memory = Memory(tmp_path / "resolved.json")
    for number in range(KEPT + 1):
        memory.keep(str(number), ())
    assert memory.get("0") is None
    assert memory.get(str(KEPT)) == ()


def test_a_damaged_file_is_forgotten(tmp_path):
    file = tmp_path / "resolved.json"
    for damage in (b"", b"{", b"[]", b'{"k": 1}', b'{"k": [{"pins": []}]}', b"\xff"):
        file.write_bytes(damage)
        assert Memory(file).get("k") is None
    memory = Memory(file)
    memory.keep("k", (CHOICE,))
    assert Memory(file).get("k") == (CHOICE,)


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "resolved.json").mkdir()
    memory = Memory(tmp_path / "resolved.json")
    memory.keep("k", (CHOICE,))
    assert Memory(tmp_path / "resolved.json").get("k") is None
