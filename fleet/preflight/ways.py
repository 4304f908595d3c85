"""The ways between hosts that a cluster needs, as the port table has them, and trying them from a host.

A port on which nobody listens yet answers too: the host refuses. Only where nothing comes back does something on the
way, or on the host, take the packets away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from fleet.connection import Connection
from fleet.preflight.seen import Answer, Forwarding, Way
from fleet.tree import Host, RenderedTree
from generator.errors import HostError, LostHostError

FEW = 10
"""So many hosts with one port are all asked by each caller; of more, a sample."""
SAMPLE = 5
SECONDS = 5.0
AT_ONCE = 8
_CLOSED_PORT = 1
"""tcpmux (RFC 1078), on which nobody listens: a refusal shows that sshd has tried."""
_SILENCE = ("timed out", "no answer", "no route", "unreachable", "prohibited", "not permitted")


@dataclass(frozen=True, slots=True)
class Served:
    """A port and the hosts that are to have it, by name; `callers` are roles, or anyone."""

    port: int
    component: str
    callers: frozenset[str]
    hosts: tuple[str, ...]


def served(tree: RenderedTree) -> tuple[Served, ...]:
    """Return the TCP ports on which hosts hear other hosts."""
    found: dict[tuple[int, str, frozenset[str]], list[str]] = {}
    for name, table in sorted(tree.ports.items()):
        for port in table:
            callers = port.callers - {"host", "operator"}
            if callers and port.protocol != "udp" and not port.may_be_shut and port.scopes != {"loopback"}:
                found.setdefault((port.first, port.component, callers), []).append(name)
    return tuple(
        Served(port, component, callers, tuple(names))
        for (port, component, callers), names in sorted(found.items(), key=lambda entry: (*entry[0][:2], entry[1]))
    )


def calls(tree: RenderedTree, table: Sequence[Served], caller: Host) -> list[tuple[Host, int, str]]:
    """Return whom a host is to reach: of few hosts all, of many a sample that differs from caller to caller.

    The control plane is always asked whole, so that every host has tried it.
    """
    place = list(tree.hosts).index(caller.name)
    wanted: list[tuple[Host, int, str]] = []
    for one in table:
        if not one.callers & {*caller.pool.roles, "anyone"}:
            continue
        others = [name for name in one.hosts if name != caller.name]
        core = [name for name in others if "control-plane" in tree.hosts[name].pool.roles]
        rest = [name for name in others if "control-plane" not in tree.hosts[name].pool.roles]
        if len(rest) > FEW:
            rest = [rest[(place + number * len(rest) // SAMPLE) % len(rest)] for number in range(SAMPLE)]
        wanted += [(tree.hosts[name], one.port, one.component) for name in (*core, *rest)]
    return wanted


async def forwarding_of(connection: Connection) -> Forwarding:
    """Return how connections leave a host; raises LostHostError where it is lost."""
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await connection.open_tcp("127.0.0.1", _CLOSED_PORT)
    except (ConnectionError, TimeoutError):
        return "direct"
    except LostHostError:
        raise
    except HostError:
        return "none"
    writer.close()
    return "relay"


async def try_ways(connection: Connection, wanted: Sequence[tuple[Host, int, str]]) -> list[Way]:
    """Try ways from a host whose sshd forwards; raises HostError where the host is lost meanwhile."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(target: Host, port: int, component: str) -> Way:
        async with slots:
            answer = await _answer(connection, target.address, port)
        return Way(connection.host, target.name, port, component, answer)

    return list(await asyncio.gather(*(one(*way) for way in wanted)))


async def _answer(connection: Connection, address: str, port: int) -> Answer:
    began = monotonic()
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await connection.open_tcp(address, port)
    except TimeoutError:
        return "silent"
    except ConnectionError as error:
        words = str(error).lower()
        if "refused" in words:
            return "refused"
        # An sshd that gives no reason has one at once where the host refuses.
        return "silent" if any(one in words for one in _SILENCE) or monotonic() - began > 1 else "refused"
    writer.close()
    return "open"
