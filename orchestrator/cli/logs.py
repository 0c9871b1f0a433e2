"""`mm logs`: the output of a model's worker."""

from __future__ import annotations

import codecs
import os
import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.terminal import write_result
from orchestrator.errors import UsageError
from orchestrator.system.files import open_file
from orchestrator.system.removal import modified

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from orchestrator.client.runtime import WorkerRecord

CHUNK = 1 << 16

PAUSE = 0.2
"""Seconds between two reads of a log that is followed; no portable call reports its growth."""


@click.command()
@click.argument("name", metavar="TASK|MODEL")
@click.option("-f", "--follow", is_flag=True, help="Go on until the worker ends.")
@click.option(
    "--tail", type=click.IntRange(min=1), metavar="N", help="Print the last N lines alone."
)
@pass_context
def command(context: Context, *, name: str, follow: bool, tail: int | None) -> None:
    """Print the log of the newest worker, live or ended, of a model or of any model of a task."""
    live = list(context.runtime.records())
    log = _newest(context, name)
    writer = next((record for record in live if record.log == str(log)), None)
    _print(log, writer if follow else None, tail)


def _newest(context: Context, name: str) -> Path:
    """Return the newest log of a model, or of the models of a task."""
    if logs := context.logs_of(name):  # also of a model that is no longer declared
        return max(logs, key=modified)
    many = context.catalog.tasks.get(name) or (context.catalog.model(name),)
    logs = [log for declared in many for log in context.logs_of(declared.name)]
    if not logs:
        raise UsageError(f"no worker of {name} has left a log", fix=f"run: mm run {name} …")
    newest = max(logs, key=modified)
    context.say(f"{name}: the log of {newest.stem.rpartition('.')[0]}")
    return newest


def _print(log: Path, writer: WorkerRecord | None, tail: int | None) -> None:
    """Print a log, or its last lines; with a `writer`, follow the log until that worker ends."""
    decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
    with open_file(log) as stream:
        if tail is not None:
            stream.seek(_start_of_last(stream, tail))
        while True:
            # Checked before the read, so that its last output is read as well.
            ended = writer is None or writer.foreign().wait(PAUSE)
            if stream.tell() > os.fstat(stream.fileno()).st_size:
                stream.seek(0, os.SEEK_END)  # its supervisor has truncated it
            while data := stream.read(CHUNK):
                # A character may be in two reads; a terminal gets it whole.
                write_result(decode(data) if sys.stdout.isatty() else data)
            if ended:
                return


def _start_of_last(stream: IO[bytes], lines: int) -> int:
    """Return where the last `lines` lines begin."""
    size, end = CHUNK, stream.seek(0, os.SEEK_END)
    while True:
        start = max(0, end - size)
        stream.seek(start)
        data = stream.read(end - start)
        ends = lines + data.endswith(b"\n")
        if start == 0 or data.count(b"\n") >= ends:
            break
        size *= 2
    before, *last = data.rsplit(b"\n", ends)
    return start + len(before) + 1 if len(last) == ends else start
