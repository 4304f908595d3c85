"""What is asked of the operator before something is removed, and where the question is put."""

from __future__ import annotations

import asyncio
import os
import pty
import sys

import pytest

from fleet.plan import Plan
from fleet.work import Change, HostPlan, Removal, Work
from verbs.running import agree_to_removals

NOTHING = Plan("demo", (), {"n1": HostPlan("n1")})
SOMETHING = Plan("demo", (), {"n1": HostPlan("n1", removals=(Removal("n1", "file", "/etc/a", "runtime", "idle"),))})

DROPPED = Plan(
    "demo",
    (),
    {"n1": HostPlan("n1", {"runtime": Work("n1", "runtime", (), (Change("/etc/a", "file", "delete", "idle"),))})},
)


@pytest.mark.parametrize(("typed", "expected"), [("y\n", True), ("yes\n", True), ("n\n", False), ("\n", False)])
def test_the_question_leaves_standard_output_and_the_event_loop_free(
    typed: str, expected: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keyboard, terminal = pty.openpty()

    async def main() -> bool:
        asked = asyncio.ensure_future(agree_to_removals(SOMETHING))
        await asyncio.sleep(0.01)
        assert not asked.done(), "it waits, and the loop goes on"
        os.write(keyboard, typed.encode())
        return await asyncio.wait_for(asked, 10)

    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert asyncio.run(main()) is expected
    os.close(keyboard)
    assert capsys.readouterr().out == ""


def test_without_a_terminal_nobody_agrees_and_nothing_to_remove_asks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open(os.devnull) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert not asyncio.run(agree_to_removals(SOMETHING))
        assert not asyncio.run(agree_to_removals(DROPPED))
        assert asyncio.run(agree_to_removals(NOTHING))
