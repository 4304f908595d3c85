"""Activation on one host where things are not as they should be: what was there before, and what a killed run left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import fleet.host_gates as host_gates
from fleet.runs import apply_run
from generator.errors import FleetError
from tests.fleet.local_host import LocalHost
from tests.fleet.test_runs import HOSTS, Place

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="the host scripts give files to their owners, which needs root"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(host_gates, "STEADY_SECONDS", 0.0)
    one = Place(tmp_path)
    one.names = {"n1": HOSTS["n1"]}
    return one


def owned_users(host: LocalHost) -> list[str]:
    lines = host.state("installed").read_text().splitlines()
    return [line.partition("\t")[0] for line in lines if line.startswith("user:")]


def test_a_user_who_was_there_before_us_is_not_ours(place: Place) -> None:
    host = place.hosts["n1"]
    # `id` asks this machine, systemd-sysusers the scratch folder: "daemon" is known to both.
    (host.root / "etc/passwd").write_text("daemon:x:1:1::/:/usr/sbin/nologin\n")
    (host.root / "etc/group").write_text("daemon:x:1:\n")
    place.items.append({"name": "daemon", "kind": "user", "phase": "host-base"})
    place.run(apply_run)
    assert owned_users(host) == ["user:idler"]
    place.items.pop()
    assert not [line for line in place.plan() if "daemon" in line]


def test_a_user_whom_we_made_stays_ours(place: Place) -> None:
    host = place.hosts["n1"]
    place.run(apply_run)
    # As on the next run of a real host: `id` knows him now.
    (host.fake / "bin/id").write_text("#!/bin/sh\nexit 0\n")
    (host.fake / "bin/id").chmod(0o755)
    next(item for item in place.items if item["kind"] == "directory")["mode"] = "0750"
    place.run(apply_run)
    assert owned_users(host) == ["user:idler"]


def test_a_user_of_a_killed_run_is_ours(place: Place) -> None:
    host = place.hosts["n1"]
    program = host.fake / "bin/systemd-sysusers"
    program.write_text("#!/bin/sh\nkill -9 0\n")
    program.chmod(0o755)
    with pytest.raises(FleetError):
        place.run(apply_run)
    program.unlink()
    assert owned_users(host) == ["user:idler"]


def test_an_empty_mark_counts_as_a_restart(place: Place) -> None:
    host = place.hosts["n1"]
    place.run(apply_run)
    host.forget_log()
    host.state("pending/idle.service").write_text("")
    assert place.plan()[:3] == ["phase runtime", "  n1", "    ! restart idle.service"]
    place.run(apply_run)
    assert host.log == ["restart idle.service"]
    assert not list(host.state("pending").iterdir())


def test_a_kill_leaves_no_half_copy_for_a_rollback(place: Place) -> None:
    host = place.hosts["n1"]
    place.run(apply_run)
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    program = host.fake / "bin/cp"
    program.write_text('#!/bin/sh\nfor to; do :; done\nprintf lev >"$to"\nkill -9 0\n')
    program.chmod(0o755)
    with pytest.raises(FleetError):
        place.run(apply_run)
    assert (host.root / "etc/idle/idle.conf").read_text() == "level: 1\n"
    program.unlink()
    place.run(apply_run)
    kept = [path for path in host.state("previous").rglob("*") if path.is_file() and path.name != "manifest"]
    assert [(path.name, path.read_text()) for path in kept] == [("idle.conf", "level: 1\n")]
