"""One suite for every backend: what each must do with the same requests."""

import os
import subprocess
import sys

import pytest

from orchestrator.backends import BACKENDS, Request, Tooling
from orchestrator.backends.indexes import IndexSettings, read_settings
from orchestrator.core.lockfile import Pin, requirements_text
from orchestrator.system.processes import ProcessError
from tests.packages import Index, make_builder, make_source, make_wheel, serving, sha256


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A directory of packages: two wheels, and one that must be built."""
    directory = tmp_path_factory.mktemp("files")
    make_wheel(directory, "alpha", "1.0", requires=["beta"])
    make_wheel(directory, "beta", "1.0")
    make_wheel(directory, "beta", "2.0")
    make_builder(directory)
    make_source(directory, "crafted", "1.0")
    return directory


@pytest.fixture
def index(files):
    with serving(Index(files)) as running:
        yield running


@pytest.fixture(params=sorted(BACKENDS))
def backend(request):
    return BACKENDS[request.param]


@pytest.fixture
def place(tmp_path):
    """A directory whose path needs quoting."""
    directory = tmp_path / "a b ü" / "env"
    directory.parent.mkdir()
    return directory


def tooling(tmp_path, index=None, *, settings=None, variables=None, **keys):
    users = {**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache"), **(variables or {})}
    users["PIP_CACHE_DIR"] = str(tmp_path / "pip")
    return Tooling(
        variables=users,
        indexes=settings or IndexSettings(default=index.url if index else ""),
        log=tmp_path / "tools.log",
        on_line=lambda line: None,
        **keys,
    )


def request_for(tmp_path, files, *names, **keys):
    """Ask for packages by file name; their hashes are those of the files."""
    pins = []
    for name in names:
        stem = name.removesuffix(".tar.gz").removesuffix("-py3-none-any.whl")
        package, version = stem.split("-")
        pins.append(Pin(package, version, hashes=(f"sha256:{sha256(files / name)}",)))
    path = tmp_path / "requirements.txt"
    path.write_text(requirements_text(pins))
    return Request(path, {pin.name: pin.version for pin in pins}, **keys)


def wheels(tmp_path, files, *names):
    return request_for(tmp_path, files, *(f"{name}-py3-none-any.whl" for name in names))


def python(place, code):
    """Run code in an environment the way workers do, and return what it printed."""
    command = [str(place / "bin" / "python"), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def made(backend, place, tools):
    backend.create(sys.executable, place, tools)
    return place


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def whole(request, files, tmp_path_factory):
    """An environment with alpha, whose dependency beta is not in the lock."""
    root = tmp_path_factory.mktemp(request.param)
    backend, place = BACKENDS[request.param], root / "a b ü" / "env"
    place.parent.mkdir()
    with serving(Index(files)) as running:
        tools = tooling(root, running)
        made(backend, place, tools)
        backend.install(place, wheels(root, files, "alpha-1.0"), tools)
    return backend, place


def test_exactly_what_was_asked_for_is_there(whole):
    backend, place = whole
    assert backend.check(place, {"alpha": "1.0"}) is None
    assert python(place, "import alpha; print(alpha.__version__)") == "1.0"
    assert python(place, "import sys; print(sys.prefix)") == str(place)


def test_nothing_but_the_lock_is_to_be_seen(whole):
    _, place = whole
    names = ["beta", "pip", "orchestrator", "click", "setuptools"]
    code = f"import importlib.util as u; print([u.find_spec(n) for n in {names}])"
    assert python(place, code) == str([None] * len(names))


def test_a_difference_is_found(whole):
    backend, place = whole
    assert backend.check(place, {"alpha": "2.0", "beta": "1.0"}) == (
        "beta is missing; alpha is 1.0 and not 2.0"
    )


def test_an_empty_lock_is_an_empty_environment(backend, place, tmp_path, files, index):
    tools = tooling(tmp_path, index)
    made(backend, place, tools)
    backend.install(place, wheels(tmp_path, files), tools)
    assert backend.check(place, {}) is None


def test_a_file_with_another_hash_is_refused(backend, place, tmp_path, files, index):
    index.tampered = {"beta-1.0-py3-none-any.whl"}
    tools = tooling(tmp_path, index)
    made(backend, place, tools)
    with pytest.raises(ProcessError) as caught:
        backend.install(place, wheels(tmp_path, files, "beta-1.0"), tools)
    assert "hash" in caught.value.detail.lower()
    assert "beta is missing" in backend.check(place, {"beta": "1.0"})


def test_a_hostile_variable_does_not_switch_hashes_off(backend, place, tmp_path, files, index):
    index.tampered = {"beta-1.0-py3-none-any.whl"}
    hostile = {
        "UV_NO_VERIFY_HASHES": "1", "PIP_NO_DEPS": "0", "PIP_TARGET": str(tmp_path / "target"),
        "PYTHONPATH": str(tmp_path), "VIRTUAL_ENV": "/nowhere", "CONDA_PREFIX": "/nowhere",
        "UV_PYTHON": "2.7", "PIP_REQUIRE_HASHES": "0", "UV_TARGET": str(tmp_path / "target"),
    }  # fmt: skip
    tools = tooling(tmp_path, index, variables=hostile)
    made(backend, place, tools)
    with pytest.raises(ProcessError):
        backend.install(place, wheels(tmp_path, files, "beta-1.0"), tools)
    index.tampered = set()
    backend.install(place, wheels(tmp_path, files, "beta-1.0"), tools)
    assert backend.check(place, {"beta": "1.0"}) is None
    assert not (tmp_path / "target").exists()


def test_a_package_that_is_nowhere_is_named(backend, place, tmp_path, files, index):
    tools = tooling(tmp_path, index)
    made(backend, place, tools)
    request = wheels(tmp_path, files, "beta-1.0")
    request.requirements.write_text(request.requirements.read_text().replace("beta", "absent"))
    with pytest.raises(ProcessError) as caught:
        backend.install(place, request, tools)
    assert "absent" in caught.value.detail
    assert "absent" in (tmp_path / "tools.log").read_text()


def test_a_source_package_is_not_built_unasked(backend, place, tmp_path, files, index):
    tools = tooling(tmp_path, index)
    made(backend, place, tools)
    with pytest.raises(ProcessError) as caught:
        backend.install(place, request_for(tmp_path, files, "crafted-1.0.tar.gz"), tools)
    assert "crafted" in caught.value.detail


def test_an_index_under_another_path_will_do(backend, place, tmp_path, files):
    with serving(Index(files, prefix="/mirrors/pypi/web/simple")) as mirror:
        tools = tooling(tmp_path, mirror)
        made(backend, place, tools)
        backend.install(place, wheels(tmp_path, files, "beta-2.0"), tools)
    assert backend.check(place, {"beta": "2.0"}) is None
    assert any(path.startswith("/mirrors/pypi/web/simple/beta") for path in mirror.asked)


def test_a_directory_of_files_is_asked_as_well(backend, place, tmp_path, files, index):
    apart = tmp_path / "more files"
    apart.mkdir()
    make_wheel(apart, "gamma", "1.0")
    settings = read_settings(
        {"HOME": str(tmp_path), "PIP_INDEX_URL": index.url, "PIP_FIND_LINKS": apart.as_uri()}
    )
    tools = tooling(tmp_path, settings=settings)
    made(backend, place, tools)
    backend.install(place, wheels(tmp_path, apart, "gamma-1.0"), tools)
    assert backend.check(place, {"gamma": "1.0"}) is None


def test_a_file_may_come_from_any_index(backend, place, tmp_path, files, index):
    # The first index knows the name and not the version; the hash says that it is the same.
    apart = tmp_path / "apart"
    apart.mkdir()
    make_wheel(apart, "beta", "0.1")
    with serving(Index(apart)) as other:
        settings = read_settings(
            {"HOME": "/", "PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": other.url}
        )
        tools = tooling(tmp_path, settings=settings)
        made(backend, place, tools)
        backend.install(place, wheels(tmp_path, files, "beta-2.0"), tools)
    assert backend.check(place, {"beta": "2.0"}) is None


def test_offline_asks_nobody(backend, place, tmp_path, files, index):
    tools = tooling(tmp_path, index, offline=True)
    made(backend, place, tools)
    with pytest.raises(ProcessError):
        backend.install(place, wheels(tmp_path, files, "beta-1.0"), tools)
    assert index.asked == []


def test_console_scripts_find_their_interpreter(backend, place, tmp_path, index, files):
    # The path has a space and a letter that is not ASCII.
    apart = tmp_path / "scripts"
    apart.mkdir()
    make_wheel(
        apart,
        "hello",
        "1.0",
        files={"hello-1.0.dist-info/entry_points.txt": "[console_scripts]\nhello=hello:main\n",
               "hello/main.py": "", "hello/__init__.py": "def main():\n    print('hello')\n"},
    )  # fmt: skip
    with serving(Index(apart)) as served:
        tools = tooling(tmp_path, served)
        made(backend, place, tools)
        backend.install(place, wheels(tmp_path, apart, "hello-1.0"), tools)
    said = subprocess.run([place / "bin" / "hello"], capture_output=True, text=True, check=True)
    assert said.stdout == "hello\n"


def test_no_project_around_the_caller_changes_anything(backend, place, tmp_path, files, index):
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "0"\nrequires-python = ">=3.99"\n'
        "[tool.uv]\nno-index = true\n"
    )
    (project / "uv.toml").write_text("no-index = true\n")
    (project / ".python-version").write_text("2.7\n")
    (project / "pip.conf").write_text("[global]\nno-index = true\n")
    before = os.getcwd()
    os.chdir(project)
    try:
        tools = tooling(tmp_path, index)
        made(backend, place, tools)
        backend.install(place, wheels(tmp_path, files, "beta-1.0"), tools)
    finally:
        os.chdir(before)
    assert backend.check(place, {"beta": "1.0"}) is None


def build_lock(tmp_path, digest):
    path = tmp_path / "build.lock"
    path.write_text(f"builder==1.0 --hash=sha256:{digest}\n")
    return path


def test_a_package_that_may_be_built_is_built_with_locked_tools(
    backend, place, tmp_path, files, index
):
    tools = tooling(tmp_path, index)
    made(backend, place, tools)
    lock = build_lock(tmp_path, sha256(files / "builder-1.0-py3-none-any.whl"))
    request = request_for(
        tmp_path, files, "crafted-1.0.tar.gz", build=("crafted",), build_constraints=lock
    )
    backend.install(place, request, tools)
    assert backend.check(place, {"crafted": "1.0"}) is None
    assert python(place, "import crafted; print(crafted.__version__)") == "1.0"


@pytest.mark.parametrize("text", ["builder==1.0 --hash=sha256:" + "0" * 64 + "\n", ""])
def test_build_requirements_are_checked_by_hash(backend, place, tmp_path, files, index, text):
    tools = tooling(tmp_path, index)
    made(backend, place, tools)
    lock = tmp_path / "build.lock"
    lock.write_text(text)
    request = request_for(
        tmp_path, files, "crafted-1.0.tar.gz", build=("crafted",), build_constraints=lock
    )
    with pytest.raises(ProcessError) as caught:
        backend.install(place, request, tools)
    assert "builder" in caught.value.detail
    assert "crafted is missing" in backend.check(place, {"crafted": "1.0"})
