"""Activation can be killed at any point and run again: nothing half written, no restart forgotten."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

import fleet.host_gates as host_gates
from fleet.runs import apply_run
from generator.errors import FleetError
from tests.fleet.test_runs import HOSTS, Place

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="the host scripts give files to their owners, which needs root"
)

KILLER = """#!/bin/sh
# The {number}th call kills the script that makes it (and its whole session), as a power cut would.
echo x >>"$FAKE/calls"
if [ "$(wc -l <"$FAKE/calls")" -eq {number} ]; then kill -9 0; fi
exec {real} "$@"
"""


@pytest.mark.parametrize("program", ["mv", "sync", "systemctl"])
@pytest.mark.parametrize("number", range(1, 6))
def test_a_killed_run_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, number: int
) -> None:
    monkeypatch.setattr(host_gates, "STEADY_SECONDS", 0.0)
    place = Place(tmp_path)
    place.names = {"n1": HOSTS["n1"]}
    place.run(apply_run)
    host = place.hosts["n1"]
    host.forget_log()
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    place.contents["/etc/systemd/system/idle.service"] += "# changed\n"
    path = host.fake / "bin" / program
    real = shutil.which(program)
    if program == "systemctl":
        real = str(host.fake / "systemctl.real")
        shutil.move(path, real)
    path.write_text(KILLER.format(number=number, real=real))
    path.chmod(0o755)
    try:
        place.run(apply_run)
        killed = False
    except FleetError:
        killed = True
    path.unlink()
    if program == "systemctl":
        assert real is not None
        shutil.move(real, path)
    if killed:
        place.run(apply_run)
    assert (host.root / "etc/idle/idle.conf").read_text() == "level: 2\n"
    assert "daemon-reload" in host.log and "restart idle.service" in host.log
    last_reload = len(host.log) - 1 - host.log[::-1].index("daemon-reload")
    assert "restart idle.service" in host.log[last_reload:], "restarted with the new unit"
    assert not list(host.root.rglob(".*.slipway"))
    assert not list(host.state("pending").iterdir())
    assert place.plan() == ["demo: nothing to do, 1 host is as rendered"]


@pytest.mark.parametrize(
    ("program", "number"),
    [*(("rm", number) for number in range(1, 6)), ("join", 1), ("join", 2), ("systemctl", 2), ("systemctl", 3)],
)
def test_a_restart_for_a_file_that_left_survives_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, number: int
) -> None:
    monkeypatch.setattr(host_gates, "STEADY_SECONDS", 0.0)
    place = Place(tmp_path)
    place.names = {"n1": HOSTS["n1"]}
    gone = "/etc/systemd/system/idle.service.d/50-own.conf"
    place.items.append({"path": gone, "kind": "file", "mode": "0644", "phase": "runtime", "restarts": ["idle.service"]})
    place.contents[gone] = "[Service]\nNice=1\n"
    place.run(apply_run)
    host = place.hosts["n1"]
    host.forget_log()
    place.items.pop()
    del place.contents[gone]
    path = host.fake / "bin" / program
    real = shutil.which(program)
    if program == "systemctl":
        real = str(host.fake / "systemctl.real")
        shutil.move(path, real)
    path.write_text(KILLER.format(number=number, real=real))
    path.chmod(0o755)
    with contextlib.suppress(FleetError):
        place.run(apply_run)
    left = (host.root / gone[1:]).exists()
    marked = host.state("pending/idle.service").exists()
    assert left or marked or "restart idle.service" in host.log
    path.unlink()
    if program == "systemctl":
        assert real is not None
        shutil.move(real, path)
    place.run(apply_run)
    assert not (host.root / gone[1:]).exists()
    last_reload = len(host.log) - 1 - host.log[::-1].index("daemon-reload")
    assert "restart idle.service" in host.log[last_reload:]
    assert not list(host.state("pending").iterdir())
    assert place.plan() == ["demo: nothing to do, 1 host is as rendered"]
