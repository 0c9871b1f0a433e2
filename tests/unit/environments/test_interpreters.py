import json

import pytest

from orchestrator.environments.interpreters import Interpreters
from orchestrator.errors import EnvironmentFailure
from tests.models import facts


class Machine:
    """A file system of interpreters that answer without being started."""

    def __init__(self, root):
        self.root = root
        self.answers = {}
        self.asked = []

    def python(self, place, version, **changes):
        """Put an interpreter at a path and say what it answers; None for one that is broken."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{place} {version}")
        answer = facts(version, str(path), **changes) if version else None
        self.answers[path.resolve()] = answer
        return path

    def ask(self, path):
        self.asked.append(path)
        return self.answers[path]

    def look(self, own="", **variables):
        named = {"HOME": str(self.root / "home"), "PATH": str(self.root / "bin"), **variables}
        cache = self.root / "interpreters.json"
        return Interpreters(named, cache, asking=self.ask, own=own)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def versions(found):
    return [one.version for one in found]


def test_looks_on_path_among_pyenvs_versions_and_uvs(machine):
    machine.python("bin/python3.10", "3.10.13")
    machine.python("home/.pyenv/versions/3.11.7/bin/python3.11", "3.11.7")
    machine.python("home/.local/share/uv/python/cpython-3.13/bin/python3.13", "3.13.0")
    own = machine.python("opt/python3.12", "3.12.1")
    found = machine.look(own=str(own)).fitting(">=3.10")
    assert versions(found) == ["3.13.0", "3.12.1", "3.11.7", "3.10.13"]
    assert [one.origin for one in found] == ["uv", "mm's own", "pyenv", "PATH"]


def test_the_directories_that_variables_name_are_the_ones(machine):
    machine.python("pyenv/versions/3.11.7/bin/python3.11", "3.11.7")
    machine.python("managed/cpython-3.13/bin/python3.13", "3.13.0")
    looked = machine.look(
        PYENV_ROOT=str(machine.root / "pyenv"), UV_PYTHON_INSTALL_DIR=str(machine.root / "managed")
    )
    assert versions(looked.fitting(">=3")) == ["3.13.0", "3.11.7"]


def test_no_process_for_an_interpreter_that_was_asked_before(machine):
    machine.python("bin/python3.10", "3.10.13")
    machine.look().fitting(">=3")
    machine.asked.clear()
    assert versions(machine.look().fitting(">=3")) == ["3.10.13"]
    assert machine.asked == []


def test_an_interpreter_that_changed_in_place_is_asked_again(machine):
    machine.python("bin/python3.10", "3.10.13")
    machine.look().fitting(">=3")
    machine.python("bin/python3.10", "3.10.14")
    (machine.root / "bin/python3.10").write_text("another size")
    assert versions(machine.look().fitting(">=3")) == ["3.10.14"]


def test_what_does_not_work_is_skipped_and_not_asked_again(machine):
    machine.python("bin/python3.10", None)
    machine.python("bin/python3.11", "3.11.7")
    assert versions(machine.look().fitting(">=3")) == ["3.11.7"]
    machine.asked.clear()
    assert versions(machine.look().fitting(">=3")) == ["3.11.7"]
    assert machine.asked == []


def test_shims_of_pyenv_are_not_looked_at(machine):
    machine.python("home/.pyenv/shims/python3.11", "3.11.7")
    path = f"{machine.root}/home/.pyenv/shims"
    assert machine.look(PATH=path).fitting(">=3") == ()
    assert machine.asked == []


def test_names_of_old_pythons_and_other_programs_are_not_looked_at(machine):
    for name in ("python3.6", "python2", "python3.12-config", "ipython3", "python3.11.bak"):
        machine.python(f"bin/{name}", "3.12.1")
    assert machine.look().fitting(">=3") == ()
    assert machine.asked == []


def test_a_virtual_environments_interpreter_is_the_one_it_was_made_from(machine):
    base = machine.python("opt/bin/python3.12", "3.12.1")
    venv = machine.root / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("home = /opt/bin\n")
    (venv / "bin" / "python3.12").symlink_to(base)
    (found,) = machine.look(PATH=str(venv / "bin")).fitting(">=3")
    assert found.path == str(base)


def test_activating_an_environment_changes_nothing(machine):
    newer = machine.python("opt/bin/python3.13", "3.13.0")
    machine.python("bin/python3.12", "3.12.1")
    venv = machine.root / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("home = /opt/bin\n")
    (venv / "bin" / "python3").symlink_to(newer)
    machine.python("conda/bin/python3", "3.13.0", conda=True)
    plain = machine.look().fitting(">=3")[0]
    path = f"{venv}/bin:{machine.root}/conda/bin:{machine.root}/bin"
    activated = machine.look(PATH=path, VIRTUAL_ENV=str(venv)).fitting(">=3")
    assert activated[0] == plain
    # What an environment brings is still there for whoever has nothing else.
    assert versions(machine.look(PATH=path).fitting(">=3.13")) == ["3.13.0", "3.13.0"]


def test_final_releases_of_cpython_come_first(machine):
    machine.python("bin/python3.10", "3.10.13")
    machine.python("bin/python3.14", "3.14.0rc1")
    machine.python("bin/python3.13t", "3.13.0", tag="cp313-cp313t-manylinux_2_36_x86_64")
    machine.python("bin/pypy3.11", "3.11.9", implementation="pypy")
    found = versions(machine.look().fitting(">=3"))
    assert found == ["3.10.13", "3.14.0rc1", "3.13.0", "3.11.9"]


def test_a_python_newer_than_locks_are_made_for_comes_after_those(machine):
    for version in ("3.99.0", "3.13.0"):
        machine.python(f"bin/python{version[:4]}", version)
    found = [one.version for one in machine.look().fitting(">=3.10")]
    assert found == ["3.13.0", "3.99.0"]


def test_a_damaged_memory_is_made_anew(machine):
    machine.python("bin/python3.10", "3.10.13")
    for damage in ("", "{", "[]"):
        (machine.root / "interpreters.json").write_text(damage)
        assert versions(machine.look().fitting(">=3")) == ["3.10.13"]
    kept = json.loads((machine.root / "interpreters.json").read_text())
    assert len(kept) == 1


def test_answers_that_are_no_facts_are_no_interpreter(machine):
    path = machine.python("bin/python3.10", "3.10.13")
    for answer in ([], {"version": "3"}, {**facts(), "markers": {"os_name": 1}}, "x"):
        machine.answers[path.resolve()] = answer
        (machine.root / "interpreters.json").unlink(missing_ok=True)
        assert machine.look().fitting(">=3") == ()


def test_a_memory_that_cannot_be_written_is_no_error(machine):
    machine.python("bin/python3.10", "3.10.13")
    (machine.root / "interpreters.json").mkdir()
    assert versions(machine.look().fitting(">=3")) == ["3.10.13"]


@pytest.mark.parametrize(("name", "version"), [("3.11", "3.11.7"), ("3.10.13", "3.10.13")])
def test_an_interpreter_is_named_by_version(machine, name, version):
    machine.python("bin/python3.10", "3.10.13")
    machine.python("bin/python3.11", "3.11.7")
    assert machine.look().named(name).version == version


def test_an_interpreter_is_named_by_path_or_by_command(machine):
    path = machine.python("elsewhere/mypython", "3.11.7")
    machine.python("bin/special", "3.12.1")
    assert machine.look().named(str(path)).version == "3.11.7"
    assert machine.look().named("special").version == "3.12.1"


def test_an_interpreter_that_is_not_there_names_those_that_are(machine):
    machine.python("bin/python3.10", "3.10.13")
    for name in ("3.17", "/nowhere/python", "nothing"):
        with pytest.raises(EnvironmentFailure) as caught:
            machine.look().named(name)
        assert name in caught.value.what
        assert "3.10.13" in caught.value.detail
        assert "(PATH)" in caught.value.detail
