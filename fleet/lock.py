"""The lock of a cluster: a folder on a majority of the etcd hosts, renewed while the run lives."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from fleet.connection import Connection
from fleet.holder import Holder, process_lives
from fleet.host_scripts import run_script
from fleet.shared import Shared
from fleet.together import to_its_end
from generator.errors import HostError, LockError

RENEW_SECONDS = 20
STALE_SECONDS = 120
LOOK_SECONDS = 3.0
"""How long a run that waits for another's lock lets pass between two looks."""
ANSWER_SECONDS = 15
"""How long a host may take to give the lock back or to renew it; a run that is broken off waits no longer either."""


class Lock:
    """Held by one run. `ensure` is called before everything that changes hosts; it raises LockError when it was lost.

    Many hosts may ask at once: they share the answers, none of which is older than the question.
    """

    def __init__(
        self,
        cluster: str,
        hosts: Sequence[str],
        connect: Callable[[str], Awaitable[Connection]],
        holder: Holder,
        *,
        break_lock: bool = False,
        wait: float = 0.0,
        note: Callable[[str], None] = lambda _: None,
        waiting: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.run = secrets.token_hex(8)
        self._cluster = cluster
        self._hosts = tuple(hosts)
        self._connect = connect
        self._holder = holder
        self._break = break_lock
        self._wait = wait
        self._note = note
        self._waiting = waiting
        self._held: set[str] = set()
        # Hosts that may carry it, also where the answer was lost.
        self._asked: set[str] = set()
        self._renewer: asyncio.Task[None] | None = None
        self._lost = ""
        self.ensure = Shared(self._ensure)

    @property
    def majority(self) -> int:
        """How many of the etcd hosts must carry the lock."""
        return len(self._hosts) // 2 + 1

    async def __aenter__(self) -> Lock:
        try:
            await self._taken()
        except BaseException:
            # Nobody calls __aexit__ then, and what was taken would keep others waiting.
            await self._given_back()
            raise
        self._renewer = asyncio.create_task(self._renew())
        return self

    async def _taken(self) -> None:
        deadline = time.monotonic() + self._wait
        while True:
            others, silent = await self._take_all()
            if len(self._held) >= self.majority:
                break
            await self._release()
            error = self._refusal(others, silent)
            if not others or time.monotonic() + LOOK_SECONDS > deadline:
                raise error
            self._waiting(_held_by(others))
            await asyncio.sleep(LOOK_SECONDS)

    async def _take_all(self) -> tuple[dict[str, _LockState], dict[str, str]]:
        """Take what can be had; return by host who else holds it, and why others cannot be asked."""
        # All at once, so that hosts that are off cost the time of one; then in order, so that of two runs one wins.
        await asyncio.gather(*map(self._connect, self._hosts), return_exceptions=True)
        others: dict[str, _LockState] = {}
        silent: dict[str, str] = {}
        for host in self._hosts:
            try:
                state = await self._take(host)
            except HostError as error:
                silent[host] = str(error)
            else:
                if state is not None:
                    others[host] = state
        return others, silent

    def _refusal(self, others: Mapping[str, _LockState], silent: Mapping[str, str]) -> LockError:
        if not others:
            reasons = "\n".join(silent.values())
            return LockError(
                f"{self._cluster}: the lock needs {self.majority} of {len(self._hosts)} etcd hosts, and only "
                f"{len(self._hosts) - len(silent)} can carry it; nothing was changed; bring one back first:\n{reasons}"
            )
        told = _held_by(others)
        besides = f"; not to be asked: {', '.join(silent)}" if silent else ""
        return LockError(
            f"{self._cluster}: the lock is not to be had on {self.majority} of {len(self._hosts)} etcd hosts: {told}"
            f"{besides}; nothing was changed; wait for that run to end (--wait MINUTES does), or, if it is certainly "
            "dead, take the lock with --break-lock",
            told,
        )

    async def __aexit__(self, *_: object) -> None:
        if self._renewer is not None:
            self._renewer.cancel()
        await self._given_back()

    async def _given_back(self) -> None:
        """Give it back everywhere, also where the run is cancelled once more meanwhile."""
        await to_its_end(self._release(), 2 * ANSWER_SECONDS)

    async def _ensure(self) -> None:
        """Prove that this run still holds the majority; raises LockError otherwise."""
        if not self._lost:
            kept, taken = await self._renew_once()
            if kept < self.majority:
                whose = f", {taken} are another run's" if taken else ""
                self._lost = f"it could be renewed on {kept} of {len(self._hosts)} etcd hosts only{whose}"
        if self._lost:
            raise LockError(
                f"{self._cluster}: the lock was lost ({self._lost}); nothing more is activated, run the "
                f"same command again",
                self._lost,
            )

    async def _take(self, host: str) -> _LockState | None:
        """Take one host; return whose it is where it cannot be had."""
        connection = await self._connect(host)
        own = (json.dumps(asdict(self._holder), sort_keys=True) + "\n").encode()
        state = _LockState("", 0, None)
        for _ in range(3):
            self._asked.add(host)
            # Cut off in the middle it might take the lock after it was given back.
            taking = run_script(connection, "lock", ["take", self.run], own)
            state = _LockState.of(await to_its_end(taking, ANSWER_SECONDS))
            if state.run == self.run:
                self._held.add(host)
                return None
            self._asked.discard(host)
            reason = self._may_oust(state)
            if not reason:
                return state
            self._note(f"{host}: the lock of {state.words} is taken over: {reason}")
            await run_script(connection, "lock", ["oust", state.run])
        # Somebody else is quicker each time.
        return state

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
            # Hosts that are silent for a while lose nobody the lock: it is another run that does. `ensure` asks anew.
            _, taken = await self._renew_once()
            if taken > len(self._hosts) - self.majority:
                self._lost = f"another run holds it on {taken} of {len(self._hosts)} etcd hosts"

    async def _renew_once(self) -> tuple[int, int]:
        """Renew; return on how many hosts it is ours still, and on how many it has become another's."""

        async def one(host: str) -> tuple[bool, bool]:
            try:
                connection = await self._connect(host)
                state = _LockState.of(await run_script(connection, "lock", ["renew", self.run], timeout=ANSWER_SECONDS))
            except HostError:
                return False, False
            return state.run == self.run, state.run != self.run

        answers = await asyncio.gather(*(one(host) for host in sorted(self._held)))
        return sum(kept for kept, _ in answers), sum(taken for _, taken in answers)

    async def _release(self) -> None:
        async def one(host: str) -> None:
            try:
                await run_script(await self._connect(host), "lock", ["release", self.run], timeout=ANSWER_SECONDS)
            except HostError:
                return

        # Where it is not this run's, nothing is given back.
        await asyncio.gather(*(one(host) for host in sorted(self._asked)))
        self._asked.clear()
        self._held.clear()


async def holder_elsewhere(hosts: Sequence[str], connect: Callable[[str], Awaitable[Connection]]) -> str:
    """Return who holds the lock of a cluster on a majority of its etcd hosts, "" where nobody does; takes nothing.

    A lock that has not been renewed, as of a run that was killed, counts as nobody's; so does a host that is silent.
    """

    async def one(host: str) -> _LockState:
        try:
            return _LockState.of(await run_script(await connect(host), "lock", ["look"], timeout=ANSWER_SECONDS))
        except HostError:
            return _LockState("", 0, None)

    answers = dict(zip(hosts, await asyncio.gather(*map(one, hosts)), strict=True))
    for run in {state.run for state in answers.values() if state.run and state.age <= STALE_SECONDS}:
        held = {host: state for host, state in answers.items() if state.run == run}
        if len(held) > len(hosts) // 2:
            return _held_by(held)
    return ""


def _held_by(states: Mapping[str, _LockState]) -> str:
    """Return who holds the lock, on which hosts, and when each run was last heard of."""
    runs: dict[str, list[str]] = {}
    for host, state in states.items():
        runs.setdefault(state.run, []).append(host)
    told = []
    for hosts in runs.values():
        first = states[hosts[0]]
        age = min(states[host].age for host in hosts)
        told.append(f"held by {first.words} on {', '.join(hosts)}, renewed {age} s ago")
    return "; ".join(told)


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
