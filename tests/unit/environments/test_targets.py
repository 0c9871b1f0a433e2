from types import SimpleNamespace

import pytest

from orchestrator.core.lockfile import render_lock, shape_digest
from orchestrator.environments import Environments
from orchestrator.environments.interpreters import Interpreters
from orchestrator.environments.locks import UserLockOptions
from orchestrator.environments.store import Marker
from orchestrator.environments.targets import not_made_for
from orchestrator.errors import Cancelled, EnvironmentFailure, TimedOut
from orchestrator.system.device_discovery import System
from orchestrator.system.home import Home
from orchestrator.system.waiting import Deadline
from tests.models import Notes, facts, model

A, B = "a" * 64, "b" * 64


@pytest.fixture
def machine(tmp_path):
    """A machine with Pythons 3.11.7 and 3.12.1, and its environments."""
    root = tmp_path / "machine"
    (root / "bin").mkdir(parents=True)
    answers = {}
    for version in ("3.11.7", "3.12.1"):
        path = root / "bin" / f"python{version[:4]}"
        path.write_text(version)
        answers[path] = facts(version, str(path))
    variables = {"HOME": str(root), "PATH": str(root / "bin")}
    interpreters = Interpreters(variables, tmp_path / "facts.json", asking=answers.get, own="")
    environments = Environments(
        Home(tmp_path / "home"), variables, Notes(), interpreters=interpreters
    )
    return SimpleNamespace(environments=environments, root=tmp_path)


def six(version="1.17.0", digest=A):
    return f"six=={version} --hash=sha256:{digest}\n"


def publish(environments, target, probes=()):
    """Make the environment of `target` look built."""
    path = environments.store.directory(target.declared.name, target.digest)
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").write_text("")
    environments.store.publish(
        path,
        Marker(
            digest=target.digest,
            model=target.declared.name,
            directory=str(path),
            interpreter=target.interpreter.path,
            implementation="cpython",
            python_version=target.interpreter.version,
            packages={pin.name: pin.version for pin in target.pins},
            records={},
            probes=list(probes),
            backend="uv",
            built="2025-01-01T00:00:00+00:00",
        ),
    )
    return path


def test_the_newest_python_that_fits_is_the_one(machine):
    one = model(machine.root, "one").locked(six())
    assert machine.environments.target(one).interpreter.version == "3.12.1"
    older = model(machine.root, "older", python="<3.12").locked(six())
    assert machine.environments.target(older).interpreter.version == "3.11.7"


def test_what_is_built_beats_what_would_be_built_newer(machine):
    # A Python that somebody installs must not make everybody build anew.
    one = model(machine.root, "one").locked(six())
    older = machine.environments.targets.all(one)[1]
    path = publish(machine.environments, older)
    environment = machine.environments.ready(one)
    assert environment.path == path
    assert environment.python == path / "bin" / "python"
    assert environment.python_version == "3.11.7"
    assert environment.versions == {"six": "1.17.0"}
    assert not environment.mine


def test_models_with_one_resolution_share_an_environment(machine):
    one = model(machine.root, "one", ["six"]).locked(six())
    two = model(machine.root, "two", ["six==1.17.0"]).locked("# another comment\n" + six())
    environments = machine.environments
    assert environments.target(one).digest == environments.target(two).digest
    publish(environments, environments.target(one))
    assert environments.ready(two).path.name.startswith("one-")


def test_a_model_with_another_probe_is_not_ready_in_it(machine):
    one = model(machine.root, "one").locked(six())
    two = model(machine.root, "two", probe=("six",)).locked(six())
    publish(machine.environments, machine.environments.target(one))
    assert machine.environments.ready(one) is not None
    assert machine.environments.ready(two) is None


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: path.unlink(), "has no lock"),
        (lambda path: path.write_text("six==1.0\n"), "not a lock that mm has written"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not text"),
        (lambda path: path.write_text(path.read_text() + six("1.16.0")), "edited by hand"),
        (lambda path: path.write_text(path.read_text().replace(A, B)), "edited by hand"),
        (lambda path: path.write_text(path.read_text() + "-e .\n"), "no exact pin"),
    ],
)
def test_a_lock_that_cannot_be_used_says_so_and_what_mends_it(machine, damage, what):
    one = model(machine.root, "one").locked(six())
    damage(one.lock)
    for ask in (machine.environments.ready, machine.environments.target):
        with pytest.raises(EnvironmentFailure) as caught:
            ask(one)
        assert what in str(caught.value)
        assert "run: mm env lock one" in str(caught.value)
        assert str(one.lock) in str(caught.value)


