"""What every check of a run shares: tree, page, hosts and API, and visits to hosts, many at once but never too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from fleet.connection import Connection
from fleet.folding import folded
from fleet.kube import Api
from fleet.reporter import Reporter
from fleet.session import Session
from fleet.tree import Host, RenderedTree
from fleet.verify.page import Page
from fleet.verify.results import Checked, Finding, checked, counted
from generator.errors import HostError

HOSTS_AT_ONCE = 50
REQUESTS_AT_ONCE = 20
KEPT_OPEN = 100
"""With more hosts than this a connection ends with each visit, but to control-plane hosts: the API rides on those."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Verification:
    """One run. `hosts` are those that the operator chose; `unreachable` says why a host of them cannot be visited.

    `visits` is what the check under way came to on its hosts.
    """

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
    visits: Visits = field(default_factory=lambda: Visits())

    @property
    def cluster(self) -> str:
        """The name of the cluster."""
        return self.tree.cluster

    @property
    def nodes(self) -> tuple[Host, ...]:
        """The chosen hosts that are nodes."""
        return tuple(host for host in self.hosts if host.node)

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
        """Return what an action gives on each host that can be reached; a host that cannot is lost to the run."""

        async def one(host: Host) -> list[R]:
            if host.name in self.unreachable:
                self.visits.passed_over.add(host.name)
                return []
            try:
                async with self.visit(host) as connection:
                    found = await action(host, connection)
            except HostError as error:
                self.lose(host, error)
                return []
            if host.name not in self.visits.lost:
                self.visits.answered.add(host.name)
            return [found]

        return [found for answer in await each(hosts, HOSTS_AT_ONCE, one) for found in answer]

    def lose(self, host: Host, error: HostError) -> None:
        """Remember that a host cannot be asked any more, and that the check under way has found so."""
        if host.name not in self.unreachable:
            self.unreachable[host.name] = str(error)
            self.visits.lost.add(host.name)

    def settled(self, found: Checked) -> Checked:
        """Return what a check found with what its visits came to, and begin to count for the next one.

        A host that was lost in it is a finding of it: nobody has seen what that host would have shown. So is it where
        not one host was left to ask. Hosts that an earlier check has lost are named in a note.
        """
        visits, self.visits = self.visits, Visits()
        findings = [_lost(name, self.unreachable[name]) for name in visits.lost]
        notes: list[str] = []
        if visits.passed_over and not visits.answered | visits.lost:
            cause = f"none of the {counted(len(visits.passed_over), 'host')} that it is to ask can be reached"
            findings.append(Finding("", cause, "see the checks above that lost them"))
        elif visits.passed_over:
            notes.append(f"not asked, because a check above has lost them: {folded(visits.passed_over)}")
        every = checked(found.looked_at, [*found.findings, *findings], [*found.notes, *notes])
        return replace(found, findings=every.findings, notes=every.notes)


@dataclass(slots=True)
class Visits:
    """Names of hosts that answered in one check, that were lost in it, and that earlier checks had lost already."""

    answered: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    passed_over: set[str] = field(default_factory=set)


def _lost(name: str, words: str) -> Finding:
    text = words.partition(": ")[2] or words
    cause, separator, todo = text.rpartition("; ")
    return Finding(name, cause, todo) if separator else Finding(name, text, "look at the host, and run verify again")


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
