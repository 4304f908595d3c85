"""Rollback: the generation before the last apply, put back from the hosts' own copies, through phases and gates.

It is an activation like any other. Each host stages the earlier generation itself, from what it has kept; then the run
of an apply goes over the phases. Nothing is sent but orders, and no secret is opened: host files need no identity.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from fleet.apply import ApplyRun
from fleet.generations import About, History, Slots, history_of, manifest_of
from fleet.guards import open_identity, passed_over, refuse_amid_restore, require_fit
from fleet.host_scripts import run_script
from fleet.inventory import Host, Phase, phase_from
from fleet.journal import Entry, journalled
from fleet.lock import Lock
from fleet.options import selected
from fleet.plan import Plan, make_plan, wanted_texts
from fleet.rollback_choice import Choice, choose, require_targets
from fleet.rollback_contents import with_known_contents
from fleet.rollback_guards import (
    refuse_lost_binary,
    refuse_lost_copies,
    refuse_lost_encryption_key,
    refuse_lost_guarded_unit,
    refuse_other_minor,
)
from fleet.rollback_items import earlier_host
from fleet.rollback_origin import RollbackOrigin
from fleet.session import AT_ONCE, Session
from fleet.standing import ApiOnce, Fleet, operator, run_lock
from fleet.together import all_ended
from fleet.tree import RenderedTree
from generator.errors import HostError, RefusedError

STAGE_SECONDS = 900


@dataclass(frozen=True)
class Rollback:
    """What a rollback would do: which apply it undoes, the tree as it was, and the plan that leads there."""

    choice: Choice
    tree: RenderedTree
    plan: Plan
    histories: Mapping[str, History]


T = TypeVar("T")
Agree = Callable[[Rollback], Awaitable[bool]]


async def rollback_plan(fleet: Fleet) -> Rollback:
    """Return what a rollback would do; nothing is changed. Raises as `rollback_run`."""
    session = Session(fleet.tree, fleet.connector)
    try:
        return await _planned(fleet, session)
    finally:
        await session.close()


async def rollback_run(fleet: Fleet, agree: Agree) -> Rollback:
    """Undo the last apply on its hosts, and return what was done.

    `agree` is asked under the lock; without its consent nothing is done (RefusedError). Raises RefusedError for what
    cannot be rolled back, and what an apply raises. Killed or stopped at a gate, it is taken up by running it again.
    """
    session = Session(fleet.tree, fleet.connector)
    api = ApiOnce(fleet, session)
    voters = [host.name for host in fleet.tree.with_role("etcd")]
    try:
        async with run_lock(fleet, session) as lock:
            found = await _planned(fleet, session)
            if _asks_api(found):
                # That a gate cannot ask the API as an administrator is told before any change.
                await open_identity(fleet)
                (await api()).admin_context()
            if not await agree(found):
                raise RefusedError(f"{fleet.tree.cluster}: nothing was changed: nobody agreed; add --yes")
            await _carry_out(fleet, session, api, lock, voters, found)
            return found
    finally:
        await api.close()
        await session.close()


async def _carry_out(
    fleet: Fleet, session: Session, api: ApiOnce, lock: Lock, voters: Sequence[str], found: Rollback
) -> None:
    began, back = fleet.moment(), found.choice.back
    origin = RollbackOrigin.of(found.choice, found.histories, lock.run, began, operator())
    await lock.ensure()
    fleet.reporter.event("phase", phase="restage", title="each host stages what it has kept of the generation before")
    await _each(list(found.plan.hosts), lambda name: _restage(session, found.tree.hosts[name]))
    run = ApplyRun(
        found.tree, found.plan, session, fleet.reporter, api, lock.ensure, hosts=tuple(found.plan.hosts),
        origin=origin, settle=False,
    )  # fmt: skip
    entry = Entry(
        began, lock.run, operator(), fleet.options.command, back.tree if back else "", back.commit if back else "",
        back.clean if back else False, fleet.options.stale_ok, "begun", undoes=found.choice.tree,
    )  # fmt: skip
    async with journalled(voters, session.connect, entry, fleet.moment):
        await run.run()


async def _planned(fleet: Fleet, session: Session) -> Rollback:
    cluster, tree = fleet.tree.cluster, fleet.tree
    histories = await _histories(session, list(tree.hosts))
    names = selected(tree, fleet.options.limit)
    left_out = passed_over(fleet, session, names)
    choice = choose(cluster, histories.values())
    targets = {name: digest for name, digest in choice.targets.items() if name in names}
    require_targets(cluster, choice, targets)
    manifests = await _each(targets, lambda name: _manifest(session, name, targets[name]))
    hosts = {
        name: earlier_host(cluster, tree.hosts[name], targets[name], lines)
        for name, (lines, _) in zip(targets, manifests, strict=True)
    }
    slots = {name: found for name, (_, found) in zip(targets, manifests, strict=True)}
    earlier = _earlier_tree(tree, hosts, choice.back)
    session.tree = earlier
    await session.ask({*targets, *(host.name for host in tree.with_role("etcd"))}, deep=fleet.options.deep)
    refuse_amid_restore(fleet, session)
    for name in targets:
        if name in session.unreachable:
            raise session.unreachable[name]
        refuse_other_minor(cluster, hosts[name], session.states[name])
        refuse_lost_encryption_key(cluster, hosts[name], session.states[name], slots[name], tree.hosts[name])
    earlier = await with_known_contents(session, tree, earlier, targets)
    session.tree = earlier
    plan = await _plan(session, earlier, targets, left_out)
    for one in plan.hosts.values():
        refuse_lost_guarded_unit(cluster, one, earlier.phases)
        refuse_lost_binary(cluster, one)
    require_fit(replace(fleet, tree=earlier), session, [name for name, one in plan.hosts.items() if one.needed])
    lost = await _each(plan.hosts, lambda name: _lost(session, name, targets[name]))
    refuse_lost_copies(cluster, dict(zip(plan.hosts, lost, strict=True)))
    return Rollback(choice, earlier, _with_staying_users(plan), histories)


async def _histories(session: Session, names: Sequence[str]) -> dict[str, History]:
    """Ask every host of the cluster, limited or not: which apply was the last is a question to all of them."""

    async def one(name: str) -> History | None:
        try:
            return await history_of(name, await session.connect(name))
        except HostError as error:
            session.unreachable[name] = error
            return None

    return {one.host: one for one in await _each(names, one) if one is not None}


async def _manifest(session: Session, name: str, generation: str) -> tuple[list[list[str]], Slots]:
    return await manifest_of(await session.connect(name), generation)


async def _lost(session: Session, name: str, generation: str) -> list[tuple[str, str]]:
    lines = await run_script(await session.connect(name), "restage", ["check", generation], timeout=STAGE_SECONDS)
    return [(words[1], words[2]) for words in lines if words[0] == "lost"]


async def _restage(session: Session, host: Host) -> None:
    await run_script(await session.connect(host.name), "restage", ["stage", host.digest], timeout=STAGE_SECONDS)


def _earlier_tree(tree: RenderedTree, hosts: Mapping[str, Host], back: About | None) -> RenderedTree:
    """Return the tree with earlier hosts and the phases of that day, without API objects: those are left as they are.

    Raises RefusedError where a host's items are of a phase that is not known.
    """
    wanted = {item.phase for host in hosts.values() for item in host.items}
    phases, control_plane = tree.phases, tree.control_plane
    if back is not None and back.phases:
        try:
            then = tuple(phase_from(entry) for entry in back.phases["phases"])
        except (KeyError, TypeError, ValueError, AttributeError):
            then = ()
        if wanted <= {phase.name for phase in then}:
            phases, control_plane = then, tuple(back.phases.get("controlPlane") or ())
    if unknown := wanted - {phase.name for phase in phases}:
        raise RefusedError(
            f"{tree.cluster}: the previous generation has the phase {', '.join(sorted(unknown))}, which phases.yaml "
            "has not; revert the commit and run `invoke apply` instead"
        )
    of_hosts = {item.phase for host in (*tree.hosts.values(), *hosts.values()) for item in host.items}
    kept = tuple(_without_objects(phase) for phase in phases if phase.name in of_hosts or not phase.objects)
    return replace(tree, hosts={**tree.hosts, **hosts}, phases=kept, control_plane=control_plane)


def _without_objects(phase: Phase) -> Phase:
    gates = tuple(gate for gate in phase.gates if gate.get("kind") not in {"accepted", "rolled-out"})
    return replace(phase, objects=(), gates=gates) if phase.objects else phase


async def _plan(session: Session, tree: RenderedTree, targets: Mapping[str, str], left_out: Mapping[str, str]) -> Plan:
    """Return the plan, with ± lines where the host has kept the earlier content and everybody may read both."""
    states = {name: session.states[name] for name in targets}
    others = {name: state for name, state in session.states.items() if name not in targets}
    plan = make_plan(tree, states, left_out=left_out, others=others)
    wanted = wanted_texts(plan, tree)
    if not wanted:
        return plan
    texts = {
        name: {path: content for path, content in found.items() if tree.hosts[name].by_key[path].content}
        for name, found in (await session.texts(wanted)).items()
    }
    return make_plan(tree, states, left_out=left_out, others=others, texts=texts)


def _with_staying_users(plan: Plan) -> Plan:
    """Return the plan with users that came with the apply only forgotten: files of theirs may lie anywhere."""
    hosts = {
        name: replace(
            one,
            removals=tuple(replace(gone, kind="stays") if gone.kind == "user" else gone for gone in one.removals),
        )
        for name, one in plan.hosts.items()
    }
    return replace(plan, hosts=hosts)


def _asks_api(found: Rollback) -> bool:
    """Return whether a gate of a phase that has work will ask the API as an administrator."""
    busy = {name for one in found.plan.hosts.values() for name in one.work}
    return any(
        phase.join or any(gate.get("client") == "admin" for gate in phase.gates)
        for phase in found.tree.phases
        if phase.name in busy
    )


async def _each(names: Iterable[str], work: Callable[[str], Awaitable[T]]) -> list[T]:
    """Do something for hosts, many at once, and return the answers in the order of the names."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> T:
        async with slots:
            return await work(name)

    return await all_ended(one(name) for name in names)
