"""A restore of etcd: a snapshot in the place of all members' data, step by step, each of which can be begun again.

The snapshot is proved and restored beside the data on every host before anything stops. Then API servers and members
stop, folders are renamed, the members start together as a new cluster that has never spoken to the old one, and the API
servers start behind them. The old data stays where it is named at the end; nothing of it is deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fleet.connection import Connection
from fleet.formation import etcd_gate
from fleet.gates import GateContext, kind_of, wait_open
from fleet.guards import open_identity
from fleet.host_scripts import Lines, run_script
from fleet.journal import Entry, journalled
from fleet.lock import Lock
from fleet.session import Session
from fleet.snapshot import Snapshot
from fleet.standing import ApiOnce, Fleet, operator, run_lock
from fleet.together import all_ended
from fleet.tree import Host, Phase, RenderedTree
from generator.errors import HostError, RefusedError, WorkspaceError

T = TypeVar("T")
HOUR = 3600.0
STOP_SECONDS = 600.0
FORMATION = "/etc/etcd/formation.env"
API_SERVER = "kube-apiserver.service"
_CLUSTER = re.compile(r"^ETCD_INITIAL_CLUSTER=(.+)$", re.MULTILINE)
_WAL = re.compile(r"--wal-dir=(\S+)/wal(?:\s|$)")
_USER = re.compile(r"^User=(\S+)$", re.MULTILINE)
STEPS = ("", "prepared", "swapped", "begun", "proved")
"""How far a restore has come on a host, in order."""


@dataclass(frozen=True, slots=True)
class Members:
    """What the tree says of etcd: `cluster` as initial-cluster, peer URLs by host, `wal` "-" where it lies in data."""

    phase: Phase
    hosts: tuple[Host, ...]
    cluster: str
    urls: Mapping[str, str]
    unit: str
    owner: str
    data: str
    wal: str
    etcdctl: str


@dataclass(frozen=True, slots=True)
class Restore:
    """What is to be done: `run` names it on hosts, `steps` says how far it has come on each from an earlier run.

    `before` are restores of the same snapshot that came to their end, as far as their old data still lies there.
    """

    members: Members
    control: tuple[Host, ...]
    units: tuple[str, ...]
    snapshot: Snapshot
    run: str
    steps: Mapping[str, str]
    before: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether an earlier run has come to its end but for the tidying up."""
        return "proved" in self.steps.values()


Agree = Callable[[Restore], Awaitable[bool]]


async def restore_plan(fleet: Fleet, snapshot: Snapshot) -> Restore:
    """Return what a restore would do; nothing is changed. Raises HostError where a host of it does not answer."""
    session = Session(fleet.tree, fleet.connector)
    try:
        return await _planned(fleet, session, snapshot)
    finally:
        await session.close()


async def restore_run(fleet: Fleet, snapshot: Snapshot, agree: Agree) -> dict[str, tuple[str, ...]]:
    """Restore a snapshot on all members and return where each host has its old data.

    `agree` is asked under the lock; without its consent nothing is done (RefusedError). Cut off at any moment, it goes
    on where it was when it is run again with the same snapshot.
    """
    session = Session(fleet.tree, fleet.connector)
    api = ApiOnce(fleet, session)
    voters = [host.name for host in fleet.tree.with_role("etcd")]
    try:
        async with run_lock(fleet, session) as lock:
            found = await _planned(fleet, session, snapshot)
            # The gate of the API servers asks as an administrator; that it cannot is told before anything stops.
            await open_identity(fleet)
            (await api()).admin_context()
            if not await agree(found):
                raise RefusedError(f"{fleet.tree.cluster}: nothing was changed: nobody agreed; add --yes")
            await lock.ensure()
            began = fleet.clock().isoformat(timespec="milliseconds")
            entry = Entry(
                began, lock.run, operator(), fleet.options.command, fleet.tree.digest, "", False,
                fleet.options.stale_ok, "begun",
            )  # fmt: skip
            async with journalled(
                voters, session.connect, entry, lambda: fleet.clock().isoformat(timespec="milliseconds")
            ):
                return await _Run(fleet, session, api, lock, found).whole()
    finally:
        await api.close()
        await session.close()


