"""The lock of a cluster: a folder on a majority of the etcd hosts, renewed while the run lives."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from fleet.connection import Connection, printable
from fleet.host_scripts import run_script
from generator.errors import HostError, LockError

RENEW_SECONDS = 20
STALE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock. `machine` digests the machine, "" if unknown; `process`: pid and start time there."""

    operator: str
    command: str
    time: str
    tree: str
    machine: str
    process: str

    @property
    def words(self) -> str:
        """The holder for a message."""
        return printable(f"{self.operator} since {self.time} ({self.command}, tree {self.tree[:12]})")


def holder_here(operator: str, command: str, now: datetime, tree: str) -> Holder:
    """Return this process as a holder."""
    return Holder(operator, command, now.isoformat(timespec="seconds"), tree, machine_id(), process_id(os.getpid()))


class Lock:
    """Held by one run. `ensure` is called before each batch; it raises LockError when the lock was lost."""

    def __init__(
        self,
        cluster: str,
        hosts: Sequence[str],
        connect: Callable[[str], Awaitable[Connection]],
        holder: Holder,
        *,
        break_lock: bool = False,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.run = secrets.token_hex(8)
        self._cluster = cluster
        self._hosts = tuple(hosts)
        self._connect = connect
        self._holder = holder
        self._break = break_lock
        self._note = note
        self._held: set[str] = set()
        self._renewer: asyncio.Task[None] | None = None
        self._lost = ""

    @property
    def majority(self) -> int:
        """How many of the etcd hosts must carry the lock."""
        return len(self._hosts) // 2 + 1

    async def __aenter__(self) -> Lock:
        answers: dict[str, str] = {}
        for host in self._hosts:
            try:
                answers[host] = await self._take(host)
            except HostError as error:
                answers[host] = str(error)
        if len(self._held) < self.majority:
            await self._release()
            other = next((text for text in answers.values() if text), "")
            raise LockError(
                f"{self._cluster}: the lock is not to be had on {self.majority} of {len(self._hosts)} etcd "
                f"hosts: {other}; "
                "wait for that run to end, or see whose it is and use --break-lock",
                other,
            )
        self._renewer = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._renewer is not None:
            self._renewer.cancel()
        await self._release()

    async def ensure(self) -> None:
        """Prove that this run still holds the majority; raises LockError otherwise."""
        if not self._lost:
            await self._renew_once()
        if self._lost:
            raise LockError(
                f"{self._cluster}: the lock was lost ({self._lost}); nothing more is activated, run the "
                f"same command again",
                self._lost,
            )

    async def _take(self, host: str) -> str:
        """Take one host; return whose it is where it cannot be had."""
        connection = await self._connect(host)
        own = (json.dumps(asdict(self._holder), sort_keys=True) + "\n").encode()
        for _ in range(3):
            state = _LockState.of(await run_script(connection, "lock", ["take", self.run], own))
            if state.run == self.run:
                self._held.add(host)
                return ""
            reason = self._may_oust(state)
            if not reason:
                return f"{host}: held by {state.words}, renewed {state.age} s ago"
            self._note(f"{host}: the lock of {state.words} is taken over: {reason}")
            await run_script(connection, "lock", ["oust", state.run])
        return f"{host}: somebody else takes the lock at this moment"

    def _may_oust(self, state: _LockState) -> str:
        if self._break:
            return "--break-lock"
        if state.age > STALE_SECONDS:
            return f"not renewed for {state.age} s"
        if (
            state.holder is not None
            and state.holder.machine
            and state.holder.machine == self._holder.machine
            and not process_lives(state.holder.process)
        ):
            return "its process on this machine is gone"
        return ""

    async def _renew(self) -> None:
        while not self._lost:
            await asyncio.sleep(RENEW_SECONDS)
            await self._renew_once()

    async def _renew_once(self) -> None:
        async def one(host: str) -> bool:
            try:
                connection = await self._connect(host)
                return (
                    _LockState.of(await run_script(connection, "lock", ["renew", self.run], timeout=15)).run == self.run
                )
            except HostError:
                return False

        kept = sum(await asyncio.gather(*(one(host) for host in sorted(self._held))))
        if kept < self.majority:
            self._lost = f"it could be renewed on {kept} of {len(self._hosts)} etcd hosts only"

    async def _release(self) -> None:
        async def one(host: str) -> None:
            try:
                await run_script(await self._connect(host), "lock", ["release", self.run], timeout=15)
            except HostError:
                return

        await asyncio.gather(*(one(host) for host in sorted(self._held)))
        self._held.clear()


async def holder_elsewhere(hosts: Sequence[str], connect: Callable[[str], Awaitable[Connection]]) -> str:
    """Return who holds the lock of a cluster on a majority of its etcd hosts, "" where nobody does; takes nothing.

    A lock that has not been renewed, as of a run that was killed, counts as nobody's; so does a host that is silent.
    """

    async def one(host: str) -> _LockState:
        try:
            return _LockState.of(await run_script(await connect(host), "lock", ["look"], timeout=15))
        except HostError:
            return _LockState("", 0, None)

    states = [state for state in await asyncio.gather(*map(one, hosts)) if state.run and state.age <= STALE_SECONDS]
    for state in states:
        if sum(other.run == state.run for other in states) > len(hosts) // 2:
            return state.words
    return ""


@dataclass(frozen=True, slots=True)
class _LockState:
    run: str
    age: int
    holder: Holder | None

    @property
    def words(self) -> str:
        return self.holder.words if self.holder else "somebody who left no name"

    @classmethod
    def of(cls, lines: Sequence[Sequence[str]]) -> _LockState:
        for word, *rest in lines:
            if word == "held":
                try:
                    holder = Holder(**{str(key): str(value) for key, value in json.loads(rest[2]).items()})
                except (ValueError, TypeError, AttributeError):
                    holder = None
                return cls(rest[0], int(rest[1]), holder)
        return cls("", 0, None)


def machine_id(root: Path = Path("/")) -> str:
    """Return a digest of where process ids mean what they mean here: machine, host name, PID namespace; "" if unknown.

    An image may have an empty machine-id, containers share the boot id of their host, and both share pids with nobody.
    """
    try:
        space = os.readlink(root / "proc/self/ns/pid")
    except OSError:
        return ""
    for path in ("etc/machine-id", "proc/sys/kernel/random/boot_id"):
        try:
            found = (root / path).read_text("utf-8", "replace").strip()
        except OSError:
            continue
        if found:
            return hashlib.sha256("\n".join(("slipway", found, socket.gethostname(), space)).encode()).hexdigest()[:16]
    return ""


def process_id(pid: int) -> str:
    """Return pid and start time (clock ticks since boot), "" for a process that does not live."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return ""
    return f"{pid}@{stat.rpartition(')')[2].split()[19]}"


def process_lives(process: str) -> bool:
    """Return whether the process with that pid and start time lives on this machine."""
    pid = process.partition("@")[0]
    return pid.isdigit() and process_id(int(pid)) == process
