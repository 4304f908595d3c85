"""plan, push and apply from beginning to end: connect, ask, decide, and only then act.

The functions here are what the verbs call. They take the tree as loaded, the cluster's folder (for sealed secrets,
known hosts and the artifact lock), options and a reporter.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fleet import formation
from fleet.apply import ApiOpener, ApplyRun
from fleet.artifacts import ArtifactSource, require_all_locked, require_locked
from fleet.cluster_api import ClusterApi
from fleet.gates import kind_of
from fleet.host_gates import preflight_faults
from fleet.journal import Entry, write_entry
from fleet.lock import Lock, holder_elsewhere, holder_here
from fleet.options import Options, selected
from fleet.plan import ObjectChange, Plan, formed, make_plan, wanted_texts
from fleet.push import Delivery, delivery, push_host
from fleet.reporter import Reporter
from fleet.secrets import SecretStore
from fleet.session import Connector, Session
from fleet.ssh import SshFleet
from fleet.state import formation_paths
from fleet.tree import RenderedTree, commit_of
from generator.errors import ApiError, FleetError, HostError, RefusedError, SlipwayError
from generator.sealing import Identity

PUSHES_AT_ONCE = 20
API_SECONDS = 10
Clock = Callable[[], datetime]
Agree = Callable[[Plan], Awaitable[bool]]
"""Asked about a plan before anything is pushed; it must let the event loop run, in which the lock is renewed."""


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


def ssh_fleet(tree: RenderedTree, cluster_dir: Path) -> SshFleet:
    """Return the way to the hosts by SSH; a sudo password is asked for on the terminal, where there is one."""
    ask = getpass.getpass if sys.stdin.isatty() else None
    return SshFleet(tree.cluster, cluster_dir / "known_hosts", ask)


def operator() -> str:
    """Return who runs this, as user@host."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


class _Api:
    """Opens the API once, when it is first needed, and closes it at the end."""

    def __init__(self, fleet: Fleet, session: Session) -> None:
        self._fleet = fleet
        self._session = session
        self._api: ClusterApi | None = None
        self._lock = asyncio.Lock()

    async def __call__(self) -> ClusterApi:
        async with self._lock:
            if self._api is None:
                self._api = await self._fleet.open_api(self._session)
            return self._api

    async def close(self) -> None:
        if self._api is not None:
            await self._api.close()


async def plan_run(fleet: Fleet, *, objects: bool = True) -> Plan:
    """Return the plan; nothing is changed anywhere.

    `objects` False compares no API objects; where they cannot be compared the plan says why in a note.
    """
    session = Session(fleet.tree, fleet.connector)
    api = _Api(fleet, session)
    try:
        names = selected(fleet.tree, fleet.options.limit)
        for name in fleet.options.phases:
            fleet.tree.phase(name)
        # As for an apply every etcd host is asked, limited or not: whether etcd has formed is a question to all.
        asked = {*names, *(host.name for host in fleet.tree.with_role("etcd"))}
        await session.ask(asked, deep=fleet.options.deep, keep=len(asked) < PUSHES_AT_ONCE)
        left_out = _unreachable(fleet, session, names)
        await _guard_members(fleet, session)
        changes, note = await _object_changes(fleet, session, api) if objects else ((), "")
        plan = await _plan(fleet, session, changes, left_out)
        return replace(plan, notes=(*plan.notes, note)) if note else plan
    finally:
        await api.close()
        await session.close()


async def push_run(fleet: Fleet) -> int:
    """Stage what hosts lack and return to how many hosts something went; nothing that runs sees it."""
    require_all_locked(fleet.tree.cluster, fleet.tree.artifacts.values())
    session = Session(fleet.tree, fleet.connector)
    try:
        names = selected(fleet.tree, fleet.options.limit)
        await session.ask(names, deep=fleet.options.deep)
        plan = await _plan(fleet, session, (), _unreachable(fleet, session, names))
        _require_fit(fleet, session, [name for name, host in plan.hosts.items() if host.needed])
        if not fleet.options.dry_run:
            await _refuse_beside_another(fleet, session)
        return await _push(fleet, session, plan)
    finally:
        await session.close()


async def _refuse_beside_another(fleet: Fleet, session: Session) -> None:
    """Refuse to stage while a run holds the lock: it activates what is staged, and another tree would push that out."""
    voters = [host.name for host in fleet.tree.with_role("etcd")]
    if holder := await holder_elsewhere(voters, session.connect):
        raise RefusedError(
            f"{fleet.tree.cluster}: the lock is held by {holder}: a push now would take away what that run is about to "
            "activate; wait for it to end, then push again"
        )


