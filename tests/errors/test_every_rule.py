"""Every combination that is refused stands in one table, and a golden message says what is wrong with it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from generator.spec import couplings, couplings_balancing, couplings_system
from generator.spec.faults import Findings
from tests.errors.cases import CLUSTERS

SPEC = Path(couplings.__file__).parent
MODULES = sorted([*SPEC.glob("couplings_*.py"), *(SPEC / f"{name}.py" for name in ("override_rules", "inventory"))])


def named_in_the_table() -> set[str]:
    for node in ast.parse(Path(couplings.__file__).read_text()).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "GROUPS":
            return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    raise AssertionError("there is no table")


def refusals(module: Path) -> list[ast.Call]:
    """The calls by which a module refuses something."""
    calls = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "fault"]


@pytest.fixture(scope="module")
def messages() -> str:
    return CLUSTERS.everything()


@pytest.fixture(scope="module")
def called() -> set[tuple[str, int]]:
    """The file and line from which each refusal of the golden messages came."""
    return CLUSTERS.callers(Findings, "fault")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_check_stands_in_the_table(module: Path) -> None:
    if module.stem == "inventory":  # it makes hosts out of ranges and is no rule between fields
        return
    names = {node.name for node in ast.parse(module.read_text()).body if isinstance(node, ast.FunctionDef)}
    checks = {name for name in names if name.startswith("check_")}
    assert checks
    assert checks <= named_in_the_table()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_refusal_has_a_golden_message(module: Path, called: set[tuple[str, int]]) -> None:
    lines = {line for name, line in called if name == module.name}
    silent = [
        call.lineno for call in refusals(module) if not lines & set(range(call.lineno, (call.end_lineno or 0) + 1))
    ]
    assert silent == [], f"{module.name}: no folder of tests/errors comes to these lines"


def test_every_rule_of_the_inner_tables_has_a_golden_message(messages: str) -> None:
    ends = [(".".join(rule.field), rule.todo) for rule in couplings_balancing.RULES if not rule.warns] + [
        (".".join(rule.at), rule.todo) for rule in couplings_system.FAULTS
    ]
    for place, todo in ends:
        assert any(f"{place}: " in line and line.endswith(f"; {todo}") for line in messages.splitlines()), (place, todo)
