"""What a run stands on: the tree, the way to hosts and API, the operator and the clock."""

from __future__ import annotations

import asyncio
import getpass
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleet.cluster_api import ClusterApi
from fleet.holder import holder_here
from fleet.lock import Lock
from fleet.options import Options
from fleet.reporter import Reporter
from fleet.session import Connector, Session
from fleet.ssh import SshFleet
from fleet.tree import RenderedTree
from generator.sealing import Identity

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present time, with its zone."""
    return datetime.now(UTC)


@dataclass
class Fleet:
    """Everything that a run stands on. `open_api` makes the API client from the way to connect to hosts."""

    tree: RenderedTree
    cluster_dir: Path
    options: Options
    reporter: Reporter
    connector: Connector
    open_api: Callable[[Session], Awaitable[ClusterApi]]
    identity: Callable[[], Identity]
    clock: Clock = utc_now

    def moment(self) -> str:
        """Return the present time as a run writes it down: RFC 3339 with milliseconds."""
        return self.clock().isoformat(timespec="milliseconds")


def ssh_fleet(tree: RenderedTree, cluster_dir: Path) -> SshFleet:
    """Return the way to the hosts by SSH; a sudo password is asked for on the terminal, where there is one."""
    ask = getpass.getpass if sys.stdin.isatty() else None
    return SshFleet(tree.cluster, cluster_dir / "known_hosts", ask)


def operator() -> str:
    """Return who runs this, as user@host."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


class ApiOnce:
    """Opens the API once, when it is first needed, and closes it at the end."""

    def __init__(self, fleet: Fleet, session: Session) -> None:
        self._fleet = fleet
        self._session = session
        self._api: ClusterApi | None = None
        self._lock = asyncio.Lock()

    async def __call__(self) -> ClusterApi:
        """Return the API, opened now where it was not yet."""
        async with self._lock:
            if self._api is None:
                self._api = await self._fleet.open_api(self._session)
            return self._api

    async def close(self) -> None:
        """Close it, where it was opened."""
        if self._api is not None:
            await self._api.close()


def run_lock(fleet: Fleet, session: Session) -> Lock:
    """Return the lock that a run of this operator is to hold, on all etcd hosts."""
    voters = [host.name for host in fleet.tree.with_role("etcd")]
    return Lock(
        fleet.tree.cluster,
        voters,
        session.connect,
        holder_here(operator(), fleet.options.command, fleet.clock(), fleet.tree.digest),
        break_lock=fleet.options.break_lock,
        wait=fleet.options.wait,
        note=lambda text: fleet.reporter.event("warning", text=text),
        waiting=lambda text: fleet.reporter.event("waiting", phase="lock", host="", gate="the lock", reason=text),
    )