async def agree_to_all(_: Plan) -> bool:
    """Agree to every plan."""
    return True


async def apply_run(fleet: Fleet, agree: Agree = agree_to_all) -> Plan:
    """Push what is not staged, then activate it phase by phase, and return the plan that was carried out.

    `agree` is asked about the plan under the lock; without its consent nothing is done (RefusedError). With `dry_run`
    nothing is changed. Raises GateError, HostError, LockError, ApiError, RefusedError or an error of what goes to the
    hosts (ArtifactError, SealingError, PkiError), the latter before anything is activated.
    """
    if fleet.options.dry_run:
        return await plan_run(fleet)
    require_all_locked(fleet.tree.cluster, fleet.tree.artifacts.values())
    for name in fleet.options.phases:
        fleet.tree.phase(name)
    for phase in fleet.tree.phases:
        for entry in (*phase.before, *phase.gates):
            kind_of(entry)
    if _needs_admin(fleet):
        await _open_identity(fleet)
    session = Session(fleet.tree, fleet.connector)
    api = _Api(fleet, session)
    voters = [host.name for host in fleet.tree.with_role("etcd")]
    holder = holder_here(operator(), fleet.options.command, fleet.clock(), fleet.tree.digest)
    try:
        lock = Lock(
            fleet.tree.cluster, voters, session.connect, holder, break_lock=fleet.options.break_lock,
            note=lambda text: fleet.reporter.event("warning", text=text),
        )  # fmt: skip
        async with lock:
            return await _locked(fleet, session, api, lock, voters, agree)
    finally:
        await api.close()
        await session.close()


async def _locked(
    fleet: Fleet, session: Session, api: ApiOpener, lock: Lock, voters: Sequence[str], agree: Agree
) -> Plan:
    names = selected(fleet.tree, fleet.options.limit)
    # Every etcd host is asked, limited or not: whether etcd has formed is a question to all of them.
    await session.ask({*names, *voters}, deep=fleet.options.deep)
    left_out = _unreachable(fleet, session, names)
    await _guard_members(fleet, session)
    plan = await _plan(fleet, session, (), left_out)
    for name, reason in sorted(plan.left_out.items()):
        fleet.reporter.event("warning", host=name, text=f"{name}: left out: {reason}")
    for note in plan.notes:
        fleet.reporter.event("note", text=note)
    needed = [name for name, host in plan.hosts.items() if host.needed]
    _require_fit(fleet, session, needed)
    await _require_whole_formation(fleet, session, plan)
    await _require_credentials(fleet, api)
    if await _refuse_lost_control_plane(fleet, session, api):
        await _sweep_tokens(api)
    if not await agree(plan):
        raise RefusedError(
            f"{plan.cluster}: nothing was changed: something would be removed and nobody agreed; add --yes"
        )
    await _push(fleet, session, plan)
    run = ApplyRun(
        fleet.tree,
        plan,
        session,
        fleet.reporter,
        api,
        lock.ensure,
        phases=fleet.options.phases,
        hosts=tuple(plan.hosts),
    )
    commit = commit_of(fleet.cluster_dir, fleet.tree.path)
    entry = Entry(
        fleet.clock().isoformat(timespec="seconds"), lock.run, operator(), fleet.options.command, fleet.tree.digest,
        commit.id, commit.clean, fleet.options.stale_ok, "begun",
    )  # fmt: skip
    if needed:
        await write_entry(voters, session.connect, entry)
    result = "broken off"
    try:
        await run.run()
        result = "done"
    except SlipwayError as error:
        result = str(error).splitlines()[0]
        raise
    finally:
        if needed or run.objects:
            ended = replace(entry, time=fleet.clock().isoformat(timespec="seconds"), result=result)
            await write_entry(voters, session.connect, ended)
    return plan


async def _plan(fleet: Fleet, session: Session, objects: Sequence[ObjectChange], left_out: Mapping[str, str]) -> Plan:
    names = set(selected(fleet.tree, fleet.options.limit))
    states = {name: state for name, state in session.states.items() if name in names}

    def made(texts: Mapping[str, Mapping[str, bytes]]) -> Plan:
        return make_plan(
            fleet.tree, states, texts=texts, objects=objects, phases=fleet.options.phases, left_out=left_out,
            now=fleet.clock(), others={name: state for name, state in session.states.items() if name not in names},
        )  # fmt: skip

    plan = made({})
    wanted = wanted_texts(plan, fleet.tree)
    return made(await session.texts(wanted)) if wanted else plan


