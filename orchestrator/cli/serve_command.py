"""`mm serve`: the models over HTTP."""

from __future__ import annotations

import contextlib
import ipaddress
import shlex
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.path_type import GivenPath
from orchestrator.cli.terminal import write_if_possible
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET_BITS = stat.S_IRWXG | stat.S_IRWXO
"""Permissions that a file with a token must not have."""


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--host", default="127.0.0.1", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), default=5577, help="[default: 5577]")
@click.option(
    "--token-file", type=GivenPath(), metavar="FILE", help="What clients must send, in a file."
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Workers of one model.")
@click.option(
    "--queue", type=click.IntRange(0, 10_000), default=32, help="Jobs of one model that may wait."
)
@click.option("--allow-host", multiple=True, metavar="NAME", help="A name to be called by.")
@click.option("--allow-origin", multiple=True, metavar="URL", help="A web page that may call.")
@click.option("--max-body", default="100 MB", metavar="SIZE", help="Of a request.")
@click.option(
    "--log", type=click.Choice(["text", "json"]), default="text", help="How requests are logged."
)
@pass_context
def command(context: Context, /, **given: Any) -> None:
    """Serve every model that is ready, or MODEL..., to OpenAI's, Mistral's and MCP's clients.

    It fetches and builds nothing. Workers are those that mm run uses as well.
    """
    with needing_extra("mm serve"):
        from orchestrator.serve.server import serve
    from orchestrator.core.units import parse_size
    from orchestrator.serve.serve_settings import ServeSettings

    token_file = str(context.cwd / given["token_file"]) if given["token_file"] else ""
    token = _token(Path(token_file)) if token_file else ""
    if not (token or _is_loopback(given["host"])):
        raise UsageError(
            f"--host {given['host']} is open to others",
            fix="add --token-file FILE with a long random word in it",
        )
    for name in given["models"]:
        context.catalog.model(name)
    try:
        max_body = parse_size(given["max_body"])
    except ValueError as error:
        raise UsageError(str(error), where="--max-body") from error
    settings = ServeSettings(
        host=given["host"],
        port=given["port"],
        models=given["models"],
        token=token,
        token_file=token_file,
        workers=given["workers"],
        queue=given["queue"],
        allow_hosts=tuple(name.lower() for name in given["allow_host"]),
        allow_origins=tuple(map(_origin, given["allow_origin"])),
        max_body=max_body,
        log=given["log"],
    )

    def write_log(line: str) -> None:
        if not context.quiet:
            write_if_possible(sys.stderr, f"{line}\n")

    serve(settings, context, context.say, write_log)


@contextlib.contextmanager
def needing_extra(command: str) -> Iterator[None]:
    """Say which extra a command needs where an import in the body fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{command} needs the package {error.name!r}",
            fix="run: uv tool install 'mm-orchestrator[serve]'",
        ) from error


def _token(path: Path) -> str:
    """Return the token in a file that no one else may read.

    Raises:
        UsageError: When others may, or there is none.
    """
    from orchestrator.system.files import naming

    make = f"make one: (umask 077; openssl rand -hex 32 > {shlex.quote(str(path))})"
    if not path.exists():
        raise UsageError("there is no such file", where=str(path), fix=make)
    with naming(path):
        mode = path.stat().st_mode
        token = path.read_text(encoding="latin-1").strip()
    if mode & SECRET_BITS:
        close = f"run: chmod 600 {shlex.quote(str(path))}"
        raise UsageError("others may read this file", where=str(path), fix=close)
    if not token:
        raise UsageError("there is no token in this file", where=str(path), fix=make)
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(
            "the token in this file is not one word of ASCII letters, digits and signs",
            where=str(path),
            fix=make,
        )
    return token


def _origin(given: str) -> str:
    """Return the origin of a web page as browsers send it.

    Raises:
        UsageError: When it is none.
    """
    origin = given.lower().rstrip("/")
    try:
        parts = urlsplit(origin)
    except ValueError:
        parts = urlsplit("")
    if not (parts.scheme and parts.netloc) or parts.path or parts.query or parts.fragment:
        raise UsageError(
            f"{given!r} is no origin", where="--allow-origin", fix="write https://a.example"
        )
    return origin


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
