"""plan, push and apply over hosts without SSH: the real scripts, below scratch folders."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.holder import holder_here
from fleet.lock import Lock
from fleet.options import Options
from fleet.plan import Plan
from fleet.runs import apply_run, push_run
from fleet.standing import utc_now
from generator.errors import ArtifactError, GateError, HostError, LockError, RefusedError
from tests.fleet.local_host import as_root
from tests.fleet.place import HOSTS, PROGRAM, Place

pytestmark = as_root


def test_apply_brings_bare_hosts_up_and_then_changes_nothing(place: Place) -> None:
    place.run(apply_run)
    for name in HOSTS:
        host = place.hosts[name]
        assert (host.root / "etc/idle/idle.conf").read_text() == "level: 1\n"
        assert (host.root / "opt/idle/1.0/idle").read_bytes() == PROGRAM
        assert (host.root / "opt/idle/1.0/idle").stat().st_mode & 0o777 == 0o755
        assert os.readlink(host.root / "usr/local/bin/idle") == "/opt/idle/1.0/idle"
        assert "idler:" in (host.root / "etc/passwd").read_text()
        assert host.log == ["daemon-reload", "enable idle.service", "start idle.service"]
        assert host.state("").stat().st_mode & 0o777 == 0o700
        assert not list(host.root.rglob(".*.slipway")), "no sibling is left behind"
        assert not list(host.state("pending").iterdir())
        host.forget_log()
    assert place.plan() == ["demo: nothing to do, 3 hosts are as rendered"]
    place.run(apply_run)
    assert [place.hosts[name].log for name in HOSTS] == [[], [], []]


def test_a_changed_file_restarts_its_unit_and_nothing_else(place: Place) -> None:
    place.run(apply_run)
    for name in HOSTS:
        place.hosts[name].forget_log()
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    assert place.plan() == [
        "phase runtime",
        "  n1…3 (3 hosts)",
        "    ~ /etc/idle/idle.conf",
        "        -level: 1",
        "        +level: 2",
        "    ! restart idle.service",
        "",
        "demo: 3 hosts, 3 changes, 3 restarts",
    ]
    place.run(apply_run)
    assert [place.hosts[name].log for name in HOSTS] == [["restart idle.service"]] * 3
    previous = place.hosts["n1"].state("previous")
    assert [path.read_text() for path in previous.rglob("idle.conf")] == ["level: 1\n"]


def test_a_file_edited_by_hand_is_shown_and_put_back(place: Place) -> None:
    place.run(apply_run)
    (place.hosts["n2"].root / "etc/idle/idle.conf").write_text("level: 9\n")
    lines = place.plan()
    assert lines[1:6] == [
        "  n2",
        "    ~ /etc/idle/idle.conf",
        "        -level: 9",
        "        +level: 1",
        "    ! restart idle.service",
    ]
    place.run(apply_run)
    assert (place.hosts["n2"].root / "etc/idle/idle.conf").read_text() == "level: 1\n"
    assert len(place.plan()) == 1


def test_a_wrong_mode_is_put_right_without_a_restart(place: Place) -> None:
    place.run(apply_run)
    host = place.hosts["n1"]
    host.forget_log()
    (host.root / "etc/idle/idle.conf").chmod(0o666)
    assert "    ~ /etc/idle/idle.conf  0666 root:root -> 0644 root:root" in place.plan()
    place.run(apply_run)
    assert (host.root / "etc/idle/idle.conf").stat().st_mode & 0o777 == 0o644
    assert host.log == []


def test_a_program_that_others_may_write_is_shown_and_put_right(place: Place) -> None:
    place.run(apply_run)
    program = place.hosts["n1"].root / "opt/idle/1.0/idle"
    place.hosts["n1"].forget_log()
    program.chmod(0o666)
    os.chown(program, 65534, 0)
    owner = pwd.getpwuid(65534).pw_name
    assert f"    ~ /opt/idle/1.0/idle  0666 {owner}:root -> 0755 root:root" in place.plan()
    place.run(apply_run)
    assert (program.stat().st_mode & 0o7777, program.stat().st_uid) == (0o755, 0)
    assert place.hosts["n1"].log == [], "a mode restarts nothing"
    assert len(place.plan()) == 1


def overwrite(program: Path) -> None:
    """Write another program of the same size and give it the time of the old one, as its owner can."""
    times = (program.stat().st_atime_ns, program.stat().st_mtime_ns)
    with program.open("r+b") as file:
        file.write(b"#!/bin/sh\nexec evil")
    os.utime(program, ns=times)


def test_a_program_that_others_could_write_is_not_believed_by_its_time(place: Place) -> None:
    place.run(apply_run)
    program = place.hosts["n1"].root / "opt/idle/1.0/idle"
    os.chown(program, 65534, 0)
    overwrite(program)
    assert "    ~ /opt/idle/1.0/idle  idle 1.0" in place.plan()
    place.run(apply_run)
    assert program.read_bytes() == PROGRAM and program.stat().st_uid == 0


def test_a_program_written_between_plan_and_apply_is_sent_anew(place: Place) -> None:
    place.names = {"n1": HOSTS["n1"]}
    place.run(apply_run)
    host = place.hosts["n1"]
    program = host.root / "opt/idle/1.0/idle"
    program.chmod(0o666)
    # The first chown of the activation comes after all questions: just before it, somebody writes.
    stub = host.fake / "bin/chown"
    evil = host.fake / "evil"
    evil.write_bytes(PROGRAM.replace(b"sleep", b"evil!"))
    stub.write_text(
        f'#!/bin/sh\nfor to; do :; done\ncase $to in */idle/1.0/idle) cat {evil} >"$to"; '
        f'touch -d "$(cat {host.fake}/time)" "$to" ;; esac\nexec {shutil.which("chown")} "$@"\n'
    )
    (host.fake / "time").write_text(subprocess.check_output(["stat", "-c", "%y", program], text=True))
    stub.chmod(0o755)
    with pytest.raises(HostError, match="idle has been written by somebody else; run the same command again"):
        place.run(apply_run)
    stub.unlink()
    place.run(apply_run)
    assert program.read_bytes() == PROGRAM and program.stat().st_mode & 0o777 == 0o755
    assert len(place.plan()) == 1


def test_a_stopped_unit_is_started_again(place: Place) -> None:
    place.run(apply_run)
    host = place.hosts["n3"]
    (host.fake / "units/idle.service").write_text("inactive\n")
    host.forget_log()
    assert "    ! start idle.service  because it is inactive" in place.plan()
    place.run(apply_run)
    assert host.log == ["start idle.service"]


def test_push_stages_and_touches_nothing_that_runs(place: Place) -> None:
    assert place.run(push_run) == 3
    host = place.hosts["n1"]
    assert not (host.root / "etc/idle/idle.conf").exists()
    assert (host.root / "opt/idle/1.0/idle").exists(), "a version folder is used by nothing yet"
    assert host.log == []
    assert place.run(push_run) == 0, "what is staged is not sent again"


def test_what_is_staged_under_another_digest_is_never_activated(place: Place) -> None:
    place.run(push_run)
    before = place.tree().hosts["n1"].digest
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    place.run(apply_run)
    host = place.hosts["n1"]
    assert (host.root / "etc/idle/idle.conf").read_text() == "level: 2\n"
    assert not host.state(f"staged/{before}").exists()


def test_a_wrong_digest_stops_before_anything_is_activated(place: Place) -> None:
    place.locked = "0" * 64
    with pytest.raises(ArtifactError, match=r"idle 1\.0 amd64: idle has digest .*, artifacts\.lock says 0000"):
        place.run(apply_run)
    assert not (place.hosts["n1"].root / "etc/idle").exists()


def test_an_unlocked_artifact_names_the_verb(place: Place) -> None:
    place.locked = "unlocked"
    for verb in (push_run, apply_run):
        with pytest.raises(ArtifactError, match=r"idle 1\.0 amd64 is not locked; run `invoke lock`"):
            place.run(verb)
    assert not place.hosts.hosts, "no host was asked"
    assert place.plan(), "a review needs no digests"


def test_a_unit_that_does_not_start_stops_the_run_before_the_next_batch(place: Place) -> None:
    place.run(apply_run)
    for name in HOSTS:
        place.hosts[name].forget_log()
    place.contents["/etc/idle/idle.conf"] = "level: bad\n"
    (place.hosts["n1"].fake / "broken.idle.service").touch()
    with pytest.raises(GateError) as caught:
        place.run(apply_run)
    assert str(caught.value).startswith("demo/n1: runtime: systemctl restart idle.service failed (Job ")
    assert "the last words of the unit" in str(caught.value)
    assert place.hosts["n2"].log == [] and place.hosts["n3"].log == []
    # What is owed is still owed: the repaired run restarts the unit although the file is in place.
    (place.hosts["n1"].fake / "broken.idle.service").unlink()
    place.hosts["n1"].forget_log()
    place.run(apply_run)
    assert place.hosts["n1"].log == ["start idle.service"]
    assert place.hosts["n2"].log == ["restart idle.service"]


def test_a_gate_that_stays_shut_names_host_unit_and_reason(place: Place) -> None:
    phases = [
        {"name": "host-base", "batch": "all"}, {"name": "binaries", "batch": "all"},
        {"name": "runtime", "batch": "one", "gates": [{"kind": "units", "timeout": 0}]},
    ]  # fmt: skip
    (place.hosts["n1"].fake / "sick.idle.service").touch()
    with pytest.raises(
        GateError, match=r"demo/n1: runtime: gate units is still shut: idle.service is activating \(auto-restart\)"
    ):
        place.run(apply_run, phases=phases)
    (place.hosts["n1"].fake / "sick.idle.service").unlink()
    assert "  n1" in place.plan(phases=phases), "the phase is not recorded, so the next run looks again"
    place.run(apply_run, phases=phases)
    assert place.plan(phases=phases) == ["demo: nothing to do, 3 hosts are as rendered"]


def test_limit_leaves_the_others_alone(place: Place) -> None:
    place.run(apply_run, Options(limit=("n2",)))
    assert not (place.hosts["n1"].root / "etc/idle").exists()
    assert (place.hosts["n2"].root / "etc/idle/idle.conf").exists()


def test_phase_stops_after_its_phases_and_the_next_run_goes_on(place: Place) -> None:
    place.run(apply_run, Options(phases=("host-base", "binaries")))
    host = place.hosts["n1"]
    assert (host.root / "opt/idle/1.0/idle").exists() and not (host.root / "usr/local/bin/idle").exists()
    assert host.log == []
    place.run(apply_run)
    assert len(place.plan()) == 1


def test_an_unreachable_host_stops_the_run_or_is_skipped_above_the_quorum(place: Place) -> None:
    place.hosts["n3"].reachable = False
    with pytest.raises(HostError, match="demo/n3: ssh"):
        place.run(apply_run)
    assert not (place.hosts["n1"].root / "etc/idle").exists()
    place.run(apply_run, Options(skip_unreachable=True))
    assert (place.hosts["n1"].root / "etc/idle/idle.conf").exists()
    place.hosts["n2"].reachable = False
    with pytest.raises(LockError):
        place.run(apply_run, Options(skip_unreachable=True))
    with pytest.raises(RefusedError, match="only 1 of 3 etcd hosts answer"):
        place.plan(Options(skip_unreachable=True))


def test_a_host_that_is_not_what_its_pool_says_is_named_before_anything_changes(place: Place) -> None:
    (place.hosts["n1"].root / "etc/os-release").write_text("ID=ubuntu\nVERSION_ID=22.04\n")
    with pytest.raises(HostError, match=r"demo/n1: preflight: it runs ubuntu-22\.04, pool workers says debian-12"):
        place.run(apply_run)
    assert not (place.hosts["n2"].root / "etc/idle").exists()


def test_another_run_that_holds_the_lock_is_named(place: Place) -> None:
    async def main() -> None:
        fleet = place.fleet()

        async def connect(name: str) -> Any:
            return place.hosts[name]

        other = replace(holder_here("ann@desk", "invoke apply", utc_now(), "f" * 64), machine="elsewhere")
        async with Lock("demo", list(HOSTS), connect, other):
            with pytest.raises(LockError, match=r"ann@desk since .* \(invoke apply, tree ffffffffffff\)"):
                await apply_run(fleet)
        await apply_run(fleet)

    asyncio.run(main())
    assert not place.hosts["n1"].state("lock").exists()


def test_a_passphrase_is_asked_before_the_lock_is_taken_and_beside_the_loop(place: Place) -> None:
    phases = [
        {"name": "host-base", "batch": "all"}, {"name": "binaries", "batch": "all"},
        {"name": "runtime", "batch": "all", "gates": [{"kind": "units", "client": "admin"}]},
    ]  # fmt: skip
    asked: list[tuple[bool, bool]] = []

    def identity() -> Any:
        locked = any(place.hosts[name].state("lock").exists() for name in HOSTS)
        asked.append((locked, threading.current_thread() is threading.main_thread()))

    class Api:
        def admin_context(self) -> None:
            return

        async def close(self) -> None:
            return

    async def main() -> None:
        made = place.fleet(phases=phases)

        async def api(_: object) -> Any:
            return Api()

        made.open_api, made.identity = api, identity
        await apply_run(made)

    asyncio.run(main())
    assert asked == [(False, False)]


def test_nothing_is_pushed_before_the_operator_agrees_to_the_plan(place: Place) -> None:
    place.items.append({"path": "/etc/idle/notes", "kind": "file", "mode": "0644", "phase": "host-base"})
    place.contents["/etc/idle/notes"] = "for nobody\n"
    place.run(apply_run)
    place.items.pop()
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    host = place.hosts["n1"]
    seen: list[list[str]] = []

    async def refuse(plan: Plan) -> bool:
        assert host.state("lock").exists(), "nobody else changes what is shown"
        seen.append([removal.key for removal in plan.hosts["n1"].removals])
        return False

    with pytest.raises(RefusedError, match=r"demo: nothing was changed: .* nobody agreed; add --yes"):
        place.run(lambda fleet: apply_run(fleet, refuse))
    assert seen == [["/etc/idle/notes"]]
    assert (host.root / "etc/idle/notes").exists() and not host.state("staged").exists()
    assert not host.state("lock").exists()


def test_nothing_is_staged_while_another_run_holds_the_lock(place: Place) -> None:
    async def main() -> None:
        async def connect(name: str) -> Any:
            return place.hosts[name]

        other = replace(holder_here("ann@desk", "invoke apply", utc_now(), "f" * 64), machine="elsewhere")
        async with Lock("demo", list(HOSTS), connect, other):
            with pytest.raises(RefusedError, match=r"the lock is held by ann@desk since .* \(invoke apply"):
                await push_run(place.fleet())
            assert not place.hosts["n1"].state("staged").exists()
            assert await push_run(place.fleet(Options(dry_run=True))) == 3
            for name in HOSTS:
                path = place.hosts[name].state("lock/renewed")
                os.utime(path, (path.stat().st_mtime - 130,) * 2)
            assert await push_run(place.fleet()) == 3, "a killed run holds nobody up"

    asyncio.run(main())


def test_the_journal_says_who_applied_which_tree(place: Place) -> None:
    place.run(apply_run)
    entries = place.hosts["n1"].state("journal").read_text().splitlines()
    assert [line.count(place.tree().digest) for line in entries] == [1, 1]
    assert '"result": "begun"' in entries[0] and '"result": "done"' in entries[1]


def test_defaults_of_systemd_hold_from_the_apply_on_and_go_with_it(place: Place) -> None:
    place.names = {"n1": HOSTS["n1"]}
    host = place.hosts["n1"]
    place.run(apply_run)
    host.forget_log()
    path = "/etc/systemd/system.conf.d/50-limits.conf"
    place.items.append({"path": path, "kind": "file", "mode": "0644", "phase": "host-base"})
    place.contents[path] = "[Manager]\nDefaultLimitNPROC=8192\n"
    place.run(apply_run)
    assert host.log == ["daemon-reload"]
    host.forget_log()
    place.items.pop()
    del place.contents[path]
    place.run(apply_run)
    assert host.log == ["daemon-reload"] and not (host.root / path[1:]).exists()


def test_a_file_added_by_hand_is_named_and_left_alone(place: Place) -> None:
    place.run(apply_run)
    added = place.hosts["n2"].root / "etc/idle/by-hand.conf"
    added.write_text("mine\n")
    (added.parent / ".hidden").write_text("read by nothing\n")
    note = "note: n2: /etc/idle/by-hand.conf is not ours; it lies in a folder that our programs read; it is left alone"
    assert place.plan() == [note, "demo: nothing to do, 3 hosts are as rendered"]
    place.run(apply_run)
    assert added.read_text() == "mine\n"
