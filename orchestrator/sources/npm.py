"""The registry of npm, as the user's own settings name it: where a package's archive lies."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from orchestrator.core.endpoints import NPM_REGISTRY
from orchestrator.core.json_text import parse_json
from orchestrator.errors import SourceError
from orchestrator.system.downloads import blocks, open_url
from orchestrator.system.files import read_text

_SETTING = re.compile(r"^\s*([^=\s]+)\s*=\s*(.*?)\s*$")
_VARIABLE = re.compile(r"\$\{([^}]+)\}")

MAX_BLOCKS = 16
"""Blocks of 1 MiB that are read of what a registry says of one version."""


class NpmRegistry:
    """Asks the registry that `NPM_CONFIG_REGISTRY` or the user's `.npmrc` names.

    Args:
        variables: The user's environment variables.
        ask: Opens a URL.
    """

    def __init__(self, variables: Mapping[str, str], ask: Callable[..., Any] = open_url) -> None:
        self._variables = variables
        self._ask = ask
        self._settings = _read_npmrc(variables)

    def tarball(self, package: str) -> tuple[str, str]:
        """Return the URL of the archive of `name@version`, and the header `Authorization` for it.

        Raises:
            OSError: When the registry does not answer, or with an error.
            SourceError: When its answer is not a registry's.
        """
        name, _, version = package.rpartition("@")
        registry = self._registry(name)
        url = f"{registry.rstrip('/')}/{quote(name, safe='@')}/{quote(version)}"
        with self._ask(url, self._variables, credentials=self._credentials(url)) as answer:
            data = b"".join(islice(blocks(answer), MAX_BLOCKS))
        try:
            tarball = parse_json(data)["dist"]["tarball"]
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                "the answer is not that of a registry of npm",
                where=registry,
                fix="check NPM_CONFIG_REGISTRY and the registry in your .npmrc",
            ) from error
        if not isinstance(tarball, str) or urlsplit(tarball).scheme not in ("http", "https"):
            raise SourceError(f"names {tarball!r} as the archive of {package}", where=registry)
        return tarball, self._credentials(tarball)

    def _registry(self, name: str) -> str:
        scope = name.partition("/")[0] if name.startswith("@") else ""
        chosen = self._settings.get(f"{scope}:registry") if scope else None
        for variable in ("NPM_CONFIG_REGISTRY", "npm_config_registry"):
            chosen = chosen or self._variables.get(variable)
        return chosen or self._settings.get("registry") or NPM_REGISTRY

    def _credentials(self, url: str) -> str:
        """Return the header `Authorization` that the user's `.npmrc` has for the place of `url`."""
        parts = urlsplit(url)
        place = f"//{parts.netloc.rpartition('@')[2]}{parts.path}"
        while place.count("/") > 2:
            place = place.rpartition("/")[0]
            for end in ("/", ""):
                if token := self._settings.get(f"{place}{end}:_authToken"):
                    return f"Bearer {token}"
                if basic := self._settings.get(f"{place}{end}:_auth"):
                    return f"Basic {basic}"
                if user := self._settings.get(f"{place}{end}:username"):
                    secret = base64.b64decode(self._settings.get(f"{place}{end}:_password", ""))
                    return "Basic " + base64.b64encode(f"{user}:".encode() + secret).decode()
        return ""


def _read_npmrc(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in the user's `.npmrc`, with variables in place of `${NAME}`."""
    chosen = variables.get("NPM_CONFIG_USERCONFIG") or variables.get("npm_config_userconfig")
    path = Path(chosen) if chosen else Path(variables.get("HOME") or "~", ".npmrc")
    try:
        text = read_text(path.expanduser(), "replace")
    except OSError:
        return {}
    settings = {}
    for line in text.splitlines():
        found = _SETTING.match(line)
        if found and not line.lstrip().startswith(("#", ";")):
            value = found[2].strip("\"'")
            settings[found[1]] = _VARIABLE.sub(lambda m: variables.get(m[1], m[0]), value)
    return settings
