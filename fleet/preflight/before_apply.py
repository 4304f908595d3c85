"""The preflight of an apply: asked of hosts that are new to the cluster, and of those that get another Kubernetes.

A host that runs the cluster as it is has shown that it can. What an apply needs of it each time (system, processor,
programs, clock) is in the answer to the one question that every run asks (`fleet.host_gates.preflight_faults`), so a
run over a healthy cluster asks no second one.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleet.compare import drains
from fleet.inventory import Host
from fleet.preflight.run import look
from fleet.preflight.table import judged
from fleet.preflight.text import error_lines, rows
from fleet.session import Session
from fleet.standing import Fleet
from fleet.state import HostState
from generator.errors import HostError


async def require_preflight(fleet: Fleet, session: Session, needed: Iterable[str]) -> None:
    """Raise HostError that names every error on hosts that a run is about to make nodes of; tell of warnings.

    Nothing is asked in a run whose phases have no gate of kind preflight, as with `--phase nodes`.
    """
    skip = fleet.options.skip_checks
    if not _has_gate(fleet):
        return
    names = [name for name in needed if is_new(fleet.tree.hosts[name], session.states[name])]
    if not names:
        return
    seen = await look(session, names, skip, keep=True)
    found = judged(seen, skip)
    for hosts, check, severity, text, todo in rows(found):
        if severity == "warning":
            fleet.reporter.event("warning", check=check, text=f"{hosts}: {text}; {todo} (check {check})")
    if errors := [one for one in found if one.severity == "error"]:
        cluster = fleet.tree.cluster
        told = f"{cluster}: nothing was changed; what you know better than a check is left out with --skip CHECK"
        raise HostError("\n".join([*error_lines(cluster, errors), told]), errors[0].host)


def is_new(host: Host, state: HostState) -> bool:
    """Whether no apply has come to its end on a host, or the next one brings it another runtime or Kubernetes."""
    return not state.generation or drains(host, state)


def _has_gate(fleet: Fleet) -> bool:
    phases = [phase for phase in fleet.tree.phases if not fleet.options.phases or phase.name in fleet.options.phases]
    return any(entry.get("kind") == "preflight" for phase in phases for entry in phase.gates)
