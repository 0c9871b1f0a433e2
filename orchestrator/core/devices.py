"""Which device and data type a job runs with: a pure choice from the manifest and the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.core.units import parse_size
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from orchestrator.core.manifest import Manifest

AUTO = "auto"
DEFAULT = "float32"
"""The data type of a model whose manifest lists none."""


def choose_device(
    manifest: Manifest, asked: str, available: Sequence[str], place: str = "this machine"
) -> str:
    """Return the device: the one asked for, or the first that manifest and machine share.

    Args:
        manifest: The model's manifest.
        asked: "auto", or a device.
        available: What there is.
        place: Where that is, for messages.

    Raises:
        UsageError: When the manifest does not list it, or this machine does not have it.
    """
    listed = manifest.devices
    if asked == AUTO:
        for device in listed:
            if device in available and device != "mps":
                return device
        raise UsageError(
            f"{manifest.name} runs on {' or '.join(listed)}, and {place} has "
            f"{' and '.join(available)}"
        )
    if asked not in listed:
        raise UsageError(
            f"{manifest.name} does not run on {asked}",
            fix=f"choose --device {'|'.join(listed)}",
            fix_in_code=f"pass device={' or '.join(map(repr, listed))}",
        )
    if asked not in available:
        raise UsageError(
            f"{place} has no {asked}", fix="choose --device auto", fix_in_code='pass device="auto"'
        )
    return asked


def choose_dtype(
    manifest: Manifest,
    device: str,
    asked: str,
    memory: int | None = None,
    native: Collection[str] = (),
) -> str:
    """Return the data type: the one asked for, or the best that is listed for `device`.

    The best is the first listed that fits into memory and that the processor computes in hardware,
    else the first that fits, else the smallest, and the error then gives the figures of its memory.

    Args:
        manifest: The model's manifest.
        device: The device that was chosen.
        asked: "auto", or a data type.
        memory: Bytes of memory of the device in all; None where that is not known.
        native: The data types beside float32 that are fast on a CPU.

    Raises:
        UsageError: When the manifest does not list it for the device.
    """
    sizes: dict[str, str] = dict(manifest.memory.get(device, {}))  # type: ignore[call-overload]
    listed = list(sizes) or [DEFAULT]
    if asked != AUTO:
        if asked not in listed:
            raise UsageError(
                f"{manifest.name} has no {asked} on {device}",
                fix=f"choose --dtype {'|'.join(listed)}",
                fix_in_code=f"pass dtype={' or '.join(map(repr, listed))}",
            )
        return asked
    needs = {dtype: parse_size(size) for dtype, size in sizes.items()}
    fitting = [dtype for dtype in listed if memory is None or needs.get(dtype, 0) <= memory]
    if not fitting:
        return min(listed, key=lambda dtype: needs[dtype])
    fast = [dtype for dtype in fitting if dtype in native] if device == "cpu" else []
    return (fast or fitting)[0]
