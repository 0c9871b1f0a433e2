import os

from orchestrator.environments.sizes import Usage, directory_size, freed_together

KIB = 1024


def file(path, kib):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(kib * KIB))
    return path


def test_files_linked_from_elsewhere_count_and_are_not_given_back(tmp_path):
    shared = file(tmp_path / "cache" / "torch.so", 256)
    (tmp_path / "env").mkdir()
    os.link(shared, tmp_path / "env" / "torch.so")
    file(tmp_path / "env" / "own.py", 64)
    size = directory_size(tmp_path / "env")
    assert size.total == (256 + 64) * KIB
    assert size.freed == 64 * KIB


def test_two_links_within_one_directory_are_one_file(tmp_path):
    first = file(tmp_path / "env" / "a", 64)
    os.link(first, tmp_path / "env" / "b")
    size = directory_size(tmp_path / "env")
    assert (size.total, size.freed) == (64 * KIB, 64 * KIB)


def test_together_each_file_counts_once(tmp_path):
    first = file(tmp_path / "one" / "a", 64)
    (tmp_path / "two").mkdir()
    os.link(first, tmp_path / "two" / "a")
    file(tmp_path / "two" / "b", 4)
    usage = Usage()
    sizes = [usage.add(tmp_path / name) for name in ("one", "two")]
    assert [size.total for size in sizes] == [64 * KIB, 68 * KIB]
    assert [size.freed for size in sizes] == [0, 4 * KIB]
    assert usage.total == 68 * KIB
    assert freed_together([tmp_path / "one", tmp_path / "two"]) == 68 * KIB


def test_links_to_directories_are_not_followed(tmp_path):
    file(tmp_path / "elsewhere" / "a", 64)
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "lib64").symlink_to(tmp_path / "elsewhere")
    assert directory_size(tmp_path / "env").total < 64 * KIB


def test_nothing_there_is_nothing(tmp_path):
    assert directory_size(tmp_path / "absent").total == 0
