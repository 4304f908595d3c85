"""The steps of a restore on hosts, each of which can be begun again: prepare, stop, swap, start, and tidy up."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fleet.connection import Connection
from fleet.gates import GateContext, kind_of, wait_open
from fleet.host_scripts import Lines, run_script
from fleet.lock import Lock
from fleet.restore_choice import STEPS, Restore
from fleet.restore_members import API_SERVER, control_plane_of
from fleet.session import Session
from fleet.standing import ApiOnce, Fleet
from fleet.together import all_ended
from fleet.tree import Host, Phase
from generator.errors import RefusedError

T = TypeVar("T")
HOUR = 3600.0
STOP_SECONDS = 600.0


@dataclass
class RestoreSteps:
    """One restore on its way."""

    fleet: Fleet
    session: Session
    api: ApiOnce
    lock: Lock
    plan: Restore

    async def whole(self) -> dict[str, tuple[str, ...]]:
        """Go through all steps that are still to be done; return where each host has its old data."""
        if not self.plan.proved:
            await self._prepare()
            await self._replace()
            await self._start()
        return await self._finish()

    async def _prepare(self) -> None:
        members, snapshot, run = self.plan.members, self.plan.snapshot, self.plan.run
        waiting = [host for host in members.hosts if not self.plan.steps[host.name]]
        self._tell("prepare", f"each member gets {snapshot.name} and restores it beside its data")
        arguments = ["receive", run, str(len(snapshot.content)), snapshot.digest]
        await self._on(waiting, lambda one, _: self._script(one, arguments, snapshot.content))
        answers = await self._on(
            waiting,
            lambda one, host: self._script(
                one,
                [
                    "prepare", run, host.name, members.urls[host.name], members.cluster, members.owner, members.data,
                    members.wal, members.etcdctl, members.unit,
                ],
            ),
        )  # fmt: skip
        seen = set()
        for host, lines in zip(waiting, answers, strict=True):
            for words in lines:
                if words[0] == "prepared":
                    status = json.loads(words[2])
                    seen.add((status["hash"], status["revision"], words[1]))
                    self._say(host, f"revision {status['revision']}, {status['totalKey']} keys")
        if len(seen) > 1:
            raise RefusedError(
                f"{self.fleet.tree.cluster}: the members do not read the same in the snapshot; nothing was stopped; "
                "give all of them one version of etcd"
            )
        if any(bumped != "yes" for _, _, bumped in seen):
            self.fleet.reporter.event(
                "warning",
                text="this etcd cannot put revisions ahead of what clients have seen: restart kubelets and whatever "
                "watches the API afterwards",
            )

    async def _replace(self) -> None:
        members, run = self.plan.members, self.plan.run
        if all(STEPS.index(step) >= STEPS.index("begun") for step in self.plan.steps.values()):
            return
        await self.lock.ensure()
        self._tell("stop", "API servers and members stop")
        await self._on(self.plan.control, lambda one, _: self._script(one, ["stop", *self.plan.units]))
        await self._on(members.hosts, lambda one, _: self._script(one, ["hold", members.unit]))
        await self.lock.ensure()
        self._tell("swap", "the restored data takes the place of the old")
        await self._on(
            members.hosts,
            lambda one, _: self._script(one, ["swap", run, members.owner, members.data, members.wal, members.unit]),
        )

    async def _start(self) -> None:
        members, run = self.plan.members, self.plan.run
        await self.lock.ensure()
        self._tell("start", "the members start together, then the API servers")
        await self._on(members.hosts, lambda one, _: self._script(one, ["begun", run, members.unit]))
        # None is ready before the next one has come, so nobody waits for a unit.
        await self._on(members.hosts, lambda one, _: self._script(one, ["start", members.unit]))
        for host in members.hosts:
            await self._gates(members.phase, host)
        phase, control, units = control_plane_of(self.fleet.tree)
        await self._on(control, lambda one, _: self._script(one, ["start", API_SERVER]))
        servers = [entry for entry in phase.gates if entry.get("client") == "admin"]
        for host in control:
            await self._gates(phase, host, servers)
        await self._on(control, lambda one, _: self._script(one, ["start", *units]))
        for host in control:
            await self._gates(phase, host)

    async def _finish(self) -> dict[str, tuple[str, ...]]:
        members, run = self.plan.members, self.plan.run
        if not self.plan.proved:
            # Everybody knows that it is over before anybody forgets it: a run that is cut off here is not begun anew.
            await self._on(members.hosts, lambda one, _: self._script(one, ["proved", run]))
        found: dict[str, tuple[str, ...]] = {}
        # One after the other, so that the last to forget it is known.
        for host in members.hosts:
            (lines,) = await self._on([host], lambda one, _: self._script(one, ["finish", members.data, members.wal]))
            found[host.name] = tuple(words[1] for words in lines if words[0] == "old")
        return found

    async def _gates(self, phase: Phase, host: Host, entries: Sequence[Mapping[str, Any]] | None = None) -> None:
        connection = await self.session.connect(host.name)
        for entry in phase.gates if entries is None else entries:
            roles = set(entry.get("roles") or ())
            if not kind_of(entry).of_host or (roles and not roles & host.pool.roles):
                continue
            context = GateContext(
                self.fleet.tree, phase, self.session.connect, self.api, host=host, connection=connection,
                state=self.session.states.get(host.name), longest=self.fleet.options.gate_seconds,
                enter=self.session.enter,
            )  # fmt: skip
            await wait_open(entry, context, self.fleet.reporter)

    async def _script(self, connection: Connection, arguments: Sequence[str], stdin: bytes = b"") -> Lines:
        return await run_script(connection, "restore", arguments, stdin, timeout=STOP_SECONDS if not stdin else HOUR)

    async def _on(self, hosts: Sequence[Host], work: Callable[[Connection, Host], Coroutine[Any, Any, T]]) -> list[T]:
        async def one(host: Host) -> T:
            return await work(await self.session.connect(host.name), host)

        return await all_ended(map(one, hosts))

    def _tell(self, phase: str, title: str) -> None:
        self.fleet.reporter.event("phase", phase=phase, title=title)

    def _say(self, host: Host, text: str) -> None:
        self.fleet.reporter.event("host", phase="prepare", host=host.name, text=text, changed=[], units=[])
