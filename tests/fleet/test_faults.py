"""What a run says and leaves behind when a host, its disk, its clock or its connection fails; the real scripts run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import fleet.gates as gates
from fleet.connection import Input, Result
from fleet.failures import one_error
from fleet.gates import GateContext, GateKind, shut_because, wait_open
from fleet.host_scripts import run_script, script_argv, script_text
from fleet.options import Options
from fleet.question import state_from
from fleet.reporter import SilentReporter
from fleet.runs import apply_run, plan_run, push_run
from fleet.session import Session
from fleet.ssh_options import connection_options, silent_seconds
from fleet.tree import Phase
from generator.errors import GateError, HostError, LostHostError, WorkspaceError
from tests.fleet.local_host import LocalHost, as_root
from tests.fleet.place import Place

pytestmark = as_root


@contextmanager
def mounted(*words: str, at: Path) -> Iterator[None]:
    if subprocess.run(["mount", *words, str(at)], capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    with mounted("--bind", str(folder), at=folder):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield


def failure(place: Place, verb: Callable[..., Any], **more: Any) -> str:
    with pytest.raises((HostError, GateError)) as caught:
        place.run(verb, **more)
    return str(caught.value)


# --- what is told -----------------------------------------------------------------------------------------------------


def test_a_run_that_stops_says_what_is_done_and_what_is_left(place: Place) -> None:
    place.run(apply_run)
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    (place.hosts["n2"].fake / "broken.idle.service").touch()
    told = failure(place, apply_run)
    assert told.startswith("demo/n2: runtime: systemctl restart idle.service failed (Job for idle.service failed)")
    assert "the last words of the unit" in told
    assert told.splitlines()[-1] == (
        "demo: done: n1; stopped in phase runtime: n2; not begun: n3; put right what is named above and run the same "
        "command again: what is done stays, it goes on from there"
    )
    assert (place.hosts["n3"].root / "etc/idle/idle.conf").read_text() == "level: 1\n"
    (place.hosts["n2"].fake / "broken.idle.service").unlink()
    place.run(apply_run)
    assert len(place.plan()) == 1


class Events(SilentReporter):
    """Remembers the last event of each kind."""

    def __init__(self) -> None:
        self.last: dict[str, dict[str, Any]] = {}

    def event(self, kind: str, **facts: Any) -> None:
        self.last[kind] = facts


def removals_that_fail_on(place: Place, name: str) -> tuple[str, dict[str, Any]]:
    """Apply a tree that has lost its unit while the unit does not stop on a host; returns the last line, and `left`."""
    systemctl = place.hosts[name].fake / "bin/systemctl"
    text = systemctl.read_text()
    systemctl.write_text(text.replace("echo inactive >", "echo active >"))
    events = Events()

    async def apply(fleet: Any) -> None:
        fleet.reporter = events
        await apply_run(fleet)

    told = failure(place, apply)
    assert "idle.service cannot be stopped, so its files stay" in told
    systemctl.write_text(text)
    return told.splitlines()[-1].partition("; put right")[0], events.last["left"]


def without_unit(place: Place) -> None:
    place.items = [item for item in place.items if item["kind"] in {"user", "directory"}]
    place.contents = {}


def test_a_removal_that_fails_is_told_beside_those_that_worked(place: Place) -> None:
    place.run(apply_run)
    without_unit(place)
    told, left = removals_that_fail_on(place, "n2")
    assert told == "demo: done: n1, n3; stopped in phase removals: n2"
    assert left == {"done": ["n1", "n3"], "stopped": {"n2": "removals"}, "waiting": {}, "untouched": []}
    place.run(apply_run)
    assert len(place.plan()) == 1


def test_a_removal_that_fails_after_phases_is_told_beside_those_that_worked(place: Place) -> None:
    place.run(apply_run)
    without_unit(place)
    place.items.append({"path": "/etc/idle/new", "kind": "file", "mode": "0644", "phase": "runtime"})
    place.contents["/etc/idle/new"] = "1\n"
    told, left = removals_that_fail_on(place, "n2")
    assert told == "demo: done: n1, n3; stopped in phase removals: n2"
    assert left["done"] == ["n1", "n3"] and left["waiting"] == {}


def test_a_host_that_has_nothing_but_removals_is_told_as_begun(place: Place) -> None:
    place.run(apply_run)
    without_unit(place)
    place.names = {"n1": place.names["n1"]}
    assert removals_that_fail_on(place, "n1")[0] == "demo: stopped in phase removals: n1", "its unit may be stopped"


def test_a_failed_push_names_every_host_that_failed_and_serves_the_others(place: Place) -> None:
    for name in ("n1", "n3"):
        place.hosts[name].state("staged").parent.mkdir(parents=True)
        place.hosts[name].state("staged").write_text("in the way")
    told = failure(place, push_run).splitlines()
    assert [line.split(": ")[:2] for line in told[:2]] == [["demo/n1", "stage"], ["demo/n3", "stage"]]
    assert told[2].startswith("demo: staged: n2; not staged: n1, n3; nothing has been activated; ")
    assert place.hosts["n2"].state("staged").is_dir()
    for name in ("n1", "n3"):
        place.hosts[name].state("staged").unlink()
    assert place.run(push_run) == 2


def test_each_host_that_does_not_answer_is_told_with_its_cause(place: Place) -> None:
    place.hosts["n1"].reachable = place.hosts["n3"].reachable = False
    told = failure(place, plan_run).splitlines()
    assert [line.partition(":")[0] for line in told] == ["demo/n1", "demo/n3", "demo"]
    assert told[2] == "demo: nothing was changed: n1, n3 cannot be worked with, 1 others can"


def test_errors_of_many_hosts_are_one_and_a_gate_comes_first() -> None:
    one = one_error([HostError("a", "n1"), GateError("b", "n2", "x.service"), HostError("a", "n3"), ValueError("c")])
    assert isinstance(one, GateError) and one.unit == "x.service" and str(one) == "b\na"


# --- disks ------------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_as_such_when_staging(place: Place) -> None:
    place.run(apply_run)
    place.contents["/etc/idle/idle.conf"] = "level: 2\n" * 9000
    state = place.hosts["n2"].state("staged")
    state.mkdir(exist_ok=True)
    with mounted("-t", "tmpfs", "-o", "size=8k", "tmpfs", at=state):
        told = failure(place, push_run)
        assert told.startswith("demo/n2: stage: what arrives cannot be unpacked in ")
        assert "(No space left on device); make room there and run the same command again" in told
        assert not list(state.rglob(".incoming.*")), "what did not fit is given back"
    place.run(apply_run)
    assert len(place.plan()) == 1


def test_a_full_disk_in_mid_activation_leaves_every_file_as_it_was(place: Place) -> None:
    second = {"path": "/srv/idle.more", "kind": "file", "mode": "0644", "owner": "root", "group": "root",
              "phase": "runtime", "restarts": ["idle.service"]}  # fmt: skip
    place.items.append(second)
    place.contents["/srv/idle.more"] = "1\n"
    place.run(apply_run)
    host = place.hosts["n2"]
    place.contents |= {"/etc/idle/idle.conf": "level: 2\n", "/srv/idle.more": "2\n" * 9000}
    host.forget_log()
    (host.root / "srv/idle.more").unlink()
    with mounted("-t", "tmpfs", "-o", "size=8k", "tmpfs", at=host.root / "srv"):
        (host.root / "srv/idle.more").write_text("1\n")
        told = failure(place, apply_run)
        assert "demo/n2: activate: /srv/idle.more cannot be written (No space left on device); make room" in told
        assert (host.root / "etc/idle/idle.conf").read_text() == "level: 1\n"
        assert host.log == [] and not list(host.state("pending").iterdir())
    place.run(apply_run)
    assert (host.root / "etc/idle/idle.conf").read_text() == "level: 2\n"


@pytest.mark.parametrize(("folder", "script"), [("var/lib/slipway", "stage"), ("etc/idle", "activate")])
def test_a_read_only_file_system_is_told_as_such(place: Place, folder: str, script: str) -> None:
    place.run(apply_run)
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    with read_only(place.hosts["n3"].root / folder):
        told = failure(place, apply_run)
    assert f"demo/n3: {script}: " in told and "(Read-only file system); see why in the host's `dmesg`" in told
    assert (place.hosts["n3"].root / "etc/idle/idle.conf").read_text() == "level: 1\n"
    place.run(apply_run)


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_a_wrong_clock_shows_in_plan_and_stops_push_and_apply(place: Place) -> None:
    clock = place.hosts["n2"].fake / "bin/date"
    clock.write_text('#!/bin/sh\ncase $* in +%s) echo $(($(/bin/date +%s) - 7200)) ;; *) exec /bin/date "$@" ;; esac\n')
    clock.chmod(0o755)
    (note,) = [line for line in place.plan() if "clock" in line]
    assert "n2: push and apply will refuse it: its clock is 720" in note and "s away from this machine's" in note
    for verb in (push_run, apply_run):
        told = failure(place, verb)
        assert told.startswith("demo/n2: preflight: its clock is 720") and told.endswith("nothing was changed")
    assert not place.hosts["n1"].state("staged").exists()
    clock.unlink()
    place.run(apply_run)


def test_a_slow_answer_is_no_wrong_clock() -> None:
    lines = (("slipway", "1"), ("time", "1000"), ("arch", "x86_64"))
    assert state_from("n1", lines, asked=999.0, now=1300.0).clock_ahead == 0
    assert state_from("n1", lines, asked=1100.0, now=1300.0).clock_ahead == -100
    assert state_from("n1", lines, asked=700.0, now=900.0).clock_ahead == 100


# --- what is cut off --------------------------------------------------------------------------------------------------


def test_a_script_that_arrives_in_part_is_not_begun(tmp_path: Path) -> None:
    (tmp_path / "var/lib/slipway/staged/old").mkdir(parents=True)
    argv = script_argv("stage", ["new"], str(tmp_path))
    argv[0] = "dash"
    whole = script_text("stage").encode()
    done = subprocess.run(argv, input=whole[: len(whole) * 3 // 4], capture_output=True, check=False)
    assert done.returncode != 0 and done.stdout == b""
    assert (tmp_path / "var/lib/slipway/staged/old").exists()


def test_an_order_that_arrives_in_part_is_not_carried_out(place: Place) -> None:
    place.run(push_run)
    digest = place.tree().hosts["n1"].digest
    with pytest.raises(HostError, match="activate: the order is cut off"):
        asyncio.run(run_script(place.hosts["n1"], "activate", [digest], b"phase\thost-base\nphase\trun"))
    assert not (place.hosts["n1"].root / "etc/idle").exists()


def test_an_activation_goes_on_when_nobody_listens_any_more(place: Place) -> None:
    place.run(push_run)
    host = place.hosts["n1"]
    argv = script_argv("activate", [place.tree().hosts["n1"].digest], str(host.root))
    argv[0] = "dash"
    environment = {
        **os.environ, "PATH": f"{host.fake / 'bin'}:{os.environ['PATH']}", "FAKE": str(host.fake),
        "FAKE_ROOT": str(host.root),
    }  # fmt: skip
    order = b"phase\thost-base\nphase\tbinaries\nphase\truntime\nend\n"
    reader, writer = os.pipe()
    os.close(reader)
    subprocess.run(argv, input=script_text("activate").encode() + order, stdout=writer, env=environment, check=False)
    os.close(writer)
    assert (host.root / "etc/idle/idle.conf").read_text() == "level: 1\n"
    assert "start idle.service" in host.log


def test_an_activation_waits_for_one_that_was_cut_off_and_still_works(place: Place) -> None:
    place.run(push_run)
    host = place.hosts["n1"]
    other = subprocess.Popen(["dash", "-c", "sleep 2; :", "slipway", "1"])
    host.state("busy").write_text(f"{other.pid}\n")
    began = time.monotonic()
    place.run(apply_run, Options(limit=("n1",)))
    # A zombie has no command line: the one that is waited for has ended.
    assert time.monotonic() - began > 1.5
    other.wait()
    assert not host.state("busy").exists()


class Breaking(LocalHost):
    """A host whose connection breaks once at the next use."""

    breaks: LostHostError | None = None

    async def run(self, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
        error, self.breaks = self.breaks, None
        if error is not None:
            raise error
        return await super().run(argv, stdin, timeout=timeout)


def test_a_connection_that_broke_is_opened_anew_and_nothing_is_done_twice(place: Place, tmp_path: Path) -> None:
    opened: list[Breaking] = []

    async def connect(_: object) -> Breaking:
        opened.append(Breaking("n1", tmp_path / "again"))
        return opened[-1]

    async def main() -> None:
        connection = await Session(place.tree(), connect).connect("n1")
        opened[0].breaks = LostHostError("gone", "n1", begun=False)
        assert (await connection.run(["echo", "here"])).text == "here\n"
        opened[1].breaks = LostHostError("gone", "n1", begun=True)
        with pytest.raises(LostHostError):
            await connection.run(["echo", "twice"])
        assert (await connection.run(["echo", "there"])).text == "there\n"

    asyncio.run(main())
    assert len(opened) == 3


def test_a_host_that_is_off_is_not_tried_by_everybody_who_asks(place: Place) -> None:
    tries = 0

    async def connect(_: object) -> LocalHost:
        nonlocal tries
        tries += 1
        raise HostError("off", "n1")

    async def main() -> None:
        session = Session(place.tree(), connect)
        for _ in range(5):
            with pytest.raises(HostError):
                await session.connect("n1")

    asyncio.run(main())
    assert tries == 1


# --- patience ---------------------------------------------------------------------------------------------------------


def test_a_gate_that_gets_no_answer_is_shut_and_the_operator_bounds_the_wait(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object) -> str:
        await asyncio.sleep(3600)
        return ""

    monkeypatch.setitem(gates.KINDS, "hangs", GateKind("hangs", hangs, 300))
    monkeypatch.setattr(gates, "LOOK_SECONDS", 0.1)

    async def nothing(*_: object) -> Any:
        raise AssertionError("not asked")

    tree = place.tree()
    context = GateContext(tree, Phase("runtime"), nothing, nothing, host=tree.hosts["n1"], longest=1)
    assert asyncio.run(shut_because({"kind": "hangs"}, context)) == "no answer within 0 s"
    with pytest.raises(GateError, match="gate hangs is still shut after 1 s: no answer"):
        asyncio.run(wait_open({"kind": "hangs"}, context, SilentReporter()))


def test_the_time_that_a_host_is_given_is_the_operators_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_SSH_KEY", raising=False)
    options = connection_options("")
    assert options["connect_timeout"] == 20 and silent_seconds() == 60
    assert options["keepalive_interval"] * (options["keepalive_count_max"] + 1) == 60
    monkeypatch.setenv("SLIPWAY_SSH_SILENT_SECONDS", "8")
    assert connection_options("")["keepalive_interval"] == 2
    for wrong in ("soon", "0", "-1", "1e9", "nan"):
        monkeypatch.setenv("SLIPWAY_SSH_CONNECT_SECONDS", wrong)
        with pytest.raises(WorkspaceError, match=f"SLIPWAY_SSH_CONNECT_SECONDS={wrong}: not a number of seconds"):
            connection_options("")
