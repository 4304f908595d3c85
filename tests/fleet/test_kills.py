"""Activation can be killed at any point and run again: nothing half written, no restart forgotten."""

from __future__ import annotations

import contextlib

import pytest

from fleet.runs import apply_run
from generator.errors import FleetError
from tests.fleet.local_host import as_root, killed_at
from tests.fleet.place import Place

pytestmark = as_root


@pytest.mark.parametrize("program", ["mv", "sync", "systemctl"])
@pytest.mark.parametrize("number", range(1, 6))
def test_a_killed_run_is_finished_by_the_next(one: Place, program: str, number: int) -> None:
    one.run(apply_run)
    host = one.hosts["n1"]
    host.forget_log()
    one.contents["/etc/idle/idle.conf"] = "level: 2\n"
    one.contents["/etc/systemd/system/idle.service"] += "# changed\n"
    if one.died(apply_run, host, program, number):
        one.run(apply_run)
    assert (host.root / "etc/idle/idle.conf").read_text() == "level: 2\n"
    assert "daemon-reload" in host.log and "restart idle.service" in host.log
    last_reload = len(host.log) - 1 - host.log[::-1].index("daemon-reload")
    assert "restart idle.service" in host.log[last_reload:], "restarted with the new unit"
    assert not list(host.root.rglob(".*.slipway"))
    assert not list(host.state("pending").iterdir())
    assert one.plan() == ["demo: nothing to do, 1 host is as rendered"]


@pytest.mark.parametrize(
    ("program", "number"),
    [*(("rm", number) for number in range(1, 6)), ("join", 1), ("join", 2), ("systemctl", 2), ("systemctl", 3)],
)
def test_a_restart_for_a_file_that_left_survives_a_kill(one: Place, program: str, number: int) -> None:
    gone = "/etc/systemd/system/idle.service.d/50-own.conf"
    one.items.append({"path": gone, "kind": "file", "mode": "0644", "phase": "runtime", "restarts": ["idle.service"]})
    one.contents[gone] = "[Service]\nNice=1\n"
    one.run(apply_run)
    host = one.hosts["n1"]
    host.forget_log()
    one.items.pop()
    del one.contents[gone]
    with killed_at(host, program, number), contextlib.suppress(FleetError):
        one.run(apply_run)
    left = (host.root / gone[1:]).exists()
    marked = host.state("pending/idle.service").exists()
    assert left or marked or "restart idle.service" in host.log
    one.run(apply_run)
    assert not (host.root / gone[1:]).exists()
    last_reload = len(host.log) - 1 - host.log[::-1].index("daemon-reload")
    assert "restart idle.service" in host.log[last_reload:]
    assert not list(host.state("pending").iterdir())
    assert one.plan() == ["demo: nothing to do, 1 host is as rendered"]
