"""Which model stands for a task: a ready one that speaks the text, the preferred or the chosen one.

Pure: whether weights are there and what the machine has come from the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.languages import LANGUAGE, Wanted, coverage
from orchestrator.core.units import format_size
from orchestrator.errors import MemoryRefused, MMError, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from orchestrator.core.manifest import Manifest


class Selection(msgspec.Struct, frozen=True):
    """The model that stands for a task, and why, as one line for the user."""

    model: str
    reason: str


class Facts(msgspec.Struct, frozen=True):
    """What decides whether a model is ready.

    Attributes:
        has_weights: Says whether the weights of a manifest with a `source` were pulled or added.
        memory: The memory, in bytes, of each kind of device this machine has; None where it is
            not known, which counts as enough.
        platform: What this machine is to manifests, such as linux-x86_64.
        usable: Returns a manifest with the data types alone whose weights are there.
    """

    has_weights: Callable[[Manifest], bool]
    memory: Mapping[str, int | None]
    platform: str = ""
    usable: Callable[[Manifest], Manifest] = lambda manifest: manifest


def select(
    task: str,
    manifests: Sequence[Manifest],
    facts: Facts,
    *,
    chosen: str | None = None,
    guests: Collection[str] = (),
    wanted: Wanted | None = None,
) -> Selection:
    """Return the model that stands for `task`.

    Args:
        task: The task's name.
        manifests: The models of the task, at least one.
        facts: What decides whether a model is ready.
        chosen: The model that `mm use` settled on, if any; it stands for the task ready or not,
            where it speaks what is wanted.
        guests: Names of models that never win by preference, unless there are no others.
        wanted: What the model is to speak; None where that does not matter.

    Raises:
        SourceError: When none is ready and one lacks nothing but its weights.
        MemoryRefused: When none is ready because this machine's memory is too small.
        UsageError: When none of them runs on a device that this machine has, or none speaks what
            is wanted.
    """
    if (
        wanted
        and wanted.language
        and wanted.given
        and not any(LANGUAGE in each.inputs for each in manifests)
    ):
        wanted = Wanted(wanted.scripts) if wanted.scripts else None
    covered = {each.name: coverage(each, wanted) if wanted else () for each in manifests}
    ranked = sorted(manifests, key=preference_order(facts.platform))
    ranked.sort(key=lambda each: covered[each.name], reverse=True)  # stable: preference is next
    speaking = [each for each in ranked if all(covered[each.name][:1])]
    if chosen in {each.name for each in speaking}:
        return Selection(str(chosen), f"{task}: {chosen} (chosen with mm use)")
    hosts = [each for each in speaking if each.name not in guests] or speaking
    if wanted and not hosts:
        raise _none_speaks(task, manifests, wanted)
    obstacles = {each.name: obstacle(each, facts) for each in hosts}
    ready = [name for name, problem in obstacles.items() if problem is None]
    language = "" if wanted is None or len(set(covered.values())) == 1 else str(wanted)
    if not ready:
        kind = f"{task} that speaks {wanted.main}" if wanted and language else task
        raise _none_ready(kind, [problem for problem in obstacles.values() if problem])
    model = ready[0]
    why = [_comparison(ready, hosts, facts.platform)]
    better = (obstacles[name] for name in list(obstacles)[: list(obstacles).index(model)])
    if problem := next(filter(None, better), None):  # the best one says enough
        command = problem.fix.removeprefix("run: ")
        why.append(f"{problem.what}: {command}" if command else problem.what)
    if chosen in covered and wanted:
        why.append(f"{chosen}, chosen with mm use, does not speak {wanted.main}")
    elif chosen:
        why.append(f"{chosen}, chosen with mm use, is not a model of this task")
    for_language = f" for {language}" if language else ""
    return Selection(model, f"{task}{for_language}: {model} ({'; '.join(why)})")


def preference_order(platform: str) -> Callable[[Manifest], tuple[int, str]]:
    """Return the key that sorts models by their preference on a platform, ties by name."""
    return lambda each: (-each.preference_on(platform), each.name)


def suits_best(family: Sequence[Manifest], facts: Facts) -> Manifest | None:
    """Return the preferred one of those that run on this machine, weights aside, or None."""
    able = Facts(lambda _: True, facts.memory, facts.platform)
    fitting = [each for each in family if obstacle(each, able) is None]
    return min(fitting, key=preference_order(facts.platform), default=None)


def obstacle(manifest: Manifest, facts: Facts) -> MMError | None:
    """Return what keeps a model from being ready, or None."""
    name = manifest.name
    manifest = facts.usable(manifest)
    devices = [device for device in manifest.devices if device in facts.memory]
    if not devices:
        return UsageError(
            f"{name} runs on {' or '.join(manifest.devices)}, which this machine does not have"
        )
    if not any(_fits(manifest, device, facts) for device in devices):
        device = devices[0]
        has = facts.memory[device] or 0
        return MemoryRefused(
            f"{name} needs {format_size(manifest.smallest_memory(device), binary=True)} of memory "
            f"and this machine has {format_size(has, binary=True)}"
        )
    if not manifest.is_embedded and not facts.has_weights(manifest):
        return SourceError(f"{name} needs its weights", fix=f"run: mm model pull {name}")
    return None


def _fits(manifest: Manifest, device: str, facts: Facts) -> bool:
    has = facts.memory[device]
    return has is None or manifest.smallest_memory(device) <= has


def _comparison(ready: Sequence[str], hosts: Sequence[Manifest], platform: str) -> str:
    if len(hosts) == 1:
        return "the only one"
    if len(ready) == 1:
        return "the only one that is ready"
    compared = [each for each in hosts if each.name in ready]
    here = f" on {platform}" if any(isinstance(each.preference, dict) for each in compared) else ""
    return f"preferred{here} to {' and '.join(ready[1:])}"


def _none_speaks(task: str, manifests: Sequence[Manifest], wanted: Wanted) -> UsageError:
    known = sorted({tag for each in manifests for tag in each.languages})
    return UsageError(
        f"no model of the task {task} speaks {wanted.main}, only {', '.join(known)}",
        fix="name a model of your own with --model, or write one: mm new NAME",
        fix_in_code='name a model of your own: model="NAME"',
    )


def _none_ready(task: str, problems: Sequence[MMError]) -> MMError:
    """Return the error to raise: the obstacle that is easiest to remove, worded for the task."""
    for kind in (SourceError, MemoryRefused, UsageError):
        for problem in problems:
            if isinstance(problem, kind):
                return kind(
                    f"no model of the task {task} is ready: {problem.what}", fix=problem.fix
                )
    raise AssertionError(problems)
