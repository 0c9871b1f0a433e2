"""TEDS, the similarity of two tables by tree edit distance (Zhong and others, 2020).

A table is a tree of rows and cells. TEDS is 1 minus the least edits that make one tree of the
other, over the nodes of the larger tree. A cell for another costs the edit distance of their texts
over the longer text, or 1 where they cover unequally many rows or columns. The tree edit distance
is that of Zhang and Shasha (1989).
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from tests.integration.reading import edit_distance


class Cell(NamedTuple):
    """A cell: its text without white space, and how many rows and columns it covers."""

    text: str
    rowspan: int = 1
    colspan: int = 1


Rows = Sequence[Sequence[Cell]]


def similarity(one: Rows, other: Rows) -> float:
    """Return the TEDS of two tables, from 0 to 1."""
    nodes, others = _postorder(one), _postorder(other)
    return 1 - _tree_distance(nodes, others) / max(len(nodes), len(others))


def mean_similarity(found: Sequence[Rows], expected: Sequence[Rows]) -> float:
    """Return the mean over the tables of a page; one that is missing or invented has 0."""
    if not found and not expected:
        return 1.0
    scores = [[0.0] * (len(expected) + 1) for _ in range(len(found) + 1)]
    for i, one in enumerate(found, 1):
        for j, other in enumerate(expected, 1):
            paired = scores[i - 1][j - 1] + similarity(one, other)
            scores[i][j] = max(scores[i - 1][j], scores[i][j - 1], paired)
    return scores[-1][-1] / max(len(found), len(expected))


def tables_of(body: str) -> list[list[list[Cell]]]:
    """Return the tables in HTML that names the text, rowspan and colspan of each cell."""
    return [
        [
            [Cell(_plain(text), _span("row", attributes), _span("col", attributes))
             for attributes, text in re.findall(r"<t[dh]([^>]*)>(.*?)</t[dh]>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", table)
        ]
        for table in re.findall(r"<table\b.*?</table>", body, re.DOTALL)
    ]  # fmt: skip


def read_tables(tables: Sequence[dict]) -> list[list[list[Cell]]]:
    """Return the tables of the output `tables`."""
    return [
        [
            [Cell(_plain(cell["text"]), cell.get("rowspan", 1), cell.get("colspan", 1))
             for cell in row]
            for row in table["rows"]
        ]
        for table in tables
    ]  # fmt: skip


def _plain(text: str) -> str:
    return "".join(html.unescape(re.sub(r"<[^>]*>", "", text)).split())


def _span(side: str, attributes: str) -> int:
    found = re.search(rf"{side}span=['\"]?(\d+)", attributes)
    return int(found[1]) if found else 1


def _postorder(rows: Rows) -> list[tuple[str | Cell, int]]:
    """Return the nodes in postorder, each with the number of the leftmost leaf below it."""
    nodes: list[tuple[str | Cell, int]] = []
    for row in rows:
        first = len(nodes)
        nodes += [(cell, first + k) for k, cell in enumerate(row)]
        nodes.append(("row", first))
    return [*nodes, ("table", 0)]


def _tree_distance(
    nodes: list[tuple[str | Cell, int]], others: list[tuple[str | Cell, int]]
) -> float:
    """Return the least cost of edits, over the pairs of subtrees that are no leftmost child."""
    between = [[0.0] * len(others) for _ in nodes]
    for root in _key_roots(nodes):
        for other_root in _key_roots(others):
            _forest_distances(nodes, others, root, other_root, between)
    return between[-1][-1]


def _key_roots(nodes: list[tuple[str | Cell, int]]) -> list[int]:
    return sorted({leaf: number for number, (_, leaf) in enumerate(nodes)}.values())


def _forest_distances(nodes, others, root, other_root, between) -> None:  # type: ignore[no-untyped-def]
    """Write the distances of the subtrees on the leftmost paths below two roots into `between`."""
    left, other_left = nodes[root][1], others[other_root][1]
    height, width = root - left + 2, other_root - other_left + 2
    forest = [[float(i + j) if 0 in (i, j) else 0.0 for j in range(width)] for i in range(height)]
    for i in range(1, height):
        for j in range(1, width):
            (label, leaf), (other, other_leaf) = nodes[left + i - 1], others[other_left + j - 1]
            edited = min(forest[i - 1][j], forest[i][j - 1]) + 1
            if leaf == left and other_leaf == other_left:
                forest[i][j] = min(edited, forest[i - 1][j - 1] + _cost(label, other))
                between[left + i - 1][other_left + j - 1] = forest[i][j]
            else:
                inner = between[left + i - 1][other_left + j - 1]
                forest[i][j] = min(edited, forest[leaf - left][other_leaf - other_left] + inner)


def _cost(one: str | Cell, other: str | Cell) -> float:
    """Return what it costs to make one node of the other."""
    if isinstance(one, str) or isinstance(other, str):
        return float(one != other)
    if one[1:] != other[1:]:
        return 1.0
    return edit_distance(one.text, other.text) / max(len(one.text), len(other.text), 1)
