"""The benchmark programs run at a tiny size, and their page says what was and what was not measured."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.bring_up import phases_of
from bench.measuring import BenchError, busy_cores, run
from bench.results import save
from bench.workspace import spec_of
from generator.spec import load_text

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {
    "date": "2026-01-01T00:00Z",
    "cores": 2,
    "memoryGiB": 4,
    "kernel": "6.1",
    "python": "3.11",
    "loadBefore": 0.3,
    "busyBefore": 0.1,
}


def _figure(seconds: float, **more: Any) -> dict[str, Any]:
    return {"seconds": seconds, "least": seconds, "most": seconds, "runs": 1, "cpu": seconds, "peakMiB": 80.0, **more}


@pytest.mark.parametrize("hosts", [1, 3, 10, 260, 3000])
def test_a_cluster_to_measure_has_as_many_hosts_as_wanted(hosts: int) -> None:
    assert len(load_text(json.dumps(spec_of(hosts))).hosts) == hosts


def test_the_render_benchmark_runs(tmp_path: Path) -> None:
    words = ["--hosts", "4", "--runs", "1", "--kapitan-runs", "0", "--results", str(tmp_path)]
    cache = {"SLIPWAY_CACHE": str(tmp_path / "cache")}
    run([sys.executable, "-m", "bench.render", *words], cwd=ROOT, env=cache)
    text = report.page(tmp_path)
    case = json.loads((tmp_path / "render.json").read_text())["cases"][0]
    assert case["files"] > 100
    assert case["cold"]["cpu"] > case["floorSwapped"]["cpu"]
    assert f"| files | {case['files']} |" in text
    assert "not measured" in text
    assert "`make bench-push` does it" in text


def test_an_aim_that_is_missed_is_marked(tmp_path: Path) -> None:
    calls = {name: _figure(1.0) for name in ("load", "render", "check")}
    floor = {**_figure(0.5), "writing": _figure(0.1)}
    case = {
        "hosts": 1000, "files": 3000, "bytes": 1, "issue": {"seconds": 1.0, "made": 3}, "cold": _figure(1.0),
        "unchanged": _figure(0.5), "check": _figure(0.5), "calls": calls, "floorPlain": floor, "floorSwapped": floor,
        "kapitan": _figure(40.0),
    }  # fmt: skip
    save("render", {"machine": MACHINE, "peer": "kapitan 1", "cases": [case]}, tmp_path)
    text = report.page(tmp_path)
    assert "| cold ÷ floor, processes | 2.0x | at most 3x |" in text
    assert "| Kapitan ÷ cold | 40x | at least 15x |" in text
    assert "| Kapitan ÷ unchanged | 80x, missed | at least 100x |" in text


@pytest.mark.parametrize(
    ("times", "ended", "aim", "cell"),
    [
        (2.0, True, 3.0, "2.0x"), (3.1, True, 3.0, "3.1x, missed"), (15.0, True, -15.0, "15x"),
        (12.0, True, -15.0, "12x, missed"), (12.0, True, None, "12x"),
        (12.0, False, -15.0, "more than 12x, not known"), (16.0, False, -15.0, "more than 16x"),
        (2.0, False, 3.0, "more than 2.0x, not known"), (3.1, False, 3.0, "more than 3.1x, missed"),
        (12.0, False, None, "more than 12x"),
    ],
)  # fmt: skip
def test_a_ratio_of_what_was_given_up_is_a_bound(times: float, ended: bool, aim: float | None, cell: str) -> None:
    assert report.Ratio(times, ended).cell(aim) == cell


def test_a_peer_that_was_given_up_never_misses_an_aim_for_us(tmp_path: Path) -> None:
    calls = {name: _figure(1.0) for name in ("load", "render", "check")}
    floor = {**_figure(0.5), "writing": _figure(0.1)}
    case = {
        "hosts": 3000, "files": 3000, "bytes": 1, "issue": {"seconds": 1.0, "made": 3}, "cold": _figure(50.0),
        "unchanged": _figure(5.0), "check": _figure(5.0), "calls": calls, "floorPlain": floor, "floorSwapped": floor,
        "kapitan": {**_figure(600.0, ended=False), "cpu": 550.0},
    }  # fmt: skip
    save("render", {"machine": MACHINE, "peer": "kapitan 1", "cases": [case]}, tmp_path)
    text = report.page(tmp_path)
    assert "| kapitan 1, process | not ended after 600 s |" in text
    assert "| Kapitan ÷ cold | more than 12x, not known | at least 15x |" in text
    assert "| Kapitan ÷ unchanged | more than 120x | at least 100x |" in text
    assert "| by CPU: Kapitan ÷ cold | more than 11x, not known | at least 15x |" in text
    case["cold"] = _figure(50.0, ended=False)
    save("render", {"machine": MACHINE, "peer": "kapitan 1", "cases": [case]}, tmp_path)
    assert "| Kapitan ÷ cold | not measured | at least 15x |" in report.page(tmp_path)


def test_a_peer_that_did_not_end_is_said_to_be_so(tmp_path: Path) -> None:
    ours = {
        "filesPerHost": [1, 2], "bytes": 1, **dict.fromkeys(("firstWithBinaries", "first", "oneFile"), _figure(2.0)),
        "noChange": _figure(2.0), "noChangeCall": _figure(1.0, read=0.5),
        "floor": _figure(1.0, entering=_figure(1.0)),
    }  # fmt: skip
    late = {"first": _figure(600.0, ended=False)}
    cases = [{"targets": 50, "slipway": ours, "ansible5": late}]
    save("push", {"machine": MACHINE, "peers": ["a", "b"], "cases": cases}, tmp_path)
    text = report.page(tmp_path)
    assert "| Ansible, 5 forks, first | not ended after 600 s |" in text
    assert "| Ansible, 5 forks, nothing to do | not measured |" in text
    assert "| nothing to do ÷ floor, processes | 2.0x, missed | at most 1.5x |" in text


def test_phases_end_where_the_next_begins() -> None:
    events = [
        {"event": "note", "seconds": 1.0},
        {"event": "phase", "seconds": 2.0, "phase": "push"},
        {"event": "phase", "seconds": 5.0, "phase": "etcd"},
        {"event": "gate", "seconds": 8.0, "phase": "etcd", "gate": "units", "took": 3.0},
        {"event": "gate", "seconds": 9.0, "phase": "etcd", "gate": "units", "took": 2.0},
        {"event": "done", "seconds": 9.5},
    ]
    assert phases_of(events, 10.0) == [
        {"phase": "before", "seconds": 2.0, "longestGates": {}},
        {"phase": "push", "seconds": 3.0, "longestGates": {}},
        {"phase": "etcd", "seconds": 4.5, "longestGates": {"units": 3.0}},
    ]


def test_a_run_counts_the_children_that_it_waited_for_and_is_ended_in_time() -> None:
    busy = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(20_000_000))'])"
    assert run([sys.executable, "-c", busy]).cpu > 0.1
    slow = run(["sh", "-c", "sleep 60 & wait"], most=0.5)
    assert not slow.ended
    assert slow.seconds < 30
    stray = run(["sh", "-c", "setsid sleep 61 </dev/null >/dev/null 2>&1 & echo $!; wait"], most=0.5)
    began = time.monotonic()
    # What was killed is there until its new parent has heard of it.
    while Path(f"/proc/{stray.output.strip()}").exists():
        assert time.monotonic() - began < 20, "a session of its own does not save it"
    with pytest.raises(BenchError, match="exit code 3"):
        run(["sh", "-c", "exit 3"])


def test_work_of_others_is_seen_before_a_measurement() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            assert busy_cores(1.0) > 0.4
        finally:
            busy.kill()


def test_every_program_says_what_it_can_do() -> None:
    for name in ("render", "push", "add", "bring_up"):
        done = subprocess.run(
            [sys.executable, "-m", f"bench.{name}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert "--results" in done.stdout
