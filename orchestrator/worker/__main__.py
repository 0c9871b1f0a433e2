"""Start of a worker: fork once, become half supervisor and half worker.

Nothing but what the interpreter has loaded anyway may be imported before the fork, so that the
supervisor stays as small as an interpreter can be.
"""

import gc
import os
import sys


def main(arguments: list[str]) -> None:
    """Read `name=value` arguments, fork, and run the two halves."""
    settings = dict(word.split("=", 1) for word in arguments)
    # The package is made by hand, under a name of its own, and its directory leaves `sys.path`, so
    # that no module of ours can stand in the way of a module that the model imports.
    package = type(sys)("mm_worker")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules["mm_worker"] = package
    del sys.path[0]

    leash_reader, leash_writer = os.pipe()
    # What lives now is never collected again, in either half: a collection writes to every object,
    # and so would copy every page that the halves share.
    gc.freeze()
    worker = os.fork()
    if worker == 0:
        os.close(leash_writer)
        os.close(int(settings["lifeline"]))
        from mm_worker import serve

        serve.main(settings, leash_reader)
    else:
        os.close(leash_reader)
        os.close(int(settings["listener"]))
        from mm_worker import supervise

        # `leash_writer` stays open for as long as this process lives, and says so to the worker.
        supervise.main(settings, worker)


if __name__ == "__main__":
    main(sys.argv[1:])
