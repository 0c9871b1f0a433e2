"""Which registry is asked for a package, and who gets the user's token."""

import io
from typing import ClassVar

import pytest

from orchestrator.core.endpoints import NPM_REGISTRY
from orchestrator.errors import SourceError
from orchestrator.sources import npm


class Asked:
    """A registry: what it answers, and the URL and the credentials of each request to it."""

    def __init__(self):
        self.requests = []
        self.data = b'{"dist": {"tarball": "https://files.example/t.tgz"}}'

    def __call__(self, url, _variables, headers=None, credentials=""):
        self.requests.append((url, credentials))
        return _Answer(self.data)


class _Answer(io.BytesIO):
    headers: ClassVar[dict] = {}


@pytest.fixture
def asked():
    return Asked()


def ask(asked, tmp_path, package, npmrc="", **variables):
    (tmp_path / ".npmrc").write_text(npmrc)
    registry = npm.NpmRegistry({"HOME": str(tmp_path), **variables}, asked)
    tarball = registry.tarball(package)
    return asked.requests[-1], tarball


def test_the_public_registry_is_the_default(asked, tmp_path):
    request, tarball = ask(asked, tmp_path, "a@1.0")
    assert request == (f"{NPM_REGISTRY}a/1.0", "")
    assert tarball == ("https://files.example/t.tgz", "")


@pytest.mark.parametrize(
    ("package", "npmrc", "variables", "url"),
    [
        ("a@1", "registry=https://m/npm/\n", {}, "https://m/npm/a/1"),
        ("a@1", "; registry=https://no\n registry = 'https://m'\n", {}, "https://m/a/1"),
        ("a@1", "registry=${R}/x", {"R": "https://r"}, "https://r/x/a/1"),
        ("a@1", "registry=https://m", {"NPM_CONFIG_REGISTRY": "https://v"}, "https://v/a/1"),
        ("a@1", "registry=https://m", {"npm_config_registry": "https://v"}, "https://v/a/1"),
        ("@s/a@1", "@s:registry=https://s\nregistry=https://m", {}, "https://s/@s%2Fa/1"),
        ("@t/a@1", "@s:registry=https://s\nregistry=https://m", {}, "https://m/@t%2Fa/1"),
    ],
)
def test_the_users_settings_name_another(asked, tmp_path, package, npmrc, variables, url):
    request, _ = ask(asked, tmp_path, package, npmrc, **variables)
    assert request[0] == url


@pytest.mark.parametrize(
    ("line", "credentials"),
    [
        ("//m/npm/:_authToken=secret", "Bearer secret"),
        ("//m/:_authToken=${TOKEN}", "Bearer from-variable"),
        ("//m/npm/:_auth=dXNlcg==", "Basic dXNlcg=="),
        ("//m/npm/:username=u\n//m/npm/:_password=cA==", "Basic dTpw"),
        ("//other/:_authToken=secret", ""),
        ("//m/npm/other/:_authToken=secret", ""),
    ],
)
def test_credentials_go_to_their_own_place_alone(asked, tmp_path, line, credentials):
    npmrc = f"registry=https://m/npm/\n{line}\n"
    request, tarball = ask(asked, tmp_path, "a@1", npmrc, TOKEN="from-variable")
    assert request[1] == credentials
    assert tarball[1] == ""  # the archive lies on another host


@pytest.mark.parametrize(
    "data", [b"<html>", b"[]", b"{}", b'{"dist": {"tarball": "file:///etc/passwd"}}']
)
def test_what_is_no_registry_is_refused(asked, tmp_path, data):
    asked.data = data
    with pytest.raises(SourceError, match=r"not that of a registry|names 'file:"):
        ask(asked, tmp_path, "a@1")
