"""A Python file as tree, tokens and text at once: where things stand, and what equals what."""

from __future__ import annotations

import ast
import tokenize
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.source_text import SourceText

RECEIVER = "__mm_receiver__"
"""Stands, in the tree of a pattern that begins with `.`, for whatever is before the dot."""

Function = ast.FunctionDef | ast.AsyncFunctionDef

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LAYOUT = frozenset(
    {
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.COMMENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
)
_IGNORED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def parse_tree(text: str) -> ast.Module:
    """Return the syntax tree of `text`, whose lines end in LF.

    Raises:
        PatchConflict: When it is not Python of this interpreter's version.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in the model author's strings
            return ast.parse(text)
    except SyntaxError as error:
        raise PatchConflict(f"not Python: {error.msg}", line=error.lineno or 0) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise PatchConflict(f"not Python: {error}") from error


@dataclass(frozen=True)
class Token:
    """A token that means something; line from 1, columns in characters."""

    kind: int
    string: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True)
class PythonFile:
    """A parsed file.

    Attributes:
        source: Its text.
        tree: Its syntax tree.
    """

    source: SourceText
    tree: ast.Module
    _parents: dict[int, tuple[ast.AST, str]] = field(default_factory=dict, repr=False)

    @staticmethod
    @lru_cache(maxsize=4)
    def parse(source: SourceText) -> PythonFile:
        """Parse `source`; one file is looked at several times in turn.

        Raises:
            PatchConflict: When it is not Python.
        """
        return PythonFile(source, parse_tree(source.normal))

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node, from the module inwards."""
        return list(ast.walk(self.tree))

    @cached_property
    def parents(self) -> dict[int, tuple[ast.AST, str]]:
        """The parent of each node, by the node's id, and the field in which it stands there."""
        for node in self.nodes:
            for name, value in ast.iter_fields(node):
                for child in value if isinstance(value, list) else (value,):
                    if isinstance(child, ast.AST):
                        self._parents[id(child)] = (node, name)
        return self._parents

    def above(self, node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
        """Yield each node above `node`, with the field through which one comes down from it."""
        while link := self.parents.get(id(node)):
            yield link
            node = link[0]

    def start(self, node: ast.expr | ast.stmt) -> int:
        """Return the offset at which `node` begins."""
        return self.source.offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt) -> int:
        """Return the offset at which `node` ends."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.source.offset(node.end_lineno, node.end_col_offset)

    def functions(self, dotted: str) -> list[Function]:
        """Return the functions called `dotted` (`Class.method`), wherever such a name is defined.

        The parts are the names of all classes and functions around it, from the module inwards.
        """
        wanted = dotted.split(".")
        return [
            node
            for node in self.nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name == wanted[-1]
            and self._names_above(node) == wanted[:-1]
        ]

    def _names_above(self, node: ast.AST) -> list[str]:
        names = [above.name for above, _ in self.above(node) if isinstance(above, _SCOPES)]
        return names[::-1]

    def has_self(self, node: ast.AST) -> bool:
        """Say whether the name `self` means the object of the method that `node` stands in.

        Parameters of functions and lambdas around it count, up to the nearest class; defaults,
        decorators and annotations belong to the scope outside their function.
        """
        for above, through in self.above(node):
            if isinstance(above, ast.ClassDef) and through == "body":
                return False
            function = isinstance(above, Function | ast.Lambda)
            if function and through == "body" and takes_self(above):
                return True
        return False

    def in_format_string(self, node: ast.AST) -> bool:
        """Say whether `node` stands inside an f-string, where older Pythons know no positions."""
        return any(isinstance(above, ast.JoinedStr) for above, _ in self.above(node))

    @cached_property
    def tokens(self) -> list[Token]:
        """Every token but those of layout and comments."""
        return list(tokens_of(self.source.normal))


def takes_self(node: ast.AST) -> bool:
    """Say whether the function or lambda `node` has a parameter called `self`."""
    if not isinstance(node, Function | ast.Lambda):
        return False
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return any(argument.arg == "self" for argument in named)


def tokens_of(text: str) -> Iterator[Token]:
    """Yield the tokens of `text`, a file or a piece of one, but those of layout and comments."""
    reader = iter(_lines(text))
    try:
        for token in tokenize.generate_tokens(lambda: next(reader, "")):
            if token.type not in _LAYOUT:
                yield Token(token.type, token.string, *token.start, *token.end)
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return  # a piece may end inside brackets; a whole file was parsed before


def _lines(text: str) -> list[str]:
    # Not `splitlines`, which breaks at form feeds too.
    lines = text.split("\n")
    return [*(line + "\n" for line in lines[:-1]), *([lines[-1]] if lines[-1] else [])]


Special = Callable[[ast.AST, object], "bool | None"]
"""Says whether two nodes agree in its own way; None where it has none for the first."""


def equal(pattern: object, found: object, special: Special | None = None) -> bool:
    """Say whether two trees say the same, whatever their layout.

    Args:
        pattern: A node, a list of nodes, or a value.
        found: What it is compared with.
        special: Asked first, about each node of `pattern`.
    """
    if isinstance(pattern, ast.AST):
        if special is not None and (said := special(pattern, found)) is not None:
            return said
        return equal_fields(pattern, found, special)
    if isinstance(pattern, list):
        return (
            isinstance(found, list)
            and len(pattern) == len(found)
            and all(equal(one, other, special) for one, other in zip(pattern, found, strict=True))
        )
    return type(pattern) is type(found) and repr(pattern) == repr(found)


def equal_fields(
    pattern: ast.AST, found: object, special: Special | None = None, but: str = ""
) -> bool:
    """Say whether two nodes are of one kind and their fields are equal, the one called `but` aside.

    `special` is asked about the nodes below, not about `pattern`.
    """
    return type(pattern) is type(found) and all(
        equal(getattr(pattern, name, None), getattr(found, name, None), special)
        for name in pattern._fields
        if name != but and name not in _IGNORED_FIELDS
    )


def match_chain(pattern: ast.AST, found: ast.AST) -> ast.expr | None:
    """Return the receiver in `found` where it ends with the links of `pattern`, or None.

    The leftmost name of `pattern` is `RECEIVER`.
    """
    if isinstance(pattern, ast.Name) and pattern.id == RECEIVER:
        return found if isinstance(found, ast.expr) else None
    if type(pattern) is not type(found):
        return None
    inner = {ast.Attribute: "value", ast.Call: "func", ast.Subscript: "value"}.get(type(pattern))
    if inner is None:
        return None
    for name in pattern._fields:
        if name == "ctx" and not isinstance(getattr(found, name), ast.Load):
            return None
        if name not in (inner, "ctx") and not equal(getattr(pattern, name), getattr(found, name)):
            return None
    return match_chain(getattr(pattern, inner), getattr(found, inner))


def occurrences(wanted: Sequence[Token], tokens: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    """Yield the first and last token of each place where `wanted` stands in `tokens`."""
    if not wanted:
        return
    strings = [token.string for token in wanted]
    position = 0
    while position + len(strings) <= len(tokens):
        window = tokens[position : position + len(strings)]
        if [token.string for token in window] == strings:
            yield window[0], window[-1]
            position += len(strings)
        else:
            position += 1


def uses_self(trees: Iterable[ast.AST]) -> bool:
    """Say whether the name `self` stands in one of `trees`."""
    return any(
        isinstance(node, ast.Name) and node.id == "self"
        for tree in trees
        for node in ast.walk(tree)
    )


def count_spelled(
    file: PythonFile,
    already: Sequence[str],
    scope: Sequence[ast.AST],
    taken: Sequence[tuple[int, int]] = (),
) -> int:
    """Count where the alternatives stand as code in `scope`, outside the places `taken`."""
    count = 0
    for alternative in already:
        wanted = list(tokens_of(alternative.strip()))
        for first, last in occurrences(wanted, file.tokens):
            start = file.source.starts[first.line - 1] + first.column
            end = file.source.starts[last.end_line - 1] + last.end_column
            inside = any(_contains(root, first) for root in scope)
            count += inside and not any(start < other and begin < end for begin, other in taken)
    return count


def _contains(root: ast.AST, token: Token) -> bool:
    if isinstance(root, Function):
        return first_line(root) <= token.line <= (root.end_lineno or root.lineno)
    return True


def prove(
    tree: ast.Module, result: SourceText, looked_for: str, special: Special | None = None
) -> None:
    """Check that the edited file says what `tree` says, but where `special` knows of an edit.

    Raises:
        PatchConflict: When it says anything else.
    """
    try:
        made = PythonFile.parse(result).tree
    except PatchConflict as error:
        raise PatchConflict(f"the edited file is {error.found}", looked_for, error.line) from error
    if not equal(tree, made, special):
        raise PatchConflict(
            "a place where the edit would change something else as well", looked_for
        )


def first_line(statement: ast.stmt) -> int:
    """Return the line on which a statement begins, its decorators counted in."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])
