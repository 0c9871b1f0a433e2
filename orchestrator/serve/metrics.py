"""What a server has done, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._jobs: Counter[tuple[str, str]] = Counter()
        self._seconds: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[str] = Counter()
        """Of bodies of requests ("in") and of answers ("out")."""

    def count(self, model: str, outcome: str, seconds: Mapping[str, float]) -> None:
        """Count a job that has ended, with the seconds of its parts."""
        self._jobs[model, outcome] += 1
        for part, took in seconds.items():
            self._seconds[model, part] += took  # type: ignore[assignment]

    def text(
        self,
        in_flight: Mapping[str, int],
        queued: Mapping[str, int],
        workers: Iterable[tuple[str, int, int]],
    ) -> str:
        """Return everything as Prometheus reads it.

        Args:
            in_flight: How many jobs of each model are queued or running.
            queued: How many of them are queued.
            workers: Model, process and bytes of memory of each live worker.
        """
        lines = ["# TYPE mm_jobs_total counter"]
        for (model, outcome), number in sorted(self._jobs.items()):
            lines.append(f'mm_jobs_total{{model="{model}",outcome="{outcome}"}} {number}')
        lines.append("# TYPE mm_job_seconds_total counter")
        for (model, part), seconds in sorted(self._seconds.items()):
            lines.append(f'mm_job_seconds_total{{model="{model}",part="{part}"}} {seconds:.6f}')
        for name, jobs in (("mm_jobs_in_flight", in_flight), ("mm_jobs_queued", queued)):
            lines.append(f"# TYPE {name} gauge")
            for model, number in sorted(jobs.items()):
                lines.append(f'{name}{{model="{model}"}} {number}')
        lines.append("# TYPE mm_bytes_total counter")
        for way, number in sorted(self.bytes.items()):
            lines.append(f'mm_bytes_total{{direction="{way}"}} {number}')
        lines.append("# TYPE mm_worker_memory_bytes gauge")
        for model, pid, memory in workers:
            lines.append(f'mm_worker_memory_bytes{{model="{model}",pid="{pid}"}} {memory}')
        return "\n".join(lines) + "\n"
