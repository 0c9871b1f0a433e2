"""The model's own code: its import from text, and what its errors say.

An exception is the model's own code as well: its text, its type's name and whatever a traceback
asks it for may raise anything. What can be shown of it is shown, and nothing escapes from here.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.machinery
import os.path
import sys

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    import types
    from typing import Any

NAME = "mm_runner"
"""The runner's name as a module; the files of a folder are modules below it."""


class RunnerLoader(importlib.machinery.SourceFileLoader):
    """Executes one module of a runner from its text, without a look at the file or bytecode.

    Python leaves the frames of its own loaders out of tracebacks, and shows the lines of
    `get_source`.
    """

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def path_stats(self, path: str) -> Any:
        """Say that there is no file, so that no bytecode is read or written."""
        raise OSError(errno.ENOENT, "a runner is in memory", path)

    def get_data(self, path: str) -> bytes:
        """Return the text."""
        if path != self.path:
            raise OSError(errno.ENOENT, "a runner's folder holds nothing but modules", path)
        return self._text.encode("utf-8")

    def source_to_code(  # type: ignore[override]
        self, _data: Any, path: Any, **_options: Any
    ) -> types.CodeType:
        """Compile the text; it is decoded already, whatever its first line says."""
        return compile(self._text, path, "exec", dont_inherit=True)

    def get_source(self, _name: str) -> str:
        """Return the text."""
        return self._text


class RunnerFinder:
    """Finds the modules of a runner among texts that the client has sent.

    So what runs is what the client took the digest of, and nothing is written beside the files.

    Args:
        files: Texts by path. The first is the runner itself; where it is an `__init__.py`, the
            others are its submodules, by their places in its folder.
    """

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        first = next(iter(files))
        self._loaders = {
            (name := _module_name(first, path)): RunnerLoader(name, path, text)
            for path, text in files.items()
        }

    def find_spec(
        self, name: str, _path: Any = None, _target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module of the runner, and None for every other."""
        loader = self._loaders.get(name)
        if loader is None:
            return None
        package = loader.is_package(name)
        spec = importlib.machinery.ModuleSpec(name, loader, origin=loader.path, is_package=package)
        spec.has_location = True
        return spec


def _module_name(first: str, path: str) -> str:
    inner = os.path.relpath(path, os.path.dirname(first))
    parts = os.path.splitext(inner)[0].split(os.sep)
    if path == first or parts[-1] == "__init__":
        parts.pop()
    return ".".join([NAME, *parts])


def import_runner(files: dict[str, str]) -> types.ModuleType:
    """Execute the runner whose texts by path are `files`, the first of them itself; return it.

    Raises:
        TypeError: When it does not define `load` and `run`, or `files` are no texts.
    """
    if not files or not all(isinstance(text, str) for text in files.values()):
        raise TypeError("the files of a runner are texts, at least one")
    _forget()
    sys.meta_path.insert(0, RunnerFinder(files))
    # Not `importlib.import_module`, which leaves the frames of Python's own import in tracebacks.
    module: types.ModuleType = __import__(NAME)
    for name in ("load", "run"):
        if not callable(getattr(module, name, None)):
            raise TypeError(f"{next(iter(files))} defines no function {name}")
    return module


def _forget() -> None:
    """Undo an import that failed, so that the next `load` begins anew."""
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, RunnerFinder)]
    for name in [name for name in sys.modules if name == NAME or name.startswith(NAME + ".")]:
        del sys.modules[name]


def imported(names: list[str]) -> list[str]:
    """Return those of `names` that were imported; not what a runner has put in their place."""
    return [name for name in names if getattr(sys.modules.get(name), "__spec__", None) is not None]


LIMITS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EIO,
    }
)
"""What the machine refuses to every model alike, whatever its code."""


CAUSES = 5
"""How many errors, each raised from the next, are looked at."""


def refused(error: BaseException) -> int:
    """Return which of `LIMITS` an error, or what it was raised from, says; 0 for none."""
    cause: BaseException | None = error
    for _ in range(CAUSES):
        # Not `isinstance` and attributes, which ask the error itself.
        if cause is None or issubclass(type(cause), OSError):
            break
        cause = vars(BaseException)["__cause__"].__get__(cause)
    number = vars(OSError)["errno"].__get__(cause) if issubclass(type(cause), OSError) else 0
    return number if number in LIMITS else 0


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
    """Return the traceback of what a runner raised, without our own frames before it."""
    try:
        import linecache
        import traceback
    except (ImportError, OSError, MemoryError):  # no descriptor is left to read them with
        return f"{last_line(error)}\n"
    tb = vars(BaseException)["__traceback__"].__get__(error)
    tb = tb and tb.tb_next
    while tb and tb.tb_frame.f_code.co_filename == __file__:
        tb = tb.tb_next
    for finder in sys.meta_path:
        if isinstance(finder, RunnerFinder):
            for path, text in finder.files.items():
                # Without a time it stands for what was executed, whatever the file holds by now.
                linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    with contextlib.suppress(BaseException):
        return "".join(traceback.format_exception(type(error), error, tb))
    frames = []
    with contextlib.suppress(BaseException):
        frames = traceback.format_tb(tb)
    return "".join(["Traceback (most recent call last):\n", *frames, last_line(error), "\n"])
