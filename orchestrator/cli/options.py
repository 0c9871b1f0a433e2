"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from orchestrator.cli.path_type import GivenPath
from orchestrator.errors import UsageError
from orchestrator.jobs.sound_encoder import FORMATS, check_encoder

JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object.")

DEVICE = click.Option(
    ["--device"], default="auto", help="auto, cpu, cuda, cuda:N, mps or mlx.  [default: auto]"
)
DTYPE = click.Option(
    ["--dtype", "--precision"],
    default="auto",
    help="auto, float32, bfloat16, float16, 8bit or 4bit.  [default: auto]",
)

PYTHON = click.Option(
    ["--python"],
    type=GivenPath(),
    metavar="PATH",
    help="Take the versions of packages from this interpreter, for a model in a directory.",
)

CONDITIONS = (DEVICE, DTYPE, PYTHON)
"""What decides which patches apply and what a model lacks."""

JOB = (
    click.Option(["--model"], metavar="MODEL", help="The model that stands for the task."),
    DEVICE,
    DTYPE,
    click.Option(
        ["--timeout"],
        type=float,
        metavar="SECONDS",
        help="How long a job may take; of mm run, the load and waits for others included.",
    ),
    click.Option(
        ["--load-timeout"],
        type=float,
        metavar="SECONDS",
        help="How long the load may take, instead of the manifest's timeouts.load.",
    ),
)
"""How a job of a task or a model runs."""

KEEP_ALIVE = click.Option(
    ["--keep-alive"],
    metavar="TIME",
    help="How long the worker stays for the next job: 10m, 0 or forever.",
)
FORCE = click.Option(["--force"], is_flag=True, help="Load the model even where memory is short.")

RETRIES = click.Option(
    ["--retries"],
    type=click.IntRange(0, 100),
    default=0,
    metavar="N",
    help="Try a job that failed N more times.",
)

SOUND_FORMAT = click.Option(
    ["--sound-format"],
    type=click.Choice([suffix[1:] for suffix in FORMATS]),
    help="The format of files of sound that mm names.  [default: the model's, as a rule wav]",
)

ENGINE = (
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
"""Where jobs run, for the commands that run many of them."""


def job_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `Job` that the options `JOB` stand for."""
    return {name: options[name] for name in ("device", "dtype", "timeout", "load_timeout")}


def keep_alive_seconds(given: str | None, variables: Mapping[str, str]) -> float | None:
    """Return the seconds of --keep-alive or MM_KEEP_ALIVE; None where neither is given.

    Raises:
        UsageError: When they are no duration.
    """
    from orchestrator.core.units import parse_duration

    name, text = "--keep-alive", given
    if given is None:
        name, text = "MM_KEEP_ALIVE", variables.get("MM_KEEP_ALIVE")
    if not text:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error), where=name) from error


def sound_suffix(given: str | None) -> str:
    """Return the suffix of --sound-format; empty where it is not given.

    Raises:
        UsageError: When this format cannot be written here.
    """
    suffix = f".{given}" if given else ""
    if suffix:
        check_encoder(f"--sound-format {given}")
    return suffix


def session_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `Session` that the options `ENGINE` stand for.

    Raises:
        UsageError: When a directory names no model, or the options are for another engine.
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
