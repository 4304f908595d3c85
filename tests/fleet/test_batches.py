"""Who is worked on together: zones, slots, the dead first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.batches import batches, is_down, slots
from fleet.inventory import Pool
from fleet.state import HostState, UnitFacts
from fleet.tree import RenderedTree
from fleet.work import UnitAction, Work
from tests.fleet.small_tree import PHASES, write_tree

SLOTS, ONE = (
    PHASES[4],
    {"name": "members", "batch": "one", "formation": {"unit": "idle.service", "data": "/d", "mark": "/m"}},
)


def tree_of(folder: Path, *, zones: str = "aaaabbbb", unavailable: str = "25%") -> RenderedTree:
    pools = {
        "control": {"roles": ["control-plane", "etcd"], "components": [], "os": "debian-12", "arch": "amd64"},
        "workers": {
            "roles": ["worker"], "components": ["idle"], "os": "debian-12", "arch": "amd64",
            "maxUnavailable": unavailable,
        },
    }  # fmt: skip
    hosts: dict[str, Any] = {
        f"w{number}": {"pool": "workers", "address": f"10.0.1.{number}", "zone": zone}
        for number, zone in enumerate(zones, 1)
    }
    hosts["cp1"] = {"pool": "control", "address": "10.0.0.1", "zone": "b"}
    return write_tree(folder, hosts=hosts, pools=pools, phases=[*PHASES, ONE])


@pytest.mark.parametrize(
    ("text", "members", "expected"),
    [("1", 50, 1), ("3", 50, 3), ("10%", 50, 5), ("10%", 19, 1), ("10%", 3, 1), ("0", 5, 1)],
)
def test_slots_round_down_and_are_at_least_one(text: str, members: int, expected: int) -> None:
    pool = Pool("workers", frozenset(), (), "debian-12", "amd64", text, {}, ())
    assert slots(pool, members) == expected


def test_slots_never_span_two_zones_and_the_first_role_comes_first(tmp_path: Path) -> None:
    tree = tree_of(tmp_path)
    assert batches(tree, tree.phase("nodes"), tree.hosts, down=()) == [
        ("cp1",), ("w1", "w2"), ("w3", "w4"), ("w5", "w6"), ("w7", "w8"),
    ]  # fmt: skip


def test_an_odd_zone_leaves_a_slot_empty_rather_than_take_from_the_next(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, zones="aaabbbbb")
    assert batches(tree, tree.phase("nodes"), tree.hosts, down=())[1:3] == [("w1", "w2"), ("w3",)]


def test_the_dead_come_first_and_together_then_the_sick(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, unavailable="1")
    names = ["w1", "w2", "w3", "w4", "w7"]
    found = batches(tree, tree.phase("nodes"), names, down={"w4", "w7"}, sick={"w3"})
    assert found == [("w4", "w7"), ("w3",), ("w1",), ("w2",)]


def test_members_go_one_at_a_time_but_the_dead_need_each_other(tmp_path: Path) -> None:
    tree = tree_of(tmp_path)
    found = batches(tree, tree.phase("members"), ["w1", "w2", "w3", "w4"], down={"w2", "w3"})
    assert found == [("w2", "w3"), ("w1",), ("w4",)]


def test_hosts_where_nothing_changes_are_looked_at_together(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, unavailable="1")
    assert batches(tree, tree.phase("nodes"), ["w1", "w2", "w3"], down=(), quiet={"w1", "w3"}) == [
        ("w1", "w3"),
        ("w2",),
    ]


def test_a_host_is_down_only_where_its_work_hits_nothing_that_runs(tmp_path: Path) -> None:
    items: list[dict[str, Any]] = [
        {"name": name, "kind": "unit", "phase": "members"} for name in ("server.service", "scheduler.service")
    ]
    tree = write_tree(tmp_path, hosts={"w1": {"pool": "workers", "address": "10.0.0.1"}}, items=items,
                      contents={}, phases=[*PHASES, ONE])  # fmt: skip
    host, phase = tree.hosts["w1"], tree.phase("members")

    def down(server: str, scheduler: str, *actions: tuple[str, str], drain: bool = False) -> bool:
        units = {"server.service": UnitFacts(active=server), "scheduler.service": UnitFacts(active=scheduler)}
        work = Work("w1", "members", ("members",), units=tuple(UnitAction(*one) for one in actions), drain=drain)
        return is_down(host, phase, HostState("w1", units=units), work)

    start, restart = ("scheduler.service", "start"), ("server.service", "restart")
    assert not down("active", "active", restart)
    assert down("active", "failed", start)
    assert not down("active", "failed", start, restart), "the server runs and would be restarted everywhere at once"
    assert down("activating", "failed", start, restart), "a server that fails again and again cannot get worse"
    assert down("inactive", "inactive", start, ("server.service", "start"))
    assert not down("inactive", "active", ("server.service", "start"), drain=True)
