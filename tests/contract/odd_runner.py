"""A runner whose jobs raise, say and return what no runner should. Any Python from 3.9."""

import sys


def load(context):
    return []


def run(model, job, *, what, n=0, **others):
    model.append(what)
    returned = globals()["do_" + what](job, int(n))
    return {"text": str(len(model)), **(returned or {})}


def do_count(job, n):
    """Do nothing odd."""


def do_nameless(job, n):
    """Raise an exception whose class has no `__module__`, as code of no module makes it."""
    raise eval("type('Nameless', (Exception,), {})", {"__builtins__": __builtins__})("as asked")


def do_mute(job, n):
    class Mute(Exception):
        def __str__(self):
            raise SystemExit(3)

    raise Mute


def do_long(job, n):
    raise ValueError("as asked" * 10_000_000)


def do_surrogate(job, n):
    raise ValueError("as asked \ud800")


def do_interrupt(job, n):
    raise KeyboardInterrupt


def do_exit(job, n):
    raise SystemExit(0)


def do_recursion(job, n):
    do_recursion(job, n)


def do_chain(job, n):
    error = None
    for _ in range(3000):
        error, cause = ValueError("as asked"), error
        error.__cause__ = cause
    raise error


def do_group(job, n):
    error = ValueError("as asked")
    if sys.version_info >= (3, 11):
        for _ in range(500):
            error = ExceptionGroup("as asked", [error, ValueError()])  # noqa: F821 - from 3.11 on
    raise error


def do_log(job, n):
    class Mute:
        def __str__(self):
            raise SystemExit(3)

    job.log(Mute())


def do_progress(job, n):
    job.progress("half")


def do_chunk(job, n):
    job.emit("json", nested(n))


def do_long_chunk(job, n):
    job.emit("text", "x" * 20_000_000)


def do_long_text(job, n):
    return {"text": "x" * 20_000_000}


def do_nested(job, n):
    return {"json": nested(n)}


def do_deep(job, n):
    """Nest deeper than the stack goes, and let the interpreter try to follow."""
    sys.setrecursionlimit(10**6)
    return {"json": nested(100_000)}


def do_loop(job, n):
    loop = []
    loop += [loop, loop]
    return {"json": loop}


def do_number(job, n):
    return {"json": [10**5000]}


def do_key(job, n):
    return {"json": {(1, 2): 3}}


def do_no_room(job, n):
    """Return an array while no file can be made."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
    return {"array": memoryview(bytes(2 << 20))}


def do_room(job, n):
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def do_stderr(job, n):
    """Fail after standard error was replaced by something that cannot be written to."""

    class Dumb:
        def write(self, text):
            raise RuntimeError

    sys.stderr = Dumb()
    raise ValueError("as asked")


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value
