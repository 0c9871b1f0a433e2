"""The rest of an interpreter's start, which `-S` has put off until the supervisor was forked off.

A model finds everything as `python -I` has it: `sys.path` with the environment's packages, what
`.pth` files and `sitecustomize` do, `sys.prefix`, `sys.flags`, and the built-in names of `site`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from typing import Any


def finish() -> None:
    """Do what `-S` has left out, and hide that it did."""
    # First: `site` reads the flags to see whether to do its work when it is imported, and
    # multiprocessing reads from them the options for another interpreter like this one.
    sys.flags = with_site(sys.flags)
    import site  # noqa: F401 - what it does is done by the import

    # What tells multiprocessing that its children need not run this program's main module.
    sys.modules["__main__"].__spec__ = type(sys.__spec__)("__main__", None)


def with_site(flags: Any) -> Any:
    """Return `flags`, those of `sys`, with `no_site` unset.

    Their type makes no instances (before Python 3.13), so that theirs is one that looks alike.
    """
    member = type(type(flags).no_site)
    fields = {
        name: getattr(flags, name)
        for name, value in vars(type(flags)).items()
        if type(value) is member
    }
    fields["no_site"] = 0
    # Beyond its length there may be fields that have a name alone.
    shown = list(fields.items())[: len(flags)]
    text = "sys.flags({})".format(", ".join(f"{name}={value!r}" for name, value in shown))
    body = {"__slots__": (), "__repr__": lambda _: text, **fields}
    return type("flags", (tuple,), body)(value for _, value in shown)
