"""Expressions and identifiers of a Python file replaced, wherever they stand.

Nothing is guessed: after the splices the file is read again, and its tree (or, for identifiers, its
tokens) must be the old one with exactly the edit made.
"""

from __future__ import annotations

import ast
import keyword
import tokenize
from collections.abc import Iterable, Sequence

from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.python_tree import (
    RECEIVER,
    PythonFile,
    count_spelled,
    equal,
    match_chain,
    prove,
    uses_self,
)
from orchestrator.core.patching.source_text import EditResult, SourceText, Splice

_PRIMARY = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.List, ast.Dict, ast.Set)
"""Expressions that stand anywhere without parentheses."""

_LINK_GAP = " \t\f\r\n\\)"
"""What may stand between a receiver and the dot after it, beside comments."""


def replace(
    source: SourceText,
    pattern: str,
    replacement: str,
    *,
    function: str = "",
    already: Sequence[str] = (),
) -> EditResult:
    """Put `replacement` in place of each expression that equals `pattern`.

    Where `pattern` begins with a dot it is the last links of a chain, `replacement` begins with a
    dot too, and what stands before it stays.

    Args:
        source: The file.
        pattern: An expression, or links.
        replacement: The same.
        function: The dotted name of the functions to which the edit is limited; empty for none.
        already: Other code that counts as a replacement that is there.

    Raises:
        PatchConflict: When the file cannot be parsed, or a place cannot be edited.
    """
    file = PythonFile.parse(source)
    old, new = pattern_tree(pattern), pattern_tree(replacement)
    scope: list[ast.AST] = list(file.functions(function)) if function else [file.tree]
    if not scope:
        raise PatchConflict("there is no such function", f"the function {function}")
    found = [node for root in scope for node in ast.walk(root)] if function else file.nodes
    nodes = [node for node in found if isinstance(node, ast.expr)]
    there = _matching(new, nodes)
    covered = {id(part) for node in there for part in _own_nodes(node, there[node])}
    matches = _matching(old, [node for node in nodes if id(node) not in covered])
    wants_self = uses_self([new])
    splices = []
    for node, receiver in matches.items():
        if file.in_format_string(node):
            raise PatchConflict(
                "a place in an f-string, which cannot be edited", pattern, node.lineno
            )
        if wants_self and not file.has_self(node):
            raise PatchConflict(
                "a place where self is not known, which the edit needs", pattern, node.lineno
            )
        splices.append(_splice(file, node, receiver, replacement))
    result = source.spliced(splices)
    if matches:

        def substituted(node: ast.AST, found: object) -> bool | None:
            if not isinstance(node, ast.expr) or node not in matches:
                return None
            if matches[node] is node:
                return equal(new, found)
            receiver = match_chain(new, found) if isinstance(found, ast.AST) else None
            return receiver is not None and equal(matches[node], receiver, substituted)

        prove(file.tree, result, pattern, substituted)
    edited = [(splice.start, splice.end) for splice in splices]
    edited += [
        (file.start(node), file.end(node)) for node in there if not file.in_format_string(node)
    ]
    count = len(there) + count_spelled(file, already, scope, edited)
    return EditResult(len(matches), count, result, pattern)


def rename(source: SourceText, old: str, new: str, *, already: Sequence[str] = ()) -> EditResult:
    """Put the identifier `new` in place of `old` wherever it stands in code.

    Strings and comments are left alone.

    Raises:
        PatchConflict: When the file cannot be parsed, or the name stands in an f-string.
    """
    file = PythonFile.parse(source)
    inside = [
        node
        for node in file.nodes
        if not isinstance(node, ast.Constant)
        and any(value == old for _, value in ast.iter_fields(node))
        and file.in_format_string(node)
    ]
    if inside:
        raise PatchConflict("the name in an f-string, which cannot be edited", old)
    names = [token for token in file.tokens if token.kind == tokenize.NAME]
    found = [token for token in names if token.string == old]
    there = sum(token.string == new for token in names)
    splices = []
    for token in found:
        start = source.starts[token.line - 1] + token.column
        splices.append(Splice(start, start + len(old), new))
    result = source.spliced(splices)
    renamed = [(token.kind, new if token in found else token.string) for token in file.tokens]
    if [(token.kind, token.string) for token in PythonFile.parse(result).tokens] != renamed:
        raise PatchConflict("a place where the edit would change more than the name", old)
    return EditResult(len(found), there + count_spelled(file, already, [file.tree]), result, old)


def pattern_tree(text: str) -> ast.expr:
    """Return the tree of an expression, or of links that begin with a dot.

    Raises:
        PatchConflict: When it is neither.
    """
    source = f"{RECEIVER}{text}" if text.startswith(".") else text
    try:
        tree = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise PatchConflict(f"{text!r} is no expression") from error
    if text.startswith(".") and match_chain(tree, tree) is None:
        raise PatchConflict(f"{text!r} is no link of a chain")
    return tree


def is_common(tree: ast.expr) -> bool:
    """Say whether an expression is so common that finding it proves nothing."""
    return isinstance(tree, ast.Name | ast.Constant)


def is_identifier(text: str) -> bool:
    """Say whether `text` can name something."""
    return text.isidentifier() and not keyword.iskeyword(text)


def _matching(pattern: ast.expr, nodes: Iterable[ast.expr]) -> dict[ast.expr, ast.expr]:
    """Return the nodes that match, each with its receiver, or itself where there are no links."""
    chain = _is_chain(pattern)
    found = {}
    for node in nodes:
        if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            continue  # a target of an assignment
        if chain and (receiver := match_chain(pattern, node)) is not None:
            found[node] = receiver
        elif not chain and equal(pattern, node):
            found[node] = node
    return found


def _is_chain(pattern: ast.expr) -> bool:
    node: ast.AST = pattern
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return isinstance(node, ast.Name) and node.id == RECEIVER


def _own_nodes(node: ast.AST, receiver: ast.AST) -> Iterable[ast.AST]:
    """Return the nodes below and at `node`, but for those of its receiver."""
    inherited = {id(each) for each in ast.walk(receiver)} if receiver is not node else set()
    return [each for each in ast.walk(node) if id(each) not in inherited]


def _splice(file: PythonFile, node: ast.expr, receiver: ast.expr, replacement: str) -> Splice:
    if receiver is not node:
        return Splice(_dot_after(file, receiver), file.end(node), replacement.strip())
    text = replacement.strip()
    bare = isinstance(pattern_tree(text), _PRIMARY)
    return Splice(file.start(node), file.end(node), text if bare else f"({text})")


def _dot_after(file: PythonFile, receiver: ast.expr) -> int:
    text, position = file.source.text, file.end(receiver)
    while text[position] != ".":
        if text[position] == "#":
            while text[position] not in "\r\n":
                position += 1
        elif text[position] in _LINK_GAP:
            position += 1
        else:
            raise PatchConflict("a chain that cannot be read", line=receiver.lineno)
    return position
