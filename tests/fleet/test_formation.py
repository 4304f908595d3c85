"""The first formation of a cluster of members, what interrupts it, and what is never started again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet.options import Options
from fleet.runs import apply_run
from fleet.standing import Fleet
from generator.errors import GateError, RefusedError, WorkspaceError
from tests.fleet.local_host import as_root
from tests.fleet.place import HOSTS, Place

pytestmark = as_root

ACCESS = {"etcdctl": "etcdctl", "port": 2379, "cacert": "ca", "cert": "crt", "key": "key", "timeout": 0}
MARK, DATA = "/var/lib/slipway/etcd-formed", "/var/lib/members"
PHASES: list[dict[str, Any]] = [
    {"name": "host-base", "batch": "all"},
    {"name": "binaries", "batch": "all"},
    {
        "name": "runtime",
        "roles": ["etcd"],
        "batch": "one",
        "formation": {"unit": "idle.service", "data": DATA, "mark": MARK},
        "before": [{"kind": "etcd-quorum", **ACCESS}],
        "gates": [{"kind": "units", "timeout": 0}, {"kind": "etcd-health", **ACCESS}],
    },
]
DROP_IN = "run/systemd/system/idle.service.d/50-slipway-formation.conf"


@pytest.fixture
def place(place: Place) -> Place:
    for name in HOSTS:
        (place.hosts[name].fake / "data").write_text(DATA)
        (place.hosts[name].fake / "members").write_text(members([f"10.0.0.{number}" for number in (1, 2, 3)]))
    return place


def members(addresses: list[str]) -> str:
    return json.dumps({"members": [{"peerURLs": [f"https://{address}:2380"]} for address in addresses]})


def marks(place: Place) -> list[bool]:
    return [(place.hosts[name].root / MARK[1:]).exists() for name in HOSTS]


def drop_ins(place: Place) -> list[bool]:
    return [(place.hosts[name].root / DROP_IN).exists() for name in HOSTS]


def test_all_members_start_together_and_are_marked(place: Place) -> None:
    place.run(apply_run, phases=PHASES)
    assert marks(place) == [True] * 3 and drop_ins(place) == [False] * 3
    assert place.hosts["n1"].log == [
        "daemon-reload", "daemon-reload", "enable idle.service", "start idle.service", "daemon-reload",
    ]  # fmt: skip
    assert place.plan(phases=PHASES) == ["demo: nothing to do, 3 hosts are as rendered"]


def test_a_formation_cut_short_is_taken_up_again(place: Place) -> None:
    for name in HOSTS:
        (place.hosts[name].fake / "unhealthy").touch()
    with pytest.raises(GateError, match="gate etcd-health is still shut"):
        place.run(apply_run, phases=PHASES)
    assert marks(place) == [False] * 3 and drop_ins(place) == [True] * 3
    text = (place.hosts["n1"].root / DROP_IN).read_text()
    assert "AssertPathExists=\n" in text and "Environment=ETCD_INITIAL_CLUSTER_STATE=new\n" in text
    for name in HOSTS:
        (place.hosts[name].fake / "unhealthy").unlink()
    place.run(apply_run, phases=PHASES)
    assert marks(place) == [True] * 3 and drop_ins(place) == [False] * 3


def test_a_run_that_ended_between_marks_and_clean_up_is_cleaned_up(place: Place) -> None:
    place.run(apply_run, phases=PHASES)
    host = place.hosts["n3"]
    (host.root / MARK[1:]).unlink()
    (host.root / DROP_IN).parent.mkdir(parents=True)
    (host.root / DROP_IN).write_text("[Unit]\nAssertPathExists=\n")
    host.state("phases").unlink()
    place.run(apply_run, phases=PHASES)
    assert marks(place) == [True] * 3 and drop_ins(place) == [False] * 3


def test_a_member_without_data_is_named_left_out_and_never_started(place: Place) -> None:
    place.run(apply_run, phases=PHASES)
    host = place.hosts["n2"]
    (host.root / DATA[1:] / "member").rmdir()
    (host.fake / "units/idle.service").write_text("failed\n")
    host.forget_log()
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    lines = place.plan(phases=PHASES)
    assert any(line.startswith("left out: n2: etcd has formed and this host has no data") for line in lines)
    assert lines[-1].endswith(", 1 host left out")
    said: list[str] = []

    async def listening(fleet: Fleet) -> None:
        fleet.reporter = type("L", (), {"event": lambda _, kind, **facts: said.append(f"{kind} {facts.get('text')}")})()
        await apply_run(fleet)

    place.run(listening, phases=PHASES)
    assert said[-1].startswith("done ") and said[-1].endswith(", 1 host left out")
    assert place.plan(phases=PHASES)[-1] == "demo: nothing to do, 2 hosts are as rendered, 1 host left out"
    assert host.log == [] and (host.root / "etc/idle/idle.conf").read_text() == "level: 1\n"
    for name in ("n1", "n3"):
        assert (place.hosts[name].root / "etc/idle/idle.conf").read_text() == "level: 2\n"


def test_a_healthy_member_is_not_touched_without_the_quorum_of_the_others(place: Place) -> None:
    place.run(apply_run, phases=PHASES)
    for name in HOSTS:
        place.hosts[name].forget_log()
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    ctl = place.hosts["n1"].fake / "bin/etcdctl"
    # Its own member is healthy, the others are not: as they look from this host.
    ctl.write_text(ALONE)
    with pytest.raises(
        GateError, match=r"demo/n1: runtime: gate etcd-quorum is still shut: without this member 0 of 3"
    ):
        place.run(apply_run, phases=PHASES)
    assert [place.hosts[name].log for name in HOSTS] == [[], [], []]


ALONE = (
    '#!/bin/sh\ncase "$*" in\n*\'member list\'*) cat "$FAKE/members" ;;\n'
    '*127.0.0.1*) echo \'[{"endpoint": "https://127.0.0.1:2379", "health": true}]\' ;;\n*) echo \'[]\' ;;\nesac\n'
)
"""An etcdctl whose own member is healthy and the others are not."""


def test_a_member_that_serves_is_guarded_although_something_else_on_its_host_is_dead(place: Place) -> None:
    place.items += [
        {"path": "/etc/systemd/system/helper.service", "kind": "file", "mode": "0644", "phase": "runtime"},
        {"name": "helper.service", "kind": "unit", "phase": "runtime"},
    ]
    place.contents["/etc/systemd/system/helper.service"] = "[Service]\n"
    place.run(apply_run, phases=PHASES)
    host = place.hosts["n1"]
    (host.fake / "units/helper.service").write_text("failed\n")
    (host.fake / "bin/etcdctl").write_text(ALONE)
    host.forget_log()
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    with pytest.raises(GateError, match=r"demo/n1: runtime: gate etcd-quorum is still shut"):
        place.run(apply_run, phases=PHASES)
    assert host.log == []


def test_a_repair_gets_in_where_the_members_run_and_serve_nobody(place: Place) -> None:
    place.run(apply_run, phases=PHASES)
    for name in HOSTS:
        (place.hosts[name].fake / "unhealthy").touch()
        place.hosts[name].forget_log()
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    with pytest.raises(GateError, match="gate etcd-health is still shut"):
        place.run(apply_run, phases=PHASES)
    assert place.hosts["n1"].log == ["restart idle.service"]


def test_members_that_serve_nobody_get_their_files_together_where_nothing_restarts(place: Place) -> None:
    # Expired certificates everywhere: the first renewed member has no quorum before the second one is renewed too.
    leaf = {"path": "/etc/idle/leaf.crt", "kind": "file", "mode": "0644", "owner": "root", "group": "root"}
    place.items.append({**leaf, "phase": "runtime"})
    place.contents["/etc/idle/leaf.crt"] = "expired\n"
    place.run(apply_run, phases=PHASES)
    place.contents["/etc/idle/leaf.crt"] = "renewed\n"

    def renewed() -> list[bool]:
        return [(place.hosts[name].root / "etc/idle/leaf.crt").read_text() == "renewed\n" for name in HOSTS]

    (place.hosts["n1"].fake / "unhealthy").touch()
    with pytest.raises(GateError, match="demo/n1: runtime: gate etcd-health is still shut"):
        place.run(apply_run, phases=PHASES)
    assert renewed() == [True, False, False], "the others have their quorum, so they wait for the first"
    for name in HOSTS:
        (place.hosts[name].fake / "unhealthy").touch()
        place.hosts[name].forget_log()
    with pytest.raises(GateError, match="gate etcd-health is still shut"):
        place.run(apply_run, phases=PHASES)
    assert renewed() == [True, True, True]
    assert [place.hosts[name].log for name in HOSTS] == [[], [], []]


def test_members_that_are_down_come_up_together_even_without_quorum(place: Place) -> None:
    place.run(apply_run, phases=PHASES)
    for name in ("n1", "n2"):
        (place.hosts[name].fake / "units/idle.service").write_text("failed\n")
        place.hosts[name].forget_log()
    place.run(apply_run, phases=PHASES)
    assert [place.hosts[name].log for name in ("n1", "n2")] == [["start idle.service"]] * 2


def test_a_part_of_the_members_forms_nothing(place: Place) -> None:
    with pytest.raises(RefusedError, match="etcd has not formed, and n2, n3 would not take part"):
        place.run(apply_run, Options(limit=("n1",)), phases=PHASES)
    assert marks(place) == [False] * 3 and not (place.hosts["n1"].root / "etc/idle").exists(), "nothing was touched"


def test_a_change_of_membership_is_refused_with_the_reason(place: Place) -> None:
    place.run(apply_run, phases=PHASES)
    for name in HOSTS:
        (place.hosts[name].fake / "members").write_text(members(["10.0.0.1", "10.0.0.2", "10.0.0.9"]))
    with pytest.raises(RefusedError, match=r"n3 would be new and 10\.0\.0\.9 would go"):
        place.run(apply_run, phases=PHASES)


def test_a_member_that_cannot_tell_of_the_membership_is_not_the_only_one_asked(place: Place) -> None:
    place.run(apply_run, phases=PHASES)
    for name in HOSTS:
        (place.hosts[name].fake / "members").write_text(members(["10.0.0.1", "10.0.0.2", "10.0.0.9"]))
    (place.hosts["n1"].fake / "members").unlink()
    with pytest.raises(RefusedError, match=r"n3 would be new and 10\.0\.0\.9 would go"):
        place.run(apply_run, phases=PHASES)


def test_a_member_that_lost_its_role_is_refused_without_any_quorum(place: Place) -> None:
    place.run(apply_run, phases=PHASES)
    for name in HOSTS:
        (place.hosts[name].fake / "members").unlink()
        place.hosts[name].forget_log()
    place.names["n3"] = {**HOSTS["n3"], "pool": "plain"}
    one = {"os": "debian-12", "arch": "amd64", "maxUnavailable": "1"}
    pools = {
        "workers": {"roles": ["etcd", "worker"], "components": ["idle"], **one},
        "plain": {"roles": ["worker"], "components": [], **one},
    }
    with pytest.raises(RefusedError, match=r"n3 \(idle\.service of phase runtime\) lost the role"):
        place.run(apply_run, phases=PHASES, pools=pools)
    assert [place.hosts[name].log for name in HOSTS] == [[], [], []]


def test_a_plan_of_one_host_knows_of_the_others_that_etcd_has_formed(place: Place) -> None:
    place.run(apply_run, phases=PHASES)
    host = place.hosts["n2"]
    (host.root / DATA[1:] / "member").rmdir()
    (host.root / MARK[1:]).unlink()
    lines = place.plan(Options(limit=("n2",)), phases=PHASES)
    assert any(line.startswith("left out: n2: etcd has formed and this host has no data") for line in lines)
    with pytest.raises(WorkspaceError, match="there is no phase typo; it has host-base, binaries, runtime"):
        place.plan(Options(phases=("typo",)), phases=PHASES)
