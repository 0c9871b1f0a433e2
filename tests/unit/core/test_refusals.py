"""What the machine refuses is one sentence with the path and the remedy."""

import errno
import os

import pytest

from orchestrator.core.refusals import refusal, refusals, remedy
from orchestrator.errors import MachineRefused, PathRefused, UsageError


def said(number, path=None):
    return refusal(OSError(number, os.strerror(number), path), where="/home/of/mm")


@pytest.mark.parametrize(
    ("name", "kind", "what", "fix"),
    [
        ("ENOSPC", MachineRefused, "the disk is full", "mm env prune"),
        ("EDQUOT", MachineRefused, "quota", "space"),
        ("EFBIG", MachineRefused, "larger than is allowed", "ulimit -f"),
        ("EMFILE", MachineRefused, "too many files", "ulimit -n"),
        ("ENFILE", MachineRefused, "too many files", "close some programs"),
        ("EAGAIN", MachineRefused, "no more processes", "ulimit -u"),
        ("ENOMEM", MachineRefused, "no memory", "mm stop"),
        ("EIO", MachineRefused, "input/output error", "check the disk"),
        ("EROFS", PathRefused, "read-only", "another place"),
        ("EACCES", PathRefused, "permission denied", "permissions"),
        ("EPERM", PathRefused, "not permitted", "permissions"),
        ("ENAMETOOLONG", PathRefused, "too long", "shorter"),
        ("ELOOP", PathRefused, "loop", "remove"),
        ("ENOENT", PathRefused, "no such file", "again"),
        ("ENXIO", PathRefused, "not a regular file", "remove"),
    ],
)
def test_each_has_its_words_its_path_and_its_remedy(name, kind, what, fix):
    found = said(getattr(errno, name), "/a/file")
    assert type(found) is kind
    assert what in found.what
    assert fix in found.fix
    assert found.where == "/a/file"


def test_without_a_path_of_its_own_it_names_what_was_worked_on():
    assert said(errno.ENOSPC).where == "/home/of/mm"
    renamed = OSError(errno.ENOSPC, "", "from", None, "to")
    assert refusal(renamed).where == "to"
    assert refusal(OSError(errno.ENOSPC, "", b"/bytes")).where == "/bytes"
    assert refusal(OSError(errno.ENOSPC, "", 3)).where == ""


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError(), "no memory"),
        (RuntimeError("can't start new thread"), "no more processes or threads"),
        (RuntimeError("Could not determine home directory."), "no home directory"),
        (RuntimeError("Symlink loop from '/a'"), "form a loop"),
    ],
    ids=["memory", "thread", "home", "loop"],
)
def test_what_python_says_without_a_number_counts_too(error, what):
    assert what in refusal(error).what


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), RuntimeError("x"), OSError("x"), OSError(errno.EBADF, "x"),
     OSError(errno.ENOENT, "x")],
    ids=["value", "runtime", "no number", "descriptor", "no path"],
)  # fmt: skip
def test_faults_of_the_program_are_none(error):
    assert refusal(error) is None
    with pytest.raises(type(error)), refusals():
        raise error


def test_in_a_body_it_is_raised_from_its_cause():
    with pytest.raises(MachineRefused) as caught, refusals("/there"):
        raise OSError(errno.EMFILE, "many")
    assert caught.value.where == "/there"
    assert caught.value.__cause__.errno == errno.EMFILE
    with pytest.raises(UsageError), refusals():
        raise UsageError("passes")


def test_another_place_is_advised_only_where_it_would_help():
    for number, found in ((errno.EACCES, "elsewhere"), (errno.ENOENT, "elsewhere")):
        assert remedy(OSError(number, ""), "elsewhere") == found
    assert "space" in remedy(OSError(errno.ENOSPC, ""), "elsewhere")
    assert "ulimit" in remedy(OSError(errno.EMFILE, ""), "elsewhere")
