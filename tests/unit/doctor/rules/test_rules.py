"""The table of findings: each rule is one that the code recognises, and the other way round."""

from __future__ import annotations

import ast
import string
from pathlib import Path

import orchestrator.doctor
from orchestrator.doctor.rules import findings

PACKAGE = Path(orchestrator.doctor.__file__).parent


def test_every_rule_of_the_table_is_used():
    texts = {
        node.value
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(findings._rules()) - texts == set()


def test_every_rule_that_is_used_is_in_the_table():
    names = {
        node.args[0].value
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "rule"
        and isinstance(node.args[0], ast.Constant)
    }
    assert names
    assert names - set(findings._rules()) == set()


def test_texts_are_sentences_without_a_full_stop_whose_places_can_be_filled():
    for name, rule in findings._rules().items():
        for text in (rule.id, rule.finding, rule.consequence, rule.remedy, rule.patched):
            list(string.Formatter().parse(text))  # raises for a single brace
            assert not text.endswith("."), name
