"""Write the doctor's table of the models that packages implement, from the packages' own wheels.

    python tools/list_architectures.py > manifests/doctor/implemented.yaml

Downloads one wheel of each release named below with pip, reads the names of the models in it as
text, and removes it. Nothing of a wheel is imported.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FIRST = {"transformers": (4, 30), "mlx-vlm": (0, 1), "mlx-audio": (0, 1)}
"""The oldest release of each package that is looked at."""

AUTO = re.compile(r"transformers/models/auto/(configuration_auto|auto_mappings)\.py")
FOLDERS = {
    "mlx-vlm": re.compile(r"mlx_vlm/models/([a-z0-9_]+)/__init__\.py"),
    "mlx-audio": re.compile(r"mlx_audio/(?:tts|stt|sts)/models/([a-z0-9_]+)/__init__\.py"),
}


def main() -> None:
    """Print the table."""
    print("# Models that packages implement, with the first release that has them, by the names of")
    print("# their own lists. Made by tools/list_architectures.py; releases before the first that")
    print("# stands here were not looked at.")
    print("name: implemented")
    print("implemented:")
    for package, oldest in FIRST.items():
        known: set[str] = set()
        print(f"  {package}:")
        for version in releases(package, oldest):
            print(package, version, file=sys.stderr)
            names = models_in(package, version) - known
            known |= names
            if names:
                print(f'    "{version}":')
                for line in wrapped(sorted(names)):
                    print(line)


def releases(package: str, oldest: tuple[int, ...]) -> list[str]:
    """Return the last release of each minor version from `oldest` on, in order."""
    command = [sys.executable, "-m", "pip", "index", "versions", package]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (line,) = (line for line in said.splitlines() if line.startswith("Available versions:"))
    newest: dict[tuple[int, ...], tuple[int, ...]] = {}
    for word in line.partition(":")[2].split(","):
        if re.fullmatch(r"[0-9.]+", word.strip()):
            version = tuple(map(int, word.strip().split(".")))
            newest[version[:2]] = max(newest.get(version[:2], ()), version)
    return [".".join(map(str, v)) for minor, v in sorted(newest.items()) if minor >= oldest]


def models_in(package: str, version: str) -> set[str]:
    """Return the names of the models in a release."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        command += [directory, "--only-binary", ":all:", f"{package}=={version}"]
        if subprocess.run(command, check=False).returncode:
            return set()
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            if package == "transformers":
                return transformers_models(archive.namelist(), archive.read)
            found = map(FOLDERS[package].fullmatch, archive.namelist())
            return {each[1] for each in found if each}


def transformers_models(names: Iterable[str], read: Callable[[str], bytes]) -> set[str]:
    """Return the keys of CONFIG_MAPPING_NAMES, wherever a release has it."""
    models = set()
    for name in filter(AUTO.fullmatch, names):
        for node in ast.walk(ast.parse(read(name))):
            targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
            if any(getattr(each, "id", "") == "CONFIG_MAPPING_NAMES" for each in targets):
                models |= keys_of(node)
    return models


def keys_of(node: ast.AST) -> set[str]:
    """Return the keys of the pairs, or of the dictionary, in an assignment."""
    keys: set[str] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Dict):
            keys |= {key.value for key in each.keys if isinstance(key, ast.Constant)}
        elif isinstance(each, ast.Tuple) and len(each.elts) == 2:
            key = each.elts[0]
            keys |= {key.value} if isinstance(key, ast.Constant) else set()
    return {key for key in keys if isinstance(key, str)}


def wrapped(names: list[str]) -> list[str]:
    """Return the lines of a YAML list of plain or quoted names."""
    quoted = [name if re.match(r"[a-z]", name) else f'"{name}"' for name in names]
    lines, line = [], "      ["
    for index, name in enumerate(quoted):
        word = name + ("]" if index == len(quoted) - 1 else ",")
        if len(line) + 1 + len(word) > 99:
            lines.append(line)
            line = "       "
        line += word if line.endswith("[") else f" {word}"
    return [*lines, line]


if __name__ == "__main__":
    main()
