"""plan, push and apply from beginning to end: connect, ask, decide, and only then act.

The functions here are what the verbs call. They take the tree as loaded, the cluster's folder (for sealed secrets,
known hosts and the artifact lock), options and a reporter.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC

from fleet.apply import ApplyRun
from fleet.artifacts import require_all_locked
from fleet.cluster_record import Applied
from fleet.commit import Commit, commit_of
from fleet.gates import kind_of
from fleet.generations import origin_of
from fleet.guards import (
    API_SECONDS,
    guard_members,
    needs_admin,
    open_identity,
    passed_over,
    refuse_amid_restore,
    refuse_beside_another,
    refuse_lost_control_plane,
    require_credentials,
    require_fit,
    require_whole_formation,
    unfinished_restore,
    unfit,
)
from fleet.host_run import ApiOpener
from fleet.journal import Entry, journalled
from fleet.lock import Lock
from fleet.options import selected
from fleet.plan import ObjectChange, Plan, formed, make_plan, wanted_texts
from fleet.preflight.before_apply import require_preflight
from fleet.preflight.table import known_checks
from fleet.pushing import PUSHES_AT_ONCE, push_all
from fleet.session import Session
from fleet.shared import Shared
from fleet.standing import ApiOnce, Fleet, operator, run_lock
from generator.errors import ApiError, RefusedError, SlipwayError

LOOK_SECONDS = 3.0
"""For how long an answer to whether a push may go on is good for all hosts, of which hundreds may ask in that time."""
Agree = Callable[[Plan], Awaitable[bool]]
"""Asked about a plan before anything is pushed; it must let the event loop run, in which the lock is renewed."""


async def plan_run(fleet: Fleet, *, objects: bool = True) -> Plan:
    """Return the plan; nothing is changed anywhere.

    `objects` False compares no API objects; where they cannot be compared the plan says why in a note.
    """
    session = Session(fleet.tree, fleet.connector)
    api = ApiOnce(fleet, session)
    try:
        names = selected(fleet.tree, fleet.options.limit)
        for name in fleet.options.phases:
            fleet.tree.phase(name)
        # As for an apply every etcd host is asked, limited or not: whether etcd has formed is a question to all.
        asked = {*names, *(host.name for host in fleet.tree.with_role("etcd"))}
        await session.ask(asked, deep=fleet.options.deep, keep=len(asked) < PUSHES_AT_ONCE)
        left_out = passed_over(fleet, session, names)
        await guard_members(fleet, session)
        changes, note = await _object_changes(fleet, session, api) if objects else ((), "")
        plan = await _plan(fleet, session, changes, left_out)
        notes = [*plan.notes, *([note] if note else [])]
        notes += [
            f"{name}: push and apply will refuse it: {why}" for name, why in unfit(fleet, session, plan.hosts).items()
        ]
        if told := unfinished_restore(fleet, session):
            notes.append(f"apply will refuse: {told}")
        return replace(plan, notes=tuple(notes))
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
        plan = await _plan(fleet, session, (), passed_over(fleet, session, names))
        require_fit(fleet, session, [name for name, host in plan.hosts.items() if host.needed])
        may = Shared(lambda: refuse_beside_another(fleet, session), fresh=LOOK_SECONDS)
        if not fleet.options.dry_run:
            await may()
        return await push_all(fleet, session, plan, may)
    finally:
        await session.close()


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
    known_checks(fleet.options.skip_checks)
    for name in fleet.options.phases:
        fleet.tree.phase(name)
    for phase in fleet.tree.phases:
        for entry in (*phase.before, *phase.gates):
            kind_of(entry)
    if needs_admin(fleet):
        await open_identity(fleet)
    session = Session(fleet.tree, fleet.connector)
    api = ApiOnce(fleet, session)
    voters = [host.name for host in fleet.tree.with_role("etcd")]
    try:
        async with run_lock(fleet, session) as lock:
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
    left_out = passed_over(fleet, session, names)
    refuse_amid_restore(fleet, session)
    await guard_members(fleet, session)
    plan = await _plan(fleet, session, (), left_out)
    for name, reason in sorted(plan.left_out.items()):
        fleet.reporter.event("warning", host=name, text=f"{name}: left out: {reason}")
    for note in plan.notes:
        fleet.reporter.event("note", text=note)
    needed = [name for name, host in plan.hosts.items() if host.needed]
    require_fit(fleet, session, needed)
    await require_whole_formation(fleet, session, plan)
    await require_preflight(fleet, session, needed)
    await require_credentials(fleet, api)
    if await refuse_lost_control_plane(fleet, session, api):
        await _sweep_tokens(api)
    if not await agree(plan):
        raise RefusedError(
            f"{plan.cluster}: nothing was changed: something would be removed and nobody agreed; add --yes"
        )
    await push_all(fleet, session, plan, Shared(lock.ensure, fresh=LOOK_SECONDS))
    commit = commit_of(fleet.cluster_dir, fleet.tree.path)
    began = fleet.moment()
    run = ApplyRun(
        fleet.tree,
        plan,
        session,
        fleet.reporter,
        api,
        lock.ensure,
        phases=fleet.options.phases,
        hosts=tuple(plan.hosts),
        longest_gate=fleet.options.gate_seconds,
        at_end=lambda: _record_apply(fleet, api, lock, commit, sorted(plan.left_out)),
        origin=origin_of(fleet.tree, commit, lock.run, began, operator()),
    )
    entry = Entry(
        began, lock.run, operator(), fleet.options.command, fleet.tree.digest,
        commit.id, commit.clean, fleet.options.stale_ok, "begun",
    )  # fmt: skip
    async with journalled(
        voters, session.connect, entry, fleet.moment, begun=bool(needed), changed=lambda: bool(run.objects)
    ):
        await run.run()
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


async def _record_apply(fleet: Fleet, api: ApiOpener, lock: Lock, commit: Commit, left_out: Sequence[str]) -> None:
    """Write down in the API that this tree is applied; a part of the cluster is not, and no object phase means no API.

    It is the last thing of a run that has done everything, so its failure is told and fails nothing.
    """
    if fleet.options.limit or not any(phase.objects for phase in fleet.tree.phases):
        return
    await lock.ensure()
    try:
        overrides = fleet.tree.path / "overrides.yaml"
        spec = fleet.cluster_dir / "cluster.yaml"
        applied = Applied(
            tree=fleet.tree.digest, commit=commit.id, clean=commit.clean, operator=operator(),
            time=fleet.clock().astimezone(UTC).isoformat(timespec="seconds"), run=lock.run,
            command=fleet.options.command, stale=fleet.options.stale_ok, versions=fleet.tree.versions,
            spec=spec.read_text("utf-8") if spec.is_file() else "",
            overrides=overrides.read_text("utf-8") if overrides.is_file() else "", left_out=tuple(left_out),
        )  # fmt: skip
        await (await api()).record_apply(applied)
    except (SlipwayError, OSError, UnicodeDecodeError) as error:
        fleet.reporter.event("note", text=f"which tree is applied could not be written into the API: {error}")


async def _sweep_tokens(api: ApiOpener) -> None:
    """Delete the bootstrap tokens that a killed run has left: no other run joins anybody while the lock is held."""
    with contextlib.suppress(ApiError, TimeoutError):
        async with asyncio.timeout(API_SECONDS):
            await (await api()).end_bootstrap()
