"""The options that say where jobs run, for the commands that run many of them."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.errors import UsageError

ENGINE_OPTIONS = (
    click.Option(
        ["--engine"],
        type=click.Choice(["local", "ray"]),
        default="local",
        help="Where jobs run: on this machine, or on a Ray cluster.  [default: local]",
    ),
    click.Option(
        ["--address"],
        metavar="ADDRESS",
        help="The Ray cluster: HOST:PORT, auto (this machine's), local (one of its own).",
    ),
    click.Option(
        ["--model-dir", "model_dirs"],
        multiple=True,
        metavar="MODEL=DIR",
        help="A directory on every node of the cluster that holds the weights of MODEL.",
    ),
)


def session_keys(options: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of a `Session` that these options mean.

    Raises:
        UsageError: When a directory is for no model, or the options are for another engine.
    """
    directories = {}
    for word in options["model_dirs"]:
        model, equals, directory = word.partition("=")
        if not (model and equals and directory):
            raise UsageError(f"--model-dir {word}", fix="write --model-dir MODEL=DIR")
        directories[model] = directory
    if options["engine"] != "ray" and (options["address"] or directories):
        option = "--address" if options["address"] else "--model-dir"
        raise UsageError(f"{option} is for a cluster", fix="add --engine ray")
    return {
        "engine": options["engine"],
        "address": options["address"],
        "model_dirs": directories,
    }
