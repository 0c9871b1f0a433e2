"""Where packages come from: uv's own index settings, and pip's where uv has none.

Reads variables and files, once, into one record, from which each backend's variables are made. The
tools themselves read no configuration: one that lies in the user's project must not change a
committed lock, and settings such as `no-verify-hashes` must change nothing at all.
"""

from __future__ import annotations

import configparser
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from orchestrator.core.toml import parse_toml
from orchestrator.errors import UsageError
from orchestrator.system.files import NOT_A_FILE, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True)
class IndexSettings:
    """Where packages come from.

    Attributes:
        default: The index asked last; empty for the tools' own default.
        extra: Indexes asked before it, first come first; `name=url` where uv's have names.
        find_links: Directories and pages of files.
        no_index: Whether indexes are not asked at all.
        trusted_hosts: Hosts whose certificate is not checked.
        keyring: The keyring provider; empty for none.
        certificate: A file of certificates that the user named for pip alone.
        strategy: uv's index strategy; empty for its default.
        environment: Further settings of uv's files, as variables for uv.
    """

    default: str = ""
    extra: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    keyring: str = ""
    certificate: str = ""
    strategy: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def named_anything(self) -> bool:
        """Whether any place is named."""
        return bool(self.default or self.extra or self.find_links or self.no_index)

    def shared(self, *folders: Path) -> IndexSettings:
        """Return these settings without what only this machine has, and with models' own `folders`.

        A committed lock must be installable elsewhere: directories of files and indexes on this
        disk would leave their versions and hashes in it.
        """
        return replace(
            self,
            extra=tuple(url for url in self.extra if not _is_local(url)),
            default="" if _is_local(self.default) else self.default,
            find_links=(),
            no_index=False,
        ).with_own(*folders)

    def with_own(self, *folders: Path) -> IndexSettings:
        """Return these settings with those of models' own folders of wheels that are there."""
        own = (str(folder) for folder in folders if folder.is_dir())
        return replace(self, find_links=tuple(dict.fromkeys((*own, *self.find_links))))

    def uv_variables(self, *, hashed: bool) -> dict[str, str]:
        """Return these settings as variables for uv.

        Args:
            hashed: Whether every file is checked by hash. Then all indexes are alike, as they are
                to pip, and a file may come from any; without, uv's own order guards against a
                public package that takes a private one's name.
        """
        strategy = self.strategy or ("unsafe-best-match" if hashed and len(self.extra) else "")
        return _without_empty(
            {
                **self.environment,
                "UV_DEFAULT_INDEX": self.default,
                "UV_INDEX": " ".join(self.extra),
                "UV_FIND_LINKS": ",".join(_as_url(place) for place in self.find_links),
                "UV_NO_INDEX": "1" if self.no_index else "",
                "UV_INSECURE_HOST": " ".join(self.trusted_hosts),
                "UV_KEYRING_PROVIDER": self.keyring,
                "UV_INDEX_STRATEGY": strategy,
                "SSL_CERT_FILE": self.certificate,
            }
        )

    def pip_variables(self, credentials: Mapping[str, str]) -> dict[str, str]:
        """Return these settings as variables for pip.

        Args:
            credentials: The user's variables, for `UV_INDEX_NAME_USERNAME` and `…_PASSWORD`.
        """
        extra = (_with_credentials(url, credentials) for url in self.extra)
        return _without_empty(
            {
                "PIP_INDEX_URL": self.default,
                "PIP_EXTRA_INDEX_URL": " ".join(extra),
                "PIP_FIND_LINKS": " ".join(_as_url(place) for place in self.find_links),
                "PIP_NO_INDEX": "1" if self.no_index else "",
                "PIP_TRUSTED_HOST": " ".join(self.trusted_hosts),
                "PIP_KEYRING_PROVIDER": self.keyring,
                "PIP_CERT": self.certificate,
            }
        )


