"""`mm doctor`: reads, explains and proposes; never changes anything."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import options
from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.path_type import GivenPath
from orchestrator.core.devices import AUTO, DEFAULT
from orchestrator.errors import Cancelled, MMError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.doctor import CheckOptions, Explanation, Finding, Report
    from orchestrator.doctor.rules.subject import Subject

WRONG = 1
"""The exit code where there are findings."""

MAX_SHOWN = 2000
"""Characters of a sentence that are printed."""

MAX_PLACES = 6
"""Places of a finding that are printed."""

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
    offline: bool,
    **conditions: Any,
) -> int:
    """Say what is wrong with this installation, with MODEL, or with the model in DIR, and why.

    Each finding has its layer, its evidence, its effect and its fix. Exits with 1 where there are
    findings, with 0 where nothing is wrong.
    """
    from orchestrator import doctor

    table = doctor.load_tables(context.catalog.directories)
    if as_job:
        _check_run(context, target, trace, **conditions)
    ask_index = None if offline or trace is not None or as_job else doctor.ask_for_wheels
    options = doctor.CheckOptions(**conditions, ask_index=ask_index)
    subject = doctor.find_subject(context, target, options, table) if target is not None else None
    if as_job and (subject is None or subject.manifest is None):
        raise UsageError("--run needs a MODEL, not a directory", fix="run: mm new MODEL")
    if trace is not None:
        found = doctor.explain(_trace(context, trace), table, subject)
        return _show_explanations(context, found, as_json=as_json)
    if subject is None:
        report = doctor.check_installation(context, offline=offline)
    else:
        report = doctor.examine(subject)
    document, done = doctor.document(report), True
    if not as_json:
        _show(context, report)
    if as_job and subject is not None:
        tests: dict[str, Any] = {}
        tiny = _self_test(context, subject, options, tests, miniature=True, as_json=as_json)
        ended = doctor.run_smallest(context, subject, options, table)
        document["run"], done = ended.document() | tests, ended.done and tiny
        if not as_json:
            context.out(ended.sentence)
            _explain(context, ended.explanations)
        done = done and _self_test(context, subject, options, document["run"], as_json=as_json)
    if as_json:
        context.out_json(document)
    return WRONG if report.wrong or not done else 0


def _check_run(
    context: Context, target: str | None, trace: str | None, *, device: str, dtype: str, **_: Any
) -> None:
    """Check first of all what `--run` goes with, and, as for every job, the device."""
    if target is None or trace is not None:
        raise UsageError("--run needs a MODEL, and no --error", fix="run: mm doctor MODEL --run")
    if target in context.catalog.models:
        context.device_and_dtype(context.catalog.model(target), device, dtype)


def _self_test(
    context: Context,
    subject: Subject,
    options: CheckOptions,
    document: dict[str, Any],
    *,
    miniature: bool = False,
    as_json: bool,
) -> bool:
    """Compare the device that was asked for with the CPU; return whether nothing is wrong."""
    from msgspec import to_builtins

    from orchestrator import doctor

    device, dtype = subject.conditions.device, subject.conditions.dtype
    if options.device == AUTO or (device, dtype) == ("cpu", DEFAULT):
        return True  # the last is what others are compared with
    declared = context.catalog.model(subject.name)
    what = "miniature" if miniature else "self_test"
    try:
        test = doctor.compare_with_cpu(context, declared, device, dtype, miniature=miniature)
    except Cancelled:
        raise
    except MMError as error:
        # What keeps a job from running is explained by the job itself.
        passed = isinstance(error, UsageError)
        said = f"self-test: {error}" if not passed else "" if miniature else error.what
        document[what] = None
    else:
        document[what], passed = to_builtins(test), test is None or test.passed
        said = test.sentence if test else ""
    if said and not as_json:
        context.out(said)
    return passed


def _show_explanations(context: Context, found: list[Explanation], *, as_json: bool) -> int:
    if as_json:
        context.out_json({"explanations": [each.document() for each in found]})
    elif not found:
        context.out("no known failure is in this text; docs/doctor.md says how to add one")
    else:
        _explain(context, found)
    return WRONG if found else 0


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


def _show(context: Context, report: Report) -> None:
    from orchestrator.doctor import Layer

    context.out(f"{report.subject}: {report.conditions}" if report.conditions else report.subject)
    for layer in Layer:
        facts = [each for each in report.facts if each.layer is layer]
        findings = [each for each in report.findings if each.layer is layer]
        if facts or findings:
            context.out(f"\n{layer.value}")
        for finding in findings:
            _finding(context, finding)
        for fact in facts:
            context.out(f"  {_line(fact.text)}")
    context.out(f"\n{_summary(report)}")


def _summary(report: Report) -> str:
    from orchestrator.doctor import Effect

    if not report.wrong:
        return "nothing is wrong"
    effects = [finding.effect for finding in report.findings]
    said = [
        f"{effects.count(effect)} {words}"
        for effect, words in (
            (Effect.STOPS, "that will stop it"),
            (Effect.RISK, "that may go wrong"),
        )
        if effect in effects
    ]
    drafts = sum(finding.patch is not None for finding in report.findings)
    more = (
        f"; {drafts} can be fixed by patches: mm patch new {shlex.quote(report.subject)}"
        if drafts
        else ""
    )
    count = len(report.wrong)
    return f"{count} finding{'s' if count > 1 else ''}: {', '.join(said)}{more}"


def _finding(context: Context, finding: Finding, indent: str = "  ") -> None:
    context.out(f"{indent}{finding.effect.value.upper()}: {_line(finding.finding)}")
    for each in finding.evidence[:MAX_PLACES]:
        context.out(f"{indent}  {_line(each.where)}{': ' if each.quote else ''}{each.quote}")
    if (more := len(finding.evidence) - MAX_PLACES) > 0:
        context.out(f"{indent}  and {more} more places")
    context.out(f"{indent}  effect: {_line(finding.consequence)}")
    context.out(f"{indent}  fix: {_line(finding.remedy)}")


def _line(text: str) -> str:
    """Return a text that names foreign files and values, safe to print on one line."""
    from orchestrator.doctor import shortened

    return shortened(text, MAX_SHOWN)


def _explain(context: Context, found: Sequence[Explanation]) -> None:
    for each in found:
        match, where = each.match, each.where
        context.out(f"{match.failure.layer}: {match.failure.id}")
        context.out(f"  it said: {match.said}")
        if where:
            context.out(f"  where: {where.where}{': ' if where.quote else ''}{where.quote}")
        context.out(f"  it means: {match.means(each.model)}")
        context.out(f"  fix: {each.remedy}")
        if each.confirmed:
            context.out(f"  found in {each.model}:")
            for finding in each.confirmed:
                _finding(context, finding, "    ")
        elif each.checked:
            context.out(f"  nothing of the kind was found in the files of {each.model} itself")
