"""Messages of faulty project files are golden: they are what people work with."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from generator.ci import rules, rules_environments
from tests.ci.error_cases import FOLDER, faults, message

WHERE = r"(warning: )?clusters/prod/projects/hello\.yaml:[1-9][0-9]*: .+; .+"


@pytest.mark.parametrize("fault", faults())
def test_message_is_golden(fault: str) -> None:
    golden = FOLDER / fault / "message.txt"
    assert message(fault) == golden.read_text(encoding="utf-8"), "run make golden and read the difference"


@pytest.mark.parametrize("fault", faults())
def test_every_line_says_where_what_and_what_to_do(fault: str) -> None:
    lines = message(fault).splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(WHERE, line), line
        assert "Traceback" not in line


def test_no_message_without_its_file() -> None:
    assert {path.parent.name for path in FOLDER.glob("*/message.txt")} == set(faults())


@pytest.mark.parametrize("fault", [fault for fault in faults() if fault.startswith("git-")])
def test_no_message_repeats_what_may_be_a_password(fault: str) -> None:
    assert not re.search("hunter2|glpat|private_token", message(fault))


def _refusals() -> list[ast.Call]:
    texts = (Path(module.__file__).read_text() for module in (rules, rules_environments))
    calls = (one for text in texts for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Call))
    names = {"fault", "fault_once", "warn"}
    return [
        call
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in names
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "found"
    ]


@pytest.mark.parametrize("call", _refusals(), ids=lambda call: f"line-{call.lineno}")
def test_every_rule_has_a_golden_message(call: ast.Call) -> None:
    """The words of a rule, as far as they are fixed, stand in some message."""
    everything = "".join(message(fault) for fault in faults())
    todo = call.args[-1]
    words = [part.value for part in ast.walk(todo) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    assert all(word in everything for word in words if len(word) > 3), words
