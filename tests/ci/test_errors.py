"""Messages of faulty project files: every rule has one, and none repeats a secret."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from generator.ci import rules, rules_environments
from generator.ci.found import Found
from tests.ci.error_cases import PROJECTS


@pytest.mark.parametrize("fault", [fault for fault in PROJECTS.faults() if fault.startswith("git-")])
def test_no_message_repeats_what_may_be_a_password(fault: str) -> None:
    assert not re.search("hunter2|glpat|private_token", PROJECTS.golden(fault))


TELLING = ("fault", "fault_once", "warn")
MODULES = (rules, rules_environments)


def _refusals() -> list[tuple[str, int]]:
    """Return file and line of each place where a rule refuses something or warns."""
    files = [Path(module.__file__) for module in MODULES]
    return [
        (file.name, call.lineno)
        for file in files
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in TELLING
    ]


@pytest.fixture(scope="module")
def called() -> set[tuple[str, int]]:
    return PROJECTS.callers(Found, *TELLING)


@pytest.mark.parametrize("place", _refusals(), ids=lambda place: f"{place[0]}-{place[1]}")
def test_every_rule_has_a_golden_message(place: tuple[str, int], called: set[tuple[str, int]]) -> None:
    assert place in called
