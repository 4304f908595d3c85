"""The open connections of one run, and what the hosts answered when they were asked."""

from __future__ import annotations

import asyncio
import base64
import binascii
import resource
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from fleet.connection import Connection, Input, Result
from fleet.host_scripts import run_script
from fleet.question import question, state_from
from fleet.state import HostState
from fleet.tls import ByteReader, ByteWriter
from fleet.tree import Host, RenderedTree
from generator.errors import HostError, LostHostError

AT_ONCE = 50
AGAIN_SECONDS = 10.0
"""How long a host that could not be entered is not tried again: many may ask for it, and each try can take its time."""
Connector = Callable[[Host], Awaitable[Connection]]


class Session:
    """Connects to each host at most once, and keeps answers in `states` and failures in `unreachable`, by host."""

    def __init__(self, tree: RenderedTree, connector: Connector) -> None:
        self.tree = tree
        self.states: dict[str, HostState] = {}
        self.unreachable: dict[str, HostError] = {}
        self._connector = connector
        self._connections: dict[str, asyncio.Task[Connection]] = {}
        self._failed: dict[str, float] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        _allow_many_files()

    async def connect(self, name: str) -> Connection:
        """Return the connection to a host, open now and opened anew when it broke; raises HostError."""
        await self.entered(name)
        return KeptConnection(self, name)

    async def entered(self, name: str) -> Connection:
        """Return the connection to a host as it is at this moment; raises HostError."""
        task = self._connections.get(name)
        failed = task is not None and task.done() and (task.cancelled() or task.exception() is not None)
        if task is None or (failed and time.monotonic() - self._failed.get(name, 0.0) >= AGAIN_SECONDS):
            task = asyncio.ensure_future(self._enter(name))
            self._connections[name] = task
        return await asyncio.shield(task)

    async def _enter(self, name: str) -> Connection:
        try:
            return await self._connector(self.tree.hosts[name])
        except HostError:
            self._failed[name] = time.monotonic()
            raise

    async def enter(self, name: str) -> Connection:
        """Make a connection to a host anew, beside the one of the run, and leave it to the caller to close.

        Raises HostError. Jump hosts are shared, so what is proved is the way from the last of them into the host.
        """
        return await self._connector(self.tree.hosts[name])

    async def broke(self, name: str, connection: Connection) -> None:
        """Let go of a connection that broke, unless another has been opened since."""
        task = self._connections.get(name)
        if task is not None and task.done() and not task.cancelled() and task.exception() is None:
            if task.result() is not connection:
                return
            del self._connections[name]
        await connection.close()

    async def ask(self, names: Iterable[str], *, deep: bool = False, keep: bool = True) -> None:
        """Ask hosts what they have, many at once; `keep` False closes each connection after its answer."""

        async def one(name: str) -> None:
            async with self._slots:
                try:
                    connection = await self.connect(name)
                    asked = time.time()
                    lines = await run_script(
                        connection, "question", stdin=question(self.tree, self.tree.hosts[name], deep=deep)
                    )
                    self.states[name] = state_from(name, lines, asked=asked, now=time.time())
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


class KeptConnection:
    """The connection to one host for the length of a run; fills the protocol `Connection`.

    Where the connection broke (sshd was restarted, a wire was pulled, the host was booted anew) the next use opens
    another. What was under way then is an error and is never begun again here: whoever asked for it knows whether that
    is safe. What the host had not got yet is sent again at once.
    """

    def __init__(self, session: Session, host: str) -> None:
        self._session = session
        self._host = host

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._host

    @property
    def where(self) -> str:
        """Cluster and host."""
        return f"{self._session.tree.cluster}/{self._host}"

    async def run(self, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
        """Run a program as root; see `Connection.run`."""
        connection = await self._session.entered(self._host)
        try:
            return await connection.run(argv, stdin, timeout=timeout)
        except LostHostError as error:
            await self._session.broke(self._host, connection)
            if error.begun:
                raise
        return await (await self._session.entered(self._host)).run(argv, stdin, timeout=timeout)

    async def open_tcp(self, address: str, port: int) -> tuple[ByteReader, ByteWriter]:
        """Open a TCP connection from the host; see `Connection.open_tcp`."""
        connection = await self._session.entered(self._host)
        try:
            return await connection.open_tcp(address, port)
        except LostHostError:
            await self._session.broke(self._host, connection)
        return await (await self._session.entered(self._host)).open_tcp(address, port)

    async def close(self) -> None:
        """Close the connection of the run to this host."""
        await self._session.drop(self._host)


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 65536), hard))
