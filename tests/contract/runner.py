"""A runner for the contract tests: it does what the input `what` says. Any Python from 3.9."""

# ruff: noqa: T201 - printing is what is tested

import ctypes
import gc
import os
import signal
import subprocess
import sys
import time


def load(context):
    context.log("loading on " + context.device)
    print("printed while loading")
    return {"seen": 0}


def run(model, job, *, what, n=0, array=None, path=None):
    model["seen"] += 1
    return {"text": globals()["do_" + what](model, job, n, array, path) or "done"}


def do_count(model, job, n, array, path):
    return str(model["seen"])


def do_requests(model, job, n, array, path):
    gc.disable()
    return str(sum(type(each).__name__ == "QueuedRequest" for each in gc.get_objects()))


def do_echo(model, job, n, array, path):
    return repr(n)


def do_sum(model, job, n, array, path):
    view = memoryview(array)
    assert view.readonly
    return f"{sum(view.cast('B'))} {view.nbytes}"


def do_read(model, job, n, array, path):
    return path.read_text()


def do_raise(model, job, n, array, path):
    raise ValueError("as asked")


def do_reject(model, job, n, array, path):
    job.reject("only haiku, please")


def do_exit(model, job, n, array, path):
    print("last words")
    os._exit(int(n))


def do_segv(model, job, n, array, path):
    ctypes.string_at(0)


def do_kill(model, job, n, array, path):
    os.kill(os.getpid(), signal.SIGKILL)


def do_abort(model, job, n, array, path):
    os.abort()


def do_wait(model, job, n, array, path):
    """Tell how far it is until it is cancelled."""
    job.log("waiting")
    while not job.cancelled:
        time.sleep(0.01)


def do_stubborn(model, job, n, array, path):
    """Ignore every signal that can be ignored, and every request."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    job.log("stubborn")
    while True:
        time.sleep(60)


def do_linger(model, job, n, array, path):
    """Say when it is cancelled, and go on until the file `path` is there."""
    job.log("lingering")
    while not job.cancelled:
        time.sleep(0.01)
    path.with_suffix(".cancelled").touch()
    while not path.exists():
        time.sleep(0.01)


def do_hold(model, job, n, array, path):
    """Hold the interpreter's lock in C code for a long time."""
    job.log("holding")
    ctypes.PyDLL(None).sleep(600)


def do_children(model, job, n, array, path):
    """Leave a child of either kind behind, tell their ids, and wait."""
    forked = os.fork()
    if not forked:
        time.sleep(600)
        os._exit(0)
    spawned = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(600)"])
    job.log(f"{os.getpid()} {forked} {spawned.pid}")
    if n:
        ctypes.PyDLL(None).sleep(600)
    while not job.cancelled:
        time.sleep(0.01)


def do_fork(model, job, n, array, path):
    """Fork a child that goes on as this function does: it returns, raises or exits."""
    child = os.fork()
    if child:
        return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if n == 1:
        raise ValueError("in the child")
    if n == 2:
        sys.exit(7)
    return None


def do_mute(model, job, n, array, path):
    """Fail with nowhere to print it."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 2)
    sys.stderr = os.fdopen(writer, "w")
    raise ValueError("as asked")


def do_queue(model, job, n, array, path):
    """Say that others are served first."""
    job._send("waiting", {"place": 1})
    while not job.cancelled:
        time.sleep(0.01)


def do_leave(model, job, n, array, path):
    """Leave the process group, and wait."""
    os.setpgid(0, os.getppid() if n else 0)
    job.log(str(os.getpid()))
    while True:
        time.sleep(60)


def do_orphan(model, job, n, array, path):
    """Die while a child of C code, in a session of its own, holds all that we hold."""
    libc = ctypes.PyDLL(None)
    child = libc.fork()
    if not child:
        libc.setsid()
        libc.sleep(600)
    job.log(str(child))
    time.sleep(0.2)
    os._exit(4)


def do_print(model, job, n, array, path):
    """Print from Python and from C, and on the descriptor itself."""
    print("from python")
    ctypes.CDLL(None).puts(b"from c")
    ctypes.CDLL(None).fflush(None)
    os.write(1, b"from the descriptor\n")
    for _ in range(int(n)):
        print("x" * 1_000_000)


def do_stream(model, job, n, array, path):
    for index in range(int(n)):
        job.emit("text", f"part {index}")
        job.progress(index + 1, n, "streaming")


def do_big(model, job, n, array, path):
    """Answer with `n` characters, after a chunk of as many."""
    job.log("big")
    job.emit("text", "x" * int(n))
    return "x" * int(n)


def do_flood(model, job, n, array, path):
    """Stream `n` chunks of a mebibyte, and answer at once."""
    job.log("flood")
    for _ in range(int(n)):
        job.emit("text", "x" * (1 << 20))


def do_directory(model, job, n, array, path):
    with open(os.path.join(job.directory, "file.txt"), "w") as stream:
        stream.write("made by the job")
    return job.directory


def do_where(model, job, n, array, path):
    return os.getcwd()


def do_threads(model, job, n, array, path):
    return f"{job.threads} {os.environ.get('OMP_NUM_THREADS')}"


def do_descriptors(model, job, n, array, path):
    """How many descriptors are open, and what a child inherits beside its streams."""
    code = "import os; print(len(os.listdir('/dev/fd')))"
    told = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    return f"{len(os.listdir('/dev/fd'))} {told.stdout.decode().strip()}"


def do_streams(model, job, n, array, path):
    return repr(sys.stdin.read())
