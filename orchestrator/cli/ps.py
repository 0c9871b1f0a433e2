"""`mm ps`: the live workers, what each does, and how long it stays."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import options
from orchestrator.cli.context import Context, pass_context

if TYPE_CHECKING:
    from orchestrator.client.runtime import WorkerRecord, WorkerStatus

HEADINGS = ("MODEL", "PID", "DEVICE", "DTYPE", "MEMORY", "STATE", "JOBS", "UNTIL")


@click.command(params=[options.JSON])
@pass_context
def command(context: Context, *, as_json: bool) -> None:
    """Show the workers that have a model loaded or are loading one.

    MEMORY is what the worker takes of this machine's memory, which a GPU may share. Workers that a
    session of this machine has on a cluster are shown with their NODE, up to a second late.
    """
    rows = _rows(context)
    if as_json:
        context.out_json({"workers": rows})
        return
    if not rows:
        context.say("no worker is running")
        return
    lines = [HEADINGS, *(_shown(row) for row in rows)]
    if any("node" in row for row in rows):
        nodes = ["NODE", *(row.get("node") or "-" for row in rows)]
        lines = [(*line, node) for line, node in zip(lines, nodes, strict=True)]
    context.table(lines)


def _rows(context: Context) -> list[dict[str, Any]]:
    """Return the workers of this machine, then those that its sessions have on other nodes."""
    from orchestrator.client.rosters import rosters

    rows = [_row(context, record) for record in context.runtime.records()]
    here = {row["id"]: row for row in rows}
    for worker in rosters(context.runtime):
        if worker["id"] in here:  # this machine is a node as well
            here[worker["id"]]["node"] = worker["node"]
        else:
            rows.append({**worker, "until": "session", "left": None})
    return rows


def _row(context: Context, record: WorkerRecord) -> dict[str, Any]:
    from orchestrator.system.machine import resident_memory

    status = context.runtime.status(record.id)
    return {
        "id": record.id,
        "model": record.model,
        "pid": status.pid,
        "device": record.device,
        "dtype": record.dtype,
        "memory": resident_memory(status.pid) if status.pid else None,
        "state": status.state.label,
        "waiting": status.waiting,
        "jobs": status.jobs,
        **_until(status),
    }


def _until(status: WorkerStatus) -> dict[str, Any]:
    """Return the rule by which the worker ends, and the seconds until then, if known."""
    if status.keep < 0:
        return {"until": "session", "left": None}
    if status.keep == float("inf"):
        return {"until": "forever", "left": None}
    left = None
    if status.state.label == "idle":
        left = max(0, round(status.since + status.keep - time.monotonic()))
    return {"until": "idle", "left": left, "keep_alive": status.keep}


def _memory(row: dict[str, Any]) -> str:
    from orchestrator.core.units import format_size

    if row["memory"] is not None:
        return format_size(row["memory"], binary=True)
    return "-" if row["pid"] is None else "?"  # on another machine, or not known


def _shown(row: dict[str, Any]) -> tuple[str, ...]:
    from orchestrator.core.units import format_duration

    waiting = f" +{row['waiting']}" if row.get("waiting") else ""
    if row["until"] == "session":
        until = "its session ends"
    elif row["until"] == "forever":
        until = "forever"
    elif row["left"] is not None:
        until = format_duration(row["left"])
    else:
        until = f"{format_duration(row['keep_alive'])} after its last job"
    return (
        row["model"],
        str(row["pid"] or "-"),
        row["device"],
        row["dtype"],
        _memory(row),
        row["state"] + waiting,
        str(row["jobs"]),
        until,
    )
