"""Pulls a model's repository from a hub: says its size, fetches, checks and records its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.core.units import format_size
from orchestrator.errors import SourceError
from orchestrator.sources.hub import (
    MODELSCOPE,
    HubCache,
    HubFailure,
    check_online,
    open_hub,
    other_ways,
)
from orchestrator.sources.known_files import check_known, known_files
from orchestrator.sources.model_files import SourceRecord, check_patterns, check_shards, describe
from orchestrator.system.machine import free_disk
from orchestrator.system.removal import file_size
from orchestrator.system.reporter import Count, Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.catalog import Declared
    from orchestrator.sources.hub import Hub

MARGIN = 256 << 20
"""Bytes that a disk must keep free after a download."""


def pull_from_hub(
    declared: Declared,
    revision: str,
    hub_name: str,
    variables: Mapping[str, str],
    reporter: Reporter,
) -> SourceRecord:
    """Return the record of the files of a model's repository, fetched where they are not.

    Args:
        declared: The model.
        revision: What the manifest asks for, or the commit that it is known to stand for.
        hub_name: The hub.
        variables: The user's environment variables.
        reporter: Receives notes and progress.

    Raises:
        SourceError: When the files do not come, or are not what the hub lists, with the commands
            that bring them from elsewhere.
    """
    check_online(variables, declared.words)
    hub = open_hub(hub_name, variables)
    try:
        return _pull(declared, hub, revision, HubCache(variables), reporter)
    except HubFailure as error:
        ways = other_ways(declared.words, hub.name, variables)
        fix = f"{error.fix}; {ways}" if error.fix else ways
        raise SourceError(error.what, where=error.where, fix=fix, detail=error.detail) from error


def _pull(
    declared: Declared, hub: Hub, revision: str, cache: HubCache, reporter: Reporter
) -> SourceRecord:
    source = declared.manifest.source
    assert source is not None  # the caller has one to pull
    name, pin = declared.name, source.revision
    repo = source.repo if hub.name != MODELSCOPE else source.modelscope or source.repo
    listing = hub.list(repo, revision, source.include)
    check_patterns([each.name for each in listing.files], source.include, repo)
    known = known_files(declared, pin)
    for file in listing.files:
        check_known(known, file.name, file.sha256 or known.get(file.name, ""), hub.name, pin)
    unknown = sum(file.name not in known for file in listing.files)
    commit, commit_of = listing.commit, hub.name if hub.name == MODELSCOPE else ""
    if commit_of and not unknown:  # by its hashes, it is the commit of the manifest
        commit, commit_of = pin, ""
    total = sum(each.size for each in listing.files)
    where = f"{repo} of {hub.name}" if hub.name == MODELSCOPE else repo
    reporter.note(
        f"{name}: {format_size(total)} in {len(listing.files)} files from {where} at "
        f"{commit[:12]}, into {cache.path}"
    )
    if commit_of:
        reporter.note(
            f"{name}: {unknown} of them can be compared with the list of {hub.name} alone, because "
            f"their hashes at {pin[:12]} are not known here"
        )
    _check_room(cache, repo, commit, total)
    count = Count(reporter, name, total)
    kept = {}
    directory = None
    for file in listing.files:
        before = count.done
        path, sha256 = hub.fetch(repo, commit, file, count.add)
        check_known(known, file.name, sha256, hub.name, pin)
        count.settle(before + file.size)
        kept[file.name] = describe(path, sha256)
        directory = directory or path.parents[file.name.count("/")]
    assert directory is not None  # a pattern has a file, and a repository without any has none
    check_shards(directory, kept)
    return SourceRecord(
        path=str(directory),
        files=kept,
        repo=source.repo,
        revision=pin,
        commit=commit,
        hub=commit_of,
    )


def _check_room(cache: HubCache, repo: str, commit: str, total: int) -> None:
    """Check that the disk has room for what is not in the cache yet."""
    folder = cache.blobs(repo)
    try:
        there = sum(map(file_size, folder.iterdir()))
    except OSError:
        there = 0
    free = free_disk(folder)
    if total - there + MARGIN > free:
        raise SourceError(
            f"{repo} at {commit[:12]} needs {format_size(total - there)} more, and the disk "
            f"has {format_size(free)} free",
            where=str(folder),
            fix="make room, or set HF_HUB_CACHE to another disk",
        )
