"""A verb that is told to end gives back what it holds, however it is told."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, signal
from invoke.exceptions import Exit
from verbs.verb import verb

async def work():
    try:
        print("holds", flush=True)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.01)
        print("gave back", flush=True)

@verb()
def hold(context):
    \"\"\"Hold something.\"\"\"
    asyncio.run(work())

# Whoever started the tests may have had signals ignored (nohup does), and a child inherits that.
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
{before}
try:
    hold.body(None)
except Exit as end:
    print("exit", end.code)
"""


def ended_by(number: signal.Signals, before: str = "") -> str:
    program = [sys.executable, "-c", PROGRAM.format(before=before)]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        process.send_signal(number)
        return process.communicate(timeout=30)[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_verb_that_is_ended_cleans_up(number: signal.Signals) -> None:
    assert ended_by(number) == "gave back\nexit 130\n"


def test_it_cleans_up_in_the_background_of_a_shell_too() -> None:
    assert ended_by(signal.SIGTERM, "signal.signal(signal.SIGINT, signal.SIG_IGN)") == "gave back\nexit 130\n"
