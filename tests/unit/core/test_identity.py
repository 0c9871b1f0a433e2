from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.core.identity import environment_digest
from orchestrator.core.lockfile import Pin
from tests.models import interpreter

PINS = (Pin("numpy", "2.2.6", hashes=("sha256:a",)), Pin("six", "1.17.0", hashes=("sha256:b",)))


def test_the_digest_does_not_change_between_versions_of_mm():
    # Environments that were built must be found again.
    assert environment_digest(PINS, interpreter()).startswith("fb4a36ec635a")


@given(st.permutations(PINS))
def test_the_order_of_packages_is_nothing(pins):
    assert environment_digest(pins, interpreter()) == environment_digest(PINS, interpreter())


def test_names_of_files_and_markers_are_nothing():
    # Two locks with one resolution share an environment.
    other = tuple(replace(pin, marker="python_version > '3'", via=("x",)) for pin in PINS)
    moved = replace(interpreter(), path="/elsewhere/python", origin="uv")
    assert environment_digest(other, moved) == environment_digest(PINS, interpreter())


def test_whatever_makes_another_environment_makes_another_digest():
    digests = {
        environment_digest(PINS, interpreter()),
        environment_digest(PINS[:1], interpreter()),
        environment_digest((replace(PINS[0], version="2.2.7"), PINS[1]), interpreter()),
        environment_digest((replace(PINS[0], hashes=("sha256:c",)), PINS[1]), interpreter()),
        environment_digest(PINS, interpreter("3.12.2")),
        environment_digest(PINS, replace(interpreter(), implementation="pypy")),
        environment_digest(PINS, replace(interpreter(), tag="cp312-cp312-musllinux_x86_64")),
        environment_digest(PINS, interpreter(), build_lock="d" * 64),
    }
    assert len(digests) == 8
