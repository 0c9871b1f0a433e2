"""The model's own code: its import from text, and what its errors say."""

from __future__ import annotations

import sys
import types


def import_runner(path: str, source: str) -> types.ModuleType:
    """Execute `source`, the text of the runner at `path`, as a module, and return it.

    The text comes from the client and is not read again, so that what runs is what the client took
    the digest of; nothing is written beside it.

    Raises:
        TypeError: When it does not define `load` and `run`.
    """
    module = types.ModuleType("mm_runner")
    module.__file__ = path
    sys.modules["mm_runner"] = module
    exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - running it is our purpose
    for name in ("load", "run"):
        if not callable(getattr(module, name, None)):
            raise TypeError(f"{path} defines no function {name}")
    return module


LINE_LIMIT = 2000
"""Characters of what an error says that go into one line; its traceback has them all."""


def last_line(error: BaseException) -> str:
    """Return the line that ends a traceback: the type and what it says."""
    try:
        said = str(error).strip()
    except Exception as worse:  # noqa: BLE001 - an error whose text cannot be made is one too
        said = f"(its text cannot be shown: {type(worse).__name__})"
    lines = said.splitlines()
    if not lines:
        return type(error).__name__
    line = lines[0] if len(lines[0]) <= LINE_LIMIT else f"{lines[0][:LINE_LIMIT]}…"
    return f"{type(error).__name__}: {line}"


def traceback_of(error: BaseException) -> str:
    """Return the traceback of what a runner raised, without our own frame."""
    import linecache
    import traceback

    module = sys.modules.get("mm_runner")
    if module is not None and module.__file__:
        # The lines shown are those of the file; it may have been edited since.
        linecache.checkcache(module.__file__)
    tb = error.__traceback__ and error.__traceback__.tb_next
    return "".join(traceback.format_exception(type(error), error, tb))
