"""Hosts, pools and phases: the words of inventory.yaml and phases.yaml as values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fleet.items import Item


@dataclass(frozen=True, slots=True)
class Jump:
    """One jump host on the way to a host."""

    address: str
    port: int = 22
    user: str = "root"


@dataclass(frozen=True, slots=True)
class Ssh:
    """How a host is entered; jumps in the order of travel."""

    user: str = "root"
    port: int = 22
    jumps: tuple[Jump, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """How the hosts of a pool are run; `max_unavailable` as written ("1", "10%"), `kernel` as in `Host`."""

    name: str
    roles: frozenset[str]
    components: tuple[str, ...]
    os: str
    arch: str
    max_unavailable: str
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, str], ...]
    kernel: str = ""


@dataclass(frozen=True)
class Host:
    """One host; `items` in the order of kinds, then keys; `node` is its name in the API ("" where it is no node).

    `secondary` is its address of the other family on a dual-stack host, "" elsewhere. `kernel` is the release that is
    to run there, "newest" for the newest that is installed, "" where that is its own business.
    """

    name: str
    pool: Pool
    address: str
    node: str
    zone: str
    labels: Mapping[str, str]
    ssh: Ssh
    items: tuple[Item, ...]
    secondary: str = ""
    kernel: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The address that others know it by and, on a dual-stack host, the one of the other family."""
        return (self.address, self.secondary) if self.secondary else (self.address,)

    @cached_property
    def digest(self) -> str:
        """The name of the host's generation: SHA-256 over paths, modes, owners, content and secret ids, in order."""
        return _digest(self.items)

    @cached_property
    def phase_digests(self) -> Mapping[str, str]:
        """The same for each phase alone; a phase whose gates have passed is recorded under it."""
        return {
            phase: _digest([item for item in self.items if item.phase == phase])
            for phase in {item.phase for item in self.items}
        }

    @cached_property
    def by_key(self) -> Mapping[str, Item]:
        """Its items by key."""
        return {item.key: item for item in self.items}

    def units(self, phase: str | None = None) -> tuple[Item, ...]:
        """Return its units, of one phase or of all."""
        return tuple(item for item in self.items if item.kind == "unit" and phase in (None, item.phase))

    @property
    def drain_key(self) -> str:
        """The text whose change needs a drained node, "" for a host that is no node."""
        return "; ".join(unit.drain_key for unit in self.units() if unit.drain_key)


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase as phases.yaml gives it; a gate is a mapping with its kind and parameters."""

    name: str
    title: str = ""
    roles: frozenset[str] = frozenset()
    batch: str = "all"
    gates: tuple[Mapping[str, Any], ...] = ()
    before: tuple[Mapping[str, Any], ...] = ()
    objects: tuple[str, ...] = ()
    first: str = ""
    drain: bool = False
    defer_drained: str = ""
    formation: Mapping[str, str] = field(default_factory=dict)
    join: Mapping[str, str] = field(default_factory=dict)


def pool_from(name: str, entry: Mapping[str, Any]) -> Pool:
    """Return the pool that an entry of inventory.yaml describes."""
    return Pool(
        name=name,
        roles=frozenset(entry["roles"]),
        components=tuple(entry.get("components") or ()),
        os=str(entry["os"]),
        arch=str(entry["arch"]),
        max_unavailable=str(entry.get("maxUnavailable", "1")),
        labels=dict(entry.get("labels") or {}),
        taints=tuple(dict(taint) for taint in entry.get("taints") or ()),
        kernel=str(entry.get("kernel", "")),
    )


def ssh_from(entry: Mapping[str, Any]) -> Ssh:
    """Return the SSH settings of an entry of inventory.yaml, merged over those of the cluster."""
    jumps = tuple(
        Jump(str(jump["address"]), int(jump.get("port", 22)), str(jump.get("user", "root")))
        for jump in entry.get("jumps") or ()
    )
    return Ssh(str(entry.get("user", "root")), int(entry.get("port", 22)), jumps)


def phase_from(entry: Mapping[str, Any]) -> Phase:
    """Return the phase that an entry of phases.yaml describes; raises ValueError for an unknown batch."""
    batch = str(entry.get("batch", "all"))
    if batch not in {"all", "one", "slots"}:
        raise ValueError(f"phase {entry['name']}: unknown batch {batch}")
    return Phase(
        name=str(entry["name"]),
        title=str(entry.get("title", "")),
        roles=frozenset(entry.get("roles") or ()),
        batch=batch,
        gates=tuple(entry.get("gates") or ()),
        before=tuple(entry.get("before") or ()),
        objects=tuple(entry.get("objects") or ()),
        first=str(entry.get("first", "")),
        drain=bool(entry.get("drain", False)),
        defer_drained=str(entry.get("deferDrained", "")),
        formation=dict(entry.get("formation") or {}),
        join=dict(entry.get("join") or {}),
    )


def _digest(items: Sequence[Item]) -> str:
    return hashlib.sha256("\n".join(item.statement for item in items).encode()).hexdigest()
