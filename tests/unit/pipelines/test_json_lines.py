"""The file of a batch: what is gone on with, and what is never written over."""

import errno
import json
import os

import pytest

from orchestrator.errors import UsageError
from orchestrator.pipelines.json_lines import JsonLines, input_key, key_digest
from tests.races import just_before


def record(name, status="ok", **more):
    return {
        "input": name, "status": status, "outputs": {}, "error": None, "seconds": 0.1,
        "receipt": "r", **more,
    }  # fmt: skip


def taken(lines, name):
    """Return the one record of an item that is done."""
    found = lines.take(key_digest(input_key(name)))
    assert lines.take(key_digest(input_key(name))) is None
    return found


def names_in(path):
    return [json.loads(line)["input"] for line in path.read_text("utf-8").splitlines()]


def test_a_file_of_lines_goes_on_without_what_failed_or_was_cut_off(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonLines.open(path, resume=False) as lines:
        lines.begin()
        lines.write(record("a"))
        lines.write(record("b", "failed"))
        lines.write(record({"text": "c"}, warnings=["a key of a later version"]))
        with (
            pytest.raises(UsageError, match="another mm writes to it"),
            JsonLines.open(path, resume=True),
        ):
            pass
    with path.open("a") as stream:
        stream.write('{"input": "d", "status": "ok"')
    with pytest.raises(UsageError, match="is there already"), JsonLines.open(path, resume=False):
        pass
    with JsonLines.open(path, resume=True) as lines:
        for name in ("a", {"text": "c"}):
            assert taken(lines, name)["input"] == name
        assert lines.receipts == {"r"}
        lines.begin()
        lines.write(record("d"))
    assert names_in(path) == ["a", {"text": "c"}, "d"]


@pytest.mark.parametrize("tail", ["", "{", '{"inp', '{"input": "b', '{ "input":"b"', "whole"])
def test_a_last_line_that_was_cut_off_anywhere_runs_again(tmp_path, tail):
    path = tmp_path / "out.jsonl"
    tail = json.dumps(record("b")) if tail == "whole" else tail
    path.write_text(f"{json.dumps(record('a'))}\n{tail}")
    with JsonLines.open(path, resume=True) as lines:
        assert taken(lines, "a") == record("a")
        assert taken(lines, "b") is None
        lines.begin()
        lines.write(record("b"))
    assert names_in(path) == ["a", "b"]


RECORD = json.dumps(record("a"))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("# Notes\n\nBread, milk.\n", 1),
        ("one line without an end", 1),
        ("\n", 1),
        ('{"image": "a.png"}\n', 1),
        ('{"input": "a.png"}', 1),
        ('{"input": "a", "status": "ok"}\n', 1),
        ("[1, 2]\n", 1),
        ("{" * 100_000, 1),
        ("\0" * 100, 1),
        (f"{RECORD}\nand a note of mine\n{RECORD}\n", 2),
        (f"{RECORD}\nand a note of mine", 2),
        (f"{RECORD}\n\n{RECORD}\n", 2),
        (f"{RECORD.replace('ok', 'done')}\n", 1),
    ],
)
def test_a_file_that_no_batch_has_written_is_refused_and_left_as_it_is(tmp_path, content, line):
    path = tmp_path / "notes.md"
    path.write_text(content)
    with (
        pytest.raises(UsageError, match=f"notes.md:{line}: is not a line of a batch") as caught,
        JsonLines.open(path, resume=True),
    ):
        pass
    assert caught.value.exit_code == 2
    assert path.read_text() == content
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_is_begun(tmp_path):
    path = tmp_path / "out.jsonl"
    path.touch()
    with JsonLines.open(path, resume=True) as lines:
        lines.begin()
        lines.write(record("a"))
    assert names_in(path) == ["a"]


def test_what_is_no_file_is_refused_without_a_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null", "/dev/zero"):
        with (
            pytest.raises(UsageError, match="is not a regular file"),
            JsonLines.open(tmp_path / path, resume=True),
        ):
            pass
    with pytest.raises(UsageError, match="Is a directory"), JsonLines.open(tmp_path, resume=True):
        pass


