"""What an operator sees of a run: lines, JSON, and names folded."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from fleet.folding import folded
from fleet.reporter import JsonReporter, LineReporter, Reporter, TerminalReporter


def told(reporter: Reporter) -> None:
    reporter.event("phase", phase="nodes", title="every node is Ready")
    reporter.event("waiting", phase="nodes", host="n1", gate="units", reason="[red]not yet[/red]")
    reporter.event("gate", phase="nodes", host="n1", gate="units", took=1.25)
    reporter.event("warning", text="something")
    reporter.event("done", text="demo: zero changes")


def test_lines_carry_the_seconds() -> None:
    clock = iter(range(100))
    out = io.StringIO()
    told(LineReporter(out, now=lambda: float(next(clock))))
    assert out.getvalue().splitlines() == [
        "    1.0s  nodes: every node is Ready",
        "    2.0s  n1: waiting for units: [red]not yet[/red]",
        "    3.0s    n1: gate units open after 1.2 s",
        "    4.0s  warning: something",
        "    5.0s  demo: zero changes",
    ]


def test_json_is_one_object_a_line() -> None:
    out = io.StringIO()
    told(JsonReporter(out, now=lambda: 0.0))
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["phase", "waiting", "gate", "warning", "done"]
    assert lines[2] == {"event": "gate", "seconds": 0.0, "phase": "nodes", "host": "n1", "gate": "units", "took": 1.25}


def test_a_terminal_shows_what_is_waited_for_and_reads_no_markup() -> None:
    out = io.StringIO()
    told(TerminalReporter(Console(file=out, force_terminal=True, width=100, color_system=None), now=lambda: 0.0))
    assert "demo: zero changes" in out.getvalue() and "warning: something" in out.getvalue()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["w-001", "w-002", "w-003"], "w-001…003"),
        (["w1", "w2"], "w1, w2"),
        (["w8", "w9", "w10", "w11"], "w8…11"),
        (["w009", "w010", "w011"], "w009…011"),
        (["a1", "b2", "b3", "b4"], "a1, b2…4"),
        (["1a", "2a", "3a"], "1a…3a"),
        (["x"], "x"),
    ],
)
def test_names_fold_into_runs(names: list[str], expected: str) -> None:
    assert folded(reversed(names)) == expected
