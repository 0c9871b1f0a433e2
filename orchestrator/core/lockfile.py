"""The text of `requirements.lock`: its head, its pins, and which of them apply somewhere.

A lock is a plain requirements file, because installers share files between environments only then.
It names packages, versions, markers and hashes; never an index, a URL or a path. Two digests stand
in its head: of the manifest's fields that shape it, and of its own body, so that neither a changed
manifest nor a hand that edited the lock goes unseen.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.canonical import digest, digest_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.markers import Marker

    from orchestrator.core.manifest import Environment

LOCK_FORMAT = 1
"""The version of the head written by `render_lock`."""

_HEAD = re.compile(r"^# (lock-format|shaped-by|body): (\S+)$", re.MULTILINE)
_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+))?"
)
_HASH = re.compile(r"--hash=(\S+)")
_HASH_VALUE = re.compile(r"sha256:[0-9a-f]{64}")
_WHEEL = re.compile(r"^# wheel: ([\w.+!-]+\.whl) sha256:([0-9a-f]{64})$", re.MULTILINE)
_SEPARATORS = re.compile(r"[-_.]+")


class LockError(ValueError):
    """A lock's text is not one that `mm env lock` writes; `line` counts from 1, 0 for the whole."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


class Pin(msgspec.Struct, frozen=True):
    """One locked package.

    Attributes:
        name: The normalised name.
        version: The exact version.
        marker: The environment marker under which it applies; empty for always.
        hashes: `sha256:…` of every file that may be installed, sorted.
        via: The packages that asked for it, as the resolver said; `MANIFEST` for the manifest.
    """

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()
    via: tuple[str, ...] = ()


MANIFEST = "the manifest"
"""Who asked for a package that the manifest itself names."""


class Lock(msgspec.Struct, frozen=True, dict=True):
    """A parsed lock.

    Attributes:
        shape: The digest of the manifest's fields that the lock was made from.
        intact: Whether the body is the one that was written.
        pins: Every package, in the lock's order.
        digest: The SHA-256 of the whole text.
        notes: The options that the lock was made with.
        wheels: The SHA-256 of each wheel that came from the folder of the user's own, by its name.
    """

    shape: str
    intact: bool
    pins: tuple[Pin, ...]
    digest: str
    notes: tuple[str, ...] = ()
    wheels: Mapping[str, str] = {}

    @cached_property
    def names(self) -> frozenset[str]:
        """The normalised names of all packages."""
        return frozenset(pin.name for pin in self.pins)


def normal_name(name: str) -> str:
    """Return a package's name in its one normal spelling (packaging specification, PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


def shape_digest(environment: Environment) -> str:
    """Return the digest of the manifest's fields that shape a lock."""
    return digest(
        {
            "python": environment.python,
            "platforms": sorted(environment.platforms),
            "dependencies": list(environment.dependencies),
            "overrides": list(environment.overrides),
            "build": sorted(environment.build),
        }
    )


def render_lock(
    body: str,
    *,
    shape: str,
    command: str,
    notes: Iterable[str] = (),
    wheels: Mapping[str, str] | None = None,
) -> str:
    """Return the text of a lock: a head that says what it is, then the resolver's `body`.

    Args:
        body: Pins with hashes and `# via` comments, as the resolver wrote them.
        shape: `shape_digest` of the manifest.
        command: The command that writes this lock anew.
        notes: Options that the lock was made with, one line each.
        wheels: As in `Lock`.
    """
    body = body.strip("\n") + "\n" if body.strip() else ""
    head = [
        f"# Written by: {command}",
        "# Change the manifest instead of this file: an edited lock is refused.",
        *(f"# option: {note}" for note in notes),
        *(f"# wheel: {name} sha256:{value}" for name, value in sorted((wheels or {}).items())),
        f"# lock-format: {LOCK_FORMAT}",
        f"# shaped-by: {shape}",
        f"# body: {digest_bytes(body.encode('utf-8'))}",
    ]
    return "\n".join(head) + "\n\n" + body


@lru_cache(maxsize=32)
def parse_lock(text: str) -> Lock:
    """Read the text of a lock; models that share one cost one reading.

    Raises:
        LockError: When it has no head of ours, a newer format, or a line that is no exact pin
            with hashes.
    """
    head_text, _, body = text.partition("\n\n")
    head = dict(_HEAD.findall(head_text))
    if not {"lock-format", "shaped-by", "body"} <= head.keys():
        raise LockError("is not a lock that mm has written")
    if head["lock-format"] != str(LOCK_FORMAT):
        raise LockError(f"has format {head['lock-format']}; this mm knows {LOCK_FORMAT}")
    notes = tuple(re.findall(r"^# option: (.+)$", head_text, re.MULTILINE))
    return Lock(
        shape=head["shaped-by"],
        intact=digest_bytes(body.encode("utf-8")) == head["body"],
        pins=tuple(read_pins(body, first_line=head_text.count("\n") + 3)),
        digest=digest_bytes(text.encode("utf-8")),
        notes=notes,
        wheels=dict(_WHEEL.findall(head_text)),
    )


