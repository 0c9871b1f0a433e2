"""What a file imports: each name, from where, how it is guarded; attributes of modules included."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.doctor.rules.code import Code, dotted
from orchestrator.doctor.rules.findings import Evidence


@dataclass(frozen=True)
class ImportedName:
    """One name that code takes from a module.

    Attributes:
        module: The module, dotted, without leading dots.
        name: The name in it; empty where the module itself is imported.
        level: How many dots stand before it.
        evidence: Where.
        guarded: Whether it stands behind `try` or a test, so that its absence is expected.
        called: Whether it is taken when a function is called, and not at the import of the file.
    """

    module: str
    name: str
    level: int
    evidence: Evidence
    guarded: bool
    called: bool

    @property
    def top(self) -> str:
        """The top-level module."""
        return self.module.partition(".")[0]

    @property
    def files(self) -> list[str]:
        """The files that a relative import may mean."""
        folder = self.evidence.file.split("/")[:-1]
        folder = folder[: len(folder) - (self.level - 1)] if self.level > 1 else folder
        base = [*folder, *(part for part in self.module.split(".") if part)]
        found = []
        if self.module:
            found += ["/".join(base) + ".py", "/".join([*base, "__init__.py"])]
        if self.name:
            found.append("/".join([*base, f"{self.name}.py"]))
        return found


def imports_of(code: Code, entries: Collection[str] = ()) -> list[ImportedName]:
    """Return every name that the file imports, in its order.

    Args:
        code: The file.
        entries: Its functions that are called whenever it is loaded.
    """
    found: list[ImportedName] = []
    modules: dict[str, str] = {}
    for node in code.nodes:
        if isinstance(node, ast.Import):
            found += _imported(code, node, entries)
            for alias in node.names:
                top = alias.name.partition(".")[0]
                modules[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            found += _imported(code, node, entries)
    found += _attributes(code, modules)
    return sorted(found, key=lambda each: each.evidence.line)


def _imported(
    code: Code, node: ast.Import | ast.ImportFrom, entries: Collection[str]
) -> Iterator[ImportedName]:
    for alias in node.names:
        module, name, level = alias.name, "", 0
        if isinstance(node, ast.ImportFrom):
            module, name, level = node.module or "", alias.name.replace("*", ""), node.level
        yield ImportedName(
            module,
            name,
            level,
            code.evidence(alias),
            guarded=code.guarded(node, _any_test),
            called=code.function(node) not in ("", *entries),
        )


def _any_test(test: ast.expr) -> bool:
    # Whatever it asks (a version, a package, TYPE_CHECKING), the import is not certain to run.
    return not isinstance(test, ast.Constant)


def _attributes(code: Code, modules: Mapping[str, str]) -> Iterator[ImportedName]:
    """Yield what is reached through imported modules: `transformers.X`, `getattr(module, "X")`.

    Only what begins with a capital letter, by which classes are known: a chain of attributes may
    leave the modules anywhere. What the file itself puts there need not be in the package.
    """
    attributes = [node for node in code.nodes if isinstance(node, ast.Attribute)]
    stored = {dotted(node) for node in attributes if isinstance(node.ctx, ast.Store)}
    for node in code.nodes:
        if isinstance(node, ast.Attribute) and node.attr[:1].isupper():
            chain, name = dotted(node.value), node.attr
            if dotted(node) in stored:
                continue
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
            yield ImportedName(
                f"{modules[first]}.{rest}" if rest else modules[first],
                name,
                0,
                code.evidence(node),
                guarded=code.guarded(node, _any_test),
                called=bool(code.function(node)),
            )