def read_settings(
    variables: Mapping[str, str], read: Callable[[Path], str | None] | None = None
) -> IndexSettings:
    """Return the user's settings: uv's where there are any that name a place, else pip's.

    A certificate that the user named for pip counts for uv as well where uv has none.

    Args:
        variables: The user's variables.
        read: Returns a file's text, or None where there is none; a port for tests.

    Raises:
        UsageError: When a settings file cannot be read.
    """
    read = read or _read
    uv = _uv_settings(variables, read)
    pip = _pip_settings(variables, read)
    if uv.named_anything:
        return replace(uv, certificate=pip.certificate)
    return replace(
        pip,
        environment=uv.environment,
        strategy=uv.strategy,
        keyring=uv.keyring or pip.keyring,
        trusted_hosts=uv.trusted_hosts or pip.trusted_hosts,
    )


# uv


_UV_ENVIRONMENT = {
    "cache-dir": "UV_CACHE_DIR",
    "link-mode": "UV_LINK_MODE",
    "native-tls": "UV_NATIVE_TLS",
    "system-certs": "UV_SYSTEM_CERTS",
    "python-install-mirror": "UV_PYTHON_INSTALL_MIRROR",
    "http-proxy": "HTTP_PROXY",
    "https-proxy": "HTTPS_PROXY",
}


def _uv_settings(variables: Mapping[str, str], read: Callable[[Path], str | None]) -> IndexSettings:
    merged: dict[str, Any] = {}
    # The least important file first: the user's replaces the system's, key by key.
    for path in reversed(uv_files(variables)):
        merged.update(_toml(read(path) or "", path))
    pip = merged.get("pip")
    if isinstance(pip, dict):
        merged.update(pip)
    default = _text(merged.get("index-url"))
    extra = list(_texts(merged.get("extra-index-url")))
    for index in merged.get("index") or ():
        if not isinstance(index, dict) or index.get("explicit"):
            continue
        url, name = _text(index.get("url")), _text(index.get("name"))
        if index.get("default"):
            default = url
        else:
            extra.append(f"{name}={url}" if name else url)
    environment = {
        variable: "1" if merged[key] is True else str(merged[key])
        for key, variable in _UV_ENVIRONMENT.items()
        if merged.get(key) and merged[key] != "symlink"
    }
    get = variables.get
    indexes = _words(get("UV_INDEX")) + _words(get("UV_EXTRA_INDEX_URL"))
    return IndexSettings(
        default=get("UV_DEFAULT_INDEX") or get("UV_INDEX_URL") or default,
        extra=tuple(indexes or extra),
        find_links=tuple(
            _absolute(place)
            for place in _words(get("UV_FIND_LINKS"), ",") or _texts(merged.get("find-links"))
        ),
        no_index=_truth(get("UV_NO_INDEX")) or merged.get("no-index") is True,
        trusted_hosts=tuple(
            _words(get("UV_INSECURE_HOST")) or _texts(merged.get("allow-insecure-host"))
        ),
        keyring=get("UV_KEYRING_PROVIDER") or _text(merged.get("keyring-provider")),
        strategy=get("UV_INDEX_STRATEGY") or _text(merged.get("index-strategy")),
        environment=environment,
    )


