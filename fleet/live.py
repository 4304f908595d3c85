"""Whether every API server runs with what is rendered: hosts are asked before each step of a rotation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleet.item_changes import change_of
from fleet.session import Session
from fleet.state import HostState, UnitFacts
from fleet.tree import Host, RenderedTree
from generator.errors import RefusedError

CONTROL_PLANE = "control-plane"
API_SERVER = "kube-apiserver.service"
CONTROLLER_MANAGER = "kube-controller-manager.service"
_FLAG = re.compile(r"--([a-z0-9-]+)=(\S+)")


async def require_live(session: Session, paths: Sequence[str], units: Sequence[str], what: str) -> None:
    """Refuse a step unless every API server runs with the files at `paths` as rendered; `what` names the step.

    All control-plane hosts are asked anew. Raises RefusedError that names each host with the reason.
    """
    tree = session.tree
    hosts = tree.with_role(CONTROL_PLANE)
    await session.ask([host.name for host in hosts])
    faults: list[str] = []
    for host in hosts:
        if host.name in session.unreachable:
            faults.append(f"{host.name}: it does not answer ({session.unreachable[host.name]})")
        elif reason := not_live(tree, host, session.states[host.name], paths, units):
            faults.append(f"{host.name}: {reason}")
    if faults:
        shown = "\n".join(f"  {fault}" for fault in faults)
        raise RefusedError(
            f"{tree.cluster}: {what} only when every API server runs with the tree as rendered, and:\n{shown}\n"
            f"run `invoke apply --cluster {tree.cluster}` until `invoke plan` has nothing left, then run this again"
        )


def not_live(tree: RenderedTree, host: Host, state: HostState, paths: Sequence[str], units: Sequence[str]) -> str:
    """Return why a host does not run with files as rendered, "" when its units were started with just these.

    That is so when the files are there as rendered, the phases that carry them are recorded behind their gates, no
    restart is owed, and the units run.
    """
    wanted = [*paths, *(f"/etc/systemd/system/{unit}" for unit in units), *(f"unit:{unit}" for unit in units)]
    missing = [key for key in wanted if key not in host.by_key]
    if missing:
        return f"{missing[0]} is not among what it is to have"
    items = [host.by_key[key] for key in wanted]
    if state.underway:
        return "a change has begun there and not ended"
    for item in items:
        change = change_of(item, state)
        if change is not None:
            return f"{item.key} is not there" if change.action == "create" else f"{item.key} is not as rendered"
    for unit in units:
        if unit in state.pending:
            return f"{unit} is owed a {state.pending[unit]}"
        facts = state.units.get(unit, UnitFacts())
        if facts.active != "active":
            return f"{unit} is {facts.active or 'unknown'}"
    for phase in [one.name for one in tree.phases if one.name in {item.phase for item in items}]:
        if state.phases.get(phase) != host.phase_digests[phase]:
            return f"phase {phase} was not applied to its end as it is rendered now"
    return ""


def unit_flags(host: Host, unit: str) -> dict[str, tuple[str, ...]]:
    """Return the flags of a rendered unit, each with all its values in order; nothing for a unit it is not to have."""
    item = host.by_key.get(f"/etc/systemd/system/{unit}")
    found: dict[str, tuple[str, ...]] = {}
    for name, value in _FLAG.findall(item.content.decode("utf-8", "replace") if item else ""):
        found[name] = (*found.get(name, ()), value)
    return found
