"""How long a million and a billion pages take on a cluster, and what breaks first.

    python benchmarks/cluster_sizes.py

A simulation: workers that take one page at a time, the one process (the driver) that hands pages
out and writes results, and nodes that are lost now and then. The assumptions stand at the top;
those that are measured come from `benchmarks/cluster.py`.
"""

import heapq
import random
from dataclasses import dataclass

# Measured.
DRIVER_SECONDS = 1.4e-3
"""Seconds of the one process, for each page: hand it out, take its result, write the line."""
START_SECONDS = 8.0
"""Seconds from asking for a worker on a running node until it takes pages, model load included."""
LINE_BYTES = 1_500
"""A page of text and its boxes, as a line of the results."""
KEY_BYTES = 140
"""Memory that `--resume` needs for each line that is done."""

# Assumed.
PAGE_BYTES = 1_000_000
NODE_LIFE = 30 * 86_400.0
"""Seconds that a node lives, on average; spot machines live shorter."""
NODE_BACK = 300.0
"""Seconds until a lost node is replaced, where a cluster replaces it."""
JITTER = 0.3
"""Pages differ: a page takes its mean time, more or less by this share."""


@dataclass(frozen=True)
class Plan:
    """A model on nodes of one kind.

    Attributes:
        name: What the row is called.
        page_seconds: Mean seconds of a page in one worker.
        per_node: Workers on a node.
        nodes: How many nodes.
    """

    name: str
    page_seconds: float
    per_node: int
    nodes: int

    @property
    def workers(self):
        return self.per_node * self.nodes


CPU = Plan("rapidocr, 0.5 s a page on a core, 32 cores a node", 0.5, 32, 1)
GPU = Plan("a large model, 2 s a page on a GPU, 8 GPUs a node", 2.0, 8, 1)
SIZES = (1, 4, 16, 64)
SIMULATED = 40_000
"""Pages that are simulated at most; the rate is steady long before."""


def simulate(plan, pages, drivers=1, seed=1):
    """Return pages a second, pages begun twice, and the share of its time that a driver is busy.

    Each driver hands out an equal share of the pages to an equal share of the workers, so that one
    of them stands for all.
    """
    random.seed(seed)
    workers = max(1, plan.workers // drivers)
    ready = [(START_SECONDS, worker) for worker in range(workers)]
    heapq.heapify(ready)
    driver_free = now = 0.0
    lost = 0
    for _ in range(pages):
        asked, worker = heapq.heappop(ready)
        begun = max(asked, driver_free)
        driver_free = begun + DRIVER_SECONDS
        spent = plan.page_seconds * random.uniform(1 - JITTER, 1 + JITTER)
        end = driver_free + spent
        if random.random() < spent / NODE_LIFE:  # its node is lost under it
            lost += 1
            end += NODE_BACK + START_SECONDS + spent
        heapq.heappush(ready, (end, worker))
        now = max(now, end)
    steady = now - START_SECONDS
    return drivers * pages / steady, drivers * lost, pages * DRIVER_SECONDS / steady


def clock(seconds):
    for size, unit in (
        (86_400 * 365, "years"),
        (86_400, "days"),
        (3_600, "hours"),
        (60, "minutes"),
    ):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def size(count):
    for unit, scale in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e6:.0f} MB"


def main():
    print(f"One driver hands out {1 / DRIVER_SECONDS:.0f} pages a second at most.\n")
    for kind in (CPU, GPU):
        print(f"\n{kind.name}:\n")
        print(
            "| nodes | workers | drivers | pages a second | 1 million | 1 billion | driver busy |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for nodes in SIZES:
            plan = Plan(kind.name, kind.page_seconds, kind.per_node, nodes)
            for drivers in (
                (1, 4) if plan.workers / plan.page_seconds > 0.7 / DRIVER_SECONDS else (1,)
            ):
                rate, _, busy = simulate(plan, SIMULATED, drivers)
                print(
                    f"| {nodes} | {plan.workers} | {drivers} | {rate:.0f} | {clock(1e6 / rate)} "
                    f"| {clock(1e9 / rate)} | {busy:.0%} |"
                )
    print("\n| | 1 million | 1 billion |\n| --- | --- | --- |")
    for what, each in (
        ("bytes to the nodes", PAGE_BYTES),
        ("results", LINE_BYTES),
        ("memory of --resume", KEY_BYTES),
    ):
        print(f"| {what} | {size(1e6 * each)} | {size(1e9 * each)} |")
    rate = 1 / DRIVER_SECONDS
    print(
        f"\nAt {rate:.0f} pages a second by value, one driver sends {size(rate * PAGE_BYTES)} a "
        f"second ({rate * PAGE_BYTES * 8 / 1e9:.0f} Gbit/s)."
    )
    for kind, nodes in ((CPU, 64), (GPU, 64)):
        plan = Plan(kind.name, kind.page_seconds, kind.per_node, nodes)
        rate, _, _ = simulate(plan, SIMULATED, 4)
        days = 1e9 / rate / 86_400
        nodes_lost = days * 86_400 / NODE_LIFE * nodes
        print(
            f"1 billion pages, {kind.name}, 64 nodes: {days:.0f} days, "
            f"{nodes_lost:.0f} nodes lost, {nodes_lost * kind.per_node:.0f} pages begun twice."
        )


if __name__ == "__main__":
    main()
