"""The peers, measured in an environment of their own: one line in, one line of JSON out.

A line is `PEER BYTES CALLS`: so many calls with an array of so many bytes, or with a short text for
0. The answer is the list of their times in seconds.
"""

import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

import numpy as np


def echo_child(pipe):
    """Give back the text, or the size of the array."""
    while True:
        value = pipe.recv()
        pipe.send(value if isinstance(value, str) else value.nbytes)


class Pipe:
    """multiprocessing.Pipe, which pickles."""

    def __init__(self):
        self._pipe, theirs = multiprocessing.Pipe()
        self._child = multiprocessing.get_context("spawn").Process(
            target=echo_child, args=(theirs,), daemon=True
        )
        self._child.start()

    def call(self, array):
        """Send a text or an array and wait for the answer."""
        self._pipe.send("hello" if array is None else array)
        return self._pipe.recv()


class Execnet:
    """execnet over the pipes of a process."""

    def __init__(self):
        import execnet

        self._channel = execnet.makegateway("popen").remote_exec(
            "for item in channel:\n    channel.send(item if isinstance(item, str) else len(item))"
        )

    def call(self, array):
        """Send a text or an array and wait for the answer."""
        self._channel.send("hello" if array is None else array.tobytes())
        return self._channel.receive()


class Appose:
    """Appose, with its shared memory for arrays."""

    def __init__(self):
        import appose

        # It looks for `python` on PATH, and wants itself there.
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._appose = appose
        self._service = appose.system().python()

    def call(self, array):
        """Send a text or an array and wait for the answer."""
        if array is None:
            task = self._service.task("task.outputs['result'] = text", {"text": "hello"})
        else:
            shared = self._appose.NDArray(str(array.dtype), list(array.shape))
            shared.ndarray()[:] = array
            script = "task.outputs['result'] = data.ndarray().nbytes"
            task = self._service.task(script, {"data": shared})
        task.wait_for()
        if array is not None:
            shared.shm.dispose()
        return task.outputs["result"]

    def close(self):
        """End its process."""
        self._service.close()


class Ray:
    """Ray, an actor on this machine."""

    def __init__(self):
        import ray

        self._ray = ray
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")

        @ray.remote
        class Echo:
            def call(self, value):
                return value if isinstance(value, str) else value.nbytes

        self._actor = Echo.remote()

    def call(self, array):
        """Send a text or an array and wait for the answer."""
        return self._ray.get(self._actor.call.remote("hello" if array is None else array))

    def close(self):
        """End its processes."""
        self._ray.shutdown()


PEERS = {"pipe": Pipe, "execnet": Execnet, "appose": Appose, "ray": Ray}


def main():
    """Answer lines until there are no more."""
    made = {}
    for line in sys.stdin:
        name, size, calls = line.split()
        if name not in made:
            made[name] = PEERS[name]()
            made[name].call(None)
        array = np.ones(int(size), dtype=np.uint8) if int(size) else None
        times = []
        for _ in range(int(calls)):
            began = time.perf_counter()
            answer = made[name].call(array)
            times.append(time.perf_counter() - began)
            assert answer == ("hello" if array is None else array.nbytes), answer
        print(json.dumps(times), flush=True)
    for peer in made.values():
        if hasattr(peer, "close"):
            peer.close()
    # Threads of the peers may still wait for children; nothing is left to be done.
    os._exit(0)


if __name__ == "__main__":
    main()
