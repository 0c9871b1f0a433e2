"""`mm doctor`: checks a model's files, the packages of environments and the machine, and explains.

Nothing here changes anything: no cache is made, no package imported, and no file written but the
outcome of a self-test (`self_test.py`). What is
gathered is checked by the rules of `orchestrator.doctor.rules`, which do no work on the machine.
"""

from orchestrator.doctor.drafting import check_command, draft, write_draft
from orchestrator.doctor.examine import examine
from orchestrator.doctor.explain import Explanation, explain, hint
from orchestrator.doctor.gather import CheckOptions, find_subject, load_tables
from orchestrator.doctor.installation import check_installation
from orchestrator.doctor.lock_wheels import ask_for_wheels
from orchestrator.doctor.rules.findings import (
    Effect,
    Finding,
    Layer,
    Report,
    document,
    shortened,
    slug,
)
from orchestrator.doctor.self_test import compare_with_cpu
from orchestrator.doctor.smallest import run_smallest

__all__ = [
    "CheckOptions",
    "Effect",
    "Explanation",
    "Finding",
    "Layer",
    "Report",
    "ask_for_wheels",
    "check_command",
    "check_installation",
    "compare_with_cpu",
    "document",
    "draft",
    "examine",
    "explain",
    "find_subject",
    "hint",
    "load_tables",
    "run_smallest",
    "shortened",
    "slug",
    "write_draft",
]
