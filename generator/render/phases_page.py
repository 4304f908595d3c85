"""phases.yaml: the phases that a cluster needs, in order, with what their gates look at in this cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from generator.formats.yaml_text import block_scalar
from generator.render.flow import flow
from generator.render.inventory import HEADER
from generator.render.phases import OF_OBJECTS, OTHER_SETS, PHASES, UNITS, Gate, Phase
from generator.spec.model import Cluster


def phases_text(cluster: Cluster, used: Collection[str], object_sets: Sequence[str]) -> str:
    """Return phases.yaml: the phases that have items (`used`) or objects in this cluster, in order.

    Ports and paths of gates are those of this cluster; the addresses of the control plane are listed on top, and
    nothing lists workers.
    """
    lines = [HEADER.format(cluster=cluster.name) + "controlPlane:"]
    lines.extend(
        f"- {flow({'host': host.name, 'address': host.address, 'port': cluster.api.port})}"
        for host in sorted(cluster.control_plane, key=lambda host: host.name)
    )
    lines.append("phases:")
    for phase in PHASES:
        objects = _objects(phase, object_sets)
        if not (phase.always or phase.name in used or objects):
            continue
        lines.extend(_phase_lines(cluster, phase, phase.name in used or phase.always, objects))
    return "\n".join(lines) + "\n"


def _objects(phase: Phase, object_sets: Sequence[str]) -> list[str]:
    named = {name for other in PHASES for name in other.objects}
    if OTHER_SETS in phase.objects:
        return [name for name in object_sets if name not in named]
    return [name for name in phase.objects if name in object_sets]


def _phase_lines(cluster: Cluster, phase: Phase, has_items: bool, objects: list[str]) -> list[str]:
    present = {role for host in cluster.hosts for role in host.pool.roles}
    roles = [role for role in phase.roles if role in present]
    gates = [
        gate for gate in phase.gates if (has_items if gate is UNITS else objects or gate["kind"] not in OF_OBJECTS)
    ]
    if objects and not any(gate["kind"] == "accepted" for gate in gates):
        gates.append({"kind": "accepted"})
    entry: dict[str, Any] = {
        "name": phase.name,
        "title": phase.title,
        "roles": roles if has_items else [],
        "batch": phase.batch,
        "first": phase.first,
        "drain": phase.drain,
        "deferDrained": phase.defer_drained,
        "formation": _resolved(cluster, phase.formation),
        "join": _resolved(cluster, phase.join),
        "objects": objects,
    }
    lines: list[str] = []
    for key, value in entry.items():
        if value not in ("", [], {}, False):
            lines.append(
                f"{'  ' if lines else '- '}{key}: {block_scalar(value) if isinstance(value, str) else flow(value)}"
            )
    for key, some in (("before", phase.before), ("gates", gates)):
        resolved = [_resolved(cluster, gate) for gate in some]
        needed = [gate for gate in resolved if "roles" not in gate or set(gate["roles"]) & present]
        if needed:
            lines.append(f"  {key}:")
            lines.extend(f"  - {flow(gate)}" for gate in needed)
    return lines


def _resolved(cluster: Cluster, values: Gate) -> dict[str, Any]:
    resolved = {}
    for key, value in values.items():
        fact: Callable[[Cluster], Any] | Any = value
        resolved[key] = fact(cluster) if callable(fact) else fact
    return resolved
