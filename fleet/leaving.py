"""What a host has of us and its manifest no longer names: what units that stay have read, and what simply goes."""

from __future__ import annotations

from fleet.items import KINDS
from fleet.state import HostState, UnitFacts
from fleet.tree import Host, RenderedTree
from fleet.work import Drop, Removal

_REMOVAL_ORDER = ("unit", "link", "file", "secret", "binary", "directory", "user", "package")
_OF_ALL_PHASES = frozenset({"user", "package"})
"""Kinds that are used by what other phases put on a host, whichever phase brought them."""


def drops(tree: RenderedTree, host: Host, state: HostState) -> dict[str, list[Drop]]:
    """Return, by phase, the paths that left the manifest while a unit that stays has read them.

    The phase is the earliest own one of those units; where all of them are units of the system that run, the one in
    which the path came.
    """
    own = {unit.name: unit.phase for unit in host.units()}
    order = [phase.name for phase in tree.phases if phase.name in host.phase_digests]
    found: dict[str, list[Drop]] = {}
    for key, record in sorted(state.owned.items()):
        facts = state.paths.get(key)
        if key in host.by_key or record.kind not in KINDS or (facts is not None and facts.as_installed is False):
            continue

        def stays(unit: str) -> bool:
            leaves = f"unit:{unit}" in state.owned
            return unit in own or (not leaves and state.units.get(unit, UnitFacts()).runs)

        drop = Drop(key, tuple(filter(stays, record.restarts)), tuple(filter(stays, record.reloads)))
        units = {*drop.restarts, *drop.reloads}
        if not units or not order:
            continue
        homes = {own[unit] for unit in units if unit in own} or {record.phase}
        found.setdefault(next((name for name in order if name in homes), order[0]), []).append(drop)
    return found


def removals(tree: RenderedTree, host: Host, state: HostState) -> tuple[Removal, ...]:
    """Return what we own on the host and its manifest no longer has: reverse phase order, units before their files.

    A phase that the tree no longer has comes first, and users and packages come last of all: what ran as them or from
    them has stopped by then, whichever phase it was of.

    What a unit that stays has read is not among them: see `drops`. Nor are the binaries of the generation before, one
    generation long: a rollback must work without network and artifacts, and a binary is too large to keep a copy of.
    """
    order = {phase.name: index for index, phase in enumerate(tree.phases)}
    dropped = {drop.key for paths in drops(tree, host, state).values() for drop in paths}
    found = []
    for key, record in state.owned.items():
        if key in host.by_key or key in dropped or record.kind not in KINDS or key in state.held:
            continue
        facts = state.paths.get(key)
        changed = facts is not None and facts.as_installed is False
        found.append(Removal(host.name, record.kind, key, record.phase, record.component, changed))
    # Deeper paths first, so that a folder is empty when its turn comes.
    return tuple(
        sorted(
            found,
            key=lambda one: (
                one.kind in _OF_ALL_PHASES,
                -order.get(one.phase, len(order)),
                _REMOVAL_ORDER.index(one.kind),
                -one.key.count("/"),
                one.key,
            ),
        )
    )
