"""Which hosts a reboot takes and in which order; what a host says of its kernels."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fleet.batches import slots
from fleet.host_scripts import run_script
from fleet.kernel_look import Look, look
from fleet.kernels import Kernel, due, kernel_notes
from fleet.question import question, state_from
from fleet.reboot_choice import FINISH, REBOOT, Choice, choose
from fleet.reboot_room import no_room_because
from fleet.state import HostState
from fleet.tree import RenderedTree
from generator.errors import HostError, RefusedError
from tests.fleet.rebooting_hosts import NEW, OLD, RebootingHost
from tests.fleet.small_tree import write_tree

POOLS = {
    "control": ["etcd", "control-plane"],
    "members": ["etcd"],
    "front": ["load-balancer"],
    "workers": ["worker"],
}
HOSTS = {"a1": "control", "b1": "members", "b2": "members", "c1": "front", "w1": "workers", "w2": "workers"}
BOTH = (OLD, NEW)


def tree_of(folder: Path, **kernels: str) -> RenderedTree:
    pools = {
        name: {"roles": roles, "components": [], "os": "debian-12", "arch": "amd64", "kernel": "newest"}
        for name, roles in POOLS.items()
    }
    hosts = {
        name: {
            "pool": pool, "address": f"10.0.0.{number}", "node": name,
            **({"kernel": kernels[name]} if name in kernels else {}),
        }
        for number, (name, pool) in enumerate(HOSTS.items(), 1)
    }  # fmt: skip
    return write_tree(folder, hosts=hosts, pools=pools)


def chosen(tree: RenderedTree, looks: dict[str, Look], *, named: bool = False, cordoned: str = "") -> Choice:
    states = {
        name: HostState(name, generation=host.digest, cordoned=name == cordoned) for name, host in tree.hosts.items()
    }
    return choose(tree, states, looks, named=named)


def test_workers_come_first_and_the_control_plane_last(tmp_path: Path) -> None:
    tree = tree_of(tmp_path)
    looks = {name: Look(Kernel(OLD, "boot", BOTH)) for name in HOSTS}
    looks["b2"] = Look(Kernel(NEW, "boot-2", BOTH), "boot-1")
    found = chosen(tree, looks)
    assert [(one.host, one.action) for one in found.targets] == [
        ("b2", FINISH), ("w1", REBOOT), ("w2", REBOOT), ("c1", REBOOT), ("b1", REBOOT), ("a1", REBOOT),
    ]  # fmt: skip
    assert found.notes == ("a1 is the only control-plane host: the API is gone for the length of its reboot",)
    assert found.summary == "demo: 5 to reboot, 1 to see through from an earlier run, one host at a time"


def test_a_host_has_the_kernel_of_its_pool_its_own_or_none(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, w1=OLD, w2="")
    kernel = Kernel(OLD, "boot", BOTH)
    assert [due(tree.hosts[name], kernel) for name in ("c1", "w1", "w2")] == [NEW, "", ""]
    assert due(tree.hosts["c1"], Kernel(OLD, "boot")) == "", "nothing is known of what is installed"
    asked = [name for name, host in tree.hosts.items() if b"\nkernel\n" in question(tree, host)]
    assert asked == ["a1", "b1", "b2", "c1", "w1"]


def test_a_kernel_that_is_not_installed_is_told_and_nobody_goes_down_for_it(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, w1="7.0", w2="7.0")
    looks = {name: Look(Kernel(OLD, "boot", BOTH)) for name in ("w1", "w2")}
    found = chosen(tree, looks)
    assert found.targets == () and found.exit_code == 0
    assert found.notes == (
        f"w1, w2: kernel {OLD} runs, 7.0 is to run and is not installed: see that system.kernel.packages brings it",
    )
    assert kernel_notes(tree.hosts, {"w1": looks["w1"].kernel}, coming=["w1"]) == [], "an apply is to bring it"
    assert [one.wanted for one in chosen(tree, looks, named=True).targets] == ["", ""]


def test_a_node_left_cordoned_that_runs_its_kernel_is_only_let_go(tmp_path: Path) -> None:
    tree = tree_of(tmp_path)
    looks = {name: Look(Kernel(NEW, "boot", BOTH)) for name in ("w1", "w2")}
    assert [(one.host, one.action) for one in chosen(tree, looks, cordoned="w2").targets] == [("w2", FINISH)]


def test_a_host_in_the_middle_of_an_apply_is_refused(tmp_path: Path) -> None:
    tree = tree_of(tmp_path)
    state = HostState("w1", generation=tree.hosts["w1"].digest, underway=True)
    with pytest.raises(RefusedError, match="w1 is not as rendered"):
        choose(tree, {"w1": state}, {"w1": Look(Kernel(OLD, "boot", BOTH))}, named=False)


def test_as_many_nodes_may_be_away_as_the_pool_says(tmp_path: Path) -> None:
    tree = tree_of(tmp_path)
    host, before = tree.hosts["w1"], {name: True for name in HOSTS}
    assert slots(host.pool, 2) == 1
    assert no_room_because(tree, host, before, {**before, "w1": False, "c1": False}) == ""
    assert no_room_because(tree, host, {**before, "w2": False}, {"w1": True}) == "", "it was not Ready before"
    reason = no_room_because(tree, host, before, {"w1": True})
    assert reason == "w2 of pool workers was Ready when this run began and not now (maxUnavailable)"


def test_installed_kernels_are_those_that_can_be_booted_in_order_of_their_releases(tmp_path: Path) -> None:
    host = RebootingHost("n1", tmp_path)
    host.install(NEW)
    (host.root / "lib/modules/9.0-without-an-image").mkdir()
    (host.root / "lib/modules/8.0 with a space").mkdir()
    own = host.root / "lib/modules/6.1.0-100-amd64"
    own.mkdir()
    (own / "vmlinuz").touch()
    assert asyncio.run(look(host)) == Look(Kernel(OLD, "boot-0", (OLD, NEW, "6.1.0-100-amd64")))
    lines = asyncio.run(run_script(host, "question", stdin=b"kernel\n"))
    assert state_from("n1", lines).kernel == Kernel(OLD, "boot-0", (OLD, NEW, "6.1.0-100-amd64"))
    assert state_from("n1", asyncio.run(run_script(host, "question", stdin=b""))).kernel is None


def test_an_order_to_reboot_holds_for_one_boot_alone(tmp_path: Path) -> None:
    host = RebootingHost("n1", tmp_path)
    asyncio.run(run_script(host, "reboot", ["now", "boot-of-before"]))
    assert host.reboots == 0 and host.in_hand == []
    asyncio.run(run_script(host, "reboot", ["now", "boot-0"]))
    asyncio.run(run_script(host, "reboot", ["now", "boot-0"]))
    assert host.reboots == 1 and host.in_hand == ["rebooting"]
    assert asyncio.run(look(host)).came_back
    asyncio.run(run_script(host, "record", ["uncordoned"]))
    assert host.in_hand == []


def test_an_answer_without_a_kernel_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object, **__: object) -> tuple[tuple[str, ...], ...]:
        return ()

    monkeypatch.setattr("fleet.kernel_look.run_script", nothing)
    with pytest.raises(HostError, match="demo/n1: reboot: the answer is not understood"):
        asyncio.run(look(RebootingHost("n1", tmp_path)))
