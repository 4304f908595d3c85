"""What a run refuses before it touches anything, each with the reason: as early as it can be told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from fleet import formation
from fleet.folding import folded
from fleet.host_faults import preflight_faults
from fleet.host_run import ApiOpener
from fleet.lock import holder_elsewhere
from fleet.plan import Plan, formed
from fleet.question import formation_paths
from fleet.session import Session
from fleet.standing import Fleet
from generator.errors import ApiError, HostError, RefusedError

API_SECONDS = 10
"""How long the API may take to tell something that a run can do without."""


async def refuse_beside_another(fleet: Fleet, session: Session) -> None:
    """Refuse to stage while a run holds the lock: it activates what is staged, and another tree would push that out."""
    voters = [host.name for host in fleet.tree.with_role("etcd")]
    if holder := await holder_elsewhere(voters, session.connect):
        raise RefusedError(
            f"{fleet.tree.cluster}: the lock is {holder}: a push now would take away what that run is about to "
            "activate; wait for it to end, then push again"
        )


def passed_over(fleet: Fleet, session: Session, names: Sequence[str]) -> dict[str, str]:
    """Return the hosts that are passed over, with the reason; raises HostError where that is not allowed."""
    failed = {name: error for name, error in sorted(session.unreachable.items())}
    if not failed:
        return {}
    if not fleet.options.skip_unreachable:
        answer = len(session.states)
        told = f"{fleet.tree.cluster}: nothing was changed: {folded(failed)} cannot be worked with, {answer} others can"
        first = next(iter(failed.values()))
        raise HostError("\n".join([*map(str, failed.values()), told]), first.host)
    voters = [host.name for host in fleet.tree.with_role("etcd")]
    up = [name for name in voters if name not in failed]
    if len(up) < len(voters) // 2 + 1:
        raise RefusedError(
            "\n".join(
                [
                    *map(str, failed.values()),
                    f"{fleet.tree.cluster}: only {len(up)} of {len(voters)} etcd hosts answer; --skip-unreachable "
                    "never goes below etcd's quorum: bring one back first",
                ]
            )
        )
    return {name: str(error) for name, error in failed.items() if name in names}


async def guard_members(fleet: Fleet, session: Session) -> None:
    """Refuse a host that lost its role, and a change of etcd membership, as far as a member that runs can tell."""
    refuse_lost_roles(fleet, session)
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


def refuse_amid_restore(fleet: Fleet, session: Session) -> None:
    """Refuse while a restore of etcd was cut off: some members may have the old data and some the new."""
    if told := unfinished_restore(fleet, session):
        raise RefusedError(f"{fleet.tree.cluster}: nothing was changed: {told}")


def unfinished_restore(fleet: Fleet, session: Session) -> str:
    """Return which restore was cut off on the hosts that were asked, and how it goes on; "" where there is none."""
    found = {name: state.restore for name, state in sorted(session.states.items()) if state.restore is not None}
    # One that is proved has only its leftovers to take away.
    if not found or any(step == "proved" for _, step in found.values()):
        return ""
    digests = ", ".join(sorted({run.partition("-")[0] for run, _ in found.values()}))
    return (
        f"a restore of etcd was cut off ({', '.join(f'{name} {step}' for name, (_, step) in found.items())}); run "
        f"`invoke restore --cluster {fleet.tree.cluster} --snapshot FILE` again with the same snapshot: snapshotSHA256 "
        f"in its .json begins with {digests}"
    )


def refuse_lost_roles(fleet: Fleet, session: Session) -> None:
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


async def require_whole_formation(fleet: Fleet, session: Session, plan: Plan) -> None:
    """Refuse to form etcd with a part of its hosts before anything is touched."""
    phase = fleet.tree.etcd_phase
    if phase is None:
        return
    members = [name for name, host in plan.hosts.items() if phase.name in host.work]
    if members and await formation.formation_due(fleet.tree, phase, session.states, session.connect):
        formation.require_all_members(fleet.tree, phase, members)


async def require_credentials(fleet: Fleet, api: ApiOpener) -> None:
    """Sign the run's client certificate where a gate will ask for it, so that its lack is told before any change.

    Raises SealingError or PkiError: no identity, a sealed key that does not open, a CA that has ended.
    """
    if needs_admin(fleet):
        (await api()).admin_context()


def needs_admin(fleet: Fleet) -> bool:
    """Return whether a gate of the run will ask for an administrator's certificate."""
    phases = [phase for phase in fleet.tree.phases if not fleet.options.phases or phase.name in fleet.options.phases]
    return any(entry.get("client") == "admin" for phase in phases for entry in phase.gates)


async def open_identity(fleet: Fleet) -> None:
    """Open the operator's identity, which may ask for a passphrase, beside the event loop: the lock must be renewed."""
    await asyncio.to_thread(fleet.identity)


async def refuse_lost_control_plane(fleet: Fleet, session: Session, api: ApiOpener) -> bool:
    """Refuse an inventory from which a control-plane host was taken; return whether the API was there to tell."""
    if not any(phase.join for phase in fleet.tree.phases) or not formed(fleet.tree, session.states):
        return False
    if fleet.options.kubeconfig is None:
        await open_identity(fleet)
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


def unfit(fleet: Fleet, session: Session, names: Iterable[str]) -> dict[str, str]:
    """Return the hosts that cannot be worked with as they are, each with everything that stands against it."""
    found = {
        name: preflight_faults(fleet.tree.hosts[name], session.states[name], fetch=fleet.tree.fetch) for name in names
    }
    return {name: "; ".join(faults) for name, faults in found.items() if faults}


def require_fit(fleet: Fleet, session: Session, names: Sequence[str]) -> None:
    """Raise HostError that names everything that is missing on any of the hosts."""
    faults = unfit(fleet, session, names)
    if faults:
        lines = [
            f"{fleet.tree.cluster}/{name}: preflight: {found}; put that right first" for name, found in faults.items()
        ]
        raise HostError("\n".join([*lines, f"{fleet.tree.cluster}: nothing was changed"]), next(iter(faults)))