def test_a_lock_that_no_longer_fits_its_manifest_stops_everything(machine):
    model(machine.root, "one", ["six"]).locked(six())
    changed = model(machine.root, "one", ["six<2"])
    with pytest.raises(EnvironmentFailure) as caught:
        machine.environments.sync([changed])
    assert "no longer fits its manifest" in caught.value.what
    assert caught.value.exit_code == 3


def test_no_python_that_fits_names_those_that_were_looked_at(machine):
    one = model(machine.root, "one", python=">=3.13").locked(six())
    with pytest.raises(EnvironmentFailure) as caught:
        machine.environments.ready(one)
    assert ">=3.13" in caught.value.what
    assert "--install-python" in caught.value.fix
    assert "3.11.7" in caught.value.detail
    assert "3.12.1" in caught.value.detail


def test_a_platform_that_the_manifest_leaves_out_is_said(machine):
    one = model(machine.root, "one", platforms=("macos-arm64",)).locked(six())
    with pytest.raises(EnvironmentFailure, match="not made for linux-x86_64"):
        machine.environments.target(one)


def test_of_two_pythons_the_one_for_a_platform_of_the_manifest_is_taken(machine):
    answers = {
        machine.root / "machine/bin/python3.12": facts("3.12.1", "/mac", system="darwin"),
        machine.root / "machine/bin/python3.11": facts("3.11.7", "/linux"),
    }
    interpreters = Interpreters(
        machine.environments.targets.interpreters._variables,
        machine.root / "others.json",
        asking=answers.get,
        own="",
    )
    environments = Environments(machine.environments.home, {}, Notes(), interpreters=interpreters)
    one = model(machine.root, "one").locked(six())
    assert environments.target(one).interpreter.path == "/linux"


@pytest.mark.parametrize(
    ("arm64", "said"), [(1, "install an arm64 Python"), (None, "this Mac has Intel")]
)
def test_a_python_for_intel_on_a_mac(machine, arm64, said):
    one = model(machine.root, "one", platforms=("macos-arm64",))
    mac = System("darwin", "x86_64", "14.5", {"hw.optional.arm64": arm64}.get)
    error = not_made_for(one.manifest, "macos-x86_64", mac)
    assert str(error).startswith("one is not made for macos-x86_64, only for macos-arm64; ")
    assert said in str(error)


def test_a_package_to_build_needs_its_build_lock(machine):
    one = model(machine.root, "one", build=("six",)).locked(six())
    with pytest.raises(EnvironmentFailure, match="build requirements are not locked"):
        machine.environments.target(one)
    shape = shape_digest(one.manifest.environment)
    digests = set()
    for setuptools in ("80.0", "81.0"):
        text = render_lock(
            f"setuptools=={setuptools} --hash=sha256:{B}\n", shape=shape, command="mm env lock one"
        )
        (one.env_directory / "build.lock").write_text(text)
        digests.add(machine.environments.target(one).digest)
    assert len(digests) == 2


def mine(machine, declared, body, notes=("--python 3.11",)):
    """Write a lock of the user's own."""
    path = machine.environments.targets.user_lock(declared)
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = shape_digest(declared.manifest.environment)
    path.write_text(render_lock(body, shape=shape, command="mm env lock --mine one", notes=notes))
    return path


