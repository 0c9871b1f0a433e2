import pytest

from orchestrator.core.platforms import (
    PLATFORMS,
    allowed_minors,
    lowest_python,
    marker_values,
    platform_name,
)


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "linux-x86_64"),
        ("linux", "AMD64", "linux-x86_64"),
        ("linux", "aarch64", "linux-aarch64"),
        ("darwin", "arm64", "macos-arm64"),
        ("linux", "riscv64", "linux-riscv64"),
        ("freebsd14", "arm64", "freebsd14-arm64"),
    ],
)
def test_platforms_have_the_names_that_manifests_use(system, machine, name):
    assert platform_name(system, machine) == name


@pytest.mark.parametrize(
    ("specifier", "minors", "lowest"),
    [
        (">=3.10,<3.13", ("3.10", "3.11", "3.12"), "3.10"),
        ("==3.11.*", ("3.11",), "3.11"),
        (">=3.10.5,<3.12", ("3.10", "3.11"), "3.10.5"),
        (">3.10.1,<3.11", ("3.10",), "3.10.2"),
        ("==3.12.7", ("3.12",), "3.12.7"),
        ("~=3.13.0", ("3.13",), "3.13"),
    ],
)
def test_minor_versions_and_the_lowest_release_of_a_specifier(specifier, minors, lowest):
    assert allowed_minors(specifier) == minors
    assert lowest_python(specifier) == lowest


def test_a_specifier_that_no_known_python_fits_is_an_error():
    assert allowed_minors(">=4") == ()
    with pytest.raises(ValueError, match="fits >=4"):
        lowest_python(">=4")


def test_marker_values_are_those_of_the_platform():
    for name in PLATFORMS:
        values = marker_values(name, "3.12")
        assert platform_name(values["sys_platform"], values["platform_machine"]) == name
        assert values["python_full_version"] == "3.12.0"
