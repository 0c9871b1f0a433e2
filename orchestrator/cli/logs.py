"""`mm logs`: the output of a model's worker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.terminal import write_result
from orchestrator.errors import UsageError
from orchestrator.system.removal import modified

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.client.runtime import WorkerRecord

CHUNK = 1 << 16

PAUSE = 0.2
"""Seconds between two reads of a log that is followed; no portable call reports its growth."""


@click.command()
@click.argument("model")
@click.option("-f", "--follow", is_flag=True, help="Go on until the worker ends.")
@pass_context
def command(context: Context, *, model: str, follow: bool) -> None:
    """Print the log of MODEL's newest worker, live or ended."""
    live = [record for record in context.runtime.records() if record.model == model]
    log = _newest(context.worker_logs, model)
    if log is None:
        context.catalog.model(model)
        raise UsageError(f"no worker of {model} has left a log", fix=f"run: mm run {model} …")
    writer = next((record for record in live if record.log == str(log)), None)
    _print(log, writer if follow else None)


def _newest(directory: Path, model: str) -> Path | None:
    """Return the newest log of a model; a name has no dot, so that it ends at the first one."""
    logs = directory.glob(f"{model}.*.log") if directory.is_dir() else ()
    return max(logs, key=modified, default=None)


def _print(log: Path, writer: WorkerRecord | None) -> None:
    """Print a log; with a `writer`, follow the log until that worker ends."""
    with log.open("rb") as stream:
        while True:
            # Checked before the read, so that its last output is read as well.
            ended = writer is None or writer.foreign().wait(PAUSE)
            if stream.tell() > os.fstat(stream.fileno()).st_size:
                stream.seek(0, os.SEEK_END)  # its supervisor has truncated it
            while data := stream.read(CHUNK):
                write_result(data)
            if ended:
                return