def uv_files(variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Return uv's configuration files of the user and the system, the most important first.

    A project's own files are not among them.
    """
    if _truth(variables.get("UV_NO_CONFIG")):
        return ()
    if variables.get("UV_CONFIG_FILE"):
        return (Path(variables["UV_CONFIG_FILE"]).absolute(),)
    system = _words(variables.get("XDG_CONFIG_DIRS"), os.pathsep) or ["/etc/xdg"]
    return (
        _config_home(variables) / "uv" / "uv.toml",
        *(Path(folder) / "uv" / "uv.toml" for folder in system),
        Path("/etc/uv/uv.toml"),
    )


# pip


def _pip_settings(
    variables: Mapping[str, str], read: Callable[[Path], str | None]
) -> IndexSettings:
    merged: dict[str, str] = {}
    for path in reversed(pip_files(variables)):
        text = read(path)
        if text:
            merged.update(_ini(text, path))
    for name, value in variables.items():
        if name.startswith("PIP_") and value:
            merged[name[4:].lower().replace("_", "-")] = value
    return IndexSettings(
        default=merged.get("index-url", ""),
        extra=tuple(_words(merged.get("extra-index-url"))),
        find_links=tuple(_absolute(place) for place in _words(merged.get("find-links"))),
        no_index=_truth(merged.get("no-index")),
        trusted_hosts=tuple(_words(merged.get("trusted-host"))),
        keyring="subprocess" if merged.get("keyring-provider") == "subprocess" else "",
        certificate=merged.get("cert", ""),
    )


def pip_files(variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Return pip's configuration files, the most important first.

    The one of an activated environment is not among them: activating must change nothing.
    """
    chosen = variables.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return ()
    home = Path(variables.get("HOME") or Path.home())
    system = _words(variables.get("XDG_CONFIG_DIRS"), os.pathsep) or ["/etc/xdg"]
    files = [
        _config_home(variables) / "pip" / "pip.conf",
        home / ".pip" / "pip.conf",
        Path("/etc/pip.conf"),
        *(Path(folder) / "pip" / "pip.conf" for folder in system),
    ]
    if os.uname().sysname == "Darwin":
        files.insert(0, home / "Library" / "Application Support" / "pip" / "pip.conf")
    if chosen:
        files.insert(0, Path(chosen).absolute())
    return tuple(files)


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise _unreadable(path, f"is not valid TOML ({error})") from error


def _ini(text: str, path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise _unreadable(path, f"cannot be read ({str(error).splitlines()[0]})") from error
    merged: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            merged.update(
                {key.replace("_", "-"): value for key, value in parser.items(section) if value}
            )
    return merged


# both


def _unreadable(path: Path, problem: str) -> UsageError:
    return UsageError(problem, where=str(path), fix="correct it")


def _read(path: Path) -> str | None:
    try:
        return read_text(path, "replace")
    except OSError as error:
        if error.strerror == NOT_A_FILE:
            raise _unreadable(path, "is not a regular file") from error
        return None


def _config_home(variables: Mapping[str, str]) -> Path:
    chosen = variables.get("XDG_CONFIG_HOME")
    return Path(chosen) if chosen else Path(variables.get("HOME") or Path.home()) / ".config"


def _with_credentials(index: str, credentials: Mapping[str, str]) -> str:
    """Return the URL of an index, with what the user set for its name where it has one."""
    name, separator, url = index.partition("=")
    if not separator or "/" in name:
        return index
    key = re.sub(r"[^A-Z0-9]", "_", name.upper())
    user = credentials.get(f"UV_INDEX_{key}_USERNAME", "")
    password = credentials.get(f"UV_INDEX_{key}_PASSWORD", "")
    parts = urlsplit(url)
    if not (user or password) or "@" in parts.netloc:
        return url
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))


def _is_local(index: str) -> bool:
    name, separator, url = index.partition("=")
    place = url if separator and "/" not in name else index
    return bool(place) and ("://" not in place or place.startswith("file:"))


def _as_url(place: str) -> str:
    # The tools split lists at spaces and commas; a URL has neither.
    return place if "://" in place else "file://" + quote(place)


def _absolute(place: str) -> str:
    return place if "://" in place else str(Path(place).expanduser().absolute())


def _words(text: str | None, separator: str | None = None) -> list[str]:
    return [word.strip() for word in (text or "").split(separator) if word.strip()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value or () if isinstance(item, str))


def _truth(text: str | None) -> bool:
    return (text or "").strip().lower() in {"1", "true", "yes", "on", "y", "t"}


def _without_empty(values: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
