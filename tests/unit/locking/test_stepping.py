"""Stepping back, over a resolver that knows a few packages and starts no process."""

import re
from itertools import product

import pytest
from msgspec.structs import replace
from packaging.requirements import Requirement
from packaging.version import Version

from orchestrator.backends.resolver import Resolution
from orchestrator.core.uv_project import Project
from orchestrator.core.wheels import PackageFile, PackageFiles, best_wheel
from orchestrator.locking.stepping import missing_pins, resolve_everywhere, source_only
from orchestrator.system.processes import ProcessError

ANYWHERE = ("py3-none-any",)
ON_LINUX = ("cp310-abi3-manylinux_2_28_x86_64", "cp310-abi3-manylinux_2_28_aarch64")
ON_INTEL = ON_LINUX[:1]
ON_MAC = ("cp310-abi3-macosx_14_0_arm64",)


class FakeResolver:
    """Resolves to the newest versions that all requirements and constraints allow.

    Args:
        packages: The tags of the wheels of each version of each package.
        ignoring: Names of packages whose constraints an override beats.
    """

    def __init__(self, packages, ignoring=()):
        self.packages = packages
        self.ignoring = ignoring
        self.locked = []

    def lock(self, project, *arguments, present=()):
        self.locked.append(project)
        asked = [*map(Requirement, (*project.dependencies, *project.constraints))]
        names = {Requirement(text).name for text in project.dependencies}
        pins, files = [], {}
        for name in sorted(names):
            mine = [one for one in asked if one.name == name]
            if name in self.ignoring:
                mine = mine[:1]
            version = self._newest(name, mine)
            if version is None or (
                not self._wheels(name, version) and name not in (project.build or ())
            ):
                raise self._failure(f"all versions of {name} have no usable wheels and …")
            pins.append(f"{name}=={version} \\\n    --hash=sha256:{'0' * 64}\n")
            files[name, version] = PackageFiles(self._wheels(name, version))
        return Resolution("".join(pins), files)

    def newest(self, requirement, platform, minor):
        asked = Requirement(requirement)
        fitting = [
            version
            for version in self.packages[asked.name]
            if asked.specifier.contains(version)
            and best_wheel(self._wheels(asked.name, version), platform, minor)
        ]
        return max(fitting, key=Version, default=None)

    def _newest(self, name, asked):
        fitting = (v for v in self.packages[name] if all(r.specifier.contains(v) for r in asked))
        return max(fitting, key=Version, default=None)

    def _wheels(self, name, version):
        tags = self.packages[name][version]
        urls = (f"https://i.test/{name}-{version}-{tag}.whl" for tag in tags)
        return tuple(PackageFile(name, url, "0" * 64) for url in urls)

    def _failure(self, said):
        return ProcessError(["uv", "lock"], 1, "", said)


def project(*dependencies, **keys):
    platforms = ("linux-x86_64", "linux-aarch64", "macos-arm64")
    return Project(">=3.10,<3.12", platforms, dependencies, **keys)


def versions(stepped):
    return re.findall(r"^(\S+==\S+)", stepped.found.body, re.MULTILINE)


def test_what_has_all_wheels_is_resolved_once():
    resolver = FakeResolver({"av": {"1": ANYWHERE, "2": ANYWHERE}})
    stepped = resolve_everywhere(resolver, project("av"))
    assert versions(stepped) == ["av==2"]
    assert (stepped.missing, stepped.notes, len(resolver.locked)) == ((), (), 1)


def test_all_that_lacks_wheels_steps_back_in_one_round():
    resolver = FakeResolver(
        {
            "av": {"1": ANYWHERE, "2": ANYWHERE, "3": ON_LINUX, "4": ON_INTEL},
            "dlib": {"7": ANYWHERE, "8": ON_INTEL},
            "six": {"1": ANYWHERE},
        }
    )
    stepped = resolve_everywhere(resolver, project("av", "dlib", "six"))
    assert versions(stepped) == ["av==2", "dlib==7", "six==1"]
    assert stepped.missing == ()
    assert len(resolver.locked) == 2
    assert stepped.notes == (
        "av 4 has no wheel for linux-aarch64, macos-arm64; locked 2",
        "dlib 8 has no wheel for linux-aarch64, macos-arm64; locked 7",
    )


def test_a_version_whose_wheels_are_elsewhere_takes_a_further_round():
    packages = {"av": {"1": ANYWHERE, "2": ON_MAC, "3": ON_LINUX}}
    stepped = resolve_everywhere(FakeResolver(packages), project("av"))
    assert versions(stepped) == ["av==1"]


