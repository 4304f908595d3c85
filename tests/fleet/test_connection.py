"""What hosts say is shown, never obeyed by a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from fleet.connection import Input, Result, printable
from fleet.gates import journal_of
from fleet.holder import Holder
from fleet.host_scripts import run_script
from fleet.ssh_options import error_words
from generator.errors import HostError

EVIL = "\x1b]0;owned\x07\x9b2J\x7f"
SHOWN = "\ufffd]0;owned\ufffd\ufffd2J\ufffd"


class Hostile:
    """Answers everything with one text."""

    host = "n1"
    where = "demo/n1"

    def __init__(self, text: str, exit: int = 0) -> None:
        self.answer = Result(exit, text.encode(), text.encode())

    async def run(self, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
        return self.answer

    async def open_tcp(self, address: str, port: int) -> Any:
        raise ConnectionError

    async def close(self) -> None:
        return


def test_control_characters_are_replaced_and_tabs_and_lines_stay() -> None:
    assert printable(f"a\tb\nü…{EVIL}") == f"a\tb\nü…{SHOWN}"
    assert Result(1, b"", f"no: {EVIL}\n".encode()).complaint == f"no: {SHOWN}"
    assert error_words(OSError(f"closed: {EVIL}")) == f"closed: {SHOWN}"
    assert Holder(EVIL, "", "", "", "", "").words.startswith(SHOWN)


def test_no_answer_of_a_script_steers_the_terminal() -> None:
    assert asyncio.run(run_script(Hostile(f"kept\t{EVIL}\nend\n"), "lock")) == (("kept", SHOWN),)
    with pytest.raises(HostError) as caught:
        asyncio.run(run_script(Hostile(f"fail\t{EVIL}\n", 1), "lock"))
    assert str(caught.value) == f"demo/n1: lock: {SHOWN}"
    assert asyncio.run(journal_of(Hostile(f"a line {EVIL}\n"), "idle.service")) == f"  a line {SHOWN}"
