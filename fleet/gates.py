"""Health gates: a registry of kinds, and the patience with which a run waits for one to open.

A gate is a function that returns "" when it is open, else why it is shut. `fleet.host_gates` fills in what can be seen
over SSH, the API side what only the API knows. Phases name kinds and parameters; fleet knows no phase by name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.cluster_api import ClusterApi
from fleet.connection import Connection, printable
from fleet.items import Item
from fleet.reporter import Reporter
from fleet.state import HostState
from fleet.tree import Host, Phase, RenderedTree
from generator.errors import ApiError, FleetError, GateError, HostError

POLL_SECONDS = 1.0
LOOKS = 3
LOOK_SECONDS = 60.0
"""How long one look at a gate may take: a program that takes a connection and never answers keeps the gate shut."""


@dataclass
class GateContext:
    """What a gate may look at. `host`, `connection` and `state` are None for a gate of the whole cluster.

    `connect` gives the open connection to any host, `enter` makes one anew, which is for its caller to close;
    `cluster_api` opens the API on first use. `patient` is False when the question is only how things stand now;
    `longest` bounds the wait, in seconds. `memory` is kept while one gate is being waited for; where a gate changes
    `progress` in it, it comes closer, and its time begins anew.
    """

    tree: RenderedTree
    phase: Phase
    connect: Callable[[str], Awaitable[Connection]]
    cluster_api: Callable[[], Awaitable[ClusterApi]]
    host: Host | None = None
    connection: Connection | None = None
    state: HostState | None = None
    patient: bool = True
    longest: float | None = None
    unit_phases: tuple[str, ...] = ()
    enter: Callable[[str], Awaitable[Connection]] | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    now: Callable[[], float] = time.time

    @property
    def units(self) -> tuple[Item, ...]:
        """The units of this phase on this host, and of the phases that were deferred to it."""
        phases = self.unit_phases or (self.phase.name,)
        return tuple(unit for name in phases for unit in self.host.units(name)) if self.host is not None else ()

    def on_host(self) -> tuple[Host, Connection]:
        """Return host and connection; raises FleetError for a gate that was given none."""
        if self.host is None or self.connection is None:
            raise FleetError(
                f"{self.tree.cluster}: phase {self.phase.name} has a gate of hosts, and no host; render the "
                f"cluster again"
            )
        return self.host, self.connection


Gate = Callable[[GateContext, Mapping[str, Any]], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class GateKind:
    """A kind of gate and how many seconds a run waits for it; `of_host` False: once for the cluster.

    `own`, for a gate about what remains without a host: the gate that is open while that host itself serves.
    """

    name: str
    check: Gate
    timeout: float
    of_host: bool = True
    own: Gate | None = None


KINDS: dict[str, GateKind] = {}


def gate(name: str, *, timeout: float, of_host: bool = True, own: Gate | None = None) -> Callable[[Gate], Gate]:
    """Register a function as a kind of gate."""

    def register(check: Gate) -> Gate:
        KINDS[name] = GateKind(name, check, timeout, of_host, own)
        return check

    return register


def kind_of(entry: Mapping[str, Any]) -> GateKind:
    """Return the kind that an entry of phases.yaml names; raises FleetError for one that is not known."""
    name = str(entry.get("kind", ""))
    if name not in KINDS:
        raise FleetError(
            f"phases.yaml has a gate of kind {name!r}, which this Slipway does not know; use the Slipway "
            f"that rendered the tree"
        )
    return KINDS[name]


async def shut_because(entry: Mapping[str, Any], context: GateContext) -> str:
    """Return why a gate is shut right now, "" when it is open; what goes wrong on the way counts as shut.

    A gate with `roles` speaks only of hosts that have one of them.
    """
    roles = set(entry.get("roles") or ())
    if roles and context.host is not None and not roles & context.host.pool.roles:
        return ""
    try:
        async with asyncio.timeout(LOOK_SECONDS) as limit:
            return await kind_of(entry).check(context, entry)
    except (ApiError, HostError, OSError) as error:
        if limit.expired():
            return f"no answer within {LOOK_SECONDS:.0f} s"
        return printable(str(error)) or type(error).__name__


async def worth_guarding(entry: Mapping[str, Any], context: GateContext) -> bool:
    """Return whether a host has something to lose that the gate guards: what does not serve cannot get worse.

    It is looked at some times, so that a moment's silence does not count.
    """
    own = kind_of(entry).own
    if own is None:
        return True
    for look in range(LOOKS):
        if look:
            await asyncio.sleep(POLL_SECONDS)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                if not await own(context, entry):
                    return True
        except (ApiError, HostError, OSError):
            continue
    return False


async def wait_open(
    entry: Mapping[str, Any],
    context: GateContext,
    reporter: Reporter,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until a gate opens; raises GateError with the last reason and, for units, their last journal lines."""
    kind = kind_of(entry)
    timeout = float(entry.get("timeout", kind.timeout))
    longest = float("inf") if context.longest is None else context.longest
    host = context.host.name if context.host else ""
    name = f"{kind.name} {entry['port']}" if "port" in entry and "etcdctl" not in entry else kind.name
    began = since = clock()
    told, progress = "", None
    while reason := await shut_because(entry, context):
        if context.memory.get("progress") != progress:
            progress, since = context.memory.get("progress"), clock()
        if clock() - since >= timeout or clock() - began >= longest:
            raise await _gate_error(context, kind, reason, min(timeout, longest), closer=since - began > timeout)
        if reason != told:
            reporter.event("waiting", phase=context.phase.name, host=host, gate=name, reason=reason)
            told = reason
        await sleep(POLL_SECONDS)
    reporter.event("gate", phase=context.phase.name, host=host, gate=name, took=clock() - began)


async def _gate_error(
    context: GateContext, kind: GateKind, reason: str, timeout: float, *, closer: bool = False
) -> GateError:
    where = context.tree.cluster + (f"/{context.host.name}" if context.host else "")
    unit = str(context.memory.get("unit", "")) or next((unit.name for unit in context.units if unit.start), "")
    lines = await journal_of(context.connection, unit) if unit and context.connection is not None else ""
    waited = f" after {timeout:.0f} s{' without progress' if closer else ''}" if timeout else ""
    tail = f"; the last lines of {unit}:\n{lines}" if lines else ""
    text = (
        f"{where}: {context.phase.name}: gate {kind.name} is still shut{waited}: {reason}; "
        f"put that right and run the same command again{tail}"
    )
    return GateError(text, context.host.name if context.host else "", unit, lines)


async def journal_of(connection: Connection, unit: str, count: int = 20) -> str:
    """Return the last lines of a unit's journal, "" where they cannot be had."""
    try:
        result = await connection.run(
            ["journalctl", "--no-pager", "--output=short-iso", "--lines", str(count), "--unit", unit]
        )
    except HostError:
        return ""
    lines = result.text.splitlines()
    return "\n".join(f"  {printable(line)}" for line in lines)
