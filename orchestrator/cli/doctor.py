"""`mm doctor`: reads, explains and proposes; never changes anything."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli import options
from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.path_type import GivenPath
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.core.diagnosis.records import Finding, Report
    from orchestrator.doctor.explain import Explanation
    from orchestrator.doctor.subject import Subject

JSON_VERSION = 1
WRONG = 1
"""The exit code where there are findings."""

MAX_SHOWN = 2000
"""Characters of a sentence that are printed."""

MAX_ERROR = 8 << 20
"""Bytes of a trace that are read."""


@click.command(params=[options.JSON, *options.CONDITIONS])
@click.argument("target", required=False, metavar="[MODEL|DIR]", type=GivenPath())
@click.option(
    "--error",
    "trace",
    type=GivenPath(),
    metavar="FILE|-",
    help="Explain the failure in a stack trace.",
)
@click.option("--run", "as_job", is_flag=True, help="Run the smallest real job of MODEL, too.")
@click.option("--offline", is_flag=True, help="Do not ask the package index.")
@pass_context
def command(
    context: Context,
    /,
    target: str | None,
    *,
    as_json: bool,
    trace: str | None,
    as_job: bool,
    device: str,
    dtype: str,
    python: str | None,
    offline: bool,
) -> int:
    """Say what is wrong with this installation, with MODEL, or with the model in DIR, and why.

    Each finding has its layer, its evidence, what comes of it and what mends it. Exits with 1
    where there are findings, with 0 where nothing is wrong.
    """
    from orchestrator.doctor.tables import load_tables

    table = load_tables(context.catalog.directories)
    if as_job and (target is None or trace is not None):
        raise UsageError("--run needs a MODEL, and no --error", fix="run: mm doctor MODEL --run")
    subject = subject_of(context, target, device, dtype, python) if target is not None else None
    if trace is not None:
        from orchestrator.doctor.explain import explain

        found = explain(_trace(context, trace), table, context, subject)
        return _show_explanations(context, found, as_json=as_json)
    if subject is None:
        from orchestrator.doctor.installation import look_at_installation

        return _show(context, look_at_installation(context, offline=offline), as_json=as_json)
    from orchestrator.doctor.examine import examine

    report = examine(subject, context, table)
    if not as_job:
        return _show(context, report, as_json=as_json)
    from orchestrator.doctor.smallest import run_smallest

    if subject.declared is None:
        raise UsageError("--run needs a MODEL, not a directory", fix="run: mm new MODEL")
    if not as_json:
        _show(context, report, as_json=False)
    ended = run_smallest(context, subject.declared, device, dtype, table, subject)
    if as_json:
        document = {"version": JSON_VERSION, **report.document(), "run": ended.document()}
        context.out_json(document)
    else:
        context.out(ended.sentence)
        for explanation in ended.explanations:
            _explain(context, explanation)
    return WRONG if report.wrong or not ended.done else 0


def subject_of(
    context: Context, target: str, device: str, dtype: str, python: str | None
) -> Subject:
    """Return what `target` names: a model, else a directory.

    Raises:
        UsageError: When it is neither.
    """
    from orchestrator.doctor.subjects import directory_subject, model_subject

    if target in context.catalog.models and os.sep not in target:
        if python is not None:
            raise UsageError("a model has an environment of its own", where="--python")
        return model_subject(context, context.catalog.model(target), device, dtype)
    directory = (context.cwd / Path(target).expanduser()).resolve()
    if directory.is_dir() or os.sep in target:
        return directory_subject(directory, device, dtype, python)
    context.catalog.model(target)  # says what is wrong with the name
    raise AssertionError(target)


def _trace(context: Context, name: str) -> str:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_ERROR)
        else:
            path = context.cwd / name
            with path.open("rb") as stream:
                stream.seek(max(0, path.stat().st_size - MAX_ERROR))
                data = stream.read(MAX_ERROR)
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=f"--error {name}") from error
    return data.decode("utf-8", "replace")


def _show(context: Context, report: Report, *, as_json: bool) -> int:
    if as_json:
        document = {"version": JSON_VERSION, **report.document()}
        context.out_json(document)
        return WRONG if report.wrong else 0
    heading = f"{report.subject}: {report.conditions}" if report.conditions else report.subject
    context.out(heading)
    layers = dict.fromkeys([*(f.layer for f in report.facts), *(f.layer for f in report.findings)])
    from orchestrator.core.diagnosis.records import Layer

    for layer in (each for each in Layer if each in layers):
        context.out(f"\n{layer.value}")
        for fact in report.facts:
            if fact.layer is layer:
                context.out(f"  {_line(fact.text)}")
        for finding in report.findings:
            if finding.layer is layer:
                _finding(context, finding)
    context.out(f"\n{_summary(report)}")
    return WRONG if report.wrong else 0


def _summary(report: Report) -> str:
    from orchestrator.core.diagnosis.records import Effect

    counts = {effect: sum(f.effect is effect for f in report.findings) for effect in Effect}
    if not report.wrong:
        return "nothing is wrong"
    said = [
        f"{counts[effect]} {word}"
        for effect, word in (
            (Effect.STOPS, "that will stop it"),
            (Effect.RISK, "that may go wrong"),
        )
        if counts[effect]
    ]
    drafts = sum(finding.patch is not None for finding in report.findings)
    more = f"; {drafts} can be mended by patches: mm patch new {report.subject}" if drafts else ""
    count = len(report.wrong)
    return f"{count} finding{'s' if count > 1 else ''}: {', '.join(said)}{more}"


def _finding(context: Context, finding: Finding, indent: str = "  ") -> None:
    context.out(f"{indent}{finding.effect.value.upper()}: {_line(finding.finding)}")
    shown = finding.evidence[:6]
    for each in shown:
        context.out(f"{indent}  {_line(each.where)}{': ' if each.quote else ''}{each.quote}")
    if len(finding.evidence) > len(shown):
        context.out(f"{indent}  and {len(finding.evidence) - len(shown)} places more")
    context.out(f"{indent}  comes of it: {_line(finding.consequence)}")
    context.out(f"{indent}  mends it: {_line(finding.remedy)}")


def _line(text: str) -> str:
    """Return text that names files and values of somebody else's, safe to print on one line."""
    from orchestrator.core.diagnosis.records import shortened

    return shortened(text, MAX_SHOWN)


def _show_explanations(context: Context, found: list[Explanation], *, as_json: bool) -> int:
    if as_json:
        explained = [each.document() for each in found]
        document = {"version": JSON_VERSION, "explanations": explained}
        context.out_json(document)
    elif not found:
        context.out("no known failure is in this text; docs/doctor.md tells how to add one")
    else:
        for explanation in found:
            _explain(context, explanation)
    return WRONG if found else 0


def _explain(context: Context, explanation: Explanation) -> None:
    match = explanation.match
    context.out(f"{match.failure.layer}: {match.failure.id}")
    context.out(f"  it said: {match.said}")
    if explanation.where:
        where = explanation.where
        context.out(f"  where: {where.where}{': ' if where.quote else ''}{where.quote}")
    context.out(f"  it means: {match.means(explanation.model)}")
    context.out(f"  mends it: {explanation.remedy}")
    if explanation.confirmed:
        context.out(f"  found in {explanation.model}:")
        for finding in explanation.confirmed:
            _finding(context, finding, "    ")
    elif explanation.looked:
        context.out(f"  nothing of the kind was found in the files of {explanation.model} itself")
