"""What a built-in step is: a signature and a function from values to values."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.core.manifest import Input
from orchestrator.core.pipelines.step_signatures import Kind, Port, Signature, port_of
from orchestrator.errors import UsageError
from orchestrator.jobs.cancellation import Cancellation


class Emit(NamedTuple):
    """One value of an output; an output that is a list gets one at a time.

    Attributes:
        output: The output's name; empty for a warning, which `value` is.
        value: A value, or for files a path: of an input, or in the directory that the step is
            given.
        label: What people call this item of a list, such as `doc.pdf#page=3`.
        language: The tag of its language, where it is a text of which that is known: it chooses the
            model of the next step.
    """

    output: str
    value: Any
    label: str = ""
    language: str = ""


class Progress(NamedTuple):
    """How many of its own items a step is done with, and of how many."""

    done: int
    total: int


Emits = Generator[Emit | Progress, None, None]

Run = Callable[[Mapping[str, Any], Path, Cancellation], Emits]


@dataclass(frozen=True)
class BuiltIn:
    """A built-in step.

    Attributes:
        signature: What it takes and returns.
        run: Takes its inputs, an empty directory, and what may ask it to stop; yields values of its
            outputs. It sees no other state, so that its result can be kept.
        packages: The distributions that its result depends on.
        programs: Other files of its code: what it runs in processes of their own, what it calls.
        kept: Whether its result can be kept; not where the effect is outside of it.
        gaps: Whether its lists have None for an item that was passed over, instead of leaving it
            out.
        named: Whether its result also holds what its files are called and where they are, so that
            the same content under another name is another result.
        extra: The extra of the project that installs its packages; empty where it needs none.
    """

    signature: Signature
    run: Run
    packages: tuple[str, ...] = ()
    programs: tuple[Path, ...] = ()
    kept: bool = True
    gaps: bool = False
    named: bool = False
    extra: str = ""

    def missing(self) -> UsageError | None:
        """Return the error of a run without its packages; None where they are there."""
        try:
            for package in self.packages if self.extra else ():
                metadata.version(package)
        except metadata.PackageNotFoundError as missing:
            what = f"needs the package {missing.name}, which is not installed"
            fix = f"run: pip install 'mm-orchestrator[{self.extra}]'"
            return UsageError(f"{self.signature.name} {what}", fix=fix)
        return None


def growing(declared: Input) -> Port:
    """Return an input that is a list, which a step takes while it grows, as an iterator.

    In a step with `foreach`, and for a list that is given, it is a list as any other. Several such
    lists of one step are to be taken side by side: it gets no further than the slowest of them.
    """
    return replace(port_of(declared), streamed=True)


def signature(name: str, inputs: Mapping[str, Port | Input], **outputs: str) -> Signature:
    """Return the signature of the built-in step `name`.

    Args:
        name: The step.
        inputs: As ports, or as a manifest would declare them.
        **outputs: Types by name, the primary one first; `[image]` is a list of images.
    """
    return Signature(
        name=name,
        inputs={
            key: port_of(each) if isinstance(each, Input) else each for key, each in inputs.items()
        },
        outputs={
            key: Kind(each.strip("[]"), each.startswith("[")) for key, each in outputs.items()
        },
    )
