"""Hosts that answer a preflight as they should, on the rendered golden cluster with three control-plane hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from fleet.preflight import wants
from fleet.preflight.facts import Disk, Machine
from fleet.preflight.seen import Seen
from fleet.preflight.ways import calls, served
from fleet.status.listening import Listening
from fleet.tree import Host, RenderedTree, load

GIB = 1024 * 1024
RENDERED = Path(__file__).parents[1] / "golden/clusters/ha/rendered"
_SEEN_TO = ("swap", "chron", "time", "host-name", "hostname")


@cache
def tree() -> RenderedTree:
    """The golden cluster, without what would see to swap, clock and host name by itself."""
    found = load(RENDERED)
    return replace(found, hosts={name: _plain(host) for name, host in found.hosts.items()})


def _plain(host: Host) -> Host:
    items = [one for one in host.items if one.kind != "unit" or not any(word in one.name for word in _SEEN_TO)]
    return replace(host, items=tuple(items))


def machine(name: str, **more: Any) -> Machine:
    """A host on which nothing is wrong, but for what the test says."""
    host = tree().hosts[name]
    system, _, version = host.pool.os.partition("-")
    number = list(tree().hosts).index(name)
    good = Machine(
        host=name, arch="x86_64", os_id=system, os_version=version, hostname=name, kernel="6.1.0-18-amd64",
        machine_id=f"{number:032x}", product_uuid=f"0000-{number}", cpus=4, memory=8 * GIB,
        inotify={"instances": 128, "watches": 65536}, cgroup=2, timezone="Etc/UTC",
        disks={path: Disk(100 * GIB, "/", 1_000_000) for path in wants.room(host)},
        active=frozenset({"chrony.service"}), addresses=frozenset({"127.0.0.1", *host.addresses}),
        nameservers=("10.0.0.53",), resolves_itself=True, urls={url: "" for url in wants.urls(tree(), host)},
        listening=(Listening(22, "0.0.0.0", "sshd", 7, "ssh.service"),),
    )  # fmt: skip
    return replace(good, **more)


def seen(changes: Mapping[str, Mapping[str, Any]] | None = None, **more: Any) -> Seen:
    """All hosts of the cluster, some of them changed; every way that is needed is open or refused."""
    machines = {name: machine(name, **(changes or {}).get(name, {})) for name in tree().hosts}
    machines = {name: one for name, one in machines.items() if name not in more.get("unreachable", {})}
    return replace(
        Seen(tree(), tuple(tree().hosts), machines, forwarding={name: "direct" for name in machines}), **more
    )


def needed_ways() -> list[tuple[str, str, int]]:
    """Caller, target and port of every way that the cluster needs."""
    table = served(tree())
    return [
        (host.name, target.name, port)
        for host in tree().hosts.values()
        for target, port, _ in calls(tree(), table, host)
    ]
