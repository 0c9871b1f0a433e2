"""What an interpreter says of itself: the question, and the reading of the answer.

The question is a script for `python -I -c`, standard library only, for any Python 3. Reading is
pure; asking goes through `orchestrator.system.processes`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec

from orchestrator.core.identity import Interpreter
from orchestrator.core.platforms import platform_name

_Text = Annotated[str, msgspec.Meta(min_length=1)]

PATIENCE = 20.0
"""Seconds that an interpreter has to describe itself."""

QUESTION = r"""
import json, os, platform, sys, sysconfig
version = sys.implementation.version
full = "%d.%d.%d" % version[:3]
if version.releaselevel != "final":
    full += version.releaselevel[0] + str(version.serial)
machine = platform.machine()
system = sys.platform
if system.startswith("linux"):
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION").split()[1]
        tail = "manylinux_%s_%s" % (libc.replace(".", "_"), machine)
    except (AttributeError, OSError, ValueError, IndexError):
        tail = "musllinux_%s" % machine
elif system == "darwin":
    tail = "macosx_%s_%s" % ("_".join((platform.mac_ver()[0].split(".") + ["0"])[:2]), machine)
else:
    tail = sysconfig.get_platform().replace("-", "_").replace(".", "_")
if sys.implementation.name == "cpython":
    short = "cp%d%d" % sys.version_info[:2]
    abi = short + getattr(sys, "abiflags", "")
else:
    short = sys.implementation.name + "%d%d" % sys.version_info[:2]
    abi = (sysconfig.get_config_var("SOABI") or "none").replace("-", "_")
base = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps({
    "executable": os.path.realpath(base if sys.prefix != sys.base_prefix else sys.executable),
    "virtual": sys.prefix != sys.base_prefix,
    "conda": os.path.isdir(os.path.join(sys.base_prefix, "conda-meta")),
    "implementation": sys.implementation.name,
    "version": platform.python_version(),
    "tag": "-".join((short, abi, tail)),
    "system": system,
    "machine": machine,
    "markers": {
        "implementation_name": sys.implementation.name,
        "implementation_version": full,
        "os_name": os.name,
        "platform_machine": machine,
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": "",
        "platform_system": platform.system(),
        "platform_version": "",
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": system,
    },
}))
"""
"""Kernel release and version are left empty: they change with every update of the system, and a
package that depends on them cannot be locked."""


def ask(executable: Path) -> dict[str, Any] | None:
    """Return what `executable` says of itself, or None where it does not work.

    A shim that points nowhere, a broken link, a Python 2 and a program that is no Python at all are
    the same: no interpreter.
    """
    # Where all interpreters are known already, no process is started.
    from orchestrator.system import processes

    try:
        answer = processes.run(
            [str(executable), "-I", "-c", QUESTION],
            # Nothing of the user's may change what an interpreter says of itself.
            variables={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            timeout=PATIENCE,
        )
        facts = json.loads(answer.stdout)
    except (OSError, ValueError, processes.ProcessError):
        return None
    return facts if read_facts(facts) is not None else None


class _Answer(msgspec.Struct):
    executable: _Text
    implementation: _Text
    version: _Text
    tag: _Text
    markers: dict[str, str]
    system: str
    machine: str


def read_facts(facts: Any, origin: str = "") -> Interpreter | None:
    """Return the record that an interpreter's answer stands for, or None where it is damaged."""
    try:
        answer = msgspec.convert(facts, _Answer)
    except msgspec.ValidationError:
        return None
    return Interpreter(
        path=answer.executable,
        implementation=answer.implementation,
        version=answer.version,
        tag=answer.tag,
        platform=platform_name(answer.system, answer.machine),
        markers=answer.markers,
        origin=origin,
    )