def test_a_pin_forbids_stepping_back_and_the_others_still_do():
    packages = {
        "av": {"1": ANYWHERE, "2": ON_LINUX},
        "dlib": {"6": ON_MAC, "7": ANYWHERE, "7.1": ON_MAC, "8": ON_LINUX},
    }
    stepped = resolve_everywhere(FakeResolver(packages), project("av==2", "dlib"))
    assert versions(stepped) == ["av==2", "dlib==7"]
    (missing,) = stepped.missing
    assert missing.pin.name == "av"
    assert missing.places == set(product(["macos-arm64"], ["3.10", "3.11"]))


def test_a_package_that_no_version_has_a_wheel_of_stays_and_is_named():
    packages = {"paddle": {"1": ON_INTEL, "2": ON_INTEL}}
    resolver = FakeResolver(packages)
    stepped = resolve_everywhere(resolver, project("paddle"))
    assert versions(stepped) == ["paddle==2"]
    assert {platform for platform, _ in stepped.missing[0].places} == {
        "linux-aarch64",
        "macos-arm64",
    }
    assert len(resolver.locked) == 1


def test_a_bound_that_an_override_beats_ends():
    packages = {"av": {"1": ANYWHERE, "2": ON_LINUX}}
    stepped = resolve_everywhere(FakeResolver(packages, ignoring=["av"]), project("av"))
    assert versions(stepped) == ["av==2"]
    assert len(stepped.missing) == 1


def test_what_gives_way_on_one_platform_gives_way_on_all():
    class Splitting(FakeResolver):
        def lock(self, project, *arguments, present=()):
            found = super().lock(project)
            if project.constraints:
                return found
            older = super().lock(replace(project, constraints=("av<2",)))
            marks = (" ; sys_platform == 'linux'", " ; sys_platform == 'darwin'")
            bodies = (
                body.replace(" \\", f"{mark} \\")
                for mark, body in zip(marks, (found.body, older.body), strict=True)
            )
            return Resolution("".join(bodies), {**found.files, **older.files})

    resolver = Splitting({"av": {"1": ANYWHERE, "2": ON_INTEL}})
    stepped = resolve_everywhere(resolver, project("av"))
    assert versions(stepped) == ["av==1"]
    assert resolver.locked[-1].constraints == ("av<=1 ; sys_platform == 'linux'",)


def test_what_is_built_needs_no_wheel():
    packages = {"sox": {"1": ON_INTEL}}
    stepped = resolve_everywhere(FakeResolver(packages), project("sox", build=("sox",)))
    assert stepped.missing == ()


def test_an_index_that_cannot_be_reached_is_no_reason_to_stay():
    class Failing(FakeResolver):
        def lock(self, project, *arguments, present=()):
            if project.constraints:
                raise self._failure("error sending request for url")
            return super().lock(project)

    with pytest.raises(ProcessError):
        resolve_everywhere(Failing({"av": {"1": ANYWHERE, "2": ON_LINUX}}), project("av"))


class StrictResolver(FakeResolver):
    """Takes no version without a wheel on a platform, as uv where there is no source."""

    def lock(self, project, *arguments, present=()):
        found = super().lock(project)
        for (name, version), (wheels, _) in found.files.items():
            for platform, minor in () if project.lenient else project.places:
                if name == "paddle" and best_wheel(wheels, platform, minor) is None:
                    raise self._failure(f"Because {name}=={version} has no `x`-compatible wheels")
        return found


def test_what_uv_refuses_for_want_of_a_wheel_is_named_with_all_else():
    packages = {"paddle": {"2": ON_LINUX}, "sk": {"1": ("cp310-cp310-manylinux1_x86_64",)}}
    resolver = StrictResolver(packages)
    asked = project("paddle", "sk==1")
    with pytest.raises(ProcessError) as failed:
        resolve_everywhere(resolver, asked)
    paddle, sk = missing_pins(resolver, asked, failed.value)
    assert {platform for platform, _ in paddle.places} == {"macos-arm64"}
    assert sk.places == {
        ("linux-x86_64", "3.11"),
        ("linux-aarch64", "3.10"),
        ("linux-aarch64", "3.11"),
    }


def test_another_reason_is_not_a_matter_of_wheels():
    error = ProcessError(["uv"], 1, "", "delta depends on beta<2, gamma on beta>=2")
    assert missing_pins(FakeResolver({}), project("delta"), error) == []


def test_all_that_comes_as_source_alone_is_found_without_building_any():
    resolver = FakeResolver({"docopt": {"1": ()}, "jieba": {"1": ()}, "six": {"1": ANYWHERE}})
    asked = project("docopt", "jieba", "six")
    with pytest.raises(ProcessError) as failed:
        resolver.lock(asked)
    assert source_only(resolver, asked, failed.value) == ("docopt", "jieba")
    for tried in resolver.locked[1:]:
        assert set(tried.build) == set(tried.opaque)


def test_what_does_not_resolve_for_another_reason_is_not_a_matter_of_sources():
    error = ProcessError(["uv"], 1, "", "delta depends on beta<2, gamma on beta>=2")
    assert source_only(FakeResolver({}), project("delta"), error) == ()
