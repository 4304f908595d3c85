"""Activation of what is staged, phase by phase as phases.yaml says, with a gate before and after each batch."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from fleet import formation
from fleet.activation import Activated, record_phases, total
from fleet.batches import batches, down_hosts, members_without_quorum
from fleet.ending import record_generations, remove, unrecorded
from fleet.failures import enlarged
from fleet.folding import folded
from fleet.gates import kind_of, wait_open
from fleet.generations import Origin
from fleet.host_run import ApiOpener, HostRun
from fleet.host_scripts import run_script
from fleet.kernel_look import notes_after
from fleet.outcome import REMOVALS, Outcome
from fleet.plan import ObjectChange, Plan
from fleet.plan_text import left_out_words
from fleet.question import formation_paths
from fleet.reporter import Reporter
from fleet.session import Session
from fleet.together import all_ended
from fleet.tree import Phase, RenderedTree
from generator.errors import SlipwayError


@dataclass
class ApplyRun:
    """One run over the phases. `plan` says what is needed.

    `ensure_lock` is called before each batch, drain and activation, before removals and before the last records.
    `origin` is what hosts write down about this run; `settle` False leaves labels and taints of nodes alone.
    `longest_gate` bounds the wait for each gate, in seconds. `at_end` is called when all phases are through.
    """

    tree: RenderedTree
    plan: Plan
    session: Session
    reporter: Reporter
    cluster_api: ApiOpener
    ensure_lock: Callable[[], Awaitable[None]]
    phases: Sequence[str] = ()
    hosts: Sequence[str] = ()
    origin: Origin | None = None
    settle: bool = True
    longest_gate: float | None = None
    at_end: Callable[[], Awaitable[None]] | None = None
    done: list[Activated] = field(default_factory=list)
    objects: int = 0
    outcome: Outcome = field(init=False)
    _each: HostRun = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.outcome = Outcome(self.plan, self.phases)
        self._each = HostRun(
            self.tree, self.plan, self.session, self.reporter, self.cluster_api, self.ensure_lock,
            self.outcome, self.done, self.origin, self.longest_gate,
        )  # fmt: skip

    async def run(self) -> None:
        """Do everything that the plan names; the first gate that stays shut ends it.

        Raises GateError, HostError, LockError, ApiError or RefusedError. What was done stays done: running again
        resumes. The error's last line says what is done and what is left.
        """
        try:
            for phase in self.tree.phases:
                if not self.phases or phase.name in self.phases:
                    await self._phase(phase)
            if not self.phases:
                await self._end()
                if self.at_end is not None:
                    await self.at_end()
        except SlipwayError as error:
            self.reporter.event(
                "left",
                done=list(self.outcome.done),
                stopped=self.outcome.stopped,
                waiting=self.outcome.waiting,
                untouched=list(self.outcome.untouched),
            )
            raise enlarged(error, self.outcome.words) from error.__cause__
        for note in await notes_after(self.tree, self.plan, self.session):
            self.reporter.event("note", text=note)
        counts = total(self.done)
        if self.objects:
            counts["objects"] = self.objects
        words = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "zero changes"
        text = f"{self.tree.cluster}: {words}{left_out_words(self.plan)}"
        self.reporter.event("done", text=text, **counts)

    async def _phase(self, phase: Phase) -> None:
        names = [name for name in self.plan.hosts if name in self.hosts and phase.name in self.plan.hosts[name].work]
        gated = names or (
            [name for name in self.hosts if self.plan.hosts[name].needed] if self._only_gates(phase) else []
        )
        objects = await self._object_work(phase)
        if not gated and not objects:
            await self._settle(phase)
            return
        self.reporter.event("phase", phase=phase.name, title=phase.title)
        if objects:
            await self.ensure_lock()
            api = await self.cluster_api()
            await api.apply_objects(phase.objects, lambda change: self._object(phase, change))
        if phase.formation and names and await self._formation(phase, names):
            names = []
        elif names:
            await self._list_unready(phase)
            work = {name: self.plan.hosts[name].work[phase.name] for name in names}
            down = down_hosts(self.tree, phase, self.session.states, work)
            healthy = await self._healthy(phase, [name for name in names if name not in down])
            # Members that serve nobody come back with each other only, such as after certificates that have expired.
            down |= members_without_quorum(self.tree, phase, self.session.states, work, set(names) - healthy - down)
            quiet = {name for name in names if work[name].quiet} - down
            for batch in batches(self.tree, phase, names, down, sick=set(names) - healthy - down, quiet=quiet):
                await self.ensure_lock()
                await self._batch(phase, batch, down)
        elif gated:
            await all_ended(self._each.gates(phase, name) for name in gated)
        for entry in phase.gates:
            if not kind_of(entry).of_host:
                await wait_open(entry, self._each.context(phase), self.reporter)
        if objects:
            await (await self.cluster_api()).objects_settled(phase.objects)
        await self._settle(phase)

    def _only_gates(self, phase: Phase) -> bool:
        """Whether the phase puts nothing anywhere: then its gates speak for every host that this run changes."""
        return (
            bool(phase.gates)
            and not phase.objects
            and not any(phase.name in host.phase_digests for host in self.tree.hosts.values())
        )

    async def _object_work(self, phase: Phase) -> bool:
        if not phase.objects:
            return False
        changes = await (await self.cluster_api()).object_changes(phase.objects)
        return any(change.needs_apply for change in changes)

    async def _settle(self, phase: Phase) -> None:
        """Keep labels and taints of the phase's nodes as the inventory says; what a killed run wrote to join goes."""
        if not phase.join:
            return
        left = [name for name in self.hosts if phase.join["kubeconfig"] in self.session.states[name].existing]
        await all_ended(self._unbootstrap(phase, name) for name in left)
        if not self.settle:
            return
        nodes = [
            name for name in self.hosts if self.tree.hosts[name].node and phase.roles & self.tree.hosts[name].pool.roles
        ]
        for change in await (await self.cluster_api()).settle_nodes(nodes):
            self._object(phase, change)

    def _object(self, phase: Phase, change: ObjectChange) -> None:
        """Tell of one object, and count it where it was written."""
        self.reporter.event("object", phase=phase.name, name=change.name, action=change.action)
        self.objects += change.action in {"create", "change", "delete"}

    async def _list_unready(self, phase: Phase) -> None:
        """Name the nodes that were not Ready before this run touched them; they are not counted against any slot."""
        if phase.join:
            ready = await (await self.cluster_api()).ready_nodes()
            if unready := [name for name, is_ready in sorted(ready.items()) if not is_ready]:
                self.reporter.event("note", text=f"not Ready before this run: {folded(unready)}")

    async def _healthy(self, phase: Phase, names: Sequence[str]) -> set[str]:
        """Return the hosts whose gates are open right now; the others come first."""
        healthy = await all_ended(self._each.healthy(phase, name) for name in names)
        return {name for name, is_healthy in zip(names, healthy, strict=True) if is_healthy}

    async def _batch(self, phase: Phase, batch: Sequence[str], down: set[str]) -> None:
        self.reporter.event("batch", phase=phase.name, hosts=folded(batch), names=list(batch))
        for name in batch:
            await self._each.guard(phase, name)
        joining = [name for name in batch if self.plan.hosts[name].work[phase.name].join]
        try:
            if joining:
                # Inside: a token whose answer was lost is there all the same.
                content = await (await self.cluster_api()).bootstrap_kubeconfig(phase, joining)
                await all_ended(self._bootstrap(phase, name, content) for name in joining)
            await all_ended(self._each.change(phase, name, down=name in down) for name in batch)
        except BaseException:
            # What went wrong matters more than a token that ends by itself in minutes.
            with contextlib.suppress(SlipwayError):
                await self._end_join(phase, joining)
            raise
        await self._end_join(phase, joining)

    async def _bootstrap(self, phase: Phase, name: str, content: bytes) -> None:
        await run_script(await self.session.connect(name), "bootstrap", ["write", phase.join["kubeconfig"]], content)

    async def _unbootstrap(self, phase: Phase, name: str) -> None:
        await run_script(await self.session.connect(name), "bootstrap", ["delete", phase.join["kubeconfig"]])

    async def _end_join(self, phase: Phase, names: Sequence[str]) -> None:
        """Take the bootstrap kubeconfigs and the token away."""
        if names:
            try:
                await all_ended(self._unbootstrap(phase, name) for name in names)
            finally:
                await (await self.cluster_api()).end_bootstrap()

    async def _formation(self, phase: Phase, names: Sequence[str]) -> bool:
        """Form etcd where that is due; return whether it was."""
        if not await formation.formation_due(self.tree, phase, self.session.states, self.session.connect):
            members = [name for name in self.session.states if phase.roles & self.tree.hosts[name].pool.roles]
            unmarked = [name for name in members if phase.formation["mark"] not in self.session.states[name].existing]
            await all_ended(self._marked(phase, name) for name in unmarked if name not in self.plan.left_out)
            # A run that ended between mark and clean-up has left its drop-ins.
            drop_in = formation_paths(phase)[2]
            for name in members:
                if drop_in in self.session.states[name].existing:
                    await formation.finish(await self.session.connect(name), phase)
            return False
        formation.require_all_members(self.tree, phase, names)
        await self.ensure_lock()
        self.reporter.event("batch", phase=phase.name, hosts=f"{folded(names)}: first formation", names=list(names))

        async def start(name: str) -> None:
            connection = await self.session.connect(name)
            self.outcome.begin(name, phase.name)
            await formation.prepare(connection, phase)
            await self._each.activated(phase, name, block=False)

        async def close(name: str) -> None:
            connection = await self.session.connect(name)
            await formation.finish(connection, phase)
            await record_phases(connection, self.tree.hosts[name], self.plan.hosts[name].work[phase.name].phases)
            self.outcome.passed(name, phase.name)

        await all_ended(start(name) for name in names)
        await all_ended(self._each.gates(phase, name) for name in names)
        await all_ended(self._marked(phase, name) for name in names)
        await all_ended(close(name) for name in names)
        return True

    async def _marked(self, phase: Phase, name: str) -> None:
        await formation.mark(await self.session.connect(name), phase)

    async def _end(self) -> None:
        """Take away what left the manifests, after the last gate, and record the generations."""
        leaving = [name for name in self.hosts if self.plan.hosts[name].removals]
        if leaving:
            await self.ensure_lock()
            self.reporter.event("phase", phase=REMOVALS, title="what left the manifests")
            self.done += await remove(
                self.tree, self.plan, self.session, self.reporter, leaving, self.origin, self.outcome
            )
        if arrived := unrecorded(self.tree, self.plan, self.session, self.hosts):
            # The gates and removals before may have taken long; another run's record is not to be written over.
            await self.ensure_lock()
            await record_generations(self.tree, self.session, arrived, self.origin)
