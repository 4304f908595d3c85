"""A status over hosts without SSH: the real scripts and etcdctl's words, a host that is silent, no credentials."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.options import Options
from fleet.reporter import SilentReporter
from fleet.standing import Fleet
from fleet.status.collect import Status, status_run
from fleet.status.findings import findings
from fleet.status.text import status_lines
from fleet.tree import RenderedTree
from generator.errors import SealingError, WorkspaceError
from generator.sealing import Identity
from tests.fleet.local_host import LocalHosts
from tests.fleet.small_tree import ITEMS, write_tree
from tests.fleet.status_facts import FORMATION, TABLE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the host scripts ask for owners and users as root does")

ACCESS = {"etcdctl": "etcdctl", "port": 2379, "cacert": "ca", "cert": "crt", "key": "key"}
PHASES = [
    {"name": "host-base"},
    {"name": "binaries"},
    {"name": "runtime", "roles": ["etcd"], "formation": FORMATION, "gates": [{"kind": "etcd-health", **ACCESS}]},
]
LISTED = {
    "members": [
        {"ID": number, "name": f"n{number}", "peerURLs": [f"https://10.0.0.{number}:2380"]} for number in (1, 2, 3)
    ]
}
STATUS = [
    {
        "Endpoint": f"https://10.0.0.{number}:2379",
        "Status": {"header": {"member_id": number}, "leader": 2, "raftIndex": 7, "raftAppliedIndex": 7},
    }
    for number in (1, 2)
]
ETCDCTL = """#!/bin/sh
case "$*" in
*"member list"*) cat "$FAKE/members" ;;
*"endpoint status"*) cat "$FAKE/status"; exit 1 ;;
*"alarm list"*) echo '{}' ;;
esac
"""


def nobody() -> Identity:
    raise SealingError("there is no identity here")


class Place:
    """Three hosts that carry the mark of a formed etcd; n3 is silent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts = LocalHosts(folder / "hosts")
        names = ("n1", "n2", "n3")
        control = [{"host": name, "address": f"10.0.0.{name[1]}", "port": 6443} for name in names]
        tree = write_tree(
            folder, hosts={name: {"pool": "workers", "address": f"10.0.0.{name[1]}"} for name in names},
            phases=PHASES, items=[item for item in ITEMS if item["kind"] != "binary"], control_plane=control,
        )  # fmt: skip
        self.tree: RenderedTree = replace(tree, ports={name: TABLE for name in names})
        for name in names:
            host = self.hosts[name]
            (host.fake / "bin/etcdctl").write_text(ETCDCTL)
            (host.fake / "members").write_text(json.dumps(LISTED))
            (host.fake / "status").write_text(json.dumps(STATUS))
            for path in (FORMATION["mark"], f"{FORMATION['data']}/member/x"):
                (host.root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
                (host.root / path[1:]).touch()
            (host.root / "var/lib/slipway/phases").write_text("host-base\t0\n")
        self.hosts["n3"].reachable = False

    def status(self, **options: object) -> Status:
        cluster_dir = self.folder / "clusters/demo"
        (cluster_dir / "pki").mkdir(parents=True, exist_ok=True)

        async def no_api(_: object) -> None:
            raise AssertionError("status opens the API by itself")

        fleet = Fleet(
            self.tree, cluster_dir, Options(**options), SilentReporter(), self.hosts.connect, no_api, nobody,  # type: ignore[arg-type]
        )  # fmt: skip
        return asyncio.run(status_run(fleet))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_everything_that_can_be_seen_is_seen(place: Place) -> None:
    seen = place.status()
    assert set(seen.hosts) == {"n1", "n2"} and "it cannot be reached" in seen.unreachable["n3"]
    assert seen.formed and seen.etcd is not None and seen.etcd.leader is not None
    assert seen.etcd.leader.name == "n2" and seen.etcd.asked == "n1"
    assert [one.status is None for one in seen.etcd.members] == [False, False, True]
    assert seen.api is not None and seen.api.unseen == "no credentials: there is no identity here"
    found = findings(seen)
    texts = {(one.host, one.kind) for one in found}
    assert {("n3", "unreachable"), ("n3", "etcd"), ("n1", "unit"), ("n1", "generation")} <= texts
    assert any("the API not looked at" in line for line in status_lines(seen, found)[:1])


def test_the_second_host_is_asked_where_the_first_cannot_tell(place: Place) -> None:
    (place.hosts["n1"].fake / "members").write_text("Error: context deadline exceeded")
    seen = place.status()
    assert seen.etcd is not None and seen.etcd.asked == "n2" and not seen.etcd.trouble
    (place.hosts["n2"].fake / "members").write_text("")
    silent = place.status()
    assert silent.etcd is not None and "n1: etcdctl cannot list the members" in silent.etcd.trouble


def test_a_limit_still_sees_the_cluster(place: Place) -> None:
    seen = place.status(limit=("n2",))
    assert seen.names == ("n2",) and set(seen.judged) == {"n2"} and seen.etcd is not None
    assert not [one for one in findings(seen) if one.host == "n1"]
    with pytest.raises(WorkspaceError, match="--limit nobody fits no host"):
        place.status(limit=("nobody",))


def test_nothing_is_written_on_a_bare_host(place: Place) -> None:
    for name in ("n1", "n2", "n3"):
        host = place.hosts[name]
        host.reachable = True
        for path in ("var/lib/slipway/phases", FORMATION["mark"][1:], f"{FORMATION['data'][1:]}/member/x"):
            (host.root / path).unlink()
        (host.root / "var/lib/slipway").rmdir()
    seen = place.status()
    assert not seen.formed and seen.etcd is None and seen.api is None
    assert {one.text for one in findings(seen)} == {"nothing was ever applied here; run `invoke apply`"}
    assert not (place.hosts["n1"].root / "var/lib/slipway").exists()
