"""Reboots: one host at a time over the whole cluster, drained, behind the gates of an apply; the first failure ends it.

Broken off at any moment it is taken up by running it again. A host keeps the id of the boot that a run has ended until
that run has let it go, so the next one knows that it has been down and only sees it through.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fleet.commit import commit_of
from fleet.failures import enlarged
from fleet.folding import folded
from fleet.gates import kind_of
from fleet.guards import needs_admin, open_identity, passed_over, refuse_amid_restore, require_credentials, require_fit
from fleet.host_run import ApiOpener, HostRun
from fleet.host_scripts import WAITING_SECONDS, run_script
from fleet.journal import Entry, journalled
from fleet.kernel_look import Look, look
from fleet.kernels import Kernel
from fleet.options import selected
from fleet.outcome import Outcome
from fleet.plan import Plan
from fleet.reboot_choice import REBOOT, Choice, Target, choose
from fleet.reboot_room import no_room_because
from fleet.session import Session
from fleet.standing import ApiOnce, Fleet, operator, run_lock
from fleet.together import all_ended
from fleet.tree import Host, Phase
from fleet.work import HostPlan
from generator.errors import GateError, HostError, LostHostError, RefusedError, SlipwayError

PHASE = "reboot"
"""What a reboot is called where other runs name their phases."""
BACK_SECONDS = 600.0
"""How long a host may take until it answers from another boot; machines with much memory take minutes to start."""
ROOM_SECONDS = 120.0
REPORT_SECONDS = 180.0
POLL_SECONDS = 2.0
Agree = Callable[[Choice], Awaitable[bool]]


async def reboot_plan(fleet: Fleet, *, named: bool) -> Choice:
    """Return which hosts would be rebooted; nothing is changed. Raises as `reboot_run`."""
    session = Session(fleet.tree, fleet.connector)
    try:
        return await _chosen(fleet, session, named)
    finally:
        await session.close()


async def reboot_run(fleet: Fleet, agree: Agree, *, named: bool, seconds: float = BACK_SECONDS) -> Choice:
    """Reboot the hosts of the limit that do not run the kernel that they are to run, `named`: all of the limit.

    `agree` is asked under the lock; without its consent nothing is done (RefusedError). `seconds` is how long each host
    may take to come back. Raises GateError, HostError, LockError, ApiError or RefusedError.
    """
    tree = fleet.tree
    if needs_admin(fleet) or any(host.node for host in tree.hosts.values()):
        await open_identity(fleet)
    session = Session(tree, fleet.connector)
    api = ApiOnce(fleet, session)
    voters = [host.name for host in tree.with_role("etcd")]
    try:
        async with run_lock(fleet, session) as lock:
            choice = await _chosen(fleet, session, named)
            if not choice.targets:
                for note in choice.notes:
                    fleet.reporter.event("note", text=note)
                fleet.reporter.event("done", text=choice.summary)
                return choice
            require_fit(fleet, session, [target.host for target in choice.targets])
            await require_credentials(fleet, api)
            if not await agree(choice):
                raise RefusedError(f"{tree.cluster}: nothing was changed: nobody agreed to a reboot; add --yes")
            commit = commit_of(fleet.cluster_dir, tree.path)
            began = fleet.moment()
            entry = Entry(
                began, lock.run, operator(), fleet.options.command, tree.digest,
                commit.id, commit.clean, fleet.options.stale_ok, "begun",
            )  # fmt: skip
            run = RebootRun(fleet, session, api, lock.ensure, choice, seconds)
            async with journalled(voters, session.connect, entry, fleet.moment):
                await run.run()
            return choice
    finally:
        await api.close()
        await session.close()


async def _chosen(fleet: Fleet, session: Session, named: bool) -> Choice:
    names = selected(fleet.tree, fleet.options.limit)
    # As for an apply every etcd host is asked: whether one may be passed over is a question of their quorum.
    await session.ask({*names, *(host.name for host in fleet.tree.with_role("etcd"))})
    left_out = passed_over(fleet, session, names)
    refuse_amid_restore(fleet, session)

    async def one(name: str) -> Look:
        return await look(await session.connect(name))

    asked = [name for name in names if name not in left_out]
    looks = dict(zip(asked, await all_ended(map(one, asked)), strict=True))
    return choose(fleet.tree, session.states, looks, named=named, left_out=tuple(left_out))


@dataclass
class RebootRun:
    """One run over the hosts of a choice. `ensure_lock` is called before each host, each drain and each reboot."""

    fleet: Fleet
    session: Session
    cluster_api: ApiOpener
    ensure_lock: Callable[[], Awaitable[None]]
    choice: Choice
    seconds: float = BACK_SECONDS
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    done: list[str] = field(default_factory=list)
    _ready: Mapping[str, bool] | None = None
    _each: HostRun = field(init=False, repr=False)

    def __post_init__(self) -> None:
        tree = self.fleet.tree
        plan = Plan(tree.cluster, (), {target.host: HostPlan(target.host) for target in self.choice.targets})
        self._each = HostRun(
            tree, plan, self.session, self.fleet.reporter, self.cluster_api, self.ensure_lock, Outcome(plan), [],
            longest_gate=self.fleet.options.gate_seconds,
        )  # fmt: skip

    async def run(self) -> None:
        """Take the hosts one after the other; the error's last line says what is done and what is left."""
        self._tell("phase", title="one host at a time, drained")
        for note in self.choice.notes:
            self.fleet.reporter.event("note", text=note)
        for target in self.choice.targets:
            try:
                await self._one(target)
            except SlipwayError as error:
                left = [one.host for one in self.choice.targets if one.host not in (*self.done, target.host)]
                self.fleet.reporter.event(
                    "left", done=list(self.done), stopped={target.host: PHASE}, waiting={}, untouched=left
                )
                raise enlarged(error, self._words(target.host, left)) from error.__cause__
            self.done.append(target.host)
        text = f"{self.choice.cluster}: {folded(self.done)} seen through a reboot, one host at a time"
        self.fleet.reporter.event("done", text=text, rebooted=list(self.done))

    async def _one(self, target: Target) -> None:
        host = self.fleet.tree.hosts[target.host]
        await self.ensure_lock()
        self._tell("batch", hosts=host.name, names=[host.name])
        if target.action == REBOOT:
            await self._may_go_down(host)
            await self._drained(host)
            await self._rebooted(host)
        kernel = (await look(await self.session.connect(host.name))).kernel
        for phase in self._phases(host):
            if phase.join and host.node:
                await self._reported(host, kernel.boot)
            await self._each.gates(phase, host.name)
        # Also with the old kernel: the host works, and a node that stays cordoned serves nobody.
        await self._let_go(host)
        if target.wanted and kernel.running != target.wanted:
            raise HostError(
                f"{self.choice.cluster}/{host.name}: it came back with kernel {kernel.running}, not {target.wanted}: "
                f"its boot loader starts another one; it serves again; make {target.wanted} the default there "
                "(GRUB_DEFAULT and update-grub, or grubby --set-default), then reboot it again",
                host.name,
            )
        self._tell("host", host=host.name, text=f"back in service, kernel {kernel.running}")

    def _phases(self, host: Host) -> list[Phase]:
        """Return the phases with gates for a host, without those that only judge whether it may be worked with."""
        return [
            phase
            for phase in self.fleet.tree.phases
            if (not phase.roles or phase.roles & host.pool.roles)
            and any(kind_of(entry).name != "preflight" for entry in phase.gates)
        ]

    async def _may_go_down(self, host: Host) -> None:
        """Wait for the gates before the phases of a host, and for nodes of its pool that were Ready and are not now."""
        for phase in self._phases(host):
            await self._each.guarded(phase, host.name)
        if not host.node:
            return
        api = await self.cluster_api()
        if self._ready is None:
            self._ready = await api.ready_nodes()
            if unready := [name for name, ready in sorted(self._ready.items()) if not ready]:
                self.fleet.reporter.event("note", text=f"not Ready before this run: {folded(unready)}")
        deadline = self.now() + ROOM_SECONDS
        while reason := no_room_because(self.fleet.tree, host, self._ready, await api.ready_nodes()):
            if self.now() >= deadline:
                raise GateError(
                    f"{self.choice.cluster}/{host.name}: not rebooted: {reason}; see to them first", host.name
                )
            self._tell("waiting", host=host.name, gate="room in its pool", reason=reason)
            await self.sleep(POLL_SECONDS)

    async def _drained(self, host: Host) -> None:
        if not host.node:
            return
        await self.ensure_lock()
        await run_script(await self.session.connect(host.name), "record", ["cordoned"])
        self._tell("host", host=host.name, text="drained first")
        try:
            await (await self.cluster_api()).drain(host.name)
        except SlipwayError:
            # It has not been down and serves as before. The reason why it cannot be drained matters more than this.
            with contextlib.suppress(SlipwayError):
                await self._let_go(host)
            raise

    async def _rebooted(self, host: Host) -> None:
        connection = await self.session.connect(host.name)
        boot = (await look(connection)).kernel.boot
        if not boot:
            raise HostError(f"{connection.where}: it tells no boot id, so nobody can see it come back", host.name)
        await self.ensure_lock()
        self._tell("host", host=host.name, text="reboots")
        # Where sshd is gone before its answer has left, the host's return says what became of the order.
        with contextlib.suppress(LostHostError):
            await run_script(connection, "reboot", ["now", boot], timeout=WAITING_SECONDS)
        await self.session.drop(host.name)
        began = self.now()
        await self._back(host, boot)
        # Somebody may have tried to enter it meanwhile, whose failure would be taken for the present one.
        await self.session.drop(host.name)
        self._tell("gate", host=host.name, gate="another boot", took=self.now() - began)

    async def _back(self, host: Host, boot: str) -> Kernel:
        """Wait until a host answers from another boot than this one. Raises HostError."""
        deadline, told = self.now() + self.seconds, ""
        where = f"{self.choice.cluster}/{host.name}"
        while True:
            try:
                connection = await self.session.enter(host.name)
                try:
                    kernel = (await look(connection)).kernel
                finally:
                    await connection.close()
                if kernel.boot != boot:
                    return kernel
                reason = "it has not gone down yet"
                todo = "see there what holds the shutdown up (`systemctl list-jobs`)"
            except HostError as error:
                reason, todo = str(error), "look at its console"
            if self.now() >= deadline:
                raise HostError(
                    f"{where}: not back within {self.seconds:.0f} s: {todo}; last seen: {reason}", host.name
                )
            if reason != told:
                self._tell("waiting", host=host.name, gate="another boot", reason=reason)
                told = reason
            await self.sleep(POLL_SECONDS)

    async def _reported(self, host: Host, boot: str) -> None:
        """Wait until the kubelet reports this boot: after a quick one the API still calls the node Ready."""
        api, deadline, told = await self.cluster_api(), self.now() + REPORT_SECONDS, False
        while (known := await api.node_boot(host.name)) not in {"", boot}:
            if self.now() >= deadline:
                raise GateError(
                    f"{self.choice.cluster}/{host.name}: its kubelet has not reported this boot ({boot}) within "
                    f"{REPORT_SECONDS:.0f} s, the API has {known}; see `journalctl -u kubelet` there",
                    host.name,
                )
            if not told:
                self._tell(
                    "waiting", host=host.name, gate="its kubelet", reason="the API has its state before the reboot"
                )
                told = True
            await self.sleep(POLL_SECONDS)

    async def _let_go(self, host: Host) -> None:
        """Let pods come again, and forget that a run has the host in hand."""
        connection = await self.session.connect(host.name)
        if host.node:
            await (await self.cluster_api()).uncordon(host.name)
        await run_script(connection, "record", ["uncordoned"])

    def _words(self, stopped: str, left: list[str]) -> str:
        parts = [f"done: {folded(self.done)}"] if self.done else []
        parts += [f"stopped at {stopped}", *([f"not begun: {folded(left)}"] if left else [])]
        again = f"run it again with --limit {','.join([stopped, *left])}" if self.choice.named else "run it again"
        return (
            f"{self.choice.cluster}: {'; '.join(parts)}; put right what is named above and {again}: a host that has "
            "been down is not rebooted again before it serves"
        )

    def _tell(self, kind: str, **facts: object) -> None:
        self.fleet.reporter.event(kind, phase=PHASE, **facts)