def read_pins(body: str, first_line: int = 1) -> Iterable[Pin]:
    """Yield the pins in the body of a lock; `first_line` is where that stands in its file.

    Raises:
        LockError: When a line is no exact pin with hashes.
    """
    for number, requirement, comments in _logical_lines(body, first_line):
        head, *_ = requirement.split(" --hash=", 1)
        matched = _PIN.fullmatch(head.strip())
        if matched is None:
            raise LockError(f"is no exact pin: {head.strip()}", number)
        hashes = _HASH.findall(requirement)
        for value in hashes:
            if not _HASH_VALUE.fullmatch(value):
                raise LockError(f"is no SHA-256: {value}", number)
        if not hashes:
            raise LockError(f"has no hash: {head.strip()}", number)
        yield Pin(
            name=normal_name(matched["name"]),
            version=matched["version"],
            marker=(matched["marker"] or "").strip(),
            hashes=tuple(sorted(hashes)),
            via=_via(comments),
        )


def _logical_lines(body: str, first_line: int) -> Iterable[tuple[int, str, list[str]]]:
    """Yield (line number, requirement with its continuations joined, comments beneath it)."""
    number, parts, comments = 0, list[str](), list[str]()
    for at, raw in enumerate(body.splitlines(), first_line):
        line = raw.strip()
        if line.startswith("#"):
            comments.append(line.lstrip("# "))
            continue
        if not line:
            continue
        if not raw[0].isspace():
            if parts:
                yield number, " ".join(parts), comments
            number, parts, comments = at, [], []
        parts.append(line.rstrip("\\").strip())
    if parts:
        yield number, " ".join(parts), comments


def _via(comments: Iterable[str]) -> tuple[str, ...]:
    named: list[str] = []
    for comment in comments:
        name = comment.removeprefix("via").strip()
        if name.startswith("-r "):
            named.append(MANIFEST)
        elif name and not name.startswith("-"):
            named.append(normal_name(name))
    return tuple(named)


@lru_cache(maxsize=512)
def _marker(text: str) -> Marker:
    from packaging.markers import Marker

    return Marker(text)


def applicable(pins: Iterable[Pin], markers: Mapping[str, str]) -> tuple[Pin, ...]:
    """Return the pins that apply where `markers` holds, sorted by name.

    Args:
        pins: The pins of a lock.
        markers: The values of the environment markers, as an interpreter gave them.

    Raises:
        LockError: When a marker cannot be read, or two versions of one package would apply.
    """
    chosen: dict[str, Pin] = {}
    truths: dict[str, bool] = {"": True}
    for pin in pins:
        if pin.marker not in truths:
            truths[pin.marker] = _holds(pin.marker, markers)
        if not truths[pin.marker]:
            continue
        other = chosen.get(pin.name)
        if other is not None and other.version != pin.version:
            raise LockError(f"asks for {pin.name} {other.version} and {pin.version} at once")
        chosen[pin.name] = pin
    return tuple(chosen[name] for name in sorted(chosen))


def _holds(marker: str, markers: Mapping[str, str]) -> bool:
    from packaging.markers import InvalidMarker, UndefinedEnvironmentName

    try:
        return _marker(marker).evaluate(dict(markers))
    except (InvalidMarker, UndefinedEnvironmentName) as error:
        raise LockError(f"has a marker that cannot be read: {marker}") from error


def requirements_text(pins: Iterable[Pin]) -> str:
    """Return pins that all apply as a requirements file, each with its hashes."""
    parts = []
    for pin in pins:
        hashes = "".join(f" \\\n    --hash={value}" for value in pin.hashes)
        parts.append(f"{pin.name}=={pin.version}{hashes}\n")
    return "".join(parts)


def changes(before: Iterable[Pin], after: Iterable[Pin]) -> list[str]:
    """Return a line for each package that was added, removed or moved between two locks."""
    old, new = _versions(before), _versions(after)
    lines = []
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name, ""), new.get(name, "")
        if not was or not now:
            lines.append(f"{'added' if now else 'removed'} {name} {now or was}")
        elif was != now:
            lines.append(f"moved {name} {was} -> {now}")
    return lines


def _versions(pins: Iterable[Pin]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for pin in pins:
        found.setdefault(pin.name, []).append(pin.version)
    return {name: ", ".join(sorted(set(versions))) for name, versions in found.items()}
