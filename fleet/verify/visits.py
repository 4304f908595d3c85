"""What every check of a run shares: tree, page, hosts and API, and visits to hosts, many at once but never too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from fleet.connection import Connection
from fleet.kube import Api
from fleet.reporter import Reporter
from fleet.session import Session
from fleet.tree import Host, RenderedTree
from fleet.verify.page import Page
from generator.errors import HostError

HOSTS_AT_ONCE = 50
REQUESTS_AT_ONCE = 20
KEPT_OPEN = 100
"""With more hosts than this a connection ends with each visit, but to control-plane hosts: the API rides on those."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Verification:
    """One run. `hosts` are those that the operator chose; `unreachable` says why a host of them cannot be visited."""

    tree: RenderedTree
    page: Page
    cluster_dir: Path
    hosts: tuple[Host, ...]
    whole: bool
    session: Session
    api: Api
    reporter: Reporter
    now: Callable[[], datetime]
    unreachable: dict[str, str] = field(default_factory=dict)

    @property
    def cluster(self) -> str:
        """The name of the cluster."""
        return self.tree.cluster

    @property
    def nodes(self) -> tuple[Host, ...]:
        """The chosen hosts that are nodes."""
        return tuple(host for host in self.hosts if host.node)

    @property
    def reachable(self) -> tuple[Host, ...]:
        """The chosen hosts that answered."""
        return tuple(host for host in self.hosts if host.name not in self.unreachable)

    @asynccontextmanager
    async def visit(self, host: Host) -> AsyncIterator[Connection]:
        """Hold the connection to a host for the length of a block; raises HostError."""
        connection = await self.session.connect(host.name)
        try:
            yield connection
        finally:
            if len(self.hosts) > KEPT_OPEN and "control-plane" not in host.pool.roles:
                await self.session.drop(host.name)

    async def visit_all(self, hosts: Iterable[Host], action: Callable[[Host, Connection], Awaitable[R]]) -> list[R]:
        """Return what an action gives on each host that can be reached; a host that cannot is remembered as such."""

        async def one(host: Host) -> list[R]:
            if host.name in self.unreachable:
                return []
            try:
                async with self.visit(host) as connection:
                    return [await action(host, connection)]
            except HostError as error:
                self.unreachable[host.name] = str(error)
                return []

        return [found for answer in await each(hosts, HOSTS_AT_ONCE, one) for found in answer]


async def each(items: Iterable[T], at_once: int, action: Callable[[T], Awaitable[R]]) -> list[R]:
    """Return what an action gives for each item, in their order, so many at once; the first error ends all of them."""
    slots = asyncio.Semaphore(at_once)

    async def one(item: T) -> R:
        async with slots:
            return await action(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def ring(items: Sequence[T]) -> list[tuple[T, T]]:
    """Return each item with the one after it, the last with the first; of one item alone nothing."""
    return [(one, items[(at + 1) % len(items)]) for at, one in enumerate(items)] if len(items) > 1 else []
