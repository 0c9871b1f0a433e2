"""Let this Python, and the workers that it starts, see what they would on macOS.

A client imports this because enter.sh puts it on PYTHONPATH. A worker runs with -I and -S and would
not. So a client puts this file, as a script, before the worker's own program; it changes what it
has to and runs that program. A worker that executes itself again does the same. No file is edited.
"""

import os
import posix
import re
import sys

NO_MEMFD = {"posix": r"memfd_create|MFD_.*|pidfd_open"}
NO_LINUX = {
    "posix": NO_MEMFD["posix"]
    + r"|P_PIDFD|pipe2|(event|timer)fd.*|[ET]FD_.*|getrandom|GRND_.*|RWF_.*"
    r"|splice|SPLICE_.*|copy_file_range|fdatasync|posix_fa.*|POSIX_FADV_.*|[gs]etres[ug]id|.*xattr"
    r"|XATTR_.*|sched_([gs]et(affinity|param|scheduler)|rr_get_interval)|SCHED_(BATCH|IDLE|RESET.*)"
    r"|setns|unshare|CLONE_.*|O_(DIRECT|LARGEFILE|NOATIME|PATH|RSYNC)"
    + ("|waitid.*" if sys.version_info < (3, 13) else ""),
    "select": r"epoll.*|EPOLL.*|POLLRDHUP|POLLMSG",
    "_socket": r"MSG_(CMSG_CLOEXEC|CONFIRM|ERRQUEUE|MORE)|SOCK_(CLOEXEC|NONBLOCK)|SCM_CREDENTIALS"
    r"|SO_(PASS|PEER)(CRED|SEC)|SO_(DOMAIN|PROTOCOL|MARK|PRIORITY)|AF_(ALG|NETLINK|PACKET|VSOCK)",
    "_signal": r"pidfd_send_signal|sig(timedwait|waitinfo)|SIGRT.*|SIGPWR",
    "fcntl": r"F_(ADD|GET)_SEALS|F_SEAL_.*|F_[GS]ETSIG|F_[GS]ETPIPE_SZ|F_NOTIFY|DN_.*",
    "time": r"CLOCK_(BOOTTIME|TAI)|pthread_getcpuclockid",
    "resource": r"prlimit|RUSAGE_THREAD",
}
"""What typeshed has on Linux alone, by module in C; `socket` and others copy from these later."""


def change(mode):
    """Do it in this process."""
    for module, pattern in (NO_LINUX if mode == "macos" else NO_MEMFD).items():
        __import__(module)
        for copy in {module, "os" if module == "posix" else module.lstrip("_")} & {*sys.modules}:
            names = vars(sys.modules[copy])
            for gone in [name for name in names if re.fullmatch(pattern, name)]:
                del names[gone]
    if mode == "macos":
        # What follows `sys.platform` in the standard library and would not be found.
        found = (
            f"_sysconfigdata_{sys.abiflags}_linux_{getattr(sys.implementation, '_multiarch', '')}"
        )
        os.environ["_PYTHON_SYSCONFIGDATA_NAME"] = found
        proxies = sys.modules["_scproxy"] = type(sys)("_scproxy")  # for urllib.request
        proxies._get_proxies = proxies._get_proxy_settings = dict
        sys.platform = "darwin"


def led(arguments, mode):
    """Return a command that begins with this file, if it starts a worker."""
    if isinstance(arguments, list) and "-S" in arguments and "-c" not in arguments:
        for at, word in enumerate(arguments):
            if str(word).endswith("/worker/__main__.py"):
                return [*arguments[:at], __file__, mode, *arguments[at:]]
    return arguments


def lead_workers(mode):
    """Have every worker that this process starts begin with this file."""
    import subprocess

    class Popen(subprocess.Popen):
        def __init__(self, args, *rest, **options):
            super().__init__(led(args, mode), *rest, **options)

    subprocess.Popen = Popen


if __name__ == "__main__":
    MODE, EXECUTE = sys.argv[1], posix.execv
    change(MODE)
    posix.execv = lambda path, arguments: EXECUTE(path, led(arguments, MODE))
    del sys.argv[:2]
    with open(sys.argv[0], "rb") as program:
        exec(compile(program.read(), sys.argv[0], "exec"), {**globals(), "__file__": sys.argv[0]})
else:
    MODE, REAL = os.environ.get("SIM_MODE", ""), os.uname()
    if MODE in ("macos", "no-memfd"):
        change(MODE)
        lead_workers(MODE)
    SAID = {
        "macos": ("Darwin", REAL.nodename, "24.5.0", REAL.version, "arm64"),
        "wsl": ("Linux", REAL.nodename, "6.6.87.2-microsoft-standard-WSL2", *REAL[3:]),
    }.get(MODE, REAL)
    os.uname = posix.uname = lambda: os.uname_result(SAID)
