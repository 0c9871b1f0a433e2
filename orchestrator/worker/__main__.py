"""Start of a worker: fork once, become half supervisor and half worker.

Of every page that the halves share after the fork, and to which the worker writes, the supervisor
keeps the old one for itself; in the end that is nearly all that lived at the fork. So nothing may
be loaded before it but what an interpreter has loaded anyway. Hence this is run as a file and not
as a package, under `-S`, and imports `posix` instead of `os`; and it is short, because a script is
compiled at every start.
"""

import gc
import posix
import sys


def main(arguments: list[str]) -> None:
    """Read `name=value` arguments, fork, and run the two halves."""
    settings = dict(word.split("=", 1) for word in arguments)
    # The package is made by hand, under a name of its own, and its directory is not in `sys.path`,
    # so that no module of ours can stand in the way of a module that the model imports.
    package = type(sys)("mm_worker")
    package.__path__ = [__file__.rpartition("/")[0]]
    sys.modules["mm_worker"] = package
    if "supervisor" in settings:
        work(settings, int(settings["supervisor"]))
        return

    parent_reader, parent_writer = posix.pipe()
    # What lives now is never collected again, in either half: a collection writes to every object,
    # and so would copy every page that the halves share.
    gc.freeze()
    worker = posix.fork()
    if worker == 0:
        posix.close(parent_writer)
        posix.close(int(settings["lifeline"]))
        posix.setpgid(0, 0)
        from mm_worker import capabilities

        if not capabilities.PLAIN_FORKS:
            # The same once more, and the second half of it alone.
            posix.set_inheritable(parent_reader, True)  # noqa: FBT003 - its own form
            command = [sys.executable, "-I", "-S", "-X", "utf8", __file__, *arguments]
            posix.execv(sys.executable, [*command, f"supervisor={parent_reader}"])
        work(settings, parent_reader)
    else:
        posix.close(parent_reader)
        posix.close(int(settings["listener"]))
        from mm_worker import supervise

        # `parent_writer` stays open for as long as this process lives, and says so to the worker.
        supervise.main(settings, worker)


def work(settings: dict[str, str], supervisor: int) -> None:
    """Be the worker; the pipe `supervisor` ends with its supervisor."""
    posix.set_inheritable(supervisor, False)  # noqa: FBT003 - its own form
    from mm_worker import parent_death

    # Before anything that takes time: `.pth` files may do what they like.
    parent_death.attach(supervisor)
    from mm_worker import startup

    startup.finish()
    from mm_worker import serve

    serve.main(settings)


if __name__ == "__main__":
    main(sys.argv[1:])
