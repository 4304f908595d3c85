"""Asks hosts, many side by side, whether they can be used; changes nothing on any of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable

from fleet.connection import Connection
from fleet.host_scripts import run_script
from fleet.options import selected
from fleet.preflight.facts import Machine, inquiry, machine_from
from fleet.preflight.seen import Forwarding, Seen, Way
from fleet.preflight.ways import calls, forwarding_of, served, try_ways
from fleet.session import AT_ONCE, Session
from fleet.standing import Fleet
from fleet.tree import Host, RenderedTree
from generator.errors import HostError


async def preflight_run(fleet: Fleet, skip: Collection[str] = ()) -> Seen:
    """Ask the hosts of the limit, one connection each; a host that does not answer is a fact like any other.

    Raises WorkspaceError for a limit that fits no host.
    """
    session = Session(fleet.tree, fleet.connector)
    try:
        return await look(session, selected(fleet.tree, fleet.options.limit), skip, keep=False)
    finally:
        await session.close()


async def look(session: Session, names: Iterable[str], skip: Collection[str] = (), *, keep: bool) -> Seen:
    """Return what hosts say and which ways are open from them; `keep` False closes each connection after that."""
    tree, names = session.tree, tuple(names)
    machines: dict[str, Machine] = {}
    unreachable: dict[str, str] = {}
    forwarding: dict[str, Forwarding] = {}
    ways: list[Way] = []
    table = () if "reach" in skip else served(tree)
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with slots:
            try:
                connection = await session.connect(name)
                machine = await _asked(tree, tree.hosts[name], connection, skip)
                forwarding[name] = await forwarding_of(connection)
                if forwarding[name] == "direct":
                    ways.extend(await try_ways(connection, calls(tree, table, tree.hosts[name])))
                machines[name] = machine
            except HostError as error:
                unreachable[name] = str(error)
            if not keep:
                await session.drop(name)

    await asyncio.gather(*map(one, names))
    away = frozenset(session.unreachable) - set(names)
    return Seen(tree, names, machines, dict(sorted(unreachable.items())), forwarding, tuple(sorted(ways)), away)


async def _asked(tree: RenderedTree, host: Host, connection: Connection, skip: Collection[str]) -> Machine:
    asked = time.time()
    lines = await run_script(connection, "preflight", stdin=inquiry(tree, host, skip))
    return machine_from(host.name, lines, asked=asked, now=time.time())
