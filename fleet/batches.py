"""Which hosts of a phase are worked on together: a pure function of the phase, the inventory and how the hosts are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from fleet.state import HostState, UnitFacts
from fleet.tree import Host, Phase, Pool, RenderedTree
from fleet.work import Work


def slots(pool: Pool, members: int) -> int:
    """Return how many hosts of a pool may be down at once: a number, or a percentage rounded down, at least one."""
    text = pool.max_unavailable
    number = members * int(text.removesuffix("%")) // 100 if text.endswith("%") else int(text)
    return max(1, number)


def is_down(host: Host, phase: Phase, state: HostState, work: Work) -> bool:
    """Return whether nothing can get worse on a host: a unit that should run does not, and none that runs is hit.

    A host on which the work drains, or restarts a unit that runs, is not down: a scheduler that failed everywhere, or a
    unit that is new, must not restart every API server at once.
    """
    started = [unit for unit in host.units(phase.name) if unit.start]
    stopped = any(_active(state, unit.name) != "active" for unit in started)
    return stopped and not hits(state, work)


def hits(state: HostState, work: Work) -> bool:
    """Return whether the work takes something that runs away for a while: it drains, restarts or reloads."""
    return work.drain or any(
        action.action in {"restart", "reload"} and _active(state, action.unit) in {"active", "reloading"}
        for action in work.units
    )


def _active(state: HostState, unit: str) -> str:
    return state.units.get(unit, UnitFacts()).active


def batches(
    tree: RenderedTree,
    phase: Phase,
    names: Iterable[str],
    down: Collection[str],
    sick: Collection[str] = (),
    quiet: Collection[str] = (),
) -> list[tuple[str, ...]]:
    """Return the batches of a phase, in order.

    `quiet` hosts, on which only gates are looked at, come first and together.

    Hosts that are down come first and together: nothing runs there that could be lost, and members without a quorum
    come up only with each other. Then the sick, then the healthy: `one` at a time, or by the slots of
    their pool, never two zones in one batch. Hosts of the role `phase.first` come before all others.
    """
    asked = list(names)
    found: list[tuple[str, ...]] = [calm] if (calm := tuple(name for name in asked if name in quiet)) else []
    hosts = [tree.hosts[name] for name in asked if name not in quiet]
    if phase.batch == "all":
        return [*found, tuple(host.name for host in hosts)] if hosts else found
    first = [host for host in hosts if phase.first and phase.first in host.pool.roles]
    for group in (first, [host for host in hosts if host not in first]):
        dead = [host.name for host in group if host.name in down]
        if dead:
            found.append(tuple(dead))
        alive = sorted(
            (host for host in group if host.name not in down), key=lambda host: (host.name not in sick, host.name)
        )
        if phase.batch == "one":
            found += [(host.name,) for host in alive]
        else:
            found += _by_slots(tree, alive)
    return found


def _by_slots(tree: RenderedTree, hosts: Iterable[Host]) -> list[tuple[str, ...]]:
    members: dict[str, int] = {}
    for host in tree.hosts.values():
        members[host.pool.name] = members.get(host.pool.name, 0) + 1
    groups: dict[tuple[str, str], list[Host]] = {}
    for host in hosts:
        groups.setdefault((host.zone, host.pool.name), []).append(host)
    found: list[tuple[str, ...]] = []
    for (_, pool), group in sorted(groups.items()):
        size = slots(tree.pools[pool], members[pool])
        found += [tuple(host.name for host in group[start : start + size]) for start in range(0, len(group), size)]
    return found


def members_without_quorum(
    tree: RenderedTree, phase: Phase, states: Mapping[str, HostState], work: Mapping[str, Work], sick: Collection[str]
) -> set[str]:
    """Return the sick members that may be worked on together: they have lost their quorum, and nothing is restarted.

    One at a time, the first would wait at its gate for a quorum that the others' work alone brings back. Where
    something is restarted they take turns all the same: one look at a gate is no reason to stop all at once.
    """
    if not phase.formation:
        return set()
    members = sum(1 for host in tree.hosts.values() if phase.roles & host.pool.roles)
    stopped = {name for name in work if is_down(tree.hosts[name], phase, states[name], work[name])}
    if members - len(stopped | set(sick)) >= members // 2 + 1:
        return set()
    return {name for name in sick if not hits(states[name], work[name])}


def down_hosts(tree: RenderedTree, phase: Phase, states: Mapping[str, HostState], work: Mapping[str, Work]) -> set[str]:
    """Return those of the hosts, each with its work in the phase, on which nothing can get worse."""
    return {name for name, one in work.items() if is_down(tree.hosts[name], phase, states[name], one)}