async def _object_changes(fleet: Fleet, session: Session, api: ApiOpener) -> tuple[tuple[ObjectChange, ...], str]:
    """Return what the API has otherwise; where it cannot be asked, nothing and the reason."""
    sets = [
        name
        for phase in fleet.tree.phases
        for name in phase.objects
        if not fleet.options.phases or phase.name in fleet.options.phases
    ]
    nodes = [name for name in selected(fleet.tree, fleet.options.limit) if fleet.tree.hosts[name].node]
    if not sets and not nodes:
        return (), ""
    phase = fleet.tree.etcd_phase
    if phase is not None and not formed(fleet.tree, session.states):
        return tuple(
            ObjectChange(one.name, f"objects of {name}", "create") for one in fleet.tree.phases for name in one.objects
        ), ""
    try:
        opened = await api()
        return (*await opened.object_changes(sets), *await opened.node_changes(nodes)), ""
    except SlipwayError as error:
        return (), f"objects not compared: {error}"


def _unreachable(fleet: Fleet, session: Session, names: Sequence[str]) -> dict[str, str]:
    """Return the hosts that are passed over, with the reason; raises HostError where that is not allowed."""
    failed = {name: error for name, error in sorted(session.unreachable.items())}
    if not failed:
        return {}
    if not fleet.options.skip_unreachable:
        rest = "" if len(failed) == 1 else f"\n(and {len(failed) - 1} more: {', '.join(list(failed)[1:])})"
        first = next(iter(failed.values()))
        raise HostError(f"{first}{rest}", first.host)
    voters = [host.name for host in fleet.tree.with_role("etcd")]
    up = [name for name in voters if name not in failed]
    if len(up) < len(voters) // 2 + 1:
        raise RefusedError(
            f"{fleet.tree.cluster}: only {len(up)} of {len(voters)} etcd hosts answer; --skip-unreachable "
            f"never goes below etcd's quorum"
        )
    return {name: str(error) for name, error in failed.items() if name in names}


async def _guard_members(fleet: Fleet, session: Session) -> None:
    """Refuse a host that lost its role, and a change of etcd membership, as far as a member that runs can tell."""
    _refuse_lost_roles(fleet, session)
    phase = fleet.tree.etcd_phase
    if phase is None or not formed(fleet.tree, session.states):
        return
    data = formation_paths(phase)[1]
    for name, state in sorted(session.states.items()):
        unit = state.units.get(phase.formation["unit"])
        if data in state.existing and unit is not None and unit.active == "active":
            try:
                told = await formation.refuse_membership_change(fleet.tree, phase, await session.connect(name))
            except HostError:
                continue
            if told:
                return


def _refuse_lost_roles(fleet: Fleet, session: Session) -> None:
    """Refuse a host that still has a unit of a guarded phase and lost that phase's role: it would be removed unguarded.

    What the hosts remember is enough for this; neither the API nor a quorum is needed.
    """
    lost = [
        f"{name} ({key.partition(':')[2]} of phase {phase.name})"
        for phase in fleet.tree.phases
        if phase.before and phase.roles
        for name, state in sorted(session.states.items())
        if not phase.roles & fleet.tree.hosts[name].pool.roles
        for key, record in sorted(state.owned.items())
        if record.kind == "unit" and record.phase == phase.name
    ]
    if lost:
        raise RefusedError(
            f"{fleet.tree.cluster}: {', '.join(lost)} lost the role for what runs there: an etcd or control-plane "
            "host that changes its roles needs a verb of its own, which is not built yet: take the change back"
        )


async def _require_whole_formation(fleet: Fleet, session: Session, plan: Plan) -> None:
    """Refuse to form etcd with a part of its hosts before anything is touched."""
    phase = fleet.tree.etcd_phase
    if phase is None:
        return
    members = [name for name, host in plan.hosts.items() if phase.name in host.work]
    if members and await formation.formation_due(fleet.tree, phase, session.states, session.connect):
        formation.require_all_members(fleet.tree, phase, members)


