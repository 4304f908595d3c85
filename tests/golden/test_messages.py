"""Messages of faulty inputs are golden: they are what people work with."""

from __future__ import annotations

import re

import pytest

from tests.ci.error_cases import PROJECTS
from tests.errors.cases import CLUSTERS
from tests.golden.messages import Messages

BOTH = (CLUSTERS, PROJECTS)
EACH = [pytest.param(one, fault, id=f"{one.name}-{fault}") for one in BOTH for fault in one.faults()]


@pytest.mark.parametrize(("messages", "fault"), EACH)
def test_message_is_golden(messages: Messages, fault: str) -> None:
    assert messages.message(fault) == messages.golden(fault), "run make golden and read the difference"


@pytest.mark.parametrize(("messages", "fault"), EACH)
def test_every_line_says_where_what_and_what_to_do(messages: Messages, fault: str) -> None:
    lines = messages.golden(fault).splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(rf"(warning: )?{re.escape(messages.shown)}:[1-9][0-9]*: .+; .+", line), line
        assert "Traceback" not in line


@pytest.mark.parametrize("messages", BOTH, ids=lambda messages: messages.name)
def test_there_are_many_faults_and_none_is_left_over(messages: Messages) -> None:
    assert len(messages.faults()) >= 60
    assert not messages.left_over()
