"""The first formation of etcd: whether it is due, and the steps around it.

Members are started with state `new` only while the cluster has not formed. After that no run starts a member without
data: such a member would come back with an empty log.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fleet.connection import Connection
from fleet.host_gates import etcd_health_of, etcdctl
from fleet.host_scripts import run_script
from fleet.plan import formed
from fleet.question import formation_paths
from fleet.state import HostState
from fleet.tree import Host, Phase, RenderedTree
from generator.errors import HostError, RefusedError

Connect = Callable[[str], Awaitable[Connection]]


def etcd_gate(phase: Phase) -> Mapping[str, Any] | None:
    """Return the gate of the phase that says how etcdctl is called."""
    return next((entry for entry in phase.gates if "etcdctl" in entry), None)


async def formation_due(tree: RenderedTree, phase: Phase, states: Mapping[str, HostState], connect: Connect) -> bool:
    """Return whether etcd has yet to form: no mark anywhere, and no healthy member or a formation cut short."""
    if formed(tree, states):
        return False
    members = [name for name, state in states.items() if phase.roles & tree.hosts[name].pool.roles]
    _, data, drop_in = formation_paths(phase)
    if any(drop_in in states[name].existing for name in members):
        return True
    gate = etcd_gate(phase)
    for name in members:
        if gate is None or data not in states[name].existing:
            continue
        try:
            health = await etcd_health_of(await connect(name), gate, ["127.0.0.1"])
        except HostError:
            continue
        if health.get("127.0.0.1"):
            return False
    return True


def require_all_members(tree: RenderedTree, phase: Phase, hosts: Sequence[str]) -> None:
    """Raise RefusedError unless all members take part: a formation with some would be another cluster."""
    missing = [host.name for host in tree.hosts.values() if phase.roles & host.pool.roles and host.name not in hosts]
    if missing:
        raise RefusedError(
            f"{tree.cluster}: etcd has not formed, and {', '.join(missing)} would not take part; form it "
            f"with all of its hosts, without --limit and --skip-unreachable"
        )


async def prepare(connection: Connection, phase: Phase) -> None:
    """Let the unit start without data, as a new member, until `finish`."""
    await run_script(connection, "formation", ["prepare", phase.formation["unit"]])


async def mark(connection: Connection, phase: Phase) -> None:
    """Write on a host that the cluster has formed."""
    await run_script(connection, "record", ["mark", phase.formation["mark"]])


async def finish(connection: Connection, phase: Phase) -> None:
    """Take the drop-in away."""
    await run_script(connection, "formation", ["finish", phase.formation["unit"]])


async def refuse_membership_change(tree: RenderedTree, phase: Phase, connection: Connection) -> bool:
    """Compare etcd's own list of members with the inventory; raise RefusedError where they differ.

    Returns whether this member could tell: a list that cannot be had refuses nothing.
    """
    gate = etcd_gate(phase)
    if gate is None:
        return True
    endpoint = f"--endpoints=https://127.0.0.1:{gate['port']}"
    result = await connection.run(etcdctl(gate, ["member", "list", endpoint, "--write-out=json"]), timeout=30)
    try:
        members = json.loads(result.stdout)["members"]
        urls = [str(url) for member in members for url in member["peerURLs"]]
    except (ValueError, KeyError, TypeError):
        return False
    hosts: dict[str, Host] = {host.address: host for host in tree.hosts.values() if phase.roles & host.pool.roles}
    found = {_address(url) for url in urls}
    new = sorted(hosts[address].name for address in set(hosts) - found)
    gone = sorted(found - set(hosts))
    if new or gone:
        words = [f"{', '.join(new)} would be new" if new else "", f"{', '.join(gone)} would go" if gone else ""]
        raise RefusedError(
            f"{tree.cluster}: etcd: its members are not those of the inventory: "
            f"{' and '.join(word for word in words if word)}; "
            "a change of etcd membership needs a verb of its own, which is not built yet: take the change back"
        )
    return True


def _address(url: str) -> str:
    return url.partition("://")[2].rpartition(":")[0].strip("[]")
