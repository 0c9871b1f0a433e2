"""What a file imports: each name, from where, how it is guarded; attributes of modules included."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.doctor.rules.code import Code, dotted, names_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.doctor.rules.records import Evidence


@dataclass(frozen=True)
class Wanted:
    """One name that code takes from a module.

    Attributes:
        module: The module, dotted, without leading dots.
        name: The name in it; empty where the module itself is imported.
        level: How many dots stand before it.
        guarded: Whether it stands behind `try` or a test, so that its absence is expected.
        tried: Whether it stands in a `try`, or behind transformers' own `is_…_available`, which is
            how transformers itself tells what a file cannot do without.
        aliased: Whether it is `import x as y`, which older releases of transformers pass over.
        called: Whether it is taken when a function is called, and not at the import of the file.
        evidence: Where.
    """

    module: str
    name: str
    level: int
    guarded: bool
    called: bool
    evidence: Evidence
    tried: bool = False
    aliased: bool = False

    @property
    def top(self) -> str:
        """The top-level module."""
        return self.module.partition(".")[0]

    @property
    def full(self) -> str:
        """Module and name, as people write it."""
        return f"{self.module}.{self.name}" if self.name else self.module


def imports_of(code: Code) -> list[Wanted]:
    """Return every name that the file imports, in its order."""
    found = [
        wanted
        for node in code.nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for wanted in _imported(code, node)
    ]
    modules = {
        (alias.asname or alias.name.partition(".")[0]): (alias.asname and alias.name)
        or alias.name.partition(".")[0]
        for node in code.nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    found += _attributes(code, modules)
    return sorted(found, key=lambda wanted: wanted.evidence.line)


def _imported(code: Code, node: ast.Import | ast.ImportFrom) -> Iterator[Wanted]:
    guarded = code.guarded(node, _any_test)
    called = bool(code.function(node))
    tried = code.guarded(node, _availability)
    for alias in node.names:
        evidence = code.evidence(alias)
        if isinstance(node, ast.Import):
            aliased = alias.asname is not None
            yield Wanted(alias.name, "", 0, guarded, called, evidence, tried, aliased)
        else:
            name = "" if alias.name == "*" else alias.name
            yield Wanted(node.module or "", name, node.level, guarded, called, evidence, tried)


def _availability(test: ast.expr) -> bool:
    return any(name.startswith("is_") and name.endswith("available") for name in names_in(test))


def _any_test(test: ast.expr) -> bool:
    # Whatever it asks (a version, a package, TYPE_CHECKING), the import is not certain to be run.
    return not isinstance(test, ast.Constant)


def _attributes(code: Code, modules: dict[str, str]) -> Iterator[Wanted]:
    """Yield what is reached through imported modules: `transformers.X`, `getattr(module, "X")`.

    Only what begins with a capital letter, by which classes are known: a chain of attributes may
    leave the modules anywhere.
    """
    for node in code.nodes:
        if isinstance(node, ast.Attribute) and node.attr[:1].isupper():
            chain = dotted(node.value)
            name = node.attr
        elif (
            isinstance(node, ast.Call)
            and dotted(node.func) == "getattr"
            and len(node.args) == 2
            and isinstance(node.args[1], ast.Constant)
            and isinstance(node.args[1].value, str)
        ):
            chain, name = dotted(node.args[0]), node.args[1].value
        else:
            continue
        first, _, rest = chain.partition(".")
        if first in modules and not any(part[:1].isupper() for part in rest.split(".")):
            module = f"{modules[first]}.{rest}" if rest else modules[first]
            yield Wanted(
                module,
                name,
                0,
                code.guarded(node, _any_test),
                bool(code.function(node)),
                code.evidence(node),
                tried=True,
            )


def beside(wanted: Wanted, importer: str) -> list[str]:
    """Return the files that a relative import of the file `importer` may mean."""
    folder = importer.split("/")[:-1]
    folder = folder[: len(folder) - (wanted.level - 1)] if wanted.level > 1 else folder
    base = [*folder, *(part for part in wanted.module.split(".") if part)]
    found = []
    if wanted.module:
        found += ["/".join(base) + ".py", "/".join([*base, "__init__.py"])]
    if wanted.name:
        found.append("/".join([*base, f"{wanted.name}.py"]))
    return found
