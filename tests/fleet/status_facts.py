"""A small cluster in which all is as it should be, as `status` has seen it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet.plan import make_plan
from fleet.ports import Port
from fleet.state import HostState, Owned, PathFacts, UnitFacts
from fleet.status.api_facts import ApiFacts, Health, Node
from fleet.status.collect import Status
from fleet.status.etcd import EtcdFacts, Member, MemberStatus
from fleet.status.findings import findings
from fleet.status.host_facts import HostFacts
from fleet.status.listening import Listening
from fleet.tree import RenderedTree
from tests.fleet.small_tree import ITEMS, write_tree

NOW = datetime(2026, 6, 1, tzinfo=UTC)
UNIT = "idle.service"
GOOD = UnitFacts("loaded", "active", "running", "enabled", 0, "simple")
FORMATION = {"unit": UNIT, "data": "/var/lib/idle", "mark": "/var/lib/slipway/etcd-formed"}
PHASES: list[dict[str, Any]] = [
    {"name": "host-base", "batch": "all"},
    {"name": "binaries", "batch": "all"},
    {"name": "runtime", "roles": ["etcd"], "batch": "one", "formation": FORMATION},
]
LISTENING = (Listening(22, "::", "sshd", 5, "ssh.service"), Listening(2379, "127.0.0.1", "idle", 9, UNIT))
TABLE = (
    Port(22, 22, "tcp", frozenset({"any"}), frozenset({"operator"}), "sshd", "the way in"),
    Port(2379, 2379, "tcp", frozenset({"loopback"}), frozenset({"host"}), "idle", "clients"),
)
MEMBER = MemberStatus("3.5.1", 1_000_000, 500_000, "1", 2, 100, 100)


def tree_of(folder: Path, count: int = 3) -> RenderedTree:
    hosts = {f"n{n}": {"pool": "workers", "address": f"10.0.0.{n}", "node": f"n{n}"} for n in range(1, count + 1)}
    tree = write_tree(folder, hosts=hosts, phases=PHASES, items=[item for item in ITEMS if item["kind"] != "binary"])
    return replace(tree, ports={name: TABLE for name in tree.hosts})


def state_of(tree: RenderedTree, name: str) -> HostState:
    """A host that has exactly what it is to have."""
    host = tree.hosts[name]
    paths, owned = {}, {}
    for item in host.items:
        owned[item.key] = Owned(item.kind, item.phase, item.component, item.content_id)
        if item.path:
            kind = item.kind if item.kind in {"link", "directory"} else "file"
            sha = item.content_id if item.kind == "file" else ""
            paths[item.path] = PathFacts(kind, f"{item.mode:04o}", "root", "root", sha, item.target, True)
    return HostState(
        name, arch="x86_64", os_id="debian", os_version="12", generation=host.digest, phases=dict(host.phase_digests),
        paths=paths, owned=owned, units={UNIT: GOOD}, users={"idler": frozenset({"idlers"})},
        existing=frozenset({FORMATION["mark"], "/var/lib/idle/member"}),
    )  # fmt: skip


def facts_of(tree: RenderedTree, name: str, **state: Any) -> HostFacts:
    return HostFacts(replace(state_of(tree, name), **state), {UNIT: 86400.0}, LISTENING)


def member(number: int, **more: Any) -> Member:
    return replace(Member(str(number), f"n{number}", f"10.0.0.{number}", status=MEMBER), **more)


def whole(tree: RenderedTree, hosts: Mapping[str, HostFacts] | None = None, **more: Any) -> Status:
    """A cluster in which all is as it should be, but for what the test says."""
    facts = {**{name: facts_of(tree, name) for name in tree.hosts}, **(hosts or {})}
    facts = {name: one for name, one in facts.items() if name not in more.get("unreachable", {})}
    count = len(tree.hosts)
    seen = Status(
        tree=tree, now=NOW, names=tuple(tree.hosts), hosts=facts, unreachable={},
        plan=make_plan(tree, {name: one.state for name, one in facts.items()}, now=NOW), formed=True,
        health=(Health("n1", "kube-scheduler"),),
        etcd=EtcdFacts("n1", tuple(member(number) for number in range(1, count + 1))),
        api=ApiFacts((Health("n1", "kube-apiserver"),),
                     tuple(Node(name, "", "v1.20.2", False) for name in tree.hosts)),
    )  # fmt: skip
    return replace(seen, **more)


def texts(status: Status, severity: str = "") -> list[str]:
    return [f"{one.host}: {one.text}" for one in findings(status) if severity in ("", one.severity)]
