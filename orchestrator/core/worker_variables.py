"""The environment variables that a worker sees: a pure function of the user's own.

An allow-list, so that no token or key of the user's travels by accident. It is hygiene and no
sandbox: a worker has the user's uid.
"""

from __future__ import annotations

from collections.abc import Mapping

PASSED = frozenset(
    {
        "PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "USER", "LOGNAME",
        "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH",
        "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES",
        "HIP_VISIBLE_DEVICES",
    }
)  # fmt: skip
PASSED_PREFIXES = ("LC_", "OMP_", "PYTORCH_")

SECRET_SUFFIXES = ("_TOKEN", "_KEY", "_SECRET", "_PASSWORD", "_PASSWD", "_CREDENTIALS", "_AUTH")
"""What a variable with one of the prefixes must not end with."""

THREADS = "OMP_NUM_THREADS"
"""Travels with each job, because it changes with the number of workers."""


def worker_variables(
    users: Mapping[str, str], declared: Mapping[str, str], passed: tuple[str, ...], home: str
) -> dict[str, str]:
    """Return the whole environment of a worker, but for the number of threads.

    Args:
        users: The user's variables.
        declared: The manifest's `environment.variables`.
        passed: The manifest's `environment.pass`, names of the user's variables.
        home: The directory that the worker is to take for HOME.

    The user's own value of a thread count (OMP_*) beats the manifest's; everything else that the
    manifest declares beats the user's.
    """
    allowed = {
        name: value
        for name, value in users.items()
        if name in PASSED
        or (name.startswith(PASSED_PREFIXES) and not name.upper().endswith(SECRET_SUFFIXES))
    }
    own_threads = {name for name in users if name.startswith("OMP_")}
    variables = {
        **allowed,
        **{name: value for name, value in declared.items() if name not in own_threads},
        **{name: users[name] for name in passed if name in users},
        "HOME": home,
        "XDG_CACHE_HOME": f"{home}/.cache",
        "HF_HOME": f"{home}/.cache/huggingface",
        "MPLCONFIGDIR": f"{home}/.config/matplotlib",
        "NUMBA_CACHE_DIR": f"{home}/.cache/numba",
        "HF_HUB_OFFLINE": "1",
    }
    variables.pop(THREADS, None)
    return variables


def wanted_threads(users: Mapping[str, str], declared: Mapping[str, str]) -> int | None:
    """Return how many threads the user wants, else the manifest; None where neither says.

    OpenMP takes a list, one number for each level of nesting; the first is meant. What is no
    number says nothing.
    """
    for variables in (users, declared):
        first = variables.get(THREADS, "").partition(",")[0].strip()
        if first.isdecimal() and int(first) > 0:
            return int(first)
    return None
