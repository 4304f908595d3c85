"""The open connections of one run, and what the hosts answered when they were asked."""

from __future__ import annotations

import asyncio
import base64
import binascii
import resource
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from fleet.connection import Connection
from fleet.host_scripts import run_script
from fleet.state import HostState, question, state_from
from fleet.tree import Host, RenderedTree
from generator.errors import HostError

AT_ONCE = 50
Connector = Callable[[Host], Awaitable[Connection]]


class Session:
    """Connects to each host at most once, and keeps answers in `states` and failures in `unreachable`, by host."""

    def __init__(self, tree: RenderedTree, connector: Connector) -> None:
        self.tree = tree
        self.states: dict[str, HostState] = {}
        self.unreachable: dict[str, HostError] = {}
        self._connector = connector
        self._connections: dict[str, asyncio.Task[Connection]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        _allow_many_files()

    async def connect(self, name: str) -> Connection:
        """Return the open connection to a host; raises HostError."""
        task = self._connections.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.ensure_future(_as_connection(self._connector(self.tree.hosts[name])))
            self._connections[name] = task
        return await asyncio.shield(task)

    async def ask(self, names: Iterable[str], *, deep: bool = False, keep: bool = True) -> None:
        """Ask hosts what they have, many at once; `keep` False closes each connection after its answer."""

        async def one(name: str) -> None:
            async with self._slots:
                try:
                    connection = await self.connect(name)
                    lines = await run_script(
                        connection, "question", stdin=question(self.tree, self.tree.hosts[name], deep=deep)
                    )
                    self.states[name] = state_from(name, lines, now=time.time())
                    self.unreachable.pop(name, None)
                except HostError as error:
                    self.states.pop(name, None)
                    self.unreachable[name] = error
                if not keep:
                    await self.drop(name)

        await asyncio.gather(*(one(name) for name in names))

    async def texts(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, bytes]]:
        """Return the present content of files, by host and path; what not everybody may read there is left out."""
        found: dict[str, dict[str, bytes]] = {}

        async def one(name: str, paths: Sequence[str]) -> None:
            async with self._slots:
                connection = await self.connect(name)
                lines = await run_script(connection, "show", stdin=("\n".join(paths) + "\n").encode())
            try:
                found[name] = {words[1]: base64.b64decode(words[2]) for words in lines if words[0] == "content"}
            except (IndexError, binascii.Error):
                raise HostError(f"{name}: show: the answer is not understood; look at the host", name) from None

        await asyncio.gather(*(one(name, paths) for name, paths in wanted.items()))
        return found

    async def drop(self, name: str) -> None:
        """Close the connection to one host, if there is one."""
        task = self._connections.pop(name, None)
        if task is not None and not task.cancelled():
            try:
                await (await task).close()
            except HostError:
                return

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(self.drop(name) for name in list(self._connections)))


async def _as_connection(waiting: Awaitable[Connection]) -> Connection:
    return await waiting


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 65536), hard))