def members_of(tree: RenderedTree) -> Members:
    """Return what the tree says of etcd; raises WorkspaceError for a tree that does not say it."""
    phase, hosts = tree.etcd_phase, tuple(tree.with_role("etcd"))
    access = etcd_gate(phase) if phase is not None else None
    if phase is None or access is None or not hosts:
        raise WorkspaceError(f"{tree.cluster}: the tree has no etcd of its own, so there is nothing to restore into")
    unit = str(phase.formation["unit"])
    texts = {item.path: item.content.decode("utf-8", "replace") for item in hosts[0].items if item.kind == "file"}
    text = next((content for path, content in texts.items() if path.endswith(f"/{unit}")), "")
    cluster, owner, wal = _CLUSTER.search(texts.get(FORMATION, "")), _USER.search(text), _WAL.search(text)
    if cluster is None or owner is None:
        raise WorkspaceError(f"{tree.cluster}: {FORMATION} or {unit} is not as render writes it; run `invoke render`")
    urls = dict(word.split("=", 1) for word in cluster[1].strip().split(","))
    return Members(
        phase, hosts, cluster[1].strip(), urls, unit, owner[1], str(phase.formation["data"]), wal[1] if wal else "-",
        str(access["etcdctl"]),
    )  # fmt: skip


def control_plane_of(tree: RenderedTree) -> tuple[Phase, tuple[Host, ...], tuple[str, ...]]:
    """Return the phase of the API servers, their hosts, and the services that run on what etcd holds."""
    for phase in tree.phases:
        hosts = tuple(host for host in tree.hosts.values() if phase.roles & host.pool.roles)
        units = [unit.name for unit in hosts[0].units(phase.name) if unit.start] if hosts else []
        if API_SERVER in units:
            services = [name for name in units if name.endswith(".service") and name.startswith("kube-")]
            return phase, hosts, tuple(sorted(services, key=lambda name: (name != API_SERVER, name)))
    raise WorkspaceError(f"{tree.cluster}: no phase of the tree has API servers; run `invoke render`")


async def _planned(fleet: Fleet, session: Session, snapshot: Snapshot) -> Restore:
    members = members_of(fleet.tree)
    _, control, units = control_plane_of(fleet.tree)
    names = sorted({host.name for host in (*members.hosts, *control)})
    await session.ask(names)
    missing = [name for name in names if name in session.unreachable]
    if missing:
        reasons = "\n".join(str(session.unreachable[name]) for name in missing)
        raise HostError(
            f"{fleet.tree.cluster}: {', '.join(missing)} does not answer, and a member that keeps its old data would "
            f"come back as another cluster; nothing was changed; bring it back first:\n{reasons}",
            missing[0],
        )
    asked = await _each(session, members.hosts, lambda one, _: run_script(one, "restore", ["ask", members.data]))
    found: dict[str, tuple[str, str]] = {}
    before: set[str] = set()
    for host, lines in zip(members.hosts, asked, strict=True):
        for words in lines:
            if words[0] == "step" and len(words) == 3:
                found[host.name] = (words[1], words[2])
            elif words[0] == "before" and words[1].startswith(f"{snapshot.digest[:16]}-"):
                before.add(words[1])
    run = _run_of(fleet, snapshot, found)
    return Restore(
        members, control, units, snapshot, run,
        {host.name: found[host.name][1] if found.get(host.name, ("", ""))[0] == run else "" for host in members.hosts},
        tuple(sorted(before - {run})),
    )  # fmt: skip