@pytest.fixture
def with_failures(tmp_path):
    """A file of which only the first line is to stay."""
    path = tmp_path / "out.jsonl"
    path.write_text(f"{RECORD}\n{json.dumps(record('b', 'failed'))}\n")
    return path


def test_a_file_that_was_put_in_the_place_of_another_is_held_as_well(with_failures):
    with JsonLines.open(with_failures, resume=True) as lines:
        lines.begin()
        with (
            pytest.raises(UsageError, match="another mm writes to it"),
            JsonLines.open(with_failures, resume=True),
        ):
            pass


def test_a_file_that_cannot_be_replaced_stays_as_it_is_and_alone(with_failures):
    def fail():
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = with_failures.read_text()
    with (
        just_before(os.fsync, fail),
        pytest.raises(UsageError, match="cannot be written"),
        JsonLines.open(with_failures, resume=True) as lines,
    ):
        lines.begin()
    assert with_failures.read_text() == before
    assert list(with_failures.parent.iterdir()) == [with_failures]


def test_a_link_stays_a_link_and_its_file_keeps_its_permissions(tmp_path):
    path, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    path.write_text(f"{RECORD}\n{json.dumps(record('b', 'failed'))}\n")
    path.chmod(0o600)
    link.symlink_to("real.jsonl")
    with JsonLines.open(link, resume=True) as lines:
        lines.begin()
        lines.write(record("b"))
    assert link.is_symlink()
    assert names_in(path) == ["a", "b"]
    assert path.stat().st_mode & 0o777 == 0o600


def full(line):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be written \(No space left on device"):
        JsonLines(tmp_path / "out.jsonl", full).write(record("a"))


def test_a_name_that_is_no_text_is_kept_and_known_again(tmp_path):
    path = tmp_path / "out.jsonl"
    names = ["bad\udcff.txt", {"text": "\ud800", "a": "é"}]
    with JsonLines.open(path, resume=False) as lines:
        lines.begin()
        for name in names:
            lines.write(record(name))
    path.read_text("utf-8")
    with JsonLines.open(path, resume=True) as lines:
        for name in names:
            assert taken(lines, name)["input"] == name


def test_nothing_is_written_before_the_batch_begins(with_failures):
    before = with_failures.read_bytes()
    with JsonLines.open(with_failures, resume=True) as lines:
        assert taken(lines, "a") == record("a")
    assert with_failures.read_bytes() == before


def test_records_are_read_from_what_was_there_also_when_it_has_been_replaced(with_failures):
    with with_failures.open("a") as stream:
        stream.write(json.dumps(record("c")) + "\n")
    with JsonLines.open(with_failures, resume=True) as lines:
        lines.begin()
        lines.write(record("b"))
        assert taken(lines, "c") == record("c")
    assert names_in(with_failures) == ["a", "c", "b"]


@pytest.mark.parametrize("gone", [False, True])
def test_an_item_whose_file_is_gone_runs_again(tmp_path, gone):
    path = tmp_path / "out.jsonl"
    file, text = {"path": "out.jsonl.files/a.wav", "media_type": "audio/wav"}, {"path": "no file"}
    path.write_text(json.dumps(record("a", outputs={"sound": file, "json": text})) + "\n")
    (tmp_path / "out.jsonl.files").mkdir()
    if not gone:
        (tmp_path / "out.jsonl.files" / "a.wav").touch()
    with JsonLines.open(path, resume=True, outputs={"sound"}) as lines:
        assert (taken(lines, "a") is None, lines.lost) == (gone, gone)
        lines.begin()
    assert names_in(path) == ([] if gone else ["a"])


def test_no_two_files_of_results_share_a_directory(tmp_path):
    names = ("out.jsonl", "out.json", "out", "out.jsonl.bak")
    assert len({JsonLines(tmp_path / name).files.folder for name in names}) == len(names)
