"""Reboots one host at a time: drained, gated, taken up where they were broken off. The scripts are the real ones."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fleet.journal import last_entries
from fleet.options import Options
from fleet.reboot import reboot_plan, reboot_run
from fleet.reporter import JsonReporter
from fleet.runs import apply_run, plan_run
from generator.errors import ApiError, GateError, HostError, RefusedError
from tests.fleet.local_host import as_root
from tests.fleet.rebooting_hosts import NEW, OLD, RebootingNodes
from tests.fleet.test_json_documents import schema

pytestmark = as_root


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hosts as an apply leaves them, to be copied."""
    folder = tmp_path_factory.mktemp("applied")
    with pytest.MonkeyPatch.context() as monkeypatch:
        RebootingNodes(folder, monkeypatch).run(apply_run)
    return folder / "hosts"


@pytest.fixture
def nodes(applied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RebootingNodes:
    """Three nodes after an apply, with a newer kernel installed that the boot loader starts."""
    made = RebootingNodes(tmp_path, monkeypatch)
    shutil.copytree(applied, tmp_path / "hosts", symlinks=True)
    for name in made.names:
        made.hosts[name].install(NEW, default=True)
        made.hosts[name].forget_log()
    return made


async def agreed(_: object) -> bool:
    return True


def reboot(nodes: RebootingNodes, *limit: str, named: bool = False, seconds: float = 30) -> list[dict[str, Any]]:
    """Reboot, and return the events."""
    out = io.StringIO()

    async def run(fleet: Any) -> None:
        fleet = replace(fleet, reporter=JsonReporter(out))
        await reboot_run(fleet, agreed, named=named or bool(limit), seconds=seconds)

    try:
        nodes.run(run, Options(limit=limit, command="invoke hosts.reboot"))
    finally:
        told = [json.loads(line) for line in out.getvalue().splitlines()]
        for event in told:
            jsonschema.validate(event, schema("events"))
    return told


def reboots(nodes: RebootingNodes) -> dict[str, int]:
    return {name: nodes.hosts[name].reboots for name in nodes.names}


def in_hand(nodes: RebootingNodes) -> dict[str, list[str]]:
    return {name: left for name in nodes.names if (left := nodes.hosts[name].in_hand)}


def test_hosts_go_down_one_after_the_other_drained_and_come_back_gated(nodes: RebootingNodes) -> None:
    told = reboot(nodes)
    each = [["others of {}", "drain {}", "gate {}", "uncordon {}"] for _ in nodes.names]
    steps = [step.format(name) for name, steps in zip(nodes.names, each, strict=True) for step in steps]
    assert nodes.api.asked == [*steps, "closed"]
    assert reboots(nodes) == {"n1": 1, "n2": 1, "n3": 1} and not in_hand(nodes)
    assert {nodes.hosts[name].running for name in nodes.names} == {NEW}
    assert told[-1]["text"] == "demo: n1…3 seen through a reboot, one host at a time"
    waits = [event["reason"] for event in told if event["event"] == "waiting" and event["gate"] == "another boot"]
    assert waits == ["demo/n1: ssh: it cannot be reached; check it".replace("n1", name) for name in nodes.names]
    assert any(event.get("gate") == "its kubelet" for event in told), (
        "what the API knew before the reboot is not enough"
    )
    journal = asyncio.run(last_entries(nodes.hosts["n1"]))
    assert [(entry["command"], entry["result"]) for entry in journal][-2:] == [
        ("invoke hosts.reboot", "begun"),
        ("invoke hosts.reboot", "done"),
    ]
    assert not nodes.hosts["n1"].state("lock").exists()
    nodes.api.asked.clear()
    (last,) = reboot(nodes)
    assert last["text"].startswith("demo: nothing to do") and not nodes.api.asked
    assert not nodes.run(lambda fleet: plan_run(fleet, objects=False)).needed


def test_a_plan_and_an_apply_say_that_a_reboot_is_due_and_do_none(nodes: RebootingNodes) -> None:
    note = f"n1…3: kernel {OLD} runs, {NEW} is to run: `invoke hosts.reboot`, on one host first with --limit"
    plan = nodes.run(lambda fleet: plan_run(fleet, objects=False))
    assert note in plan.notes and not plan.needed
    nodes.run(apply_run)
    nodes.kernel = "7.0"
    missing = nodes.run(lambda fleet: plan_run(fleet, objects=False)).notes
    assert (
        f"n1…3: kernel {OLD} runs, 7.0 is to run and is not installed: see that system.kernel.packages brings it"
    ) in missing
    nodes.kernel = ""
    assert nodes.run(lambda fleet: plan_run(fleet, objects=False)).notes == ()
    assert reboots(nodes) == {"n1": 0, "n2": 0, "n3": 0}


def test_an_apply_that_installs_a_kernel_says_so_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = RebootingNodes(tmp_path, monkeypatch)
    nodes.items.append({"name": "linux-image", "kind": "package", "phase": "host-base"})
    host = nodes.hosts["n1"]
    nodes.names = {"n1": nodes.names["n1"]}
    for program, text in (
        ("dpkg-query", "#!/bin/sh\n[ ! -e $FAKE/apt ] || printf 'installed\\tlinux-image\\t1\\n'\n"),
        (
            "apt-get",
            f"#!/bin/sh\n: >$FAKE/apt\nmkdir -p $FAKE_ROOT/lib/modules/{NEW}\n: >$FAKE_ROOT/boot/vmlinuz-{NEW}\n",
        ),
    ):
        (host.fake / "bin" / program).write_text(text)
        (host.fake / "bin" / program).chmod(0o755)
    out = io.StringIO()

    async def run(fleet: Any) -> None:
        await apply_run(replace(fleet, reporter=JsonReporter(out)))

    nodes.run(run)
    told = [event["text"] for event in map(json.loads, out.getvalue().splitlines()) if event["event"] == "note"]
    assert told == [f"n1: kernel {OLD} runs, {NEW} is to run: `invoke hosts.reboot`, on one host first with --limit"]
    assert host.reboots == 0


def test_a_named_host_is_rebooted_whatever_it_runs_and_no_other(nodes: RebootingNodes) -> None:
    nodes.kernel = ""
    note = reboot(nodes)[0]
    assert note["text"] == "system.kernel is said of no host; --limit or --all takes hosts whatever they run"
    reboot(nodes, "n2")
    assert reboots(nodes) == {"n1": 0, "n2": 1, "n3": 0} and not in_hand(nodes)
    reboot(nodes, named=True)
    assert reboots(nodes) == {"n1": 1, "n2": 2, "n3": 1}


def test_the_old_kernel_after_a_reboot_is_an_error_and_the_host_serves(nodes: RebootingNodes) -> None:
    (nodes.hosts["n1"].fake / "next").write_text(OLD)
    with pytest.raises(
        HostError, match=f"demo/n1: it came back with kernel {OLD}, not {NEW}: its boot loader"
    ) as caught:
        reboot(nodes)
    last = str(caught.value).splitlines()[-1]
    assert last.startswith("demo: stopped at n1; not begun: n2, n3; put right what is named above and run it again")
    assert "uncordon n1" in nodes.api.asked and not in_hand(nodes)
    assert reboots(nodes) == {"n1": 1, "n2": 0, "n3": 0}


def test_a_host_that_does_not_come_back_stops_all_and_is_seen_through_later(nodes: RebootingNodes) -> None:
    nodes.hosts["n1"].down = 10**6
    with pytest.raises(HostError, match=r"demo/n1: not back within 0 s: look at its console; last seen: .*reached"):
        reboot(nodes, "n1", "n2", seconds=0.2)
    assert in_hand(nodes) == {"n1": ["cordoned", "rebooting"]} and "uncordon n1" not in nodes.api.asked
    with pytest.raises(HostError, match="nothing was changed: n1 cannot be worked with"):
        reboot(nodes)
    nodes.hosts["n1"].down = 0
    nodes.api.asked.clear()
    told = reboot(nodes, "n1", "n2")
    assert nodes.api.asked[:2] == ["gate n1", "uncordon n1"], "it has been down and is not drained again"
    assert reboots(nodes) == {"n1": 1, "n2": 1, "n3": 0} and not in_hand(nodes)
    assert told[-1]["event"] == "done"


def test_a_host_that_does_not_go_down_is_told_apart(nodes: RebootingNodes) -> None:
    (nodes.hosts["n1"].fake / "hangs").touch()
    with pytest.raises(
        HostError, match=r"what holds the shutdown up .*; last seen: it has not gone down yet"
    ) as caught:
        reboot(nodes, "n1", seconds=0.2)
    assert "run it again with --limit n1" in str(caught.value).splitlines()[-1]
    (nodes.hosts["n1"].fake / "hangs").unlink()
    reboot(nodes, "n1")
    assert nodes.hosts["n1"].boot == "boot-2", "the same boot goes on, so the order is given again"


@pytest.mark.parametrize("moment", ["drain n2", "others of n2", "down"])
def test_what_was_broken_off_is_taken_up(nodes: RebootingNodes, moment: str) -> None:
    if moment == "down":
        nodes.hosts["n2"].down = 10**6

    async def broken_off(fleet: Any) -> None:
        run = asyncio.ensure_future(reboot_run(fleet, agreed, named=False))
        down = nodes.hosts["n2"].fake / "down"
        while not run.done() and not (down.exists() if moment == "down" else moment in nodes.api.asked):
            await asyncio.sleep(0.002)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    nodes.run(broken_off)
    assert nodes.hosts["n1"].reboots == 1
    nodes.hosts["n2"].down = 0
    reboot(nodes)
    assert reboots(nodes) == {"n1": 1, "n2": 1, "n3": 1} and not in_hand(nodes)
    assert nodes.api.asked.count("uncordon n2") == 1


def test_an_apply_lets_a_host_go_that_a_reboot_has_left(nodes: RebootingNodes) -> None:
    nodes.sick = "n1"
    with pytest.raises(GateError, match="its pods do not come"):
        reboot(nodes)
    assert in_hand(nodes) == {"n1": ["cordoned", "rebooting"]} and reboots(nodes)["n2"] == 0
    nodes.sick = ""
    nodes.run(apply_run)
    assert not in_hand(nodes) and "uncordon n1" in nodes.api.asked
    reboot(nodes, "n1")
    assert reboots(nodes)["n1"] == 2, "nothing is left of the first reboot"


def test_a_node_that_cannot_be_drained_serves_on(nodes: RebootingNodes) -> None:
    nodes.api.stuck = {"n2"}
    with pytest.raises(ApiError, match="pods without a controller") as caught:
        reboot(nodes)
    assert "done: n1; stopped at n2; not begun: n3" in str(caught.value)
    assert reboots(nodes) == {"n1": 1, "n2": 0, "n3": 0} and not in_hand(nodes)
    assert nodes.api.asked[-2:] == ["uncordon n2", "closed"]


def test_nothing_goes_down_while_the_others_cannot_spare_it(
    nodes: RebootingNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.others = "without this member 1 of 3 are healthy"
    with pytest.raises(GateError, match="gate others-here is still shut: without this member 1 of 3 are healthy"):
        reboot(nodes)
    assert reboots(nodes) == {"n1": 0, "n2": 0, "n3": 0} and not in_hand(nodes)
    nodes.others = ""
    monkeypatch.setattr("fleet.reboot.ROOM_SECONDS", 0.1)
    uncordon = nodes.api.uncordon

    async def then_another_is_lost(host: str) -> None:
        await uncordon(host)
        nodes.api.ready["n3"] = False

    nodes.api.uncordon = then_another_is_lost  # type: ignore[method-assign]
    with pytest.raises(GateError, match="demo/n2: not rebooted: n3 of pool workers was Ready when this run began"):
        reboot(nodes)
    assert reboots(nodes) == {"n1": 1, "n2": 0, "n3": 0} and not in_hand(nodes)
    told = reboot(nodes, "n2")
    assert {"not Ready before this run: n3"} <= {event.get("text") for event in told}, "that is not this run's doing"


def test_hosts_that_are_not_as_rendered_are_refused(nodes: RebootingNodes) -> None:
    nodes.contents["/etc/idle/idle.conf"] = "level: 2\n"
    with pytest.raises(RefusedError, match=r"n1…3 are not as rendered.*run `invoke apply` first"):
        reboot(nodes)
    assert reboots(nodes) == {"n1": 0, "n2": 0, "n3": 0}


def test_a_dry_run_and_a_no_touch_nothing(nodes: RebootingNodes) -> None:
    found = nodes.run(lambda fleet: reboot_plan(fleet, named=False))
    assert found.exit_code == 2 and found.lines[-1] == "demo: 3 to reboot, one host at a time"
    assert found.lines[0] == f"n1: kernel {OLD} runs, {NEW} is to run"
    jsonschema.validate(found.document, schema("hosts.reboot"))
    assert found.document["hosts"][0] == {
        "host": "n1", "action": "reboot", "running": OLD, "wanted": NEW, "why": f"kernel {OLD} runs, {NEW} is to run",
    }  # fmt: skip

    async def refused(_: object) -> bool:
        return False

    with pytest.raises(RefusedError, match="nobody agreed to a reboot; add --yes"):
        nodes.run(lambda fleet: reboot_run(fleet, refused, named=False))
    assert reboots(nodes) == {"n1": 0, "n2": 0, "n3": 0} and not in_hand(nodes)