def _run_of(fleet: Fleet, snapshot: Snapshot, found: Mapping[str, tuple[str, str]]) -> str:
    """Return the name of the restore: that of one that was cut off, or a new one.

    Raises RefusedError where another one has moved data somewhere, or where one that had begun lost a host's data.
    """
    short = snapshot.digest[:16]
    moved = {run for run, step in found.values() if STEPS.index(step) > STEPS.index("prepared")}
    others = sorted(run for run in moved if not run.startswith(f"{short}-"))
    if others or len(moved) > 1:
        raise RefusedError(
            f"{fleet.tree.cluster}: a restore of another snapshot has not come to its end ({', '.join(moved)}); "
            "run that one again first"
        )
    if moved:
        run = moved.pop()
        steps = {host.name: found.get(host.name, ("", "")) for host in fleet.tree.with_role("etcd")}
        begun = any(step in {"begun", "proved"} for _, step in steps.values())
        lost = sorted(name for name, (other, step) in steps.items() if other != run or step in {"", "prepared"})
        done = any(step == "proved" for _, step in steps.values())
        if begun and lost and not done:
            raise RefusedError(
                f"{fleet.tree.cluster}: members have begun with the restored data, and {', '.join(lost)} no longer "
                "knows of it; restore another snapshot when /var/lib/slipway/restore is deleted on all members"
            )
        return run
    same = sorted(run for run, _ in found.values() if run.startswith(f"{short}-"))
    return same[-1] if same else f"{short}-{fleet.clock():%Y%m%dT%H%M%SZ}"


@dataclass
class _Run:
    """One restore on its way."""

    fleet: Fleet
    session: Session
    api: ApiOnce
    lock: Lock
    plan: Restore

    async def whole(self) -> dict[str, tuple[str, ...]]:
        """Go through all steps that are still to be done."""
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
        return await _each(self.session, hosts, work)

    def _tell(self, phase: str, title: str) -> None:
        self.fleet.reporter.event("phase", phase=phase, title=title)

    def _say(self, host: Host, text: str) -> None:
        self.fleet.reporter.event("host", phase="prepare", host=host.name, text=text, changed=[], units=[])


async def _each(
    session: Session, hosts: Sequence[Host], work: Callable[[Connection, Host], Coroutine[Any, Any, T]]
) -> list[T]:
    async def one(host: Host) -> T:
        return await work(await session.connect(host.name), host)

    return await all_ended([one(host) for host in hosts])


def restore_lines(found: Restore, cluster: str) -> list[str]:
    """Return in words what a restore would do."""
    members, snapshot = found.members, found.snapshot
    names = ", ".join(host.name for host in members.hosts)
    control = ", ".join(host.name for host in found.control)
    if found.proved:
        return [f"{cluster}: this restore has come to its end; what it kept on {names} is taken away"]
    size = len(snapshot.content)
    lines = [f"{cluster}: restore {snapshot.name}, {size} bytes, sha256 {snapshot.digest}"]
    if snapshot.revision:
        lines.append(f"  made of {snapshot.cluster} at {snapshot.time}, revision {snapshot.revision}")
    if snapshot.cluster and snapshot.cluster != cluster:
        lines.append(
            f"  it is of another cluster, {snapshot.cluster}, whose encryption keys must be those of {cluster}"
        )
    lines += [
        f"  this snapshot was restored before, as {run}: what was written since is gone then" for run in found.before
    ]
    going_on = {name: step for name, step in found.steps.items() if step}
    if going_on:
        words = ", ".join(f"{name} {step}" for name, step in going_on.items())
        lines.append(f"  goes on with a restore that was cut off: {words}")
    lines += [
        f"  1. {names}: prove the snapshot, restore it beside the data in {members.data}",
        f"  2. {control}: stop {', '.join(found.units)}; {names}: stop {members.unit}",
        f"  3. {names}: rename old data to {members.data}/.before-restore-{found.run}, restored data to its place",
        f"  4. {names}: start {members.unit} together, wait for the quorum",
        f"  5. {control}: start {', '.join(found.units)}, wait until each is ready",
        "  What was written since the snapshot is gone. Kubelets and pods run on, save what the API forgot.",
    ]
    return lines
