"""All rendered objects against the live cluster, set by set; nothing is written and no host is asked anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.guards import open_identity
from fleet.plan import ObjectChange
from fleet.plan_text import PlanLine, object_lines
from fleet.session import Session
from fleet.standing import ApiOnce, Fleet
from fleet.tree import RenderedTree
from generator.errors import WorkspaceError


@dataclass(frozen=True, slots=True)
class ObjectsDiff:
    """What the live cluster has otherwise, by set in the order of apply; `left`: of sets that are gone."""

    cluster: str
    sets: Mapping[str, tuple[ObjectChange, ...]]
    left: tuple[ObjectChange, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether an apply would change an object."""
        return any(change.needs_apply for change in (*self.left, *(one for some in self.sets.values() for one in some)))

    @property
    def exit_code(self) -> int:
        """0: no differences, 2: differences."""
        return 2 if self.needed else 0


async def diff_run(fleet: Fleet, sets: Sequence[str] = ()) -> ObjectsDiff:
    """Return the differences of the named sets, of all where none is named.

    Asks with the kubeconfig of the options, else with a certificate that is signed for it, over SSH. Raises
    WorkspaceError for a set that there is not, ApiError where the API cannot be asked.
    """
    chosen = chosen_sets(fleet.tree, sets)
    session = Session(fleet.tree, fleet.connector)
    api = ApiOnce(fleet, session)
    try:
        opened = await api()
        if fleet.options.kubeconfig is None:
            await open_identity(fleet)
            opened.admin_context()
        found = {name: await opened.object_changes([name]) for name in chosen}
    finally:
        await api.close()
        await session.close()
    phases = {phase.name for phase in fleet.tree.phases}
    return ObjectsDiff(
        fleet.tree.cluster,
        {name: tuple(one for one in some if one.phase in phases) for name, some in found.items()},
        # With the last set come the objects of those that are gone; who names sets asks about these alone.
        () if sets else tuple(one for some in found.values() for one in some if one.phase not in phases),
    )


def chosen_sets(tree: RenderedTree, named: Sequence[str]) -> tuple[str, ...]:
    """Return the sets that are meant, in the order of apply; a name may leave out its number.

    Raises WorkspaceError that lists the sets for a name that is none.
    """
    known = tuple(name for phase in tree.phases for name in phase.objects)
    for word in named:
        if not any(word in (name, name.partition("-")[2]) for name in known):
            raise WorkspaceError(f"{tree.cluster}: there is no set {word}; it has {', '.join(known) or 'none'}")
    return tuple(name for name in known if not named or {name, name.partition("-")[2]} & set(named))


def diff_lines(found: ObjectsDiff) -> list[PlanLine]:
    """Return the differences as people read them: what differs set by set, and one line that sums up."""
    lines: list[PlanLine] = []
    for title, some in (*((f"set {name}", some) for name, some in found.sets.items()), ("left over", found.left)):
        if some:
            lines += [PlanLine(title, "phase"), *(line for one in some for line in object_lines(one)), PlanLine("")]
    count = sum(one.needs_apply for some in (*found.sets.values(), found.left) for one in some)
    sets = f"{len(found.sets)} set{'s' if len(found.sets) != 1 else ''}"
    words = f"{count} object{'s differ' if count != 1 else ' differs'}" if count else "no differences"
    return [*lines, PlanLine(f"{found.cluster}: {words} in {sets}", "sum")]


def diff_json(found: ObjectsDiff) -> dict[str, Any]:
    """Return the differences as plain values for `--json`."""

    def entry(one: ObjectChange) -> dict[str, Any]:
        return {"name": one.name, "action": one.action, "diff": list(one.diff)}

    return {
        "cluster": found.cluster,
        "needed": found.needed,
        "sets": {name: [entry(one) for one in some] for name, some in found.sets.items()},
        "left": [entry(one) for one in found.left],
    }
