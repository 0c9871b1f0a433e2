"""Which device and data type a job runs with: a pure choice from the manifest and the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.core.manifest import Manifest

AUTO = "auto"


def choose_device(manifest: Manifest, asked: str, available: Sequence[str]) -> str:
    """Return the device: the one asked for, or the first that manifest and machine share.

    Raises:
        UsageError: When the manifest does not list it, or this machine does not have it.
    """
    listed = manifest.devices
    if asked == AUTO:
        for device in listed:
            if device in available and device != "mps":
                return device
        raise UsageError(
            f"{manifest.name} runs on {' or '.join(listed)}, and this machine has "
            f"{' and '.join(available)}"
        )
    if asked not in listed:
        raise UsageError(
            f"{manifest.name} does not run on {asked}", fix=f"choose --device {'|'.join(listed)}"
        )
    if asked not in available:
        raise UsageError(f"this machine has no {asked}", fix="choose --device auto")
    return asked


def choose_dtype(manifest: Manifest, device: str, asked: str) -> str:
    """Return the data type: the one asked for, or the first that is listed for `device`.

    Raises:
        UsageError: When the manifest does not list it for the device.
    """
    listed = list(manifest.memory.get(device, {}))  # type: ignore[call-overload]
    if asked == AUTO:
        return listed[0] if listed else "float32"
    if asked not in (listed or ["float32"]):
        raise UsageError(
            f"{manifest.name} has no {asked} on {device}",
            fix=f"choose --dtype {'|'.join(listed or ['float32'])}",
        )
    return asked
