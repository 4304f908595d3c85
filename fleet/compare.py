"""One host against what it is to have: what would change, which units that touches, what is no longer wanted."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from fleet.item_changes import change_of
from fleet.joining import join_reason
from fleet.leaving import drops, removals
from fleet.owed import Owed
from fleet.state import HostState
from fleet.tree import Host, Phase, RenderedTree
from fleet.work import Change, HostPlan, Work


def host_plan(
    tree: RenderedTree, host: Host, state: HostState, phases: Collection[str] = (), now: datetime | None = None
) -> HostPlan:
    """Return what is to be done on one host; `phases` limits it to some phases (then there are no removals).

    `now` judges the client certificate of the node; without it the present time does.
    """
    owed = Owed(host, state)
    changes: dict[str, list[Change]] = {}
    for item in host.items:
        change = change_of(item, state)
        if change is None:
            continue
        changes.setdefault(item.phase, []).append(change)
        if change.action != "mode" and item.kind in {"file", "secret", "link"}:
            owed.add(item.key, item.phase, item.restarts, item.reloads)
    dropped = drops(tree, host, state)
    for name, paths in dropped.items():
        for drop in paths:
            record = state.owned[drop.key]
            changes.setdefault(name, []).append(Change(drop.key, record.kind, "delete", record.component))
            owed.add(drop.key, name, drop.restarts, drop.reloads)
    drain = drains(host, state)
    known = {phase.name for phase in tree.phases}
    work: dict[str, Work] = {}
    deferred: dict[str, list[str]] = {}
    for phase in tree.phases:
        names = (*deferred.get(phase.name, ()), phase.name)
        if phase.defer_drained and drain and phase.defer_drained in known:
            deferred.setdefault(phase.defer_drained, []).append(phase.name)
            continue
        one = Work(
            host=host.name,
            phase=phase.name,
            phases=names,
            changes=tuple(change for name in names for change in changes.get(name, ())),
            units=owed.actions(names),
            drain=drain and phase.drain,
            join=bool(join_reason(phase, host, state, now or datetime.now(UTC))),
            unfinished=any(
                name in host.phase_digests and state.phases.get(name) != host.phase_digests[name] for name in names
            )
            or (phase.drain and state.cordoned),
            drops=tuple(drop for name in names for drop in dropped.get(name, ())),
        )
        if one.needed and (not phases or phase.name in phases):
            work[phase.name] = one
    return HostPlan(host.name, work, () if phases else removals(tree, host, state))


def drains(host: Host, state: HostState) -> bool:
    """Return whether the host's node must be empty first: a drain key differs from the one it was last started with."""
    for unit in host.units():
        record = state.owned.get(unit.key)
        if unit.drain_key and record is not None and record.id and record.id != unit.drain_key:
            return True
    return False


def later_units(tree: RenderedTree, host: Host, phase: Phase) -> tuple[str, ...]:
    """Return the host's units whose own phase comes after the given one; what they are owed waits for it."""
    order = {one.name: index for index, one in enumerate(tree.phases)}
    return tuple(unit.name for unit in host.units() if order[unit.phase] > order[phase.name])
