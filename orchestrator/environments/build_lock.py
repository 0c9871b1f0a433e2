"""`build.lock`: the hashed requirements of building the few packages that have no wheels.

What a source package needs in order to be built stands in its own `pyproject.toml`. It is read from
the very file whose hash the lock names, resolved with hashes, and becomes part of the environment's
digest.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import urllib.error
import urllib.request
import zipfile
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from orchestrator.core.toml import parse_toml
from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_REQUIREMENTS = ("setuptools>=40.8.0",)
"""What PEP 518 has a package without `[build-system]` need."""

_SOURCE = re.compile(
    r'^name = "(?P<name>[^"]+)".*?^sdist = \{[^\n]*?(?:url|path) = "(?P<url>[^"]+)"'
    r'[^\n]*?sha256 = "(?P<hash>[0-9a-f]{64})"',
    re.MULTILINE | re.DOTALL,
)
_LIMIT = 1 << 30
PATIENCE = 60.0
"""Seconds that a server may stay silent."""


class Source(NamedTuple):
    """Where the source of a package lies, and its SHA-256."""

    name: str
    url: str
    sha256: str


def sources(pylock: str) -> list[Source]:
    """Return the source packages that a `pylock.toml` of uv's names."""
    found = []
    for block in pylock.split("[[packages]]")[1:]:
        match = _SOURCE.search(block)
        if match:
            found.append(Source(match["name"], match["url"], match["hash"]))
    return found


def requirements_of(source: Source, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the package in `source` needs in order to be built.

    Raises:
        EnvironmentFailure: When it cannot be fetched, has another hash, or cannot be read.
    """
    data = fetch(source.url, variables)
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise EnvironmentFailure(
            f"the source of {source.name} does not have the hash that the index names",
            fix="check the package index",
        )
    return build_requirements(source.name, read_pyproject(source.name, data))


def build_requirements(name: str, pyproject: str | None) -> tuple[str, ...]:
    """Return the build requirements that the text of a `pyproject.toml` names.

    Raises:
        EnvironmentFailure: When it is not valid.
    """
    if pyproject is None or "build-system" not in pyproject:
        return DEFAULT_REQUIREMENTS
    try:
        system = parse_toml(pyproject).get("build-system", {})
        requires = system.get("requires", DEFAULT_REQUIREMENTS)
        return tuple(str(requirement) for requirement in requires)
    except (ValueError, AttributeError, TypeError) as error:
        raise EnvironmentFailure(
            f"the pyproject.toml of {name} cannot be read ({error})",
            fix="ask its author, or do without it",
        ) from error


def read_pyproject(name: str, data: bytes) -> str | None:
    """Return the `pyproject.toml` at the top of a source archive, or None where it has none.

    Raises:
        EnvironmentFailure: When `data` is no archive.
    """
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                member = _top(archive.namelist())
                return archive.read(member).decode("utf-8") if member else None
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            member = _top(archive.getnames())
            stream = archive.extractfile(member) if member else None
            return stream.read().decode("utf-8") if stream else None
    except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile, KeyError) as error:
        raise EnvironmentFailure(
            f"the source of {name} cannot be read ({error})", fix="check the package index"
        ) from error


def fetch(url: str, variables: Mapping[str, str]) -> bytes:
    """Return what lies at `url`, through the user's proxies.

    Raises:
        EnvironmentFailure: When it cannot be had.
    """
    if urlsplit(url).scheme not in ("http", "https", "file"):
        raise EnvironmentFailure(f"{url} is not a place to fetch from", fix="check the index")
    try:
        with opener(variables).open(url, timeout=PATIENCE) as answer:
            data: bytes = answer.read(_LIMIT)
            return data
    except (OSError, urllib.error.URLError) as error:
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        raise EnvironmentFailure(
            f"{name} could not be fetched ({error})", fix="check the network, then run it again"
        ) from error


def opener(variables: Mapping[str, str]) -> urllib.request.OpenerDirector:
    """Return what fetches URLs with the proxies that `variables` name."""
    proxies = {
        scheme: value
        for scheme in ("http", "https")
        if (value := variables.get(f"{scheme}_proxy") or variables.get(f"{scheme.upper()}_PROXY"))
    }
    return urllib.request.build_opener(urllib.request.ProxyHandler(proxies))


def _top(names: Iterable[str]) -> str | None:
    return next((n for n in names if n.count("/") == 1 and n.endswith("/pyproject.toml")), None)
