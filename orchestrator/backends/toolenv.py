"""The environment of the tools that build environments, made from the user's variables.

A list of what is allowed, not of what is not: whatever else is set around `mm`, an activated
environment or a variable that switches the checking of hashes off, changes nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ALLOWED = frozenset(
    {
        # the system
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP",
        "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "SDKROOT",
        "MACOSX_DEPLOYMENT_TARGET", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS",
        "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
        "DBUS_SESSION_BUS_ADDRESS", "NETRC",
        # proxies and certificates
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "http_proxy", "https_proxy", "all_proxy", "no_proxy",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
        # uv: cache, time-outs, how much at once, where its Pythons are
        "UV_CACHE_DIR", "UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_RETRIES",
        "UV_REQUEST_TIMEOUT", "UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_BUILDS",
        "UV_CONCURRENT_INSTALLS", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_OFFLINE",
        "UV_CREDENTIALS_DIR", "UV_PYTHON_INSTALL_DIR", "UV_PYTHON_INSTALL_MIRROR",
        "UV_PYPY_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL", "UV_PYTHON_CACHE_DIR",
        # pip: cache, time-outs, proxy
        "PIP_CACHE_DIR", "PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_RETRIES", "PIP_PROXY",
    }
)  # fmt: skip
"""The user's variables that reach the tools; index settings come from `indexes` on top."""

_ALLOWED_PATTERN = re.compile(r"LC_[A-Z]+|UV_INDEX_[A-Z0-9_]+_(?:USERNAME|PASSWORD)")
_LINK_MODES = frozenset({"clone", "copy", "hardlink"})


def tool_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the user's `variables` that tools get, and what switches files off."""
    allowed = {
        name: value
        for name, value in variables.items()
        if name in ALLOWED or _ALLOWED_PATTERN.fullmatch(name)
    }
    # A link mode of `symlink` would make every environment end with the cache.
    if variables.get("UV_LINK_MODE") in _LINK_MODES:
        allowed["UV_LINK_MODE"] = variables["UV_LINK_MODE"]
    return {
        **allowed,
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_PREVIEW_FEATURES": "build-dependency-hashes",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_NO_COLOR": "1",
        "NO_COLOR": "1",
        "VIRTUALENV_CONFIG_FILE": "/dev/null",
    }
