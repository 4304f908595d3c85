"""What a run does on one host in one phase: gates before, drain, activation, gates after, record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.activation import Activated, activate, record_phases
from fleet.batches import hits
from fleet.cluster_api import ClusterApi
from fleet.gates import GateContext, kind_of, shut_because, wait_open, worth_guarding
from fleet.generations import Origin
from fleet.host_scripts import run_script
from fleet.outcome import Outcome
from fleet.plan import Plan
from fleet.reporter import Reporter
from fleet.session import Session
from fleet.tree import Phase, RenderedTree

ApiOpener = Callable[[], Awaitable[ClusterApi]]


@dataclass
class HostRun:
    """The steps on hosts of one run; `outcome` and `done` are the run's own, in which it is noted how far they came.

    `ensure_lock` is called just before each drain and each activation: between a batch's beginning and these lie gates
    and evictions that take minutes, in which another run may have taken the lock.
    """

    tree: RenderedTree
    plan: Plan
    session: Session
    reporter: Reporter
    cluster_api: ApiOpener
    ensure_lock: Callable[[], Awaitable[None]]
    outcome: Outcome
    done: list[Activated]
    origin: Origin | None = None
    longest_gate: float | None = None

    async def healthy(self, phase: Phase, name: str) -> bool:
        """Return whether all gates of a phase are open on a host right now."""
        for entry in self._entries(phase.gates, name):
            if await shut_because(entry, await self._host_context(phase, name, patient=False)):
                return False
        return True

    async def guard(self, phase: Phase, name: str) -> None:
        """Wait for the gates before a phase, where the work takes something away that serves now. Raises GateError."""
        # Whatever else is sick on the host: what is asked is whether a unit that runs is hit, and whether what
        # the gate guards still serves here.
        if hits(self.session.states[name], self.plan.hosts[name].work[phase.name]):
            await self.guarded(phase, name)

    async def guarded(self, phase: Phase, name: str) -> None:
        """Wait for the gates before a phase, save those that guard what does not serve here anyhow."""
        for entry in self._entries(phase.before, name):
            if await worth_guarding(entry, await self._host_context(phase, name, patient=False)):
                await wait_open(entry, await self._host_context(phase, name), self.reporter)

    async def change(self, phase: Phase, name: str, *, down: bool) -> None:
        """Do the work of a phase on a host, wait for its gates and record it; `down`: nothing there can get worse.

        Raises LockError before the drain or the activation where the lock was lost.
        """
        work = self.plan.hosts[name].work[phase.name]
        connection = await self.session.connect(name)
        state = self.session.states[name]
        if work.drain:
            await self.ensure_lock()
            self.outcome.begin(name, phase.name)
            await run_script(connection, "record", ["cordoned"])
            self.reporter.event("host", phase=phase.name, host=name, text="drained first")
            await (await self.cluster_api()).drain(name)
        # A member of a cluster without quorum is not ready before the next one has been started.
        await self.activated(phase, name, block=not (down and phase.formation))
        await self.gates(phase, name)
        if work.drain or (phase.drain and state.cordoned):
            await (await self.cluster_api()).uncordon(name)
            await run_script(connection, "record", ["uncordoned"])
        await record_phases(connection, self.tree.hosts[name], work.phases)
        self.outcome.passed(name, phase.name)

    async def activated(self, phase: Phase, name: str, *, block: bool) -> None:
        """Activate what is staged, under the lock, and tell what was done; `block` False waits for no unit to be up."""
        host, work = self.tree.hosts[name], self.plan.hosts[name].work[phase.name]
        # A kubelet that runs without a certificate reads its way in only at its start.
        owe = [unit.name for unit in host.units(phase.name) if unit.start] if work.join else []
        about = self.origin.underway(name, host.digest) if self.origin is not None else ""
        connection = await self.session.connect(name)
        await self.ensure_lock()
        self.outcome.begin(name, phase.name)
        done = await activate(connection, self.tree, host, phase, work, block=block, owe=owe, about=about)
        self.done.append(done)
        self.reporter.event(
            "host",
            phase=phase.name,
            host=name,
            text=done.words,
            changed=list(done.changed),
            units=[list(one) for one in done.units],
        )

    async def gates(self, phase: Phase, name: str) -> None:
        """Wait for the gates of a phase that look at a host. Raises GateError."""
        for entry in self._entries(phase.gates, name):
            await wait_open(entry, await self._host_context(phase, name), self.reporter)

    def context(self, phase: Phase) -> GateContext:
        """Return what a gate of the phase may look at, without a host."""
        return GateContext(
            self.tree,
            phase,
            self.session.connect,
            self.cluster_api,
            longest=self.longest_gate,
            enter=self.session.enter,
        )

    def _entries(self, entries: Iterable[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
        """Return the gates that look at this host; an entry may name the roles that it is for."""
        roles = self.tree.hosts[name].pool.roles
        return [
            entry
            for entry in entries
            if kind_of(entry).of_host and (not entry.get("roles") or roles & set(entry["roles"]))
        ]

    async def _host_context(self, phase: Phase, name: str, *, patient: bool = True) -> GateContext:
        context = self.context(phase)
        context.host = self.tree.hosts[name]
        context.connection = await self.session.connect(name)
        context.state = self.session.states[name]
        context.patient = patient
        work = self.plan.hosts[name].work.get(phase.name)
        context.unit_phases = work.phases if work else ()
        return context
