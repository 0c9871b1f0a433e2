"""The model's own code: its import from text, and what its errors say.

An exception is the model's own code as well: its text, its type's name and whatever a traceback
asks it for may raise anything. What can be shown of it is shown, and nothing escapes from here.
"""

from __future__ import annotations

import contextlib
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
    lines = text_of(error).splitlines()
    if not lines:
        return _name(error)
    line = lines[0] if len(lines[0]) <= LINE_LIMIT else f"{lines[0][:LINE_LIMIT]}…"
    return f"{_name(error)}: {line}"


def text_of(error: BaseException) -> str:
    """Return what an error says of itself."""
    try:
        return str.strip(
            str(error)
        )  # not a `strip` of its own, should it be a text of its own kind
    except BaseException as worse:  # noqa: BLE001 - an error whose text cannot be made is one too
        return f"(its text cannot be shown: {_name(worse)})"


def _name(error: BaseException) -> str:
    """Return the name of the type of `error`; not as a metaclass may have it."""
    return str(vars(type)["__name__"].__get__(type(error)))


def traceback_of(error: BaseException) -> str:
    """Return the traceback of what a runner raised, without our own frame."""
    import linecache
    import traceback

    tb = vars(BaseException)["__traceback__"].__get__(error)
    tb = tb and tb.tb_next
    with contextlib.suppress(BaseException):
        # The lines shown are those of the file; it may have been edited since.
        linecache.checkcache(sys.modules["mm_runner"].__file__)
    with contextlib.suppress(BaseException):
        return "".join(traceback.format_exception(type(error), error, tb))
    frames = []
    with contextlib.suppress(BaseException):
        frames = traceback.format_tb(tb)
    return "".join(["Traceback (most recent call last):\n", *frames, last_line(error), "\n"])
