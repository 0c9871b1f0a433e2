"""The platforms and Python versions that a manifest may name, as pure data.

Nothing here asks the running machine; callers hand over what the interpreter said of itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.core.manifest import Platform

KNOWN_MINORS = tuple(f"3.{minor}" for minor in range(9, 15))
"""The Python minor versions that a worker runs on and that are released."""


GLIBC = 28
"""The second number of the oldest glibc that locks are made for: 2.28, of Debian 10 and RHEL 8."""

MACOS = (14, 0)
"""The oldest macOS that locks are made for."""

UV_MACOS = {"MACOSX_DEPLOYMENT_TARGET": "{}.{}".format(*MACOS)}
"""The variable that says so to uv, which takes macOS 13 without it."""


class PlatformFacts(msgspec.Struct, frozen=True):
    """What one platform's name stands for.

    Attributes:
        sys_platform: `sys.platform` there.
        machine: `platform.machine()` there.
        uv: The oldest system of that platform that locks are made for, as uv's
            `--python-platform` spells it; for macOS uv takes the release from `UV_MACOS`.
    """

    sys_platform: str
    machine: str
    uv: str


PLATFORMS: Mapping[Platform, PlatformFacts] = {
    "linux-x86_64": PlatformFacts("linux", "x86_64", f"x86_64-manylinux_2_{GLIBC}"),
    "linux-aarch64": PlatformFacts("linux", "aarch64", f"aarch64-manylinux_2_{GLIBC}"),
    "macos-arm64": PlatformFacts("darwin", "arm64", "aarch64-apple-darwin"),
    "macos-x86_64": PlatformFacts("darwin", "x86_64", "x86_64-apple-darwin"),
}

_PATCHES = 60
"""More patch releases than any minor version has had."""

_MACHINES = {"amd64": "x86_64", "x64": "x86_64"}


def platform_name(sys_platform: str, machine: str) -> str:
    """Return the manifest's name of a platform, such as `linux-x86_64`.

    One that no manifest can name keeps the interpreter's own words, as in `freebsd14-riscv64`.
    """
    known = _MACHINES.get(machine.lower(), machine)
    for name, facts in PLATFORMS.items():
        if (facts.sys_platform, facts.machine) == (sys_platform, known):
            return name
    return f"{sys_platform}-{machine}"


def allowed_releases(specifier: str) -> tuple[str, ...]:
    """Return the releases of known minor versions that fit `specifier`, lowest first.

    Raises:
        packaging.specifiers.InvalidSpecifier: When `specifier` is no version specifier.
    """
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(specifier)
    # Every patch release, so that `>=3.10.5` leaves 3.10 in and `<3.12` leaves 3.12 out.
    releases = (f"{minor}.{patch}" for minor in KNOWN_MINORS for patch in range(_PATCHES))
    return tuple(filter(wanted.contains, releases))


def allowed_minors(specifier: str) -> tuple[str, ...]:
    """Return the known minor versions, lowest first, of which some release fits `specifier`.

    Raises:
        packaging.specifiers.InvalidSpecifier: When `specifier` is no version specifier.
    """
    releases = allowed_releases(specifier)
    return tuple(dict.fromkeys(release.rpartition(".")[0] for release in releases))


def lowest_python(specifier: str) -> str:
    """Return the lowest Python that fits `specifier`, for the resolver's `--python-version`.

    That is a minor version where its first release fits (`3.10`), else the exact release.

    Raises:
        ValueError: When no known version fits.
        packaging.specifiers.InvalidSpecifier: When `specifier` is no version specifier.
    """
    releases = allowed_releases(specifier)
    if not releases:
        raise ValueError(f"no Python from {KNOWN_MINORS[0]} to {KNOWN_MINORS[-1]} fits {specifier}")
    return releases[0].removesuffix(".0")


def specifier_of(minors: Sequence[str], specifier: str) -> str:
    """Return the specifier of consecutive minor versions, which begins no lower than another."""
    same = minors[0] == allowed_minors(specifier)[0]
    above = int(minors[-1].partition(".")[2]) + 1
    return f">={lowest_python(specifier) if same else minors[0]},<3.{above}"


def marker_values(platform: Platform, minor: str) -> dict[str, str]:
    """Return the environment markers of CPython `minor` on `platform`, as far as locks use them."""
    facts = PLATFORMS[platform]
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{minor}.0",
        "os_name": "posix",
        "platform_machine": facts.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[facts.sys_platform],
        "platform_version": "",
        "python_full_version": f"{minor}.0",
        "python_version": minor,
        "sys_platform": facts.sys_platform,
    }