def test_a_lock_of_the_users_own_is_used_until_it_is_dropped(machine):
    one = model(machine.root, "one").locked(six())
    committed = machine.environments.target(one)
    path = mine(machine, one, six("1.17.0+cpu", B), ("--torch cpu", "--python 3.11"))
    target = machine.environments.target(one)
    assert target.mine
    assert target.interpreter.version == "3.11.7"
    assert target.pins[0].version == "1.17.0+cpu"
    assert target.options.torch == "cpu"
    path.unlink()
    assert machine.environments.target(one) == committed


def test_options_in_the_head_of_a_committed_lock_count_for_nothing(machine):
    one = model(machine.root, "one").locked(six())
    text = one.lock.read_text()
    one.lock.write_text(text.replace("# lock-format", "# option: --index x\n# lock-format"))
    target = machine.environments.target(one)
    assert target.lock.notes == ("--index x",)
    assert target.options == UserLockOptions()


def test_a_lock_of_the_users_own_that_no_longer_fits_names_its_own_options(machine):
    one = model(machine.root, "one", ["six"]).locked(six())
    mine(machine, one, six(), ("--torch cpu", "--find-links '/a b'"))
    changed = model(machine.root, "one", ["six<2"]).locked(six())
    with pytest.raises(EnvironmentFailure) as caught:
        machine.environments.target(changed)
    assert caught.value.fix == "run: mm env lock --mine one --torch cpu --find-links '/a b'"


def test_both_locks_of_a_model_are_needed(machine):
    one = model(machine.root, "one").locked(six())
    first = machine.environments.needed(one)
    mine(machine, one, six("1.16.0"))
    both = machine.environments.needed(one)
    assert len(first) == 1
    assert first < both
    assert len(both) == 2


def test_a_plan_is_what_a_sync_would_do(machine):
    environments = machine.environments
    one = model(machine.root, "one", probe=("six",)).locked(six())
    two = model(machine.root, "two", probe=("abc",)).locked(six())
    three = model(machine.root, "three").locked(six("1.16.0"))
    steps = environments.plan([one, two, three])
    assert [(step.action.value, step.models) for step in steps] == [
        ("build", ("one", "two")),
        ("build", ("three",)),
    ]
    publish(environments, environments.target(one), probes=["six"])
    steps = environments.plan([one, two, three])
    assert [(step.action.value, step.probes) for step in steps] == [
        ("probe", ("abc",)),
        ("build", ()),
    ]


def test_a_sync_with_nothing_to_do_starts_nothing(machine):
    # The guard of unit tests forbids processes.
    one = model(machine.root, "one").locked(six())
    path = publish(machine.environments, machine.environments.target(one))
    (environment,) = machine.environments.sync([one])
    assert environment.path == path
    assert machine.environments.ensure(one).path == path


def test_an_environment_that_was_removed_cannot_be_held(machine):
    one = model(machine.root, "one").locked(six())
    path = publish(machine.environments, machine.environments.target(one))
    environment = machine.environments.ready(one)
    with environment.hold():
        assert machine.environments.store.try_unused(environment.digest) is None
    machine.environments.store.clear(path)
    with pytest.raises(EnvironmentFailure, match="removed just now"):
        environment.hold()
    assert machine.environments.store.try_unused(environment.digest) is not None


def test_a_wait_for_the_build_of_another_process_ends_with_the_deadline_or_a_request(machine):
    one = model(machine.root, "one").locked(six())
    environments = machine.environments
    with environments.store.build_lock(environments.target(one).digest):
        with pytest.raises(TimedOut, match="waiting for another mm, which builds its env"):
            environments.ensure(one, Deadline(0.01))
        with pytest.raises(Cancelled, match="waiting for another mm, which builds its env"):
            environments.ensure(one, stopped=lambda: True)


def test_what_another_process_has_built_meanwhile_is_not_built_again(machine):
    # The guard of unit tests forbids processes.
    one = model(machine.root, "one", probe=("six",)).locked(six())
    environments = machine.environments
    target = environments.target(one)
    looked = []

    def look():
        if looked:
            return False
        looked.append(publish(environments, target, probes=["six"]))
        held.release()
        return False

    held = environments.store.build_lock(target.digest)
    assert environments.ensure(one, stopped=look).path == looked[0]
    assert environments.reporter.notes == []
