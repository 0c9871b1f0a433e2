"""What self-tests of devices found on this machine: `MM_HOME/self-tests/`, a file for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from orchestrator.system.home import read_record, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.system.home import Home


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of a model on a device with the same model on the CPU.

    Attributes:
        model: The model.
        device: The kind of device.
        dtype: The data type.
        basis: All that the outcome depends on, by what messages call it.
        passed: Whether the device computes what the CPU does.
        finding: How they differ, in words.
        steps: How many vectors of logits were compared.
        difference: The largest difference between two logits; None where there is no such number.
    """

    model: str
    device: str
    dtype: str
    basis: Mapping[str, str]
    passed: bool
    finding: str
    steps: int
    difference: float | None

    @property
    def sentence(self) -> str:
        """What was found, in one line."""
        how = "computes" if self.passed else "does not compute"
        return f"self-test: {self.device} in {self.dtype} {how} what the CPU does: {self.finding}"

    def changed(self, now: Mapping[str, str]) -> str:
        """Return what of the basis is not as it was, in words; nothing where all is."""
        return " and ".join(name for name, was in self.basis.items() if now.get(name) != was)


def load_self_test(home: Home, model: str, device: str, dtype: str) -> SelfTest | None:
    """Return the last self-test of a model on a device; None where there was none."""
    return read_record(_file(home, model, device, dtype), SelfTest)


def save_self_test(home: Home, test: SelfTest) -> None:
    """Keep a self-test instead of the last one of its kind."""
    home.prepare()
    file = _file(home, test.model, test.device, test.dtype)
    file.parent.mkdir(exist_ok=True)
    write_json(file, msgspec.to_builtins(test))


def _file(home: Home, model: str, device: str, dtype: str) -> Path:
    return home.self_tests / f"{model}.{device}.{dtype}.json"