async def _require_credentials(fleet: Fleet, api: ApiOpener) -> None:
    """Sign the run's client certificate where a gate will ask for it, so that its lack is told before any change.

    Raises SealingError or PkiError: no identity, a sealed key that does not open, a CA that has ended.
    """
    if _needs_admin(fleet):
        (await api()).admin_context()


def _needs_admin(fleet: Fleet) -> bool:
    phases = [phase for phase in fleet.tree.phases if not fleet.options.phases or phase.name in fleet.options.phases]
    return any(entry.get("client") == "admin" for phase in phases for entry in phase.gates)


async def _open_identity(fleet: Fleet) -> None:
    """Open the operator's identity, which may ask for a passphrase, beside the event loop: the lock must be renewed."""
    await asyncio.to_thread(fleet.identity)


async def _refuse_lost_control_plane(fleet: Fleet, session: Session, api: ApiOpener) -> bool:
    """Refuse an inventory from which a control-plane host was taken; return whether the API was there to tell."""
    if not any(phase.join for phase in fleet.tree.phases) or not formed(fleet.tree, session.states):
        return False
    if fleet.options.kubeconfig is None:
        await _open_identity(fleet)
    try:
        async with asyncio.timeout(API_SECONDS):
            lost = await (await api()).foreign_control_plane()
    except (ApiError, TimeoutError):
        # Without an API server nothing can be told, and the run may be what brings it back.
        return False
    if lost:
        raise RefusedError(
            f"{fleet.tree.cluster}: {', '.join(lost)} is a control-plane node and no longer one in the inventory; "
            "the removal of a control-plane host needs a verb of its own, which is not built yet: take the change back"
        )
    return True


async def _sweep_tokens(api: ApiOpener) -> None:
    """Delete the bootstrap tokens that a killed run has left: no other run joins anybody while the lock is held."""
    with contextlib.suppress(ApiError, TimeoutError):
        async with asyncio.timeout(API_SECONDS):
            await (await api()).end_bootstrap()


def _require_fit(fleet: Fleet, session: Session, names: Sequence[str]) -> None:
    """Raise HostError that names everything that is missing on any of the hosts."""
    faults = {
        name: found
        for name in names
        if (found := preflight_faults(fleet.tree.hosts[name], session.states[name], fetch=fleet.tree.fetch))
    }
    if faults:
        lines = [
            f"{fleet.tree.cluster}/{name}: preflight: {'; '.join(found)}; put that right first"
            for name, found in faults.items()
        ]
        raise HostError("\n".join(lines), next(iter(faults)))


async def _push(fleet: Fleet, session: Session, plan: Plan) -> int:
    """Bring all hosts what they lack, many at once; returns how many got something."""
    deliveries: dict[str, Delivery] = {}
    for name, host in plan.hosts.items():
        wanted = delivery(fleet.tree, fleet.tree.hosts[name], session.states[name], host)
        for artifact, _ in wanted.artifacts:
            require_locked(fleet.tree.cluster, artifact)
        if not wanted.empty:
            deliveries[name] = wanted
    if not deliveries:
        return 0
    if fleet.options.dry_run:
        return len(deliveries)
    secrets = SecretStore(fleet.cluster_dir, fleet.identity)
    source = ArtifactSource(fleet.tree, fleet.cluster_dir, fleet.options.artifacts)
    if any(item.is_secret for wanted in deliveries.values() for item in wanted.blobs):
        await _open_identity(fleet)
    # What is wrong on this machine is found out before the first host gets anything; both keep what they have proved.
    for wanted in deliveries.values():
        for item in wanted.blobs:
            if item.is_secret:
                secrets.content(item)
        if fleet.tree.fetch != "host":
            for artifact, _ in wanted.artifacts:
                await source.file(artifact)
    slots = asyncio.Semaphore(PUSHES_AT_ONCE)
    fleet.reporter.event("phase", phase="push", title=f"stage on {len(deliveries)} hosts")

    async def one(name: str) -> None:
        async with slots:
            wanted = deliveries[name]
            await push_host(await session.connect(name), fleet.tree, fleet.tree.hosts[name], wanted, secrets, source)
            text = f"{len(wanted.blobs)} files, {len(wanted.artifacts)} artifacts staged"
            fleet.reporter.event("host", phase="push", host=name, text=text)

    answers = await asyncio.gather(*(one(name) for name in deliveries), return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    if errors:
        known = [error for error in errors if isinstance(error, FleetError | SlipwayError)]
        raise known[0] if known else errors[0]
    return len(deliveries)
